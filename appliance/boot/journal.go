package boot

import (
	"slices"
	"strings"
	"time"

	"aula/netboot"
)

// order is that of the steps of a boot.
var order = []string{netboot.StepDHCP, netboot.StepLoader, netboot.StepScript, netboot.StepKernel, netboot.StepInitramfs, StepAgent}

// sameBoot is for how long a PC may be silent within one boot: OVMF on a slow machine takes a minute between two steps.
const sameBoot = 3 * time.Minute

// Observe implements netboot.Observer.
func (s *Service) Observe(e netboot.Event) {
	if e.MAC == "" {
		return // nobody can tell whose it is; the log has it
	}
	if e.Time.IsZero() {
		e.Time = s.cfg.Now()
	}
	s.mu.Lock()
	s.pc(e.MAC).observe(e)
	s.mu.Unlock()
	s.cfg.Changed(e.MAC)
}

// observe adds an event to the boot that it belongs to.
func (p *pc) observe(e netboot.Event) {
	b := p.current()
	if e.Step == netboot.StepDHCP && e.Firmware == "" && !e.IPXE {
		// An installed system or the client OS asks for an address: it is no boot from the network.
		if b != nil && b.State == Underway && b.reached() >= at(netboot.StepKernel) {
			b.clientAsked = true
			b.heard(e)
		}
		return
	}
	if b == nil || b.endsBefore(e) {
		if e.Step != netboot.StepDHCP && b != nil && e.Time.Sub(b.last()) < sameBoot {
			b.add(e) // the rest of a transfer, after the PC went on
			return
		}
		b = p.begin(e)
	}
	b.add(e)
}

func (p *pc) current() *Boot {
	if len(p.boots) == 0 {
		return nil
	}
	return p.boots[len(p.boots)-1]
}

// begin starts the journal of a boot. One that was under way has stopped where it is.
func (p *pc) begin(e netboot.Event) *Boot {
	if b := p.current(); b != nil && b.State == Underway {
		b.stop(e.Time, true)
	}
	b := &Boot{MAC: e.MAC, State: Underway, Began: e.Time}
	p.boots = append(p.boots, b)
	if len(p.boots) > history {
		p.boots = slices.Delete(p.boots, 0, 1)
	}
	return b
}

// endsBefore tells whether an event belongs to a boot after this one.
func (b *Boot) endsBefore(e netboot.Event) bool {
	switch {
	case e.Time.Sub(b.last()) >= sameBoot:
		return true
	case e.Step != netboot.StepDHCP:
		return b.State == Arrived
	case b.State != Underway:
		return e.Phase != netboot.Answered // the last packet of the exchange that said "own disk"
	case e.IPXE:
		return b.reached() >= at(netboot.StepScript) // iPXE that was loaded asks for an address once more
	default:
		return b.reached() >= at(netboot.StepLoader)
	}
}

// inMenu tells whether somebody at the PC is to choose.
func (b *Boot) inMenu() bool { return b.State == Arrived && b.Target == netboot.BootMenu }

// add notes an event.
func (b *Boot) add(e netboot.Event) {
	b.heard(e)
	b.identify(e)
	step := b.step(e)
	if e.Phase == netboot.Asked {
		step.Times++
	}
	step.Phase, step.Detail, step.Last = e.Phase, e.Detail, e.Time
	step.Bytes, step.Size = max(step.Bytes, e.Bytes), max(step.Size, e.Size)
	if b.State == Stopped { // it was only slow
		b.State, b.Reason, b.Ended = Underway, "", time.Time{}
	}
	if e.Step == netboot.StepScript && e.Phase == netboot.Answered && (e.Target == netboot.BootDisk || e.Target == netboot.BootMenu) {
		b.arrive(e.Time)
	}
}

// identify keeps what is known of the PC.
func (b *Boot) identify(e netboot.Event) {
	if e.Address.IsValid() {
		b.Address = e.Address
	}
	if e.Relay.IsValid() {
		b.Relay = e.Relay
	}
	if b.Firmware == "" {
		b.Firmware = e.Firmware
	}
	if e.Target != "" {
		b.Target = e.Target
	}
	b.HTTP = b.HTTP || e.HTTP
	if e.Step == netboot.StepLoader {
		b.onlyShim = strings.Contains(strings.ToLower(e.File), "shim") && (b.onlyShim || b.reached() < at(netboot.StepLoader))
	}
	if e.Step == netboot.StepDHCP && b.reached() < at(netboot.StepLoader) {
		b.IPXE = b.IPXE || e.IPXE
	}
}

