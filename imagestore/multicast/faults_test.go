package multicast

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const faultSize = 16<<20 + 4321 // bytes: 1.4 s at 100 Mbit/s

// bubble runs a test in a bubble of its own, in which time passes as fast as the work is done.
func bubble(t *testing.T, f func(t *testing.T, r *room, image *memory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, 7)
		r.cfg.Key = NewKey()
		f(t, r, newMemory(7, faultSize))
		r.running.Wait()
	})
}

// seats starts n receivers.
func (r *room) seats(n int, loss float64) (seats []*seat) {
	for range n {
		seats = append(seats, r.seat(r.net.host(loss), &memory{}))
	}
	return seats
}

// run runs the sender in the background, and returns what waits for its end.
func (r *room) run(s *Sender) (wait func() error) {
	ended := make(chan error, 1)
	r.running.Go(func() { ended <- s.Run(r.ctx) })
	return func() error { return <-ended }
}

// until waits until the sender's status is as wanted.
func until(t *testing.T, s *Sender, what string, ok func(SenderStatus) bool) {
	t.Helper()
	for range 60 * 100 {
		if ok(s.Status()) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("the sender did not come to %s: %+v", what, s.Status())
}

func half(st SenderStatus) bool { return st.Sent > faultSize/2 }

// alone measures how long a room takes in which nothing happens.
func quiet(t *testing.T, n int) (took time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, 7)
		image := newMemory(7, faultSize)
		s := r.send(image, n)
		seats := r.seats(n, 0)
		if err := s.Run(t.Context()); err != nil {
			t.Error(err)
		}
		for _, seat := range seats {
			seat.check(t, image)
		}
		took = s.Status().Elapsed
		r.running.Wait()
	})
	return took
}

func state(st SenderStatus, name string) ReceiverStatus {
	for _, r := range st.Receivers {
		if r.Name == name {
			return r
		}
	}
	return ReceiverStatus{}
}

func TestOneThatDiesHoldsNobodyUp(t *testing.T) {
	usual := quiet(t, 8)
	bubble(t, func(t *testing.T, r *room, image *memory) {
		s := r.send(image, 8)
		seats := r.seats(8, 0)
		wait := r.run(s)
		until(t, s, "half", half)
		seats[3].host.dead = true
		var slowest time.Duration
		for i, seat := range seats {
			if i != 3 {
				seat.check(t, image)
				slowest = max(slowest, time.Since(s.plan.beganAt))
			}
		}
		if slowest > usual*105/100 {
			t.Errorf("the others took %v, without the dead one they take %v", slowest, usual)
		}
		var incomplete *IncompleteError
		if err := wait(); !errors.As(err, &incomplete) || len(incomplete.Receivers) != 1 || incomplete.Receivers[0].Name != seats[3].cfg.Name {
			t.Errorf("the sender says %v, want that %s is incomplete", err, seats[3].cfg.Name)
		} else if !strings.Contains(err.Error(), "switched off") {
			t.Errorf("%v does not say what to look at", err)
		}
		seats[3].host.dead = false
		r.sender = nil
		seats[3].fail(errors.New("the test ends"))
	})
}

func TestOneThatPausesGetsTheRestAfterwards(t *testing.T) {
	bubble(t, func(t *testing.T, r *room, image *memory) {
		r.cfg.Linger = time.Minute
		s := r.send(image, 4)
		seats := r.seats(4, 0.01)
		wait := r.run(s)
		until(t, s, "half", half)
		seats[0].host.dead = true
		time.Sleep(30 * time.Second)
		if st := state(s.Status(), seats[0].cfg.Name); st.State != Silent {
			t.Errorf("after 30 s of silence it is %q", st.State)
		}
		seats[0].host.dead = false
		if err := wait(); err != nil {
			t.Error(err)
		}
		for _, seat := range seats {
			seat.check(t, image)
		}
	})
}

