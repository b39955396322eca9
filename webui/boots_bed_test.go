package webui

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"aula/appliance/boot"
	"aula/netboot"
	"aula/netboot/dhcp"
	"aula/netboot/lease"
	"aula/netboot/neighbour"
)

// fakeBoots are the boots and notices that a test tells of.
type fakeBoots struct {
	mu       sync.Mutex
	boots    map[string][]boot.Boot // by MAC, the latest first
	notices  []boot.Notice
	forgiven []string
}

func (f *fakeBoots) Boots() []boot.Boot {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []boot.Boot
	for _, history := range f.boots {
		all = append(all, history[0])
	}
	slices.SortFunc(all, func(a, b boot.Boot) int { return strings.Compare(b.Began.String()+b.MAC, a.Began.String()+a.MAC) })
	return all
}

func (f *fakeBoots) History(mac string) []boot.Boot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.boots[mac])
}

func (f *fakeBoots) Notices() []boot.Notice {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.notices)
}

func (f *fakeBoots) Dismiss(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notices = slices.DeleteFunc(f.notices, func(n boot.Notice) bool { return n.Key == key })
}

func (f *fakeBoots) Forgive(mac string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgiven = append(f.forgiven, mac)
}

// boots tells of a new boot, or of more of the last one when it began at the same moment.
func (b *bed) boots(all ...boot.Boot) {
	b.t.Helper()
	f := b.booted
	f.mu.Lock()
	for _, one := range all {
		history := f.boots[one.MAC]
		if len(history) > 0 && history[0].Began.Equal(one.Began) {
			history = history[1:]
		}
		f.boots[one.MAC] = append([]boot.Boot{one}, history...)
	}
	f.mu.Unlock()
	for _, one := range all {
		b.server.BootChanged(one.MAC)
	}
}

func (b *bed) notify(all ...boot.Notice) {
	b.booted.mu.Lock()
	b.booted.notices = all
	b.booted.mu.Unlock()
	b.server.BootChanged("")
}

// fakeNetwork is the network as a test says it is.
type fakeNetwork struct {
	mu     sync.Mutex
	status netboot.Status
	leases []lease.Lease
	calls  []string
	failed error // of Probe
}

func (f *fakeNetwork) Status() netboot.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *fakeNetwork) SetMode(m netboot.Mode) { f.call("mode " + string(m)) }
func (f *fakeNetwork) Reconsider()            { f.call("reconsider") }
func (f *fakeNetwork) Leases() []lease.Lease  { return f.leases }

func (f *fakeNetwork) Probe(context.Context) ([]neighbour.Server, error) {
	f.call("probe")
	return nil, f.failed
}

func (f *fakeNetwork) call(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, what)
}

// called returns what was called since it was asked last.
func (f *fakeNetwork) called() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := strings.Join(f.calls, ", ")
	f.calls = nil
	return all
}

func (b *bed) isNetwork(change func(*netboot.Status)) {
	b.network.mu.Lock()
	change(&b.network.status)
	b.network.mu.Unlock()
	b.server.BootChanged("")
}

// quietNetwork is one where Aula leases and all is well.
func quietNetwork() netboot.Status {
	return netboot.Status{
		Interface: "eth1", Address: netip.MustParsePrefix("192.168.77.1/24"), Mode: netboot.ModeAuto, Role: dhcp.Full,
		Probed: time.Date(2031, 3, 4, 9, 25, 0, 0, time.UTC),
		Pools: []netboot.Pool{{Network: netip.MustParsePrefix("192.168.77.0/24"), First: netip.MustParseAddr("192.168.77.128"),
			Last: netip.MustParseAddr("192.168.77.254"), Size: 127, Leased: 18, Reserved: 2}},
	}
}

// A bootStory makes a boot step by step.
type bootStory struct {
	boot.Boot
	at time.Time
}

// bootOf begins the story of the n-th PC, so long ago.
func (b *bed) bootOf(n int, ago time.Duration) *bootStory {
	began := b.clock.Now().Add(-ago)
	one := boot.Boot{MAC: mac(n), State: boot.Underway, Began: began, Firmware: netboot.UEFIx64, Address: netip.AddrFrom4([4]byte{192, 168, 77, byte(127 + n)})}
	computers, err := b.cat.Computers()
	b.check(err)
	for _, pc := range computers {
		if slices.Contains(pc.MACs, one.MAC) {
			one.ComputerID, one.Name = pc.ID, pc.Name
		}
	}
	return &bootStory{one, began}
}

