package dhcp

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"aula/netboot/lease"
)

// wire is a Conn in memory.
type wire struct {
	in     chan []byte
	out    chan sent
	closed chan struct{}
}

type sent struct {
	*dhcpv4.DHCPv4
	to netip.AddrPort
}

func newWire() *wire {
	return &wire{in: make(chan []byte), out: make(chan sent, 1000), closed: make(chan struct{})}
}

func (w *wire) Receive(buf []byte) (int, Arrival, error) {
	select {
	case p := <-w.in:
		return copy(buf, p), Arrival{}, nil
	case <-w.closed:
		return 0, Arrival{}, net.ErrClosed
	}
}

func (w *wire) Send(b []byte, to netip.AddrPort) error {
	p, err := dhcpv4.FromBytes(b)
	w.out <- sent{p, to}
	return err
}

func (w *wire) SendFrame(b []byte, to netip.AddrPort, _ lease.MAC) error { return w.Send(b, to) }

func (w *wire) Close() error { close(w.closed); return nil }

// prober finds a device at some addresses.
type prober map[netip.Addr]lease.MAC

func (p prober) Probe(_ context.Context, a netip.Addr) (lease.MAC, error) {
	if p[a] == (lease.MAC{0xba, 0xd}) {
		return lease.MAC{}, errors.New("broken")
	}
	return p[a], nil
}

// serve runs a server on a wire until the returned function is called.
func serve(t *testing.T, store *lease.Store, p Prober) (*Server, *wire, func()) {
	t.Helper()
	w := newWire()
	s, err := New(Config{
		Network: testNetwork(), Store: store, Conn: w, Prober: p, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return s, w, stop
}

func openStore(t *testing.T, path string) *lease.Store {
	t.Helper()
	store, err := lease.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

func TestServerLeasesProbesAndRemembers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases.db")
	store := openStore(t, path)
	s, w, stop := serve(t, store, prober{ip(10): {2, 9}, ip(11): {0xba, 0xd}})
	w.in <- packet(t, pc1, discover)
	if got := <-w.out; got.MessageType() != offer || address(got.YourIPAddr) != ip(11) {
		t.Fatalf("answer = %s, want an offer of %s, because a printer is at %s and the probe of %s failed", got.Summary(), ip(11), ip(10), ip(11))
	}
	w.in <- packet(t, pc1, ask, to(server), wants(ip(11)))
	if got := <-w.out; got.MessageType() != ack || address(got.YourIPAddr) != ip(11) {
		t.Fatalf("answer = %s, want an ack", got.Summary())
	}
	if mac, ok := s.Holder(ip(11)); !ok || mac != pc1 {
		t.Errorf("Holder(%s) = %s, %v, want %s", ip(11), mac, ok, pc1)
	}
	if mac, ok := s.Holder(ip(10)); ok {
		t.Errorf("Holder of the printer's address = %s", mac)
	}
	stop()
	leases, _, err := store.Load()
	if err := errors.Join(err, store.Close()); err != nil {
		t.Fatal(err)
	}
	if len(leases) != 2 || leases[0].State != lease.Quarantined || leases[1].MAC != pc1 || leases[1].State != lease.Bound {
		t.Errorf("leases on disk = %+v, want a quarantined and a bound one", leases)
	}

	s, w, _ = serve(t, openStore(t, path), nil)
	if mac, _ := s.Holder(ip(11)); mac != pc1 {
		t.Errorf("after a restart Holder(%s) = %s, want %s", ip(11), mac, pc1)
	}
	w.in <- packet(t, pc2, ask, to(server), wants(ip(11)))
	if got := <-w.out; got.MessageType() != nak {
		t.Errorf("after a restart another PC gets %s, want a nak", got.Summary())
	}
	w.in <- packet(t, pc1, ask, uses(ip(11)))
	if got := <-w.out; got.MessageType() != ack {
		t.Errorf("after a restart the PC gets %s, want an ack", got.Summary())
	}
}

func TestServerAcknowledgesNothingThatIsNotOnDisk(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "leases.db"))
	s, w, _ := serve(t, store, nil)
	if err := store.Close(); err != nil { // stands for a disk that fails
		t.Fatal(err)
	}
	w.in <- packet(t, pc1, ask, to(server), wants(ip(11)))
	w.in <- packet(t, pc2, ask, to(server), wants(ip(200)))
	if got := <-w.out; got.MessageType() != nak {
		t.Errorf("first answer = %s, want the other PC's nak: the lease is not on disk", got.Summary())
	}
	if mac, ok := s.Holder(ip(11)); ok {
		t.Errorf("Holder = %s of a lease that is not on disk", mac)
	}
}

func TestServerDropsRubbish(t *testing.T) {
	_, w, _ := serve(t, openStore(t, filepath.Join(t.TempDir(), "leases.db")), nil)
	w.in <- []byte("rubbish")
	w.in <- packet(t, pc1, discover)
	if got := <-w.out; got.MessageType() != offer {
		t.Errorf("answer = %s, want an offer", got.Summary())
	}
}

func TestServerEndsWhenItsPortBreaks(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "leases.db"))
	w := newWire()
	s, err := New(Config{Network: testNetwork(), Store: store, Conn: onceBroken{w}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(t.Context()); !errors.Is(err, errBroken) {
		t.Errorf("Run = %v, want %v", err, errBroken)
	}
}

var errBroken = errors.New("network is down")

type onceBroken struct{ *wire }

func (onceBroken) Receive([]byte) (int, Arrival, error) { return 0, Arrival{}, errBroken }
