package dhcp

import (
	"bytes"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"aula/netboot/lease"
)

func TestRow14ARegisteredPCHasOneLeaseWhateverItRuns(t *testing.T) {
	n := routed()
	s := NewResponder(n, lease.NewBook(n.pools(), nil), acquaintances{pc1: true})
	systems := [][]option{
		{class("PXEClient:Arch:00000:UNDI:002001"), arch(0), generic(61, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)},
		{class("PXEClient:Arch:00000:UNDI:002001"), arch(0), generic(175, 1, 1, 1), generic(61, append([]byte{1}, pc1[:]...)...)},
		{generic(61, 255, 1, 2, 3, 4, 0, 1)}, // systemd
		nil,
	}
	for i, options := range systems {
		if a := offered(t, s, now, request(t, pc1, discover, options...)); a != ip(10) {
			t.Errorf("system %d of a registered PC is offered %s, want %s", i, a, ip(10))
		}
		mustGet(t, s.Decide(now, request(t, pc1, ask, append(options, to(server), wants(ip(10)))...)), ack, ip(10))
	}
	if l, _ := s.book.At(ip(10)); l.Expires.Sub(now) != n.LeaseTime {
		t.Errorf("a registered PC's lease lasts %s", l.Expires.Sub(now))
	}
	// Of a stranger each client identifier counts, but the one that only says the MAC. Cloned disks do not share an address.
	one := offered(t, s, now, request(t, pc2, discover, systems[2]...))
	if two := offered(t, s, now, request(t, pc2, discover, generic(61, 0, 5))); two == one || !two.IsValid() {
		t.Errorf("two client identifiers of a stranger: %s and %s", one, two)
	}
	s = NewResponder(n, lease.NewBook(n.pools(), nil), acquaintances{})
	one = offered(t, s, now, request(t, pc1, discover, systems[2]...))
	if clone := offered(t, s, now, request(t, pc2, discover, systems[2]...)); clone == one || !clone.IsValid() {
		t.Errorf("two PCs with one cloned identifier: %s and %s", one, clone)
	}
	d := s.Decide(now, request(t, pc1, ask, append(systems[2], to(server), wants(one))...))
	if mustGet(t, d, ack, one); d.Reply.IPAddressLeaseTime(0) != n.StrangerTime {
		t.Errorf("a stranger's lease lasts %s, want %s", d.Reply.IPAddressLeaseTime(0), n.StrangerTime)
	}
	// Once accepted, while it runs, it keeps its address.
	s.reg = acquaintances{pc1: true}
	mustGet(t, s.Decide(now, request(t, pc1, ask, append(systems[2], uses(one))...)), ack, one)
}

func TestRow15OneMACOfSeveralPCsIsServed(t *testing.T) {
	s := newResponder()
	laptop := generic(97, append([]byte{0}, bytes.Repeat([]byte{1}, 16)...)...)
	other := generic(97, append([]byte{0}, bytes.Repeat([]byte{2}, 16)...)...)
	rom := class("PXEClient:Arch:00007:UNDI:003016")
	for _, uuid := range []option{laptop, other, laptop} { // one adapter, plugged into one after the other
		mustGet(t, s.Decide(now, request(t, pc1, discover, rom, arch(7), uuid)), offer, ip(10))
		mustGet(t, s.Decide(now, request(t, pc1, ask, rom, arch(7), uuid, to(server), wants(ip(10)))), ack, ip(10))
	}
}

