package tftp

import (
	"container/list"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"sync/atomic"
	"time"
)

// Why a transfer ended before its end.
var (
	errSilent   = errors.New("the PC does not answer")
	errNoAnswer = errors.New("the PC never answered: a firewall, or a forged request")
	errBusy     = errors.New("too many transfers at once")
	errAgain    = errors.New("the PC asked anew")
	errStopped  = errors.New("the server stops")
	errProbe    = errors.New("the PC wanted the size only")
)

// ErrEvicted is the Err of a Transfer whose PC had not answered when its place was wanted: most likely its address was forged.
var ErrEvicted = errors.New("the PC has not answered, and others want its place")

// A transfer sends one file to one PC. One goroutine runs it; the Server may close its conn to end it.
type transfer struct {
	server *Server
	conn   conn
	peer   netip.AddrPort
	req    request
	place  *list.Element // among those that were never heard; nil after. The Server's lock guards it.

	reason atomic.Pointer[error] // why the Server ended it
	heard  atomic.Int64          // when the PC last made progress, in ns since 1970; 0 for never

	file   io.ReadSeeker
	at     int64 // where file stands
	terms  terms
	window window
	tell   Transfer

	greeting []byte // the OACK that waits for its ACK; nil when there is none or it came
	buffer   []byte
	failed   error // of the last write
	rebuked  int
	sentAt   time.Time     // when was sent last
	resent   bool          // something since the last progress was sent not for the first time
	trip     time.Duration // from a window to its ACK
	doubt    time.Time     // when to believe that a block was lost; zero for no doubt
}

// run sends the file and tells how it went.
func (t *transfer) run() {
	t.tell.Err = t.serve()
	if reason := t.reason.Load(); reason != nil && t.tell.Err != nil {
		t.tell.Err = *reason
	}
	if t.tell.Probe {
		t.tell.Err = nil
	}
	t.tell.Took = time.Since(t.tell.Began)
	t.tell.Sent = min(t.window.acked*int64(t.terms.block), t.tell.Size)
	t.tell.Heard = t.heard.Load() != 0
	t.server.ended(t.tell)
}

func (t *transfer) serve() error {
	f, err := t.server.cfg.Open(t.peer, t.req.file)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			t.write(errorPacket(errNotFound, "file not found"))
		} else {
			t.write(errorPacket(errAccess, "access violation"))
		}
		return err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		t.write(errorPacket(0, "file cannot be read"))
		return fmt.Errorf("size of %q: %w", t.req.file, err)
	}
	t.file, t.at, t.tell.Size = f, size, size
	t.terms = t.req.negotiate(size, t.server.maxBlock)
	t.tell.BlockSize, t.tell.Window = t.terms.block, t.terms.window
	t.window = window{blocks: size/int64(t.terms.block) + 1, size: int64(t.terms.window)}
	return t.converse()
}

// converse sends until the last block is acknowledged.
func (t *transfer) converse() error {
	t.buffer = make([]byte, max(header+t.terms.block, 128)) // also for what the PC says
	if len(t.terms.accept) > 0 {
		t.greeting = t.terms.oack()
	}
	pause, tries := t.pause(), 0
	if err := t.send(); err != nil {
		return err
	}
	for {
		n, from, err := t.receive(t.deadline(pause))
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if t.doubt.IsZero() {
				if tries++; t.heard.Load() == 0 && tries >= greetings {
					return t.gone(errNoAnswer)
				} else if tries > retries {
					return t.gone(errSilent)
				}
				if t.terms.wait == 0 {
					pause = min(2*pause, maxWait)
				}
			}
			t.repeat()
			if err := t.send(); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return errStopped // the conn was closed
		}
		if from != t.peer {
			t.rebuke(from)
			continue
		}
		moved, err := t.take(t.buffer[:n])
		if err != nil || t.window.done() {
			return err
		}
		if moved {
			pause, tries = t.pause(), 0
			if err := t.send(); err != nil {
				return err
			}
		}
	}
}

// deadline is when to act if nothing is heard.
func (t *transfer) deadline(pause time.Duration) time.Time {
	if !t.doubt.IsZero() {
		return t.doubt
	}
	return t.sentAt.Add(pause)
}

func (t *transfer) pause() time.Duration {
	if t.terms.wait != 0 {
		return t.terms.wait
	}
	return wait
}

func (t *transfer) receive(deadline time.Time) (int, netip.AddrPort, error) {
	if err := t.conn.SetReadDeadline(deadline); err != nil {
		return 0, netip.AddrPort{}, err
	}
	n, from, err := t.conn.ReadFromUDPAddrPort(t.buffer)
	return n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), err
}

