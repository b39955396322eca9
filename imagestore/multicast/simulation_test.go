package multicast

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// What a perfect protocol sends for each source symbol, of blocks of 128, when that many receivers each lose that part of the datagrams:
// computed for maximum distance separable codes with perfect feedback.
var ideal = []struct {
	receivers int
	loss      float64
	datagrams float64
}{
	{100, 0.01, 1.0384},
	{100, 0.03, 1.0772},
	{300, 0.01, 1.0438},
	{300, 0.03, 1.0854},
}

// simulate sends size bytes to that many receivers of a network in memory.
func simulate(t testing.TB, receivers int, loss float64, size int) SenderStatus {
	r := newRoom(t, uint64(receivers))
	image := newMemory(3, size)
	s := r.send(image, receivers)
	var seats []*seat
	for range receivers {
		seats = append(seats, r.seat(r.net.host(loss), &memory{}, func(c *ReceiverConfig) { c.Memory = 4 << 20 }))
	}
	if err := s.Run(r.ctx); err != nil {
		t.Error(err)
	}
	for _, seat := range seats {
		seat.check(t, image)
	}
	r.running.Wait()
	return s.Status()
}

func TestHundredsOfReceivers(t *testing.T) {
	for _, c := range ideal {
		t.Run(fmt.Sprintf("receivers=%d/loss=%g", c.receivers, c.loss), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := simulate(t, c.receivers, c.loss, 3<<20)
				sent := float64(st.Datagrams) / float64(st.Datagrams-st.Repairs)
				t.Logf("%.4f datagrams for each source symbol, %.4f at best; %v", sent, c.datagrams, st.Elapsed.Round(time.Millisecond))
				if sent > c.datagrams*1.015 {
					t.Errorf("%.4f datagrams for each source symbol: want at most 1.5 %% more than %.4f", sent, c.datagrams)
				}
			})
		})
	}
}
