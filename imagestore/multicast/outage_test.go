package multicast

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// outage unplugs a host for that long.
func outage(h *host, d time.Duration) {
	h.set(unplug)
	time.Sleep(d)
	h.set(plug)
}

// While the sender's own cable is out nobody gets anything, and so nobody may lose anything, not even of a stream.
func TestTheSendersCableIsOut(t *testing.T) {
	for _, c := range []struct {
		mode   Mode
		stream bool
		out    time.Duration
	}{
		{FullDuplex, false, 2 * time.Second},
		{FullDuplex, true, 2 * time.Second},
		{FullDuplex, true, 20 * time.Second}, // less than the sender lingers
		{HalfDuplex, false, 2 * time.Second},
		{HalfDuplex, true, 20 * time.Second},
	} {
		t.Run(fmt.Sprintf("%s/stream=%t/%s", c.mode, c.stream, c.out), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *room, image *memory) {
				r.cfg.Session.Mode = c.mode
				var s *Sender
				if c.stream { // much longer than what is kept of it
					r.cfg.Session.Rate = 1000e6
					image = newMemory(7, 8*faultSize)
					s = r.stream(image, 2)
				} else {
					s = r.send(image, 2)
				}
				seats := r.seats(2, 0.001)
				wait := r.run(s)
				until(t, s, "its first part", past(int64(len(image.b))/8))
				outage(r.server, c.out)
				for _, seat := range seats {
					seat.check(t, image)
				}
				if err := wait(); err != nil {
					t.Error(err)
				}
				if took, most := s.Status().Elapsed, r.bare(image)*11/10+c.out+time.Second; took > most {
					t.Errorf("it took %v, want at most %v", took, most)
				}
			})
		})
	}
}

// Whom the group does not reach is cut off, also while it is its turn.
func TestOneThatIsServedByUnicastIsCutOff(t *testing.T) {
	for _, c := range []struct {
		mode Mode
		rate int64
		size int
		out  time.Duration
	}{
		{FullDuplex, 100e6, faultSize, 7 * time.Second},
		{HalfDuplex, 100e6, faultSize, 7 * time.Second},
		{HalfDuplex, 5e6, 8 << 20, 0},
		{HalfDuplex, 5e6, 8 << 20, 7 * time.Second},
	} {
		for _, phase := range []Phase{Sending, CatchingUp} {
			t.Run(fmt.Sprintf("%s/%d/%s/%s", c.mode, c.rate, c.out, phase), func(t *testing.T) {
				bubble(t, func(t *testing.T, r *room, _ *memory) {
					r.cfg.Session.Mode, r.cfg.Session.Rate = c.mode, c.rate
					image := newMemory(7, c.size)
					s := r.send(image, 2)
					near := r.seat(r.net.host(0), &memory{})
					deaf := r.net.host(0)
					deaf.deaf = true
					far := r.seat(deaf, &memory{})
					wait := r.run(s)
					until(t, s, string(phase), func(st SenderStatus) bool {
						return st.Phase == phase && (phase == CatchingUp || st.Sent > int64(c.size)/2)
					})
					outage(deaf, c.out)
					near.check(t, image)
					far.check(t, image)
					if err := wait(); err != nil {
						t.Error(err)
					}
					if took, most := s.Status().Elapsed, r.bare(image)*22/10+c.out+3*time.Second; took > most {
						t.Errorf("it took %v, want at most %v: once for the group, once for the one that it does not reach", took, most)
					}
				})
			})
		}
	}
}

func TestOfTwoThatTheGroupDoesNotReachOneDies(t *testing.T) {
	for _, phase := range []Phase{Sending, CatchingUp} {
		for dies := range 2 {
			t.Run(fmt.Sprintf("%s/%d", phase, dies), func(t *testing.T) {
				bubble(t, func(t *testing.T, r *room, image *memory) {
					s := r.send(image, 3)
					near := r.seat(r.net.host(0), &memory{})
					var far []*seat
					for range 2 {
						deaf := r.net.host(0)
						deaf.deaf = true
						far = append(far, r.seat(deaf, &memory{}))
					}
					wait := r.run(s)
					until(t, s, string(phase), func(st SenderStatus) bool { return half(st) && st.Phase == phase })
					died, lives := far[dies], far[1-dies]
					died.host.set(unplug)
					died.stop()
					near.check(t, image)
					lives.check(t, image)
					if took, most := s.Status().Elapsed, r.bare(image)*22/10+time.Second; took > most {
						t.Errorf("the other one was served after %v, want at most %v", took, most)
					}
					if got := died.onlyIncomplete(t, wait()); !strings.Contains(got.Reason, "switched off") {
						t.Errorf("%q does not say what to look at", got.Reason)
					}
				})
			})
		}
	}
}

