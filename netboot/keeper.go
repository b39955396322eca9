package netboot

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"aula/netboot/dhcp"
	"aula/netboot/neighbour"
)

// A seeker looks for other DHCP servers; *neighbour.Lookout is one.
type seeker interface {
	Probe(ctx context.Context) ([]neighbour.Server, error)
	Servers() []neighbour.Server
}

// Times between looks for other servers. While addresses are leased a rogue server does harm, and is to be reported within 60 s.
const (
	lookSeldom = 10 * time.Minute
	lookOften  = 45 * time.Second // while leasing
	lookAgain  = 10 * time.Second // after a look that failed
	// startLasts is how long another server that is found is obeyed after leasing has begun by itself. A switch forwards nothing for up to 50 s after
	// a cable was plugged in (IEEE 802.1D), so that the first looks may have reached nobody.
	startLasts = 2 * time.Minute
)

// A keeper keeps the role: it looks for other servers, chooses, and tells of what it found.
type keeper struct {
	seeker  seeker // nil when not permitted
	consent Consent
	setRole func(dhcp.Role)
	notify  func(Notice)
	log     *slog.Logger
	seldom  time.Duration // lookSeldom and lookOften, but in tests
	often   time.Duration
	look    chan struct{} // look now
	news    chan struct{} // what is known of other servers has changed
	blind   bool          // it was said that looks fail

	deciding sync.Mutex // one decision at a time; held while others are told, so that they hear things in their order
	known    map[string]*acquaintance
	lessors  lessors
	rivals   *rivals
	refused  bool      // the agreement could not be withdrawn, and does not hold
	given    bool      // the agreement, when it was looked up last
	began    time.Time // to lease by itself

	mu     sync.Mutex
	now    situation // but for others and given, which are looked up for each decision
	doubts int       // how often what was found came to count for nothing
	probed time.Time
}

func newKeeper(m Mode, s seeker, c Consent, setRole func(dhcp.Role), notify func(Notice), log *slog.Logger) *keeper {
	k := &keeper{
		seeker: s, consent: c, setRole: setRole, notify: notify, log: log, seldom: lookSeldom, often: lookOften,
		look: make(chan struct{}, 1), news: make(chan struct{}, 1), known: map[string]*acquaintance{},
		rivals: &rivals{notify: notify},
	}
	k.now = situation{mode: m, role: dhcp.Proxy, able: s != nil}
	if m == ModeFull {
		k.now.role = dhcp.Full
	}
	return k
}

// run looks around until ctx ends. What it finds it tells, and changes the role.
func (k *keeper) run(ctx context.Context) error {
	if k.seeker == nil {
		k.notify(Notice{Key: "dhcp-search", Level: Warning, Text: "Other DHCP servers of this network cannot be looked for, because the program lacks the capability " +
			"CAP_NET_RAW: none is reported, and in the mode auto no address is leased. Run it as root, or set the mode to full or proxy."})
	}
	for {
		k.decide()
		pause := k.lookAround(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-k.look:
		case <-time.After(pause):
		}
	}
}

// follow takes note of what is heard between the looks, until ctx ends.
func (k *keeper) follow(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.news:
			k.decide()
		}
	}
}

// heard says that there is news of other servers. It does not block.
func (k *keeper) heard(neighbour.Server) { nudge(k.news) }

// lookNow says that it is time for a look. It does not block.
func (k *keeper) lookNow() { nudge(k.look) }

