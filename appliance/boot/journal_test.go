package boot

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"aula/appliance/catalog"
	"aula/netboot"
)

// play has a PC say its events, one second after the other, and returns the journal of its last boot.
func (r *room) play(mac string, events ...netboot.Event) Boot {
	r.t.Helper()
	for _, e := range events {
		r.pass(time.Second)
		e.MAC, e.Time = mac, r.now()
		r.Observe(e)
	}
	all := r.History(mac)
	if len(all) == 0 {
		r.t.Fatal("no boot")
	}
	return all[0]
}

func dhcp(phase string, f netboot.Firmware) netboot.Event {
	return netboot.Event{Step: netboot.StepDHCP, Phase: phase, Firmware: f, Detail: "has 10.0.0.50", Address: address}
}

func step(name, phase string) netboot.Event { return netboot.Event{Step: name, Phase: phase} }

func transfer(name, file string, bytes, size int64) netboot.Event {
	return netboot.Event{Step: name, Phase: netboot.Answered, File: file, Bytes: bytes, Size: size}
}

// wholeBoot is what a BIOS PC does up to its agent; iPXE that was loaded asks for an address once more.
func wholeBoot() []netboot.Event {
	again := dhcp(netboot.Answered, netboot.BIOS)
	again.IPXE = true
	return []netboot.Event{
		dhcp(netboot.Asked, netboot.BIOS), dhcp(netboot.Answered, netboot.BIOS),
		step(netboot.StepLoader, netboot.Asked), transfer(netboot.StepLoader, "undionly.kpxe", 100, 100),
		again, {Step: netboot.StepScript, Phase: netboot.Answered, Target: netboot.BootClientOS},
		transfer(netboot.StepKernel, "vmlinuz", 800, 800), transfer(netboot.StepInitramfs, "initramfs", 2000, 2000),
	}
}

func stepsOf(b Boot) string {
	var all []string
	for _, s := range b.Steps {
		all = append(all, s.Name)
	}
	return strings.Join(all, " ")
}

func TestBootIsFollowedToItsAgent(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	b := r.play(knownMAC, wholeBoot()...)
	if b.State != Underway || stepsOf(b) != "dhcp loader script kernel initramfs" {
		t.Fatalf("boot %+v", b)
	}
	r.pass(5 * time.Second)
	r.play(knownMAC, dhcp(netboot.Answered, "")) // the client OS asks for an address: no boot
	r.Arrived(knownMAC)
	all := r.Boots()
	if len(all) != 1 || all[0].State != Arrived || stepsOf(all[0]) != "dhcp loader script kernel initramfs agent" {
		t.Fatalf("boots %+v", all)
	}
	b = all[0]
	if b.Name != r.pc.Name || b.Classroom != "Aula 1" || b.Address != address || b.Firmware != netboot.BIOS || b.Target != netboot.BootClientOS {
		t.Errorf("whose boot it is: %+v", b)
	}
	if took := b.Steps[5].Took(); took < 5*time.Second {
		t.Errorf("the client OS took %s, want more than 5 s from the initramfs to the agent", took)
	}
	r.Arrived(knownMAC) // it connects again
	if got := len(r.History(knownMAC)); got != 1 {
		t.Errorf("%d boots", got)
	}
	next := r.play(knownMAC, dhcp(netboot.Asked, netboot.BIOS))
	if next.State != Underway || stepsOf(next) != "dhcp" || len(r.History(knownMAC)) != 2 {
		t.Errorf("the next boot is %+v", next)
	}
}

func TestOwnDiskEndsABoot(t *testing.T) {
	t.Parallel()
	t.Run("by DHCP", func(t *testing.T) {
		r := newRoom(t)
		r.play(knownMAC, dhcp(netboot.Asked, netboot.UEFIx64))
		r.Told(client(knownMAC), netboot.Plan{Target: netboot.BootDisk, Why: "usual"})
		b := r.play(knownMAC, dhcp(netboot.Answered, netboot.UEFIx64))
		if b.State != Arrived || b.Why != "usual" || len(r.History(knownMAC)) != 1 {
			t.Errorf("boot %+v", b)
		}
	})
	t.Run("by script", func(t *testing.T) {
		r := newRoom(t)
		b := r.play(knownMAC, dhcp(netboot.Answered, netboot.BIOS), netboot.Event{Step: netboot.StepScript, Phase: netboot.Answered, Target: netboot.BootDisk})
		if b.State != Arrived {
			t.Errorf("boot %+v", b)
		}
	})
}

