package dhcp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"aula/netboot/lease"
)

// A Firmware is the kind of boot ROM that asks.
type Firmware string

// Kinds of firmware. Any other value names, for people, one that is not served.
const (
	NoFirmware  Firmware = ""     // not booting from the network: an installed system, or the client OS
	BIOS        Firmware = "bios" // PC BIOS
	UEFIx64     Firmware = "uefi" // 64-bit x86 UEFI
	UEFIia32    Firmware = "uefi-ia32"
	UEFIARM32   Firmware = "uefi-arm32"
	UEFIARM64   Firmware = "uefi-arm64"
	RaspberryPi Firmware = "raspberry-pi"
)

// Served says whether there is a boot loader and a client OS for the firmware.
func (f Firmware) Served() bool { return f == BIOS || f == UEFIx64 }

// Title names the firmware for people.
func (f Firmware) Title() string {
	switch f {
	case NoFirmware:
		return "no boot ROM"
	case BIOS:
		return "BIOS"
	case UEFIx64:
		return "64-bit UEFI"
	case UEFIia32:
		return "32-bit UEFI"
	case UEFIARM32:
		return "32-bit ARM"
	case UEFIARM64:
		return "ARM64"
	case RaspberryPi:
		return "the Raspberry Pi"
	default:
		return string(f)
	}
}

// Classes of boot ROMs, with which option 60 begins (RFC 4578 2.1; UEFI 2.10, 24.7).
const (
	pxeClass  = "PXEClient"
	httpClass = "HTTPClient"
)

// architectures are those of option 93 that are known (RFC 4578 2.1, RFC 5970 3.3, and the registry of the IANA).
var architectures = map[iana.Arch]Firmware{
	iana.INTEL_X86PC: BIOS, iana.INTEL_X86PC_HTTP: BIOS,
	iana.EFI_IA32: UEFIia32, iana.EFI_X86_HTTP: UEFIia32,
	iana.EFI_X86_64: UEFIx64, iana.EFI_X86_64_HTTP: UEFIx64,
	iana.EFI_BC: UEFIx64, iana.EFI_BC_HTTP: UEFIx64, // an erratum exchanged 7 and 9; in practice both mean x64
	iana.EFI_ARM32: UEFIARM32, iana.EFI_ARM32_HTTP: UEFIARM32,
	iana.EFI_ARM64: UEFIARM64, iana.EFI_ARM64_HTTP: UEFIARM64,
	iana.UBOOT_ARM32: UEFIARM32, iana.UBOOT_ARM32_HTTP: UEFIARM32, // U-Boot starts UEFI programs as well
	iana.UBOOT_ARM64: UEFIARM64, iana.UBOOT_ARM64_HTTP: UEFIARM64,
	41: RaspberryPi,
}

// raspberries are the first halves of the MACs of Raspberry Pi, whose own firmware says that it is a BIOS PC.
var raspberries = [][3]byte{
	{0x28, 0xcd, 0xc1}, {0x2c, 0xcf, 0x67}, {0x88, 0xa2, 0x9e}, {0xb8, 0x27, 0xeb}, {0xd8, 0x3a, 0xdd}, {0xdc, 0xa6, 0x32}, {0xe4, 0x5f, 0x01},
}

// firmwareOf tells what boots: of the architectures that a ROM names in option 93 the first that is served, or else the first. ROMs without
// that option still say one in their class: PXEClient:Arch:00007:UNDI:003016.
func firmwareOf(p *dhcpv4.DHCPv4) Firmware {
	class := p.ClassIdentifier()
	if !strings.HasPrefix(class, pxeClass) && !strings.HasPrefix(class, httpClass) && !isIPXE(p) {
		return NoFirmware
	}
	archs := p.ClientArch()
	if len(archs) == 0 {
		a, ok := archInClass(class)
		if !ok {
			return "a boot ROM that does not say its architecture"
		}
		archs = []iana.Arch{a}
	}
	var first Firmware
	for _, a := range archs {
		f, known := architectures[a]
		if !known {
			f = Firmware(fmt.Sprintf("%s (architecture %d)", a, a))
		}
		if f == BIOS && isRaspberry(p) {
			f = RaspberryPi
		}
		if f.Served() {
			return f
		}
		if first == "" {
			first = f
		}
	}
	return first
}

func archInClass(class string) (iana.Arch, bool) {
	_, text, ok := strings.Cut(class, ":Arch:")
	if !ok {
		return 0, false
	}
	text, _, _ = strings.Cut(text, ":")
	n, err := strconv.ParseUint(text, 10, 16)
	return iana.Arch(n), err == nil
}

func isRaspberry(p *dhcpv4.DHCPv4) bool {
	mac, err := lease.MACFrom(p.ClientHWAddr)
	return err == nil && slices.Contains(raspberries, [3]byte(mac[:3]))
}

// isHTTP detects UEFI HTTP Boot, which takes a URL in place of a file name, and only from who says HTTPClient as well.
func isHTTP(p *dhcpv4.DHCPv4) bool { return strings.HasPrefix(p.ClassIdentifier(), httpClass) }

// optionIPXE carries iPXE's encapsulated options; no other client sends it.
const optionIPXE = 175

// ipxeUserClass is what iPXE writes to option 77.
const ipxeUserClass = "iPXE"

// isIPXE detects iPXE of any kind, in a ROM or chained. It sends its user class as the bare word, where RFC 3004 wants a length before each
// class; both are understood.
func isIPXE(p *dhcpv4.DHCPv4) bool {
	if p.Options.Has(dhcpv4.GenericOptionCode(optionIPXE)) {
		return true
	}
	class := p.Options.Get(dhcpv4.OptionUserClassInformation)
	if string(class) == ipxeUserClass {
		return true
	}
	for len(class) > 0 && int(class[0]) < len(class) {
		if end := 1 + int(class[0]); string(class[1:end]) == ipxeUserClass {
			return true
		} else {
			class = class[end:]
		}
	}
	return false
}

// Features that iPXE lists in its option: those of protocols and image formats are the sub-options from 16 to 47.
const (
	ipxeFirstFeature = 0x10
	ipxeHTTP         = 0x13
	ipxeLastFeature  = 0x2f
)

// ipxeLacksHTTP tells whether iPXE lists what it can do, and HTTP is not among it. Such a ROM must load another iPXE before it can load a
// script.
func ipxeLacksHTTP(p *dhcpv4.DHCPv4) bool {
	features := false
	for code := range suboptions(p.Options.Get(dhcpv4.GenericOptionCode(optionIPXE))) {
		if code == ipxeHTTP {
			return false
		}
		features = features || ipxeFirstFeature <= code && code <= ipxeLastFeature
	}
	return features
}

// suboptions goes through options that are encapsulated in one, as far as they are well formed.
func suboptions(b []byte) func(yield func(code byte, value []byte) bool) {
	return func(yield func(byte, []byte) bool) {
		for len(b) > 0 {
			switch {
			case b[0] == 0: // padding
				b = b[1:]
				continue
			case b[0] == 255, len(b) < 2, len(b) < 2+int(b[1]):
				return
			}
			end := 2 + int(b[1])
			if !yield(b[0], b[2:end]) {
				return
			}
			b = b[end:]
		}
	}
}
