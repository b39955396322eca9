package multicast

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// memory is a Source and a Sink.
type memory struct {
	content Content
	b       []byte
	have    *Blocks
	mu      sync.Mutex
	written int
	done    bool
	slow    time.Duration            // for each block
	disk    func(offset int64) error // asked before each block
}

func newMemory(seed uint64, size int) *memory {
	m := &memory{b: make([]byte, size), content: Content{Name: "image", Size: int64(size)}}
	rng := rand.NewChaCha8([32]byte{byte(seed)})
	rng.Read(m.b)
	m.content.ID[0] = byte(seed)
	return m
}

func (m *memory) Content() Content { return m.content }

func (m *memory) ReadAt(b []byte, offset int64) (int, error) {
	return bytes.NewReader(m.b).ReadAt(b, offset)
}

func (m *memory) Begin(c Content) (*Blocks, error) {
	m.content = c
	if c.Size != Unknown && len(m.b) != int(c.Size) {
		m.b = append(m.b, make([]byte, max(int(c.Size)-len(m.b), 0))...)
	}
	return m.have, nil
}

func (m *memory) WriteBlock(offset int64, b []byte) error {
	if m.disk != nil {
		if err := m.disk(offset); err != nil {
			return err
		}
	}
	time.Sleep(m.slow)
	m.mu.Lock()
	defer m.mu.Unlock()
	if end := int(offset) + len(b); end > len(m.b) {
		m.b = append(m.b, make([]byte, end-len(m.b))...)
	}
	copy(m.b[offset:], b)
	m.written++
	if m.have == nil {
		m.have = &Blocks{}
	}
	m.have.Add(offset / BlockSize)
	return nil
}

func (m *memory) Finish(c Content) error {
	m.b = m.b[:c.Size]
	m.done = true
	return nil
}

// A room is a sender and receivers on a network in memory.
type room struct {
	t       testing.TB
	net     *network
	ctx     context.Context
	group   netip.AddrPort
	cfg     SenderConfig
	server  *host
	running sync.WaitGroup
}

func newRoom(t testing.TB, seed uint64) *room {
	r := &room{t: t, net: newNetwork(seed), ctx: t.Context(), group: netip.MustParseAddrPort("239.194.17.36:9000")}
	r.server = r.net.host(0)
	r.cfg.Key = NewKey()
	r.cfg.Session = Session{Port: 9000, Mode: FullDuplex, Group: r.group.Addr(), Rate: 100e6, Wait: time.Minute}
	return r
}

const (
	faultSize = 16<<20 + 4321    // bytes: 1.4 s at 100 Mbit/s
	longest   = 15 * time.Minute // that a test may take, in the bubble's time: what does not end by itself is ended, and fails
)

// bubble runs a test in a bubble of its own, in which time passes as fast as the work is done.
func bubble(t *testing.T, f func(t *testing.T, r *room, image *memory)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, 7)
		ctx, cancel := context.WithTimeoutCause(r.ctx, longest, errors.New("the test takes too long"))
		defer cancel()
		r.ctx = ctx
		f(t, r, newMemory(7, faultSize))
		r.running.Wait()
	})
}

// undisturbed measures how long a sender takes when nothing happens, with receivers that lose nothing.
func undisturbed(t *testing.T, receivers int) (took time.Duration) {
	t.Helper()
	bubble(t, func(t *testing.T, r *room, image *memory) {
		s := r.send(image, receivers)
		seats := r.seats(receivers, 0)
		if err := s.Run(r.ctx); err != nil {
			t.Error(err)
		}
		for _, seat := range seats {
			seat.check(t, image)
		}
		took = s.Status().Elapsed
	})
	return took
}

// bare is how long the bytes of a content alone, in full packets, take at the session's rate.
func (r *room) bare(m *memory) time.Duration {
	packets := float64(len(m.b)) / packetLimit
	return time.Duration(packets * (1500 + 14) * 8 / float64(r.cfg.Session.Rate) * float64(time.Second))
}

// send makes the sender.
func (r *room) send(source Source, computers int) *Sender {
	r.t.Helper()
	r.cfg.Source, r.cfg.Session.Computers = source, computers
	return r.sender(r.cfg, r.server)
}