// did is a step that was answered after so long.
func (s *bootStory) did(name string, took time.Duration) *bootStory {
	return s.step(name, netboot.Answered, took, "answered "+name, 1)
}

func (s *bootStory) step(name, phase string, took time.Duration, detail string, times int) *bootStory {
	s.Steps = append(s.Steps, boot.Step{Name: name, Phase: phase, Detail: detail, Began: s.at, Last: s.at.Add(took), Times: times})
	s.at = s.at.Add(took + 150*time.Millisecond)
	return s
}

func (s *bootStory) to(target, why string) *bootStory {
	s.Target, s.Why = target, why
	return s
}

func (s *bootStory) arrived() boot.Boot {
	s.State, s.Ended = boot.Arrived, s.at
	return s.Boot
}

func (s *bootStory) stopped(reason string) boot.Boot {
	s.State, s.Ended, s.Reason = boot.Stopped, s.at.Add(time.Minute), reason
	return s.Boot
}

// loaded is the way until the script.
func (s *bootStory) loaded() *bootStory {
	return s.did(netboot.StepDHCP, 340*time.Millisecond).did(netboot.StepLoader, 1200*time.Millisecond).did(netboot.StepScript, 18*time.Millisecond)
}

// bootsInEveryState are PCs 1 to 12, of which the first are in the classroom.
func (b *bed) bootsInEveryState() {
	b.t.Helper()
	work := "work waits for it"
	whole := b.bootOf(1, 2*time.Minute).to(netboot.BootClientOS, work).loaded().did(netboot.StepKernel, 310*time.Millisecond).
		did(netboot.StepInitramfs, 1900*time.Millisecond).did(boot.StepAgent, 0)
	whole.Steps[5].Began, whole.Steps[5].Last = whole.at.Add(4*time.Second), whole.at.Add(4*time.Second)
	disk := b.bootOf(2, 100*time.Second).to(netboot.BootDisk, "nothing else is chosen for it").did(netboot.StepDHCP, 420*time.Millisecond)
	menu := b.bootOf(3, 90*time.Second).to(netboot.BootMenu, "chosen for the group Teacher").loaded()
	bios := b.bootOf(4, 12*time.Second).to(netboot.BootClientOS, work).did(netboot.StepDHCP, 4100*time.Millisecond).did(netboot.StepLoader, 700*time.Millisecond).
		did(netboot.StepScript, 9*time.Millisecond).did(netboot.StepKernel, 900*time.Millisecond).step(netboot.StepInitramfs, netboot.Asked, 3*time.Second, "asked for initramfs.img", 1)
	bios.Firmware = netboot.BIOS
	bios.Steps[4].Bytes, bios.Steps[4].Size = 42_000_000, 100_000_000
	asking := b.bootOf(5, 5*time.Second).step(netboot.StepDHCP, netboot.Asked, 4*time.Second, "DISCOVER", 3)
	asking.Address = netip.Addr{}
	loading := b.bootOf(6, 3*time.Second).to(netboot.BootClientOS, work).did(netboot.StepDHCP, 300*time.Millisecond)
	loading.HTTP, loading.Relay = true, netip.MustParseAddr("10.20.0.1")
	never := b.bootOf(7, 4*time.Minute).to(netboot.BootClientOS, work).did(netboot.StepDHCP, 400*time.Millisecond)
	secure := b.bootOf(8, 3*time.Minute).to(netboot.BootClientOS, work).did(netboot.StepDHCP, 350*time.Millisecond).
		step(netboot.StepLoader, netboot.Failed, 2*time.Second, "shimx64.efi: the PC broke the transfer off after 512 bytes", 2)
	rom := b.bootOf(30, time.Minute).to(netboot.BootClientOS, "nobody has accepted it yet").did(netboot.StepDHCP, 220*time.Millisecond).
		did(netboot.StepScript, 12*time.Millisecond).did(netboot.StepKernel, 300*time.Millisecond).did(netboot.StepInitramfs, 2100*time.Millisecond)
	rom.IPXE, rom.Firmware = true, netboot.BIOS
	strange := b.bootOf(40, 30*time.Second).did(netboot.StepDHCP, 80*time.Millisecond).to(netboot.BootDisk, "there is no client OS for UEFI on ARM64 yet")
	strange.Firmware = netboot.UEFIARM64
	b.boots(whole.arrived(), disk.arrived(), menu.arrived(), bios.Boot, asking.Boot, loading.Boot, rom.Boot, strange.arrived(),
		never.stopped("It got its address and was told to load shimx64.efi, but never asked for it. Often a firewall between the PC and this server drops TFTP (UDP port 69), or the PC heeds another DHCP server. Look whether both are in the same network, and whether the switch port has DHCP snooping."),
		secure.stopped("It broke the boot loader off twice. With Secure Boot this is how firmware acts that does not have Microsoft's third-party key. Allow the “Microsoft 3rd Party UEFI CA” in its firmware, or switch Secure Boot off."))
}

