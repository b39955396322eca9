// Package native runs the agent as a program among others, on a PC of the virtual classroom: with disks that are named one by
// one, so that no other disk of the machine can ever be touched, and with exit statuses where the client OS's agent would
// restart the machine. It is what aula-agent does when it is not the first process of a PC, and what the appliance's own
// program does in a classroom that it makes itself.
package native

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"aula/clientos/agent"
	"aula/clientos/agent/machine"
	"aula/clientos/agent/screen"
	"aula/clientos/disk"
)

const usage = `usage: aula-agent --server HOST:PORT --pin HEX --ticket T --mac MAC --disk DEVICE[,DEVICE]

Connects to an Aula server as one PC and obeys its instructions, on the named disks only.
`

// ExitUsage says that the command line is wrong; the other exit statuses are the agent's (agent.ExitReboot ...).
const ExitUsage = 2

// Main runs the agent with the command line in args, without the program's name, until it is told to stop by a signal or
// by the server, and returns the exit status.
func Main(version string, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("aula-agent", flag.ContinueOnError)
	flags.SetOutput(stderr)
	server := flags.String("server", "", "`HOST:PORT` of the server's agent listener")
	pin := flags.String("pin", "", "SHA-256 of the server's public key, in `hexadecimal`")
	ticket := flags.String("ticket", "", "`ticket` of this boot")
	mac := flags.String("mac", "", "Ethernet `address` of the network card that booted")
	disks := flags.String("disk", "", "the only block `devices` to touch, with commas between them")
	folder := flags.String("folder", "", "`folder` below which the cache and restored systems are mounted; one for each PC")
	debug := flags.Bool("debug", false, "log more")
	showVersion := flags.Bool("version", false, "print the version and exit")
	flags.Usage = func() {
		fmt.Fprint(stderr, usage)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return ExitUsage
	}
	if *showVersion {
		fmt.Fprintln(stdout, "aula-agent", version)
		return 0
	}
	if *server == "" || *pin == "" || *mac == "" || *disks == "" || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "aula-agent: --server, --pin, --mac and --disk are required, and nothing else is taken")
		return ExitUsage
	}
	level := slog.LevelInfo
	if *debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	mounts := *folder
	if mounts == "" {
		dir, err := os.MkdirTemp("", "aula-agent-")
		if err != nil {
			fmt.Fprintln(stderr, "aula-agent:", err)
			return ExitUsage
		}
		defer os.Remove(dir) // which fails while something is mounted below it, and so keeps what is there
		mounts = dir
	}
	system := disk.System{Devices: strings.Split(*disks, ",")}
	board := screen.NewBoard(screen.State{Phase: screen.Starting})
	a, err := agent.New(agent.Config{
		Server: *server, Pin: *pin, Ticket: *ticket, MAC: *mac, Version: version,
		Disks: system, Folder: mounts, Inventory: machine.Source{Disks: system}.Inventory, Board: board, Log: log,
	})
	if err != nil {
		fmt.Fprintln(stderr, "aula-agent:", err)
		return ExitUsage
	}
	outcome, err := runWithJournal(ctx, a, board, stdout)
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(stderr, "aula-agent:", err)
	}
	return agent.ExitStatus(outcome)
}

// runWithJournal runs the agent and writes its states, one per line, to out.
func runWithJournal(ctx context.Context, a *agent.Agent, board *screen.Board, out io.Writer) (outcome string, err error) {
	writing, stop := context.WithCancel(context.Background())
	var group errgroup.Group
	group.Go(func() error { return board.Journal(writing, out) })
	outcome, err = a.Run(ctx)
	stop()
	if writeErr := group.Wait(); err == nil {
		err = writeErr
	}
	return outcome, err
}
