package dhcp

import (
	"bytes"
	"slices"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func TestRow16OddHardwareAddressesAreDropped(t *testing.T) {
	for name, change := range map[string]func([]byte){
		"hardware type":        func(b []byte) { b[1] = 6 },
		"hardware type 0":      func(b []byte) { b[1] = 0 },
		"length 0":             func(b []byte) { b[2] = 0 },
		"length 5":             func(b []byte) { b[2] = 5 },
		"length 16":            func(b []byte) { b[2] = 16 },
		"length 255":           func(b []byte) { b[2] = 255 },
		"zero":                 func(b []byte) { clear(b[28:34]) },
		"multicast":            func(b []byte) { copy(b[28:], []byte{1, 0, 0x5e, 0, 0, 1}) },
		"broadcast":            func(b []byte) { copy(b[28:], []byte{255, 255, 255, 255, 255, 255}) },
		"a reply, not a query": func(b []byte) { b[0] = 2 },
	} {
		b := packet(t, pc1, discover)
		change(b)
		if r, err := Decode(b); err == nil {
			t.Errorf("%s: decoded as %+v", name, r)
		}
	}
}

func TestRow17OptionsAreReadAndWrittenAsTheRFCsHaveThem(t *testing.T) {
	bare := packet(t, pc1, discover)[:optionsAt]
	with := func(options ...byte) []byte { return append(slices.Clone(bare), options...) }
	t.Run("concatenation", func(t *testing.T) {
		r, err := Decode(with(53, 1, 1, 60, 3, 'P', 'X', 'E', 60, 6, 'C', 'l', 'i', 'e', 'n', 't', 93, 1, 0, 93, 1, 7, 255))
		if err != nil || r.Firmware != UEFIx64 {
			t.Errorf("Decode = %+v, %v, want UEFI, said in two halves each", r, err)
		}
	})
	t.Run("overload", func(t *testing.T) {
		b := with(52, 1, 3, 60, 3, 'P', 'X', 'E', 255)
		copy(b[fileAt:], []byte{53, 1, 1, 60, 4, 'C', 'l', 'i', 'e', 0, 0, 255})
		copy(b[snameAt:], []byte{60, 2, 'n', 't', 93, 2, 0, 0, 255})
		r, err := Decode(b)
		if err != nil || r.Kind != Discover || r.Firmware != BIOS || r.packet.BootFileName != "" {
			t.Errorf("Decode = %+v, %v, want a BIOS ROM's discover", r, err)
		}
		for name, bad := range map[string][]byte{
			"of no field": {53, 1, 1, 52, 1, 0, 255}, "of four": {53, 1, 1, 52, 1, 4, 255}, "of two bytes": {53, 1, 1, 52, 2, 1, 1, 255},
		} {
			if _, err := Decode(with(bad...)); err == nil {
				t.Errorf("an overload %s was taken", name)
			}
		}
		long := with(53, 1, 1, 52, 1, 2, 255)
		copy(long[snameAt:], []byte{60, 63})
		if _, err := Decode(long); err == nil {
			t.Error("an option longer than the field was taken")
		}
	})
	t.Run("maximum size", func(t *testing.T) {
		for said, limit := range map[uint16]int{0: 548, 100: 548, 576: 548, 1000: 972, 1472: 1444, 65535: 1444} {
			options := []option{generic(61, bytes.Repeat([]byte{7}, 255)...), generic(82, bytes.Repeat([]byte{0}, 200)...), through(ip(200))}
			if said > 0 {
				options = append(options, dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(said)))
			}
			if got := len(encode(newResponder().Decide(now, request(t, pc1, discover, options...)).Reply)); got > limit {
				t.Errorf("a client that takes %d bytes gets %d, want at most %d", said, got, limit)
			}
		}
	})
	t.Run("missing end", func(t *testing.T) {
		if r, err := Decode(with(53, 1, 1)); err != nil || r.Kind != Discover {
			t.Errorf("Decode = %+v, %v", r, err)
		}
	})
	t.Run("overrun", func(t *testing.T) {
		for _, b := range [][]byte{with(53, 1, 1, 60, 9, 'P'), with(53, 1, 1, 60), with(53, 200, 1, 255)} {
			if r, err := Decode(b); err == nil {
				t.Errorf("%v was decoded as %+v", b[optionsAt:], r)
			}
		}
	})
	t.Run("message type twice", func(t *testing.T) {
		if r, err := Decode(with(53, 1, 1, 53, 1, 3, 255)); err == nil {
			t.Errorf("decoded as %+v", r)
		}
	})
	t.Run("order", func(t *testing.T) {
		wire := encode(newResponder().Decide(now, request(t, pc1, discover)).Reply)
		var codes []byte
		for b := wire[optionsAt:]; b[0] != 255; b = b[2+int(b[1]):] {
			codes = append(codes, b[0])
		}
		if mask, router := slices.Index(codes, 1), slices.Index(codes, 3); mask < 0 || router < mask || codes[0] != 53 {
			t.Errorf("options come as %v, want 53 first and 1 before 3", codes)
		}
	})
}

func TestRow18RepliesHaveAtLeast300Bytes(t *testing.T) {
	s := newResponder()
	for name, d := range map[string]Decision{
		"an offer": s.Decide(now, request(t, pc1, discover)),
		"a nak":    s.Decide(now, request(t, pc1, ask, wants(addr("192.168.9.9")))),
		"an ack":   s.Decide(now, request(t, pc1, dhcpv4.MessageTypeInform, uses(ip(200)))),
	} {
		if got := len(encode(d.Reply)); got < 300 {
			t.Errorf("%s has %d bytes", name, got)
		}
	}
}
