package tftp

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestNegotiation(t *testing.T) {
	for _, c := range []struct {
		options string // name value ...
		want    terms
		oack    string
	}{
		{"", terms{block: 512, window: 1}, ""},
		{"blksize 1432", terms{block: 1432, window: 1}, "blksize 1432"},
		{"blksize 8192", terms{block: 1468, window: 1}, "blksize 1468"},
		{"BlkSize 8", terms{block: 8, window: 1}, "BlkSize 8"},
		{"blksize 7", terms{block: 512, window: 1}, ""},
		{"blksize -1", terms{block: 512, window: 1}, ""},
		{"blksize 99999999999999999999", terms{block: 512, window: 1}, ""},
		{"blksize 1024 blksize 600", terms{block: 1024, window: 1}, "blksize 1024"},
		{"tsize 0", terms{block: 512, window: 1, sized: true}, "tsize 77"},
		{"timeout 1", terms{block: 512, window: 1, wait: time.Second}, "timeout 1"},
		{"timeout 255", terms{block: 512, window: 1, wait: 255 * time.Second}, "timeout 255"},
		{"timeout 0", terms{block: 512, window: 1}, ""},
		{"timeout 256", terms{block: 512, window: 1}, ""},
		{"windowsize 4", terms{block: 512, window: 4}, "windowsize 4"},
		{"windowsize 64", terms{block: 512, window: 16}, "windowsize 16"},
		{"windowsize 0", terms{block: 512, window: 1}, ""},
		{"windowsize 65536", terms{block: 512, window: 1}, ""},
		{"multicast x rollover 0", terms{block: 512, window: 1}, ""},
		{"tsize 0 blksize 1468 windowsize 4", terms{block: 1468, window: 4, sized: true}, "tsize 77 blksize 1468 windowsize 4"}, // EDK2
		{"blksize 1024 tsize 0 utimeout 9", terms{block: 1024, window: 1, sized: true}, "blksize 1024 tsize 77"},
	} {
		r, err := parseRequest(rrq("f", "OCTET", strings.Fields(c.options)...)[2:])
		if err != nil {
			t.Fatal(err)
		}
		got := r.negotiate(77, ethernet-overhead)
		oack := strings.TrimSpace(strings.ReplaceAll(string(got.oack()[2:]), "\x00", " "))
		got.accept = nil
		if !reflect.DeepEqual(got, c.want) || oack != c.oack {
			t.Errorf("%s: got %+v with OACK %q, want %+v with %q", c.options, got, oack, c.want, c.oack)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(rrq("shimx64.efi", "octet", "tsize", "0", "blksize", "1468", "windowsize", "4")[2:])
	f.Add(rrq("grub/grub.cfg", "octet", "blksize", "1024", "tsize", "0")[2:])
	f.Add(rrq("undionly.kpxe\xff", "octet", "blksize", "1456", "blksize", "9")[2:])
	f.Add([]byte("f\x00octet\x00blksize\x00"))
	f.Add([]byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRequest(b)
		if err != nil {
			return
		}
		if strings.ContainsRune(r.file, 0) || len(r.file) > len(b) || len(r.options) > maxOptions {
			t.Errorf("request %+v of %q", r, b)
		}
		n := r.negotiate(1<<40, 1468)
		if n.block < 8 || n.block > 1468 || n.window < 1 || n.window > maxWindow || n.wait < 0 || n.wait > 255*time.Second || len(n.accept) > 4 {
			t.Errorf("terms %+v of %q", n, b)
		}
		if oack := n.oack(); len(oack) > len(b)+80 {
			t.Errorf("OACK of %d bytes answers a request of %d", len(oack), len(b))
		}
		code, text := parseError(b)
		if len(text) > 80 || len(b) < header && code != 0 {
			t.Errorf("error %d %q", code, text)
		}
	})
}
