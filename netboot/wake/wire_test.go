package wake

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestBroadcastOf(t *testing.T) {
	for network, want := range map[string]string{
		"172.17.36.1/24": "172.17.36.255", "10.0.0.5/8": "10.255.255.255", "192.168.1.130/25": "192.168.1.255", "10.1.2.1/30": "10.1.2.3",
		"10.1.2.3/32": "invalid IP", "10.1.2.2/31": "invalid IP", "2001:db8::1/64": "invalid IP",
	} {
		if got := broadcastOf(netip.MustParsePrefix(network)); got.String() != want {
			t.Errorf("every machine of %s is at %s, want %s", network, got, want)
		}
	}
}

func TestMagicPacket(t *testing.T) {
	mac := net.HardwareAddr{0x52, 0x54, 0, 0x12, 0x34, 0x56}
	p := magicPacket(mac)
	if len(p) != 102 || !bytes.Equal(p[:6], bytes.Repeat([]byte{0xff}, 6)) || !bytes.Equal(p[6:12], mac) || !bytes.Equal(p[96:], mac) {
		t.Errorf("magic packet % x", p)
	}
}

const insideVariable = "AULA_TEST_NAMESPACE"

// inNamespace runs the calling test again in a child process with a network of its own. It returns true in the child, where the test goes on.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVariable) == t.Name() {
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to make network namespaces")
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	child.Env = append(os.Environ(), insideVariable+"="+t.Name())
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	out, err := child.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("in a namespace of its own: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("SKIPPED in its namespace:\n%s", out)
	}
	return false
}

// A card that sleeps at the other end of the cable gets its packet in all forms.
func TestEachFormReachesTheCard(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	for _, args := range [][]string{
		{"link", "add", "lan", "type", "veth", "peer", "name", "card"}, {"addr", "add", "10.20.30.1/24", "dev", "lan"},
		{"link", "set", "lan", "up"}, {"link", "set", "card", "up"},
	} {
		if out, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v\n%s", args, err, out)
		}
	}
	card := listenRaw(t, "card")
	nic, err := net.InterfaceByName("lan")
	if err != nil {
		t.Fatal(err)
	}
	w, err := New(Config{NIC: nic, Network: netip.MustParsePrefix("10.20.30.1/24"), Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	mac := net.HardwareAddr{0x52, 0x54, 0, 0x12, 0x34, 0x56}
	if err := w.send(mac); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"0842", "255.255.255.255:9", "255.255.255.255:7", "10.20.30.255:9", "10.20.30.255:7",
	}
	slices.Sort(want)
	var got []string
	buf := make([]byte, 1500)
	for len(got) < len(want) {
		n, err := unix.Read(card, buf)
		if err != nil {
			t.Fatalf("the card heard %q: %v", got, err)
		}
		if form := formOf(buf[:n], magicPacket(mac)); form != "" {
			got = append(got, form)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the card heard %q, want %q", got, want)
	}
	if out, err := exec.CommandContext(t.Context(), "ip", "link", "set", "lan", "down").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := w.send(mac); err == nil {
		t.Error("packets are sent on a NIC that is down")
	}
	if out, err := exec.CommandContext(t.Context(), "ip", "link", "del", "lan").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if _, err := New(Config{NIC: nic, Network: netip.MustParsePrefix("10.20.30.1/24")}); err == nil {
		t.Error("packets are sent on a NIC that is gone")
	}
}

// listenRaw opens a socket that gets every frame of a NIC. Reading from it fails when nothing comes for ten seconds.
func listenRaw(t *testing.T, name string) int {
	t.Helper()
	nic, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	protocol := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(protocol))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	patience := unix.NsecToTimeval(int64(10 * time.Second))
	err = errors.Join(unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: nic.Index}),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience))
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// formOf tells in which form a frame has the magic packet: its EtherType, or where its datagram went; empty without.
func formOf(frame, packet []byte) string {
	if !bytes.HasSuffix(frame, packet) || !bytes.HasPrefix(frame, bytes.Repeat([]byte{0xff}, 6)) {
		return ""
	}
	if kind := binary.BigEndian.Uint16(frame[12:]); kind != unix.ETH_P_IP {
		return fmt.Sprintf("%04x", kind)
	}
	to, _ := netip.AddrFromSlice(frame[30:34])
	return netip.AddrPortFrom(to, binary.BigEndian.Uint16(frame[36:])).String()
}
