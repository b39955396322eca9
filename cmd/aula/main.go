// Command aula is the classroom imaging appliance: `aula serve` runs it, and the other subcommands ask the one that runs on
// this machine, or look at files.
//
// It holds no logic of its own: a file per subcommand turns words into calls.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"aula/appliance"
)

// version is set by the linker (see the Makefile).
var version = "unversioned"

// The whole command line. Every command that prints facts takes --json.
type commandLine struct {
	Serve       serveCommand       `cmd:"" help:"Run the appliance."`
	Lab         labCommand         `cmd:"" help:"Run a virtual classroom on this machine, or the demonstration in it."`
	Run         runCommand         `cmd:"" help:"Have computers carry out instructions."`
	Deploy      deployCommand      `cmd:"" help:"Put an image on the computers of a classroom, by multicast, BitTorrent or one by one."`
	Operation   operationCommand   `cmd:"" help:"Tell what computers do, watch, cancel, and do it again."`
	Image       imageCommand       `cmd:"" help:"List, take in, convert, verify, move and remove images."`
	Repository  repositoryCommand  `cmd:"" help:"List, add, change and remove repositories."`
	Multicast   multicastCommand   `cmd:"" help:"Send a file to a whole room at once, and receive it."`
	Torrent     torrentCommand     `cmd:"" help:"Give a file to a whole room by BitTorrent, fetch it, and tell who does."`
	Cache       cacheCommand       `cmd:"" help:"List what is in the caches of computers, and remove images from them."`
	Instruction instructionCommand `cmd:"" help:"Tell which instructions there are, and check a text of them."`
	Procedure   procedureCommand   `cmd:"" help:"Save instructions to be run again, and run them."`
	Schedule    scheduleCommand    `cmd:"" help:"Run procedures at times."`
	Holiday     holidayCommand     `cmd:"" help:"Days on which weekly schedules do not run."`
	Task        taskCommand        `cmd:"" help:"List and cancel the long work on images."`
	Boot        bootCommand        `cmd:"" help:"Tell what computers boot and how it went, and choose what they boot."`
	Dhcp        dhcpCommand        `cmd:"" help:"Tell what the appliance is on its network, and let it lease addresses or not."`
	Group       groupCommand       `cmd:"" help:"Groups of computers within classrooms."`
	Quirk       quirkCommand       `cmd:"" help:"Rules for computers whose firmware does otherwise than the standards say."`
	Doctor      doctorCommand      `cmd:"" help:"Test this machine: network card, ports, other DHCP servers, clock, disk, boot files."`
	Version     versionCommand     `cmd:"" help:"Tell the version of this program and of its client OS."`
	Agent       agentCommand       `cmd:"" hidden:"" help:"The agent of a virtual classroom's PC without a machine of its own."`
}

// An exitError carries an exit status that scripts rely on.
type exitError struct {
	error
	status int
}

func (e exitError) Unwrap() error { return e.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "aula:", err)
		os.Exit(exitStatus(err))
	}
}

func run(ctx context.Context, args []string) error {
	var cli commandLine
	parser, err := kong.New(&cli,
		kong.Name("aula"),
		kong.Description("The classroom imaging appliance: boots a room of PCs over the network and clones disks to them."),
		kong.UsageOnError(),
		kong.Vars{"default_data": appliance.DefaultData, "default_cache": defaultCache()},
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	)
	if err != nil {
		return err
	}
	parsed, err := parser.Parse(args)
	if err != nil {
		return exitError{fmt.Errorf("%w (aula --help tells what there is)", err), usageStatus(args)}
	}
	return parsed.Run()
}

// usageStatus is the exit status for words that this program does not know.
func usageStatus(args []string) int {
	if len(args) > 0 && args[0] == "multicast" {
		return exitSession
	}
	return exitNoFile
}

func exitStatus(err error) int {
	var e exitError
	if errors.As(err, &e) {
		return e.status
	}
	return 1
}
