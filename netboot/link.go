package netboot

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// A link watches the NIC: whether it has a cable and still has the address, and which addresses this machine has.
type link struct {
	plan   *plan
	notify func(Notice)
	back   func() // called when what was wrong is over
	every  time.Duration
	own    atomic.Pointer[[]netip.Addr] // of this machine, the one of the services first
	told   map[string]string            // what was told, by key
}

const linkInterval = 2 * time.Second

func newLink(p *plan, notify func(Notice)) *link {
	l := &link{plan: p, notify: notify, back: func() {}, every: linkInterval, told: map[string]string{}}
	l.own.Store(&[]netip.Addr{p.address.Addr()})
	l.refresh()
	return l
}

// addresses are those of this machine.
func (l *link) addresses() []netip.Addr { return *l.own.Load() }

func (l *link) refresh() {
	all, err := net.InterfaceAddrs()
	if err != nil {
		return
	}
	own := []netip.Addr{l.plan.address.Addr()}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() && p.Addr() != own[0] {
			own = append(own, p.Addr())
		}
	}
	l.own.Store(&own)
}

// run watches until ctx ends.
func (l *link) run(ctx context.Context) error {
	ticker := time.NewTicker(l.every)
	defer ticker.Stop()
	for {
		l.refresh()
		cable, address := l.look()
		l.tell("link:"+l.plan.Interface, cable, "The cable is in "+l.plan.Interface+" again.")
		l.tell("address:"+l.plan.Interface, address, l.plan.Interface+" has its address again.")
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// look returns what is wrong with the cable and with the address, empty for nothing.
func (l *link) look() (cable, address string) {
	name, want := l.plan.Interface, l.plan.address
	nic, err := net.InterfaceByIndex(l.plan.nic.Index)
	switch {
	case err != nil:
		return fmt.Sprintf("The network interface %s is gone, so no PC can boot. Plug its network card in again and restart Aula.", name), ""
	case nic.Flags&net.FlagUp == 0:
		return fmt.Sprintf("The network interface %s is down, so no PC can boot. Switch it on with: ip link set %s up", name, name), ""
	case nic.Flags&net.FlagRunning == 0: // no carrier
		cable = fmt.Sprintf("There is no cable in %s, or what it leads to is switched off, so no PC can boot. Look at the cable and at the switch.", name)
	}
	addrs, err := nic.Addrs()
	if err != nil {
		return cable, ""
	}
	for _, a := range addrs {
		if a.String() == want.String() {
			return cable, ""
		}
	}
	return cable, fmt.Sprintf("The network interface %s does not have the address %s any more, so no PC can boot. Give it back with: ip addr add %s dev %s", name, want, want, name)
}

// tell tells of a state that has changed.
func (l *link) tell(key, wrong, over string) {
	was := l.told[key]
	if wrong == was {
		return
	}
	l.told[key] = wrong
	if wrong == "" {
		l.plan.Log.Info("network interface", "interface", l.plan.Interface, "state", over)
		l.notify(Notice{Key: key, Level: Info, Text: over, Gone: true})
		l.back()
		return
	}
	l.plan.Log.Error("network interface", "interface", l.plan.Interface, "state", wrong)
	l.notify(Notice{Key: key, Level: Alarm, Text: wrong})
}
