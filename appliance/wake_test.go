package appliance

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
)

func TestBroadcastOf(t *testing.T) {
	for network, want := range map[string]string{
		"172.17.36.1/24": "172.17.36.255", "10.0.0.5/8": "10.255.255.255", "192.168.1.130/25": "192.168.1.255", "10.1.2.3/32": "10.1.2.3",
	} {
		if got := broadcastOf(netip.MustParsePrefix(network)); got != netip.MustParseAddr(want) {
			t.Errorf("every machine of %s is at %s, want %s", network, got, want)
		}
	}
}

func TestMagicPacket(t *testing.T) {
	mac := net.HardwareAddr{0x52, 0x54, 0, 0x12, 0x34, 0x56}
	p := magicPacket(mac)
	if len(p) != 102 || !bytes.Equal(p[:6], bytes.Repeat([]byte{0xff}, 6)) || !bytes.Equal(p[96:], mac) {
		t.Errorf("magic packet % x", p)
	}
}

// TestWakeReachesTheNetwork has a listener where a sleeping card would listen.
func TestWakeReachesTheNetwork(t *testing.T) {
	listener, err := net.ListenPacket("udp4", "127.255.255.255:9")
	if err != nil {
		t.Skipf("SKIPPED: port 9 cannot be had: %v", err)
	}
	defer listener.Close()
	w := newWaker("lo", netip.MustParsePrefix("127.0.0.1/8"))
	if err := w.wake([]string{"52:54:00:12:34:56"}); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 200)
	n, _, err := listener.ReadFrom(b)
	if err != nil || n != 102 {
		t.Fatalf("heard %d bytes: %v", n, err)
	}
	if err := w.wake(nil); err == nil {
		t.Error("a PC without a card was woken")
	}
}
