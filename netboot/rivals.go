package netboot

import (
	"fmt"
	"sync"

	"aula/netboot/dhcp"
	"aula/netboot/neighbour"
)

// rivals tells whether another boot server serves this network, to which PCs are left of which nobody said that they are this Aula's. It is safe for concurrent
// use. A nil one knows of none.
type rivals struct {
	notify func(Notice)

	mu   sync.Mutex
	who  string // for people; empty for none
	told bool
}

const rivalsKey = "boot-rivals"

// are says which servers there are. Where this Aula leases the addresses, it boots all PCs.
func (r *rivals) are(servers []neighbour.Server, role dhcp.Role) {
	who := ""
	for _, s := range servers {
		if role == dhcp.Proxy && s.Boots && s.Aula == "" {
			who = whoIs(s)
			break
		}
	}
	r.mu.Lock()
	over := who == "" && r.told
	r.who, r.told = who, r.told && !over
	r.mu.Unlock()
	if over {
		r.notify(Notice{Key: rivalsKey, Level: Info, Text: "No other boot server is heard any more: Aula tells unknown PCs again what to boot.", Gone: true})
	}
}

// present tells whether there is one.
func (r *rivals) present() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.who != ""
}

// left says that a PC was left to them. People hear of the first.
func (r *rivals) left() {
	r.mu.Lock()
	first, who := !r.told && r.who != "", r.who
	r.told = r.told || first
	r.mu.Unlock()
	if first {
		r.notify(Notice{Key: rivalsKey, Level: Warning, Text: fmt.Sprintf("Another boot server, %s, serves this network, so that Aula leaves unknown PCs to it and tells only registered ones "+
			"what to boot. If Aula is to boot unknown PCs as well, choose in the settings what they boot.", who)})
	}
}
