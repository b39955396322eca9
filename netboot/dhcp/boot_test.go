package dhcp

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"aula/netboot/lease"
	"aula/netboot/quirk"
)

var updateBoot = flag.Bool("update-boot", false, "write testdata/*.golden anew")

// What every firmware is told by every role for every action, as it stands in testdata/boot.golden: who changes it sees what else changes.
func TestEveryFirmwareRoleAndAction(t *testing.T) {
	firmware := []struct {
		name    string
		options []option
	}{
		{"BIOS", biosROM}, {"BIOS iPXE", biosIPXE}, {"UEFI", uefiROM}, {"UEFI iPXE", uefiIPXE}, {"HTTP Boot", uefiHTTP}, {"ARM64", armROM}, {"ARM64 HTTP Boot", armHTTP},
	}
	advices := []Advice{
		{Action: Load}, {Action: LocalDisk}, {Action: Refuse, Why: "there is no client OS for it yet"}, {Action: Ignore},
		{Action: Load, Quirks: quirk.Set{quirk.AskBootServer}}, {Action: LocalDisk, Quirks: quirk.Set{quirk.AskBootServer}},
		{Action: Load, Quirks: quirk.Set{quirk.OneOffer}}, {Action: Load, Quirks: quirk.Set{quirk.OwnDrivers}},
		{Action: Load, Quirks: quirk.Set{quirk.UEFIIPXE}}, {Action: Load, Quirks: quirk.Set{quirk.UEFIIPXE, quirk.OwnDrivers}},
	}
	var b bytes.Buffer
	for _, f := range firmware {
		for _, a := range advices {
			fmt.Fprintf(&b, "%s, %s %s\n", f.name, a.Action, a.Quirks)
			reg := &adviser{advice: a}
			looks := request(t, pc1, discover, f.options...)
			fmt.Fprintf(&b, "  full   %s\n", said(newFull(reg).Decide(now, looks)))
			fmt.Fprintf(&b, "  proxy  %s\n", said(newProxy(reg).Decide(now, looks)))
			asks := atBootServer(request(t, pc1, ask, append(slices.Clone(f.options), uses(ip(60)))...), "10.0.0.60:4011")
			fmt.Fprintf(&b, "  4011   %s\n", said(newProxy(reg).Decide(now, asks)))
		}
	}
	checkGolden(t, "boot.golden", b.Bytes())
}

// newFull is a Responder of the same network as newProxy's.
func newFull(reg Register) *Responder {
	n := newProxy(reg).net
	s := NewResponder(n, lease.NewBook(n.pools(), nil), reg)
	for _, last := range []byte{10, 11, 12} {
		s.vouched[ip(last)] = now
	}
	return s
}

// said is what a decision tells a PC of booting, in one line.
func said(d Decision) string {
	p := d.Reply
	if p == nil {
		return "nothing"
	}
	out := p.MessageType().String()
	if a := address(p.YourIPAddr); a.IsValid() {
		out += " " + a.String()
	}
	if a := address(p.ServerIPAddr); a.IsValid() {
		out += " siaddr " + a.String()
	}
	if p.ServerHostName != "" || p.BootFileName != "" {
		out += fmt.Sprintf(" header %q %q", p.ServerHostName, p.BootFileName)
	}
	for _, code := range []uint8{60, 66, 67} {
		if v := p.Options.Get(dhcpv4.GenericOptionCode(code)); v != nil {
			out += fmt.Sprintf(" %d %q", code, v)
		}
	}
	for _, code := range []uint8{43, 175} {
		if v := p.Options.Get(dhcpv4.GenericOptionCode(code)); v != nil {
			out += fmt.Sprintf(" %d %x", code, v)
		}
	}
	return out
}

func checkGolden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *updateBoot {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	old := strings.Split(string(want), "\n")
	for i, line := range strings.Split(string(got), "\n") {
		if i >= len(old) || line != old[i] {
			t.Errorf("%s:%d is now\n%s", path, i+1, line)
		}
	}
}