func TestRow22LeasesAreOnDiskBeforeTheAckAndOffersAreNotKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases.db")
	store := openStore(t, path)
	_, w, stop := serve(t, store, nil)
	w.in <- packet(t, pc2, discover, wants(ip(12)))
	if got := <-w.out; address(got.YourIPAddr) != ip(12) {
		t.Fatalf("offered %s", got.Summary())
	}
	w.in <- packet(t, pc1, ask, to(server), wants(ip(11)))
	got := <-w.out
	if all, _, err := store.Load(); err != nil || len(all) != 1 || all[0].Address != ip(11) || all[0].MAC != pc1 {
		t.Errorf("when the %s is heard, there is on disk: %+v, %v", got.MessageType(), all, err)
	}
	size := func() int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	before := size()
	for range 200 {
		w.in <- packet(t, pc1, ask, uses(ip(11)))
		<-w.out
	}
	if after := size(); after > 2*before {
		t.Errorf("200 renewals made the file grow from %d to %d bytes", before, after)
	}
	stop()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	_, w, _ = serve(t, openStore(t, path), nil)
	w.in <- packet(t, lease.MAC{2, 7}, discover, wants(ip(12))) // the offer to pc2 died with the server
	if got := <-w.out; address(got.YourIPAddr) != ip(12) {
		t.Errorf("after a restart offered %s, want %s", got.YourIPAddr, ip(12))
	}
	w.in <- packet(t, lease.MAC{2, 8}, ask, uses(ip(11)))
	if got := <-w.out; got.MessageType() != nak {
		t.Errorf("after a restart another PC gets %s at %s, want a nak", got.MessageType(), ip(11))
	}
}

func TestRow23ClockStepsEndNoLease(t *testing.T) {
	mark := time.Now().Add(365 * 24 * time.Hour) // what a machine whose clock was a year ahead has left on disk
	clock := lease.NewClock(mark)
	if got := clock.Now(); got.Before(mark) {
		t.Errorf("after the clock was set back, the lease clock says %s, want not before %s", got, mark)
	}
	s := newResponder()
	b := lease.NewBook(testNetwork().pools(), []lease.Lease{{Address: ip(11), MAC: pc1, State: lease.Bound, Expires: mark.Add(time.Hour)}})
	s.book = b
	if d := s.Decide(clock.Now(), request(t, pc2, ask, to(server), wants(ip(11)))); kindOfReply(d) != nak {
		t.Errorf("another PC gets %s for an address that is leased by the lease clock", kindOfReply(d))
	}
	// And with a clock that jumped ahead since, the lease ends early for nobody who counts with the monotonic clock.
	if late := clock.Now(); late.Sub(mark) > time.Minute {
		t.Errorf("the lease clock runs ahead: %s after the mark", late.Sub(mark))
	}
}

func TestRow26ExhaustionIsSilentAndToldAndRecyclesOnlyWhatEnded(t *testing.T) {
	s := newResponder(bound(10, lease.MAC{2, 2}), lease.Lease{Address: ip(11), State: lease.Quarantined, MAC: pc2, Expires: now.Add(time.Hour)})
	mustGet(t, s.Decide(now, request(t, lease.MAC{2, 3}, discover)), offer, ip(12)) // the last
	d := s.Decide(now, request(t, pc1, discover))
	if d.Reply != nil || d.Level != slog.LevelError || d.Key != "dhcp/exhausted/10.0.0.0/24" || s.drops.Exhausted != 1 {
		t.Fatalf("decision = %+v, want silence, and an error that is told", d)
	}
	if d := s.Decide(now, request(t, pc1, discover)); d.Note != "" {
		t.Errorf("told again: %q", d.Note)
	}
	// Nothing but a lease that ended is recycled: not what is leased, on offer or in quarantine.
	ended := now.Add(50 * time.Second)
	l := bound(10, lease.MAC{2, 2})
	l.Expires = now.Add(-lease.Grace)
	s = newResponder(l, lease.Lease{Address: ip(11), State: lease.Quarantined, MAC: pc2, Expires: now.Add(time.Hour)}, bound(12, pc2))
	mustGet(t, s.Decide(ended, request(t, pc1, discover)), offer, ip(10))
	s.board.tell(now, exhaustedKey(testNetwork().Subnets[0].Prefix), time.Hour)
	s.Decide(ended, request(t, pc1, discover))
	if over := s.board.take(ended); len(over) != 1 || !over[0].Gone {
		t.Errorf("when an address is offered again: %+v, want that it is over", over)
	}
}

