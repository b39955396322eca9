package netboot

import (
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"aula/netboot/dhcp"
	"aula/netboot/lease"
)

// ear remembers what it is told.
type ear struct {
	events  []Event
	notices []Notice
}

func (e *ear) Observe(v Event) { e.events = append(e.events, v) }

func (e *ear) Notify(n Notice) { e.notices = append(e.notices, n) }

var (
	onePC      = lease.MAC{0x52, 0x54, 0, 0, 0, 1}
	oneAddress = netip.MustParseAddr("10.20.30.50")
)

func listening() (*watch, *ear) {
	e := &ear{}
	w := newWatch(e)
	w.leased = func(netip.Addr) (lease.MAC, bool) { return lease.MAC{}, false }
	w.proxy = func() bool { return true }
	w.planned = func(lease.MAC) string { return BootClientOS }
	return w, e
}

// reply is an answer of a kind, with or without an address.
func reply(kind dhcpv4.MessageType, a netip.Addr) *dhcpv4.DHCPv4 {
	r := &dhcpv4.DHCPv4{OpCode: dhcpv4.OpcodeBootReply, Options: dhcpv4.OptionsFromList(dhcpv4.OptMessageType(kind))}
	if a.IsValid() {
		r.YourIPAddr = a.AsSlice()
	}
	return r
}

func TestDecisionsBecomeEvents(t *testing.T) {
	rom := dhcp.Request{Kind: dhcp.Selecting, MAC: onePC, Firmware: dhcp.UEFIx64, HTTP: true}
	ipxe := dhcp.Request{Kind: dhcp.Selecting, MAC: onePC, Firmware: dhcp.BIOS, IPXE: true, Relay: netip.MustParseAddr("10.7.0.1")}
	ack, offered := reply(dhcpv4.MessageTypeAck, oneAddress), reply(dhcpv4.MessageTypeOffer, oneAddress)
	for name, row := range map[string]struct {
		r    dhcp.Request
		d    dhcp.Decision
		want Event
	}{
		"offer": {rom, dhcp.Decision{Reply: offered, Note: "offered", Advice: dhcp.Advice{Action: dhcp.Load}},
			Event{Phase: Asked, Detail: "offered", Address: oneAddress, Firmware: UEFIx64, HTTP: true}},
		"it boots": {rom, dhcp.Decision{Reply: ack, Note: "has it", Told: true, Advice: dhcp.Advice{Action: dhcp.Load}},
			Event{Phase: Answered, Detail: "has it", Address: oneAddress, Firmware: UEFIx64, HTTP: true, Target: BootClientOS}},
		"it boots its disk, through a relay": {ipxe, dhcp.Decision{Reply: ack, Note: "disk", Told: true, Advice: dhcp.Advice{Action: dhcp.LocalDisk}},
			Event{Phase: Answered, Detail: "disk", Address: oneAddress, Firmware: BIOS, IPXE: true, Relay: ipxe.Relay, Target: BootDisk}},
		"by proxy, at 4011": {dhcp.Request{Kind: dhcp.Renewing, MAC: onePC, Firmware: dhcp.BIOS, Current: oneAddress, BootServer: true},
			dhcp.Decision{Reply: reply(dhcpv4.MessageTypeAck, netip.Addr{}), Note: "boots", Told: true, Advice: dhcp.Advice{Action: dhcp.Load}},
			Event{Phase: Answered, Detail: "boots", Address: oneAddress, Firmware: BIOS, Target: BootClientOS}},
		"left alone": {rom, dhcp.Decision{Note: "alone", Level: slog.LevelDebug, Advice: dhcp.Advice{Action: dhcp.Ignore}},
			Event{Phase: Answered, Detail: "alone", Firmware: UEFIx64, HTTP: true, Target: BootNothing}},
		"refused": {rom, dhcp.Decision{Reply: reply(dhcpv4.MessageTypeNak, netip.Addr{}), Note: "no", Level: slog.LevelInfo},
			Event{Phase: Failed, Detail: "no", Firmware: UEFIx64, HTTP: true}},
		"no address is left": {rom, dhcp.Decision{Note: "none is free", Level: slog.LevelError, Key: "dhcp/exhausted/x"},
			Event{Phase: Failed, Detail: "none is free", Firmware: UEFIx64, HTTP: true}},
		"went to another server": {rom, dhcp.Decision{Note: "took another's", Level: slog.LevelInfo, Key: otherServer + "10.20.30.2"},
			Event{Phase: Failed, Detail: "took another's", Firmware: UEFIx64, HTTP: true}},
	} {
		w, e := listening()
		w.decided(row.r, row.d)
		if len(e.events) != 1 {
			t.Errorf("%s: events %+v, want one", name, e.events)
			continue
		}
		want := row.want
		want.Time, want.MAC, want.Step = e.events[0].Time, onePC.String(), StepDHCP
		if e.events[0] != want || want.Time.IsZero() {
			t.Errorf("%s: event %+v\nwant %+v", name, e.events[0], want)
		}
	}
}