// step returns the step that an event is of, a new one if need be.
func (b *Boot) step(e netboot.Event) *Step {
	for i := range b.Steps {
		if b.Steps[i].Name == e.Step {
			return &b.Steps[i]
		}
	}
	began := e.Time
	if e.Phase != netboot.Asked && e.Took > 0 {
		began = e.Time.Add(-e.Took)
	}
	i, _ := slices.BinarySearchFunc(b.Steps, at(e.Step), func(s Step, n int) int { return at(s.Name) - n })
	b.Steps = slices.Insert(b.Steps, i, Step{Name: e.Step, Began: began})
	return &b.Steps[i]
}

// at is the number of a step.
func at(step string) int { return slices.Index(order, step) }

// reached is the number of the last step that was seen; -1 without one.
func (b *Boot) reached() int {
	if len(b.Steps) == 0 {
		return -1
	}
	return at(b.Steps[len(b.Steps)-1].Name)
}

func (b *Boot) heard(e netboot.Event) {
	if e.Time.After(b.lastHeard) {
		b.lastHeard = e.Time
	}
}

// last is when something was heard of the boot last.
func (b *Boot) last() time.Time {
	if b.lastHeard.IsZero() {
		return b.Began
	}
	return b.lastHeard
}

// arrive ends the boot well.
func (b *Boot) arrive(now time.Time) { b.State, b.Ended, b.Reason = Arrived, now, "" }

// stop ends the boot where it is.
func (b *Boot) stop(now time.Time, restarted bool) {
	b.State, b.Ended = Stopped, now
	b.Reason = b.diagnose(restarted)
}

// told notes what a PC was told by DHCP.
func (s *Service) told(c netboot.Client, target, why string) {
	s.note(c.MAC, func(b *Boot, now time.Time) {
		b.Target, b.Why = target, why
		if target == netboot.BootDisk || target == netboot.BootNothing {
			b.arrive(now)
		}
	})
}

// decided notes what a PC was told by its script.
func (s *Service) decided(c netboot.Client, target, why string) {
	s.note(c.MAC, func(b *Boot, now time.Time) {
		if b.inMenu() { // somebody has chosen
			b.State, b.Ended, b.lastHeard = Underway, time.Time{}, now
		}
		b.Target, b.Why = target, why
	})
}

// Arrived says that the agent of a PC has connected.
func (s *Service) Arrived(mac string) {
	s.note(mac, func(b *Boot, now time.Time) {
		if b.State == Arrived {
			return // it connects again
		}
		b.add(netboot.Event{Time: now, MAC: mac, Step: StepAgent, Phase: netboot.Answered, Detail: "connected"})
		if i := len(b.Steps) - 2; i >= 0 {
			b.Steps[i+1].Began = b.Steps[i].Last
		}
		b.arrive(now)
	})
}

// note changes the boot of a PC that is under way now.
func (s *Service) note(mac string, change func(*Boot, time.Time)) {
	s.mu.Lock()
	b := s.pc(mac).current()
	if b != nil {
		change(b, s.cfg.Now())
	}
	s.mu.Unlock()
	s.cfg.Changed(mac)
}

// Boots returns the last boot of each PC, the latest first.
func (s *Service) Boots() []Boot {
	s.mu.Lock()
	all := make([]Boot, 0, len(s.pcs))
	for _, p := range s.pcs {
		if b := p.current(); b != nil {
			all = append(all, b.copy())
		}
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b Boot) int { return b.Began.Compare(a.Began) })
	for i := range all {
		s.name(&all[i])
	}
	return all
}

// History returns the boots of a PC that are remembered, the latest first.
func (s *Service) History(mac string) []Boot {
	s.mu.Lock()
	var all []Boot
	if p, ok := s.pcs[mac]; ok {
		for _, b := range slices.Backward(p.boots) {
			all = append(all, b.copy())
		}
	}
	s.mu.Unlock()
	for i := range all {
		s.name(&all[i])
	}
	return all
}

func (b *Boot) copy() Boot {
	c := *b
	c.Steps = slices.Clone(b.Steps)
	return c
}

// name tells whose boot it is, by what the catalog says now.
func (s *Service) name(b *Boot) {
	f, err := s.of(b.MAC)
	if err != nil {
		return
	}
	b.ComputerID, b.Name, b.Classroom = f.computer.ID, f.computer.Name, f.classroom
}
