package chain

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"aula/appliance/lab"
	"aula/webui/api"
)

// A kind of PC, and what it asks one after the other on its way to the client OS: TFTP's reads and HTTP's requests, in which MAC stands for the PC's.
type kind struct {
	name string
	spec lab.QEMUSpec
	asks []string
}

// What PCs ask for, by what they have in common.
var (
	byTFTP = []string{"RRQ shimx64.efi", "RRQ grubx64.efi"}
	byHTTP = []string{"HEAD /shimx64.efi", "GET /shimx64.efi", "GET //grubx64.efi"}
	byGRUB = []string{"GET /boot/MAC/grub.cfg", "GET /boot/MAC/vmlinuz", "GET /boot/MAC/initramfs"}
	byIPXE = []string{"GET /boot/MAC/script.ipxe", "GET /boot/MAC/vmlinuz", "GET /boot/MAC/initramfs"}
)

// The kinds that there are.
var (
	bios       = kind{"BIOS", lab.QEMUSpec{Firmware: lab.BIOS}, byIPXE}
	uefiPXE    = kind{"UEFI PXE", lab.QEMUSpec{Firmware: lab.UEFI}, concat(byTFTP, byGRUB)}
	uefiHTTP   = kind{"UEFI HTTP Boot", lab.QEMUSpec{Firmware: lab.UEFI, Netboot: lab.HTTPBoot}, concat(byHTTP, byGRUB)}
	securePXE  = kind{"Secure Boot PXE", lab.QEMUSpec{Firmware: lab.UEFI, SecureBoot: true}, concat(byTFTP, byGRUB)}
	secureHTTP = kind{"Secure Boot HTTP Boot", lab.QEMUSpec{Firmware: lab.UEFI, SecureBoot: true, Netboot: lab.HTTPBoot}, concat(byHTTP, byGRUB)}
)

func concat(a, b []string) []string { return append(append([]string{}, a...), b...) }

// A pc is a virtual PC with a system on its disk.
type pc struct {
	*lab.QEMUPC
	kind
	c    *classroom
	on   time.Time // when it was switched on last
	line string    // that its system says
}

// add adds a PC with a system on its disk.
func (c *classroom) add(k kind) *pc {
	c.t.Helper()
	line := fmt.Sprintf("the %s system has started", k.spec.Firmware)
	disk := filepath.Join(c.t.TempDir(), "disk")
	if err := lab.InstalledDisk(disk, k.spec.Firmware, line); err != nil {
		c.t.Fatal(err)
	}
	k.spec.Disk.From = disk
	q, err := c.AddQEMU(k.spec)
	if err != nil {
		c.t.Fatal(err)
	}
	return &pc{QEMUPC: q, kind: k, c: c, line: line}
}

func (p *pc) powerOn() {
	p.c.t.Helper()
	p.on = time.Now()
	if err := p.PowerOn(); err != nil {
		p.c.t.Fatal(err)
	}
}

// arrive waits until the PC's agent is connected, and accepts it. It tells when the agent was seen.
func (p *pc) arrive() (api.Computer, time.Time) {
	t := p.c.t
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), emulated, fmt.Errorf("no agent after %s", emulated))
	defer cancel()
	ctx, give := context.WithCancelCause(ctx)
	defer give(nil)
	go func() {
		select {
		case <-p.Off():
			give(errors.New("it is off"))
		case <-ctx.Done():
		}
	}()
	computer, err := p.c.AwaitComputer(ctx, p, "waiting for its agent", func(c api.Computer) bool { return c.Connected })
	ready := time.Now()
	if err != nil {
		t.Fatalf("%v; it asked:\n%s%s", err, p.story(), p.Serial().Tail(30))
	}
	if computer, err = p.c.Enrol(ctx, p, p.c.room.ID); err != nil {
		t.Fatal(err)
	}
	return computer, ready
}

// awaitLine waits until the PC says something on its serial console, and tells when that was seen.
func (p *pc) awaitLine(line string) time.Time {
	t := p.c.t
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), emulated, fmt.Errorf("not within %s", emulated))
	defer cancel()
	if _, err := p.Serial().WaitFor(ctx, regexp.MustCompile(regexp.QuoteMeta(line))); err != nil {
		t.Fatalf("%s, %s: %v; it asked:\n%s", p.Name(), p.name, err, p.story())
	}
	return time.Now()
}

// packets are those since the PC was switched on.
func (p *pc) packets() []packet { return p.c.tape.of(p.MAC(), p.on) }

func (p *pc) story() string { return story(p.packets(), p.on) }

// requests are what the PC asked TFTP and HTTP for, with MAC in place of its address and without queries.
func (p *pc) requests() (all []string) {
	for _, packet := range p.packets() {
		if r := packet.request(); r != "" {
			r, _, _ = strings.Cut(r, "?")
			all = append(all, strings.ReplaceAll(strings.ReplaceAll(r, "%3A", ":"), p.MAC(), "MAC"))
		}
	}
	return all
}

// checkChain checks that the PC came the way that its kind comes.
func (p *pc) checkChain(t *testing.T) {
	t.Helper()
	rest := p.asks
	for _, r := range p.requests() {
		if len(rest) > 0 && r == rest[0] {
			rest = rest[1:]
		}
		if p.spec.Netboot == lab.HTTPBoot && strings.HasPrefix(r, "RRQ") {
			t.Errorf("it boots by HTTP, and asked TFTP: %s", r)
		}
	}
	if len(rest) > 0 {
		t.Errorf("it never asked %q after those before; it asked:\n%s", rest[0], p.story())
	}
}

// answered is when the PC and DHCP spoke last. The answer itself, when another server sends it, passes the appliance by; it comes at once.
func (p *pc) answered() (at time.Time) {
	for _, packet := range p.packets() {
		if packet.isDHCP() {
			at = packet.at
		}
	}
	return at
}

// offered is when DHCP answered the PC first.
func (p *pc) offered() time.Time {
	for _, packet := range p.packets() {
		if packet.dhcpKind() == "OFFER" {
			return packet.at
		}
	}
	return time.Time{}
}

// isScript tells whether what was asked for says what to boot.
func isScript(asked string) bool {
	path, _, _ := strings.Cut(asked, "?")
	return strings.HasSuffix(path, "/script.ipxe") || strings.HasPrefix(path, "GET /boot/") && strings.HasSuffix(path, "/grub.cfg")
}
