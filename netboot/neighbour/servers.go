package neighbour

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// Servers are those that were heard in the last 15 minutes, by address.
func (l *Lookout) Servers() []Server {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forget(time.Now())
	return sorted(l.servers)
}

func sorted(servers map[netip.Addr]*Server) []Server {
	all := make([]Server, 0, len(servers))
	for _, s := range servers {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b Server) int { return a.Address.Compare(b.Address) })
	return all
}

func (l *Lookout) forget(now time.Time) {
	for a, s := range l.servers {
		if now.Sub(s.Last) > remembered {
			delete(l.servers, a)
		}
	}
}

// add remembers what was heard of a server, and tells of it when that is news.
func (l *Lookout) add(heard Server, answers bool) {
	l.mu.Lock()
	now := time.Now()
	if answers && l.probe != nil {
		l.probe.add(heard)
	}
	s, known := l.servers[heard.Address]
	if known && now.Sub(s.Last) > remembered {
		known = false
	}
	if !known {
		if !l.room(now, answers) {
			l.mu.Unlock()
			return
		}
		s = &Server{Address: heard.Address, First: now}
		l.servers[heard.Address] = s
	}
	before := *s
	s.merge(heard)
	s.Answers, s.Last = s.Answers || answers, now
	after := *s
	l.mu.Unlock()
	if !known || before.news() != after.news() {
		l.tell(after)
	}
}

// room makes place for one more server. When there are too many, one who answers a Probe pushes out one who was only heard of, the oldest first.
func (l *Lookout) room(now time.Time, answers bool) bool {
	if len(l.servers) < most {
		return true
	}
	l.forget(now)
	if len(l.servers) < most {
		return true
	}
	if !l.overflow {
		l.overflow = true
		l.cfg.Log.Warn("so many DHCP servers are heard that somebody seems to make them up; no more are remembered", "servers", len(l.servers))
	}
	if !answers {
		return false
	}
	var oldest *Server
	for _, s := range l.servers {
		if !s.Answers && (oldest == nil || cmp.Or(s.Last.Compare(oldest.Last), s.Address.Compare(oldest.Address)) < 0) {
			oldest = s
		}
	}
	if oldest == nil {
		return false
	}
	delete(l.servers, oldest.Address)
	return true
}

// settle corrects what is known by the answers to a Probe: they say what a server does now.
func (l *Lookout) settle(answers map[netip.Addr]*Server) {
	var changed []Server
	l.mu.Lock()
	for a, s := range l.servers {
		now, ok := answers[a]
		s.Answers = ok
		if !ok {
			continue
		}
		before := s.news()
		s.Leases, s.Boots, s.Aula, s.Next, s.File = now.Leases, now.Boots, now.Aula, now.Next, now.File
		if s.news() != before {
			changed = append(changed, *s)
		}
	}
	l.mu.Unlock()
	for _, s := range changed {
		l.tell(s)
	}
}

func (l *Lookout) tell(s Server) {
	if l.cfg.Heard != nil {
		l.cfg.Heard(s)
	}
}

// merge adds what was heard to what is known.
func (s *Server) merge(heard Server) {
	s.Leases, s.Boots = s.Leases || heard.Leases, s.Boots || heard.Boots
	if heard.Aula != "" { // which says what it does now
		s.Aula, s.Leases = heard.Aula, heard.Leases
	}
	s.MAC = cmp.Or(heard.MAC, s.MAC)
	s.Offered = cmp.Or(heard.Offered, s.Offered)
	s.Next = cmp.Or(heard.Next, s.Next)
	s.File = cmp.Or(heard.File, s.File)
}

// news is what is told of a change.
func (s *Server) news() Server {
	n := *s
	n.Offered, n.Answers, n.Last = netip.Addr{}, false, time.Time{}
	return n
}
