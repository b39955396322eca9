package neighbour

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

const insideVariable = "AULA_TEST_NAMESPACE"

// inNamespace runs the calling test again in a child process with network, mounts and processes of its own. It returns true in the child.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVariable) == t.Name() {
		for target, kind := range map[string]string{"/proc": "proc", "/run": "tmpfs"} {
			if err := syscall.Mount(kind, target, kind, 0, ""); err != nil {
				t.Fatalf("mount %s: %v", target, err)
			}
		}
		ip(t, "link", "set", "lo", "up")
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to make network namespaces")
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
	child.Env = append(os.Environ(), insideVariable+"="+t.Name())
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL,
	}
	out, err := child.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("in a namespace of its own: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("SKIPPED in its namespace:\n%s", out)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name())):
		t.Errorf("did not run in its namespace:\n%s", out)
	}
	return false
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// plug makes a NIC on the bridge br0, in a namespace of that name when one is wanted; the bridge has the appliance's address.
func plug(t *testing.T, name, mac string, namespace bool) *net.Interface {
	t.Helper()
	if _, err := net.InterfaceByName("br0"); err != nil {
		ip(t, "link", "add", "br0", "type", "bridge", "forward_delay", "0")
		ip(t, "addr", "add", ownAddr.String()+"/24", "dev", "br0")
		ip(t, "link", "set", "br0", "up")
	}
	ip(t, "link", "add", name+"-port", "type", "veth", "peer", "name", name)
	ip(t, "link", "set", name+"-port", "master", "br0", "up")
	ip(t, "link", "set", name, "address", mac)
	if namespace {
		ip(t, "netns", "add", name)
		ip(t, "link", "set", name, "netns", name)
		ip(t, "-n", name, "link", "set", "lo", "up")
		ip(t, "-n", name, "link", "set", name, "up")
		return nil
	}
	ip(t, "link", "set", name, "up")
	return named(t, name)
}

func named(t *testing.T, name string) *net.Interface {
	t.Helper()
	nic, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return nic
}

// dnsmasq runs on a NIC in its namespace.
func dnsmasq(t *testing.T, name, address string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("dnsmasq"); err != nil {
		t.Skip("SKIPPED: this machine has no dnsmasq")
	}
	ip(t, "-n", name, "addr", "add", address+"/24", "dev", name)
	args = append([]string{"netns", "exec", name, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--log-dhcp", "--log-facility=-",
		"--interface=" + name, "--bind-interfaces", "--dhcp-leasefile=/run/" + name + ".leases", "--pid-file="}, args...)
	server := exec.CommandContext(t.Context(), "ip", args...)
	var out bytes.Buffer
	server.Stdout, server.Stderr = &out, &out
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		if t.Failed() {
			t.Logf("dnsmasq on %s:\n%s", name, out.String())
		}
	})
}

