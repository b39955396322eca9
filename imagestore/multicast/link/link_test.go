package link_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"aula/imagestore/multicast/link"
)

var group = netip.MustParseAddrPort("239.194.17.36:9000")

// listenOn opens a Conn of Listen on a computer, and closes it after the test.
func listenOn(t testing.TB, computer string, port int, opt link.Options) *link.Conn {
	t.Helper()
	return openOn(t, computer, func() (*link.Conn, error) { return link.Listen(port, opt) })
}

// joinOn opens a Conn of Join on a computer, and closes it after the test.
func joinOn(t testing.TB, computer string, to netip.AddrPort, opt link.Options) *link.Conn {
	t.Helper()
	return openOn(t, computer, func() (*link.Conn, error) { return link.Join(to, opt) })
}

func openOn(t testing.TB, computer string, open func() (*link.Conn, error)) *link.Conn {
	t.Helper()
	var c *link.Conn
	var err error
	on(t, computer, func() { c, err = open() })
	if err != nil {
		t.Fatalf("open on %s: %v", computer, err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// errorOn answers with what error a Conn cannot be opened on a computer.
func errorOn(t testing.TB, computer string, open func() (*link.Conn, error)) error {
	t.Helper()
	var c *link.Conn
	var err error
	on(t, computer, func() { c, err = open() })
	if err == nil {
		_ = c.Close()
		t.Fatalf("%s opened %s, want an error", computer, c.Addr())
	}
	return err
}

// write sends, and fails the test if that is an error.
func write(t testing.TB, c *link.Conn, b []byte, size int, to netip.AddrPort) {
	t.Helper()
	if err := c.Write(b, size, to); err != nil {
		t.Fatalf("Write of %d bytes by %d: %v", len(b), size, err)
	}
}

// A datagram is what take was given.
type datagram struct {
	bytes []byte
	from  netip.AddrPort
}

// patience bounds the wait for what should come; tests that pass do not use it up.
const patience = 5 * time.Second

// read takes datagrams until there are n, or nothing more comes.
func read(t testing.TB, c *link.Conn, n int) []datagram {
	t.Helper()
	var all []datagram
	for before := -1; len(all) < n && len(all) != before; {
		before = len(all)
		err := c.Read(patience, func(b []byte, from netip.AddrPort) {
			all = append(all, datagram{bytes.Clone(b), from})
		})
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
	}
	return all
}

// expect reads, and fails the test unless the datagrams are those that stand in b.
func expect(t testing.TB, c *link.Conn, b []byte, size int) {
	t.Helper()
	want := slices.Collect(slices.Chunk(b, size))
	got := read(t, c, len(want))
	if len(got) != len(want) {
		t.Fatalf("%d datagrams came, want %d of %d bytes", len(got), len(want), size)
	}
	for i := range got {
		if !bytes.Equal(got[i].bytes, want[i]) {
			t.Fatalf("datagram %d of %d has %d bytes, want %d, or others", i+1, len(want), len(got[i].bytes), len(want[i]))
		}
	}
}

// pattern makes n bytes, no two datagrams of which are the same.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i) ^ byte(i>>8) ^ byte(i>>16)
	}
	return b
}

// bothWays runs a test with offload and without.
func bothWays(t *testing.T, test func(t *testing.T, opt link.Options)) {
	for _, opt := range []link.Options{{}, {NoOffload: true}} {
		t.Run(fmt.Sprintf("NoOffload=%t", opt.NoOffload), func(t *testing.T) { test(t, opt) })
	}
}

func TestGroupReachesItsMembers(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "server", "pc1", "pc2", "pc3")
	bothWays(t, func(t *testing.T, opt link.Options) {
		server := listenOn(t, "server", 9001, opt)
		members := []*link.Conn{
			joinOn(t, "pc1", group, opt), joinOn(t, "pc2", group, opt), joinOn(t, "pc3", group, opt),
			joinOn(t, "pc3", group, opt), joinOn(t, "server", group, opt),
		}
		for _, c := range []struct{ total, size int }{
			{1, 1}, {1, 1472}, {1471, 1472}, {1472, 1472}, {1473, 1472}, // about one datagram
			{44*1472 - 1, 1472}, {44 * 1472, 1472}, {44*1472 + 1, 1472}, // about one super-packet
			{300 * 1472, 1472}, {200, 1}, {64 * 1023, 1023}, {65 * 1000, 1000},
			{10 * 1473, 1473}, {10 * link.MaxSize, link.MaxSize}, // in fragments
		} {
			b := pattern(c.total)
			write(t, server, b, c.size, group)
			for _, m := range members {
				expect(t, m, b, c.size)
			}
		}
	})
}