func TestDecisionsBecomeNotices(t *testing.T) {
	about := "dhcp/offers/" + onePC.String()
	for name, row := range map[string]struct {
		r    dhcp.Request
		d    dhcp.Decision
		want []Notice
	}{
		"none":                 {dhcp.Request{MAC: onePC}, dhcp.Decision{Note: "has it"}, nil},
		"of the network":       {dhcp.Request{MAC: onePC}, dhcp.Decision{Note: "no address is left", Key: "k", Level: slog.LevelError}, []Notice{{Key: "k", Level: Alarm, Text: "No address is left."}}},
		"of nobody":            {dhcp.Request{}, dhcp.Decision{Note: "10.0.0.1 is used", Key: "k", Level: slog.LevelWarn}, []Notice{{Key: "k", Level: Warning, Text: "10.0.0.1 is used."}}},
		"of a PC":              {dhcp.Request{MAC: onePC}, dhcp.Decision{Note: "the PC takes none", Key: about, Level: slog.LevelWarn}, []Notice{{Key: about, Level: Warning, Text: "The PC takes none.", MAC: onePC.String()}}},
		"over":                 {dhcp.Request{}, dhcp.Decision{Note: "it is over", Key: "k", Gone: true, Level: slog.LevelInfo}, []Notice{{Key: "k", Level: Info, Text: "It is over.", Gone: true}}},
		"what the keeper says": {dhcp.Request{MAC: onePC}, dhcp.Decision{Note: "another", Key: otherServer + "x"}, nil},
	} {
		w, e := listening()
		w.decided(row.r, row.d)
		if !slices.Equal(e.notices, row.want) {
			t.Errorf("%s: notices %+v, want %+v", name, e.notices, row.want)
		}
		if row.r.MAC == (lease.MAC{}) && len(e.events) != 0 {
			t.Errorf("%s: an event of nobody: %+v", name, e.events)
		}
	}
}

func TestWhoUsesAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, _ := listening()
		other := lease.MAC{0x52, 0x54, 0, 0, 0, 2}
		w.leased = func(a netip.Addr) (lease.MAC, bool) { return other, a == oneAddress }
		check := func(want lease.MAC, known bool) {
			t.Helper()
			if got, ok := w.find(oneAddress); got != want || ok != known {
				t.Errorf("at %s is %s, %v, want %s, %v", oneAddress, got, ok, want, known)
			}
		}
		check(lease.MAC{}, false) // the lease is of a time when this Aula leased
		message, err := dhcpv4.NewDiscovery(net.HardwareAddr(onePC[:]))
		if err != nil {
			t.Fatal(err)
		}
		w.overhear(message.ToBytes())
		check(lease.MAC{}, false)
		message.ClientIPAddr = oneAddress.AsSlice()
		for _, cut := range []int{0, 20, 33} {
			w.overhear(message.ToBytes()[:cut])
		}
		check(lease.MAC{}, false)
		w.overhear(message.ToBytes())
		check(onePC, true)
		w.proxy = func() bool { return false }
		check(other, true)
		w.proxy = func() bool { return true }
		time.Sleep(usesFor + time.Second)
		check(lease.MAC{}, false)
	})
}

