// Package wake switches PCs on over the network: it sends magic packets (AMD's white paper 20213), a few PCs a second, so that a room's
// breakers and the DHCP server live through it, and each several times, because switches forget ports and packets get lost.
//
// It does not know whether a PC came: DHCP shows that.
package wake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// spacing is the time between two PCs: ten a second. A PC takes several times its usual current while it switches on.
	spacing = 100 * time.Millisecond
	// gap is the least time between packets of any two PCs, whatever was held up.
	gap = 20 * time.Millisecond
	// capacity bounds the PCs that are queued: they take seven minutes to switch on.
	capacity = 4096
)

// repeats are when a PC is sent its packets, from its turn on. A card that loses its link for a moment while its PC goes to sleep, or a switch port that comes
// up in another speed, hears none for some seconds. The repeats of some PCs fall between the turns of others.
var repeats = []time.Duration{0, 2525 * time.Millisecond, 5550 * time.Millisecond, 9975 * time.Millisecond}

// A Config says on which network.
type Config struct {
	NIC     *net.Interface
	Network netip.Prefix // of the appliance on it
	Log     *slog.Logger
}

// A Waker sends magic packets on one network. Its methods are safe for concurrent use.
type Waker struct {
	cfg  Config
	send func(mac net.HardwareAddr) error
	news chan struct{} // holds one: there is something new in the queue

	mu     sync.Mutex
	queue  []*pc          // by turn
	of     map[string]*pc // those of the queue, by each of their MACs
	turn   time.Time      // of the last PC
	broken bool           // the last packets could not be sent
}

// A pc is to be switched on.
type pc struct {
	macs []net.HardwareAddr
	turn time.Time
	sent int // how many of the repeats
}

func (p *pc) due() time.Time { return p.turn.Add(repeats[p.sent]) }

// New makes a Waker. It fails when packets cannot be sent on the NIC.
func New(cfg Config) (*Waker, error) {
	wire := wire{nic: cfg.NIC, network: cfg.Network}
	if err := wire.check(); err != nil {
		return nil, fmt.Errorf("wake on LAN on %s: %w", cfg.NIC.Name, err)
	}
	return newWaker(cfg, wire.send), nil
}

func newWaker(cfg Config, send func(net.HardwareAddr) error) *Waker {
	return &Waker{cfg: cfg, send: send, news: make(chan struct{}, 1), of: make(map[string]*pc)}
}

// Wake queues a PC, by the addresses of its cards, and returns at once. A PC that is queued already is not queued again. The error says that the PC
// has no card that can be woken.
func (w *Waker) Wake(macs []string) error {
	var cards []net.HardwareAddr
	for _, text := range macs {
		mac, err := net.ParseMAC(text)
		if err != nil || len(mac) != macSize {
			return fmt.Errorf("wake on LAN: %q is not the address of a network card", text)
		}
		cards = append(cards, mac)
	}
	if len(cards) == 0 {
		return errors.New("wake on LAN: the PC has no network card that is known")
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.queued(cards)
	if p == nil {
		if len(w.queue) >= capacity {
			return fmt.Errorf("wake on LAN: %d PCs are being switched on already: try again when they are", len(w.queue))
		}
		p = &pc{turn: latest(time.Now(), w.turn.Add(spacing))}
		w.turn, w.queue = p.turn, append(w.queue, p)
	}
	for _, mac := range cards {
		if w.of[mac.String()] == nil {
			p.macs, w.of[mac.String()] = append(p.macs, mac), p
		}
	}
	select {
	case w.news <- struct{}{}:
	default: // Run has not looked yet
	}
	return nil
}

// queued is the PC of the queue that has one of the cards, or nil.
func (w *Waker) queued(cards []net.HardwareAddr) *pc {
	for _, mac := range cards {
		if p := w.of[mac.String()]; p != nil {
			return p
		}
	}
	return nil
}

func latest(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// Arrived says that a PC was heard of, and so is on: it is sent no more packets.
func (w *Waker) Arrived(mac string) {
	hw, err := net.ParseMAC(mac)
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if p := w.of[hw.String()]; p != nil {
		w.remove(p)
	}
}

func (w *Waker) remove(p *pc) {
	w.queue = slices.DeleteFunc(w.queue, func(q *pc) bool { return q == p })
	for _, mac := range p.macs {
		delete(w.of, mac.String())
	}
}

// Run sends until ctx ends.
func (w *Waker) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		macs, wait := w.next(time.Now())
		for _, mac := range macs {
			w.tell(mac, w.send(mac))
		}
		news := w.news
		if macs != nil {
			wait, news = gap, nil
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-news:
		case <-ctx.Done():
			return nil
		}
	}
}

// next is whom to send packets now: the PC that has been due for longest; or, when that is nobody, how long nobody is.
func (w *Waker) next(now time.Time) (macs []net.HardwareAddr, wait time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var first *pc
	for _, p := range w.queue {
		if first == nil || p.due().Before(first.due()) {
			first = p
		}
	}
	switch {
	case first == nil:
		return nil, time.Hour
	case first.due().After(now):
		return nil, first.due().Sub(now)
	}
	macs = slices.Clone(first.macs)
	if first.sent++; first.sent == len(repeats) {
		w.remove(first)
	}
	return macs, 0
}

// tell logs what became of a packet, and once that none can be sent.
func (w *Waker) tell(mac net.HardwareAddr, err error) {
	w.mu.Lock()
	was := w.broken
	w.broken = err != nil
	w.mu.Unlock()
	switch log := w.cfg.Log.With("mac", mac.String(), "interface", w.cfg.NIC.Name); {
	case err == nil:
		log.Debug("magic packet sent")
	case !was:
		log.Warn("PCs cannot be switched on over the network", "error", err)
	}
}
