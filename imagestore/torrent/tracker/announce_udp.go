package tracker

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net"
	"net/url"
	"slices"
	"syscall"
	"time"

	"aula/imagestore/torrent/bencoded"
)

// firstWait is until a request is sent again; each further one waits twice as long. BEP 15 has 15 s, for the Internet; here the tracker is
// on the same network, and whoever waits for it holds a room up.
const firstWait = 2 * time.Second

// announceUDP asks as BEP 15 has it: connect, then announce. The connection id is used once, so it is never too old.
func announceUDP(ctx context.Context, u *url.URL, r Request) (Response, error) {
	if u.Port() == "" {
		return Response{}, fmt.Errorf("tracker %s: a udp:// URL names a port, such as %d", nameOf(u), DefaultPort)
	}
	c, err := dialer(r, &net.UDPAddr{IP: r.From.AsSlice()}).DialContext(ctx, "udp", u.Host)
	if err != nil {
		return Response{}, fmt.Errorf("tracker %s: %w", nameOf(u), err)
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.SetReadDeadline(time.Unix(1, 0)) })()
	q := udpQuestions{conn: c, tracker: nameOf(u)}
	b, err := q.ask(ctx, protocolID, actionConnect, nil, 8)
	if err != nil {
		return Response{}, err
	}
	connection := binary.BigEndian.Uint64(b)
	if b, err = q.ask(ctx, connection, actionAnnounce, announceBody(r), 12); err != nil {
		return Response{}, err
	}
	size := 4
	if addrPort(c.RemoteAddr()).Addr().Is6() {
		size = 16
	}
	return Response{
		Interval: interval(int64(binary.BigEndian.Uint32(b))),
		Leechers: int(binary.BigEndian.Uint32(b[4:]) & math.MaxInt32),
		Seeders:  int(binary.BigEndian.Uint32(b[8:]) & math.MaxInt32),
		Peers:    appendCompact(nil, b[12:], size),
	}, nil
}

// announceBody writes what follows the head of an announce.
func announceBody(r Request) []byte {
	b := append(r.Hash[:], r.Peer[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Downloaded))
	b = binary.BigEndian.AppendUint64(b, uint64(r.Left))
	b = binary.BigEndian.AppendUint64(b, uint64(r.Uploaded))
	b = binary.BigEndian.AppendUint32(b, uint32(max(slices.Index(udpEvents[:], r.Event), 0)))
	b = append(b, 0, 0, 0, 0) // the address is the packet's
	b = append(b, r.Peer[16:]...)
	want := int32(-1)
	if r.Want > 0 {
		want = int32(min(r.Want, maxHeard))
	}
	b = binary.BigEndian.AppendUint32(b, uint32(want))
	return binary.BigEndian.AppendUint16(b, r.Port)
}

// udpQuestions are asked one after the other.
type udpQuestions struct {
	conn    net.Conn
	tracker string
}

// ask sends a request again and again until it is answered or the context ends, and returns what follows the answer's head: so many bytes at least.
func (q *udpQuestions) ask(ctx context.Context, connection uint64, action uint32, body []byte, least int) ([]byte, error) {
	var transaction [4]byte
	rand.Read(transaction[:]) // never fails
	request := binary.BigEndian.AppendUint64(nil, connection)
	request = binary.BigEndian.AppendUint32(request, action)
	request = append(append(request, transaction[:]...), body...)
	for wait := firstWait; ctx.Err() == nil; wait *= 2 {
		if _, err := q.conn.Write(request); err != nil {
			return nil, q.failed(err)
		}
		answer, err := q.await(ctx, action, transaction, least, time.Now().Add(wait))
		if !errors.Is(err, errNoAnswer) {
			return answer, err
		}
	}
	return nil, fmt.Errorf("tracker %s does not answer: %w: is it running, and does a firewall let UDP through, both ways?", q.tracker, context.Cause(ctx))
}

var errNoAnswer = errors.New("no answer")

// await reads until the answer to this request comes, and passes over everything else.
func (q *udpQuestions) await(ctx context.Context, action uint32, transaction [4]byte, least int, until time.Time) ([]byte, error) {
	b := make([]byte, 1<<16)
	for {
		q.conn.SetReadDeadline(until)
		if ctx.Err() != nil { // its end may have come before the deadline was set
			return nil, errNoAnswer
		}
		n, err := q.conn.Read(b)
		if netErr, ok := errors.AsType[net.Error](err); ok && netErr.Timeout() {
			return nil, errNoAnswer
		}
		if err != nil {
			return nil, q.failed(err)
		}
		if n < 8 || [4]byte(b[4:]) != transaction {
			continue
		}
		switch got := binary.BigEndian.Uint32(b); {
		case got == actionError:
			return nil, &RefusedError{Tracker: q.tracker, Reason: bencoded.Printable(string(b[8:n]), maxWords)}
		case got == action && n >= 8+least:
			return b[8:n], nil
		}
	}
}

func (q *udpQuestions) failed(err error) error {
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("tracker %s: %w: nothing listens at that UDP port: is the tracker running?", q.tracker, err)
	}
	return fmt.Errorf("tracker %s: %w", q.tracker, err)
}