func TestAnswersReachTheSender(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "server", "pc1")
	bothWays(t, func(t *testing.T, opt link.Options) {
		server, pc, answers := listenOn(t, "server", 9001, opt), joinOn(t, "pc1", group, opt), listenOn(t, "pc1", 0, opt)
		if got, want := server.Addr(), netip.MustParseAddrPort("10.0.0.1:9001"); got != want {
			t.Errorf("the server's address is %s, want %s", got, want)
		}
		if got, want := answers.Prefix(), netip.MustParsePrefix("10.0.0.2/24"); got != want {
			t.Errorf("the computer's network is %s, want %s", got, want)
		}
		if got := pc.Addr(); got != group {
			t.Errorf("the member's address is %s, want %s", got, group)
		}
		write(t, server, []byte("who is there"), 100, group)
		asked := read(t, pc, 1)
		if len(asked) != 1 || asked[0].from != server.Addr() {
			t.Fatalf("the computer got %v, want one datagram from %s", asked, server.Addr())
		}
		write(t, answers, []byte("I am"), 100, asked[0].from)
		answered := read(t, server, 1)
		if len(answered) != 1 || answered[0].from != answers.Addr() {
			t.Fatalf("the server got %v, want one datagram from %s", answered, answers.Addr())
		}
		b := pattern(100 * 1472)
		write(t, server, b, 1472, answered[0].from)
		expect(t, answers, b, 1472)
	})
}

func TestOtherGroupsOnThePortAreNotHeard(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "server", "pc1")
	other := netip.MustParseAddrPort("239.194.17.37:9000")
	server := listenOn(t, "server", 9001, link.Options{})
	a, b := joinOn(t, "pc1", group, link.Options{}), joinOn(t, "pc1", other, link.Options{})
	write(t, server, []byte("for b"), 100, other)
	write(t, server, []byte("for a"), 100, group)
	write(t, server, []byte("for b again"), 100, other)
	expect(t, a, []byte("for a"), 100)
	if got := read(t, b, 2); len(got) != 2 || string(got[0].bytes) != "for b" || string(got[1].bytes) != "for b again" {
		t.Errorf("the other group got %v, want what was sent to it", got)
	}
}

func TestBroadcast(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "server", "pc1", "pc2")
	for _, address := range []string{"255.255.255.255:9000", "10.0.0.255:9000"} {
		t.Run(address, func(t *testing.T) {
			to := netip.MustParseAddrPort(address)
			server := listenOn(t, "server", 9001, link.Options{})
			members := []*link.Conn{
				joinOn(t, "pc1", to, link.Options{}), joinOn(t, "pc2", to, link.Options{}),
				joinOn(t, "pc2", group, link.Options{}), // who listens to the group hears broadcasts, too
			}
			b := pattern(100*1472 + 7)
			write(t, server, b, 1472, to)
			for _, m := range members {
				expect(t, m, b, 1472)
			}
		})
	}
}

// Tests of other packages and the command line use lo, which says of itself that it knows no multicast.
func TestLoopbackInterface(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	bothWays(t, func(t *testing.T, opt link.Options) {
		opt.Interface = "lo"
		var conns []*link.Conn
		for range 2 {
			c, err := link.Join(group, opt)
			if err != nil {
				t.Fatalf("Join: %v", err)
			}
			defer func() { _ = c.Close() }()
			conns = append(conns, c)
		}
		sender, err := link.Listen(9001, opt)
		if err != nil {
			t.Fatalf("Listen: %v", err)
		}
		defer func() { _ = sender.Close() }()
		b := pattern(200 * 1472)
		write(t, sender, b, 1472, group)
		for _, c := range conns {
			expect(t, c, b, 1472)
		}
	})
}