func TestOneThatComesLateGetsAll(t *testing.T) {
	usual := quiet(t, 4)
	bubble(t, func(t *testing.T, r *room, image *memory) {
		s := r.send(image, 4)
		seats := r.seats(4, 0)
		wait := r.run(s)
		until(t, s, "half", half)
		late := r.seat(r.net.host(0.01), &memory{})
		for _, seat := range seats {
			seat.check(t, image)
		}
		if took := time.Since(s.plan.beganAt); took > usual*103/100 {
			t.Errorf("the others took %v, without the late one they take %v", took, usual)
		}
		late.check(t, image)
		if err := wait(); err != nil {
			t.Error(err)
		}
		if sent := s.Status().Datagrams; sent > 3*int64(faultSize)/symbolSize/2*11/10 {
			t.Errorf("%d datagrams were sent: the late one needed only half of the content", sent)
		}
	})
}

func TestASlowDiskGoesToTheCatchUpLane(t *testing.T) {
	bubble(t, func(t *testing.T, r *room, image *memory) {
		image = newMemory(7, 8*faultSize)
		s := r.send(image, 5)
		seats := r.seats(4, 0)
		slow := r.seat(r.net.host(0), &memory{slow: 150 * time.Millisecond}) // 1.2 MB/s
		wait := r.run(s)
		for _, seat := range seats {
			seat.check(t, image)
		}
		if took := time.Since(s.plan.beganAt); took > 25*time.Second {
			t.Errorf("the others took %v: the slow one held them", took)
		}
		if st := state(s.Status(), slow.cfg.Name); st.State != Behind || !strings.Contains(st.Reason, "disk") {
			t.Errorf("the slow one is %q, %q", st.State, st.Reason)
		}
		if got := s.Status().Slowest; got != slow.cfg.Name {
			t.Errorf("the slowest is %q, want %q", got, slow.cfg.Name)
		}
		slow.check(t, image)
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestOneBadCableCostsTheOthersLittle(t *testing.T) {
	bubble(t, func(t *testing.T, r *room, image *memory) {
		image = newMemory(7, 8*faultSize)
		s := r.send(image, 6)
		seats := r.seats(5, 0)
		bad := r.seat(r.net.host(0.4), &memory{})
		wait := r.run(s)
		for _, seat := range seats {
			seat.check(t, image)
		}
		bare := time.Duration(float64(len(image.b)) * 8 * 1514 / 1472 / 100e6 * 1e9)
		if took := time.Since(s.plan.beganAt); took > bare*135/100 {
			t.Errorf("the others took %v, %v bare: the bad cable cost them more than its first seconds", took, bare)
		}
		bad.check(t, image)
		if err := wait(); err != nil {
			t.Error(err)
		}
	})
}

func TestOneWhomTheGroupDoesNotReachIsServedByUnicast(t *testing.T) {
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprintf("all=%t", all), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *room, image *memory) {
				s := r.send(image, 3)
				var seats []*seat
				for i := range 3 {
					h := r.net.host(0.01)
					h.deaf = all || i == 0
					seats = append(seats, r.seat(h, &memory{}))
				}
				wait := r.run(s)
				until(t, s, "the first block", func(st SenderStatus) bool { return st.Sent > 0 })
				st := state(s.Status(), seats[0].cfg.Name)
				if st.State != Alone || !strings.Contains(st.Reason, "switch") {
					t.Errorf("it is %q, %q: want unicast, and why", st.State, st.Reason)
				}
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

func TestTheSenderIsStartedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, r *room, image *memory) {
		s := r.send(image, 3)
		seats := r.seats(3, 0.01)
		r.server.dead = false
		wait := r.run(s)
		until(t, s, "half", half)
		r.server.dead = true // killed: it says no farewell
		s.plan.phase = Ended
		wait()
		time.Sleep(5 * time.Second)

		r.server.dead = false
		again := r.send(image, 3)
		wait = r.run(again)
		for _, seat := range seats {
			seat.check(t, image)
		}
		if err := wait(); err != nil {
			t.Error(err)
		}
		if got, most := again.Status().Datagrams, int64(faultSize/symbolSize)*6/10; got > most {
			t.Errorf("the second sender sent %d datagrams: half of the content had come, want at most %d", got, most)
		}
	})
}

func TestAReceiverGoesOnWithWhatItHas(t *testing.T) {
	bubble(t, func(t *testing.T, r *room, image *memory) {
		s := r.send(image, 2)
		first, other := r.seats(2, 0)[0], (*seat)(nil)
		sink := &memory{}
		other = r.seat(r.net.host(0), sink)
		wait := r.run(s)
		until(t, s, "half", half)
		other.fail(errors.New("the PC was reset"))
		<-other.done
		have := sink.have.Len()
		if have == 0 {
			t.Fatal("nothing was written before the reset")
		}
		other = r.seat(other.host, sink)
		first.check(t, image)
		other.check(t, image)
		wait()
		if got := other.Status().Resumed; got != have*BlockSize {
			t.Errorf("it went on from byte %d, want %d", got, have*BlockSize)
		}
		if int64(sink.written) != blocks(faultSize) {
			t.Errorf("%d blocks were written, want each once: %d", sink.written, blocks(faultSize))
		}
	})
}

func TestDatagramsOutOfOrderTwiceCutAndReplayed(t *testing.T) {
	bubble(t, func(t *testing.T, r *room, image *memory) {
		s := r.send(image, 3)
		seats := r.seats(3, 0.01)
		var kept []byte
		r.net.pass = func(from, to *port, b []byte) int {
			rng := r.net.rng
			switch {
			case rng.IntN(50) == 0:
				return 2
			case rng.IntN(50) == 0: // late: an earlier one comes in its place
				kept, b = append([]byte(nil), b...), kept
				copy(b, kept)
				return 1
			case rng.IntN(100) == 0:
				to.queue = append(to.queue, datagrams{b: [][]byte{b[:rng.IntN(len(b))]}, from: from.addr})
				return 0
			case rng.IntN(100) == 0: // changed on the way
				changed := append([]byte(nil), b...)
				changed[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
				to.queue = append(to.queue, datagrams{b: [][]byte{changed}, from: from.addr})
				return 0
			}
			return 1
		}
		if err := s.Run(t.Context()); err != nil {
			t.Error(err)
		}
		for _, seat := range seats {
			seat.check(t, image)
			if seat.Status().Refused == 0 {
				t.Error("no datagram was refused: the test changes nothing")
			}
		}
	})
}

func TestOnlyReportsAndCommandsAreLost(t *testing.T) {
	for _, mode := range []Mode{FullDuplex, HalfDuplex} {
		t.Run(string(mode), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *room, image *memory) {
				r.cfg.Session.Mode = mode
				s := r.send(image, 4)
				seats := r.seats(4, 0)
				r.net.pass = func(_, _ *port, b []byte) int {
					if k, _ := kindOf(b); k != kindData && r.net.rng.IntN(2) == 0 {
						return 0
					}
					return 1
				}
				if err := s.Run(t.Context()); err != nil {
					t.Error(err)
				}
				for _, seat := range seats {
					seat.check(t, image)
				}
			})
		})
	}
}

