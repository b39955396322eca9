package dhcp

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"aula/netboot/lease"
	"aula/netboot/quirk"
)

// An adviser is a Register that gives everybody the same advice, Load by default, and remembers what it learns.
type adviser struct {
	advice  Advice
	learned []quirk.Quirk
}

func (a *adviser) Known(lease.MAC) bool { return true }

func (a *adviser) Advise(r Request) Advice {
	advice := a.advice
	if advice.Action == "" {
		advice.Action = Load
	}
	advice.Quirks = append(slices.Clone(advice.Quirks), a.learned...)
	return advice
}

func (a *adviser) Told(Request, Advice) {}

func (a *adviser) Learn(_ lease.MAC, q quirk.Quirk, _ string) { a.learned = append(a.learned, q) }

func newProxy(reg Register) *ProxyResponder {
	n := testNetwork()
	n.HTTP = "10.0.0.1"
	n.Files = Files{BIOS: "undionly.kpxe", BIOSDrivers: "ipxe.pxe", UEFI: "shimx64.efi", UEFIIPXE: "snponly.efi", UEFIDrivers: "ipxe.efi"}
	return NewProxyResponder(n, reg)
}

// ROMs as they ask.
var (
	biosROM  = []option{class("PXEClient:Arch:00000:UNDI:002001"), arch(0)}
	biosIPXE = []option{class("PXEClient:Arch:00000:UNDI:002001"), arch(0), generic(77, []byte("iPXE")...), generic(175, 0x13, 1, 1)}
	uefiROM  = []option{class("PXEClient:Arch:00007:UNDI:003000"), arch(7)}
	uefiIPXE = []option{class("PXEClient:Arch:00007:UNDI:003016"), arch(7), generic(77, []byte("iPXE")...), generic(175, 0x13, 1, 1)}
	uefiHTTP = []option{class("HTTPClient:Arch:00016:UNDI:003000"), arch(16)}
	armROM   = []option{class("PXEClient:Arch:00011:UNDI:003000"), arch(11)}
	armHTTP  = []option{class("HTTPClient:Arch:00019:UNDI:003000"), arch(19)}
)

func with(rom []option, more ...option) []option { return slices.Concat(rom, more) }

// quirky is the advice to load for a PC with a quirk.
func quirky(q quirk.Quirk) Advice { return Advice{Action: Load, Quirks: quirk.Set{q}} }

// atBootServer makes of a request one that came to port 4011.
func atBootServer(r Request, from string) Request {
	r.BootServer, r.Peer = true, netip.MustParseAddrPort(from)
	return r
}

