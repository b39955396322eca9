package tftp

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// A wire is a network in memory that loses, doubles and delays packets, so that they overtake each other. It runs in a synctest bubble, whose
// clock stands still while packets are under way.
type wire struct {
	mu      sync.Mutex
	random  *rand.Rand
	loss    float64
	double  float64
	delay   time.Duration // at least
	late    float64       // so many packets are delayed more
	jitter  time.Duration // at most so much
	ends    map[netip.AddrPort]*end
	next    uint16
	last    time.Time              // when the last packet arrives that is in time
	carried map[uint16]int         // packets by opcode
	bytes   map[netip.AddrPort]int // that were sent, by sender
}

func newWire(seed uint64) *wire {
	return &wire{random: rand.New(rand.NewPCG(seed, 7)), delay: time.Millisecond, ends: map[netip.AddrPort]*end{}, next: 40000,
		carried: map[uint16]int{}, bytes: map[netip.AddrPort]int{}}
}

var (
	serverAddr = netip.MustParseAddr("10.9.0.1")
	port69     = netip.AddrPortFrom(serverAddr, 69)
)

// plug makes an end; port 0 is one that is free.
func (w *wire) plug(a netip.Addr, port uint16) *end {
	w.mu.Lock()
	defer w.mu.Unlock()
	if port == 0 {
		w.next++
		port = w.next
	}
	e := &end{wire: w, at: netip.AddrPortFrom(a, port), in: make(chan packet, 256), closed: make(chan struct{})}
	w.ends[e.at] = e
	return e
}

type packet struct {
	bytes []byte
	from  netip.AddrPort
}

// An end is a socket on the wire.
type end struct {
	wire   *wire
	at     netip.AddrPort
	in     chan packet
	closed chan struct{}
	once   sync.Once
	until  time.Time
}

func (e *end) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	var late <-chan time.Time
	if !e.until.IsZero() {
		timer := time.NewTimer(time.Until(e.until))
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-e.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	default:
	}
	select {
	case p := <-e.in:
		return copy(b, p.bytes), p.from, nil
	case <-e.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	case <-late:
		return 0, netip.AddrPort{}, os.ErrDeadlineExceeded
	}
}

func (e *end) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	w := e.wire
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(b) > 1 {
		w.carried[uint16(b[0])<<8|uint16(b[1])]++
	}
	w.bytes[e.at] += len(b)
	copies := 1
	if w.random.Float64() < w.double {
		copies = 2
	}
	for range copies {
		if w.random.Float64() < w.loss {
			continue
		}
		p := packet{append([]byte(nil), b...), e.at}
		w.last = later(time.Now().Add(w.delay), w.last.Add(time.Microsecond)) // timers of one instant fire in any order
		after := time.Until(w.last)
		if w.random.Float64() < w.late {
			after += time.Duration(w.random.Int64N(int64(w.jitter)))
		}
		time.AfterFunc(after, func() {
			w.mu.Lock()
			target := w.ends[to]
			w.mu.Unlock()
			if target != nil {
				select {
				case target.in <- p:
				default:
				}
			}
		})
	}
	return len(b), nil
}

func (e *end) SetReadDeadline(t time.Time) error {
	e.until = t
	return nil
}

func (e *end) Close() error {
	e.once.Do(func() {
		close(e.closed)
		e.wire.mu.Lock()
		delete(e.wire.ends, e.at)
		e.wire.mu.Unlock()
	})
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// count is how many packets of an opcode were sent.
func (w *wire) count(op uint16) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.carried[op]
}
