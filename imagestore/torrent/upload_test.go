package torrent

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Two torrents that both want the uplink get as much of it, however many peers each has.
func TestUploadIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const block = 256 << 10
		u := newUpload(8 << 20)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		one, eight := &swarm{}, &swarm{}
		given := map[*swarm]*atomic.Int64{one: {}, eight: {}}
		var work sync.WaitGroup
		want := func(s *swarm) {
			work.Go(func() {
				for u.wait(ctx, s, block, nil, nil) == nil {
					given[s].Add(block)
					time.Sleep(time.Millisecond) // for the block to be sent
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
		if a+b < 75<<20 || b > a*5/4 || a > b*5/4 {
			t.Errorf("one connection got %d bytes in 10 s, and eight of another torrent %d", a, b)
		}
	})
}

// A torrent that wants little holds nobody up, and one that wanted nothing gets nothing for it later.
func TestUploadIsNotSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit, block = 8 << 20, 64 << 10
		u := newUpload(limit)
		ctx, cancel := context.WithCancel(t.Context())
		slow, fast := &swarm{}, &swarm{}
		given := map[*swarm]*atomic.Int64{slow: {}, fast: {}}
		var work sync.WaitGroup
		want := func(s *swarm, pause time.Duration) {
			work.Go(func() {
				for u.wait(ctx, s, block, nil, nil) == nil {
					given[s].Add(block)
					time.Sleep(pause)
				}
			})
		}
		want(slow, time.Second)
		for range 4 {
			want(fast, time.Millisecond)
		}
		time.Sleep(20 * time.Second)
		if all := given[slow].Load() + given[fast].Load(); all < 19*limit || all > 21*limit+largestAsked {
			t.Errorf("in 20 s %d bytes were given of %d a second", all, limit)
		}
		if n := given[slow].Load(); n < 18*block {
			t.Errorf("a torrent that wants a block a second got %d bytes in 20 s", n)
		}
		before := given[slow].Load()
		for range 4 {
			want(slow, time.Millisecond)
		}
		time.Sleep(time.Second)
		if n := given[slow].Load() - before; n > limit*6/10 {
			t.Errorf("a torrent that wanted little until now gets %d bytes in a second, more than its half", n)
		}
		cancel()
		work.Wait()
		u.forget(slow)
		u.forget(fast)
		if len(u.given)+len(u.waiting) != 0 {
			t.Errorf("%d torrents and %d blocks are left", len(u.given), len(u.waiting))
		}
	})
}