// question is a network on which nobody leases.
func asking(st *netboot.Status) { st.Role, st.Asking, st.Pools[0].Leased = dhcp.Proxy, true, 0 }

// foreign is a network on which another server leases.
func foreign(st *netboot.Status) {
	st.Role, st.Asking, st.Pools = dhcp.Proxy, false, nil
	st.Others = []neighbour.Server{{Address: netip.MustParseAddr("10.1.2.3"), MAC: "00:15:5d:00:04:01", Leases: true, Boots: true, Offered: netip.MustParseAddr("10.1.2.140"),
		First: time.Date(2031, 3, 1, 7, 0, 0, 0, time.UTC), Last: time.Date(2031, 3, 4, 9, 25, 0, 0, time.UTC)}}
}

func (b *bed) someNotices() {
	b.notify(
		boot.Notice{Notice: netboot.Notice{Key: "rogue", Level: netboot.Alarm, Text: "another DHCP server, 192.168.77.250 (52:54:00:aa:bb:cc), leases addresses on eth1: unplug it, or set the mode to proxy"}, Since: b.clock.Now().Add(-3 * time.Minute), Times: 4},
		boot.Notice{Notice: netboot.Notice{Key: "loop", Level: netboot.Warning, Text: "pc-07 has booted the client OS 6 times in 10 minutes without work and boots its own disk now: look at its screen", MAC: mac(7)}, Since: b.clock.Now().Add(-8 * time.Minute), Times: 1},
		boot.Notice{Notice: netboot.Notice{Key: "info", Level: netboot.Info, Text: "pc-06 does not heed option 43; it is asked at port 4011 from now on", MAC: mac(6)}, Since: b.clock.Now().Add(-time.Hour), Times: 1},
	)
}

// hostileBoots tells of boots, notices and a network as if strangers had written every word of them.
func hostileBoots(b *bed) {
	for _, n := range []int{1, 50} {
		one := b.bootOf(n, time.Minute)
		one.Firmware, one.Why, one.Name, one.Classroom = hostile, hostile, hostile, hostile
		one.step(netboot.StepDHCP, netboot.Asked, -time.Hour, hostile, -1).step(hostile, hostile, 1<<62, hostile, 1<<62)
		one.Steps[1].Bytes, one.Steps[1].Size = -1, 1<<62
		b.boots(one.stopped(hostile))
		b.boots(b.bootOf(n, time.Second).to(hostile, hostile).step(netboot.StepKernel, netboot.Failed, 0, hostile, 1).stopped(hostile))
	}
	b.notify(boot.Notice{Notice: netboot.Notice{Key: hostile, Level: netboot.Alarm, Text: hostile, MAC: mac(1)}},
		boot.Notice{Notice: netboot.Notice{Key: "2", Level: hostile, Text: hostile, MAC: hostile}})
	b.network.failed = errors.New(hostile)
	b.isNetwork(func(st *netboot.Status) {
		asking(st)
		st.Interface, st.Mode = hostile, hostile
		st.Others = []neighbour.Server{{MAC: hostile, Aula: hostile, Leases: true}, {Aula: hostile, Boots: true}}
		st.Pools = append(st.Pools, netboot.Pool{Size: -1, Leased: 1 << 40})
	})
}
