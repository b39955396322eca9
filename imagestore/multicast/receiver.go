package multicast

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"aula/imagestore/multicast/fec"
	"aula/imagestore/multicast/link"
)

// A ReceiverConfig says where to listen and what to do with what comes.
type ReceiverConfig struct {
	Port  int        // the session's, even
	Group netip.Addr // the session's
	Key   Key
	Sink  Sink
	// Name is told to the sender's operator; the host's name when empty.
	Name string
	// Interface is the NIC to listen on; empty: every one that is up.
	Interface string
	// Server is the sender's address, if known: with it a receiver that the group does not reach is served all the same.
	Server netip.Addr
	// StartTimeout is for how long to wait for the sender, and for its first block; 0 for ever.
	StartTimeout time.Duration
	// ReceiveTimeout is for how long to wait when the sender has fallen silent; 0 for ever.
	ReceiveTimeout time.Duration
	// Memory bounds the bytes of incomplete and unwritten blocks; 96 MiB when 0.
	Memory    int64
	NoOffload bool
	Log       *slog.Logger // nil for nobody
}

const (
	defaultMemory = 96 << 20
	minBlocks     = 16 // in memory: with fewer a receiver would hold the others up

	copies        = 16                     // by how many commands one may be overtaken
	unaskedAfter  = 2 * time.Second        // a receiver that is to speak only when asked speaks up
	lookEvery     = 250 * time.Millisecond // whether there is nothing more to be had
	queryEvery    = 500 * time.Millisecond
	answerAgain   = 100 * time.Millisecond // a complete receiver, until the sender knows
	introductions = 4                      // reports that tell the name; later ones do so now and then
	knownWithin   = 2 * time.Second
	// diedAfter is for how long a sender has to be silent before another session of the same content takes its place.
	diedAfter = 1500 * time.Millisecond
)

// A conn carries datagrams; a *link.Conn does.
type conn interface {
	Write(b []byte, size int, to netip.AddrPort) error
	Read(wait time.Duration, take func(b []byte, from netip.AddrPort)) error
	Close() error
	Interface() string
	Prefix() netip.Prefix
	Speed() int64
}

// A Receiver receives one content.
type Receiver struct {
	cfg        ReceiverConfig
	group, own conn
	queryTo    []netip.AddrPort
	id         receiverID
	log        *slog.Logger

	completed chan *assembly
	poke      chan struct{} // the writer has something to look at
	wake      chan struct{} // the reporter does

	mu         sync.Mutex
	session    session
	begun      bool
	known      bool // the sender knows that all is complete
	complete   bool
	failure    error
	answered   uint16 // the last question
	greeted    bool   // the sender of this session has had, or will soon have, a report
	counter    uint32 // of reports
	introduced int    // reports with the name
	reported   uint32 // symbols that had come when it last reported
	refused    int64
	foreign    int // commands of sessions with another key
	rec        reception
	began      time.Time // of the first symbol
	ended      time.Time // when all was complete
	rate       meter
	nonce      nonce
	scratch    [symbolSize]byte
	derived    budget
}

// A session is one of a sender, as a receiver knows it.
type session struct {
	id    uint32
	seals seals
	from  netip.AddrPort
}

// NewReceiver opens the sockets.
func NewReceiver(cfg ReceiverConfig) (*Receiver, error) {
	if !cfg.Group.Is4() {
		return nil, fmt.Errorf("group %s is not an IPv4 address: give one such as 239.194.17.36", cfg.Group)
	}
	opt := link.Options{Interface: cfg.Interface, NoOffload: cfg.NoOffload}
	group, err := link.Join(netip.AddrPortFrom(cfg.Group, uint16(cfg.Port)), opt)
	if err != nil {
		return nil, err
	}
	opt.Unbound = true
	own, err := link.Listen(0, opt)
	if err != nil {
		return nil, errors.Join(err, group.Close())
	}
	servers, err := servers(cfg)
	if err != nil {
		return nil, errors.Join(err, group.Close(), own.Close())
	}
	return newReceiver(cfg, group, own, servers)
}

// servers are the addresses at which to ask for the sender: its own, or every network's broadcast address.
func servers(cfg ReceiverConfig) ([]netip.AddrPort, error) {
	port := uint16(cfg.Port + 1)
	if cfg.Server.IsValid() {
		return []netip.AddrPort{netip.AddrPortFrom(cfg.Server, port)}, nil
	}
	networks, err := link.Networks(cfg.Interface)
	if err != nil {
		return nil, err
	}
	var to []netip.AddrPort
	for _, n := range networks {
		to = append(to, netip.AddrPortFrom(broadcastOf(n), port))
	}
	return to, nil
}