func TestRow27LeasesOutsideAShrunkPoolAreRefusedAtRenewal(t *testing.T) {
	s := newResponder(bound(77, pc1))
	mustGet(t, s.Decide(now, request(t, pc1, ask, uses(ip(77)))), nak, netip.Addr{})
	mustGet(t, s.Decide(now, request(t, pc1, discover)), offer, ip(10))
	if l, ok := s.book.At(ip(77)); !ok || l.MAC != pc1 {
		t.Errorf("the record is %+v, %v: want it kept, in case the pool was moved by mistake", l, ok)
	}
	// A server that is not the authority of the network refuses nothing.
	p := NewProxyResponder(testNetwork(), everybody{})
	if d := p.Decide(now, request(t, pc1, ask, uses(ip(77)))); d.Reply != nil {
		t.Errorf("as a ProxyDHCP: %s", d.Reply.Summary())
	}
}

func TestRow28AReservedAddressInUseIsReplacedForAWhileAndTold(t *testing.T) {
	s := newRouted()
	for _, last := range []byte{10, 11, 12} {
		s.vouched[ip(last)] = now
	}
	if err := s.book.Reserve([]lease.Reservation{{MAC: pc1, Address: ip(50), Name: "Teacher's PC"}}); err != nil {
		t.Fatal(err)
	}
	r := request(t, pc1, discover)
	d := s.Decide(now, r)
	if d.Probe != ip(50) {
		t.Fatalf("decision = %+v, want a probe of the reserved address", d)
	}
	printer := lease.MAC{2, 9}
	d = s.Probed(now, r, ip(50), Found{true, printer})
	mustGet(t, d, offer, ip(10))
	if d.Key != "dhcp/conflict/10.0.0.50" || !strings.Contains(d.Note, "Teacher's PC") || !strings.Contains(d.Note, printer.String()) {
		t.Errorf("people are told %q (%s)", d.Note, d.Key)
	}
	mustGet(t, s.Decide(now, request(t, pc1, ask, to(server), wants(ip(10)))), ack, ip(10))
	// When the other has gone, the PC gets what is reserved for it, and nobody else does meanwhile.
	later := now.Add(lease.Quarantine)
	if d := s.Decide(later, request(t, pc2, discover, wants(ip(50)))); d.Address() == ip(50) || d.Probe == ip(50) {
		t.Errorf("a reserved address is offered to another: %+v", d)
	}
	if d = s.Decide(later, r); d.Probe != ip(50) {
		t.Fatalf("an hour later: %+v, want another probe", d)
	}
	mustGet(t, s.Probed(later, r, ip(50), Found{}), offer, ip(50))
	if over := s.board.take(later); len(over) != 1 || over[0].Key != "dhcp/conflict/10.0.0.50" {
		t.Errorf("over: %+v", over)
	}
}

func TestRow29RepetitionsChangeNothing(t *testing.T) {
	s := newResponder()
	xid := dhcpv4.WithTransactionID(dhcpv4.TransactionID{9, 9, 9, 9})
	asked := request(t, pc1, ask, xid, to(server), wants(ip(11)))
	first := s.Decide(now, asked)
	mustGet(t, first, ack, ip(11))
	before, _ := s.book.At(ip(11))
	s.book.Saved()
	for range 100 { // a loop in the network
		d := s.Decide(now.Add(2*time.Second), asked)
		if !slices.Equal(encode(d.Reply), encode(first.Reply)) || d.Note != "" || d.Told || !d.Durable {
			t.Fatalf("repetition: %+v", d)
		}
	}
	if after, _ := s.book.At(ip(11)); after != before || s.book.Changes() != nil {
		t.Errorf("repetitions changed %+v to %+v", before, after)
	}
	// By another relay agent it is answered there as well; with another number it is another request; and it is not believed after a release.
	if d := s.Decide(now, request(t, pc1, ask, xid, to(server), wants(ip(11)), through(ip(200)))); sentTo(d) != "10.0.0.200:67" {
		t.Errorf("through a relay it went to %s", sentTo(d))
	}
	mustGet(t, s.Decide(now.Add(time.Minute), asked), ack, ip(11))
	if l, _ := s.book.At(ip(11)); !l.Expires.Equal(now.Add(time.Minute + time.Hour)) {
		t.Errorf("the same number after a minute renewed until %s", l.Expires)
	}
	s.Decide(now, request(t, pc1, dhcpv4.MessageTypeDecline, xid, to(server), wants(ip(11))))
	if d := s.Decide(now, asked); kindOfReply(d) != nak {
		t.Errorf("after the PC declined the address: %s, want a nak", kindOfReply(d))
	}
}