// Queries are sealed, but can be replayed: from a port that cannot be answered, and many.
func TestQueriesAreReplayed(t *testing.T) {
	for _, mode := range []Mode{FullDuplex, HalfDuplex} {
		t.Run(string(mode), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *room, image *memory) {
				r.cfg.Session.Mode = mode
				s := r.send(image, 3)
				seats := r.seats(3, 0)
				stranger := r.net.host(0)
				nowhere := r.net.open(stranger, netip.AddrPortFrom(stranger.addr, 0))
				somewhere := r.net.own(stranger)
				query := sealedQuery(testSeals(t, r.cfg.Key, testSalt()), testSalt(), receiverID{9}, 1)
				to := netip.AddrPortFrom(r.server.addr, 9001)
				wait := r.run(s)
				until(t, s, "its begin", past(1<<20))
				for s.Status().Phase == Sending {
					for _, from := range []*port{nowhere, somewhere} {
						if err := from.Write(query, len(query), to); err != nil {
							t.Fatal(err)
						}
					}
					time.Sleep(time.Millisecond)
					for _, st := range s.Status().Receivers {
						if st.Loss > 0 {
							t.Fatalf("%s is shown with a loss of %.2f: nothing was lost", st.Name, st.Loss)
						}
					}
				}
				for _, seat := range seats {
					seat.check(t, image)
					if lost := seat.Status().Lost; lost > 0 {
						t.Errorf("%s says that it lost %d datagrams: nothing was lost", seat.cfg.Name, lost)
					}
				}
				if err := wait(); err != nil {
					t.Error(err)
				}
				if st := s.Status(); len(st.Receivers) != 3 {
					t.Errorf("%d receivers, want 3: a query is none", len(st.Receivers))
				}
			})
		})
	}
}

