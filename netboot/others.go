package netboot

import (
	"fmt"
	"time"

	"aula/netboot/dhcp"
	"aula/netboot/neighbour"
)

// An acquaintance is another server that was told of, or that is known.
type acquaintance struct {
	neighbour.Server
	answered bool // a probe, at any time: when it answers no more, it is gone
	told     Notice
}

// present brings the acquaintances up to date and returns the servers that are there now. Who was only heard of is thought to be there as long as the
// seeker remembers it.
func (k *keeper) present(now time.Time) []neighbour.Server {
	if k.seeker == nil {
		return nil
	}
	all := k.seeker.Servers()
	there := make([]neighbour.Server, 0, len(all))
	remembered := map[string]bool{}
	for _, s := range all {
		key := keyOf(s)
		remembered[key] = true
		a := k.known[key]
		if a == nil {
			a = &acquaintance{}
			k.known[key] = a
		}
		a.answered = a.answered || s.Answers
		if a.answered && !s.Answers && now.Sub(s.Last) > 2*k.interval() {
			k.miss(a)
			continue
		}
		if a.Offered.IsValid() {
			s.Offered = a.Offered // another one is no news
		}
		a.Server = s
		there = append(there, s)
	}
	for key, a := range k.known {
		if !remembered[key] {
			k.miss(a)
			delete(k.known, key)
		}
	}
	return there
}

// miss tells that a server is gone.
func (k *keeper) miss(a *acquaintance) {
	if a.told.Key == "" {
		return
	}
	k.notify(Notice{Key: a.told.Key, Level: Info, Text: "The DHCP server at " + a.Address.String() + " is not heard any more.", Gone: true})
	a.told = Notice{}
}

func keyOf(s neighbour.Server) string { return "dhcp-server:" + s.Address.String() }

// introduce tells of each server what has not been told.
func (k *keeper) introduce(servers []neighbour.Server, role dhcp.Role, late map[string]bool) {
	for _, s := range servers {
		a := k.known[keyOf(s)]
		n := noticeOf(s, role)
		if late[n.Key] {
			n = lateOf(s)
		}
		if n == a.told {
			continue
		}
		a.told = n
		k.notify(n)
		if n.Level != Info {
			k.log.Warn("another DHCP server", "address", s.Address, "mac", s.MAC, "leases", s.Leases, "boots", s.Boots, "aula", s.Aula, "offered", s.Offered, "file", s.File)
		}
	}
}

// noticeOf tells people of another server, by what it means for a role.
func noticeOf(s neighbour.Server, role dhcp.Role) Notice {
	n := Notice{Key: keyOf(s), Level: Warning}
	who, does := whoIs(s), doesWhat(s)
	switch {
	case s.Aula != "" && s.Leases && role == dhcp.Full:
		n.Level = Alarm
		n.Text = fmt.Sprintf("Another Aula, %s, leases addresses on this network too: two PCs can get one address, and which Aula boots a PC is chance. "+
			"Set the mode of one of the two to proxy, or switch it off.", who)
	case s.Aula != "":
		n.Text = fmt.Sprintf("Another Aula, %s, is on this network and %s: which of the two boots a PC is chance. Switch one of them off, or separate their networks.", who, does)
	case s.Leases && role == dhcp.Full:
		n.Level = Alarm
		n.Text = fmt.Sprintf("Another DHCP server, %s, leases addresses on this network: it %s. PCs that take its addresses may find neither this Aula nor each other. "+
			"Look at the switches where its MAC is and unplug it; or, when it is to lease the addresses here, set the mode to proxy.", who, does)
	case s.Leases && !s.Boots:
		n.Level = Info
		n.Text = fmt.Sprintf("The DHCP server %s leases the addresses of this network: it %s. This Aula only tells PCs what to boot.", who, does)
	case s.Leases:
		n.Text = fmt.Sprintf("The DHCP server %s leases the addresses of this network, and tells PCs what to boot as well: it %s. PCs may follow it and not this Aula. "+
			"Take the boot server and the boot file (options 66 and 67) out of its configuration.", who, does)
	default:
		n.Text = fmt.Sprintf("Another boot server, %s, is on this network: it %s. PCs may follow it and not this Aula. Switch off its answers to PXE clients.", who, does)
	}
	return n
}

// whoIs names a server for people.
func whoIs(s neighbour.Server) string {
	who := s.Address.String()
	if s.MAC != "" {
		who += " (MAC " + s.MAC + ")"
	}
	if s.Aula != "" {
		who = fmt.Sprintf("%q at %s", s.Aula, who)
	}
	return who
}

// doesWhat says what a server offers, as the end of a sentence.
func doesWhat(s neighbour.Server) string {
	var does string
	switch {
	case s.Leases && s.Offered.IsValid():
		does = "offered " + s.Offered.String()
	case s.Leases:
		does = "leases addresses"
	}
	if s.Boots {
		if does != "" {
			does += " and "
		}
		does += "tells PCs what to boot"
		if s.File != "" {
			does += fmt.Sprintf(", the file %q", s.File)
		}
		if s.Next.IsValid() && s.Next != s.Address {
			does += " at " + s.Next.String()
		}
	}
	return does
}
