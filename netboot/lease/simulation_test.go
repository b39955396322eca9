package lease

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"testing"
	"time"
)

// TestSimulatedClassroom runs many PCs, registered ones and strangers, in two networks, against a Book and a Store that crash at every place where
// they can, while reservations are changed, PCs are carried over and accepted, and boot other systems. It holds what each PC
// believes against what every other believes: no two may use one address at the same time, unless the PC itself broke the
// rules by which it got the address.
func TestSimulatedClassroom(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3, 4, 5, 6} {
		simulation := newSimulation(t, seed)
		for range 2500 {
			simulation.step()
			simulation.check()
		}
		simulation.finish()
	}
}

type simulation struct {
	*testing.T
	rand  *rand.Rand
	path  string
	now   time.Time
	store *Store
	book  *Book
	pcs   map[MAC]*belief
	acks  int
	boots int // of the server
	kept  int // leases of reserved addresses
	set   []Reservation
}

// belief is what a PC thinks it has. It uses the address until then, and not a moment longer.
type belief struct {
	address  netip.Addr
	until    time.Time
	offered  netip.Addr
	network  netip.Prefix
	system   string // what it runs: its client identifier
	stranger bool
}

func (p *belief) client(mac MAC) Client {
	c := Client{MAC: mac, Network: p.network, Stranger: p.stranger}
	if p.stranger {
		c.ID = p.system
	}
	return c
}

const simulatedLease = 10 * time.Minute

// simulatedPools are smaller than the room, so that addresses must change hands.
var simulatedPools = []Pool{
	{Network: netip.MustParsePrefix("10.0.0.0/25"), First: ip(10), Last: ip(17)},
	{Network: netip.MustParsePrefix("10.0.0.128/25"), First: ip(130), Last: ip(133)},
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	s := &simulation{
		T: t, rand: rand.New(rand.NewPCG(seed, 0)), path: filepath.Join(t.TempDir(), "leases.db"),
		now: t0, pcs: map[MAC]*belief{},
	}
	for n := range 16 {
		s.pcs[pc(byte(n+1))] = &belief{network: simulatedPools[n%4/3].Network, stranger: n%3 == 0}
	}
	s.boot()
	return s
}

// boot starts the server from what is on disk.
func (s *simulation) boot() {
	s.Helper()
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.Fatal(err)
		}
	}
	var err error
	if s.store, err = Open(s.path); err != nil {
		s.Fatal(err)
	}
	s.store.db.NoSync = true // the file system keeps what a dead process wrote; power cuts are not simulated here
	leases, highWater, err := s.store.Load()
	if err != nil {
		s.Fatal(err)
	}
	if highWater.After(s.now) {
		s.Fatalf("the store's clock says %s, and it is %s", highWater, s.now)
	}
	s.book = NewBook(simulatedPools, leases)
	if err := s.book.Reserve(s.set); err != nil {
		s.Fatal(err)
	}
	s.boots++
}

// commit saves, and says whether the server lived to answer.
func (s *simulation) commit() bool {
	s.Helper()
	switch s.rand.IntN(20) {
	case 0: // killed before the write
		s.boot()
		return false
	case 1: // the disk is full: nothing is written, and nothing may be answered
		return false
	}
	if err := s.store.Save(s.book.Changes(), s.now); err != nil {
		s.Fatal(err)
	}
	s.book.Saved()
	if s.rand.IntN(20) == 0 { // killed between the write and the answer
		s.boot()
		return false
	}
	return true
}

