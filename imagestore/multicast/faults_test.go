package multicast

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOneThatDiesHoldsNobodyUp(t *testing.T) {
	usual := undisturbed(t, 8)
	bubble(t, func(t *testing.T, r *room, image *memory) {
		s := r.send(image, 8)
		seats := r.seats(8, 0)
		wait := r.run(s)
		until(t, s, "half", half)
		died := seats[3]
		died.host.set(unplug)
		died.stop()
		<-died.done
		for _, seat := range slices.Delete(seats, 3, 4) {
			seat.check(t, image)
		}
		if took := s.Status().Elapsed; took > usual*105/100 {
			t.Errorf("the others took %v, without the dead one they take %v", took, usual)
		}
		if got := died.onlyIncomplete(t, wait()); !strings.Contains(got.Reason, "switched off") {
			t.Errorf("%q does not say what to look at", got.Reason)
		}
	})
}

func TestOneThatPausesGetsTheRestAfterwards(t *testing.T) {
	bubble(t, func(t *testing.T, r *room, image *memory) {
		r.cfg.Linger = time.Minute
		s := r.send(image, 4)
		seats := r.seats(4, 0.01)
		wait := r.run(s)
		until(t, s, "half", half)
		seats[0].host.set(unplug)
		time.Sleep(30 * time.Second)
		if st := seats[0].of(s.Status()); st.State != Silent {
			t.Errorf("after 30 s of silence it is %q", st.State)
		}
		seats[0].host.set(plug)
		if err := wait(); err != nil {
			t.Error(err)
		}
		for _, seat := range seats {
			seat.check(t, image)
		}
	})
}

