package netboot

import (
	"context"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"aula/netboot/dhcp"
	"aula/netboot/lease"
	"aula/netboot/quirk"
)

// choices is a Decider that has one choice for one boot, and then the usual.
type choices struct {
	once, usual Plan
	asked, told int
	learned     []quirk.Quirk
}

func (c *choices) Known(mac string) bool { return mac == "52:54:00:00:00:01" }

func (c *choices) Plan(Client) Plan {
	c.asked++
	if c.once.Target != "" {
		return c.once
	}
	return c.usual
}

func (c *choices) Told(_ Client, p Plan) {
	c.told++
	if p.Target == c.once.Target {
		c.once = Plan{}
	}
}

func (c *choices) Learn(_ string, q quirk.Quirk, _ string) { c.learned = append(c.learned, q) }

func (c *choices) Decide(context.Context, Client) (Boot, error) { return Boot{}, nil }

var aPC = lease.MAC{0x52, 0x54, 0, 0, 0, 1}

// asks makes what a PC sends in the conversation xid.
func asks(t *testing.T, mac lease.MAC, kind dhcpv4.MessageType, class string, arch iana.Arch, xid byte, more ...dhcpv4.Modifier) dhcp.Request {
	t.Helper()
	p, err := dhcpv4.New(append([]dhcpv4.Modifier{
		dhcpv4.WithHwAddr(net.HardwareAddr(mac[:])), dhcpv4.WithMessageType(kind), dhcpv4.WithTransactionID(dhcpv4.TransactionID{0, 0, 0, xid}),
		dhcpv4.WithOption(dhcpv4.OptClassIdentifier(class)), dhcpv4.WithOption(dhcpv4.OptClientArch(arch)),
	}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	r, err := dhcp.Decode(p.ToBytes())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func uefiLooks(t *testing.T, xid byte) dhcp.Request {
	return asks(t, aPC, dhcpv4.MessageTypeDiscover, "PXEClient", iana.EFI_X86_64, xid)
}

// What is planned for a PC, and what it is told by DHCP.
func TestAdvice(t *testing.T) {
	for _, row := range []struct {
		plan Plan
		arch iana.Arch
		want dhcp.Action
		why  string
	}{
		{Plan{Target: BootClientOS, Why: "it has work"}, iana.EFI_X86_64, dhcp.Load, "it has work"},
		{Plan{Target: BootMenu}, iana.EFI_X86_64, dhcp.Load, ""},
		{Plan{Target: BootDisk}, iana.EFI_X86_64, dhcp.LocalDisk, ""},
		{Plan{Target: BootDisk, Quirks: quirk.Set{quirk.ScriptForDisk}}, iana.EFI_X86_64, dhcp.Load, ""},
		{Plan{Target: BootDisk}, iana.INTEL_X86PC, dhcp.LocalDisk, ""},
		{Plan{Target: BootNothing}, iana.EFI_X86_64, dhcp.Ignore, ""},
		{Plan{Target: BootClientOS}, iana.EFI_ARM64, dhcp.Refuse, "there is no client OS for ARM64 yet"},
		{Plan{Target: BootDisk}, iana.EFI_IA32, dhcp.Refuse, "there is no client OS for 32-bit UEFI yet"},
		{Plan{Target: BootNothing}, iana.EFI_ARM64, dhcp.Ignore, ""},
		{Plan{Target: "something new"}, iana.EFI_X86_64, dhcp.LocalDisk, ""},
	} {
		g := newRegister(&choices{usual: row.plan}, time.Now)
		got := g.Advise(asks(t, aPC, dhcpv4.MessageTypeDiscover, "PXEClient", row.arch, 1))
		if got.Action != row.want || got.Why != row.why || !slices.Equal(got.Quirks, row.plan.Quirks) {
			t.Errorf("%+v on %s: %+v, want %s (%s)", row.plan, row.arch, got, row.want, row.why)
		}
	}
}

// A choice for one boot holds for all who ask in that boot, and not for the next.
func TestPlanIsKeptForOneBoot(t *testing.T) {
	clock := time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)
	d := &choices{once: Plan{Target: BootDisk}, usual: Plan{Target: BootClientOS}}
	g := newRegister(d, func() time.Time { return clock })
	step := func(after time.Duration, name string, r dhcp.Request, want dhcp.Action) {
		t.Helper()
		clock = clock.Add(after)
		a := g.Advise(r)
		g.Told(r, a)
		if a.Action != want {
			t.Errorf("%s: %s, want %s", name, a.Action, want)
		}
	}
	wants := dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(net.IP{10, 0, 0, 9}))
	server := dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IP{10, 0, 0, 1}))
	step(0, "the ROM looks", uefiLooks(t, 1), dhcp.LocalDisk)
	step(4*time.Second, "the ROM looks again", uefiLooks(t, 1), dhcp.LocalDisk)
	step(4*time.Second, "the ROM takes the offer", asks(t, aPC, dhcpv4.MessageTypeRequest, "PXEClient", iana.EFI_X86_64, 1, wants, server), dhcp.LocalDisk)
	step(time.Second, "HTTP Boot looks", asks(t, aPC, dhcpv4.MessageTypeDiscover, "HTTPClient", iana.EFI_X86_64_HTTP, 2), dhcp.LocalDisk)
	if d.told != 1 || d.asked != 1 {
		t.Errorf("the Decider was asked %d times and told %d times, want both 1", d.asked, d.told)
	}
	step(5*time.Second, "the PC is reset", uefiLooks(t, 3), dhcp.Load)
	d.usual = Plan{Target: BootDisk}
	step(time.Second, "its iPXE looks", asks(t, aPC, dhcpv4.MessageTypeDiscover, "PXEClient", iana.EFI_X86_64, 4,
		dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.OptionUserClassInformation, []byte("iPXE")))), dhcp.Load)
	step(planTime, "much later HTTP Boot looks", asks(t, aPC, dhcpv4.MessageTypeDiscover, "HTTPClient", iana.EFI_X86_64_HTTP, 5), dhcp.LocalDisk)
}