func TestTwoSendersOnOneGroup(t *testing.T) {
	bubble(t, func(t *testing.T, r *room, image *memory) {
		s := r.send(image, 2)
		wait := r.run(s)
		first := r.seat(r.net.host(0), &memory{})
		time.Sleep(time.Second)

		host := r.net.host(0)
		listener := r.net.open(host, r.group)
		err := nobodySends(t.Context(), listener, r.group)
		if err == nil || !strings.Contains(err.Error(), r.server.addr.String()) || !strings.Contains(err.Error(), "9002") {
			t.Errorf("a second sender is told %v: want the first one's address and another port", err)
		}

		// One that does not listen, as when the switch joins two halves of a room that had a sender each.
		cfg := r.cfg
		cfg.Source, cfg.Session.Computers = newMemory(8, faultSize), 9
		rival, err := newSender(cfg, r.net.open(host, netip.AddrPortFrom(host.addr, 9001)), r.group)
		if err != nil {
			t.Fatal(err)
		}
		stopped := r.run(rival)
		time.Sleep(time.Second)
		second := r.seat(r.net.host(0), &memory{}, func(c *ReceiverConfig) { c.Server = r.server.addr })
		first.check(t, image)
		<-second.done
		wait()
		rival.mu.Lock()
		rival.plan.finish("the test ends")
		rival.mu.Unlock()
		stopped()
	})
}