func TestOneThatComesLateGetsAll(t *testing.T) {
	usual := undisturbed(t, 4)
	bubble(t, func(t *testing.T, r *room, image *memory) {
		s := r.send(image, 4)
		seats := r.seats(4, 0)
		wait := r.run(s)
		until(t, s, "half", half)
		late := r.seat(r.net.host(0.01), &memory{})
		for _, seat := range seats {
			seat.check(t, image)
		}
		if took := s.Status().Elapsed; took > usual*103/100 {
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

// Each second the sender looks who held it up, and one that did for three of them goes to the catch-up lane: until then its memory, and
// its disk, set the pace.
func TestSlowDisksGoToTheCatchUpLane(t *testing.T) {
	for _, slow := range []int{1, 2} {
		t.Run(fmt.Sprintf("%d of 5", slow), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *room, _ *memory) {
				r.cfg.Session.Rate = 50e6
				image := newMemory(7, 48<<20)
				s := r.send(image, 5)
				seats := r.seats(5-slow, 0)
				var late []*seat
				for range slow {
					disk := &memory{slow: 600 * time.Millisecond} // 0.3 MB/s, of 6 MB/s
					late = append(late, r.seat(r.net.host(0), disk, func(c *ReceiverConfig) { c.Memory = 4 << 20 }))
				}
				wait := r.run(s)
				for _, seat := range seats {
					seat.check(t, image)
				}
				if took, most := s.Status().Elapsed, r.bare(image)+5*time.Second; took > most {
					t.Errorf("the fast ones took %v, want at most %v: the slow ones held them", took, most)
				}
				for _, seat := range late {
					if st := seat.of(s.Status()); st.State != Behind || !strings.Contains(st.Reason, "disk") {
						t.Errorf("a slow one is %q, %q", st.State, st.Reason)
					}
				}
				if got := s.Status().Slowest; !slices.ContainsFunc(late, func(s *seat) bool { return s.cfg.Name == got }) {
					t.Errorf("the slowest is %q, want one with a slow disk", got)
				}
				for _, seat := range late {
					seat.check(t, image)
				}
				if err := wait(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A bad cable costs the repairs of the first seconds, until it goes to the catch-up lane.
func TestOneBadCableCostsTheOthersLittle(t *testing.T) {
	bubble(t, func(t *testing.T, r *room, _ *memory) {
		r.cfg.Session.Rate = 50e6
		image := newMemory(7, 64<<20)
		s := r.send(image, 6)
		seats := r.seats(5, 0)
		bad := r.seat(r.net.host(0.4), &memory{})
		wait := r.run(s)
		for _, seat := range seats {
			seat.check(t, image)
		}
		if took, bare := s.Status().Elapsed, r.bare(image); took > bare*135/100 {
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
				st := seats[0].of(s.Status())
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
	for _, mode := range []Mode{FullDuplex, HalfDuplex} {
		for _, deaf := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/deaf=%t", mode, deaf), func(t *testing.T) {
				bubble(t, func(t *testing.T, r *room, image *memory) {
					r.cfg.Session.Mode = mode
					s := r.send(image, 3)
					seats := r.seats(2, 0.01)
					other := r.net.host(0.01)
					other.deaf = deaf // the group does not reach the third
					seats = append(seats, r.seat(other, &memory{}))
					wait, kill := r.runUntilKilled(s)
					until(t, s, "half", half)
					r.server.set(unplug) // so that it says no farewell
					kill()
					if err := wait(); !errors.Is(err, context.Canceled) {
						t.Errorf("the first sender says %v, want that it was stopped", err)
					}
					time.Sleep(5 * time.Second)

					r.server.set(plug)
					again := r.send(image, 3)
					wait = r.run(again)
					for _, seat := range seats {
						seat.check(t, image)
					}
					if err := wait(); err != nil {
						t.Error(err)
					}
					most := int64(faultSize/symbolSize) * 6 / 10
					if deaf {
						most += int64(faultSize/symbolSize) * 11 / 10 // it had nothing
					}
					if got := again.Status().Datagrams; got > most {
						t.Errorf("the second sender sent %d datagrams: half of the content had come, want at most %d", got, most)
					}
				})
			})
		}
	}
}

func TestAReceiverGoesOnWithWhatItHas(t *testing.T) {
	bubble(t, func(t *testing.T, r *room, image *memory) {
		s := r.send(image, 2)
		first, other := r.seat(r.net.host(0), &memory{}), r.seat(r.net.host(0), &memory{})
		wait := r.run(s)
		until(t, s, "half", half)
		other.host.set(unplug) // a reset: it says nothing
		other.stop()
		<-other.done
		have := other.sink.have.Len()
		if have == 0 {
			t.Fatal("nothing was written before the reset")
		}
		time.Sleep(10 * time.Second)
		other.host.set(plug)
		again := r.seat(other.host, other.sink)
		first.check(t, image)
		again.check(t, image)
		if err := wait(); err != nil {
			t.Error(err)
		}
		if got := again.Status().Resumed; got != have*BlockSize {
			t.Errorf("it went on from byte %d, want %d", got, have*BlockSize)
		}
		if int64(again.sink.written) != blocks(faultSize) {
			t.Errorf("%d blocks were written, want each once: %d", again.sink.written, blocks(faultSize))
		}
	})
}

// A crooked wire delivers datagrams out of order, twice, long afterwards, cut, and changed.
type crookedWire struct {
	late map[*port][]byte   // a datagram that another overtakes
	past map[*port][][]byte // some of those that came
	did  struct{ overtaken, twice, replayed, cut, changed int }
}

func (w *crookedWire) pass(rng *rand.Rand, to *port, b []byte) [][]byte {
	switch rng.IntN(200) {
	case 0, 1, 2:
		w.did.twice++
		return [][]byte{b, b}
	case 3, 4, 5:
		if w.late[to] == nil {
			w.late[to] = b
			return nil
		}
	case 6:
		if len(w.past[to]) == 0 {
			break
		}
		w.did.replayed++
		return [][]byte{b, w.past[to][rng.IntN(len(w.past[to]))]}
	case 7:
		w.did.cut++
		return [][]byte{b[:rng.IntN(len(b))]}
	case 8:
		w.did.changed++
		changed := bytes.Clone(b)
		changed[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		return [][]byte{changed}
	case 9:
		w.past[to] = append(w.past[to], b)
	case 10, 11, 12, 13, 14, 15:
		if late := w.late[to]; late != nil {
			w.did.overtaken++
			w.late[to] = nil
			return [][]byte{b, late}
		}
	}
	return [][]byte{b}
}

func TestDatagramsOutOfOrderTwiceCutAndReplayed(t *testing.T) {
	for _, mode := range []Mode{FullDuplex, HalfDuplex} {
		t.Run(string(mode), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *room, image *memory) {
				r.cfg.Session.Mode = mode
				s := r.send(image, 3)
				seats := r.seats(3, 0.01)
				wire := crookedWire{late: map[*port][]byte{}, past: map[*port][][]byte{}}
				r.net.filter(func(to *port, b []byte) [][]byte { return wire.pass(r.net.rng, to, b) })
				if err := s.Run(r.ctx); err != nil {
					t.Error(err)
				}
				for _, seat := range seats {
					seat.check(t, image)
					if seat.Status().Refused == 0 {
						t.Error("no datagram was refused: nothing was changed")
					}
				}
				r.running.Wait()
				if did := wire.did; min(did.overtaken, did.twice, did.replayed, did.cut, did.changed) < 20 {
					t.Errorf("the wire did too little: %+v", did)
				}
				if took, bare := s.Status().Elapsed, r.bare(image); took > bare*13/10 {
					t.Errorf("it took %v, %v bare", took, bare)
				}
			})
		})
	}
}

func TestOnlyReportsAndCommandsAreLost(t *testing.T) {
	for _, mode := range []Mode{FullDuplex, HalfDuplex} {
		t.Run(string(mode), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *room, image *memory) {
				r.cfg.Session.Mode = mode
				s := r.send(image, 4)
				seats := r.seats(4, 0)
				r.net.filter(func(_ *port, b []byte) [][]byte {
					if k, _ := kindOf(b); k != kindData && r.net.rng.IntN(2) == 0 {
						return nil
					}
					return [][]byte{b}
				})
				if err := s.Run(r.ctx); err != nil {
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
		err := nobodySends(r.ctx, listener, r.group)
		if err == nil || !strings.Contains(err.Error(), r.server.addr.String()) || !strings.Contains(err.Error(), "9002") {
			t.Errorf("a second sender is told %v: want the first one's address and another port", err)
		}

		// One that does not listen, as when the switch joins two halves of a room that had a sender each.
		cfg := r.cfg
		cfg.Source, cfg.Session.Computers = newMemory(8, faultSize), 9
		rival := r.sender(cfg, host)
		ended, stop := r.runUntilKilled(rival)
		time.Sleep(announceEvery / 2) // so that it has been heard, and is not the next to be
		second := r.seat(r.net.host(0), &memory{})
		first.check(t, image)
		second.check(t, image)
		if err := wait(); err != nil {
			t.Errorf("the first sender says %v", err)
		}
		stop()
		if err := ended(); !errors.Is(err, context.Canceled) {
			t.Errorf("the rival says %v, want that it was stopped", err)
		}
		if st := rival.Status(); len(st.Receivers) > 0 || st.Datagrams > 0 {
			t.Errorf("the rival had %d receivers and sent %d datagrams, want none", len(st.Receivers), st.Datagrams)
		}
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
		full := r.seat(r.net.host(0), &memory{disk: func(offset int64) error {
			if offset > faultSize/4 {
				return errors.New("no space left on disk 1")
			}
			return nil
		}})
		err := s.Run(r.ctx)
		for _, seat := range seats {
			seat.check(t, image)
		}
		<-full.done
		if full.err == nil || !strings.Contains(full.err.Error(), "no space left") {
			t.Errorf("the receiver says %v", full.err)
		}
		if got := full.onlyIncomplete(t, err); got.State != Failed || !strings.Contains(got.Reason, "no space left") {
			t.Errorf("it is %q, %q: want that it failed, with its own reason", got.State, got.Reason)
		}
	})
}

func TestAStreamOfUnknownLength(t *testing.T) {
	for _, size := range []int{0, 1, BlockSize - 1, BlockSize, 10 * BlockSize, faultSize} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			bubble(t, func(t *testing.T, r *room, _ *memory) {
				image := newMemory(7, size)
				s := r.stream(image, 3)
				seats := r.seats(3, 0.01)
				if err := s.Run(r.ctx); err != nil {
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
		image := newMemory(7, 12*faultSize)
		r.cfg.Session.Rate = 1000e6
		s := r.stream(image, 2)
		seats := r.seats(2, 0)
		wait := r.run(s)
		until(t, s, "what is not kept", past(10*faultSize))
		late := r.seat(r.net.host(0), &memory{})
		<-late.done
		if !errors.Is(late.err, ErrGone) {
			t.Errorf("the late one says %v, want ErrGone", late.err)
		}
		for _, seat := range seats {
			seat.check(t, image)
		}
		late.onlyIncomplete(t, wait())
	})
}

func TestAFailingSourceEndsTheSession(t *testing.T) {
	bubble(t, func(t *testing.T, r *room, _ *memory) {
		broken := io.MultiReader(io.LimitReader(neverEnding('x'), 4<<20), failing{})
		s := r.send(NewStream(broken, "partition"), 1)
		seat := r.seats(1, 0)[0]
		err := s.Run(r.ctx)
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
		if err := wait(); err != nil {
			t.Error(err)
		}
		seat.check(t, image)
	})
	bubble(t, func(t *testing.T, r *room, image *memory) {
		s := r.send(image, 10)
		started := time.Now()
		wait := r.run(s)
		seat := r.seats(1, 0)[0]
		if err := wait(); err != nil {
			t.Error(err)
		}
		ended := time.Now()
		seat.check(t, image)
		if waited := ended.Sub(started) - s.Status().Elapsed; waited < time.Minute || waited > time.Minute+5*time.Second {
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
		r.server.set(unplug)
		<-seat.done
		if !errors.Is(seat.err, ErrSilence) {
			t.Errorf("when the sender is dead: %v", seat.err)
		}
		var incomplete *IncompleteError
		if err := wait(); !errors.As(err, &incomplete) || len(incomplete.Receivers) != 2 {
			t.Errorf("the sender says %v, want the one that gave up and the one that it no longer reached", err)
		}
	})
}
