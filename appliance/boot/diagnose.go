package boot

import (
	"fmt"
	"time"

	"aula/netboot"
)

// patience is how long nothing may be heard of a boot after each step before it counts as stopped. The loaders' own texts ask again for a minute.
var patience = map[string]time.Duration{
	netboot.StepDHCP:      45 * time.Second,
	netboot.StepLoader:    90 * time.Second,
	netboot.StepScript:    90 * time.Second,
	netboot.StepKernel:    2 * time.Minute,
	netboot.StepInitramfs: 3 * time.Minute,
	StepAgent:             time.Hour,
}

// look stops the boots that nothing was heard of for too long, and forgives PCs that have been quiet.
func (s *Service) look() {
	now := s.cfg.Now()
	var changed []string
	s.mu.Lock()
	for mac, p := range s.pcs {
		b := p.current()
		if b == nil {
			continue
		}
		if b.State == Underway && len(b.Steps) > 0 && now.Sub(b.last()) >= patience[b.Steps[len(b.Steps)-1].Name] {
			b.stop(now, false)
			changed = append(changed, mac)
		}
	}
	forgiven := s.forgiveQuiet(now)
	s.mu.Unlock()
	for _, mac := range changed {
		s.cfg.Changed(mac)
	}
	if forgiven {
		s.cfg.Changed("")
	}
}

// diagnose tells where a boot stopped, why that may be, and what to do.
func (b *Boot) diagnose(restarted bool) string {
	if len(b.Steps) == 0 {
		return ""
	}
	last := b.Steps[len(b.Steps)-1]
	reason := b.reason(last)
	if restarted {
		reason = "It began anew. " + reason
	}
	return reason
}

func (b *Boot) reason(last Step) string {
	if last.Phase == netboot.Failed {
		return fmt.Sprintf("%s failed: %s.", names[last.Name], last.Detail)
	}
	switch last.Name {
	case netboot.StepDHCP:
		return b.stoppedAtDHCP(last)
	case netboot.StepLoader:
		return b.stoppedAtLoader(last)
	case netboot.StepScript:
		return "It was told what to boot, and asked for no kernel: its loader has lost the network. Try the quirk own-drivers, or uefi-ipxe for UEFI; look whether a firewall closes the port of the boot files."
	case netboot.StepKernel:
		if last.Size > 0 && last.Bytes < last.Size {
			return "The kernel did not arrive whole: look at the cable and the switch port. For iPXE that stops in the middle there is the quirk slow-http."
		}
		if b.Firmware == netboot.UEFIx64 && !b.IPXE {
			return "It has the kernel and asked for nothing more. With Secure Boot that means that the kernel's signature was refused (“bad shim signature” on its screen): run make again, or put an unchanged aula in place."
		}
		return "It has the kernel and asked for nothing more: it may have too little memory (1 GiB is needed)."
	case netboot.StepInitramfs:
		return b.stoppedAtInitramfs(last)
	}
	return ""
}

func (b *Boot) stoppedAtDHCP(last Step) string {
	switch {
	case last.Phase != netboot.Answered && last.Times >= 3:
		return "It asked for an address several times and got none that it took. If another DHCP server is to lease addresses, look whether it answers here; if Aula is, look at the notices and at how full the range of addresses is."
	case last.Phase != netboot.Answered:
		return "It asked for an address and stopped asking: it may have been switched off, or its cable was pulled."
	case b.HTTP:
		return "It was told where the boot loader is and did not fetch it: look whether a firewall closes the port of the boot files (TCP 80), and whether the PC's network reaches this machine."
	case b.Relay.IsValid():
		return "It was answered through the relay agent and went no further: look whether the router lets TFTP (UDP 69 and what follows from other ports) through to this machine; the setting single-port helps with firewalls."
	case !b.Address.IsValid():
		return "It was told what to boot and took no notice of it: some firmware takes the offer of one server only. Try the quirk ask-boot-server, or set the boot file in the other DHCP server (docs/netboot.md says how)."
	default:
		return "It was told where the boot loader is and did not fetch it: look whether a firewall closes TFTP (UDP 69), and whether its firmware boots from the network in the way that it asked for."
	}
}

func (b *Boot) stoppedAtLoader(last Step) string {
	if last.Size > 0 && last.Bytes < last.Size {
		return "The boot loader did not arrive whole: look at the cable and the switch port, and whether a firewall lets TFTP's answers through (the setting single-port sends them from port 69)."
	}
	if b.Firmware != netboot.UEFIx64 {
		return "It has iPXE, and iPXE asked for nothing: the network card's driver may not work in it. Try the quirk own-drivers."
	}
	if b.onlyShim {
		return "It has shim and did not ask for GRUB. With Secure Boot that means that shim was refused: allow Microsoft's third-party UEFI CA in the firmware's set-up (“secured-core” PCs have it off)."
	}
	return "It has its boot loader, which asked for nothing more: GRUB may find no network card (try the quirk uefi-ipxe), or a firewall closes the port of the boot files (TCP 80)."
}

func (b *Boot) stoppedAtInitramfs(last Step) string {
	switch {
	case last.Size > 0 && last.Bytes < last.Size:
		return "The client OS did not arrive whole: look at the cable and the switch port. For iPXE that stops in the middle there is the quirk slow-http."
	case b.clientAsked:
		return "The client OS runs and has an address, and its agent did not connect: look whether a firewall closes the agents' port (TCP 8443), and at the PC's screen."
	default:
		return "The client OS was loaded and did not ask for an address: it may have no driver for the network card, or the switch port forwards late after the link was down (switch its spanning tree to edge or portfast). The PC's screen tells more."
	}
}

// names are those of the steps, for people.
var names = map[string]string{
	netboot.StepDHCP: "DHCP", netboot.StepLoader: "The boot loader", netboot.StepScript: "The boot script",
	netboot.StepKernel: "The kernel", netboot.StepInitramfs: "The client OS", StepAgent: "The agent",
}
