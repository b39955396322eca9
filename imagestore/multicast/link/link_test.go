package link

import (
	"bytes"
	"net/netip"
	"testing"
	"time"
)

var group = netip.MustParseAddrPort("239.194.17.36:9000")

// numbered makes n datagrams of size bytes, each of which begins with its number.
func numbered(n, size int) []byte {
	b := make([]byte, n*size)
	for i := range n {
		for j := range size {
			b[i*size+j] = byte(i + j)
		}
	}
	return b
}

// gather reads until it has want bytes or nothing more comes.
func gather(t *testing.T, c *Conn, want int) (got []byte, sizes []int) {
	t.Helper()
	for before := -1; len(got) < want && len(got) != before; {
		before = len(got)
		err := c.Read(2*time.Second, func(b []byte, _ netip.AddrPort) {
			got = append(got, b...)
			sizes = append(sizes, len(b))
		})
		if err != nil {
			t.Fatalf("Read: %v", err)
		}
	}
	return got, sizes
}

func TestLoopback(t *testing.T) {
	for name, off := range map[string]bool{"offload": false, "no offload": true} {
		t.Run(name, func(t *testing.T) {
			opt := Options{Interface: "lo", NoOffload: off}
			a, err := Join(group, opt)
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			b, err := Join(group, opt)
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			s, err := Listen(0, opt)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			sent := numbered(200, 1472)
			sent = sent[:len(sent)-100]
			if err := s.Write(sent, 1472, group); err != nil {
				t.Fatal(err)
			}
			for _, c := range []*Conn{a, b} {
				got, sizes := gather(t, c, len(sent))
				if !bytes.Equal(got, sent) || len(sizes) != 200 {
					t.Errorf("%d bytes in %d datagrams, want %d in 200", len(got), len(sizes), len(sent))
				}
			}
			gso, gro := s.Offload()
			t.Log(gso, gro, a.Dropped(), s.Addr(), s.Prefix(), s.Speed())
		})
	}
}
