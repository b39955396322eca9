package link_test

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"aula/imagestore/multicast/link"
)

// listen and join open Conns in the namespace of the test itself.
func listen(port int, opt link.Options) func() (*link.Conn, error) {
	return func() (*link.Conn, error) { return link.Listen(port, opt) }
}

func join(to netip.AddrPort, opt link.Options) func() (*link.Conn, error) {
	return func() (*link.Conn, error) { return link.Join(to, opt) }
}

// secondNIC plugs a computer into another network, 10.0.9.0/24, too.
func secondNIC(t *testing.T, computer string) {
	t.Helper()
	command(t, "ip", "link", "add", "other", "type", "veth", "peer", "name", "eth1", "netns", computer)
	command(t, "ip", "link", "set", "other", "up")
	command(t, "ip", "addr", "add", "10.0.9.1/24", "dev", "other")
	command(t, "ip", "-n", computer, "addr", "add", "10.0.9.2/24", "brd", "+", "dev", "eth1")
	command(t, "ip", "-n", computer, "link", "set", "eth1", "up")
	awaitRunning(t, computer, "eth1")
	await(t, "the other end to run", func() bool { return running("other") })
}

func TestSeveralNICs(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "server", "pc1")
	secondNIC(t, "server")
	// Without a name the default route would take everything to the wrong network.
	command(t, "ip", "-n", "server", "route", "add", "default", "via", "10.0.9.1")

	err := errorOn(t, "server", listen(9001, link.Options{}))
	for _, word := range []string{"eth0 (10.0.0.1/24)", "eth1 (10.0.9.2/24)", "--interface"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q, want it to say %q", err, word)
		}
	}
	pc := joinOn(t, "pc1", group, link.Options{})
	server := listenOn(t, "server", 9001, link.Options{Interface: "eth0"})
	for _, to := range []netip.AddrPort{group, netip.MustParseAddrPort("255.255.255.255:9000")} {
		b := pattern(50 * 1472)
		write(t, server, b, 1472, to)
		expect(t, pc, b, 1472)
	}

	answers := listenOn(t, "server", 0, link.Options{Unbound: true})
	control := listenOn(t, "pc1", 9001, link.Options{})
	write(t, answers, []byte("by the routing table"), 100, control.Addr())
	expect(t, control, []byte("by the routing table"), 100)
	if answers.Prefix().IsValid() || !answers.Addr().Addr().IsUnspecified() || answers.Addr().Port() == 0 {
		t.Errorf("Addr %s and Prefix %s of an unbound Conn, want a port only", answers.Addr(), answers.Prefix())
	}
}

