package dhcp

import (
	"log/slog"
	"net/netip"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// The answers to a school behind a relay agent go to its one socket: they leave a few at a time, in their order, and all of them.
func TestRepliesLeaveInBursts(t *testing.T) {
	store := openStore(t, filepath.Join(t.TempDir(), "leases.db"))
	synctest.Test(t, func(t *testing.T) {
		w := newWire()
		s, err := New(Config{Network: testNetwork(), Store: store, Conn: w, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		const all = 10*burst + 3
		relay := netip.AddrPortFrom(ip(2), dhcpv4.ServerPort)
		for i := range all {
			reply := &dhcpv4.DHCPv4{TransactionID: dhcpv4.TransactionID{byte(i >> 8), byte(i)}, Options: dhcpv4.Options{}}
			s.settle([]answered{{Decision: Decision{Reply: reply, To: relay}}})
			s.release() // as it is called after each round
		}
		if len(w.out) != burst {
			t.Fatalf("%d replies leave at once, want %d", len(w.out), burst)
		}
		began := time.Now()
		for s.pause != nil {
			before := len(w.out)
			<-s.pause
			s.pause = nil
			s.release()
			s.release()
			if n := len(w.out) - before; n > burst {
				t.Fatalf("%d replies leave at once, want at most %d", n, burst)
			}
		}
		if took := time.Since(began); len(w.out) != all || took > 11*burstPause {
			t.Fatalf("%d of %d replies left within %s", len(w.out), all, took)
		}
		for i := range all {
			if got := (<-w.out).TransactionID; got != (dhcpv4.TransactionID{byte(i >> 8), byte(i)}) {
				t.Fatalf("reply %d is %s", i, got)
			}
		}
	})
}
