package ping

import (
	"net/netip"
	"os"
	"sync"
	"testing"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
)

func reply(t testing.TB, id uint32) []byte {
	t.Helper()
	b, err := echo(id)
	if err != nil {
		t.Fatal(err)
	}
	m, err := icmp.ParseMessage(1, b)
	if err != nil {
		t.Fatal(err)
	}
	m.Type = ipv4.ICMPTypeEchoReply
	if b, err = m.Marshal(nil); err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParse(t *testing.T) {
	question, err := echo(7)
	if err != nil {
		t.Fatal(err)
	}
	if id, ok := parse(reply(t, 0x12345678)); !ok || id != 0x12345678 {
		t.Errorf("parse of our answer = %x, %v", id, ok)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "short": {0, 0, 0}, "a question": question, "another program's": {0, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3, 4},
	} {
		if id, ok := parse(b); ok {
			t.Errorf("%s is taken for the answer to %d", name, id)
		}
	}
}

// Many pings at once of this machine itself, each answered; and the socket is closed after.
func TestPing(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, for a raw socket")
	}
	own := netip.MustParseAddr("127.0.0.1")
	p, err := New(own)
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if answers, err := p.Ping(t.Context(), own); !answers || err != nil {
				t.Errorf("Ping(%s) = %v, %v", own, answers, err)
			}
		})
	}
	all.Wait()
	if p.conn != nil || len(p.waiting) > 0 {
		t.Error("the socket is open though nobody pings")
	}
}

func FuzzParse(f *testing.F) {
	f.Add(reply(f, 1))
	f.Add([]byte{0, 0, 0, 0, 0, 1, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, ok := parse(b); ok {
			if again, ok := parse(reply(t, id)); !ok || again != id {
				t.Errorf("parse = %d, and of the answer to it %d", id, again)
			}
		}
	})
}