// Each case stops, by silence, where its last event is.
func TestStoppedBootTellsWhere(t *testing.T) {
	t.Parallel()
	whole := wholeBoot()
	http := dhcp(netboot.Answered, netboot.UEFIx64)
	http.HTTP = true
	noAddress := dhcp(netboot.Answered, netboot.UEFIx64)
	noAddress.Address = noAddress.Relay
	for name, test := range map[string]struct {
		events []netboot.Event
		want   string
	}{
		"asked once":            {whole[:1], "switched off"},
		"asked thrice":          {[]netboot.Event{whole[0], whole[0], whole[0]}, "another DHCP server"},
		"no loader":             {whole[:2], "UDP 69"},
		"no loader by HTTP":     {[]netboot.Event{http}, "TCP 80"},
		"ProxyDHCP not heeded":  {[]netboot.Event{noAddress}, "ask-boot-server"},
		"half a loader":         {append(whole[:2:2], transfer(netboot.StepLoader, "undionly.kpxe", 10, 100)), "did not arrive whole"},
		"iPXE without network":  {whole[:4], "own-drivers"},
		"shim refused":          {[]netboot.Event{dhcp(netboot.Answered, netboot.UEFIx64), transfer(netboot.StepLoader, "shimx64.efi", 9, 9)}, "third-party UEFI CA"},
		"GRUB without network":  {[]netboot.Event{dhcp(netboot.Answered, netboot.UEFIx64), transfer(netboot.StepLoader, "shimx64.efi", 9, 9), transfer(netboot.StepLoader, "grubx64.efi", 9, 9)}, "uefi-ipxe"},
		"no kernel":             {whole[:6], "asked for no kernel"},
		"half a kernel":         {append(whole[:6:6], transfer(netboot.StepKernel, "vmlinuz", 10, 800)), "slow-http"},
		"kernel refused":        {[]netboot.Event{dhcp(netboot.Answered, netboot.UEFIx64), step(netboot.StepScript, netboot.Answered), transfer(netboot.StepKernel, "vmlinuz", 8, 8)}, "Secure Boot"},
		"too little memory":     {whole[:7], "memory"},
		"half a client OS":      {append(whole[:7:7], transfer(netboot.StepInitramfs, "initramfs", 10, 2000)), "did not arrive whole"},
		"client OS without NIC": {whole, "no driver"},
		"agent shut out":        {append(whole[:8:8], dhcp(netboot.Answered, "")), "8443"},
		"failed":                {append(whole[:6:6], netboot.Event{Step: netboot.StepKernel, Phase: netboot.Failed, Detail: "no client OS"}), "no client OS"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRoom(t)
			r.play(otherMAC, test.events...)
			r.pass(4 * time.Minute)
			r.look()
			b := r.History(otherMAC)[0]
			if b.State != Stopped || !strings.Contains(b.Reason, test.want) {
				t.Errorf("%s: %q, want stopped and something of %q", b.State, b.Reason, test.want)
			}
			r.play(otherMAC, dhcp(netboot.Asked, netboot.BIOS))
			if n := len(r.History(otherMAC)); n != 2 {
				t.Errorf("%d boots after the PC was switched on again", n)
			}
		})
	}
}

func TestSlowPCIsTakenUpAgain(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.play(otherMAC, wholeBoot()[:4]...)
	r.pass(100 * time.Second)
	r.look()
	if b := r.History(otherMAC)[0]; b.State != Stopped {
		t.Fatalf("boot %+v", b)
	}
	b := r.play(otherMAC, step(netboot.StepScript, netboot.Answered))
	if b.State != Underway || b.Reason != "" || len(r.History(otherMAC)) != 1 {
		t.Errorf("boot %+v", b)
	}
}

func TestRestartInTheMiddleIsSaid(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.play(otherMAC, append(wholeBoot()[:4], dhcp(netboot.Asked, netboot.BIOS))...)
	all := r.History(otherMAC)
	if len(all) != 2 || all[1].State != Stopped || !strings.HasPrefix(all[1].Reason, "It began anew.") {
		t.Errorf("boots %+v", all)
	}
}

func TestWhoReadsAMenuHasNotStopped(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.play(otherMAC, dhcp(netboot.Answered, netboot.BIOS), netboot.Event{Step: netboot.StepScript, Phase: netboot.Answered, Target: netboot.BootMenu})
	r.pass(time.Hour)
	r.look()
	if b := r.History(otherMAC)[0]; b.State != Arrived || b.Target != netboot.BootMenu {
		t.Errorf("boot %+v", b)
	}
	r.ok(r.catalog.ChangeBootSettings(func(s *catalog.BootSettings) { s.Unknown = catalog.BootMenu }))
	r.wantDecision("menu", client(otherMAC), netboot.BootMenu)
	c := client(otherMAC)
	c.Choice = "client"
	r.wantDecision("chosen", c, netboot.BootClientOS)
	b := r.play(otherMAC, netboot.Event{Step: netboot.StepScript, Phase: netboot.Answered, Target: netboot.BootClientOS}, transfer(netboot.StepKernel, "vmlinuz", 8, 8))
	if b.State != Underway || b.Target != netboot.BootClientOS || len(r.History(otherMAC)) != 1 {
		t.Errorf("after somebody chose: %+v", b)
	}
}

func TestJournalIsBounded(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	for i := range maxPCs + 10 {
		r.play(fmt.Sprintf("02:00:00:00:%02x:%02x", i>>8, i&0xff), dhcp(netboot.Asked, netboot.BIOS))
	}
	if n := len(r.Boots()); n > maxPCs {
		t.Errorf("%d PCs are remembered", n)
	}
	for range 3 * history {
		r.pass(time.Hour)
		r.play(knownMAC, dhcp(netboot.Asked, netboot.BIOS))
	}
	if n := len(r.History(knownMAC)); n != history {
		t.Errorf("%d boots of a PC are remembered, want %d", n, history)
	}
}
