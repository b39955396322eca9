package dhcp

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// A Firmware is the kind of boot ROM that asks.
type Firmware string

// Kinds of firmware. Any other value names, for people, one that is not served.
const (
	NoFirmware Firmware = ""     // not booting from the network: an installed system, or the client OS
	BIOS       Firmware = "bios" // PC BIOS
	UEFIx64    Firmware = "uefi" // 64-bit x86 UEFI
)

// Served says whether there is a boot loader for the firmware.
func (f Firmware) Served() bool { return f == BIOS || f == UEFIx64 }

const pxeClass = "PXEClient"

// firmwareOf reads the option 93 (RFC 4578 2.1) of a PXE client, which may name several architectures; the first that
// is served counts. ROMs without the option still say it in their class: PXEClient:Arch:00007:UNDI:003016.
func firmwareOf(p *dhcpv4.DHCPv4) Firmware {
	class := p.ClassIdentifier()
	archs := p.ClientArch()
	if strings.HasPrefix(class, "HTTPClient") {
		return Firmware("UEFI HTTP Boot, " + iana.Archs(archs).String())
	}
	rest, pxe := strings.CutPrefix(class, pxeClass)
	if !pxe {
		return NoFirmware
	}
	if len(archs) == 0 {
		text, _ := strings.CutPrefix(rest, ":Arch:")
		text, _, _ = strings.Cut(text, ":")
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return "PXE without an architecture"
		}
		archs = []iana.Arch{iana.Arch(n)}
	}
	for _, a := range archs {
		switch a {
		case iana.INTEL_X86PC:
			return BIOS
		case iana.EFI_X86_64, iana.EFI_BC: // in practice both mean x64
			return UEFIx64
		}
	}
	return Firmware(fmt.Sprintf("%s (architecture %d)", archs[0], archs[0]))
}

// optionIPXE carries iPXE's encapsulated options; no other client sends it.
const optionIPXE = 175

// isIPXE detects iPXE of any kind, in a ROM or chained. It sends its user class as the bare word, where RFC 3004 wants a length first.
func isIPXE(p *dhcpv4.DHCPv4) bool {
	return p.Options.Has(dhcpv4.GenericOptionCode(optionIPXE)) ||
		strings.Contains(string(p.Options.Get(dhcpv4.OptionUserClassInformation)), "iPXE")
}