func TestAStrangerWithoutTheKey(t *testing.T) {
	bubble(t, func(t *testing.T, r *room, image *memory) {
		s := r.send(image, 2)
		seats := r.seats(2, 0)
		eavesdropper := r.seat(r.net.host(0), &memory{}, func(c *ReceiverConfig) { c.Key, c.StartTimeout = Key{}, 10*time.Second })
		host := r.net.host(0)
		flood := r.net.open(host, netip.AddrPortFrom(host.addr, 4444))
		wait := r.run(s)
		until(t, s, "the first blocks", func(st SenderStatus) bool { return st.Sent > 1<<20 })
		forged := make([]byte, packetLimit)
		for i := range 20_000 {
			putHeader(forged, kind(1+i%4), s.id, uint32(i))
			putSymbolID(forged, symbolID{block: uint32(i), symbol: uint16(i % 128), sources: sourceSymbols})
			to := r.group
			if i%3 == 0 {
				to = netip.AddrPortFrom(r.server.addr, 9001)
			}
			flood.Write(forged, packetLimit, to)
			if i%100 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		for _, seat := range seats {
			seat.check(t, image)
			if seat.Status().Refused < 1000 {
				t.Errorf("%d forged datagrams were refused", seat.Status().Refused)
			}
		}
		if err := wait(); err != nil {
			t.Error(err)
		}
		<-eavesdropper.done
		if !errors.Is(eavesdropper.err, ErrNoSender) || !strings.Contains(eavesdropper.err.Error(), "key") {
			t.Errorf("without the key: %v, want ErrNoSender and that the key is another", eavesdropper.err)
		}
		if eavesdropper.sink.written > 0 {
			t.Error("without the key, blocks were written")
		}
	})
}

func TestAFullDiskIsToldAndHoldsNobody(t *testing.T) {
	bubble(t, func(t *testing.T, r *room, image *memory) {
		s := r.send(image, 3)
		seats := r.seats(2, 0)
		full := r.seat(r.net.host(0), &memory{fail: func(offset int64) error {
			if offset > faultSize/4 {
				return errors.New("no space left on disk 1")
			}
			return nil
		}})
		err := s.Run(t.Context())
		for _, seat := range seats {
			seat.check(t, image)
		}
		<-full.done
		if full.err == nil || !strings.Contains(full.err.Error(), "no space left") {
			t.Errorf("the receiver says %v", full.err)
		}
		var incomplete *IncompleteError
		if !errors.As(err, &incomplete) || len(incomplete.Receivers) != 1 || incomplete.Receivers[0].State != Failed || !strings.Contains(err.Error(), "no space left") {
			t.Errorf("the sender says %v: want the one receiver that failed, with its own reason", err)
		}
	})
}

func TestAStreamOfUnknownLength(t *testing.T) {
	for _, size := range []int{0, 1, BlockSize - 1, BlockSize, 10 * BlockSize, faultSize} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *room, _ *memory) {
				image := newMemory(7, size)
				s := r.send(NewStream(io.NewSectionReader(image, 0, int64(size)), "partition"), 3)
				seats := r.seats(3, 0.01)
				if err := s.Run(t.Context()); err != nil {
					t.Error(err)
				}
				for _, seat := range seats {
					seat.check(t, image)
				}
			})
		})
	}
}

