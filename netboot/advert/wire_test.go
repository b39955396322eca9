package advert

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

const insideVariable = "AULA_TEST_NAMESPACE"

// inNamespace runs the calling test again in a child process with network, mounts and processes of its own, which the kernel takes down with it. It returns
// true in the child, where the test goes on.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVariable) == t.Name() {
		for _, m := range [][2]string{{"proc", "/proc"}, {"tmpfs", "/run"}} {
			if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mount(m[0], m[1], m[0], 0, ""); err != nil {
				t.Fatal(err)
			}
		}
		command(t, "ip", "link", "set", "lo", "up")
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to make network namespaces")
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
	child.Env = append(os.Environ(), insideVariable+"="+t.Name())
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL,
	}
	out, err := child.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("in a namespace of its own: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("SKIPPED in its namespace:\n%s", out)
	default:
		t.Logf("%s", out)
	}
	return false
}

func command(t *testing.T, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Skipf("SKIPPED: this machine has no %s", args[0])
	}
	out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// advertise runs an Advertiser on a NIC until the test ends. It sends each MAC that it is asked about to the channel.
func advertise(t *testing.T, nic string, booting string) <-chan string {
	t.Helper()
	card, err := net.InterfaceByName(nic)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 100)
	a, err := New(Config{
		NIC: card,
		Booting: func(mac net.HardwareAddr) bool {
			asked <- mac.String()
			return mac.String() == booting
		},
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return asked
}

const serverNIC, pcNIC = "server", "pc"

// newWire makes a cable whose other end is in a namespace.
func newWire(t *testing.T) {
	t.Helper()
	command(t, "ip", "netns", "add", "host")
	command(t, "ip", "link", "add", serverNIC, "address", "02:00:00:00:00:01", "type", "veth", "peer", "name", pcNIC, "address", pcMAC.String(), "netns", "host")
	command(t, "ip", "link", "set", serverNIC, "up")
}

// received is how many router advertisements the host has got.
func received(t *testing.T) string {
	t.Helper()
	for line := range strings.Lines(command(t, "ip", "netns", "exec", "host", "cat", "/proc/net/snmp6")) {
		if number, ok := strings.CutPrefix(line, "Icmp6InRouterAdvertisements"); ok {
			return strings.TrimSpace(number)
		}
	}
	t.Fatal("the host does not count router advertisements")
	return ""
}

// A Linux host that only comes up is not answered; and one that is, because it boots, gets neither a route nor an address.
func TestHostsGetNothing(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	for _, row := range []struct{ booting, want string }{{"52:54:00:00:00:99", "0"}, {pcMAC.String(), "1"}} {
		newWire(t)
		asked := advertise(t, serverNIC, row.booting)
		command(t, "ip", "-n", "host", "link", "set", pcNIC, "up")
		for range 2 { // Linux asks again when it got no answer
			select {
			case mac := <-asked:
				if mac != pcMAC.String() {
					t.Fatalf("asked about %s, want %s", mac, pcMAC)
				}
			case <-time.After(30 * time.Second):
				t.Fatal("the host's solicitation is not heard")
			}
			if row.want != "0" {
				break
			}
		}
		for deadline := time.Now().Add(10 * time.Second); received(t) != row.want && time.Now().Before(deadline); {
			time.Sleep(20 * time.Millisecond)
		}
		if n := received(t); n != row.want {
			t.Errorf("%s boots: the host got %s advertisements, want %s", row.booting, n, row.want)
		}
		if routes := command(t, "ip", "-n", "host", "-6", "route"); strings.Contains(routes, "default") || strings.Count(routes, "\n") != 1 {
			t.Errorf("the host has routes:\n%s", routes)
		}
		if addrs := command(t, "ip", "-n", "host", "-6", "addr", "show", "dev", pcNIC, "scope", "global"); addrs != "" {
			t.Errorf("the host has an address:\n%s", addrs)
		}
		command(t, "ip", "link", "del", serverNIC)
		command(t, "ip", "netns", "del", "host")
	}
}

// Where the kernel's IPv6 is off, or it forwards, the address is made up.
func TestSource(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	newWire(t)
	command(t, "ip", "-n", "host", "link", "set", pcNIC, "up")
	nic, err := net.InterfaceByName(serverNIC)
	if err != nil {
		t.Fatal(err)
	}
	own, made := netip.MustParseAddr("fe80::ff:fe00:1"), madeUp(nic.HardwareAddr)
	for deadline := time.Now().Add(10 * time.Second); source(nic) != own && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	if got := source(nic); got != own {
		t.Errorf("advertises from %s, want the NIC's own %s", got, own)
	}
	command(t, "sysctl", "-qw", "net.ipv6.conf."+serverNIC+".forwarding=1")
	if got := source(nic); got != made {
		t.Errorf("a router advertises from %s, want %s", got, made)
	}
	command(t, "sysctl", "-qw", "net.ipv6.conf."+serverNIC+".disable_ipv6=1")
	if got := source(nic); got != made {
		t.Errorf("without IPv6 it advertises from %s, want %s", got, made)
	}
	asked := advertise(t, serverNIC, pcMAC.String()) // works without the kernel's IPv6
	command(t, "ip", "-n", "host", "link", "set", pcNIC, "down")
	command(t, "ip", "-n", "host", "link", "set", pcNIC, "up")
	select {
	case <-asked:
	case <-time.After(30 * time.Second):
		t.Error("without IPv6 no solicitation is heard")
	}
}