// Row 20 of the table of behaviour: ProxyDHCP answers only who boots from the network, gives no address, and answers at port 4011 too.
func TestRow20ProxyDHCP(t *testing.T) {
	for _, row := range []struct {
		name   string
		advice Advice
		kind   dhcpv4.MessageType
		ports  []option
		at4011 string // where it came from, to port 4011
		want   dhcpv4.MessageType
		to     string
		told   bool
	}{
		{name: "BIOS looks for a server", kind: discover, ports: biosROM, want: offer, to: "255.255.255.255:68", told: true},
		{name: "UEFI looks for a server", kind: discover, ports: uefiROM, want: offer, to: "255.255.255.255:68", told: true},
		{name: "HTTP Boot looks for a server", kind: discover, ports: uefiHTTP, want: offer, to: "255.255.255.255:68", told: true},
		{name: "iPXE looks for a server", kind: discover, ports: biosIPXE, want: offer, to: "255.255.255.255:68", told: true},
		{name: "ARM64 looks for a server", advice: Advice{Action: Refuse}, kind: discover, ports: armROM, want: offer, to: "255.255.255.255:68", told: true},
		{name: "through a relay agent", kind: discover, ports: with(uefiROM, through(ip(254))), want: offer, to: "10.0.0.254:67", told: true},
		{name: "Windows looks for a server", kind: discover, ports: []option{class("MSFT 5.0")}, want: silence},
		{name: "the client OS looks for a server", kind: discover, want: silence},
		{name: "a PC that is to be left alone", advice: Advice{Action: Ignore}, kind: discover, ports: uefiROM, want: silence},
		{name: "a PC that is left to the other server", advice: quirky(quirk.OneOffer), kind: discover, ports: uefiROM, want: silence},
		{name: "a PC that is to ask port 4011", advice: quirky(quirk.AskBootServer), kind: discover, ports: uefiROM, want: offer, to: "255.255.255.255:68"},
		{name: "takes the other server's address", kind: ask, ports: with(uefiROM, to(ip(2)), wants(ip(60))), want: silence},
		{name: "renews at the other server", kind: ask, ports: with(uefiROM, uses(ip(60))), want: silence},
		{name: "gives its address back", kind: dhcpv4.MessageTypeRelease, ports: with(uefiROM, uses(ip(60))), want: silence},
		{name: "has an address and asks for the rest", kind: dhcpv4.MessageTypeInform, ports: with(biosROM, uses(ip(60))), want: ack, to: "10.0.0.60:68", told: true},
		{name: "Windows has an address and asks for the rest", kind: dhcpv4.MessageTypeInform, ports: []option{class("MSFT 5.0"), uses(ip(60))}, want: silence},

		{name: "UEFI at port 4011", kind: ask, ports: with(uefiROM, uses(ip(60))), at4011: "10.0.0.60:4011", want: ack, to: "10.0.0.60:4011", told: true},
		{name: "iPXE at port 4011", kind: ask, ports: with(biosIPXE, uses(ip(60)), to(server)),
			at4011: "10.0.0.60:68", want: ack, to: "10.0.0.60:68", told: true},
		{name: "a ROM at port 4011 that names the other server", kind: ask, ports: with(biosROM, uses(ip(60)), to(ip(2))),
			at4011: "10.0.0.60:68", want: ack, to: "10.0.0.60:68", told: true},
		{name: "a ROM at port 4011 that asks by INFORM", kind: dhcpv4.MessageTypeInform, ports: with(biosROM, uses(ip(60))),
			at4011: "10.0.0.60:4011", want: ack, to: "10.0.0.60:4011", told: true},
		{name: "a ROM at port 4011 without a source address", kind: ask, ports: with(biosROM, uses(ip(60))),
			at4011: "0.0.0.0:68", want: ack, to: "10.0.0.60:68", told: true},
		{name: "UEFI at port 4011 that is to be left alone", advice: Advice{Action: Ignore}, kind: ask, ports: with(uefiROM, uses(ip(60))),
			at4011: "10.0.0.60:4011", want: silence},
		{name: "something else at port 4011", kind: ask, ports: []option{uses(ip(60))}, at4011: "10.0.0.60:4011", want: silence},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := request(t, pc1, row.kind, row.ports...)
			if row.at4011 != "" {
				r = atBootServer(r, row.at4011)
			}
			d := newProxy(&adviser{advice: row.advice}).Decide(now, r)
			if got := kindOfReply(d); got != row.want {
				t.Fatalf("reply = %s, want %s (%s)", got, row.want, d.Note)
			}
			if d.Told != row.told {
				t.Errorf("told = %v, want %v", d.Told, row.told)
			}
			if row.want == silence {
				return
			}
			if d.To.String() != row.to {
				t.Errorf("sent to %s, want %s", d.To, row.to)
			}
			p := d.Reply
			if a := address(p.YourIPAddr); a.IsValid() || p.Options.Has(dhcpv4.OptionIPAddressLeaseTime) || p.Options.Has(dhcpv4.OptionSubnetMask) {
				t.Errorf("an address is given: %s", p.Summary())
			}
			if address(p.ServerIPAddr) != server || address(p.ServerIdentifier()) != server {
				t.Errorf("siaddr %s and option 54 %s, want both %s", p.ServerIPAddr, p.ServerIdentifier(), server)
			}
		})
	}
}

func TestBootServerEchoesWhatItWasAskedFor(t *testing.T) {
	item := []byte{71, 4, 0x80, 0, 0, 0}
	r := atBootServer(request(t, pc1, ask, with(uefiROM, uses(ip(60)), generic(43, slices.Concat(item, []byte{255})...))...), "10.0.0.60:4011")
	for action, want := range map[Action][]byte{
		Load:      slices.Concat([]byte{6, 1, 8}, item, []byte{255}),
		LocalDisk: slices.Concat(localBoot[:len(localBoot)-1], item, []byte{255}),
	} {
		d := newProxy(&adviser{advice: Advice{Action: action}}).Decide(now, r)
		if got := d.Reply.Options.Get(dhcpv4.OptionVendorSpecificInformation); !slices.Equal(got, want) {
			t.Errorf("%s: option 43 = %v, want %v", action, got, want)
		}
	}
	if localBoot[len(localBoot)-1] != 255 || loadNamedFile[len(loadNamedFile)-1] != 255 {
		t.Error("what all replies share was changed")
	}
}

