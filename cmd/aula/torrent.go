package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
)

// torrentCommand is `aula torrent`.
type torrentCommand struct {
	Get    torrentGetCommand    `cmd:"" help:"Fetch the file of a .torrent, and share it with the room."`
	Seed   torrentSeedCommand   `cmd:"" help:"Give files to a whole room, with a tracker of its own."`
	Status torrentStatusCommand `cmd:"" help:"Tell who fetches and who shares, as the tracker of this machine knows it."`
}

// Exit statuses of torrent, beside 0 (done) and 1 (it failed, for the reason printed), which are OpenGnsys' error numbers.
const (
	exitNoTorrent = 5  // the .torrent is none, or of a kind that is not taken
	exitNoRoom    = 16 // the file has no room on the disk
	exitNobody    = 60 // nothing came for as long as one was to wait
)

// torrentFlags are common to those who take part in a swarm.
type torrentFlags struct {
	jsonFlag
	Interface   string      `help:"Network interface to the room, such as eth0; all of them when left out." placeholder:"IF"`
	Port        *uint16     `help:"TCP port at which peers connect, 0 for any; when left out 6881, or any where that is taken." placeholder:"PORT"`
	UploadLimit megabitRate `help:"Mbit/s that are given, at most; as many as go when left out." placeholder:"MBIT"`
}

// open opens the port for peers.
func (f torrentFlags) open(encrypt bool) (*torrent.Client, error) {
	address := ""
	if f.Interface != "" {
		networks, err := networksOf(f.Interface)
		if err != nil {
			return nil, exitError{err, exitNoFile}
		}
		address = networks[0].Addr().String()
	}
	open := func(port uint16) (*torrent.Client, error) {
		return torrent.NewClient(torrent.Config{
			Listen: net.JoinHostPort(address, strconv.Itoa(int(port))), UploadLimit: f.UploadLimit.bytes(), Encrypt: encrypt,
		})
	}
	port := uint16(torrent.DefaultPort)
	if f.Port != nil {
		port = *f.Port
	}
	client, err := open(port)
	switch {
	case !errors.Is(err, unix.EADDRINUSE):
		return client, err
	case f.Port != nil:
		return nil, fmt.Errorf("port %d is taken: end the other program that listens there, or choose another with --port, 0 for any: %w", port, err)
	}
	if client, err = open(0); err == nil {
		warn(fmt.Sprintf("port %d is taken by another program: peers connect at port %d", port, client.Port()))
	}
	return client, err
}

// networksOf returns the IPv4 networks of the interface of that name, each with the address that this machine has there; there is at least one.
func networksOf(name string) ([]netip.Prefix, error) {
	up, err := nics()
	if err != nil {
		return nil, err
	}
	for _, n := range up {
		if n.name == name && len(n.networks) > 0 {
			return n.networks, nil
		}
	}
	return nil, fmt.Errorf("--interface %s: there is no such interface that is up and has an IPv4 address", name)
}

// taking makes the client take connections until what it returns is called.
func taking(ctx context.Context, client *torrent.Client) (stop func() error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx)) // tasks end before it
	done := make(chan error, 1)
	go func() { done <- client.Run(ctx) }()
	return func() error { cancel(); return <-done }
}

// A megabitRate is a rate on the wire as people have it: Mbit/s.
type megabitRate float64

// UnmarshalText reads what a person typed.
func (r *megabitRate) UnmarshalText(text []byte) error {
	const most = 1e6 // a Tbit/s
	n, err := strconv.ParseFloat(strings.TrimSuffix(string(text), "M"), 64)
	if err != nil || !(n >= 0.1 && n <= most) {
		return fmt.Errorf("%q: it must be a number of Mbit/s from 0.1 to 1000000, such as 90", text)
	}
	*r = megabitRate(n)
	return nil
}

func (r megabitRate) bytes() int64 { return int64(r * 1e6 / 8) }

// A trackerURL is where a tracker answers announces.
type trackerURL string

// UnmarshalText reads what a person typed.
func (u *trackerURL) UnmarshalText(text []byte) error {
	if err := metainfo.CheckTracker(string(text)); err != nil {
		return fmt.Errorf("%w: write it as http://172.17.36.1:6969/announce", err)
	}
	*u = trackerURL(text)
	return nil
}

// A peerAddress is where a peer takes connections.
type peerAddress struct{ netip.AddrPort }

// UnmarshalText reads what a person typed; without a port it is the usual one.
func (p *peerAddress) UnmarshalText(text []byte) error {
	s := string(text)
	if a, err := netip.ParseAddr(s); err == nil {
		p.AddrPort = netip.AddrPortFrom(a, torrent.DefaultPort)
	} else if p.AddrPort, err = netip.ParseAddrPort(s); err != nil || p.Port() == 0 {
		return fmt.Errorf("%q: it must be the address and the port of a peer, such as 172.17.36.11:6881", s)
	}
	if a := p.Addr(); a.IsUnspecified() || a.IsMulticast() {
		return fmt.Errorf("%q: it must be the address of a machine, such as 172.17.36.11:6881", s)
	}
	return nil
}

// torrentError gives an error its exit status.
func torrentError(err error) error {
	var known exitError
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return exitError{err, exitNoRoom}
	}
	return err
}

// torrentVerdict is what came of it, for --json.
func torrentVerdict(err error) verdict {
	var exit exitError
	switch {
	case err == nil:
		return verdict{Result: "complete"}
	case errors.Is(err, errInterrupted):
		return verdict{"interrupted", err.Error()}
	case errors.As(err, &exit) && exit.status == exitNobody:
		return verdict{"nothing came", err.Error()}
	}
	return verdict{"failed", err.Error()}
}

var errInterrupted = errors.New("interrupted")
