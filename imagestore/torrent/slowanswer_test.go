package torrent_test

import (
	"testing"
	"time"

	"aula/imagestore/torrent"
	"aula/imagestore/torrent/wire"
)

// A peer that answers at its own pulse, as transmission does, is asked for so much that its answers fill the time between: it is the bytes that
// wait for it at each pulse that count.
func TestPeerThatAnswersLate(t *testing.T) {
	c := newClassroom(t, 30, 2<<20, 64<<10)
	pc := c.start(torrent.Config{}, torrent.Task{})
	v := c.villain(pc.at, false)
	v.claimAll()
	requests := make(chan wire.Message, 1<<16)
	go func() {
		defer close(requests)
		for {
			m, err := v.in.Next()
			if err != nil {
				return
			}
			if m.Kind == wire.Request {
				requests <- m
			}
		}
	}()
	pulses := 0
	for first := range requests {
		time.Sleep(500 * time.Millisecond) // the pulse of transmission
		pulses++
		waiting := []wire.Message{first}
		for n := len(requests); n > 0; n-- {
			waiting = append(waiting, <-requests)
		}
		for _, m := range waiting {
			v.give(m, c.right(m))
		}
		if pc.storage.(*heap).count() == c.meta.Count() {
			break
		}
	}
	c.complete(pc)
	t.Logf("%d pulses for %d blocks", pulses, c.meta.Length/wire.BlockSize)
	if most := int(c.meta.Length / wire.BlockSize / 4); pulses > most {
		t.Errorf("it takes %d pulses, and %d would do", pulses, most)
	}
}