// Row 19 of the table of behaviour: the options of PXE and HTTP Boot.
func TestRow19PXEOptions(t *testing.T) {
	uuid := slices.Concat([]byte{0}, []byte("0123456789abcdef"))
	type options map[uint8]string
	for _, row := range []struct {
		name    string
		rom     []option
		action  Action
		file    string // in the header
		options options
		without []uint8
	}{
		{name: "BIOS", rom: biosROM, file: "undionly.kpxe",
			options: options{43: "\x06\x01\x08\xff", 60: "PXEClient", 66: "10.0.0.1\x00", 67: "undionly.kpxe\x00", 97: string(uuid)}},
		{name: "UEFI", rom: uefiROM, file: "shimx64.efi",
			options: options{43: "\x06\x01\x08\xff", 60: "PXEClient", 66: "10.0.0.1\x00", 67: "shimx64.efi\x00", 97: string(uuid)}},
		{name: "HTTP Boot", rom: uefiHTTP, file: "http://10.0.0.1/shimx64.efi",
			options: options{60: "HTTPClient", 67: "http://10.0.0.1/shimx64.efi\x00", 97: string(uuid)}, without: []uint8{43}},
		{name: "HTTP Boot of its own disk", rom: uefiHTTP, action: LocalDisk, file: "http://10.0.0.1/boot/own-disk",
			options: options{60: "HTTPClient", 67: "http://10.0.0.1/boot/own-disk\x00"}, without: []uint8{43}},
		{name: "its own disk", rom: uefiROM, action: LocalDisk,
			options: options{43: "\x06\x01\x03\x09\x0b\x00\x00\x08Own disk\x0a\x09\x00Own disk\xff", 60: "PXEClient"}, without: []uint8{66, 67}},
		{name: "ARM64", rom: armROM, action: Refuse,
			options: options{43: "\x06\x01\x03\x09\x0b\x00\x00\x08Own disk\x0a\x09\x00Own disk\xff", 60: "PXEClient"}, without: []uint8{66, 67}},
		{name: "ARM64 of which nobody knew that there is nothing for it", rom: armROM,
			options: options{43: "\x06\x01\x03\x09\x0b\x00\x00\x08Own disk\x0a\x09\x00Own disk\xff", 60: "PXEClient"}, without: []uint8{66, 67}},
		{name: "left alone", rom: uefiROM, action: Ignore, without: []uint8{43, 60, 66, 67, 97, 175}},
		{name: "iPXE", rom: biosIPXE, file: "http://10.0.0.1/boot/52:54:00:00:00:01/script.ipxe?firmware=bios",
			options: options{60: "PXEClient", 67: "http://10.0.0.1/boot/52:54:00:00:00:01/script.ipxe?firmware=bios\x00", 175: "\xb0\x01\x01"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			reg := &adviser{advice: Advice{Action: row.action}}
			r := request(t, pc1, discover, append(slices.Clone(row.rom), generic(97, uuid...))...)
			for role, d := range map[Role]Decision{Full: newFull(reg).Decide(now, r), Proxy: newProxy(reg).Decide(now, r)} {
				if d.Reply == nil {
					if role == Full || row.action != Ignore {
						t.Errorf("%s: no reply", role)
					}
					continue
				}
				if d.Reply.BootFileName != row.file {
					t.Errorf("%s: file = %q, want %q", role, d.Reply.BootFileName, row.file)
				}
				for code, want := range row.options {
					if got := d.Reply.Options.Get(dhcpv4.GenericOptionCode(code)); string(got) != want {
						t.Errorf("%s: option %d = %q, want %q", role, code, got, want)
					}
				}
				for _, code := range row.without {
					if d.Reply.Options.Has(dhcpv4.GenericOptionCode(code)) {
						t.Errorf("%s: has option %d", role, code)
					}
				}
			}
		})
	}
}

