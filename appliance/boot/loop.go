package boot

import (
	"fmt"
	"slices"
	"time"

	"aula/netboot"
)

// loops notes that a PC is about to be given the client OS, and tells whether it had it too often. A PC that has work may have it twice as often: programs
// restart PCs.
func (s *Service) loops(mac string, f *facts) bool {
	now := s.cfg.Now()
	most := s.cfg.LoopBoots
	if f.accepted() && s.cfg.Busy(f.computer.ID) {
		most *= 2
	}
	s.mu.Lock()
	p := s.pc(mac)
	p.clients = slices.DeleteFunc(p.clients, func(t time.Time) bool { return now.Sub(t) >= s.cfg.LoopTime })
	if len(p.clients) < most {
		p.clients = append(p.clients, now)
		s.mu.Unlock()
		return false
	}
	p.broken, p.idle = true, most == s.cfg.LoopBoots // who had no work then may get some
	s.mu.Unlock()
	who := mac
	if f.computer.Name != "" {
		who = f.computer.Name
	}
	s.Notify(netboot.Notice{Key: loopKey(mac), Level: netboot.Warning, MAC: mac, Text: fmt.Sprintf(
		"%s was given the client OS %d times within %s, so it boots its own disk now: look at its screen, then let it try again", who, most, s.cfg.LoopTime)})
	return true
}

// whyBroken is why a PC boots its own disk that boots over and over.
const whyBroken = "it was given the client OS over and over"

// broken tells whether a PC was found to boot over and over. New work forgives it: who gives it wants to see it tried.
func (s *Service) broken(mac string, busy bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.pc(mac)
	if p.broken && !busy {
		p.idle = true
	}
	if p.broken && p.idle && busy {
		s.forgive(mac, p)
	}
	return p.broken
}

func loopKey(mac string) string { return "loop:" + mac }

// Forgive lets a PC boot the client OS again that was found to boot over and over.
func (s *Service) Forgive(mac string) {
	s.mu.Lock()
	if p, ok := s.pcs[mac]; ok {
		s.forgive(mac, p)
	}
	s.mu.Unlock()
	s.cfg.Changed("")
}

// forgive is Forgive. mu is held.
func (s *Service) forgive(mac string, p *pc) {
	p.broken, p.idle, p.clients = false, false, nil
	delete(s.notices, loopKey(mac))
}

// forgiveQuiet forgives PCs that have not booted for LoopTime. mu is held.
func (s *Service) forgiveQuiet(now time.Time) bool {
	any := false
	for mac, p := range s.pcs {
		if p.broken && p.facts != nil && !s.cfg.Busy(p.facts.computer.ID) {
			p.idle = true
		}
		if p.broken && now.Sub(p.last()) >= s.cfg.LoopTime {
			s.forgive(mac, p)
			any = true
		}
	}
	return any
}
