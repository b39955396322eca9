package tftp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"strconv"
	"time"
)

// A reader is a TFTP client, as strict as the RFCs let one be.
type reader struct {
	conn    *end
	server  netip.AddrPort
	tid     netip.AddrPort // of the server; zero until it answers
	block   int
	window  int
	patient time.Duration // after which it says its last ACK again
	// chatty tells every block behind a gap with an ACK, and every block that comes twice, as some firmware does.
	chatty bool
	agreed map[string]string
}

func rrq(file, mode string, options ...string) []byte {
	b := []byte{0, opRead}
	for _, s := range append([]string{file, mode}, options...) {
		b = append(append(b, s...), 0)
	}
	return b
}

var errTold = errors.New("error packet")

// fetch reads a file to its end and stays a while for those who did not hear the last ACK.
func (r *reader) fetch(file string, options ...string) ([]byte, error) {
	ask := rrq(file, "octet", options...)
	r.block, r.window, r.agreed, r.tid = blockSize, 1, map[string]string{}, netip.AddrPort{}
	if r.patient == 0 {
		r.patient = 2 * time.Second
	}
	var got bytes.Buffer
	last := ask // what is said again
	say := func(to netip.AddrPort, b []byte) { last = b; _, _ = r.conn.WriteToUDPAddrPort(b, to) }
	to := r.server
	say(to, ask)
	var received, told int64
	buffer := make([]byte, 65600)
	ended := false
	for silences := 0; silences < 8; {
		_ = r.conn.SetReadDeadline(time.Now().Add(r.patient))
		n, from, err := r.conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			if ended {
				return got.Bytes(), nil
			}
			silences++
			_, _ = r.conn.WriteToUDPAddrPort(last, to)
			told = received
			continue
		}
		if r.tid.IsValid() && from != r.tid {
			_, _ = r.conn.WriteToUDPAddrPort(errorPacket(errUnknownTID, "not you"), from)
			continue
		}
		silences = 0
		switch binary.BigEndian.Uint16(buffer) {
		case opError:
			code, text := parseError(buffer[:n])
			return nil, fmt.Errorf("%w %d: %s", errTold, code, text)
		case opOACK:
			r.tid, to = from, from
			if received == 0 {
				r.agree(buffer[2:n])
				say(to, ack(0))
			}
		case opData:
			r.tid, to = from, from
			number := binary.BigEndian.Uint16(buffer[2:])
			switch {
			case number == uint16(received+1) && !ended:
				received++
				got.Write(buffer[header:n])
				ended = n-header < r.block
				if ended || received-told >= int64(r.window) {
					told = received
					say(to, ack(received))
				}
			case r.chatty || r.window > 1 && told != received || ended:
				told = received
				say(to, ack(received))
			}
		}
	}
	return got.Bytes(), fmt.Errorf("silence after %d blocks", received)
}

func ack(n int64) []byte { return binary.BigEndian.AppendUint16([]byte{0, opACK}, uint16(n)) }

func (r *reader) agree(b []byte) {
	for {
		name, rest, ok := field(b)
		if !ok {
			return
		}
		value, rest, _ := field(rest)
		b = rest
		r.agreed[name] = value
		n, _ := strconv.Atoi(value)
		switch name {
		case "blksize":
			r.block = n
		case "windowsize":
			r.window = n
		}
	}
}

// A shelf is an Opener of files in memory.
type shelf map[string][]byte

type book struct{ *bytes.Reader }

func (book) Close() error { return nil }

func (s shelf) open(_ netip.AddrPort, name string) (io.ReadSeekCloser, error) {
	if name == "forbidden" {
		return nil, errors.New("not for you")
	}
	b, ok := s[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return book{bytes.NewReader(b)}, nil
}

// content is text that is other at each place.
func content(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 ^ i>>8 ^ i>>16)
	}
	return b
}
