package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/net/ipv4"
)

// multicastFacts are what became of a datagram that this machine sent to a group and to itself.
type multicastFacts struct {
	err     error
	querier bool // the appliance asks for members when it runs
}

// group is one that organisations use among themselves (RFC 2365 6.1), and a port that nobody listens on.
var group = &net.UDPAddr{IP: net.IPv4(239, 255, 76, 67), Port: 36767}

func testMulticast(ctx context.Context, m *machine) []Result {
	if m.nic == nil || !m.address.IsValid() {
		return nil
	}
	f := multicastFacts{querier: m.cfg.Multicast.Querier != "off"}
	f.err = loop(ctx, m.nic)
	return judgeMulticast(f)
}

// loop sends a datagram to the group on the card, and waits until this machine hears it.
func loop(ctx context.Context, nic *net.Interface) (err error) {
	conn, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp4", group.String())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	p := ipv4.NewPacketConn(conn)
	err = errors.Join(p.JoinGroup(nic, group), p.SetMulticastInterface(nic), p.SetMulticastLoopback(true), p.SetMulticastTTL(1))
	if err != nil {
		return err
	}
	said := []byte("aula doctor " + rand.Text())
	heard := make([]byte, len(said)+1)
	for range 4 {
		if _, err := conn.WriteTo(said, group); err != nil {
			return err
		}
		if err := conn.SetReadDeadline(time.Now().Add(500 * time.Millisecond)); err != nil {
			return err
		}
		for {
			n, _, err := conn.ReadFrom(heard)
			if err == nil && string(heard[:n]) == string(said) {
				return nil
			}
			if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				return err
			}
			if err != nil {
				break
			}
		}
	}
	return errUnheard
}

var errUnheard = errors.New("what this machine sends to a group, it does not hear itself")

func judgeMulticast(f multicastFacts) []Result {
	const test = "multicast"
	switch {
	case errors.Is(f.err, errUnheard):
		return []Result{{test, Problem, f.err.Error(), "a firewall on this machine drops it: let in UDP to 224.0.0.0/4 on the classroom's card; until then, deploy by BitTorrent or one by one"}}
	case f.err != nil:
		return []Result{{test, Problem, fmt.Sprintf("cannot be sent: %v", f.err), "look whether the card has MULTICAST in ip link, and switch it on: sudo ip link set IF multicast on"}}
	case !f.querier:
		return []Result{{test, Warning, "works here; Aula does not ask for members (setting multicast.querier is off)",
			"switches with IGMP snooping stop multicast after some minutes unless a router or switch asks: see that one does (IGMP querier), or set multicast.querier to auto"}}
	default:
		return []Result{{test, OK, "works on this machine; Aula keeps switches forwarding it while it runs", ""}}
	}
}