func broadcastOf(network netip.Prefix) netip.Addr {
	b := network.Masked().Addr().As4()
	for i := network.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

func newReceiver(cfg ReceiverConfig, group, own conn, queryTo []netip.AddrPort) (*Receiver, error) {
	if cfg.Name == "" {
		cfg.Name, _ = os.Hostname()
	}
	if cfg.Memory == 0 {
		cfg.Memory = defaultMemory
	}
	limit := int(cfg.Memory / blockBuffer)
	if limit < minBlocks {
		return nil, fmt.Errorf("memory of %d bytes is too little to receive with: give at least %d MiB", cfg.Memory, minBlocks*blockBuffer>>20+1)
	}
	r := &Receiver{
		cfg: cfg, group: group, own: own, queryTo: queryTo,
		log:       cfg.Log,
		completed: make(chan *assembly, limit),
		poke:      make(chan struct{}, 1),
		wake:      make(chan struct{}, 1),
		rec:       reception{limit: limit, total: maxBlocks},
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	rand.Read(r.id[:])
	return r, nil
}

// Run receives until the content is complete, and answers why when it is not. What has been written stays: a later session of the same
// content goes on with it. Errors: ErrNoSender, ErrSilence, ErrGone, and what the Sink answered.
func (r *Receiver) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var owned sync.WaitGroup
	owned.Go(func() { r.listen(ctx, r.group, true) })
	owned.Go(func() { r.listen(ctx, r.own, false) })
	owned.Go(func() { r.write(ctx) })
	err := r.converse(ctx)
	cancel()
	err = errors.Join(err, r.group.Close(), r.own.Close())
	owned.Wait()
	return err
}

// listen takes in what comes to a socket.
func (r *Receiver) listen(ctx context.Context, c conn, group bool) {
	for ctx.Err() == nil {
		err := c.Read(100*time.Millisecond, func(b []byte, from netip.AddrPort) { r.take(b, from, group) })
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			r.fail(fmt.Errorf("receive: %w", err))
			return
		}
	}
}

// fail ends the reception.
func (r *Receiver) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failLocked(err)
}

func (r *Receiver) failLocked(err error) {
	if r.failure == nil && !r.complete {
		r.failure = err
	}
	signal(r.wake)
}

// signal wakes whoever waits on c.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take takes in one datagram.
func (r *Receiver) take(b []byte, from netip.AddrPort, group bool) {
	k, err := kindOf(b)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil && k == kindData && r.takeSymbol(b, group):
	case err == nil && k == kindCommand && r.takeCommand(b, from, group):
	default:
		r.refused++
	}
}

// takeSymbol puts a symbol into its block.
func (r *Receiver) takeSymbol(b []byte, group bool) bool {
	id, err := symbolIDOf(b)
	if err != nil || !r.begun || sessionOf(b) != r.session.id || len(b) != packetLimit {
		return false
	}
	a := r.rec.assembly(id)
	dst := r.scratch[:0]
	if a != nil {
		dst = a.place(int(id.symbol))
	}
	if _, err := open(r.session.seals.sender, &r.nonce, dst, b, headerSize); err != nil {
		r.rec.giveBack(a)
		return false
	}
	now := time.Now()
	r.rec.hear(now, sequenceOf(b), group)
	r.rec.symbols++
	if a == nil {
		r.rec.useless++
		return true
	}
	if r.began.IsZero() {
		r.began = now
	}
	if whole := r.rec.put(a, int(id.symbol)); whole != nil {
		r.completed <- whole // there is room for all
	}
	if r.overdue() {
		signal(r.wake)
	}
	return true
}

// overdue tells whether so much has come since the last report that the sender may soon wait for the next one.
func (r *Receiver) overdue() bool {
	return r.begun && !r.rec.command.half && r.rec.received-r.reported >= window/4
}

// takeCommand takes in what the sender tells everybody.
func (r *Receiver) takeCommand(b []byte, from netip.AddrPort, group bool) bool {
	if len(b) < headerSize+saltSize+tagSize {
		return false
	}
	now := time.Now()
	s := r.session
	if same := r.begun && sessionOf(b) == s.id; !same {
		if r.begun && now.Sub(r.rec.lastAt) < diedAfter || !r.derived.take(now) {
			return false // two senders: the one that was here first is right
		}
		keys, err := newSeals(r.cfg.Key, [saltSize]byte(b[headerSize:]))
		if err != nil {
			return false
		}
		s = session{id: sessionOf(b), seals: keys}
	}
	plain, err := open(s.seals.sender, &r.nonce, nil, b, headerSize+saltSize)
	if err != nil {
		r.foreign++
		return false
	}
	c, err := decodeCommand(plain)
	if err != nil {
		return false
	}
	if !r.begun || s.id != r.session.id {
		if !r.adopt(c) {
			if r.failure != nil && !r.begun { // to tell the sender why
				s.from = from
				r.session = s
			}
			return true
		}
		r.log.Info("session", "sender", from, "content", c.content.Name, "session", s.id)
	} else if number := sequenceOf(b); number <= r.rec.commands {
		if number+copies > r.rec.commands { // a copy, by unicast or by another network card, or overtaken by a later one
			r.rec.heard(now, 0, group)
			r.acknowledge(&c)
		}
		return true
	}
	s.from = from
	r.session = s
	r.rec.heard(now, c.sent, group)
	r.rec.commands = sequenceOf(b)
	r.obey(c)
	return true
}

