package tftp

import (
	"encoding/binary"
	"testing"
)

// fill sends what fits.
func (w *window) fill() (n int) {
	for {
		if _, ok := w.next(); !ok {
			return n
		}
		n++
	}
}

func TestWindow(t *testing.T) {
	type step struct {
		ack  uint16
		want verdict
		sent int // blocks that are sent then; for doubts, after them
	}
	for name, c := range map[string]struct {
		w     window
		steps []step
	}{
		"lockstep":                       {window{blocks: 3, size: 1}, []step{{1, progress, 1}, {1, stale, 0}, {0, stale, 0}, {2, progress, 1}, {3, progress, 0}}},
		"windows":                        {window{blocks: 9, size: 4}, []step{{4, progress, 4}, {8, progress, 1}, {9, progress, 0}}},
		"a block in the middle is lost":  {window{blocks: 9, size: 4}, []step{{2, partial, 4}, {2, stale, 0}, {6, progress, 3}}},
		"the first block is lost":        {window{blocks: 9, size: 4}, []step{{0, repeated, 4}, {0, stale, 0}, {0, stale, 0}, {4, progress, 4}}},
		"an echo of the window before":   {window{blocks: 19, size: 4}, []step{{0, repeated, 4}, {4, progress, 4}, {4, stale, 0}, {8, progress, 4}, {8, repeated, 4}}},
		"of a block that was not sent":   {window{blocks: 9, size: 4}, []step{{5, stale, 0}, {65535, stale, 0}, {4, progress, 4}}},
		"over the end of 16 bits":        {window{blocks: 70000, size: 4, acked: 65534, sent: 65534}, []step{{65535, partial, 4}, {3, progress, 4}, {65535, stale, 0}}},
		"65536 is 0":                     {window{blocks: 70000, size: 1, acked: 65535, sent: 65535}, []step{{65535, stale, 0}, {0, progress, 1}}},
		"the last block, which is alone": {window{blocks: 5, size: 4}, []step{{4, progress, 1}, {4, stale, 0}, {5, progress, 0}}},
	} {
		c.w.fill()
		for i, s := range c.steps {
			got := c.w.ack(s.ack)
			if got != s.want {
				t.Errorf("%s: step %d: ACK %d is %d, want %d", name, i, s.ack, got, s.want)
			}
			if got == partial || got == repeated {
				c.w.rewind(true)
			}
			if got := c.w.fill(); got != s.sent {
				t.Errorf("%s: step %d: ACK %d let %d blocks out, want %d", name, i, s.ack, got, s.sent)
			}
		}
	}
}

// No ACK, in whatever order, moves the window out of its bounds, and repeated ones let out no more than one window for each that is new.
func FuzzACK(f *testing.F) {
	f.Add(uint32(9), byte(4), []byte{0, 4, 0, 8, 0, 9})
	f.Add(uint32(9), byte(4), []byte{0, 0, 0, 0, 0, 2, 0, 2, 0, 6})
	f.Add(uint32(70000), byte(16), []byte{0, 16, 0, 16, 255, 255, 0, 32})
	f.Fuzz(func(t *testing.T, blocks uint32, size byte, acks []byte) {
		w := window{blocks: int64(blocks%200_000) + 1, size: int64(size%maxWindow) + 1}
		w.fill()
		idle := 0
		for ; len(acks) >= 2 && !w.done(); acks = acks[2:] {
			before := w
			n := binary.BigEndian.Uint16(acks)
			v := w.ack(n)
			if v == partial || v == repeated {
				w.rewind(true)
			}
			sent := w.fill()
			if w.acked < before.acked || w.acked > before.sent || w.sent < w.acked || w.sent > w.blocks || w.sent-w.acked > w.size {
				t.Fatalf("ACK %d moved %+v to %+v", n, before, w)
			}
			if uint16(w.acked) != n && v != stale {
				t.Fatalf("ACK %d moved %+v to %+v", n, before, w)
			}
			if v == stale && sent > 0 || v == progress && before.size == 1 && sent > 1 {
				t.Fatalf("ACK %d let out %d blocks of %+v", n, sent, before)
			}
			if w.acked > before.acked {
				idle = 0
			} else if idle += sent; idle > int(w.size) || before.size == 1 && idle > 0 {
				t.Fatalf("ACKs of what was acknowledged let out %d blocks", idle)
			}
		}
	})
}
