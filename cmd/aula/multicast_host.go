package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// A nic is a network interface that is up, with its IPv4 networks.
type nic struct {
	name     string
	networks []netip.Prefix
}

// nics lists the interfaces that are up, the loopback among them.
func nics() (up []nic, err error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("network interfaces: %w", err)
	}
	for _, i := range all {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addresses, err := i.Addrs()
		if err != nil {
			return nil, fmt.Errorf("addresses of %s: %w", i.Name, err)
		}
		n := nic{name: i.Name}
		for _, a := range addresses {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
				n.networks = append(n.networks, p)
			}
		}
		up = append(up, n)
	}
	return up, nil
}

// networkOf returns the network of the room.
func networkOf(name string, server netip.Addr) (netip.Prefix, error) {
	up, err := nics()
	if err != nil {
		return netip.Prefix{}, err
	}
	return chooseNetwork(up, name, server)
}

// chooseNetwork returns the network of the interface of that name, or that has the server in it, or the only one.
func chooseNetwork(up []nic, name string, server netip.Addr) (netip.Prefix, error) {
	const whole = "give the whole session, PORT:MODE:GROUP:RATE:COMPUTERS:SECONDS, which names the group"
	var networks []netip.Prefix
	var names []string
	for _, n := range up {
		if name != "" && n.name != name {
			continue
		}
		for _, p := range n.networks {
			if p.Contains(server) {
				return p, nil
			}
			if name != "" || !p.Addr().IsLoopback() {
				networks, names = append(networks, p), append(names, n.name)
			}
		}
	}
	switch {
	case len(networks) == 1, len(networks) > 1 && name != "":
		return networks[0], nil
	case len(networks) > 1:
		return netip.Prefix{}, fmt.Errorf("the group is that of the room's network, and this machine is in several: choose one of %s with --interface, or %s",
			strings.Join(slices.Compact(names), ", "), whole)
	case name != "":
		return netip.Prefix{}, fmt.Errorf("--interface %s: there is no such interface that is up and has an IPv4 address; %s", name, whole)
	}
	return netip.Prefix{}, fmt.Errorf("no network interface is up and has an IPv4 address: look at the cable and at 'ip address', or %s", whole)
}

// linkProblems tells when an interface has no link.
func linkProblems(name string) []string {
	if name == "" || name != filepath.Base(name) {
		return nil
	}
	// The file cannot be read while the interface is down (Documentation/ABI/testing/sysfs-class-net).
	carrier, err := os.ReadFile(filepath.Join("/sys/class/net", name, "carrier"))
	switch {
	case errors.Is(err, unix.EINVAL):
		return []string{fmt.Sprintf("%s is down: 'ip link set %s up' switches it on", name, name)}
	case err == nil && strings.TrimSpace(string(carrier)) == "0":
		return []string{fmt.Sprintf("%s has no link: look at the cable, and whether the switch's port is lit", name)}
	}
	return nil
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// columns is the width of a terminal; 0 of what is none.
func columns(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok {
		return 0
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0
	}
	return int(size.Col)
}

// enterPressed tells of each time that Enter is pressed on the terminal, until it is stopped. Without a terminal, or in the background,
// where reading from it would stop the program, it never does.
func enterPressed() (<-chan struct{}, func()) {
	if !isTerminal(os.Stdin) || !inForeground(os.Stdin) {
		return nil, func() {}
	}
	// Not os.Stdin itself, from which nobody could stop reading.
	terminal, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, func() {}
	}
	pressed, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(pressed)
		for lines := bufio.NewScanner(terminal); lines.Scan(); {
			select {
			case pressed <- struct{}{}:
			case <-ended:
				return
			}
		}
	}()
	return pressed, func() { close(ended); terminal.Close() }
}

// inForeground tells whether this program may read from a terminal.
func inForeground(f *os.File) bool {
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// standardInput is the standard input, in such a way that closing it ends a Read of a pipe that waits.
func standardInput() *os.File {
	if err := unix.SetNonblock(unix.Stdin, true); err != nil {
		return os.Stdin
	}
	return os.NewFile(uintptr(unix.Stdin), "standard input")
}