func (r *room) sender(cfg SenderConfig, h *host) *Sender {
	r.t.Helper()
	s, err := newSender(cfg, r.net.open(h, netip.AddrPortFrom(h.addr, 9001)), r.group)
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// stream makes the sender of a stream.
func (r *room) stream(image *memory, computers int) *Sender {
	r.t.Helper()
	return r.send(NewStream(bytes.NewReader(image.b), "partition"), computers)
}

// run runs the sender in the background, and returns what waits for its end.
func (r *room) run(s *Sender) (wait func() error) {
	wait, _ = r.runUntilKilled(s)
	return wait
}

// runUntilKilled is run with a way to stop the sender; with its host unplugged, it says no farewell.
func (r *room) runUntilKilled(s *Sender) (wait func() error, kill context.CancelFunc) {
	ctx, kill := context.WithCancel(r.ctx)
	ended := make(chan error, 1)
	r.running.Go(func() {
		defer kill()
		ended <- s.Run(ctx)
	})
	return func() error { return <-ended }, kill
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

// past is a status in which so many bytes were sent.
func past(size int64) func(SenderStatus) bool {
	return func(st SenderStatus) bool { return st.Sent > size }
}

var half = past(faultSize / 2)

// of returns what the sender says of a receiver.
func (s *seat) of(st SenderStatus) ReceiverStatus {
	for _, r := range st.Receivers {
		if r.Name == s.cfg.Name {
			return r
		}
	}
	return ReceiverStatus{}
}

// A seat is a receiver of a room.
type seat struct {
	*Receiver
	host *host
	sink *memory
	stop context.CancelFunc
	done chan struct{}
	err  error // once done
}

// seat starts a receiver.
func (r *room) seat(h *host, sink *memory, change ...func(*ReceiverConfig)) *seat {
	r.t.Helper()
	cfg := ReceiverConfig{Port: 9000, Group: r.group.Addr(), Key: r.cfg.Key, Sink: sink, Name: "pc" + h.addr.String()[len("10.0."):], Memory: 24 << 20}
	for _, c := range change {
		c(&cfg)
	}
	rec, err := newReceiver(cfg, r.net.open(h, r.group), r.net.own(h), []netip.AddrPort{netip.AddrPortFrom(r.server.addr, 9001)})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(r.ctx)
	s := &seat{Receiver: rec, host: h, sink: sink, stop: stop, done: make(chan struct{})}
	r.running.Go(func() {
		defer stop()
		defer close(s.done)
		s.err = rec.Run(ctx)
	})
	return s
}

// seats starts n receivers.
func (r *room) seats(n int, loss float64) (seats []*seat) {
	for range n {
		seats = append(seats, r.seat(r.net.host(loss), &memory{}))
	}
	return seats
}

// check waits for a receiver, which has to have everything.
func (s *seat) check(t testing.TB, want *memory) {
	t.Helper()
	<-s.done
	switch {
	case s.err != nil:
		t.Errorf("%s: %v", s.cfg.Name, s.err)
	case !s.sink.done:
		t.Errorf("%s: not finished", s.cfg.Name)
	case !bytes.Equal(s.sink.b, want.b):
		t.Errorf("%s: received other bytes than were sent", s.cfg.Name)
	}
}

// onlyIncomplete checks that the sender's error names that receiver, and nobody else, and answers what it says of it.
func (s *seat) onlyIncomplete(t testing.TB, err error) ReceiverStatus {
	t.Helper()
	var incomplete *IncompleteError
	if !errors.As(err, &incomplete) || len(incomplete.Receivers) != 1 || incomplete.Receivers[0].Name != s.cfg.Name {
		t.Errorf("the sender says %v, want that %s, and nobody else, is incomplete", err, s.cfg.Name)
		return ReceiverStatus{}
	}
	return incomplete.Receivers[0]
}

// The time is the bubble's, so that what is measured is the same on every machine. What the end of a pass costs counts for more in a
// small content.
func TestRoomReceivesWhatIsSent(t *testing.T) {
	for _, c := range []struct {
		loss float64
		size int
		most map[Mode]float64 // of the bare file's time
	}{
		{0, 32 << 20, map[Mode]float64{FullDuplex: 1.03, HalfDuplex: 1.03}},
		{0.001, 32 << 20, map[Mode]float64{FullDuplex: 1.04, HalfDuplex: 1.04}},
		{0.01, 32 << 20, map[Mode]float64{FullDuplex: 1.06, HalfDuplex: 1.06}},
		{0.03, 32 << 20, map[Mode]float64{FullDuplex: 1.10, HalfDuplex: 1.10}},
		{0.05, 8 << 20, map[Mode]float64{FullDuplex: 1.2, HalfDuplex: 1.3}},
		{0.2, 8 << 20, map[Mode]float64{FullDuplex: 1.6, HalfDuplex: 1.7}},
	} {
		for mode, most := range c.most {
			t.Run(fmt.Sprintf("%s/loss=%g", mode, c.loss), func(t *testing.T) {
				bubble(t, func(t *testing.T, r *room, _ *memory) {
					r.cfg.Session.Mode = mode
					image := newMemory(1, c.size+12345)
					s := r.send(image, 4)
					seats := r.seats(4, c.loss)
					if err := s.Run(r.ctx); err != nil {
						t.Error(err)
					}
					for _, seat := range seats {
						seat.check(t, image)
					}
					ratio := float64(s.Status().Elapsed) / float64(r.bare(image))
					if t.Logf("%.3f of the bare file's time", ratio); ratio > most {
						t.Errorf("it took %.3f of the bare file's time, want at most %g", ratio, most)
					}
				})
			})
		}
	}
}
