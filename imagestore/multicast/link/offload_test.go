package link_test

import (
	"net/netip"
	"testing"

	"aula/imagestore/multicast/link"
)

// Whatever the NIC can, and on whichever side, the same datagrams arrive.
func TestOffloads(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "server", "pc1")
	set := func(features ...string) func(t *testing.T) {
		return func(t *testing.T) {
			command(t, "ip", append([]string{"netns", "exec", "server", "ethtool", "-K", "eth0"}, features...)...)
		}
	}
	mtu := func(bytes string) func(t *testing.T) {
		return func(t *testing.T) { command(t, "ip", "-n", "server", "link", "set", "eth0", "mtu", bytes) }
	}
	for _, c := range []struct {
		what      string
		arm, undo func(t *testing.T)
		segments  bool // Write goes on with them
	}{
		{"whole super-packets", func(*testing.T) {}, func(*testing.T) {}, true},
		{"no segmentation by the NIC", set("tx-udp-segmentation", "off", "gso", "off"), set("tx-udp-segmentation", "on", "gso", "on"), true},
		{"datagrams larger than a packet", mtu("1400"), mtu("1500"), false},
	} {
		t.Run(c.what, func(t *testing.T) {
			c.arm(t)
			defer c.undo(t)
			for _, sender := range []link.Options{{}, {NoOffload: true}} {
				for _, receiver := range []link.Options{{}, {NoOffload: true}} {
					server, pc := listenOn(t, "server", 0, sender), joinOn(t, "pc1", group, receiver)
					for range 2 {
						b := pattern(100*1472 - 5)
						write(t, server, b, 1472, group)
						expect(t, pc, b, 1472)
					}
					segments, _ := server.Offload()
					if want := c.segments && !sender.NoOffload; segments != want {
						t.Errorf("with %+v it sends by segments: %t, want %t", sender, segments, want)
					}
					_, joined := pc.Offload()
					if want := !receiver.NoOffload; joined != want {
						t.Errorf("with %+v it receives joined datagrams: %t, want %t", receiver, joined, want)
					}
				}
			}
		})
	}
}

func TestWriteRefusesNonsense(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "server")
	bothWays(t, func(t *testing.T, opt link.Options) {
		server := listenOn(t, "server", 9001, opt)
		for _, c := range []struct {
			size int
			to   netip.AddrPort
		}{
			{0, group}, {-1, group}, {link.MaxSize + 1, group},
			{1472, netip.AddrPort{}}, {1472, netip.AddrPortFrom(group.Addr(), 0)}, {1472, netip.MustParseAddrPort("[::1]:9000")},
		} {
			if err := server.Write(make([]byte, 10_000), c.size, c.to); err == nil {
				t.Errorf("Write by %d to %s succeeded, want an error", c.size, c.to)
			}
		}
		write(t, server, nil, 1472, group)
		if send, _ := server.Offload(); send == opt.NoOffload {
			t.Errorf("sends by segments: %t, want %t: none of this was the segments' fault", send, !opt.NoOffload)
		}
	})
}

func TestNoAllocations(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "server", "pc1")
	bothWays(t, func(t *testing.T, opt link.Options) {
		server, pc := listenOn(t, "server", 9001, opt), joinOn(t, "pc1", group, opt)
		b, got := pattern(44*1472), 0
		take := func(b []byte, _ netip.AddrPort) { got += len(b) }
		round := func() {
			write(t, server, b, 1472, group)
			for got = 0; got < len(b); {
				if err := pc.Read(patience, take); err != nil {
					t.Fatal(err)
				}
			}
		}
		if got := testing.AllocsPerRun(50, round); got > 0 {
			t.Errorf("%g allocations for 44 datagrams, want none", got)
		}
	})
}
