package multicast_test

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// flood sends, from a machine to the group and to the sender, random datagrams and those that come and go at the sender's machine: some
// thousand a second, until the function that it returns is called, which tells how many there were (those replayed by their first byte),
// or the test ends.
func (r *room) flood(tb testing.TB, m *machine) (stop func() (random int, replayed map[byte]int)) {
	tb.Helper()
	c, tap := m.listen(tb, 0), r.sender.tap(tb)
	to := []netip.AddrPort{netip.AddrPortFrom(roomSession(0).Group, 9000), netip.AddrPortFrom(r.sender.Address, 9001)}
	ctx, cancel := context.WithCancel(tb.Context())
	ended := make(chan struct{})
	tb.Cleanup(func() {
		cancel()
		<-ended
	})
	random, replayed := 0, map[byte]int{}
	go func() {
		defer close(ended)
		seed := rand.New(rand.NewPCG(1, 2))
		var recorded [][]byte
		send := func(b []byte) (sent int) {
			for _, addr := range to {
				if _, err := c.WriteToUDPAddrPort(b, addr); err == nil {
					sent++
				}
			}
			return sent
		}
		for bursts := time.Tick(5 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				return
			case <-bursts:
			}
			recorded = overhear(tap, m.Address, seed, recorded)
			for range 10 {
				random += send(noise(seed, recorded))
				if n := len(recorded); n > 0 {
					b := recorded[seed.IntN(n)]
					replayed[b[0]] += send(b)
				}
			}
		}
	}()
	return func() (int, map[byte]int) {
		cancel()
		<-ended
		return random, replayed
	}
}

// noise makes a random datagram; many have a header that looks like one of the session's, or are such a one that was changed or cut.
func noise(seed *rand.Rand, recorded [][]byte) []byte {
	b := make([]byte, seed.IntN(1473))
	for i := range b {
		b[i] = byte(seed.Uint32())
	}
	if len(recorded) == 0 {
		return b
	}
	from := recorded[seed.IntN(len(recorded))]
	switch seed.IntN(4) {
	case 0:
		copy(b, from[:16])
	case 1:
		b = slices.Clone(from)
		b[seed.IntN(len(b))] ^= 1 << seed.IntN(8)
	case 2:
		b = from[:seed.IntN(len(from))]
	}
	return b
}

// overhear adds the session's datagrams that a tap has heard, but for those of one machine, to those recorded: new ones take the place of old
// ones when there are many.
func overhear(tap io.Reader, but netip.Addr, seed *rand.Rand, recorded [][]byte) [][]byte {
	packet := make([]byte, 2048)
	for range 1000 {
		n, err := tap.Read(packet)
		if err != nil {
			break // nothing more for now
		}
		from, b := payload(packet[:n])
		switch {
		case b == nil || from == but:
		case len(recorded) < 1000:
			recorded = append(recorded, slices.Clone(b))
		default:
			recorded[seed.IntN(len(recorded))] = slices.Clone(b)
		}
	}
	return recorded
}

// payload returns what a packet of IPv4 carries to the session's ports over UDP, if it does.
func payload(packet []byte) (from netip.Addr, b []byte) {
	if len(packet) < 20 || packet[0]>>4 != 4 || packet[9] != unix.IPPROTO_UDP {
		return from, nil
	}
	from, udp := netip.AddrFrom4([4]byte(packet[12:])), packet[min(4*int(packet[0]&15), len(packet)):]
	if len(udp) < 8+16 {
		return from, nil
	}
	if port := binary.BigEndian.Uint16(udp[2:]); port != 9000 && port != 9001 {
		return from, nil
	}
	return from, udp[8:]
}

// A wiretap is a socket that hears all that a machine sends and receives. To read from it does not wait.
type wiretap int

func (w wiretap) Read(b []byte) (int, error) { return unix.Read(int(w), b) }

func (m *machine) tap(tb testing.TB) wiretap {
	tb.Helper()
	var socket int
	var err error
	m.Do(func() {
		all := unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8 // in network order
		socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, all&0xffff)
	})
	if err != nil {
		tb.Fatalf("a tap on %s: %v", m.Name, err)
	}
	tb.Cleanup(func() { _ = unix.Close(socket) })
	return wiretap(socket)
}
