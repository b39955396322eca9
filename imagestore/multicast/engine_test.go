package multicast

import (
	"bytes"
	"context"
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
	slow    time.Duration // for each block
	fail    func(offset int64) error
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
	if m.fail != nil {
		if err := m.fail(offset); err != nil {
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
	sender  *Sender
	cfg     SenderConfig
	server  *host
	running sync.WaitGroup
}

func newRoom(t testing.TB, seed uint64) *room {
	r := &room{t: t, net: newNetwork(seed), ctx: t.Context(), group: netip.MustParseAddrPort("239.194.17.36:9000")}
	r.server = r.net.host(0)
	r.cfg.Session = Session{Port: 9000, Mode: FullDuplex, Group: r.group.Addr(), Rate: 100e6, Wait: time.Minute}
	return r
}

// send makes the sender.
func (r *room) send(source Source, computers int) *Sender {
	r.t.Helper()
	r.cfg.Source, r.cfg.Session.Computers = source, computers
	s, err := newSender(r.cfg, r.net.open(r.server, netip.AddrPortFrom(r.server.addr, 9001)), r.group)
	if err != nil {
		r.t.Fatal(err)
	}
	r.sender = s
	return s
}

// A seat is a receiver of a room.
type seat struct {
	*Receiver
	host *host
	sink *memory
	err  error
	took time.Duration
	done chan struct{}
}

// seat starts a receiver.
func (r *room) seat(h *host, sink *memory, change ...func(*ReceiverConfig)) *seat {
	r.t.Helper()
	cfg := ReceiverConfig{Port: 9000, Group: r.group.Addr(), Key: r.cfg.Key, Sink: sink, Name: "pc" + h.addr.String()[len("10.0."):], Memory: 24 << 20}
	for _, c := range change {
		c(&cfg)
	}
	own := r.net.open(h, netip.AddrPortFrom(h.addr, 4000))
	rec, err := newReceiver(cfg, r.net.open(h, r.group), own, []netip.AddrPort{netip.AddrPortFrom(r.server.addr, 9001)})
	if err != nil {
		r.t.Fatal(err)
	}
	s := &seat{Receiver: rec, host: h, sink: sink, done: make(chan struct{})}
	start := time.Now()
	r.running.Go(func() {
		defer close(s.done)
		s.err = rec.Run(r.ctx)
		s.took = time.Since(start)
	})
	return s
}

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

func TestRoomReceivesWhatIsSent(t *testing.T) {
	for _, mode := range []Mode{FullDuplex, HalfDuplex} {
		for _, loss := range []float64{0, 0.001, 0.01, 0.03, 0.05, 0.2} {
			t.Run(fmt.Sprintf("%s/%g", mode, loss), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newRoom(t, 1)
					r.cfg.Key = NewKey()
					r.cfg.Session.Mode = mode
					image := newMemory(1, 8<<20+12345)
					s := r.send(image, 4)
					var seats []*seat
					for range 4 {
						seats = append(seats, r.seat(r.net.host(loss), &memory{}))
					}
					if err := s.Run(t.Context()); err != nil {
						t.Error(err)
					}
					for _, seat := range seats {
						seat.check(t, image)
					}
					st := s.Status()
					t.Logf("%v, %d datagrams, %d repairs", st.Elapsed, st.Datagrams, st.Repairs)
					bare := time.Duration(float64(len(image.b)) * 8 * 1514 / 1472 / 100e6 * 1e9)
					t.Logf("ratio %.3f expansion %.4f", float64(st.Elapsed)/float64(bare), float64(st.Datagrams)/float64(st.Datagrams-st.Repairs))
					r.running.Wait()
				})
			})
		}
	}
}
