package netboot_test

import (
	"bytes"
	"net/netip"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aula/netboot"
	"aula/netboot/dhcp"
)

const (
	foreignHost = "10.20.30.2"
	foreignMAC  = "52:54:00:00:00:fe"
	foreignKey  = "dhcp-server:" + foreignHost
)

// plugForeign makes the machine of another DHCP server.
func plugForeign(t *testing.T) {
	t.Helper()
	plugPC(t, "foreign", foreignMAC)
	on(t, "foreign", "ip", "addr", "add", foreignHost+"/24", "dev", "eth0")
}

// dnsmasq leases addresses there, until the returned function is called.
func dnsmasq(t *testing.T) (stop func()) {
	t.Helper()
	if _, err := exec.LookPath("dnsmasq"); err != nil {
		t.Skip("SKIPPED: this machine has no dnsmasq")
	}
	server := exec.CommandContext(t.Context(), "ip", "netns", "exec", "foreign", "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0",
		"--log-dhcp", "--log-facility=-", "--interface=eth0", "--bind-interfaces", "--dhcp-leasefile=/run/foreign.leases", "--pid-file=",
		"--dhcp-range=10.20.30.60,10.20.30.69,10m", "--dhcp-authoritative", "--no-ping")
	var out bytes.Buffer
	server.Stdout, server.Stderr = &out, &out
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	var stopped atomic.Bool
	stop = func() {
		if !stopped.Swap(true) {
			_ = server.Process.Kill()
			_ = server.Wait()
		}
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("dnsmasq:\n%s", out.String())
		}
	})
	return stop
}

// agreement is the operator's.
type agreement struct{ given atomic.Bool }

func (a *agreement) Given() bool { return a.given.Load() }

func (a *agreement) Withdraw() error {
	a.given.Store(false)
	return nil
}

