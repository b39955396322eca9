package tracker

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// The numbers of BEP 15.
const (
	protocolID = 0x41727101980

	actionConnect  = 0
	actionAnnounce = 1
	actionScrape   = 2
	actionError    = 3

	requestHead  = 16 // bytes: connection id, action, transaction id
	announceSize = 98 // bytes; what follows are options (BEP 41), which say nothing that is needed
	maxPacket    = 2048
)

// udpEvents are the events by their number.
var udpEvents = [...]Event{None, Completed, Started, Stopped}

// serveUDP answers until the context ends. It never waits but for the next packet.
func (s *Server) serveUDP(ctx context.Context, pc net.PacketConn) error {
	defer context.AfterFunc(ctx, func() { pc.Close() })()
	defer pc.Close()
	b := make([]byte, maxPacket)
	for {
		n, from, err := pc.ReadFrom(b)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("tracker on UDP %s: %w", pc.LocalAddr(), err)
		case err != nil: // of a packet sent before, that somebody refused
			s.log.Debug("tracker reads UDP", "error", err)
			time.Sleep(time.Millisecond) // if it is not, nobody is asked to bear a busy loop
			continue
		}
		at := addrPort(from)
		if !at.IsValid() || at.Port() == 0 {
			continue
		}
		local := func() netip.Addr { return localFor(pc, at) }
		if answer := s.answerUDP(at.Addr(), local, b[:n]); answer != nil {
			if _, err := pc.WriteTo(answer, from); err != nil {
				s.log.Debug("tracker answers UDP", "peer", at, "error", err)
			}
		}
	}
}

// localFor is the address of this machine that the peer finds the tracker at: the socket's own, or, when it is bound to all, the one
// that packets to the peer leave from.
func localFor(pc net.PacketConn, peer netip.AddrPort) netip.Addr {
	if a := addrPort(pc.LocalAddr()).Addr(); a.IsValid() && !a.IsUnspecified() {
		return a
	}
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(peer)) // sends nothing
	if err != nil {
		return netip.Addr{}
	}
	defer c.Close()
	return addrPort(c.LocalAddr()).Addr()
}

// answerUDP returns the answer to a packet; nil for none. Who is not served hears nothing, and neither does who sends what is no request.
func (s *Server) answerUDP(from netip.Addr, local func() netip.Addr, b []byte) []byte {
	if len(b) < requestHead {
		return nil
	}
	if err := s.admit(from); err != nil {
		s.refusals.note(from, "udp", "unserved", err.Error())
		return nil
	}
	id, action, transaction := binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:]), b[12:16]
	now := time.Now()
	if action == actionConnect {
		if id != protocolID {
			return nil
		}
		return binary.BigEndian.AppendUint64(udpHead(actionConnect, transaction), s.connectionID(from, now))
	}
	if !s.connected(from, id, now) {
		// Nobody is sent more than came from what may be a forged address.
		e := append(udpHead(actionError, transaction), "the connection id is too old: connect again"...)
		return e[:min(len(e), len(b))]
	}
	var answer []byte
	var err error
	switch action {
	case actionAnnounce:
		answer, err = s.announceUDP(from, local, b)
	case actionScrape:
		answer, err = s.scrapeUDP(b)
	default:
		return nil
	}
	if err != nil {
		kind := "other"
		if r, ok := errors.AsType[refused](err); ok {
			kind = r.kind
		}
		s.refusals.note(from, "udp", kind, err.Error())
		return append(udpHead(actionError, transaction), err.Error()...)
	}
	return answer
}

func udpHead(action uint32, transaction []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, action), transaction...)
}

// parseUDP reads an announce. Its field for another IP address is passed over, as by HTTP.
func parseUDP(b []byte) (r Request, want int, err error) {
	if len(b) < announceSize {
		return r, 0, refuse("short", "an announce has %d bytes, this one %d", announceSize, len(b))
	}
	copy(r.Hash[:], b[16:])
	copy(r.Peer[:], b[36:])
	r.Downloaded = int64(binary.BigEndian.Uint64(b[56:]))
	r.Left = int64(binary.BigEndian.Uint64(b[64:]))
	r.Uploaded = int64(binary.BigEndian.Uint64(b[72:]))
	if e := binary.BigEndian.Uint32(b[80:]); e < uint32(len(udpEvents)) {
		r.Event = udpEvents[e]
	}
	r.Port = binary.BigEndian.Uint16(b[96:])
	return r, int(int32(binary.BigEndian.Uint32(b[92:]))), nil
}

func (s *Server) announceUDP(from netip.Addr, local func() netip.Addr, b []byte) ([]byte, error) {
	r, want, err := parseUDP(b)
	if err != nil {
		return nil, err
	}
	a, err := s.announce(asker{addr: from, local: local()}, r, want)
	if err != nil {
		return nil, err
	}
	out := udpHead(actionAnnounce, b[12:16])
	out = binary.BigEndian.AppendUint32(out, uint32(seconds(a.interval)))
	out = binary.BigEndian.AppendUint32(out, uint32(a.leechers))
	out = binary.BigEndian.AppendUint32(out, uint32(a.seeders))
	for _, p := range a.peers {
		if p.Addr().Is4() == from.Is4() { // the asker tells the family by its own
			out = appendPeer(out, p)
		}
	}
	return out, nil
}

func (s *Server) scrapeUDP(b []byte) ([]byte, error) {
	out := udpHead(actionScrape, b[12:16])
	named := b[requestHead:]
	if len(named) < 20 || len(named) > 20*maxScrape {
		return nil, refuse("scrape", "a scrape names 1 to %d torrents, this one %d", maxScrape, len(named)/20)
	}
	for ; len(named) >= 20; named = named[20:] {
		c, _ := s.scrape([20]byte(named))
		out = binary.BigEndian.AppendUint32(out, uint32(c.seeders))
		out = binary.BigEndian.AppendUint32(out, uint32(c.completed))
		out = binary.BigEndian.AppendUint32(out, uint32(c.leechers))
	}
	return out, nil
}