func TestRefusedPCKeepsItsChoice(t *testing.T) {
	d := &choices{once: Plan{Target: BootDisk}}
	g := newRegister(d, time.Now)
	r := asks(t, aPC, dhcpv4.MessageTypeDiscover, "PXEClient", iana.EFI_ARM64, 1)
	g.Told(r, g.Advise(r))
	if d.told != 0 {
		t.Error("the Decider was told a plan that the PC was not told")
	}
}

// A PC that boots its disk by a script takes the choice when its loader asks, not before.
func TestDiskByScriptIsLeftToTheLoader(t *testing.T) {
	d := &choices{once: Plan{Target: BootDisk, Quirks: quirk.Set{quirk.ScriptForDisk}}, usual: Plan{Target: BootClientOS}}
	g := newRegister(d, time.Now)
	r := uefiLooks(t, 1)
	a := g.Advise(r)
	g.Told(r, a)
	if a.Action != dhcp.Load || d.told != 0 || d.once.Target != BootDisk {
		t.Errorf("%s; the Decider was told %d times, and once the PC boots %q", a.Action, d.told, d.once.Target)
	}
	if got := g.target(aPC); got != "" {
		t.Errorf("it counts as told to boot %q", got)
	}
}

func TestWhatIsLearnedHoldsAtOnce(t *testing.T) {
	d := &choices{usual: Plan{Target: BootClientOS, Quirks: quirk.Set{quirk.SlowHTTP}}}
	g := newRegister(d, time.Now)
	g.Advise(uefiLooks(t, 1))
	g.Learn(aPC, quirk.AskBootServer, "it helped")
	g.Learn(aPC, quirk.AskBootServer, "it helped again")
	if a := g.Advise(uefiLooks(t, 1)); !slices.Equal(a.Quirks, quirk.Set{quirk.SlowHTTP, quirk.AskBootServer}) {
		t.Errorf("quirks = %v", a.Quirks)
	}
	if len(d.usual.Quirks) != 1 || len(d.learned) != 2 {
		t.Errorf("the Decider's own set became %v, and it learned %v", d.usual.Quirks, d.learned)
	}
	if !g.Known(aPC) || g.Known(lease.MAC{2, 3}) {
		t.Error("Known is not the Decider's")
	}
}

func TestPlansAreBounded(t *testing.T) {
	g := newRegister(&choices{usual: Plan{Target: BootDisk}}, time.Now)
	for i := range maxPlans + 100 {
		g.Advise(asks(t, lease.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}, dhcpv4.MessageTypeDiscover, "PXEClient", iana.EFI_X86_64, 1))
	}
	if len(g.plans) != maxPlans {
		t.Errorf("%d plans are kept, want %d", len(g.plans), maxPlans)
	}
}

// Names of firmware are the same on both sides, because one is converted to the other.
func TestFirmwareNamesAgree(t *testing.T) {
	for here, there := range map[Firmware]dhcp.Firmware{BIOS: dhcp.BIOS, UEFIx64: dhcp.UEFIx64, UEFIia32: dhcp.UEFIia32, UEFIARM64: dhcp.UEFIARM64} {
		if string(here) != string(there) {
			t.Errorf("%q here is %q in package dhcp", here, there)
		}
	}
	c := clientOfDHCP(asks(t, aPC, dhcpv4.MessageTypeDiscover, "HTTPClient", iana.EFI_ARM64_HTTP, 1))
	if c.Firmware != UEFIARM64 || !c.HTTP || !strings.HasSuffix(c.MAC, ":01") {
		t.Errorf("client = %+v", c)
	}
}
