package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A port is one that the appliance listens on.
type port struct {
	network string // udp or tcp
	number  uint16
	at      string // host to listen at; empty: all
	what    string // for people
	setting string // where to change it; empty: nowhere
}

func (p port) String() string { return fmt.Sprintf("port %d/%s", p.number, p.network) }

// portFacts are who has a port.
type portFacts struct {
	port
	running bool  // the appliance does
	err     error // of listening on it; nil: it is free
	holders []holder
}

// ports are those of a configuration.
func (m *machine) ports() []port {
	at := ""
	if m.address.IsValid() {
		at = m.address.Addr().String()
	}
	all := []port{
		{"udp", 67, "", "DHCP", ""}, {"udp", 69, at, "boot loaders", ""}, {"udp", 4011, "", "DHCP for booting", ""},
		{"tcp", uint16(m.cfg.Boot.Port), at, "boot files", "boot.port"}, {"tcp", uint16(m.cfg.Agents.Port), at, "PCs", "agents.port"},
	}
	if host, number, err := net.SplitHostPort(m.cfg.Console.Listen); err == nil {
		if n, err := strconv.ParseUint(number, 10, 16); err == nil && n > 0 {
			all = append(all, port{"tcp", uint16(n), host, "console", "console.listen"})
		}
	}
	return all
}

func testPorts(ctx context.Context, m *machine) []Result {
	sockets := readSockets()
	var results []Result
	for _, p := range m.ports() {
		f := portFacts{port: p, running: m.running != ""}
		f.err = m.try(ctx, p)
		if f.err != nil {
			f.holders = holdersOf(sockets, p)
		}
		results = append(results, judgePort(f))
	}
	return results
}

// try listens on a port as the appliance would.
func (m *machine) try(ctx context.Context, p port) error {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		if p.network != "udp" || p.at != "" || m.nic == nil {
			return nil
		}
		var err error // on the one card only: who serves another, such as that of virtual machines, is no hindrance
		return errors.Join(c.Control(func(fd uintptr) { err = unix.BindToDevice(int(fd), m.nic.Name) }), err)
	}}
	at := net.JoinHostPort(p.at, fmt.Sprint(p.number))
	var open io.Closer
	var err error
	if p.network == "udp" {
		open, err = config.ListenPacket(ctx, "udp4", at)
	} else {
		open, err = config.Listen(ctx, "tcp", at)
	}
	if err != nil {
		return err
	}
	return open.Close()
}

func judgePort(f portFacts) Result {
	test := f.String()
	var names []string
	own := false
	for _, h := range f.holders {
		own = own || h.name == "aula"
		names = append(names, h.String())
	}
	slices.Sort(names)
	who := strings.Join(slices.Compact(names), ", ")
	switch {
	case f.err == nil && f.running && f.number != 4011:
		return Result{test, Problem, f.what + ": the appliance runs, but does not listen here", "the appliance that runs has other settings than this test: give the same --config and --interface to both, or start the appliance again"}
	case f.err == nil:
		return Result{test, OK, f.what + ": free", ""}
	case errors.Is(f.err, fs.ErrPermission):
		return Result{test, Warning, f.what + ": not tested, permission denied", "run this as root: sudo aula doctor"}
	case !errors.Is(f.err, syscall.EADDRINUSE):
		return Result{test, Problem, fmt.Sprintf("%s: %v", f.what, f.err), change(f.setting, "give the card its address first")}
	case own:
		return Result{test, OK, f.what + ": the appliance has it", ""}
	case f.running && who == "":
		return Result{test, OK, f.what + ": in use, by the appliance as it seems", ""}
	case who == "":
		return Result{test, Problem, f.what + ": another program has it", change(f.setting, fmt.Sprintf("find it and stop it: sudo ss -lnp 'sport = :%d' shows it", f.number))}
	default:
		return Result{test, Problem, fmt.Sprintf("%s: %s has it", f.what, who), change(f.setting, stop(f.holders[0]))}
	}
}

// change adds to what can be done that a setting can be changed.
func change(setting, do string) string {
	if setting == "" {
		return do
	}
	return do + "; or change the setting " + setting
}

func stop(h holder) string {
	if h.unit != "" {
		return "stop it, and keep it from starting again: sudo systemctl disable --now " + h.unit
	}
	return fmt.Sprintf("stop it: sudo kill %d", h.pid)
}

// conflicts tells whether a socket at an address keeps the port from being opened.
func conflicts(at string, socket netip.Addr) bool {
	if at == "" || socket.IsUnspecified() {
		return true
	}
	own, err := netip.ParseAddr(at)
	return err != nil || own.IsUnspecified() || own == socket
}
