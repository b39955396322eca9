package torrent

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"aula/imagestore/torrent/wire"
)

const (
	largestRequest = 256 << 10 // bytes that Aulas ask each other for at once
	leastRequest   = 64 << 10  // bytes that Aulas ask each other for, however slow they are
	foreignBlock   = 16 << 10  // bytes that other clients may be asked for at once; many close on those who ask for more
	largestAsked   = 1 << 20   // bytes of a request that is answered
	mostRequests   = 2048      // that are kept waiting of one peer
	foreignQueue   = 250       // requests that a client keeps waiting which does not say

	keepAlive   = 60 * time.Second
	silence     = 150 * time.Second // after which a peer that says nothing is gone
	blockTime   = 60 * time.Second  // for one block to be taken
	unsentBytes = 128 << 10         // that the kernel may hold unsent: what is said overtakes no more
)

// dontHaveNumber is what peers are asked to call lt_donthave (BEP 54).
const dontHaveNumber = 1

// A peer is one connection of a swarm. Its fields are guarded by the swarm's mutex, but for those that never change.
type peer struct {
	swarm    *swarm
	conn     net.Conn
	address  netip.AddrPort // of the connection
	id       wire.PeerID
	fast     bool // speaks BEP 6, as we do
	extended bool // speaks BEP 10
	dialled  bool // we did
	since    time.Time
	wake     chan struct{} // holds one when there is something to be written

	says   wire.Extensions
	listen netip.AddrPort // where it takes connections, once known
	has    bitset
	closed bool

	// What we want of it.
	interested bool // as it was told
	choked     bool // it does not answer us
	requests   []request
	asking     int64     // bytes of them
	slow       bool      // it stood still, and has not answered soon since
	heard      time.Time // when a block came last, or the first request was sent

	// What it wants of us.
	wants   bool // is interested in us
	choking bool // as it was told
	serves  []wire.Message
	told    bitset // pieces that it was told we have

	control []byte // what is to be written before the next block

	down, up meter

	// Of an origin only.
	gifts int       // pieces that it was given and does not have yet
	took  time.Time // when it was sent a block last
	grew  time.Time // when it had one more piece last
}

// A request is one that a peer was sent.
type request struct {
	span
	sent time.Time
}

// asked tells whether the peer has been asked for that unit.
func (p *peer) asked(b *piece, unit int) bool {
	for _, r := range p.requests {
		if r.piece == b && r.first <= unit && unit < r.first+r.count {
			return true
		}
	}
	return false
}

// patience is how long to wait for what the peer was asked for.
func (p *peer) patience() time.Duration {
	if p.slow {
		return slowTime
	}
	return stalledTime
}

// say queues a message. A peer that asks and does not listen is left.
func (p *peer) say(m wire.Message) {
	if len(p.control) > 64<<10+16*p.has.size {
		p.swarm.close(p)
		return
	}
	p.control = m.Append(p.control)
	p.stir()
}

func (p *peer) stir() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// tune prepares the connection.
func tune(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return
	}
	// All of them make it better only; a kernel that has one of them not is as before.
	_ = raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentBytes)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(blockTime/time.Millisecond))
	})
}

// read obeys what the peer says until the connection ends.
func (p *peer) read() error {
	in := newInbound(p.conn)
	r := wire.NewReader(in, p.swarm.meta.Count(), largestAsked)
	for {
		if err := p.conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return err
		}
		m, err := r.Next()
		if err != nil {
			return err
		}
		if m.Kind == wire.Block {
			err = p.readBlock(in, r, m)
		} else {
			err = p.obey(m)
		}
		if err != nil {
			return err
		}
	}
}

// readBlock takes a block to its place, or passes it over if nobody wants it any more.
func (p *peer) readBlock(in *inbound, r *wire.Reader, m wire.Message) error {
	c, wanted := p.swarm.expect(p, m)
	if !wanted {
		return nil
	}
	in.expect(len(c.buf) - r.Buffered())
	err := r.ReadFull(c.buf)
	p.swarm.arrived(p, c, err)
	return err
}

var errRude = errors.New("the peer broke the protocol")

// obey does what any other message says.
func (p *peer) obey(m wire.Message) error {
	s := p.swarm
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.closed {
		return net.ErrClosed
	}
	switch m.Kind {
	case wire.Choke:
		p.choked = true
		if !p.fast { // BEP 6: else each request is rejected by name
			s.releaseAll(p)
		}
	case wire.Unchoke:
		p.choked = false
		s.fill(p)
	case wire.Interested:
		p.wants = true
	case wire.NotInterested:
		p.wants = false
	case wire.Have:
		s.gained(p, int(m.Piece))
	case wire.Bitfield, wire.HaveAll:
		s.gainedMany(p, m)
	case wire.Request:
		return s.requested(p, m)
	case wire.Cancel:
		s.cancelled(p, m)
	case wire.Reject:
		s.rejected(p, m)
	case wire.Extended:
		return s.extended(p, m)
	}
	return nil
}

// write says what is queued and sends blocks until the context ends.
func (p *peer) write(ctx context.Context) error {
	idle := time.NewTimer(keepAlive)
	defer idle.Stop()
	var control []byte
	for {
		block, asked := p.swarm.next(p)
		control = p.swarm.unsaid(p, control[:0])
		if len(control) == 0 && !asked {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-p.wake:
				continue
			case <-idle.C:
				control = wire.Message{Kind: wire.KeepAlive}.Append(control)
			}
		}
		idle.Reset(keepAlive)
		if err := p.put(control); err != nil {
			return err
		}
		if !asked {
			continue
		}
		if err := p.swarm.client.upload.wait(ctx, p.swarm, int(block.Length), p.wake, p.flush); err != nil {
			return err
		}
		if err := p.send(block, control[:0]); err != nil {
			return err
		}
	}
}

// flush says what is queued, while a block waits for the uplink.
func (p *peer) flush() error { return p.put(p.swarm.unsaid(p, nil)) }

// put writes messages.
func (p *peer) put(control []byte) error {
	if len(control) == 0 {
		return nil
	}
	if err := p.conn.SetWriteDeadline(time.Now().Add(blockTime)); err != nil {
		return err
	}
	_, err := p.conn.Write(control)
	return err
}

// send sends a block, by the kernel alone where it can.
func (p *peer) send(m wire.Message, buf []byte) error {
	offset, length := p.swarm.meta.Offset(int(m.Piece))+int64(m.Begin), int64(m.Length)
	file := p.file()
	buf = wire.Message{Kind: wire.Block, Piece: m.Piece, Begin: m.Begin, Length: m.Length}.Append(buf)
	if file == nil {
		head := len(buf)
		buf = slices.Grow(buf, int(length))[:head+int(length)]
		if n, err := p.swarm.storage.ReadAt(buf[head:], offset); n < int(length) {
			return p.swarm.unreadable(p, m, err)
		}
	}
	if err := p.put(buf); err != nil {
		return err
	}
	if file != nil {
		if err := sendfile(p.conn.(*net.TCPConn), file, offset, length); err != nil {
			return err
		}
	}
	p.swarm.sent(p, length)
	return nil
}

// file is what blocks are sent from without being read; nil if they must be read.
func (p *peer) file() *os.File {
	filed, ok := p.swarm.storage.(Filed)
	if _, plain := p.conn.(*net.TCPConn); !ok || !plain {
		return nil
	}
	return filed.File()
}