// awaitRole waits until the server has a role, and asks or not.
func (c *classroom) awaitRole(t *testing.T, role dhcp.Role, asking bool) {
	t.Helper()
	deadline := time.Now().Add(soon)
	for {
		s := c.server.Status()
		if s.Role == role && s.Asking == asking && !s.Probed.IsZero() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("status %+v, want role %s, asking %v", s, role, asking)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// A rogue server that appears while addresses are leased is reported, with its addresses, and changes nothing.
func TestRogueServerIsReported(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	newBridge(t)
	plugForeign(t)
	c := prepare(t, nil)
	c.server.SetIntervals(time.Hour, 2*time.Second) // in place of 45 s
	c.start(t)
	c.awaitRole(t, dhcp.Full, false)
	stop := dnsmasq(t)
	n := c.awaitNotice(t, soon, "the rogue server", func(n netboot.Notice) bool { return n.Key == foreignKey })
	for _, word := range []string{foreignHost, foreignMAC, "offered 10.20.30.6", "unplug"} {
		if n.Level != netboot.Alarm || !strings.Contains(n.Text, word) {
			t.Errorf("notice %+v, want an alarm with %q", n, word)
		}
	}
	s := c.server.Status()
	if s.Role != dhcp.Full || len(s.Others) != 1 || s.Others[0].Address.String() != foreignHost || !s.Others[0].Leases {
		t.Errorf("status %+v, want it to lease on and to know the rogue server", s)
	}
	found, err := c.server.Probe(t.Context())
	if err != nil || len(found) != 1 || found[0].MAC != foreignMAC {
		t.Errorf("Probe = %+v, %v", found, err)
	}
	stop()
	c.awaitNotice(t, soon, "its end", func(n netboot.Notice) bool { return n.Key == foreignKey && n.Gone })
}

// Where another server leases, it does not, and knows the PCs all the same; when the other one is gone it asks before it leases.
func TestBehindAnotherServer(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	newBridge(t)
	plugForeign(t)
	stop := dnsmasq(t)
	var consent agreement
	consent.given.Store(true)
	c := prepare(t, func(cfg *netboot.Config) { cfg.Mode, cfg.Consent = netboot.ModeAuto, &consent })
	c.server.SetIntervals(2*time.Second, 2*time.Second)
	c.start(t)
	c.awaitNotice(t, soon, "the other server", func(n netboot.Notice) bool { return n.Key == foreignKey && n.Level == netboot.Info })
	c.awaitRole(t, dhcp.Proxy, false)
	if consent.Given() {
		t.Error("the operator's agreement was not withdrawn")
	}

	const mac, byHand = "52:54:00:00:00:01", "52:54:00:00:00:02"
	plugPC(t, "pc", mac)
	plugPC(t, "hand", byHand)
	got := udhcpc(t, "pc")
	if !strings.Contains(got, "serverid="+foreignHost+"\n") {
		t.Errorf("udhcpc got its address elsewhere:\n%s", got)
	}
	_, rest, _ := strings.Cut(got, "\nip=")
	address, _, _ := strings.Cut(rest, "\n")
	on(t, "pc", "ip", "addr", "add", address+"/24", "dev", "eth0")
	on(t, "hand", "ip", "addr", "add", "10.20.30.77/24", "dev", "eth0")
	for pc, want := range map[string]struct{ mac, address string }{"pc": {mac, address}, "hand": {byHand, "10.20.30.77"}} {
		on(t, pc, "curl", "-sS", "-o", "/dev/null", "http://"+serverHost+"/boot/vmlinuz")
		if e := c.await(t, want.mac, netboot.StepKernel, "sent", soon); e.Address != netip.MustParseAddr(want.address) {
			t.Errorf("%s has %s, want %s", want.mac, e.Address, want.address)
		}
	}

	stop()
	c.awaitRole(t, dhcp.Proxy, true)
	consent.given.Store(true)
	c.server.Reconsider()
	c.awaitRole(t, dhcp.Full, false)
	plugPC(t, "late", "52:54:00:00:00:03")
	if got := udhcpc(t, "late"); !strings.Contains(got, "serverid="+serverHost+"\n") {
		t.Errorf("udhcpc got no address from here:\n%s", got)
	}
	if all := c.server.Leases(); len(all) != 1 || all[0].MAC.String() != "52:54:00:00:00:03" {
		t.Errorf("leases %+v, want one", all)
	}
	if pools := c.server.Status().Pools; len(pools) != 1 || pools[0].Leased != 1 || pools[0].Network != serverPrefix.Masked() {
		t.Errorf("pools %+v", pools)
	}
}

// What is wrong with the NIC is told while it is.
func TestCableAndAddressAreWatched(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	newBridge(t)
	plugPC(t, "pc", "52:54:00:00:00:01") // a bridge without ports has no carrier
	c := open(t, nil)
	expect := func(key, words string, gone bool) {
		t.Helper()
		c.awaitNotice(t, soon, key+" "+words, func(n netboot.Notice) bool { return n.Key == key && n.Gone == gone && strings.Contains(n.Text, words) })
	}
	command(t, "ip", "link", "set", "pc", "down")
	expect("link:br0", "no cable in br0", false)
	command(t, "ip", "link", "set", "pc", "up")
	expect("link:br0", "again", true)
	command(t, "ip", "addr", "del", serverPrefix.String(), "dev", "br0")
	expect("address:br0", "ip addr add "+serverPrefix.String()+" dev br0", false)
	command(t, "ip", "addr", "add", serverPrefix.String(), "dev", "br0")
	expect("address:br0", "again", true)
	command(t, "ip", "link", "set", "br0", "down")
	expect("link:br0", "ip link set br0 up", false)
}

// A PC whose address comes from another server is told by ProxyDHCP what to boot, and comes here for it.
func TestPCBootsBehindAnotherServer(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	const mac = "52:54:00:00:00:b2"
	c, console := virtualClassroom(t, 0, "-machine", "pc,graphics=off", "-device", "virtio-net-pci,netdev=lan,mac="+mac+",bootindex=0")
	c.server.SetMode(netboot.ModeProxy) // the PC asks for an address some seconds after it was switched on
	plugForeign(t)
	dnsmasq(t)
	e := c.await(t, mac, netboot.StepScript, "client OS", emulated)
	if !strings.HasPrefix(e.Address.String(), "10.20.30.6") {
		t.Errorf("the PC has %s, which is not of the other server", e.Address)
	}
	e = c.await(t, mac, netboot.StepDHCP, "script.ipxe", emulated)
	if e.Phase != netboot.Answered || e.Target != netboot.BootClientOS || !e.IPXE || e.Firmware != netboot.BIOS {
		t.Errorf("by ProxyDHCP it was told %+v", e)
	}
	c.await(t, mac, netboot.StepKernel, "sent", emulated)
	console.await(t, "could not be loaded", emulated) // there is no initramfs
	if all := c.server.Leases(); len(all) != 0 {
		t.Errorf("leases %+v, want none", all)
	}
}