func TestWhoBoots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, e := listening()
		boots := func() bool { return w.isBooting(onePC[:]) }
		w.decided(dhcp.Request{Kind: dhcp.Discover, MAC: onePC}, dhcp.Decision{Note: "offered"})
		if boots() {
			t.Error("an installed system boots")
		}
		rom := dhcp.Request{Kind: dhcp.Discover, MAC: onePC, Firmware: dhcp.BIOS}
		w.decided(rom, dhcp.Decision{Note: "offered"})
		if !boots() || w.isBooting(nil) {
			t.Error("a boot ROM does not boot")
		}
		time.Sleep(bootingFor + time.Second)
		if boots() {
			t.Errorf("it still boots after %s", bootingFor)
		}
		w.decided(rom, dhcp.Decision{Note: "offered"})
		w.to.Observe(Event{MAC: onePC.String(), Step: StepKernel, Phase: Answered})
		if !boots() {
			t.Error("with the kernel alone it has left the boot loader")
		}
		w.to.Observe(Event{MAC: onePC.String(), Step: StepInitramfs, Phase: Answered})
		if boots() {
			t.Error("with kernel and initramfs it is still in its boot loader")
		}
		if len(e.events) != 5 {
			t.Errorf("%d events were handed on, want 5", len(e.events))
		}
		system, err := dhcpv4.NewDiscovery(net.HardwareAddr(onePC[:]))
		if err != nil {
			t.Fatal(err)
		}
		loader, err := dhcpv4.NewDiscovery(net.HardwareAddr(onePC[:]), dhcpv4.WithOption(dhcpv4.OptClassIdentifier("PXEClient")),
			dhcpv4.WithOption(dhcpv4.OptClientArch(iana.INTEL_X86PC)))
		if err != nil {
			t.Fatal(err)
		}
		told := func(a dhcp.Action, told bool) func() {
			return func() { w.decided(rom, dhcp.Decision{Note: "n", Told: told, Advice: dhcp.Advice{Action: a}}) }
		}
		for name, row := range map[string]struct {
			do    func()
			boots bool
		}{
			"told to load":           {told(dhcp.Load, true), true},
			"offered its disk":       {told(dhcp.LocalDisk, false), true},
			"told to boot its disk":  {told(dhcp.LocalDisk, true), false},
			"refused":                {told(dhcp.Refuse, true), false},
			"left alone":             {told(dhcp.Ignore, false), false},
			"script of the disk":     {func() { w.to.Observe(Event{MAC: onePC.String(), Step: StepScript, Phase: Answered, Target: BootDisk}) }, false},
			"script of the menu":     {func() { w.to.Observe(Event{MAC: onePC.String(), Step: StepScript, Phase: Answered, Target: BootMenu}) }, true},
			"its system is heard":    {func() { w.overhear(system.ToBytes()) }, false},
			"its loader is heard":    {func() { w.overhear(loader.ToBytes()) }, true},
			"half a packet is heard": {func() { w.overhear(system.ToBytes()[:100]) }, true},
		} {
			w.boots(onePC)
			row.do()
			if name == "told to boot its disk" && !boots() {
				t.Error("it has left its boot ROM as soon as it was told to")
			}
			time.Sleep(leavingFor + time.Second)
			if boots() != row.boots {
				t.Errorf("%s: boots %v, want %v", name, boots(), row.boots)
			}
		}
	})
}

// What was heard of an address an hour ago keeps no PC from booting that has it now.
func TestAddressIsAnothersOnlyByItsLease(t *testing.T) {
	w, _ := listening()
	other := lease.MAC{0x52, 0x54, 0, 0, 0, 2}
	w.learn(other[:], oneAddress)
	w.leased = func(netip.Addr) (lease.MAC, bool) { return other, true }
	if w.isOthers(oneAddress, onePC) {
		t.Error("where another server leases, what was heard counts")
	}
	w.proxy = func() bool { return false }
	if !w.isOthers(oneAddress, onePC) || w.isOthers(oneAddress, other) {
		t.Error("where this Aula leases, its lease does not count")
	}
}

// Somebody makes up PCs.
func TestWatchIsBounded(t *testing.T) {
	w, _ := listening()
	for i := range 3 * mostHeard {
		mac := lease.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}
		w.boots(mac)
		w.learn(mac[:], netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
	}
	if len(w.booting) > mostHeard || len(w.uses) > mostHeard {
		t.Errorf("%d PCs and %d addresses are remembered, want at most %d", len(w.booting), len(w.uses), mostHeard)
	}
}
