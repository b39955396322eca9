package dhcp

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"aula/netboot/lease"
)

// probe looks who is at the address that a PC would be offered, if the decision asks for it. The offer waits for that: PXE ROMs
// collect offers for longer than it takes.
func (s *Server) probe(ctx context.Context, group *errgroup.Group, a *answered) {
	if !a.Probe.IsValid() {
		return
	}
	_, underWay := s.probing[a.MAC]
	look := s.lookAt(a.Probe)
	if look == nil || !underWay && len(s.probing) >= probesAtOnce {
		s.state.Lock()
		a.Decision = s.responder.Probed(s.clock.Now(), a.Request, a.Probe, Found{})
		s.state.Unlock()
		return
	}
	s.probing[a.MAC] = a.Request // a repeated DISCOVER is answered under its own transaction
	if underWay {
		return
	}
	result := probeResult{mac: a.MAC, address: a.Probe}
	group.Go(func() error {
		result.found, result.err = look(ctx)
		select {
		case s.probes <- result:
		case <-ctx.Done():
		}
		return nil
	})
}

// lookAt returns how to find out who is at an address, nil when there is no way.
func (s *Server) lookAt(a netip.Addr) func(context.Context) (Found, error) {
	onLink := s.cfg.Network.own().Prefix.Contains(a)
	switch {
	case onLink && s.cfg.Prober != nil:
		return func(ctx context.Context) (Found, error) {
			mac, err := s.cfg.Prober.Probe(ctx, a)
			return Found{mac != lease.MAC{}, mac}, err
		}
	case !onLink && s.cfg.Pinger != nil:
		return func(ctx context.Context) (Found, error) {
			answers, err := s.cfg.Pinger.Ping(ctx, a)
			return Found{Something: answers}, err
		}
	default:
		return nil
	}
}

// probed goes on with the PC for which an address was probed, or notes what was found at one that nobody was offered yet.
func (s *Server) probed(p probeResult) []answered {
	if p.err != nil {
		s.cfg.Log.Warn("address could not be probed, and may be offered all the same", "address", p.address, "error", p.err)
	}
	s.state.Lock()
	defer s.state.Unlock()
	if p.mac == (lease.MAC{}) {
		if p.err != nil {
			return nil
		}
		return []answered{{Request{}, s.responder.Swept(s.clock.Now(), p.address, p.found)}}
	}
	r, ok := s.probing[p.mac]
	delete(s.probing, p.mac)
	if !ok || s.role != Full {
		return nil
	}
	return []answered{{r, s.responder.Probed(s.clock.Now(), r, p.address, p.found)}}
}

// Probing ahead of demand, so that a classroom that starts in a pool that was never used need not wait for probes.
const (
	// ahead is how many of the next addresses are kept probed.
	ahead = 512
	// aheadAtOnce is how many are probed at a time, which with the 300 ms of a probe is about two hundred in a second.
	aheadAtOnce = 64
	// aheadPause is how long is waited when there is nothing to probe.
	aheadPause = time.Second
)

// sweep probes the addresses of the NIC's own network that will be offered next, a few at a time, until ctx ends.
func (s *Server) sweep(ctx context.Context) error {
	failures := time.Duration(0)
	for {
		next := s.unprobed()
		broken := s.sweepOver(ctx, next)
		pause := time.Duration(0)
		switch {
		case len(next) == 0:
			pause = aheadPause
		case broken: // the NIC is down, for instance
			failures = min(failures+1, 60)
			pause = failures * aheadPause
		default:
			failures = 0
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
	}
}

// unprobed returns the addresses to probe now.
func (s *Server) unprobed() []netip.Addr {
	s.state.Lock()
	defer s.state.Unlock()
	if s.role != Full {
		return nil
	}
	now := s.clock.Now()
	own := s.cfg.Network.own().Prefix
	var all []netip.Addr
	for _, a := range s.book.Next(now, ahead) {
		if own.Contains(a) && !s.responder.vouched.fresh(now, a) && !s.responder.looked.fresh(now, a) && len(all) < aheadAtOnce {
			all = append(all, a)
		}
	}
	return all
}

// sweepOver probes addresses all at once, and says whether that failed.
func (s *Server) sweepOver(ctx context.Context, all []netip.Addr) (broken bool) {
	results := make([]probeResult, len(all))
	var wait sync.WaitGroup
	for i, a := range all {
		wait.Go(func() {
			results[i] = probeResult{address: a}
			results[i].found, results[i].err = s.lookAt(a)(ctx)
		})
	}
	wait.Wait()
	for _, r := range results {
		if r.err != nil {
			return true
		}
		select {
		case s.probes <- r:
		case <-ctx.Done():
			return false
		}
	}
	return false
}
