package dhcp

import (
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"aula/netboot/lease"
)

// What ROMs say of themselves, and what they are taken for.
func TestFirmware(t *testing.T) {
	raspberry := lease.MAC{0xdc, 0xa6, 0x32, 1, 2, 3}
	for _, row := range []struct {
		name    string
		mac     lease.MAC
		options []option
		want    Firmware
		http    bool
	}{
		{name: "BIOS", options: []option{class("PXEClient:Arch:00000:UNDI:002001"), arch(0)}, want: BIOS},
		{name: "BIOS that says so only in its class", options: []option{class("PXEClient:Arch:00000:UNDI:002001")}, want: BIOS},
		{name: "UEFI", options: []option{class("PXEClient:Arch:00007:UNDI:003016"), arch(7)}, want: UEFIx64},
		{name: "UEFI that calls itself byte code", options: []option{class("PXEClient:Arch:00009:UNDI:003016"), arch(9)}, want: UEFIx64},
		{name: "UEFI that says so only in its class", options: []option{class("PXEClient:Arch:00007:UNDI:003016")}, want: UEFIx64},
		{name: "UEFI of several architectures, of which the second is served", options: []option{class("PXEClient:Arch:00006:UNDI:003016"), arch(6, 7)}, want: UEFIx64},
		{name: "UEFI of several architectures, of which none is served", options: []option{class("PXEClient:Arch:00010:UNDI:003016"), arch(10, 11)}, want: UEFIARM32},
		{name: "32-bit UEFI", options: []option{class("PXEClient:Arch:00006:UNDI:003016"), arch(6)}, want: UEFIia32},
		{name: "ARM64", options: []option{class("PXEClient:Arch:00011:UNDI:003016"), arch(11)}, want: UEFIARM64},
		{name: "U-Boot on ARM64", options: []option{class("PXEClient:Arch:00022:UNDI:003016"), arch(22)}, want: UEFIARM64},
		{name: "HTTP Boot", options: []option{class("HTTPClient:Arch:00016:UNDI:003001"), arch(16)}, want: UEFIx64, http: true},
		{name: "HTTP Boot that says its architecture only in its class", options: []option{class("HTTPClient:Arch:00016:UNDI:003001")}, want: UEFIx64, http: true},
		{name: "32-bit HTTP Boot", options: []option{class("HTTPClient:Arch:00015:UNDI:003001"), arch(15)}, want: UEFIia32, http: true},
		{name: "HTTP Boot on 32-bit ARM", options: []option{class("HTTPClient:Arch:00018:UNDI:003001"), arch(18)}, want: UEFIARM32, http: true},
		{name: "HTTP Boot on ARM64", options: []option{class("HTTPClient:Arch:00019:UNDI:003001"), arch(19)}, want: UEFIARM64, http: true},
		{name: "HTTP Boot of a BIOS", options: []option{class("HTTPClient:Arch:00020:UNDI:003001"), arch(20)}, want: BIOS, http: true},
		{name: "Raspberry Pi that says it is a BIOS PC", mac: raspberry, options: []option{class("PXEClient:Arch:00000:UNDI:002001"), arch(0)}, want: RaspberryPi},
		{name: "Raspberry Pi that says what it is", options: []option{class("PXEClient:Arch:00041:UNDI:002001"), arch(41)}, want: RaspberryPi},
		{name: "Raspberry Pi with UEFI", mac: raspberry, options: []option{class("PXEClient:Arch:00011:UNDI:003000"), arch(11)}, want: UEFIARM64},
		{name: "an architecture that has a name", options: []option{class("PXEClient"), arch(27)}, want: "EFI RISC-V 64-bit (architecture 27)"},
		{name: "an architecture of the future", options: []option{class("PXEClient"), arch(999)}, want: "unknown (architecture 999)"},
		{name: "no architecture", options: []option{class("PXEClient")}, want: "a boot ROM that does not say its architecture"},
		{name: "half an architecture", options: []option{class("PXEClient:Arch:7x"), generic(93, 7)}, want: "a boot ROM that does not say its architecture"},
		{name: "iPXE that does not say PXEClient", options: []option{generic(175, 1, 1, 1), arch(7)}, want: UEFIx64},
		{name: "Windows", options: []option{class("MSFT 5.0")}, want: NoFirmware},
		{name: "an installed system that sends its architecture", options: []option{class("anaconda-Linux"), arch(7)}, want: NoFirmware},
		{name: "the client OS", want: NoFirmware},
	} {
		t.Run(row.name, func(t *testing.T) {
			mac := row.mac
			if mac == (lease.MAC{}) {
				mac = pc1
			}
			r := request(t, mac, discover, row.options...)
			if r.Firmware != row.want || isHTTP(r.packet) != row.http {
				t.Errorf("firmware %q, HTTP %v; want %q, %v", r.Firmware, isHTTP(r.packet), row.want, row.http)
			}
			if r.Firmware.Served() != (row.want == BIOS || row.want == UEFIx64) {
				t.Errorf("%q: served = %v", r.Firmware, r.Firmware.Served())
			}
			if r.Firmware.Title() == "" {
				t.Errorf("%q has no name for people", r.Firmware)
			}
		})
	}
}

// Row 21 of the table of behaviour: iPXE is told from other ROMs, so that none loads itself for ever.
func TestRow21IPXEDetection(t *testing.T) {
	rom := []option{class("PXEClient:Arch:00000:UNDI:002001"), arch(iana.INTEL_X86PC)}
	const script = "http://10.0.0.1/boot/52:54:00:00:00:01/script.ipxe?firmware=bios"
	for _, row := range []struct {
		name   string
		option option
		ipxe   bool
		file   string
	}{
		{"user class as iPXE writes it", generic(77, []byte("iPXE")...), true, script},
		{"user class by RFC 3004", generic(77, []byte("\x04iPXE")...), true, script},
		{"second of two user classes", generic(77, []byte("\x03lab\x04iPXE")...), true, script},
		{"iPXE's own options", generic(175, 177, 5, 1, 0x80, 0x86, 0x10, 0x0e), true, script},
		{"iPXE's own options, with HTTP", generic(175, 0x15, 1, 1, 0x13, 1, 1), true, script},
		{"iPXE without HTTP", generic(175, 0x15, 1, 1, 0x22, 1, 1), true, "undionly.kpxe"},
		{"iPXE's own options, cut off", generic(175, 0x15, 9, 1), true, script},
		{"another user class", generic(77, []byte("Linux")...), false, "undionly.kpxe"},
		{"user class in which the word only occurs", generic(77, []byte("\x09not iPXE!")...), false, "undionly.kpxe"},
		{"user class of wrong lengths", generic(77, []byte("\xffiPXE")...), false, "undionly.kpxe"},
		{"empty user class", generic(77), false, "undionly.kpxe"},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := request(t, pc1, discover, append(rom, row.option)...)
			if r.IPXE != row.ipxe {
				t.Errorf("IPXE = %v, want %v", r.IPXE, row.ipxe)
			}
			p := newProxy(&adviser{}).Decide(now, r).Reply
			if p.BootFileName != row.file {
				t.Errorf("file = %q, want %q", p.BootFileName, row.file)
			}
			if got := p.Options.Has(dhcpv4.GenericOptionCode(optionIPXE)); got != row.ipxe {
				t.Errorf("has options for iPXE: %v, want %v", got, row.ipxe)
			}
		})
	}
}
