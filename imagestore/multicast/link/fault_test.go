package link_test

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"aula/imagestore/multicast/link"
)

func TestCloseEndsRead(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "pc1")
	bothWays(t, func(t *testing.T, opt link.Options) {
		pc := joinOn(t, "pc1", group, opt)
		server := listenOn(t, "pc1", 9001, opt)
		reading, ended := make(chan struct{}), make(chan error)
		go func() {
			first := true
			for {
				err := pc.Read(time.Hour, func([]byte, netip.AddrPort) {
					if first {
						close(reading)
					}
					first = false
				})
				if err != nil {
					ended <- err
					return
				}
			}
		}()
		write(t, server, []byte("it reads"), 100, group)
		<-reading
		if err := pc.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read ended with %v, want net.ErrClosed", err)
		}
		nobody := func([]byte, netip.AddrPort) { t.Error("a closed Conn received something") }
		if err := pc.Read(time.Hour, nobody); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read after Close: %v, want net.ErrClosed", err)
		}
		if err := pc.Write([]byte("late"), 100, group); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after Close: %v, want net.ErrClosed", err)
		}
		if err := pc.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second Close: %v, want net.ErrClosed", err)
		}
		if got := pc.Dropped(); got != 0 {
			t.Errorf("Dropped after Close is %d, want 0", got)
		}
	})
}

// What take does with its Conn must not wait for the Read that calls it.
func TestTakeMayWriteAndClose(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "server", "pc1")
	server, pc := listenOn(t, "server", 9001, link.Options{}), joinOn(t, "pc1", group, link.Options{})
	write(t, server, []byte("question"), 100, group)
	err := pc.Read(patience, func(_ []byte, from netip.AddrPort) {
		write(t, pc, []byte("answer"), 100, from)
		if err := pc.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if err != nil {
		t.Errorf("Read: %v", err)
	}
	expect(t, server, []byte("answer"), 100)
}

func TestFullQueueHoldsTheWriterBackUntilClose(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "server")
	command(t, "tc", "-n", "server", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "8kbit", "burst", "3000", "limit", "100000000")
	bothWays(t, func(t *testing.T, opt link.Options) {
		server := listenOn(t, "server", 9001, opt)
		wrote, ended := make(chan struct{}), make(chan error, 1)
		go func() {
			for range 1000 { // 64 MB, of which the queue would take 100
				if err := server.Write(make([]byte, 44*1472), 1472, group); err != nil {
					ended <- err
					return
				}
				wrote <- struct{}{}
			}
			ended <- nil
		}()
		for held := false; !held; {
			select {
			case <-wrote:
			case err := <-ended:
				t.Fatalf("Write ended with %v, want it to wait", err)
			case <-time.After(200 * time.Millisecond):
				held = true
			}
		}
		if err := server.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		for {
			select {
			case <-wrote:
				continue
			case err := <-ended:
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("Write ended with %v, want net.ErrClosed", err)
				}
			}
			return
		}
	})
}

// A writer without pacing loses nothing to a queue that takes some 40 ms of its link: a queue holds what a Conn may have under way.
func TestFullQueueLosesNothing(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "server", "pc1")
	command(t, "tc", "-n", "server", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "100mbit", "burst", "32k", "limit", "600k")
	bothWays(t, func(t *testing.T, opt link.Options) {
		server, pc := listenOn(t, "server", 9001, opt), joinOn(t, "pc1", group, opt)
		b := pattern(1500 * 1472) // 2.2 MB
		write(t, server, b, 1472, group)
		expect(t, pc, b, 1472)
	})
}

func TestReadWaitsAsLongAsItIsTold(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "pc1")
	pc := joinOn(t, "pc1", group, link.Options{})
	nobody := func([]byte, netip.AddrPort) { t.Error("something came") }
	for _, wait := range []time.Duration{-1, 0, time.Nanosecond, 30 * time.Millisecond} {
		start := time.Now()
		if err := pc.Read(wait, nobody); err != nil {
			t.Errorf("Read for %s: %v", wait, err)
		}
		if took := time.Since(start); took < wait {
			t.Errorf("Read for %s came back after %s", wait, took)
		}
	}
}

