package dhcp

import "github.com/insomniacslk/dhcp/dhcpv4"

// Files are the names of the boot loaders, by TFTP and below / by HTTP.
type Files struct {
	BIOS        string // iPXE through the NIC's own PXE stack
	BIOSDrivers string // iPXE with drivers of its own
	UEFI        string // shim
	UEFIIPXE    string // iPXE through the firmware's driver
	UEFIDrivers string // iPXE with drivers of its own
}

// bootFile returns what a PC that boots from the network shall load, empty for any other PC.
func (n Network) bootFile(r Request) string {
	switch {
	case !r.Firmware.Served():
		return ""
	case r.IPXE:
		return n.Script(r.MAC, r.Firmware)
	case r.Firmware == UEFIx64:
		return n.Files.UEFI
	default:
		return n.Files.BIOS
	}
}

// addBoot tells a boot ROM where to go on. Loaders and ROMs differ in what they read, so everything is in the header and in the options; the
// strings end in a NUL, which is counted, because some ROMs read on past the end of the option.
func (n Network) addBoot(p *dhcpv4.DHCPv4, r Request, a Advice) {
	p.UpdateOption(dhcpv4.OptClassIdentifier(pxeClass))
	if uuid := r.packet.Options.Get(dhcpv4.OptionClientMachineIdentifier); uuid != nil {
		p.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionClientMachineIdentifier, uuid)) // RFC 4578 2.1: echoed
	}
	file := n.bootFile(r)
	if file == "" {
		return
	}
	p.ServerIPAddr = n.Server.AsSlice()
	p.ServerHostName = n.Server.String()
	p.BootFileName = file
	p.UpdateOption(dhcpv4.OptTFTPServerName(n.Server.String() + "\x00"))
	p.UpdateOption(dhcpv4.OptBootFileName(file + "\x00"))
	// PXE_DISCOVERY_CONTROL 8 (PXE 2.1, table 2-1): load the file that is named here, look for no boot server.
	p.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionVendorSpecificInformation, []byte{6, 1, 8, 255}))
	if r.IPXE {
		// no-pxedhcp: do not wait 3 s for a ProxyDHCP server.
		p.UpdateOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(optionIPXE), []byte{176, 1, 1}))
	}
}
