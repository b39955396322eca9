package dhcp

import (
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"aula/netboot/quirk"
)

// Files are the names of the boot loaders, by TFTP and below / by HTTP.
type Files struct {
	BIOS        string // iPXE through the NIC's own PXE stack
	BIOSDrivers string // iPXE with drivers of its own
	UEFI        string // shim
	UEFIIPXE    string // iPXE through the firmware's driver
	UEFIDrivers string // iPXE with drivers of its own
}

// OwnDiskPath is where UEFI HTTP Boot is sent that is to boot its own disk: nothing must be there. It knows no option 43, and without a URL it would wait for a
// minute; after a 404 it goes on at once.
const OwnDiskPath = "/boot/own-disk"

// Sub-options of option 43 for boot ROMs (PXE 2.1, table 2-1).
const (
	pxeDiscoveryControl = 6
	pxeBootMenu         = 9
	pxeMenuPrompt       = 10
	pxeBootItem         = 71
	pxeEnd              = 255
)

// Bits of pxeDiscoveryControl.
const (
	noBroadcastDiscovery = 1 << iota
	noMulticastDiscovery
	onlyListedServers
	onlyTheNamedFile // load the file that is named here; look for no boot server and show no menu
)

// localBoot is the option 43 by which a ROM goes on to the next entry of its boot order: a menu of one entry of the type 0, "local boot", and a prompt that
// waits for 0 s, after which the first entry is taken. A ROM that gets an address and neither a file nor this waits for a minute.
var localBoot = func() []byte {
	const name, prompt = "Own disk", "Own disk"
	menu := append([]byte{0, 0, byte(len(name))}, name...)
	return slices.Concat(
		[]byte{pxeDiscoveryControl, 1, noBroadcastDiscovery | noMulticastDiscovery},
		[]byte{pxeBootMenu, byte(len(menu))}, menu,
		[]byte{pxeMenuPrompt, byte(1 + len(prompt)), 0}, []byte(prompt),
		[]byte{pxeEnd})
}()

// loadNamedFile is the option 43 by which a ROM loads the file that the reply names.
var loadNamedFile = []byte{pxeDiscoveryControl, 1, onlyTheNamedFile, pxeEnd}

// fileFor returns what a PC that boots from the network shall load, empty when there is nothing for it.
func (n Network) fileFor(r Request, q quirk.Set) string {
	switch {
	case !r.Firmware.Served():
		return ""
	case r.IPXE && !ipxeLacksHTTP(r.packet):
		return n.Script(r.MAC, r.Firmware)
	case isHTTP(r.packet):
		return "http://" + n.HTTP + "/" + n.loader(r.Firmware, q)
	default:
		return n.loader(r.Firmware, q)
	}
}

// loader returns the name of the boot loader for a firmware that is served.
func (n Network) loader(f Firmware, q quirk.Set) string {
	own := q.Has(quirk.OwnDrivers)
	switch {
	case f == BIOS && own:
		return n.Files.BIOSDrivers
	case f == BIOS:
		return n.Files.BIOS
	case q.Has(quirk.UEFIIPXE) && own:
		return n.Files.UEFIDrivers
	case q.Has(quirk.UEFIIPXE):
		return n.Files.UEFIIPXE
	default:
		return n.Files.UEFI
	}
}

// addBoot tells a boot ROM what to do. What it is to load but cannot, because there is no loader for it, it is told to leave.
func (n Network) addBoot(p *dhcpv4.DHCPv4, r Request, a Advice) {
	if a.Action == Ignore || r.Firmware == NoFirmware {
		return
	}
	p.UpdateOption(dhcpv4.OptClassIdentifier(classOf(r)))
	if uuid := r.packet.Options.Get(dhcpv4.OptionClientMachineIdentifier); len(uuid) == 17 && uuid[0] == 0 {
		p.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionClientMachineIdentifier, uuid)) // RFC 4578 2.3: echoed
	}
	if r.IPXE {
		// no-pxedhcp: do not wait 3 s for a ProxyDHCP server.
		p.UpdateOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(optionIPXE), []byte{176, 1, 1}))
	}
	file := n.fileFor(r, a.Quirks)
	switch {
	case isHTTP(r.packet) && (a.Action != Load || file == ""):
		n.addFile(p, "http://"+n.HTTP+OwnDiskPath)
	case isHTTP(r.packet):
		n.addFile(p, file)
	case a.Action == Load && file != "":
		n.addFile(p, file)
		p.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionVendorSpecificInformation, loadNamedFile))
	default:
		p.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionVendorSpecificInformation, localBoot))
	}
}

// classOf is the class that a boot ROM expects in a reply; it drops one that has another.
func classOf(r Request) string {
	if isHTTP(r.packet) {
		return httpClass
	}
	return pxeClass
}

// Sizes of the header's fields, without the NUL at their end (RFC 2131, table 1).
const (
	snameRoom = 63
	fileRoom  = 127
)

// addFile names a file. Loaders and ROMs differ in what they read, so it is in the header and in the options; the strings end in a NUL, which
// is counted, because some ROMs read on past the end of the option. What the header has no room for is in the options only: a name that is cut off is
// another name.
func (n Network) addFile(p *dhcpv4.DHCPv4, file string) {
	p.ServerIPAddr = n.Server.AsSlice()
	if host := n.Server.String(); len(host) <= snameRoom {
		p.ServerHostName = host
	}
	if len(file) <= fileRoom {
		p.BootFileName = file
	}
	p.UpdateOption(dhcpv4.OptTFTPServerName(n.Server.String() + "\x00"))
	p.UpdateOption(dhcpv4.OptBootFileName(file + "\x00"))
}

// outcome says, for people, what a PC is told by addBoot.
func (n Network) outcome(r Request, a Advice) string {
	text := "is left alone"
	switch file := n.fileFor(r, a.Quirks); {
	case a.Action == Load && file != "":
		text = "boots " + file
	case a.Action != Ignore:
		text = "boots its own disk"
	}
	if a.Why != "" {
		text += ": " + a.Why
	}
	return text
}