func lookout(t *testing.T, nic *net.Interface, name string, own netip.Addr, leases bool) *Lookout {
	t.Helper()
	l, err := New(Config{NIC: nic, Name: name, Own: func() []netip.Addr { return []netip.Addr{own} }, Leasing: func() bool { return leases }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return l
}

// ask asks until as many answer as are wanted, because a server takes its time to start.
func ask(t *testing.T, l *Lookout, want int) map[string]Server {
	t.Helper()
	found := map[string]Server{}
	for range 5 {
		all, err := l.Probe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		clear(found)
		for _, s := range all {
			found[s.Address.String()] = s
		}
		if len(found) >= want {
			break
		}
	}
	return found
}

// A network with every kind of neighbour: dnsmasq that leases, dnsmasq as a proxy, another Aula, and this Aula's own server on the same NIC.
func TestRealNeighbours(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	plug(t, "leases", "52:54:00:00:00:02", true)
	plug(t, "proxy", "52:54:00:00:00:03", true)
	far := plug(t, "aula", "52:54:00:00:00:04", false)
	dnsmasq(t, "leases", "10.20.30.2", "--dhcp-range=10.20.30.50,10.20.30.60,10m", "--dhcp-boot=pxelinux.0")
	dnsmasq(t, "proxy", "10.20.30.3", "--dhcp-range=10.20.30.0,proxy", "--pxe-service=x86PC,Boot,loader")
	goethe := lookout(t, far, "goethe", netip.MustParseAddr("10.20.30.4"), false)
	schiller := lookout(t, named(t, "br0"), "schiller", ownAddr, true)

	found := ask(t, schiller, 3)
	if s := found["10.20.30.2"]; !s.Leases || !s.Boots || s.File != "pxelinux.0" || s.MAC != "52:54:00:00:00:02" || s.Aula != "" ||
		!netip.MustParsePrefix("10.20.30.48/28").Contains(s.Offered) {
		t.Errorf("dnsmasq that leases was found as %+v", s)
	}
	if s := found["10.20.30.3"]; s.Leases || !s.Boots || s.MAC != "52:54:00:00:00:03" {
		t.Errorf("dnsmasq as a proxy was found as %+v", s)
	}
	if s := found["10.20.30.4"]; s.Leases || !s.Boots || s.Aula != "goethe" || s.MAC != "52:54:00:00:00:04" {
		t.Errorf("another Aula was found as %+v", s)
	}
	if len(found) != 3 {
		t.Errorf("found %+v, want three", found)
	}
	// The other Aula has noticed without asking.
	var noticed bool
	for _, s := range goethe.Servers() {
		noticed = noticed || s.Aula == "schiller" && s.Address == ownAddr && s.Leases
	}
	if !noticed {
		t.Errorf("the other Aula has heard of %+v, not of the one that asked", goethe.Servers())
	}
	leases, err := os.ReadFile("/run/leases.leases")
	if err != nil || len(leases) != 0 {
		t.Errorf("the probe took a lease: %q, %v", leases, err)
	}
}

// A server that answers to the hardware address only, whatever the broadcast flag says.
func TestServerThatAnswersByUnicast(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	s, err := listen(plug(t, "unicast", otherMAC.String(), false), otherMAC)
	if err != nil {
		t.Fatal(err)
	}
	answered := make(chan int, 1)
	go func() {
		n, buf := 0, make([]byte, frameSize)
		for {
			size, err := s.Read(buf)
			if err != nil {
				answered <- n
				return
			}
			p, err := parse(buf[:size])
			if err != nil || p.dhcp.OpCode != dhcpv4.OpcodeBootRequest {
				continue
			}
			n++
			if _, err := s.Write(offer(p.dhcp, otherAddr).frame(p.dhcp.ClientHWAddr)); err != nil && !errors.Is(err, os.ErrClosed) {
				t.Errorf("answer: %v", err)
			}
		}
	}()
	l := lookout(t, named(t, "br0"), "schiller", ownAddr, true)
	found := ask(t, l, 1)
	if f := found[otherAddr.String()]; !f.Leases || f.MAC != otherMAC.String() {
		t.Errorf("found %+v", found)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := <-answered; n == 0 {
		t.Error("the server was not asked")
	}
}

// What is said in another VLAN on the same cable is another network's.
func TestOtherVLANsAreOtherNetworks(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	s, err := listen(plug(t, "far", otherMAC.String(), false), otherMAC)
	if err != nil {
		t.Fatal(err)
	}
	said := func(server netip.Addr) []byte {
		return offer(request(otherAddr, otherAddr).dhcp, server).frame(everybody)
	}
	l := lookout(t, named(t, "br0"), "schiller", ownAddr, false)
	frames := [][]byte{
		slices.Insert(said(otherAddr.Prev()), 12, 0x81, 0, 0, 7),
		slices.Insert(said(otherAddr.Prev().Prev()), 12, 0x81, 0, 0x2f, 0xff),
		slices.Insert(said(otherAddr), 12, 0x81, 0, 0x20, 0), // a priority alone
	}
	for range 100 { // a bridge forwards some time after its ports were plugged
		for _, frame := range frames {
			if _, err := s.Write(frame); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(50 * time.Millisecond)
		if len(l.Servers()) > 0 {
			break
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if all := l.Servers(); len(all) != 1 || all[0].Address != otherAddr {
		t.Errorf("heard of %+v, want only the server of the NIC's own network", all)
	}
}