func nudge(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// lookAround probes, and returns how long to wait until the next time.
func (k *keeper) lookAround(ctx context.Context) time.Duration {
	if k.seeker == nil {
		return k.seldom
	}
	if _, err := k.probe(ctx); err != nil {
		if ctx.Err() == nil && !k.blind {
			k.blind = true
			k.log.Warn("other DHCP servers were not looked for", "error", err, "again every", lookAgain)
		}
		return lookAgain
	}
	k.blind = false
	return k.interval()
}

// probe looks for other servers now and decides by what it finds.
func (k *keeper) probe(ctx context.Context) ([]neighbour.Server, error) {
	k.mu.Lock()
	doubts := k.doubts
	k.mu.Unlock()
	found, err := k.seeker.Probe(ctx)
	k.mu.Lock()
	if err == nil {
		k.probed = time.Now()
	}
	k.now.looked = err == nil && doubts == k.doubts
	k.mu.Unlock()
	k.decide()
	return found, err
}

func (k *keeper) interval() time.Duration {
	if k.state().role == dhcp.Full {
		return k.often
	}
	return k.seldom
}

// see gives it a seeker, before it runs.
func (k *keeper) see(s seeker) { k.seeker, k.now.able = s, true }

// status tells what it chose, and when it looked around last.
func (k *keeper) status() (now situation, probed time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now, k.probed
}

func (k *keeper) state() situation {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.now
}

// setMode changes the mode. Auto looks around before it changes the role.
func (k *keeper) setMode(m Mode) {
	k.deciding.Lock()
	defer k.deciding.Unlock()
	k.mu.Lock()
	k.now.mode, k.now.settled, k.now.asking = m, false, false
	k.mu.Unlock()
	k.doubt()
	k.decideNow()
	k.lookNow()
}

// reconsider looks at the operator's agreement anew.
func (k *keeper) reconsider() {
	k.deciding.Lock()
	defer k.deciding.Unlock()
	k.refused = false
	k.doubt()
	k.lookNow()
}

// relinked says that the NIC is connected again, and may be in another network. What leases by itself starts anew: it first looks who else does.
func (k *keeper) relinked() {
	k.deciding.Lock()
	defer k.deciding.Unlock()
	k.doubt()
	k.mu.Lock()
	k.now.settled = false
	leases := k.now.mode == ModeAuto && k.now.role == dhcp.Full
	if leases {
		k.now.role = dhcp.Proxy
	}
	k.mu.Unlock()
	if leases {
		k.setRole(dhcp.Proxy)
		k.log.Info("DHCP role", "role", dhcp.Proxy, "why", "the NIC was connected anew: other servers are looked for first")
	}
	k.lessors = lessors{}
	k.lookNow()
}

// doubt says that only a look that begins from now on counts.
func (k *keeper) doubt() {
	k.mu.Lock()
	k.now.looked = false
	k.doubts++
	k.mu.Unlock()
}

// agreed tells whether the operator's agreement holds. One that is new is heeded after a look that begins now.
func (k *keeper) agreed() bool {
	given := k.consent != nil && k.consent.Given() && !k.refused
	if given && !k.given && k.state().looked {
		k.doubt()
		k.lookNow()
	}
	k.given = given
	return given
}

// decide chooses the role by what is known, and tells of it.
func (k *keeper) decide() {
	k.deciding.Lock()
	defer k.deciding.Unlock()
	k.decideNow()
}

// decideNow is decide for who holds the lock.
func (k *keeper) decideNow() {
	servers := k.present(time.Now())
	given := k.agreed()
	s := k.state()
	s.given = given
	for _, o := range servers {
		s.others = s.others || o.Leases
	}
	if s.role == dhcp.Full && time.Since(k.began) < startLasts {
		s.settled = false
	}
	c := choose(s)
	if c.withdraw {
		k.withdraw()
	}
	if c.role != s.role {
		k.began = time.Now()
		k.setRole(c.role)
		k.log.Info("DHCP role", "role", c.role, "mode", s.mode, "another server leases", s.others)
	}
	if c.asking && !s.asking {
		k.log.Info("no other DHCP server answers: addresses are leased once the operator agrees")
	}
	k.mu.Lock()
	k.now.role, k.now.asking, k.now.settled = c.role, c.asking, c.settled
	k.mu.Unlock()
	k.rivals.are(servers, c.role)
	k.introduce(servers, c.role, k.lessors.late(time.Now(), k.seldom+startLasts, s.looked, servers, c.role))
}

// withdraw forgets the operator's agreement, or at least does not heed it.
func (k *keeper) withdraw() {
	k.log.Warn("another DHCP server leases addresses on this network, so that this one does not; the operator will be asked when it is gone")
	k.given = false
	if err := k.consent.Withdraw(); err != nil {
		k.refused = true
		k.log.Error("that addresses may be leased could not be forgotten; it is not heeded until it is said again", "error", err)
	}
}