// A PC whose firmware does not take offers with option 43 is found out, and helped.
func TestProxyLearnsWhichFirmwareAsksPort4011(t *testing.T) {
	reg := &adviser{}
	proxy := newProxy(reg)
	looks := request(t, pc1, discover, uefiROM...)
	for i, second := range []int{0, 4, 12, 28} { // as UEFI does
		d := proxy.Decide(now.Add(time.Duration(second)*time.Second), looks)
		if has, want := d.Reply.Options.Has(dhcpv4.OptionVendorSpecificInformation), i < 3; has != want || d.Told != want {
			t.Errorf("DISCOVER after %d s: option 43 %v, told %v; want both %v", second, has, d.Told, want)
		}
	}
	later := now.Add(32 * time.Second)
	proxy.Decide(later, request(t, pc1, ask, with(uefiROM, to(ip(2)), wants(ip(60)))...))
	if len(reg.learned) != 0 {
		t.Fatalf("learned %v before it was seen to help", reg.learned)
	}
	asks := atBootServer(request(t, pc1, ask, with(uefiROM, uses(ip(60)))...), "10.0.0.60:4011")
	if d := proxy.Decide(later, asks); d.Reply.BootFileName != "shimx64.efi" || !d.Told {
		t.Errorf("at port 4011 it is told %q, want the boot file", d.Reply.BootFileName)
	}
	if !slices.Equal(reg.learned, quirk.Set{quirk.AskBootServer}) {
		t.Errorf("learned %v, want %s", reg.learned, quirk.AskBootServer)
	}
	if d := proxy.Decide(later.Add(time.Hour), looks); d.Reply.Options.Has(dhcpv4.OptionVendorSpecificInformation) {
		t.Error("the next offer has option 43 again")
	}
}

// Who takes offers, if not at once, is left as it is.
func TestProxyLearnsNothingOfPCsThatTakeOffers(t *testing.T) {
	for name, row := range map[string]struct {
		rom  []option
		step time.Duration
	}{
		"an offer in three is taken": {uefiROM, 4 * time.Second},
		"a PC that restarts slowly":  {uefiROM, 25 * time.Second},
		"iPXE on a slow network":     {uefiIPXE, time.Second},
		"HTTP Boot":                  {uefiHTTP, time.Second},
	} {
		reg := &adviser{}
		proxy := newProxy(reg)
		for i := range 40 {
			at := now.Add(time.Duration(i) * row.step)
			d := proxy.Decide(at, request(t, pc1, discover, row.rom...))
			if !d.Told || d.Key != "" {
				t.Fatalf("%s: offer %d: told %v, %s", name, i, d.Told, d.Note)
			}
			if i%3 == 2 && name == "an offer in three is taken" {
				proxy.Decide(at, request(t, pc1, ask, with(row.rom, to(ip(2)), wants(ip(60)))...))
			}
			if name == "a PC that restarts slowly" && i == 5 {
				break
			}
		}
		if len(reg.learned) != 0 {
			t.Errorf("%s: learned %v", name, reg.learned)
		}
	}
}

// When nothing helps, people are told once, what it may be and what to do; and that it is over.
func TestProxyTellsOfAPCThatTakesNoOffer(t *testing.T) {
	proxy := newProxy(&adviser{})
	looks := request(t, pc1, discover, uefiROM...)
	var said []Decision
	for i := range 12 {
		if d := proxy.Decide(now.Add(time.Duration(i)*10*time.Second), looks); d.Key != "" {
			said = append(said, d)
		}
	}
	if len(said) != 1 {
		t.Fatalf("said %+v, want it once", said)
	}
	for _, word := range []string{pc1.String(), string(quirk.OneOffer), `"shimx64.efi"`} {
		if !strings.Contains(said[0].Note, word) {
			t.Errorf("said %q, without %s", said[0].Note, word)
		}
	}
	d := proxy.Decide(now.Add(3*time.Minute), request(t, pc1, ask, with(uefiROM, to(ip(2)), wants(ip(60)))...))
	if !d.Gone || d.Key != said[0].Key {
		t.Errorf("after it took one: %+v, want the end of %q", d, said[0].Key)
	}
}

func TestProxyForgets(t *testing.T) {
	proxy := newProxy(&adviser{})
	for i := range 3 * maxAttempts {
		mac := lease.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}
		proxy.Decide(now, request(t, mac, discover, uefiROM...))
	}
	if len(proxy.pcs) > maxAttempts {
		t.Errorf("%d PCs are remembered, want at most %d", len(proxy.pcs), maxAttempts)
	}
}