// adopt takes a session up: the first, or one that goes on with the same content.
func (r *Receiver) adopt(c command) bool {
	switch {
	case c.phase == Ended:
		return false
	case !r.begun:
		have, err := r.cfg.Sink.Begin(c.content)
		if err != nil {
			r.failLocked(err)
			return false
		}
		r.rec.begin(c.content, have)
		r.begun = true
	case c.content.ID != r.rec.content.ID:
		r.failLocked(fmt.Errorf("the sender of %s is gone, and another one sends %s on the same port: receive that with a receiver of its own", r.rec.content, c.content))
		return false
	default:
		r.rec.another()
	}
	r.answered, r.greeted, r.reported = c.poll-1, false, 0
	signal(r.poke)
	signal(r.wake)
	return true
}

// obey does what a command of the session says.
func (r *Receiver) obey(c command) {
	if c.content.Size != r.rec.content.Size && r.rec.content.Size == Unknown {
		r.rec.learn(c.content)
		if a := r.rec.release(); a != nil {
			r.completed <- a
		}
		signal(r.poke)
	}
	if c.pass != r.rec.command.pass {
		r.rec.newest = -1
	}
	r.rec.command = c
	r.acknowledge(&c)
	if block, lost := r.rec.lostBlock(); lost {
		r.failLocked(fmt.Errorf("block %d of %s was not kept by the sender: %w: start again, or get the image by unicast", block, r.rec.content, ErrGone))
	}
	if c.phase == Ended && !r.complete && r.rec.written+int64(r.rec.queued) < r.rec.total {
		why := c.reason
		if why == "" {
			why = "it gave this receiver up"
		}
		r.failLocked(fmt.Errorf("the sender of %s has ended: %s", r.rec.content, why))
	}
	if c.half && c.poll != r.answered {
		signal(r.wake)
	}
}

// acknowledge notes that the sender knows that all is complete here.
func (r *Receiver) acknowledge(c *command) {
	if r.complete && (c.known || c.phase == Ended) {
		r.known = true
		signal(r.wake)
	}
}

// write gives complete blocks to the sink.
func (r *Receiver) write(ctx context.Context) {
	codes := map[int]*fec.Code{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.poke:
		case a := <-r.completed:
			if codes[a.sources] == nil {
				codes[a.sources] = fec.New(a.sources, symbolSize)
			}
			if !r.writeBlock(a, codes[a.sources]) {
				return
			}
		}
		r.mu.Lock()
		full, content := r.begun && r.rec.full(), r.rec.content
		r.mu.Unlock()
		if full {
			r.finish(content)
			return
		}
	}
}

func (r *Receiver) writeBlock(a *assembly, code *fec.Code) bool {
	if err := a.complete(code); err != nil {
		r.log.Error("block", "error", err)
		r.mu.Lock()
		r.rec.spoiled(a)
		r.mu.Unlock()
		return true
	}
	r.mu.Lock()
	size := r.rec.content.Size
	r.mu.Unlock()
	_, length := sourcesOf(size, a.block)
	if err := r.cfg.Sink.WriteBlock(a.block*BlockSize, a.data[:length]); err != nil {
		r.fail(err)
		return false
	}
	r.mu.Lock()
	r.rec.wrote(a)
	r.mu.Unlock()
	return true
}

// finish lets the sink complete the content.
func (r *Receiver) finish(c Content) {
	err := r.cfg.Sink.Finish(c)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.failLocked(err)
		return
	}
	r.complete, r.ended = r.failure == nil, time.Now()
	signal(r.wake)
}

// A meter measures a rate over the last second or so.
type meter struct {
	at    time.Time
	was   int64
	value float64 // per second
}

func (m *meter) observe(now time.Time, is int64) {
	elapsed := now.Sub(m.at).Seconds()
	if elapsed < 0.5 {
		return
	}
	if !m.at.IsZero() {
		m.value += (float64(is-m.was)/elapsed - m.value) / 2
	}
	m.at, m.was = now, is
}

// A budget bounds work that strangers can cause: so many times a second.
type budget struct {
	second time.Time
	taken  int
}

const budgetLimit = 5000 // some microseconds each

func (b *budget) take(now time.Time) bool {
	if now.Sub(b.second) >= time.Second {
		b.second, b.taken = now, 0
	}
	b.taken++
	return b.taken <= budgetLimit
}

// Errors of receivers and sources.
var (
	// ErrNoSender is answered when no sender was heard, or none began, for the StartTimeout.
	ErrNoSender = errors.New("no sender")
	// ErrSilence is answered when the sender was not heard for the ReceiveTimeout.
	ErrSilence = errors.New("the sender fell silent")
	// ErrGone is answered when what is missing was a stream's and is no longer to be had.
	ErrGone = errors.New("the stream has passed")
)
