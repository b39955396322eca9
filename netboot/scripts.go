package netboot

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"aula/netboot/script"
)

// serveScript asks the Decider and answers with the script that does it. HEAD decides nothing, because a decision may use up a ticket;
// it therefore tells no length.
func (h *httpService) serveScript(w http.ResponseWriter, a asked, name string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if a.Method == http.MethodHead {
		return
	}
	loader := script.IPXE
	if name == "grub.cfg" {
		loader = script.GRUB
	}
	c := clientOf(a, loader)
	text, outcome, err := h.script(a, c, loader)
	if err != nil {
		h.plan.Log.Error("boot script cannot be made", "mac", c.MAC, "error", err)
		http.Error(w, "the boot script cannot be made", http.StatusInternalServerError)
		return
	}
	h.tell(a, StepScript, outcome)
	// A script that does not arrive whole is asked for again; its ticket then expires unused.
	fmt.Fprint(w, text)
}

// clientOf reads what the loader tells of its PC. Nothing of it is proven.
func clientOf(a asked, l script.Loader) Client {
	q := a.URL.Query()
	c := Client{MAC: a.mac.String(), Address: a.address, Firmware: BIOS, UUID: known(q.Get("uuid")), Serial: known(q.Get("serial"))}
	if l == script.GRUB || q.Get("firmware") == string(UEFIx64) {
		c.Firmware = UEFIx64
	}
	return c
}

// longestFact bounds what a PC may tell of itself; the SMBIOS has strings of at most 64 characters.
const longestFact = 64

// known drops what a loader did not know: then it sends the name of its own variable, or nothing.
func known(fact string) string {
	if strings.Contains(fact, "${") || len(fact) > longestFact {
		return ""
	}
	return strings.TrimSpace(fact)
}

// script returns what the PC shall run, and the same for people.
func (h *httpService) script(a asked, c Client, l script.Loader) (text, outcome string, err error) {
	pc := script.PC{Server: h.plan.host(), MAC: c.MAC, UEFI: c.Firmware == UEFIx64, Overlay: len(h.plan.Overlay) > 0}
	if n, err := strconv.Atoi(a.URL.Query().Get("try")); err == nil && n > 0 {
		pc.Try = min(n, script.Tries)
	}
	boot, err := h.decide(a, c)
	switch {
	case err == nil && boot.Target == BootDisk:
		text, err = script.Disk(l, pc)
		return text, "boots its own disk", err
	case pc.Try >= script.Tries:
		text, err = script.Disk(l, pc)
		return text, "boots its own disk, having asked in vain " + strconv.Itoa(pc.Try) + " times", err
	case err != nil:
		h.plan.Log.Error("a PC cannot boot", "mac", c.MAC, "error", err)
		pc.Problem = script.Sanitize(err.Error())
		text, err := script.Wait(l, pc)
		return text, "waits: " + pc.Problem, err
	}
	pc.CommandLine = h.plan.commandLine(c, boot)
	text, err = script.ClientOS(l, pc)
	return text, "boots the client OS", err
}

// decide asks the Decider, and makes sure that its answer can be carried out.
func (h *httpService) decide(a asked, c Client) (Boot, error) {
	boot, err := h.plan.Decider.Decide(a.Context(), c)
	if err != nil {
		return Boot{}, err
	}
	switch {
	case boot.Target == BootDisk:
		return boot, nil
	case boot.Target != BootClientOS:
		return Boot{}, fmt.Errorf("what to boot is not known: %q", boot.Target)
	case boot.Ticket == "" || !script.Plain(boot.Ticket) || strings.Contains(boot.Ticket, " "):
		return Boot{}, errors.New("the boot's ticket cannot stand on a kernel command line")
	}
	kernel, err := h.plan.Files.Kernel()
	if err != nil {
		return Boot{}, err
	}
	return boot, kernel.Close()
}

// commandLine is the kernel's: what the agent needs, and little on the screen, which is the agent's.
func (p *plan) commandLine(c Client, b Boot) string {
	agents := netip.AddrPortFrom(p.address.Addr(), uint16(p.AgentPort))
	line := fmt.Sprintf("quiet loglevel=3 aula.server=%s aula.ticket=%s aula.mac=%s %s", agents, b.Ticket, c.MAC, p.Extra)
	return strings.Join(strings.Fields(line), " ")
}
