// Package boot takes a PC from the kernel's start to a running agent: it mounts what the kernel offers, loads the drivers, brings
// the network up, and shows each step and what to do when one fails.
//
// Two processes do that. The first one (Supervise) only starts the second, collects dead processes, and restarts or switches off the PC
// when the second ends, whatever the reason; it must never end itself, and has little that could go wrong. The second (Main) is
// the agent. Neither ever offers a prompt.
package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"aula/clientos/agent"
	"aula/clientos/agent/machine"
	"aula/clientos/agent/screen"
	"aula/clientos/protocol"
)

// ChildArgument is the only argument of the second process.
const ChildArgument = "--client-os"

// hopelessPause is how long a PC shows what only the next boot can change.
const hopelessPause = 2 * time.Minute

// driverPatience is how long a PC with a network waits for its other drivers. A broken disk can hold its driver for minutes.
const driverPatience = 30 * time.Second

// Main is the second process: it boots, runs the agent and returns the exit status that says what is to become of the PC.
func Main(version string) int {
	ctx, stop := context.WithCancel(context.Background())
	board := screen.NewBoard(screen.State{Phase: screen.Starting, Version: version, Step: "Looking for devices"})
	log := slog.New(slog.NewTextHandler(kernelLog(), nil))
	var consoles errgroup.Group
	openConsoles(ctx, board, log, &consoles)

	outcome, err := run(ctx, version, board, log)
	if err != nil {
		log.Error("boot", "error", err)
		board.Update(func(s *screen.State) {
			s.Phase, s.Problem, s.Advice = screen.Trouble, err.Error(), "This PC restarts by itself in two minutes."
		})
		time.Sleep(hopelessPause)
		outcome = protocol.Reboot
	}
	board.Update(func(s *screen.State) { s.Phase, s.Kind = screen.Restarting, outcome })
	stop()
	_ = consoles.Wait() // a console that broke has nobody to tell
	return agent.ExitStatus(outcome)
}

// run returns what is to become of the PC. Its error is for people.
func run(ctx context.Context, version string, board *screen.Board, log *slog.Logger) (outcome string, err error) {
	line, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return "", fmt.Errorf("the kernel's command line cannot be read: %w", err)
	}
	given, err := parseParameters(string(line))
	if err != nil {
		return "", err
	}
	board.Update(func(s *screen.State) { s.Server, s.MAC = given.server, given.mac })
	pin, err := os.ReadFile(protocol.PinFile)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("the file %s is missing from the initramfs: the boot loader did not fetch it from an Aula server", protocol.PinFile)
	}
	if err != nil {
		return "", err
	}

	modules, err := openModules(log)
	if err != nil {
		return "", fmt.Errorf("the client OS has no drivers for its kernel: %w", err)
	}
	// Drivers are loaded while the network comes up: its card's first, and disks and cards that take their time to appear later.
	ctx, stop := context.WithCancel(ctx)
	var background errgroup.Group
	defer func() {
		stop()
		_ = background.Wait() // its functions answer no errors
	}()
	settled := make(chan struct{})
	background.Go(func() error {
		drivers := newDrivers(modules.load, log)
		drivers.settle(ctx)
		close(settled)
		drivers.keep(ctx)
		return nil
	})
	awaitRandomness(log)
	network := &network{mac: given.mac, board: board, log: log, limits: usualLimits()}
	if err := network.up(ctx); err != nil {
		return "", err
	}
	background.Go(func() error {
		network.keep(ctx)
		return nil
	})
	select {
	case <-settled:
	case <-ctx.Done():
	case <-time.After(driverPatience):
		log.Warn("a driver takes long: the PC goes on without the devices that wait for it", "waited", driverPatience)
	}
	firmware := mountFirmwareVariables(ctx, modules, log)
	a, err := agent.New(agent.Config{
		Server: given.server, Pin: strings.TrimSpace(string(pin)), Ticket: given.ticket, MAC: network.bootMAC(), Version: version,
		Folder: "/run/aula", Firmware: firmware, Interface: network.card.Name,
		Inventory: machine.Source{}.Inventory, Devices: machine.Source{}.Devices, Board: board, SetClock: setClock(log), Log: log,
	})
	if err != nil {
		return "", err
	}
	return a.Run(ctx)
}

// awaitRandomness waits until the kernel has random numbers. A machine without a source of them (an old PC, a virtual one) collects
// them only when somebody waits in this call (random(7)); the DHCP client gives up instead.
func awaitRandomness(log *slog.Logger) {
	if _, err := unix.Getrandom(make([]byte, 1), 0); err != nil {
		log.Warn("randomness", "error", err)
	}
}

// parameters are what the boot loader's configuration says on the kernel's command line.
type parameters struct {
	server string
	ticket string
	mac    string // empty when the loader could not tell
}

// parseParameters reads the kernel's command line. The last of several equal parameters counts, as for the kernel.
func parseParameters(line string) (parameters, error) {
	var p parameters
	for _, word := range strings.Fields(line) {
		name, value, _ := strings.Cut(word, "=")
		switch name {
		case protocol.ServerParam:
			p.server = value
		case protocol.TicketParam:
			p.ticket = value
		case protocol.MACParam:
			p.mac = value
		}
	}
	if _, _, err := net.SplitHostPort(p.server); err != nil {
		return parameters{}, fmt.Errorf("the boot loader did not say where the server is (%s=HOST:PORT on the kernel's command line)", protocol.ServerParam)
	}
	if p.mac != "" {
		mac, err := protocol.NormalizeMAC(p.mac)
		if err != nil {
			return parameters{}, fmt.Errorf("the boot loader gave a wrong address of the network card: %w", err)
		}
		p.mac = mac
	}
	return p, nil
}

// setClock returns what sets the PC's clock to the server's. Files that a restore touches, and certificates, want the right year.
func setClock(log *slog.Logger) func(time.Time) {
	return func(t time.Time) {
		if off := time.Since(t.Round(0)); off.Abs() < 2*time.Second || t.IsZero() {
			return
		}
		tv := unix.NsecToTimeval(t.UnixNano())
		if err := unix.Settimeofday(&tv); err != nil {
			log.Warn("clock not set", "error", err)
		}
	}
}