func (s *simulation) step() {
	s.Helper()
	s.now = s.now.Add(time.Duration(s.rand.Int64N(int64(40 * time.Second))))
	if s.rand.IntN(300) == 0 {
		s.now = s.now.Add(3 * simulatedLease) // night
	}
	mac := pc(byte(s.rand.IntN(len(s.pcs)) + 1))
	p := s.pcs[mac]
	s.happen(p)
	using := p.address.IsValid() && s.now.Before(p.until)
	switch roll := s.rand.IntN(20); {
	case using && roll < 6: // renew
		s.request(mac, p, p.address)
	case using && roll == 6: // hand back
		if err := s.book.Release(s.now, p.client(mac), p.address); err != nil {
			s.Errorf("%s cannot release %s, which it uses until %s: %v", mac, p.address, p.until, err)
		}
		p.address = netip.Addr{} // whatever becomes of the message
		s.commit()
	case using && roll == 7: // power cut, and it forgets
		p.forget()
	case !using && p.offered.IsValid() && roll < 14: // take the offer, maybe much too late
		s.request(mac, p, p.offered)
		p.offered = netip.Addr{}
	case !using: // look for a server, as often as it takes
		a, err := s.book.Offer(s.now, p.client(mac), p.address)
		if err != nil && !errors.Is(err, ErrExhausted) && !(p.stranger && errors.Is(err, ErrKept)) {
			s.Errorf("Offer: %v", err)
		}
		if p.offered = a; s.rand.IntN(30) == 0 && a.IsValid() { // something is there
			if err := s.book.Decline(s.now, p.client(mac), a); err != nil && !errors.Is(err, ErrTooMany) {
				s.Errorf("Decline: %v", err)
			}
			p.offered = netip.Addr{}
			s.commit()
		}
	}
}

func (p *belief) forget() { p.address, p.until, p.offered = netip.Addr{}, time.Time{}, netip.Addr{} }

// happen is what people do with a PC, and with the reservations.
func (s *simulation) happen(p *belief) {
	s.Helper()
	switch s.rand.IntN(60) {
	case 0: // carried to another room
		p.forget()
		p.network = simulatedPools[s.rand.IntN(2)].Network
	case 1: // accepted, or removed, while it runs
		p.stranger = !p.stranger
	case 2, 3: // restarted with another system
		p.forget()
		p.system = []string{"", "aa", "bb"}[s.rand.IntN(3)]
	case 4:
		s.set = nil
		for _, last := range []byte{11, 14, 60, 131, 200} {
			if s.rand.IntN(2) == 0 {
				s.set = append(s.set, Reservation{MAC: pc(last%16 + 1), Address: ip(last)})
			}
		}
		if err := s.book.Reserve(s.set); err != nil {
			s.Fatal(err)
		}
	}
}

func (s *simulation) request(mac MAC, p *belief, a netip.Addr) {
	s.Helper()
	sent := s.now // a PC counts from its request
	if _, err := s.book.Bind(s.now, p.client(mac), a, simulatedLease); err != nil {
		p.address = netip.Addr{} // NAK
		return
	}
	if r, ok := s.book.Reservation(p.client(mac)); ok && r.Address == a {
		s.kept++
	}
	if !s.commit() {
		return
	}
	if s.rand.IntN(10) == 0 {
		return // the answer is lost
	}
	p.address, p.until = a, sent.Add(simulatedLease)
	s.acks++
}

func (s *simulation) check() {
	s.Helper()
	users := map[netip.Addr]MAC{}
	for mac, p := range s.pcs {
		if !p.address.IsValid() || !s.now.Before(p.until) {
			continue
		}
		if other, ok := users[p.address]; ok {
			s.Fatalf("at %s both %s and %s use %s", s.now, mac, other, p.address)
		}
		users[p.address] = mac
		if !p.network.Contains(p.address) {
			s.Fatalf("%s stands in %s and uses %s", mac, p.network, p.address)
		}
		l, ok := s.book.At(p.address)
		if !ok || l.MAC != mac || l.State != Bound || l.Expires.Before(p.until) {
			s.Fatalf("%s uses %s until %s, and the book says %+v", mac, p.address, p.until, l)
		}
	}
}

// finish makes sure that the simulation was worth its name.
func (s *simulation) finish() {
	s.Helper()
	if err := s.store.Close(); err != nil {
		s.Error(err)
	}
	if s.acks < 200 || s.boots < 5 || s.kept < 10 {
		s.Errorf("only %d leases, %d of them reserved, and %d starts of the server: the simulation is too tame", s.acks, s.kept, s.boots)
	}
}
