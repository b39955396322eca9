package netboot

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"aula/netboot/dhcp"
	"aula/netboot/lease"
	"aula/netboot/quirk"
)

// A register tells DHCP what the Decider plans for a PC. It keeps the plan for as long as one boot asks by DHCP, so that offer and acknowledgement agree, as do
// the ROM, its iPXE and the firmware's next network entry, even when the first of them used up a choice that was made for one boot.
type register struct {
	decider Decider
	rivals  *rivals // nil: none
	now     func() time.Time
	plans   map[lease.MAC]*kept
}

// kept is a plan that was asked for.
type kept struct {
	plan  Plan
	until time.Time
	told  map[stage][4]byte // in which conversation each stage of the boot was told it
}

// A stage is one of those that may ask by DHCP in one boot: the ROM, its iPXE, the firmware's HTTP Boot.
type stage struct {
	firmware   dhcp.Firmware
	http, ipxe bool
}

func stageOf(r dhcp.Request) stage { return stage{r.Firmware, r.HTTP, r.IPXE} }

const (
	// planTime is how long a plan is kept: firmware sends its last DISCOVER after 28 s and takes an offer some seconds later. It is less than a PC needs to
	// start its system and be told to restart.
	planTime = 45 * time.Second
	maxPlans = 4096
)

func newRegister(d Decider, now func() time.Time) *register {
	return &register{decider: d, now: now, plans: map[lease.MAC]*kept{}}
}

// Known implements dhcp.Register.
func (g *register) Known(mac lease.MAC) bool { return g.decider.Known(mac.String()) }

// Advise implements dhcp.Register.
func (g *register) Advise(r dhcp.Request) dhcp.Advice {
	p := g.plan(r).plan
	a := dhcp.Advice{Quirks: p.Quirks, Why: p.Why}
	switch {
	case p.Target == BootNothing:
		a.Action = dhcp.Ignore
	case g.leaves(r, p):
		a.Action, a.Why = dhcp.Ignore, "it is unknown, and another boot server serves this network"
	case !r.Firmware.Served():
		a.Action, a.Why = dhcp.Refuse, fmt.Sprintf("there is no client OS for %s yet", r.Firmware.Title())
	case p.Target == BootClientOS, p.Target == BootMenu, p.Target == BootDisk && p.Quirks.Has(quirk.ScriptForDisk):
		a.Action = dhcp.Load
	default:
		a.Action = dhcp.LocalDisk
	}
	return a
}

// leaves tells whether a PC is left to another boot server, which was there before: a stranger, unless somebody chose what strangers boot.
func (g *register) leaves(r dhcp.Request, p Plan) bool {
	if !p.Assumed && r.Firmware.Served() || !g.rivals.present() || g.decider.Known(r.MAC.String()) {
		return false
	}
	if p.Assumed {
		g.rivals.left()
	}
	return true
}

// Told implements dhcp.Register. The Decider hears once of each boot: firmware that got no answer in time asks again. It hears nothing of a PC that was not
// told the plan: one whose firmware is refused, and one that boots its disk by a script, for which its loader is going to ask.
func (g *register) Told(r dhcp.Request, a dhcp.Advice) {
	k := g.plans[r.MAC]
	if k == nil || a.Action == dhcp.Refuse {
		return
	}
	first := len(k.told) == 0
	k.told[stageOf(r)] = r.XID
	if first && !(a.Action == dhcp.Load && k.plan.Target == BootDisk) {
		g.decider.Told(clientOfDHCP(r), k.plan)
	}
}

// Learn implements dhcp.Register.
func (g *register) Learn(mac lease.MAC, q quirk.Quirk, why string) {
	if k := g.plans[mac]; k != nil && !k.plan.Quirks.Has(q) {
		k.plan.Quirks = append(slices.Clone(k.plan.Quirks), q)
	}
	g.decider.Learn(mac.String(), q, why)
}

// plan returns the plan of the boot that is under way.
func (g *register) plan(r dhcp.Request) *kept {
	now := g.now()
	if k := g.plans[r.MAC]; k != nil && now.Before(k.until) && !k.bootsAnew(r) {
		return k
	}
	g.makeRoom()
	k := &kept{plan: g.decider.Plan(clientOfDHCP(r)), until: now.Add(planTime), told: map[stage][4]byte{}}
	g.plans[r.MAC] = k
	return k
}

// bootsAnew tells whether a stage that has been told what to do looks for a server once more: the PC was reset.
func (k *kept) bootsAnew(r dhcp.Request) bool {
	xid, told := k.told[stageOf(r)]
	return told && r.Kind == dhcp.Discover && xid != r.XID
}

// makeRoom bounds the memory: of some plans, the one goes that is over first.
func (g *register) makeRoom() {
	if len(g.plans) < maxPlans {
		return
	}
	const some = 8
	var oldest lease.MAC
	seen := 0
	for mac, k := range g.plans {
		if seen == 0 || k.until.Before(g.plans[oldest].until) {
			oldest = mac
		}
		if seen++; seen == some {
			break
		}
	}
	delete(g.plans, oldest)
}

// clientOfDHCP reads what a DHCP packet tells of its PC. Nothing of it is proven.
func clientOfDHCP(r dhcp.Request) Client {
	c := Client{MAC: r.MAC.String(), Firmware: Firmware(r.Firmware), HTTP: r.HTTP}
	for _, a := range []netip.Addr{r.Current, r.Wanted} {
		if a.IsValid() {
			c.Address = a
			break
		}
	}
	return c
}
