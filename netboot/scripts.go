package netboot

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"aula/netboot/quirk"
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
	if _, _, sent := a.BasicAuth(); a.URL.Query().Has("login") && !sent {
		// iPXE sends a password when it is asked for it. So it stands in no URL.
		w.Header().Set("WWW-Authenticate", `Basic realm="Aula"`)
		http.Error(w, "this entry of the menu wants a password", http.StatusUnauthorized)
		return
	}
	text, outcome, err := h.script(a, c, loader)
	if err != nil {
		h.plan.Log.Error("boot script cannot be made", "mac", c.MAC, "error", err)
		http.Error(w, "the boot script cannot be made", http.StatusInternalServerError)
		return
	}
	outcome.Step, outcome.Firmware, outcome.File = StepScript, c.Firmware, name
	outcome.Size, outcome.Bytes = int64(len(text)), int64(len(text))
	h.tell(a, outcome)
	// A script that does not arrive whole is asked for again; its ticket then expires unused.
	fmt.Fprint(w, text)
}

// clientOf reads what the loader tells of its PC. Nothing of it is proven.
func clientOf(a asked, l script.Loader) Client {
	q := a.URL.Query()
	c := Client{MAC: a.mac.String(), Address: a.address, Firmware: BIOS, UUID: known(q.Get("uuid")), Serial: known(q.Get("serial"))}
	if l == script.GRUB {
		c.Firmware = UEFIx64
	}
	switch told := Firmware(q.Get("firmware")); told {
	case UEFIx64, UEFIia32, UEFIARM64:
		c.Firmware = told
	}
	if n, err := strconv.Atoi(q.Get("try")); err == nil && n > 0 {
		c.Again = true
	}
	if choice := q.Get("choice"); script.IsID(choice) {
		c.Choice = choice
		c.PasswordChecked = l == script.GRUB
	}
	if _, password, ok := a.BasicAuth(); ok && len(password) <= longestPassword {
		c.Password = password
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

// longestPassword bounds what is looked at as a password; iPXE takes no more.
const longestPassword = 64

// script returns what the PC shall run, and what is told of it.
func (h *httpService) script(a asked, c Client, l script.Loader) (text string, outcome Event, err error) {
	pc := script.PC{Server: h.plan.host(), MAC: c.MAC, UEFI: c.Firmware != BIOS, Overlay: h.overlay != nil}
	if n, err := strconv.Atoi(a.URL.Query().Get("try")); err == nil && n > 0 {
		pc.Try = min(n, script.Tries)
	}
	if why := refusal(c.Firmware); why != "" {
		pc.Problem = why
		text, err := script.Refuse(l, pc)
		return text, Event{Phase: Failed, Target: BootDisk, Detail: "boots its own disk: " + why}, err
	}
	boot, err := h.decide(a, c)
	pc.Exit = boot.Quirks.Has(quirk.ExitToDisk)
	if err == nil {
		h.slow.set(a.mac, boot.Quirks.Has(quirk.SlowHTTP))
	}
	switch {
	case err == nil && boot.Target == BootDisk:
		text, err = script.Disk(l, pc)
		return text, Event{Phase: Answered, Target: BootDisk, Detail: "boots its own disk"}, err
	case pc.Try >= script.Tries:
		text, err = script.Disk(l, pc)
		detail := "boots its own disk, having asked in vain " + strconv.Itoa(pc.Try) + " times"
		return text, Event{Phase: Failed, Target: BootDisk, Detail: detail}, err
	case err != nil:
		return h.wait(c, l, pc, err)
	case boot.Target == BootMenu:
		if text, err = script.ShowMenu(l, pc, boot.Menu); err != nil {
			return h.wait(c, l, pc, err)
		}
		return text, Event{Phase: Answered, Target: BootMenu, Detail: "shows a menu"}, nil
	}
	pc.CommandLine = h.plan.commandLine(c, boot)
	text, err = script.ClientOS(l, pc)
	return text, Event{Phase: Answered, Target: BootClientOS, Detail: "boots the client OS"}, err
}

// wait returns a script that shows the problem, after which the PC asks again.
func (h *httpService) wait(c Client, l script.Loader, pc script.PC, problem error) (text string, outcome Event, err error) {
	h.plan.Log.Error("a PC cannot boot", "mac", c.MAC, "error", problem)
	pc.Problem = script.Sanitize(problem.Error())
	text, err = script.Wait(l, pc)
	return text, Event{Phase: Failed, Detail: "waits: " + pc.Problem}, err
}

// refusal says why a PC with that firmware does not reach the client OS; empty when it does.
func refusal(f Firmware) string {
	switch f {
	case UEFIARM64:
		return "there is no client OS for ARM64 PCs yet"
	case UEFIia32:
		return "there is no client OS for PCs with 32-bit UEFI"
	}
	return ""
}

// errNotItself is told to whoever asks with the address of one PC for what another boots. Firmware asks for itself.
var errNotItself = errors.New("this address is another PC's: start the PC again")

// decide asks the Decider, and makes sure that its answer can be carried out. Of an answer that cannot be, the quirks are returned all the same.
func (h *httpService) decide(a asked, c Client) (Boot, error) {
	if h.watch.others(a.address, a.mac) {
		return Boot{}, errNotItself
	}
	boot, err := h.plan.Decider.Decide(a.Context(), c)
	if err != nil {
		return Boot{}, err
	}
	switch {
	case boot.Target == BootDisk, boot.Target == BootMenu:
		return boot, nil
	case boot.Target != BootClientOS:
		return boot, fmt.Errorf("what to boot is not known: %q", boot.Target)
	case boot.Ticket == "" || !script.Plain(boot.Ticket) || strings.Contains(boot.Ticket, " "):
		return boot, errors.New("the boot's ticket cannot stand on a kernel command line")
	}
	return boot, h.kernel.check()
}

// commandLine is the kernel's: what the agent needs, and little on the screen, which is the agent's.
func (p *plan) commandLine(c Client, b Boot) string {
	agents := netip.AddrPortFrom(p.address.Addr(), uint16(p.AgentPort))
	line := fmt.Sprintf("quiet loglevel=3 aula.server=%s aula.ticket=%s aula.mac=%s %s", agents, b.Ticket, c.MAC, p.Extra)
	return strings.Join(strings.Fields(line), " ")
}
