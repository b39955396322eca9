package dhcp

import (
	"net/netip"

	"aula/netboot/lease"
)

// Holder returns the PC to which an address is leased, or was last.
func (s *Server) Holder(a netip.Addr) (lease.MAC, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	mac, ok := s.holders[a]
	return mac, ok
}

func (s *Server) hold(a netip.Addr, l *lease.Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l == nil || l.State == lease.Quarantined {
		delete(s.holders, a)
		return
	}
	s.holders[a] = l.MAC
}

// Role returns what the server is on its network.
func (s *Server) Role() Role {
	s.state.Lock()
	defer s.state.Unlock()
	return s.role
}

// SetRole changes it. Leases stay as they are.
func (s *Server) SetRole(r Role) {
	s.state.Lock()
	defer s.state.Unlock()
	s.role = r
}

// Reserve says which PCs always have the same address, in place of what was said before. The error names each PC whose reservation cannot be, and why; those of
// the others hold.
func (s *Server) Reserve(all []lease.Reservation) error {
	s.state.Lock()
	defer s.state.Unlock()
	return s.book.Reserve(all)
}

// Leases are all records of addresses, by address.
func (s *Server) Leases() []lease.Lease {
	s.state.Lock()
	defer s.state.Unlock()
	return s.book.Leases()
}

// Pools tells how full the pools are, that of the NIC's own network first.
func (s *Server) Pools() []lease.PoolStatus {
	s.state.Lock()
	defer s.state.Unlock()
	return s.book.Pools(s.clock.Now())
}

// Drops tells how many packets were not answered, and why.
func (s *Server) Drops() Drops {
	s.state.Lock()
	defer s.state.Unlock()
	d := s.responder.drops
	d.Malformed = s.malformed.Load()
	return d
}
