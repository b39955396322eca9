package boot

import (
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
	"github.com/vishvananda/netlink"

	"aula/clientos/agent/screen"
)

// inside says that the process is in a network namespace of its own.
const inside = "AULA_TEST_INSIDE"

// TestNetwork takes a PC from an unplugged cable to a renewed lease, with a DHCP server on the other end of a veth pair, in a network
// namespace of its own, which ends with the process.
func TestNetwork(t *testing.T) {
	if os.Getenv(inside) == "" {
		t.Parallel()
		if os.Geteuid() != 0 {
			t.Skip("SKIPPED: needs root, to make a network namespace")
		}
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNetwork$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestNetwork") {
			t.Fatalf("in the namespace: %v\n%s", err, out)
		}
		return
	}

	const pc, sw = "eth0", "switch"
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: pc}, PeerName: sw}))
	card, err := netlink.LinkByName(pc)
	must(t, err)
	mac := card.Attrs().HardwareAddr.String()
	port, err := netlink.LinkByName(sw)
	must(t, err)
	board := screen.NewBoard(screen.State{Phase: screen.Starting})
	n := &network{mac: mac, board: board, log: slog.New(slog.DiscardHandler), limits: limits{
		card: time.Second, link: 200 * time.Millisecond, lease: 2 * time.Second, look: 20 * time.Millisecond, renew: 50 * time.Millisecond,
	}}
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	up := make(chan error, 1)
	group.Go(func() { up <- n.up(ctx) })

	shown(t, board, "No link on eth0 ("+mac+").")
	must(t, netlink.LinkSetUp(port))
	shown(t, board, "No DHCP server answers on eth0 ("+mac+").")
	answered := serveDHCP(t, sw)
	must(t, <-up)
	if s := board.State(); s.Address != "10.99.0.20" || s.Problem != "" || n.bootMAC() != mac {
		t.Errorf("the screen shows address %q and problem %q", s.Address, s.Problem)
	}
	addresses, err := netlink.AddrList(card, netlink.FAMILY_V4)
	must(t, err)
	if len(addresses) != 1 || addresses[0].IPNet.String() != "10.99.0.20/24" {
		t.Errorf("addresses %v, want 10.99.0.20/24", addresses)
	}
	routes, err := netlink.RouteList(card, netlink.FAMILY_V4)
	must(t, err)
	if !hasRoute(routes, "10.99.0.1") {
		t.Errorf("routes %v, want a default one through 10.99.0.1", routes)
	}

	before := answered.Load()
	group.Go(func() { n.keep(ctx) })
	for deadline := time.Now().Add(20 * time.Second); answered.Load() == before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the lease is not renewed")
		}
	}
}

func hasRoute(routes []netlink.Route, gateway string) bool {
	for _, r := range routes {
		if r.Gw.String() == gateway {
			return true
		}
	}
	return false
}

// shown waits until the screen shows a problem.
func shown(t *testing.T, board *screen.Board, problem string) {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		changed := board.Changed()
		if board.State().Problem == problem {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("the screen shows %q, want the problem %q", screen.Line(board.State()), problem)
		}
	}
}

// serveDHCP gives 10.99.0.20 to whoever asks, for two seconds, and counts what it acknowledged.
func serveDHCP(t *testing.T, iface string) *atomic.Int32 {
	t.Helper()
	link, err := netlink.LinkByName(iface)
	must(t, err)
	own := net.IPv4(10, 99, 0, 1)
	must(t, netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: own, Mask: net.CIDRMask(24, 32)}}))
	answered := new(atomic.Int32)
	server, err := server4.NewServer(iface, nil, func(conn net.PacketConn, _ net.Addr, request *dhcpv4.DHCPv4) {
		kind := dhcpv4.MessageTypeOffer
		if request.MessageType() == dhcpv4.MessageTypeRequest {
			kind = dhcpv4.MessageTypeAck
			answered.Add(1)
		}
		reply, err := dhcpv4.NewReplyFromRequest(request, dhcpv4.WithMessageType(kind), dhcpv4.WithServerIP(own),
			dhcpv4.WithYourIP(net.IPv4(10, 99, 0, 20)), dhcpv4.WithNetmask(net.CIDRMask(24, 32)), dhcpv4.WithRouter(own),
			dhcpv4.WithLeaseTime(2), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(own)))
		if err != nil {
			t.Errorf("reply: %v", err)
			return
		}
		if _, err := conn.WriteTo(reply.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: dhcpv4.ClientPort}); err != nil {
			t.Errorf("reply: %v", err)
		}
	})
	must(t, err)
	var group sync.WaitGroup
	group.Go(func() { _ = server.Serve() })
	t.Cleanup(func() {
		server.Close()
		group.Wait()
	})
	return answered
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