func TestJoinsEveryNIC(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "server", "pc1")
	secondNIC(t, "pc1")
	everywhere := joinOn(t, "pc1", group, link.Options{})
	only := joinOn(t, "pc1", group, link.Options{Interface: "eth1"})
	if everywhere.Prefix().IsValid() || only.Prefix() != netip.MustParsePrefix("10.0.9.2/24") {
		t.Errorf("networks %s and %s, want none and 10.0.9.2/24", everywhere.Prefix(), only.Prefix())
	}
	on(t, "pc1", func() {
		got, err := link.Networks("")
		want := []netip.Prefix{netip.MustParsePrefix("10.0.0.2/24"), netip.MustParsePrefix("10.0.9.2/24")}
		slices.SortFunc(got, netip.Prefix.Compare)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("networks to join in: %v, error %v, want %v", got, err, want)
		}
	})
	one := listenOn(t, "server", 9001, link.Options{})
	other, err := link.Listen(9001, link.Options{Interface: "other"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	write(t, one, []byte("by eth0"), 100, group)
	expect(t, everywhere, []byte("by eth0"), 100)
	write(t, other, []byte("by eth1"), 100, group)
	expect(t, everywhere, []byte("by eth1"), 100)
	expect(t, only, []byte("by eth1"), 100)
}

func TestOpenTellsWhatIsWrong(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "pc1")
	for _, c := range []struct {
		what string
		open func() (*link.Conn, error)
		want string
	}{
		{"no such NIC", listen(9001, link.Options{Interface: "eth7"}), `interface "eth7" does not exist; there are lo (127.0.0.1/8), eth0 (10.0.0.1/24)`},
		{"no such NIC to join on", join(group, link.Options{Interface: "eth7"}), `interface "eth7" does not exist`},
		{"no such NIC, unbound", listen(0, link.Options{Interface: "eth7", Unbound: true}), `interface "eth7" does not exist`},
		{"port", listen(65536, link.Options{}), "UDP port 65536 is out of range: 0 to 65535"},
		{"negative port", listen(-1, link.Options{}), "UDP port -1 is out of range"},
		{"TTL", listen(9001, link.Options{TTL: 256}), "TTL 256 is out of range: 1 to 255"},
		{"negative TTL", join(group, link.Options{TTL: -1}), "TTL -1 is out of range: 1 to 255"},
		{"IPv6", join(netip.MustParseAddrPort("[ff02::1]:9000"), link.Options{}), "want an IPv4 address and a port"},
		{"no address", join(netip.AddrPort{}, link.Options{}), "want an IPv4 address and a port"},
		{"no port", join(netip.AddrPortFrom(group.Addr(), 0), link.Options{}), "want an IPv4 address and a port"},
	} {
		if err := errorOn(t, "pc1", c.open); !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %q, want %q in it", c.what, err, c.want)
		}
	}
	command(t, "ip", "-n", "pc1", "link", "set", "eth0", "down")
	if err := errorOn(t, "pc1", listen(9001, link.Options{Interface: "eth0"})); !strings.Contains(err.Error(), "eth0 is down") {
		t.Errorf("interface down: error %q", err)
	}
	if err := errorOn(t, "pc1", listen(9001, link.Options{})); !strings.Contains(err.Error(), "is the cable in?") {
		t.Errorf("no interface up: error %q", err)
	}
}

func TestPortInUse(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "pc1")
	first := listenOn(t, "pc1", 9001, link.Options{})
	err := errorOn(t, "pc1", listen(9001, link.Options{}))
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "UDP port 9001 is in use") {
		t.Errorf("error %q, want that port 9001 is in use", err)
	}
	if err := first.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	listenOn(t, "pc1", 9001, link.Options{})
	joinOn(t, "pc1", group, link.Options{})
	if err := errorOn(t, "pc1", listen(9000, link.Options{})); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("a port that is joined: error %q, want EADDRINUSE", err)
	}
}

func TestNothingLeaks(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "pc1")
	descriptors := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	on(t, "pc1", func() {
		before := descriptors()
		for range 20 {
			for _, open := range []func() (*link.Conn, error){listen(9001, link.Options{}), join(group, link.Options{})} {
				c, err := open()
				if err != nil {
					t.Fatal(err)
				}
				if c2, err := link.Listen(int(c.Addr().Port()), link.Options{}); err == nil {
					t.Fatalf("opened %s twice", c2.Addr())
				}
				if err := c.Close(); err != nil {
					t.Fatalf("Close: %v", err)
				}
			}
		}
		if after := descriptors(); after != before {
			t.Errorf("%d open files after, %d before", after, before)
		}
	})
}

func TestSpeed(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "pc1")
	secondNIC(t, "pc1")
	for name, want := range map[string]int64{"other": 10_000_000_000, "lo": 0} { // what veths say of themselves
		c, err := link.Listen(9001, link.Options{Interface: name})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Speed(); got != want {
			t.Errorf("speed of %s is %d bit/s, want %d", name, got, want)
		}
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

func TestTTL(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newClassroom(t, "server", "pc1")
	command(t, "ip", "netns", "exec", "pc1", "nft", "add table ip t; add chain ip t in { type filter hook input priority 0; }; add rule ip t in ip ttl 1 drop")
	pc := joinOn(t, "pc1", group, link.Options{})
	near, far := listenOn(t, "server", 0, link.Options{}), listenOn(t, "server", 0, link.Options{TTL: 2})
	write(t, near, []byte("of one hop"), 100, group)
	write(t, far, []byte("of two hops"), 100, group)
	expect(t, pc, []byte("of two hops"), 100)
}