// take takes a packet of the PC. moved says that there is something to send; an error ends the transfer.
func (t *transfer) take(b []byte) (moved bool, err error) {
	if len(b) < header {
		return false, nil
	}
	number := binary.BigEndian.Uint16(b[2:])
	switch binary.BigEndian.Uint16(b) {
	case opACK:
		if t.greeting != nil {
			if number != 0 {
				return false, nil
			}
			t.greeting = nil
			t.window.mute = t.tell.Retransmits > 0 // each OACK may bring an ACK
			t.alive(true)
			return true, nil
		}
		verdict := t.window.ack(number)
		switch verdict {
		case stale:
			return false, nil
		case repeated:
			if t.doubt.IsZero() {
				t.doubt = time.Now().Add(t.patience())
			}
			return false, nil
		case progress:
			t.doubt = time.Time{}
			if !t.resent {
				t.trip = time.Since(t.sentAt)
			}
		case partial:
			t.doubt = time.Now().Add(t.patience())
		}
		t.resent = false
		t.alive(true)
		return true, nil
	case opError:
		code, text := parseError(b)
		t.alive(false)
		if t.greeting != nil && (t.terms.sized || code == errNegotiation) {
			t.tell.Probe = true
			return false, errProbe
		}
		return false, fmt.Errorf("the PC broke off: error %d %q", code, text)
	}
	return false, nil
}

// alive notes that the PC was heard, and whether it takes the file.
func (t *transfer) alive(takes bool) {
	if t.heard.Swap(time.Now().UnixNano()) != 0 {
		return
	}
	t.server.proven(t)
	if began := t.server.cfg.Began; began != nil && takes {
		began(t.peer, t.req.file, t.tell.Size)
	}
}

// gone judges silence. Firmware may start a loader of which it has everything without a last ACK.
func (t *transfer) gone(err error) error {
	if t.heard.Load() != 0 && t.greeting == nil && t.window.acked > 0 && t.window.sent == t.window.blocks {
		t.tell.Unconfirmed = true
		return nil
	}
	if t.failed != nil {
		return fmt.Errorf("%w; and could not be written to: %w", err, t.failed)
	}
	return err
}

// patience is how long blocks that are doubted may still be on their way: twice the time that a window and its ACK took.
func (t *transfer) patience() time.Duration { return max(minDoubt, min(2*t.trip, maxDoubt)) }

// repeat sets back to what has arrived.
func (t *transfer) repeat() {
	doubted := !t.doubt.IsZero()
	t.doubt, t.resent = time.Time{}, true
	if t.greeting != nil {
		t.tell.Retransmits++
		return
	}
	t.tell.Retransmits += t.window.rewind(doubted)
}

// send sends what fits the window, or the OACK.
func (t *transfer) send() error {
	t.sentAt = time.Now()
	if t.greeting != nil {
		t.write(t.greeting)
		return nil
	}
	for {
		block, ok := t.window.next()
		if !ok {
			return nil
		}
		n, err := t.read((block - 1) * int64(t.terms.block))
		if err != nil {
			t.write(errorPacket(0, "file cannot be read"))
			return fmt.Errorf("read %q: %w", t.req.file, err)
		}
		binary.BigEndian.PutUint16(t.buffer, opData)
		binary.BigEndian.PutUint16(t.buffer[2:], uint16(block))
		t.write(t.buffer[:header+n])
	}
}

// read reads a block into the buffer. A file that has become shorter is an error: the PC was told another size.
func (t *transfer) read(at int64) (int, error) {
	want := int(min(int64(t.terms.block), t.tell.Size-at))
	if t.at != at {
		if _, err := t.file.Seek(at, io.SeekStart); err != nil {
			return 0, err
		}
		t.at = at
	}
	n, err := io.ReadFull(t.file, t.buffer[header:header+want])
	t.at += int64(n)
	return n, err
}

// write sends a packet. One that cannot be sent is as good as lost.
func (t *transfer) write(b []byte) {
	if _, err := t.conn.WriteToUDPAddrPort(b, t.peer); err != nil {
		t.failed = err
	}
}

// rebuke tells a stranger that this port is not for him (RFC 1350 4). The transfer goes on.
func (t *transfer) rebuke(stranger netip.AddrPort) {
	if t.rebuked++; t.rebuked <= rebukes {
		_, _ = t.conn.WriteToUDPAddrPort(errorPacket(errUnknownTID, "unknown transfer ID"), stranger)
	}
}