func TestOneThatComesTooLateForAStream(t *testing.T) {
	bubble(t, func(t *testing.T, r *room, _ *memory) {
		image := newMemory(7, 16*faultSize)
		r.cfg.Session.Rate = 1000e6
		s := r.send(NewStream(io.NewSectionReader(image, 0, int64(len(image.b))), "partition"), 2)
		seats := r.seats(2, 0)
		wait := r.run(s)
		until(t, s, "half", func(st SenderStatus) bool { return st.Sent > 8*faultSize })
		late := r.seat(r.net.host(0), &memory{})
		<-late.done
		if !errors.Is(late.err, ErrGone) {
			t.Errorf("the late one says %v, want ErrGone", late.err)
		}
		for _, seat := range seats {
			seat.check(t, image)
		}
		var incomplete *IncompleteError
		if err := wait(); !errors.As(err, &incomplete) {
			t.Errorf("the sender says %v", err)
		}
	})
}

func TestAFailingSourceEndsTheSession(t *testing.T) {
	bubble(t, func(t *testing.T, r *room, _ *memory) {
		broken := io.MultiReader(io.LimitReader(neverEnding('x'), 4<<20), failing{})
		s := r.send(NewStream(broken, "partition"), 1)
		seat := r.seats(1, 0)[0]
		err := s.Run(t.Context())
		if err == nil || !strings.Contains(err.Error(), "bad sector") {
			t.Errorf("the sender says %v", err)
		}
		<-seat.done
		if seat.err == nil || !strings.Contains(seat.err.Error(), "bad sector") {
			t.Errorf("the receiver says %v: want the sender's reason", seat.err)
		}
	})
}

type neverEnding byte

func (c neverEnding) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(c)
	}
	return len(b), nil
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("bad sector") }

func TestStartNowAndTheLongestWait(t *testing.T) {
	bubble(t, func(t *testing.T, r *room, image *memory) {
		s := r.send(image, 10)
		wait := r.run(s)
		seat := r.seats(1, 0)[0]
		time.Sleep(30 * time.Second)
		if st := s.Status(); st.Phase != Waiting || len(st.Receivers) != 1 || st.Receivers[0].State != Joined {
			t.Errorf("after 30 s: %+v", st)
		}
		s.Start()
		wait()
		seat.check(t, image)
	})
	bubble(t, func(t *testing.T, r *room, image *memory) {
		s := r.send(image, 10)
		started := time.Now()
		wait := r.run(s)
		seat := r.seats(1, 0)[0]
		wait()
		seat.check(t, image)
		if waited := s.plan.beganAt.Sub(started); waited < time.Minute || waited > time.Minute+5*time.Second {
			t.Errorf("it waited %v, want a minute", waited)
		}
	})
}

func TestReceiversGiveUp(t *testing.T) {
	bubble(t, func(t *testing.T, r *room, image *memory) {
		seat := r.seat(r.net.host(0), &memory{}, func(c *ReceiverConfig) { c.StartTimeout = 20 * time.Second })
		<-seat.done
		if !errors.Is(seat.err, ErrNoSender) || !strings.Contains(seat.err.Error(), "cable") {
			t.Errorf("without a sender: %v", seat.err)
		}
		s := r.send(image, 5)
		wait := r.run(s)
		seat = r.seat(r.net.host(0), &memory{}, func(c *ReceiverConfig) { c.StartTimeout = 20 * time.Second })
		<-seat.done
		if !errors.Is(seat.err, ErrNoSender) || !strings.Contains(seat.err.Error(), "1 of 5") {
			t.Errorf("with a sender that waits: %v", seat.err)
		}
		seat = r.seat(r.net.host(0), &memory{}, func(c *ReceiverConfig) { c.ReceiveTimeout = 20 * time.Second })
		time.Sleep(time.Second)
		s.Start()
		until(t, s, "half", half)
		r.server.dead = true
		<-seat.done
		if !errors.Is(seat.err, ErrSilence) {
			t.Errorf("when the sender is dead: %v", seat.err)
		}
		wait()
	})
}
