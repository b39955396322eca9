package netboot

import (
	"bufio"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"aula/netboot/dhcp"
	"aula/netboot/lease"
)

// A watch tells the Observer what the services see, and which PC it is where they know only an address.
type watch struct {
	to     Observer // nil for none; what it is told goes through the watch
	holder func(netip.Addr) (lease.MAC, bool)
	// others tells whether an address is surely another PC's now than the one that is named.
	others func(netip.Addr, lease.MAC) bool

	leased  func(netip.Addr) (lease.MAC, bool) // by this Aula, now or last
	proxy   func() bool                        // addresses are another server's now
	planned func(lease.MAC) string             // what a PC was planned to boot; called where DHCP decides

	mu      sync.Mutex
	uses    map[netip.Addr]user
	booting map[lease.MAC]time.Time // when a boot ROM or boot loader was heard last
}

// A user is who was heard to use an address.
type user struct {
	mac lease.MAC
	at  time.Time
}

// How long what was heard is believed, and how much of it is remembered: anybody can send such packets.
const (
	bootingFor = 2 * time.Minute
	leavingFor = 5 * time.Second // no installed system asks for a router so soon after the firmware
	usesFor    = time.Hour
	mostHeard  = 4096
)

func newWatch(to Observer) *watch {
	w := &watch{uses: map[netip.Addr]user{}, booting: map[lease.MAC]time.Time{}}
	w.to, w.holder, w.others = &tap{w, to}, w.find, w.isOthers
	return w
}

// A tap hands on what an Observer is told, and lets the watch see it.
type tap struct {
	watch *watch
	to    Observer // nil for none
}

// Observe implements Observer.
func (t *tap) Observe(e Event) {
	// With its initramfs the kernel has the network card; with the script for its disk the PC has left the network.
	if e.Phase == Answered && (e.Step == StepInitramfs || e.Step == StepScript && e.Target == BootDisk) {
		if mac, err := lease.ParseMAC(e.MAC); err == nil {
			t.watch.booted(mac)
		}
	}
	if t.to != nil {
		t.to.Observe(e)
	}
}

// Notify implements Observer.
func (t *tap) Notify(n Notice) {
	if t.to != nil {
		t.to.Notify(n)
	}
}

// otherServer begins the keys of what DHCP says of other servers; the keeper knows more of them.
const otherServer = "dhcp/other-server/"

// decided tells of a DHCP packet and what became of it.
func (w *watch) decided(r dhcp.Request, d dhcp.Decision) {
	if d.Key != "" && !strings.HasPrefix(d.Key, otherServer) {
		n := Notice{Key: d.Key, Level: levelOf(d.Level), Text: sentence(d.Note), Gone: d.Gone}
		if r.MAC != (lease.MAC{}) && strings.Contains(d.Key, r.MAC.String()) {
			n.MAC = r.MAC.String()
		}
		w.to.Notify(n)
	}
	if r.MAC == (lease.MAC{}) || d.Gone || r.Kind == dhcp.Release {
		return
	}
	switch {
	case r.Firmware == dhcp.NoFirmware:
	case leaves(d):
		w.leaves(r.MAC)
	default:
		w.boots(r.MAC)
	}
	e := Event{
		Time: time.Now(), MAC: r.MAC.String(), Address: d.Address(), Step: StepDHCP, Phase: phaseOf(d), Detail: d.Note,
		Firmware: Firmware(r.Firmware), HTTP: r.HTTP, IPXE: r.IPXE, Relay: r.Relay,
	}
	if strings.HasPrefix(d.Key, otherServer) {
		e.Phase = Failed
	}
	if !e.Address.IsValid() {
		e.Address = r.Current
	}
	if e.Phase == Answered {
		e.Target = w.target(r, d)
	}
	w.to.Observe(e)
}

// leaves tells whether a PC boots no further from here by a decision. Its own system must not hear of routers what only a boot loader should.
func leaves(d dhcp.Decision) bool {
	switch d.Advice.Action {
	case dhcp.LocalDisk, dhcp.Refuse:
		return d.Told
	default:
		return d.Advice.Action == dhcp.Ignore
	}
}

// phaseOf tells how far a PC came by a decision.
func phaseOf(d dhcp.Decision) string {
	switch {
	case d.Level >= slog.LevelWarn:
		return Failed
	case d.Told, d.Advice.Action == dhcp.Ignore:
		return Answered
	case d.Reply == nil:
		return Asked
	}
	switch d.Reply.MessageType() {
	case dhcpv4.MessageTypeAck:
		return Answered
	case dhcpv4.MessageTypeNak:
		return Failed
	default:
		return Asked
	}
}

// target is what a PC was told to boot, empty for one that does not boot.
func (w *watch) target(r dhcp.Request, d dhcp.Decision) string {
	switch d.Advice.Action {
	case dhcp.LocalDisk, dhcp.Refuse:
		return BootDisk
	case dhcp.Ignore:
		return BootNothing
	case dhcp.Load:
		return w.planned(r.MAC)
	default:
		return ""
	}
}