// A name that has no room in the header is in the option only, and whole.
func TestLongNamesAreNotCut(t *testing.T) {
	proxy := newProxy(&adviser{})
	long := "http://10.0.0.1/" + strings.Repeat("x", fileRoom)
	proxy.net.Script = func(lease.MAC, Firmware) string { return long }
	p := proxy.Decide(now, request(t, pc1, discover, biosIPXE...)).Reply
	if got := string(p.Options.Get(dhcpv4.OptionBootfileName)); p.BootFileName != "" || got != long+"\x00" {
		t.Errorf("header %q, option 67 %q; want the name in the option only", p.BootFileName, got)
	}
}

// What is known of buggy firmware and concerns DHCP. Each is what somebody's PCs did.
func TestFirmwareBugs(t *testing.T) {
	proxied := func(t *testing.T, a Advice, kind dhcpv4.MessageType, options ...option) *dhcpv4.DHCPv4 {
		t.Helper()
		d := newProxy(&adviser{advice: a}).Decide(now, request(t, pc1, kind, options...))
		if d.Reply == nil {
			t.Fatalf("no reply: %s", d.Note)
		}
		return d.Reply
	}
	t.Run("1 the UUID is missing or of odd length", func(t *testing.T) {
		for _, uuid := range [][]byte{nil, {}, {0}, make([]byte, 16), slices.Repeat([]byte{7}, 17)} {
			options := slices.Clone(uefiROM)
			if uuid != nil {
				options = append(options, generic(97, uuid...))
			}
			p := proxied(t, Advice{Action: Load}, discover, options...)
			if p.BootFileName != "shimx64.efi" || p.Options.Has(dhcpv4.OptionClientMachineIdentifier) {
				t.Errorf("UUID %v: %s", uuid, said(Decision{Reply: p}))
			}
		}
	})
	t.Run("2 UEFI that drops offers with option 43, and UEFI that needs it", func(t *testing.T) {
		if p := proxied(t, Advice{Action: Load, Quirks: quirk.Set{quirk.AskBootServer}}, discover, uefiROM...); p.Options.Has(dhcpv4.OptionVendorSpecificInformation) {
			t.Error("with the quirk, the offer has option 43")
		}
		if p := proxied(t, Advice{Action: Load}, discover, uefiROM...); !p.Options.Has(dhcpv4.OptionVendorSpecificInformation) {
			t.Error("without the quirk, the offer has no option 43")
		}
	})
	t.Run("3 UEFI that never takes two offers: nothing by ProxyDHCP, everything by full DHCP", func(t *testing.T) {
		reg := &adviser{advice: Advice{Action: Load, Quirks: quirk.Set{quirk.OneOffer}}}
		r := request(t, pc1, discover, uefiROM...)
		if d := newProxy(reg).Decide(now, r); d.Reply != nil {
			t.Errorf("ProxyDHCP answers %s", said(d))
		}
		if d := newFull(reg).Decide(now, r); d.Reply == nil || d.Reply.BootFileName != "shimx64.efi" {
			t.Errorf("full DHCP answers %s", said(d))
		}
	})
	t.Run("4 EDK2 of 2014 to 2017 forgets offers with option 43, but asks port 4011 after others", func(t *testing.T) {
		for _, action := range []Action{Load, LocalDisk} {
			a := Advice{Action: action, Quirks: quirk.Set{quirk.AskBootServer}}
			if p := proxied(t, a, discover, uefiROM...); p.ClassIdentifier() != "PXEClient" || p.Options.Has(dhcpv4.OptionVendorSpecificInformation) {
				t.Errorf("%s: offer %s", action, said(Decision{Reply: p}))
			}
			// EDK2 drops an answer of port 4011 that has neither a file nor a menu.
			d := newProxy(&adviser{advice: a}).Decide(now, atBootServer(request(t, pc1, ask, append(slices.Clone(uefiROM), uses(ip(60)))...), "10.0.0.60:4011"))
			if (action == Load) != (d.Reply.BootFileName != "") || !d.Reply.Options.Has(dhcpv4.OptionVendorSpecificInformation) {
				t.Errorf("%s: at port 4011 %s", action, said(d))
			}
		}
	})
	t.Run("5 ROMs that read on past the end of option 67", func(t *testing.T) {
		for _, rom := range [][]option{biosROM, uefiROM, uefiHTTP, biosIPXE} {
			if v := proxied(t, Advice{Action: Load}, discover, rom...).Options.Get(dhcpv4.OptionBootfileName); len(v) == 0 || v[len(v)-1] != 0 {
				t.Errorf("option 67 = %q, want a NUL at its end", v)
			}
		}
	})
	t.Run("8 ipxe.efi hangs: the firmware's own driver is the default, and iPXE's can be chosen", func(t *testing.T) {
		for want, q := range map[string]quirk.Set{
			"shimx64.efi": {quirk.OwnDrivers}, "snponly.efi": {quirk.UEFIIPXE}, "ipxe.efi": {quirk.UEFIIPXE, quirk.OwnDrivers},
		} {
			if got := proxied(t, Advice{Action: Load, Quirks: q}, discover, uefiROM...).BootFileName; got != want {
				t.Errorf("%v: %q, want %q", q, got, want)
			}
		}
		if got := proxied(t, Advice{Action: Load, Quirks: quirk.Set{quirk.OwnDrivers}}, discover, biosROM...).BootFileName; got != "ipxe.pxe" {
			t.Errorf("BIOS: %q, want ipxe.pxe", got)
		}
	})
	t.Run("11 iPXE gets its address before our offer, and asks port 4011", func(t *testing.T) {
		r := atBootServer(request(t, pc1, ask, append(slices.Clone(biosIPXE), uses(ip(60)), to(server))...), "10.0.0.60:68")
		d := newProxy(&adviser{}).Decide(now, r)
		if !strings.HasSuffix(d.Reply.BootFileName, "script.ipxe?firmware=bios") || address(d.Reply.ServerIPAddr) != server || d.To.Port() != 68 {
			t.Errorf("at port 4011 %s to %s", said(d), d.To)
		}
	})
	t.Run("13 Raspberry Pi calls itself a BIOS PC", func(t *testing.T) {
		d := newProxy(&adviser{}).Decide(now, request(t, lease.MAC{0xdc, 0xa6, 0x32, 1, 2, 3}, discover, biosROM...))
		if d.Reply.BootFileName != "" {
			t.Errorf("it is sent %q", d.Reply.BootFileName)
		}
	})
	t.Run("15 WinPE asks port 4011 although we lease", func(t *testing.T) {
		d := newProxy(&adviser{}).Decide(now, atBootServer(request(t, pc1, ask, append(slices.Clone(biosROM), uses(ip(10)), to(server))...), "10.0.0.10:68"))
		if kindOfReply(d) != ack || d.Reply.BootFileName != "undionly.kpxe" {
			t.Errorf("it is told %s", said(d))
		}
	})
	t.Run("16 with several NICs, the script is that of the one that asked", func(t *testing.T) {
		for _, mac := range []lease.MAC{pc1, pc2} {
			p := newProxy(&adviser{}).Decide(now, request(t, mac, discover, biosIPXE...)).Reply
			if !strings.Contains(p.BootFileName, "/"+mac.String()+"/") {
				t.Errorf("%s is sent to %s", mac, p.BootFileName)
			}
		}
	})
	t.Run("a chain of UEFI goes on whichever offer came first", func(t *testing.T) {
		proxy := newProxy(&adviser{})
		first := proxy.Decide(now, request(t, pc1, discover, uefiROM...)).Reply
		again := proxy.Decide(now.Add(4*time.Second), request(t, pc1, discover, uefiROM...)).Reply
		again.TransactionID = first.TransactionID
		if !bytes.Equal(first.ToBytes(), again.ToBytes()) {
			t.Errorf("%s, then %s", said(Decision{Reply: first}), said(Decision{Reply: again}))
		}
	})
}