// FuzzBoot gives both responders ROMs that say odd things of themselves.
func FuzzBoot(f *testing.F) {
	f.Add("PXEClient:Arch:00007:UNDI:003016", []byte{0, 7}, []byte("iPXE"), []byte{0x13, 1, 1}, []byte{71, 4, 0, 0, 0, 0, 255}, []byte{0, 1, 2}, uint8(3), false)
	f.Add("PXEClient", []byte{0, 0}, []byte("\x04iPXE"), []byte{0, 0, 255}, []byte{255}, make([]byte, 17), uint8(1), true)
	f.Add("HTTPClient:Arch:00016", []byte{0}, []byte{200, 1}, []byte{0x13}, []byte{71, 4, 0, 0}, []byte{}, uint8(6), true)
	f.Fuzz(func(t *testing.T, text string, archs, user, ipxe, vendor, uuid []byte, how uint8, boot bool) {
		kinds := []dhcpv4.MessageType{discover, ask, dhcpv4.MessageTypeInform, ask}
		options := []option{
			class(text), generic(93, archs...), generic(77, user...), generic(175, ipxe...), generic(43, vendor...), generic(97, uuid...), uses(ip(60)),
		}
		r, err := Decode(packet(t, pc1, kinds[how%4], options...))
		if err != nil {
			return
		}
		if boot {
			r = atBootServer(r, "10.0.0.60:4011")
		}
		actions := []Action{Load, LocalDisk, Refuse, Ignore}
		reg := &adviser{advice: Advice{Action: actions[how/4%4]}}
		if rules := quirk.Rules(); how/16%8 < uint8(len(rules)) {
			reg.advice.Quirks = quirk.Set{rules[how/16%8].Quirk}
		}
		d := newProxy(reg).Decide(now, r)
		if d.Reply == nil {
			return
		}
		checkProxyReply(t, r, d)
	})
}

// FuzzProxy runs whatever arrives through ProxyDHCP.
func FuzzProxy(f *testing.F) {
	for _, rom := range [][]option{biosROM, biosIPXE, uefiROM, uefiIPXE, uefiHTTP, armROM, armHTTP, nil} {
		f.Add(packet(f, pc1, discover, rom...), false)
		f.Add(packet(f, pc1, ask, with(rom, uses(ip(60)))...), true)
	}
	for name, raw := range romPackets(f) {
		f.Add(raw, strings.HasSuffix(name, "4011"))
	}
	f.Fuzz(func(t *testing.T, b []byte, boot bool) {
		r, err := Decode(b)
		if err != nil {
			return
		}
		if boot {
			r = atBootServer(r, "10.0.0.60:4011")
		}
		if d := newProxy(&adviser{}).Decide(now, r); d.Reply != nil {
			checkProxyReply(t, r, d)
		}
	})
}

// checkProxyReply looks for what no reply of ProxyDHCP may be.
func checkProxyReply(t *testing.T, r Request, d Decision) {
	t.Helper()
	wire := d.Reply.ToBytes()
	if len(wire) > maxMessage {
		t.Errorf("reply of %d bytes", len(wire))
	}
	back, err := dhcpv4.FromBytes(wire)
	if err != nil {
		t.Fatalf("the reply cannot be read: %v", err)
	}
	switch {
	case r.Firmware == NoFirmware:
		t.Errorf("who does not boot from the network was answered: %s", back.Summary())
	case address(back.YourIPAddr).IsValid():
		t.Errorf("an address was given: %s", back.Summary())
	case back.OpCode != dhcpv4.OpcodeBootReply || back.TransactionID != r.packet.TransactionID:
		t.Errorf("the reply is not to the request: %s", back.Summary())
	case back.ClassIdentifier() != pxeClass && back.ClassIdentifier() != httpClass:
		t.Errorf("the reply does not say what it is: %s", back.Summary())
	case !d.To.IsValid() || d.To.Port() == 0:
		t.Errorf("the reply goes to %s", d.To)
	}
	if v := back.Options.Get(dhcpv4.OptionBootfileName); v != nil && (len(v) < 2 || v[len(v)-1] != 0) {
		t.Errorf("option 67 does not end in a NUL: %q", v)
	}
	if v := back.Options.Get(dhcpv4.OptionClientMachineIdentifier); v != nil && len(v) != 17 {
		t.Errorf("option 97 of %d bytes was echoed", len(v))
	}
	if d.Note == "" {
		t.Error("people cannot see what the PC was told")
	}
}