func levelOf(l slog.Level) string {
	switch {
	case l >= slog.LevelError:
		return Alarm
	case l >= slog.LevelWarn:
		return Warning
	default:
		return Info
	}
}

// sentence makes one of what stands in a log.
func sentence(note string) string {
	if note == "" {
		return ""
	}
	return strings.ToUpper(note[:1]) + note[1:] + "."
}

// boots says that a PC's boot ROM or boot loader was heard.
func (w *watch) boots(mac lease.MAC) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if _, known := w.booting[mac]; !known {
		makeRoom(w.booting, func(t time.Time) bool { return now.Sub(t) > bootingFor })
	}
	w.booting[mac] = now
}

// booted says that a PC has left its boot loader.
func (w *watch) booted(mac lease.MAC) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.booting, mac)
}

// leaves says that a PC was told to leave its boot ROM, which first ends what it has begun: iPXE configures IPv6 before it looks at what it was told.
func (w *watch) leaves(mac lease.MAC) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.booting[mac] = time.Now().Add(leavingFor - bootingFor)
}

// isBooting tells whether a PC is in its boot ROM or boot loader now.
func (w *watch) isBooting(hw net.HardwareAddr) bool {
	mac, err := lease.MACFrom(hw)
	if err != nil {
		return false
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t, ok := w.booting[mac]
	return ok && time.Since(t) <= bootingFor
}

// learn says that a PC was heard to use an address.
func (w *watch) learn(hw net.HardwareAddr, a netip.Addr) {
	mac, err := lease.MACFrom(hw)
	if err != nil || !a.IsValid() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if _, known := w.uses[a]; !known {
		makeRoom(w.uses, func(u user) bool { return now.Sub(u.at) > usesFor })
	}
	w.uses[a] = user{mac, now}
}

// Offsets in a DHCP message (RFC 2131, figure 1).
const (
	opAt, hlenAt, ciaddrAt, chaddrAt = 0, 2, 12, 28
	chaddrEnd                        = chaddrAt + 6
)

// overhear takes from a DHCP message of a PC the address that it says it has, wherever it got it, and that it runs a system already.
func (w *watch) overhear(message []byte) {
	if len(message) < chaddrEnd || message[opAt] != byte(dhcpv4.OpcodeBootRequest) || message[hlenAt] != chaddrEnd-chaddrAt {
		return
	}
	if a, _ := netip.AddrFromSlice(message[ciaddrAt : ciaddrAt+4]); !a.IsUnspecified() {
		w.learn(message[chaddrAt:chaddrEnd], a)
	}
	if !w.isBooting(message[chaddrAt:chaddrEnd]) {
		return
	}
	if r, err := dhcp.Decode(slices.Clone(message)); err == nil && r.Firmware == dhcp.NoFirmware {
		w.booted(r.MAC)
	}
}

// makeRoom keeps a map of what strangers say small: what is old goes, or else anything.
func makeRoom[K comparable, V any](m map[K]V, old func(V) bool) {
	if len(m) < mostHeard {
		return
	}
	for k, v := range m {
		if old(v) {
			delete(m, k)
		}
	}
	for k := range m {
		if len(m) < mostHeard {
			return
		}
		delete(m, k)
	}
}

// find returns the PC that uses an address: by the leases, when they are this Aula's, else by what was heard, and last by what the kernel knows of its
// neighbours.
func (w *watch) find(a netip.Addr) (lease.MAC, bool) {
	if !w.proxy() {
		if mac, ok := w.leased(a); ok {
			return mac, true
		}
	}
	w.mu.Lock()
	u, ok := w.uses[a]
	w.mu.Unlock()
	if ok && time.Since(u.at) <= usesFor {
		return u.mac, true
	}
	mac, ok := neighbourAt(a)
	if ok {
		w.learn(mac[:], a)
	}
	return mac, ok
}

// isOthers implements others. What was heard of an address may be old, when another server leases it to a PC after the other; whom the kernel has just spoken to is not.
func (w *watch) isOthers(a netip.Addr, mac lease.MAC) bool {
	if !w.proxy() {
		if holder, ok := w.leased(a); ok {
			return holder != mac
		}
	}
	at, ok := neighbourAt(a)
	return ok && at != mac
}

// neighbourAt looks into the kernel's table of who was found at an address (proc_net(5), /proc/net/arp).
func neighbourAt(a netip.Addr) (lease.MAC, bool) {
	f, err := os.Open("/proc/net/arp")
	if err != nil {
		return lease.MAC{}, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// IP address, HW type, flags, HW address, mask, device; incomplete entries have the flags 0x0.
		if fields := strings.Fields(lines.Text()); len(fields) >= 4 && fields[0] == a.String() && fields[2] != "0x0" {
			mac, err := lease.ParseMAC(fields[3])
			return mac, err == nil
		}
	}
	return lease.MAC{}, false
}
