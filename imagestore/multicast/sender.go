package multicast

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"aula/imagestore/multicast/link"
	"aula/imagestore/multicast/rate"
)

// A SenderConfig says what to send and how.
type SenderConfig struct {
	Session Session
	Key     Key
	Source  Source
	// Interface is the NIC to send on; empty: the only one that is up and has an IPv4 address.
	Interface string
	// TTL is how many routers the datagrams pass, less one: 1 when 0, for the network of the interface only.
	TTL int
	// Linger is for how long the sender waits for receivers that fell silent, when the others are complete.
	Linger time.Duration
	// NoOffload sends and receives without the kernel's segmentation offloads.
	NoOffload bool
	Log       *slog.Logger // nil for nobody
}

// A Sender sends one Source to the receivers of one session.
type Sender struct {
	cfg     SenderConfig
	conn    conn
	group   netip.AddrPort
	log     *slog.Logger
	id      uint32
	salt    [saltSize]byte
	seals   seals
	blocks  *blockCache
	pacer   *rate.Pacer
	wake    chan struct{}
	packets []byte // that are sent together
	scratch []byte // repair symbols
	nonce   nonce

	mu       sync.Mutex
	plan     schedule
	commands uint32 // that were sent
	broken   error  // why no reports can be received
	governor *rate.Governor
	replies  []reply
	derived  budget
	wire     int64 // bytes
	actual   meter // bit/s
	looked   time.Time
	wireWas  int64
	ended    time.Time
}

// A reply is a command for one receiver.
type reply struct {
	to    netip.AddrPort
	known bool // it is complete, and the sender knows
}

// most is how many datagrams are sent at once: as many as one call with segmentation offload takes.
const most = 65507 / packetLimit

// lastSequence is far enough from the end of the sequences for whatever a session says last.
const lastSequence = 1<<32 - 1<<16

// NewSender opens the session's socket. It listens for a second whether somebody else sends on the session's port: that is an error.
func NewSender(ctx context.Context, cfg SenderConfig) (*Sender, error) {
	if err := cfg.Session.Validate(); err != nil {
		return nil, err
	}
	opt := link.Options{Interface: cfg.Interface, TTL: cfg.TTL, NoOffload: cfg.NoOffload}
	c, err := link.Listen(cfg.Session.Port+1, opt)
	if errors.Is(err, syscall.EADDRINUSE) {
		err = fmt.Errorf("%w: another sender on this machine has the session's port: give this session another even port, such as %d", err, cfg.Session.Port+2)
	}
	if err != nil {
		return nil, err
	}
	to := cfg.Session.Group
	if cfg.Session.Mode == Broadcast {
		to = broadcastOf(c.Prefix())
	}
	group := netip.AddrPortFrom(to, uint16(cfg.Session.Port))
	if err := unused(ctx, group, opt); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return newSender(cfg, c, group)
}

// unused listens whether somebody else sends to the group's port.
func unused(ctx context.Context, group netip.AddrPort, opt link.Options) error {
	c, err := link.Join(group, opt)
	if err != nil {
		return err
	}
	err = nobodySends(ctx, c, group)
	return errors.Join(err, c.Close())
}