// The kernel refuses to send to one that does not answer ARP, or that a firewall rule forbids. That is this one's trouble alone.
func TestUnicastToOneIsRefusedForAWhile(t *testing.T) {
	for _, mode := range []Mode{FullDuplex, HalfDuplex} {
		t.Run(string(mode), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *room, image *memory) {
				r.cfg.Session.Mode = mode
				s := r.send(image, 2)
				deaf := r.net.host(0)
				deaf.deaf = true
				seats := []*seat{r.seat(r.net.host(0), &memory{}), r.seat(deaf, &memory{})}
				wait := r.run(s)
				until(t, s, "half", half)
				deaf.set(func(h *host) { h.refused = true })
				time.Sleep(4 * time.Second)
				deaf.set(func(h *host) { h.refused = false })
				for _, seat := range seats {
					seat.check(t, image)
				}
				if err := wait(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A receiver that says that it is there, and does not get on, is given up in the end, with the reason, and the others do not wait for it.
func TestOneThatDoesNotGetOn(t *testing.T) {
	const patience = 5 * time.Minute // after the others are complete
	for _, c := range []struct {
		name   string
		broken func(r *room, h *host)
		stuck  bool
		reason string
	}{
		{name: "nothing comes to it", reason: "arrives",
			broken: func(_ *room, h *host) { h.set(func(h *host) { h.numb = true }) }},
		{name: "commands come to it, and no data", reason: "arrives", broken: func(r *room, h *host) {
			r.net.filter(func(to *port, b []byte) [][]byte {
				if k, _ := kindOf(b); to.host == h && k == kindData {
					return nil
				}
				return [][]byte{b}
			})
		}},
		{name: "the group does not reach it, and unicast is refused", reason: "arrives", broken: func(_ *room, h *host) {
			h.set(func(h *host) { h.deaf, h.refused = true, true })
		}},
		{name: "its disk hangs", reason: "disk", broken: func(*room, *host) {}, stuck: true},
	} {
		for _, mode := range []Mode{FullDuplex, HalfDuplex} {
			t.Run(fmt.Sprintf("%s/%s", c.name, mode), func(t *testing.T) {
				bubble(t, func(t *testing.T, r *room, _ *memory) {
					r.cfg.Session.Mode, r.cfg.Session.Rate = mode, 20e6
					image := newMemory(7, 8<<20)
					s := r.send(image, 3)
					seats := r.seats(2, 0)
					disk := &memory{}
					repaired := make(chan struct{})
					defer close(repaired)
					var hangs atomic.Bool
					disk.disk = func(int64) error {
						if hangs.Load() {
							<-repaired
							return errors.New("the test has ended")
						}
						return nil
					}
					bad := r.seat(r.net.host(0), disk)
					wait := r.run(s)
					until(t, s, "half", past(4<<20))
					hangs.Store(c.stuck)
					c.broken(r, bad.host)
					for _, seat := range seats {
						seat.check(t, image)
					}
					if took, most := s.Status().Elapsed, r.bare(image)*11/10+6*time.Second; took > most {
						t.Errorf("the others took %v, want at most %v", took, most)
					}
					others := time.Now()
					got := bad.onlyIncomplete(t, wait())
					if got.State != Failed || !strings.Contains(got.Reason, c.reason) {
						t.Errorf("it is %q, %q: want that it failed, and why", got.State, got.Reason)
					}
					if took := time.Since(others); took > patience {
						t.Errorf("the session ended %v after the others were complete, want at most %v", took, patience)
					}
					bad.stop()
				})
			})
		}
	}
}

// A machine with a bad memory finds a block wrong that came as it was sent. Here the wire to it, which has the session's keys, changes
// what is sealed in the symbols of one block.
func TestOneForWhomABlockIsWrong(t *testing.T) {
	const block = 5
	for name, always := range map[string]bool{"once": false, "always": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, r *room, image *memory) {
				r.cfg.Session.Rate = 20e6
				s := r.send(image, 4)
				seats := r.seats(3, 0)
				bad := r.seat(r.net.host(0), &memory{})
				symbols := 0
				r.net.filter(func(to *port, b []byte) [][]byte {
					k, _ := kindOf(b)
					id, err := symbolIDOf(b)
					if to.host != bad.host || k != kindData || err != nil || id.block != block || symbols >= sourceSymbols && !always {
						return [][]byte{b}
					}
					symbols++
					plain, err := open(s.seals.sender, new(nonce), nil, b, headerSize)
					if err != nil {
						t.Error(err)
						return nil
					}
					plain[0] ^= 1
					return [][]byte{seal(s.seals.sender, new(nonce), b[:headerSize:headerSize], headerSize, plain)}
				})
				wait := r.run(s)
				for _, seat := range seats {
					seat.check(t, image)
				}
				if took, most := s.Status().Elapsed, r.bare(image)*11/10; took > most {
					t.Errorf("the others took %v, want at most %v", took, most)
				}
				if !always {
					bad.check(t, image)
					if err := wait(); err != nil {
						t.Error(err)
					}
					return
				}
				others := time.Now()
				if got := bad.onlyIncomplete(t, wait()); got.State != Failed || !strings.Contains(got.Reason, "memory") {
					t.Errorf("it is %q, %q: want that it failed, and what to look at", got.State, got.Reason)
				}
				if took := time.Since(others); took > 5*time.Minute {
					t.Errorf("the session ended %v after the others were complete", took)
				}
				if <-bad.done; bad.err == nil {
					t.Error("the receiver does not say that something went wrong")
				}
				if bad.sink.have.Has(block) {
					t.Error("the wrong block was written")
				}
			})
		})
	}
}

// Two receivers of one machine have its name and its address: they are two all the same, also when one begins while the sender has not
// heard the other for a while, as half-duplex has it.
func TestTwoReceiversOfOneMachine(t *testing.T) {
	for _, mode := range []Mode{FullDuplex, HalfDuplex} {
		for _, later := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/later=%t", mode, later), func(t *testing.T) {
				bubble(t, func(t *testing.T, r *room, _ *memory) {
					r.cfg.Session.Mode, r.cfg.Session.Rate = mode, 20e6
					image := newMemory(7, 8<<20)
					s := r.send(image, 2)
					machine := r.net.host(0.01)
					seats := []*seat{r.seat(machine, &memory{})}
					wait := r.run(s)
					if later {
						s.Start()
						until(t, s, "half", past(4<<20))
					}
					seats = append(seats, r.seat(machine, &memory{}))
					for _, seat := range seats {
						seat.check(t, image)
					}
					if err := wait(); err != nil {
						t.Error(err)
					}
					complete := 0
					for _, st := range s.Status().Receivers {
						if st.State == Complete && st.Name == seats[0].cfg.Name {
							complete++
						}
					}
					if complete != 2 {
						t.Errorf("the sender shows %+v, want both, complete", s.Status().Receivers)
					}
				})
			})
		}
	}
}
