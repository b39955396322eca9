package netboot

import "aula/netboot/dhcp"

// A situation is what a role is chosen by.
type situation struct {
	mode    Mode
	role    dhcp.Role // now
	asking  bool      // now
	settled bool      // the role was chosen by a look around since the start, or since the mode was set, and holds
	able    bool      // other servers can be looked for at all
	looked  bool      // and the last look succeeded
	others  bool      // another server leases addresses
	given   bool      // the operator has agreed that addresses are leased here
}

// A choice is what follows from a situation.
type choice struct {
	role     dhcp.Role
	asking   bool // the operator is asked whether addresses may be leased
	settled  bool
	withdraw bool // the operator's agreement does not hold any more: another server leases
}

// choose chooses a role.
//
// Set by the operator, it is what was set. Chosen by itself, it leases only with the operator's agreement, and only when no other server did at the
// start, of which the keeper says how long it lasts. One that appears later is reported and changes nothing: else one laptop with a DHCP server could take the addresses away from a room. At the next
// start it is obeyed. Where another server leased and is gone, the operator is asked anew.
func choose(s situation) choice {
	switch {
	case s.mode == ModeFull:
		return choice{role: dhcp.Full, settled: true}
	case s.mode == ModeProxy:
		return choice{role: dhcp.Proxy, settled: true}
	case !s.able: // who cannot see another server must not become a second one
		return choice{role: dhcp.Proxy, asking: true}
	case s.settled && s.role == dhcp.Full && s.given:
		return choice{role: dhcp.Full, settled: true}
	case !s.looked && !s.given: // nothing need be known to lease no addresses
		return choice{role: dhcp.Proxy, asking: s.asking, settled: s.settled}
	case !s.looked:
		return choice{role: s.role, settled: s.settled}
	case s.others:
		return choice{role: dhcp.Proxy, settled: true, withdraw: s.given}
	case s.given:
		return choice{role: dhcp.Full, settled: true}
	default:
		return choice{role: dhcp.Proxy, asking: true, settled: true}
	}
}
