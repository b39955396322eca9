package rig_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aula/imagestore/rig"
)

// room makes a room of machines with cables.
func room(tb testing.TB, n int) (*rig.Room, []*rig.Machine) {
	tb.Helper()
	r := rig.NewRoom(tb)
	var machines []*rig.Machine
	for i := range n {
		m := r.Plug(tb, fmt.Sprintf("m%d", i), netip.AddrFrom4([4]byte{10, 77, 0, byte(i + 1)}))
		r.Cable(tb, m, "100mbit")
		machines = append(machines, m)
	}
	return r, machines
}

// Segments cross the bridge whole, and are counted as the packets that they are on a wire all the same.
func TestCarriedIsOfWireSize(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	r, machines := room(t, 2)
	copied(t, connect(t, machines[0], machines[1]), size)
	const least = size / 1448 * 1514
	if got := machines[0].Carried(t); got.Bytes < least || got.Bytes > least*11/10 || got.Packets < size/1448 {
		t.Errorf("%d bytes of content were %+v, want a little more than %d bytes in %d packets", size, got, least, size/1448)
	}
	if got := r.Sent(t, machines[0]); got.Packets > size/1448/2 {
		t.Errorf("%d packets crossed the bridge: segments are cut on the way to it", got.Packets)
	}
}

func TestProcessSpeaksAndDies(t *testing.T) {
	t.Parallel()
	_, machines := room(t, 2)
	p := machines[1].Start(t, []string{"WORD=there"}, "sh", "-c", `printf 'one\rtwo\n'; ip -brief address show dev eth0; echo $WORD >&2; exec sleep 1000`)
	p.Await(t, "in its network", time.Minute, func(line string) bool { return strings.Contains(line, machines[1].Address.String()) })
	p.Await(t, "heard on both outputs", time.Minute, func(line string) bool { return line == "there" })
	if got := p.History(10); !strings.HasPrefix(got, "one\ntwo\n") {
		t.Errorf("it said %q, want one and two as lines", got)
	}
	if p.Peak() == 0 {
		t.Error("it has no memory")
	}
	if p.Wait(time.Now()) {
		t.Error("it ended by itself")
	}
	p.Kill()
	if <-p.Ended; p.Err == nil || p.CPU() < 0 {
		t.Errorf("killed, it ended with %v", p.Err)
	}
	if at, ok := p.Heard(time.Now().Add(time.Minute), func(string) bool { return false }); ok {
		t.Errorf("a line that it did not say was heard at %s", at)
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	file := func(name, content string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	want := file("want", "abcdef")
	for content, words := range map[string]string{"abcdef": "", "abcdeX": "from byte 5", "Xbcdef": "from byte 0", "abcd": "from byte 4", "abcdefg": "from byte 6"} {
		err := rig.Compare(want, file("got", content))
		if (err == nil) != (words == "") || err != nil && !strings.HasSuffix(err.Error(), words+" on") {
			t.Errorf("Compare(abcdef, %s) = %v, want %q", content, err, words)
		}
	}
}
