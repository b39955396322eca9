package torrent

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
)

// Two torrents that both want the uplink get as much of it, however many peers each has.
func TestUploadIsShared(t *testing.T) {
	const block = 256 << 10
	u := newUpload(8 << 20)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	one, eight := &swarm{}, &swarm{}
	given := map[*swarm]*atomic.Int64{one: {}, eight: {}}
	var work sync.WaitGroup
	want := func(s *swarm) {
		work.Go(func() {
			for u.wait(ctx, s, block) == nil {
				if given[s].Add(block); s == one && given[s].Load() >= 12<<20 {
					cancel()
				}
			}
		})
	}
	want(one)
	for range 8 {
		want(eight)
	}
	work.Wait()
	a, b := given[one].Load(), given[eight].Load()
	t.Logf("%d and %d KiB", a>>10, b>>10)
	if b > a+2*ahead || a > b+2*ahead {
		t.Errorf("one connection got %d bytes and eight of another torrent %d", a, b)
	}
}

// A torrent that wants nothing holds nobody up, and gets nothing for it later.
func TestUploadIsNotSaved(t *testing.T) {
	u := newUpload(0)
	one, other := &swarm{}, &swarm{}
	if err := u.wait(t.Context(), one, 1); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := u.wait(t.Context(), other, 1<<20); err != nil { // waits once, until one does not want it any more
			t.Fatal(err)
		}
	}
	if err := u.wait(t.Context(), one, 1); err != nil {
		t.Fatal(err)
	}
	if saved := u.turns[other].given - u.turns[one].given; saved > 2*ahead {
		t.Errorf("one has %d bytes before it that it did not want when it could have had them", saved)
	}
	u.leave(one)
	u.leave(other)
	if len(u.turns) != 0 {
		t.Errorf("%d turns are left", len(u.turns))
	}
}
