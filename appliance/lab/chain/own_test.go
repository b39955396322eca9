package chain

import (
	"testing"
	"time"

	"aula/appliance/lab"
)

// slots are how many virtual PCs run at a time: more are slower than one after the other.
const slots = 2

// TestOwnDHCP boots a PC of each kind from the appliance alone: as a stranger it comes to the agent; accepted and without work it boots the system on its disk.
func TestOwnDHCP(t *testing.T) {
	c := startClassroom(t, lab.Config{OwnDisk: true})
	c.role = "full"
	c.each(t, secureHTTP, securePXE, uefiHTTP, bios)
}

// each boots PCs of some kinds, a few at a time.
func (c *classroom) each(t *testing.T, kinds ...kind) {
	free := make(chan struct{}, slots)
	t.Run("boots", func(t *testing.T) {
		for _, k := range kinds {
			t.Run(k.name, func(t *testing.T) {
				t.Parallel()
				free <- struct{}{}
				defer func() { <-free }()
				c.in(t).bootTwice(t, k)
			})
		}
	})
}

// bootTwice boots a PC to the agent, and then to its own disk.
func (c *classroom) bootTwice(t *testing.T, k kind) {
	p := c.add(k)
	defer p.PowerOff()
	p.powerOn()
	computer, ready := p.arrive()
	t.Logf("agent ready %.1f s after the switch:\n%s", ready.Sub(p.on).Seconds(), p.story())
	p.checkChain(t)
	p.capture(t, c.role)
	if got := computer.Inventory; got.Firmware != string(k.spec.Firmware) || got.SecureBoot != k.spec.SecureBoot {
		t.Errorf("the agent says firmware %s, Secure Boot %v; want %s, %v", got.Firmware, got.SecureBoot, k.spec.Firmware, k.spec.SecureBoot)
	}
	p.PowerOff()
	p.powerOn()
	p.checkOwnDisk(t)
}

// ownDiskTime is within what a PC without work must have left the network boot after DHCP has told it to.
const ownDiskTime = 3 * time.Second

// checkOwnDisk waits until the system on the PC's disk has started, which it comes to by DHCP alone, and at once.
func (p *pc) checkOwnDisk(t *testing.T) {
	t.Helper()
	left := time.Time{}
	if p.spec.Firmware == lab.UEFI {
		// The firmware gives the network up. The loaders of the system then check each other's signatures, which takes its time in emulation.
		left = p.awaitLine("failed to load Boot0000")
	}
	started := p.awaitLine(p.line)
	if left.IsZero() {
		left = started
	}
	told := p.answered()
	t.Logf("own disk: first DHCP answer %.2f s after the switch, last %.2f s, network left %.2f s after that, system started %.2f s after that:\n%s",
		p.offered().Sub(p.on).Seconds(), told.Sub(p.on).Seconds(), left.Sub(told).Seconds(), started.Sub(told).Seconds(), p.story())
	if took := left.Sub(told); told.IsZero() || took > ownDiskTime {
		t.Errorf("it left the network %s after DHCP told it to, want %s at most", took, ownDiskTime)
	}
	for _, r := range p.requests() {
		if p.spec.Netboot != lab.HTTPBoot {
			t.Errorf("it loaded something on the way to its own disk: %s", r)
		}
	}
}
