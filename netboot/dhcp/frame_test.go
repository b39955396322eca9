package dhcp

import (
	"bytes"
	"net/netip"
	"testing"

	"golang.org/x/net/ipv4"
)

// The example of RFC 1071 3, and headers whose sums come out as every receiver computes them.
func TestDatagram(t *testing.T) {
	if got := sum(0, []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}); got != 0xddf2 {
		t.Errorf("sum = %04x, want ddf2", got)
	}
	from, to := netip.MustParseAddrPort("10.0.0.1:67"), netip.MustParseAddrPort("10.0.0.10:68")
	for _, packet := range [][]byte{bytes.Repeat([]byte{7}, 300), bytes.Repeat([]byte{0xff}, 301), {}} {
		b := datagram(packet, from, to)
		h, err := ipv4.ParseHeader(b)
		if err != nil || h.Protocol != 17 || h.TotalLen != len(b) || h.Src.String() != "10.0.0.1" || h.Dst.String() != "10.0.0.10" {
			t.Errorf("header = %+v, %v", h, err)
		}
		if sum(0, b[:ipHeader]) != 0xffff {
			t.Errorf("the header's sum is wrong: %x", b[:ipHeader])
		}
		pseudo := append(append([]byte{}, b[12:20]...), 0, 17, b[ipHeader+4], b[ipHeader+5])
		if sum(uint32(sum(0, pseudo)), b[ipHeader:]) != 0xffff {
			t.Errorf("the sum of UDP is wrong: %x", b[ipHeader:ipHeader+udpHeader])
		}
		if !bytes.Equal(b[ipHeader+udpHeader:], packet) {
			t.Error("the packet is not in it")
		}
	}
}