// A datagram that a NIC without a cable, a firewall or a full queue refuses is as lost as one on the wire.
func TestRefusedDatagramsAreLost(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "server", "pc1")
	bothWays(t, func(t *testing.T, opt link.Options) {
		server, pc := listenOn(t, "server", 9001, opt), joinOn(t, "pc1", group, opt)
		b := pattern(100 * 1472)
		for _, c := range []struct {
			what      string
			arm, undo []string
		}{
			{"cable out", []string{"ip", "link", "set", "server", "down"}, []string{"ip", "link", "set", "server", "up"}},
			{"interface down", []string{"ip", "-n", "server", "link", "set", "eth0", "down"}, []string{"ip", "-n", "server", "link", "set", "eth0", "up"}},
			{"firewall", []string{"ip", "netns", "exec", "server", "nft", "add table ip t; add chain ip t out { type filter hook output priority 0; policy drop; }"},
				[]string{"ip", "netns", "exec", "server", "nft", "delete table ip t"}},
			{"queue of nothing", []string{"tc", "-n", "server", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", "8kbit", "burst", "3000", "limit", "3000"},
				[]string{"tc", "-n", "server", "qdisc", "del", "dev", "eth0", "root"}},
		} {
			command(t, c.arm[0], c.arm[1:]...)
			for _, to := range []netip.AddrPort{group, netip.MustParseAddrPort("10.0.0.2:9000"), netip.MustParseAddrPort("10.0.0.77:9000")} {
				if err := server.Write(b, 1472, to); err != nil {
					t.Errorf("%s: Write to %s: %v, want the datagrams lost and no error", c.what, to, err)
				}
			}
			command(t, c.undo[0], c.undo[1:]...)
		}
		if send, _ := server.Offload(); send == opt.NoOffload {
			t.Errorf("sends by segments: %t, want %t: none of this was the segments' fault", send, !opt.NoOffload)
		}
		// It goes on where nothing is in the way; what the faults let through comes first.
		for tries := 0; ; tries++ {
			write(t, server, []byte("at last"), 100, group)
			found := false
			err := pc.Read(100*time.Millisecond, func(b []byte, _ netip.AddrPort) { found = found || string(b) == "at last" })
			if err != nil {
				t.Fatalf("Read: %v", err)
			}
			if found {
				return
			}
			if tries == 100 {
				t.Fatal("nothing came after the faults")
			}
		}
	})
}

func TestForeignDatagramsThatAreTooLargeAreNotHeard(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "server", "pc1")
	bothWays(t, func(t *testing.T, opt link.Options) {
		pc, server := joinOn(t, "pc1", group, opt), listenOn(t, "server", 9001, opt)
		var foreign net.Conn
		on(t, "server", func() {
			var err error
			if foreign, err = net.Dial("udp4", "10.0.0.2:9000"); err != nil {
				t.Fatal(err)
			}
		})
		defer func() { _ = foreign.Close() }()
		for _, size := range []int{link.MaxSize + 1, 10_000, 65_507, 0} {
			if _, err := foreign.Write(make([]byte, size)); err != nil {
				t.Fatal(err)
			}
		}
		write(t, server, []byte("of the session"), 100, group)
		got := read(t, pc, 2)
		if len(got) != 2 || len(got[0].bytes) != 0 || string(got[1].bytes) != "of the session" {
			t.Errorf("got %v, want the empty datagram and the session's", got)
		}
	})
}

func TestDropped(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "server", "pc1")
	opt := link.Options{NoOffload: true}
	server, pc := listenOn(t, "server", 9001, opt), joinOn(t, "pc1", group, opt)
	if got := pc.Dropped(); got != 0 {
		t.Errorf("%d dropped before anything was sent", got)
	}
	const sent = 10_000 // about 7000 fit
	write(t, server, make([]byte, sent*1472), 1472, group)
	dropped := int(pc.Dropped())
	if dropped == 0 {
		t.Error("the receive buffer never overflowed, or nobody counted")
	}
	got := 0
	for before := -1; got != before; {
		before = got
		if err := pc.Read(0, func([]byte, netip.AddrPort) { got++ }); err != nil {
			t.Fatal(err)
		}
	}
	if got+dropped > sent || got == 0 {
		t.Errorf("%d received and %d dropped of %d", got, dropped, sent)
	}
}