func nobodySends(ctx context.Context, c conn, group netip.AddrPort) error {
	var other error
	heard := map[uint32]netip.AddrPort{} // sessions
	for until := time.Now().Add(4 * announceEvery); other == nil && time.Now().Before(until); {
		err := c.Read(announceEvery/5, func(b []byte, from netip.AddrPort) {
			if !sent(b) {
				return
			}
			// Once may be noise.
			if again := heard[sessionOf(b)] == from; again {
				other = fmt.Errorf("%s already sends to %s (session %08x): wait until it has ended, or give this session another even port, such as %d",
					from.Addr(), group, sessionOf(b), group.Port()+2)
			}
			if len(heard) < maxComputers {
				heard[sessionOf(b)] = from
			}
		})
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return other
}

// sent tells whether a datagram has the form of what a sender sends. Whether it is one only its key could tell.
func sent(b []byte) bool {
	switch k, err := kindOf(b); {
	case err != nil:
		return false
	case k == kindCommand:
		return len(b) >= headerSize+saltSize+tagSize && [7]byte(b[1:8]) == [7]byte{}
	default:
		_, err := symbolIDOf(b)
		return k == kindData && err == nil && len(b) == packetLimit
	}
}

func newSender(cfg SenderConfig, c conn, group netip.AddrPort) (*Sender, error) {
	if size := cfg.Source.Content().Size; blocks(max(size, 0)) >= maxBlocks {
		return nil, fmt.Errorf("%d bytes are too much for a session: %d TiB at most", size, maxBlocks*BlockSize>>40)
	}
	limit := cfg.Session.Rate
	if speed := c.Speed(); speed > 0 && (limit == 0 || speed < limit) {
		limit = speed
	}
	s := &Sender{
		cfg: cfg, conn: c, group: group, log: cfg.Log,
		blocks:   newBlockCache(cfg.Source),
		pacer:    rate.NewPacer(limit),
		governor: rate.NewGovernor(limit),
		wake:     make(chan struct{}, 1),
		packets:  make([]byte, 0, most*packetLimit),
		scratch:  make([]byte, most*symbolSize),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	var id [4]byte
	rand.Read(id[:])
	rand.Read(s.salt[:])
	s.id = binary.BigEndian.Uint32(id[:])
	var err error
	if s.seals, err = newSeals(cfg.Key, s.salt); err != nil {
		return nil, err
	}
	linger := cfg.Linger
	if linger == 0 {
		linger = defaultLinger
	}
	half := cfg.Session.Mode == HalfDuplex
	s.plan = schedule{
		audience:  audience{half: half},
		phase:     Waiting,
		computers: cfg.Session.Computers, patience: cfg.Session.Wait, linger: linger,
		question: question{half: half, casual: true},
	}
	s.plan.sources = func(block int64) int {
		n, _ := sourcesOf(s.plan.size, block)
		return n
	}
	s.look()
	return s, nil
}

// defaultLinger is how long a PC takes to come back that was reset.
const defaultLinger = 30 * time.Second

// look takes in how much of the source there is.
func (s *Sender) look() error {
	p := &s.plan
	stream, ok := s.cfg.Source.(*Stream)
	if ok {
		// Before the size: of the last block it has to be known that it is the last.
		read, err := stream.progress()
		if err != nil {
			return err
		}
		p.readable = read
		if p.phase != Waiting {
			p.gone = stream.release(p.pass.base)
		}
	}
	p.size, p.total = s.cfg.Source.Content().Size, maxBlocks
	if p.size != Unknown {
		p.total = blocks(p.size)
	}
	if !ok {
		p.readable = p.total
	}
	return nil
}

// Interface is the name of the NIC that it sends on.
func (s *Sender) Interface() string { return s.conn.Interface() }

// Start sends at once, to those who are there: start now.
func (s *Sender) Start() {
	s.mu.Lock()
	s.plan.startNow = true
	s.mu.Unlock()
	signal(s.wake)
}

// Run waits for receivers as the session says, and sends until each is complete or has been given up. It returns nil when all
// that came are complete, an *IncompleteError when some are not, and otherwise why it stopped.
func (s *Sender) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var owned sync.WaitGroup
	owned.Go(func() { s.listen(ctx) })
	if stream, ok := s.cfg.Source.(*Stream); ok {
		owned.Go(func() { stream.fill(ctx, func() { signal(s.wake) }) })
	}
	err := s.send(ctx)
	s.part(err)
	cancel()
	err = errors.Join(err, s.conn.Close())
	if stream, ok := s.cfg.Source.(*Stream); ok {
		stream.close()
	}
	owned.Wait()
	if err != nil {
		return err
	}
	return s.incomplete()
}

// send does what the schedule says until it has ended.
func (s *Sender) send(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		st, command, to, err := s.next(time.Now())
		if err == nil {
			switch st.do {
			case sendSymbols:
				err = s.sendSymbols(st)
			case sendCommand:
				err = s.sendCommand(command, to)
			case end:
				return nil
			case wait:
				timer.Reset(max(time.Until(st.until), 0))
				select {
				case <-ctx.Done():
				case <-s.wake:
				case <-timer.C:
				}
			}
		}
		if err == nil {
			err = context.Cause(ctx)
		}
		if err != nil {
			return err
		}
	}
}

// next decides what to send; a command comes with those who get it.
func (s *Sender) next(now time.Time) (st step, packet []byte, to []netip.AddrPort, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := cmp.Or(s.broken, s.look()); err != nil {
		return step{}, nil, nil, err
	}
	if s.plan.sequence > lastSequence || int64(s.commands) > lastSequence {
		return step{}, nil, nil, errors.New("a session cannot send more than 6 TB: start another, and the receivers go on with it")
	}
	s.govern(now)
	if n := len(s.replies); n > 0 {
		r := s.replies[n-1]
		s.replies = s.replies[:n-1]
		c := s.plan.describe()
		c.known = r.known
		return step{do: sendCommand}, s.sealCommand(&c), []netip.AddrPort{r.to}, nil
	}
	if d := s.pacer.Wait(now); d > 0 {
		return step{do: wait, until: now.Add(d)}, nil, nil, nil
	}
	st = s.plan.next(now, s.pacer.Batch(dataOnWire, most))
	if st.do == sendCommand {
		c := s.plan.describe()
		return st, s.sealCommand(&c), append(s.plan.audience.lonely(), s.group), nil
	}
	return st, nil, nil, nil
}

// govern adapts the rate to what the network takes, every now and then.
func (s *Sender) govern(now time.Time) {
	elapsed := now.Sub(s.looked)
	if elapsed < 200*time.Millisecond {
		return
	}
	sent := float64(s.wire-s.wireWas) * 8 / elapsed.Seconds()
	if !s.looked.IsZero() && s.plan.phase != Waiting {
		s.governor.Observe(now, int64(sent), s.plan.audience.losses())
		s.pacer.SetRate(s.governor.Rate())
	}
	s.looked, s.wireWas = now, s.wire
	s.actual.observe(now, s.wire*8)
}

