package tftp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

// Requests with forged addresses take no more places than there are, and none from a PC that is there.
func TestFloodOfForgedRequests(t *testing.T) {
	for _, single := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			const places, forged = 64, 20_000
			w := newWire(1)
			want := content(200_000)
			h := build(w, shelf{"f": want}, func(c *Config) { c.Sessions, c.SinglePort = places, single })
			stop, stopped := make(chan struct{}), make(chan int)
			go func() {
				flood := w.plug(netip.MustParseAddr("10.9.9.9"), 1)
				most := 0
				for i := range uint32(forged) {
					var a [4]byte
					binary.BigEndian.PutUint32(a[:], 0x0b000000+i)
					flood.at = netip.AddrPortFrom(netip.AddrFrom4(a), 1+uint16(i%60000))
					_, _ = flood.WriteToUDPAddrPort(rrq("f", "octet", "blksize", "1468"), port69)
					if i%8 == 0 {
						time.Sleep(time.Millisecond) // 8,000 a second
						h.server.mu.Lock()
						most = max(most, len(h.server.all))
						h.server.mu.Unlock()
					}
					select {
					case <-stop:
						if i > forged/2 {
							stopped <- most
							return
						}
					default:
					}
				}
				<-stop
				stopped <- most
			}()
			time.Sleep(50 * time.Millisecond) // all places are taken
			got, err := h.reader(1).fetch("f", "blksize", "1468", "windowsize", "4")
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("a real PC got %d bytes, %v", len(got), err)
			}
			close(stop)
			if most := <-stopped; most < places || most > places+places/4+1 {
				t.Errorf("%d transfers at once, want %d and a few", most, places)
			}
			h.close(t)
			if n := len(h.server.all) + len(h.server.byPeer) + len(h.server.perPC) + h.server.unheard.Len(); n != 0 {
				t.Errorf("%d entries are left over", n)
			}
		})
	}
}

// One address has so many transfers and no more; which of them nobody ever answered make room.
func TestOnePCCannotTakeAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(1)
		h := build(w, shelf{"f": content(5000)}, func(c *Config) { c.PerPC = 3 })
		pc := netip.MustParseAddr("10.9.1.1")
		for i := range uint16(10) { // never answers
			_, _ = w.plug(pc, 3000+i).WriteToUDPAddrPort(rrq("f", "octet"), port69)
			time.Sleep(10 * time.Millisecond)
		}
		if n := h.running(); n != 3 {
			t.Errorf("%d transfers to one address, want 3", n)
		}
		time.Sleep(10 * time.Second)
		for i := range uint16(3) { // begins and dawdles
			e := w.plug(pc, 4000+i)
			_, _ = e.WriteToUDPAddrPort(rrq("f", "octet"), port69)
			_, tid := hear(t, e, opData)
			_, _ = e.WriteToUDPAddrPort(ack(1), tid)
		}
		fourth := w.plug(pc, 5000)
		_, _ = fourth.WriteToUDPAddrPort(rrq("f", "octet"), port69)
		_ = fourth.SetReadDeadline(time.Now().Add(time.Second))
		if _, _, err := fourth.ReadFromUDPAddrPort(make([]byte, 600)); err == nil {
			t.Error("a fourth transfer was begun")
		}
		if got, err := h.reader(2).fetch("f"); err != nil || len(got) != 5000 {
			t.Errorf("another PC got %d bytes, %v", len(got), err)
		}
		evicted, busy := 0, 0
		for _, x := range h.close(t) {
			if errors.Is(x.Err, ErrEvicted) {
				evicted++
			}
			if errors.Is(x.Err, errBusy) {
				busy++
			}
		}
		if evicted != 7 || busy != 1 {
			t.Errorf("%d transfers made room and %d requests were refused, want 7 and 1", evicted, busy)
		}
	})
}

// running is how many transfers run.
func (h *house) running() int {
	h.server.mu.Lock()
	defer h.server.mu.Unlock()
	return len(h.server.all)
}

// In a flood an address must ask twice; after it, once.
func TestSieve(t *testing.T) {
	var s sieve
	now := time.Unix(1000, 0)
	pc, other := netip.MustParseAddr("10.9.1.1"), netip.MustParseAddr("10.9.1.2")
	for i := range 100 {
		if s.stops(pc, now) {
			t.Fatal("stopped without a flood")
		}
		s.evict(now.Add(time.Duration(i)*time.Millisecond), 100)
	}
	now = now.Add(100 * time.Millisecond)
	if !s.stops(pc, now) || s.stops(pc, now.Add(500*time.Millisecond)) || !s.stops(other, now) {
		t.Error("in a flood the first request of an address must be stopped, and no other")
	}
	if s.stops(netip.MustParseAddr("10.9.1.3"), now.Add(2*time.Second)) {
		t.Error("stopped after the flood")
	}
	for _, after := range []time.Duration{7 * time.Second, 20 * time.Second} {
		for range 100 {
			s.evict(now.Add(after), 100)
		}
		if again := !s.stops(other, now.Add(after)); again != (after < sieveTurn) {
			t.Errorf("asked again after %s: let in %t", after, again)
		}
	}
}
