package torrent_test

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"aula/imagestore/torrent/metainfo"
	"aula/imagestore/torrent/wire"
)

// A villain is a peer whose every message is made by hand.
type villain struct {
	tb   testing.TB
	meta *metainfo.Torrent
	id   wire.PeerID
	conn net.Conn
	in   *wire.Reader
}

// villain connects to a computer and shakes hands; speaks BEP 6 and 10 if asked.
func (c *classroom) villain(to netip.AddrPort, fast bool) *villain {
	c.tb.Helper()
	v, err := c.connect(to, c.address(), wire.NewPeerID(), fast)
	if err != nil {
		c.tb.Fatal(err)
	}
	return v
}

// connect connects to a computer and shakes hands.
func (c *classroom) connect(to netip.AddrPort, from netip.Addr, id wire.PeerID, fast bool) (*villain, error) {
	v := &villain{tb: c.tb, meta: c.meta, id: id}
	var err error
	dialer := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: from.AsSlice()}}
	// The task may not have begun yet: then the computer closes the connection.
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if v.conn, err = dialer.DialContext(c.ctx, "tcp", to.String()); err != nil {
			return nil, err
		}
		if err = v.shake(fast); err == nil {
			break
		}
		_ = v.conn.Close()
		if time.Now().After(end) {
			return nil, err
		}
	}
	c.tb.Cleanup(func() { _ = v.conn.Close() })
	v.in = wire.NewReader(v.conn, v.meta.Count(), 1<<20)
	return v, nil
}

func (v *villain) shake(fast bool) error {
	if err := v.conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := v.conn.Write(wire.Handshake{Hash: v.meta.Hash, Peer: v.id, Fast: fast, Extended: fast}.Append(nil)); err != nil {
		return err
	}
	_, err := wire.ReadHandshake(v.conn)
	return err
}

// say says messages; that the connection has ended meanwhile shows when it is read.
func (v *villain) say(all ...wire.Message) {
	var b []byte
	for _, m := range all {
		b = m.Append(b)
	}
	_, _ = v.conn.Write(b)
}

// claimAll says that it has every piece, and gives them.
func (v *villain) claimAll() {
	bits := make([]byte, (v.meta.Count()+7)/8)
	for i := range v.meta.Count() {
		bits[i/8] |= 0x80 >> (i % 8)
	}
	v.say(wire.Message{Kind: wire.Bitfield, Bits: bits}, wire.Message{Kind: wire.Unchoke})
}

// give sends a block.
func (v *villain) give(m wire.Message, b []byte) {
	_, _ = v.conn.Write(append(wire.Message{Kind: wire.Block, Piece: m.Piece, Begin: m.Begin, Length: uint32(len(b))}.Append(nil), b...))
}

// serve answers requests with what the function makes of them, nil for no answer, until the other side ends the connection. It returns how many came.
func (v *villain) serve(answer func(m wire.Message) []byte) int {
	asked := 0
	for {
		m, err := v.in.Next()
		if err != nil {
			return asked
		}
		if m.Kind != wire.Request {
			continue
		}
		asked++
		if b := answer(m); b != nil {
			v.give(m, b)
		}
	}
}

// right are the bytes that a request asks for.
func (c *classroom) right(m wire.Message) []byte {
	at := c.meta.Offset(int(m.Piece)) + int64(m.Begin)
	return c.b[at : at+int64(m.Length)]
}

// ended tells whether the other side ends the connection; what it says until then is passed over.
func (v *villain) ended() bool {
	for {
		if _, err := v.in.Next(); err != nil {
			netErr, ok := err.(net.Error)
			return !ok || !netErr.Timeout()
		}
	}
}

// dialPlain connects, and says nothing.
func dialPlain(to netip.AddrPort) (net.Conn, error) {
	return net.DialTimeout("tcp", to.String(), patience)
}
