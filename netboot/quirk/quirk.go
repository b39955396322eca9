// Package quirk names what firmware does otherwise than the standards say, as rules that can be switched on for one PC.
//
// A rule that hurts nobody (a missing option 97, a name that ends in 0xff) is no quirk: it is simply followed for everyone. It only holds
// the names; package dhcp and its neighbours do what they say, and the appliance remembers which PC has which.
package quirk

import (
	"fmt"
	"slices"
	"strings"
)

// A Quirk is the name of a rule, as it stands in the catalog, in the console and on the command line.
type Quirk string

// The rules.
const (
	// AskBootServer leaves option 43 out of ProxyDHCP offers, so that the firmware asks port 4011. For UEFI that does not heed
	// PXE_DISCOVERY_CONTROL and then drops the offer.
	AskBootServer Quirk = "ask-boot-server"
	// OneOffer marks firmware that never merges the offers of two servers (seen on HP laptops: DISCOVER at 0, 4, 12, 28 s and no REQUEST). Only
	// the DHCP server that leases the address can boot it; nothing is sent by ProxyDHCP.
	OneOffer Quirk = "one-offer"
	// UEFIIPXE boots UEFI by iPXE in place of shim and GRUB. Not with Secure Boot.
	UEFIIPXE Quirk = "uefi-ipxe"
	// OwnDrivers takes the iPXE that has drivers of its own (ipxe.pxe, ipxe.efi) in place of the one that uses those of the firmware
	// (undionly.kpxe, snponly.efi): for firmware whose network driver is broken or slow.
	OwnDrivers Quirk = "own-drivers"
	// ScriptForDisk lets the loader boot the disk, for firmware that does not heed "local boot" in option 43.
	ScriptForDisk Quirk = "script-for-disk"
	// ExitToDisk makes the loader hand over to the firmware's next entry, in place of starting the disk itself.
	ExitToDisk Quirk = "exit-to-disk"
	// SlowHTTP sends the client OS at no more than 20 MB/s, for iPXE on firmware that stalls after a lost packet.
	SlowHTTP Quirk = "slow-http"
)

// A Rule tells people of a Quirk.
type Rule struct {
	Quirk Quirk
	Does  string // what is done otherwise, one sentence
	For   string // when to switch it on
}

// Rules are all, in the order of their names.
func Rules() []Rule {
	return []Rule{
		{AskBootServer, "ProxyDHCP offers leave option 43 out, so that the firmware asks port 4011.", "UEFI that ignores ProxyDHCP offers. Aula tries it by itself after three offers that were not taken."},
		{ExitToDisk, "The boot loader ends, and the firmware goes on to its next boot entry.", "PCs on which starting the disk from the boot loader hangs."},
		{OneOffer, "Nothing is sent by ProxyDHCP: only the server that leases the address can boot this PC.", "Firmware that never takes two offers together: set the boot file in the other DHCP server, or let Aula lease."},
		{OwnDrivers, "iPXE uses drivers of its own for the network card.", "PCs whose network stops after the boot loader came, or is very slow."},
		{ScriptForDisk, "The boot loader starts the PC's own disk.", "PCs that wait for a minute when they are told to boot their own disk."},
		{SlowHTTP, "The client OS is sent at 20 MB/s at most.", "PCs whose iPXE stops in the middle of the client OS."},
		{UEFIIPXE, "UEFI boots by iPXE, without Secure Boot.", "UEFI on which GRUB finds no network card."},
	}
}

// Check returns an error that names the quirks there are when q is none.
func Check(q Quirk) error {
	var names []string
	for _, r := range Rules() {
		if r.Quirk == q {
			return nil
		}
		names = append(names, string(r.Quirk))
	}
	return fmt.Errorf("there is no quirk %q: there are %s", q, strings.Join(names, ", "))
}

// A Set is what one PC has.
type Set []Quirk

// Has tells whether the quirk is in the set.
func (s Set) Has(q Quirk) bool { return slices.Contains(s, q) }