// sealCommand makes the packet of a command.
func (s *Sender) sealCommand(c *command) []byte {
	s.commands++
	c.content = s.cfg.Source.Content()
	b := make([]byte, headerSize, packetLimit)
	putHeader(b, kindCommand, s.id, s.commands)
	b = append(b, s.salt[:]...)
	return seal(s.seals.sender, &s.nonce, b, len(b), c.append(nil))
}

func (s *Sender) sendCommand(b []byte, to []netip.AddrPort) error {
	for _, addr := range to {
		if err := s.write(b, len(b), addr); err != nil {
			return err
		}
	}
	return nil
}

// sendSymbols seals and sends symbols of a block.
func (s *Sender) sendSymbols(st step) error {
	symbols, sources, err := s.blocks.symbols(st.block, st.first, st.count, s.scratch)
	if err != nil {
		return err
	}
	b := s.packets[:0]
	for i := range st.count {
		packet := b[len(b) : len(b)+headerSize]
		clear(packet)
		putHeader(packet, kindData, s.id, uint32(st.sequence)+uint32(i))
		putSymbolID(packet, symbolID{block: uint32(st.block), symbol: uint16(st.first + i), sources: uint8(sources)})
		packet = seal(s.seals.sender, &s.nonce, packet, headerSize, symbols[i*symbolSize:(i+1)*symbolSize])
		b = b[:len(b)+len(packet)]
	}
	to := st.to
	if !to.IsValid() {
		to = s.group
	}
	s.pacer.Sent(time.Now(), st.count*dataOnWire)
	return s.write(b, packetLimit, to)
}

// write sends packets. What cannot be sent to one receiver is lost to it, as on the wire.
func (s *Sender) write(b []byte, size int, to netip.AddrPort) error {
	err := s.conn.Write(b, size, to)
	switch {
	case err != nil && to == s.group:
		return fmt.Errorf("send to %s: %w", to, err)
	case err != nil:
		s.log.Warn("cannot send", "to", to, "error", err)
		return nil
	}
	s.mu.Lock()
	s.wire += int64(len(b) + (len(b)+size-1)/size*wireOverhead)
	s.mu.Unlock()
	return nil
}

// Receivers are told several times, over so long, that the session has ended: it is the last they hear.
const (
	farewells     = 5
	farewellEvery = 20 * time.Millisecond
)

// part tells the receivers that, and why, the session has ended.
func (s *Sender) part(err error) {
	s.mu.Lock()
	s.ended = time.Now()
	switch {
	case errors.Is(err, context.Canceled):
		s.plan.finish("it was stopped")
	case err != nil:
		s.plan.finish(err.Error())
	}
	s.mu.Unlock()
	for range farewells {
		s.farewell()
		time.Sleep(farewellEvery)
	}
}

func (s *Sender) farewell() {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.plan.describe()
	b := s.sealCommand(&c)
	for _, to := range append(s.plan.audience.lonely(), s.group) {
		if err := s.conn.Write(b, len(b), to); err != nil {
			s.log.Debug("cannot tell the receivers that the session has ended", "error", err)
		}
	}
}

// listen takes in what receivers say.
func (s *Sender) listen(ctx context.Context) {
	var n nonce
	for ctx.Err() == nil {
		err := s.conn.Read(100*time.Millisecond, func(b []byte, from netip.AddrPort) {
			switch k, err := kindOf(b); {
			case err != nil || from.Port() == 0: // there is no answering port 0
			case k == kindReport:
				s.takeReport(b, from, &n)
			case k == kindQuery:
				s.takeQuery(b, from, &n)
			}
		})
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			s.mu.Lock()
			s.broken = fmt.Errorf("receive reports: %w", err)
			s.mu.Unlock()
			signal(s.wake)
			return
		}
		signal(s.wake)
	}
}

func (s *Sender) takeReport(b []byte, from netip.AddrPort, n *nonce) {
	if sessionOf(b) != s.id {
		return
	}
	plain, err := open(s.seals.receiver, n, nil, b, headerSize)
	if err != nil {
		return
	}
	r, err := decodeReport(plain)
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.plan.report(time.Now(), receiverOf(b), sequenceOf(b), from, r) && (r.complete || r.failed) {
		s.reply(reply{to: from, known: true})
	}
}

// reply has a receiver sent a command of its own, unless too many wait for theirs: they ask again.
func (s *Sender) reply(r reply) {
	if len(s.replies) < maxComputers {
		s.replies = append(s.replies, r)
	}
}

// takeQuery answers a receiver that hears no session.
func (s *Sender) takeQuery(b []byte, from netip.AddrPort, n *nonce) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(b) < headerSize+saltSize+tagSize || !s.derived.take(time.Now()) {
		return
	}
	keys, err := newSeals(s.cfg.Key, [saltSize]byte(b[headerSize:]))
	if err != nil {
		return
	}
	if _, err := open(keys.receiver, n, nil, b, headerSize+saltSize); err == nil {
		if l := s.plan.audience.all[receiverOf(b)]; l != nil {
			l.asked = time.Now()
		}
		s.reply(reply{to: from})
	}
}
