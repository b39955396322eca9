package tftp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strconv"
	"strings"
	"time"
)

// Packets (RFC 1350 5, RFC 2347).
const (
	opRead  = 1
	opWrite = 2
	opData  = 3
	opACK   = 4
	opError = 5
	opOACK  = 6
)

// Errors that are told (RFC 1350 appendix, RFC 2347).
const (
	errNotFound    = 1
	errAccess      = 2
	errIllegal     = 4
	errUnknownTID  = 5
	errNegotiation = 8
)

// header is the length of an opcode and a block number.
const header = 4

// maxOptions bounds how many options of a request are looked at. Four are known.
const maxOptions = 16

// An option is a name and a value as they were asked for.
type option struct{ name, value string }

// A request is an RRQ.
type request struct {
	file, mode string
	options    []option
}

var (
	errShort = errors.New("request breaks off before its end")
	errMode  = errors.New("mode is not octet")
)

// parseRequest reads what follows the opcode of an RRQ. What stands unfinished behind the mode is left out: some firmware pads its requests.
func parseRequest(b []byte) (request, error) {
	file, b, ok := field(b)
	if !ok {
		return request{}, errShort
	}
	mode, b, ok := field(b)
	if !ok {
		return request{file: file}, errShort
	}
	r := request{file: file, mode: mode}
	if !strings.EqualFold(mode, "octet") {
		return r, errMode
	}
	for len(r.options) < maxOptions {
		var o option
		if o.name, b, ok = field(b); !ok || o.name == "" {
			break
		}
		if o.value, b, ok = field(b); !ok {
			break
		}
		r.options = append(r.options, o)
	}
	return r, nil
}

func field(b []byte) (value string, rest []byte, ok bool) {
	i := bytes.IndexByte(b, 0)
	if i < 0 {
		return "", b, false
	}
	return string(b[:i]), b[i+1:], true
}

func (r request) equal(s request) bool {
	if r.file != s.file || len(r.options) != len(s.options) {
		return false
	}
	for i, o := range r.options {
		if o != s.options[i] {
			return false
		}
	}
	return true
}

// terms are what was agreed on for a transfer.
type terms struct {
	block  int
	window int
	wait   time.Duration // zero when the PC named none
	sized  bool          // the PC wanted the size
	accept []option      // for the OACK, in the order asked; empty for none
}

// negotiate takes of the options what is known and within bounds. An option that is unknown, out of its bounds or there twice is as if it had
// not been asked (RFC 2347).
func (r request) negotiate(size int64, maxBlock int) terms {
	t := terms{block: blockSize, window: 1}
	if maxBlock < t.block {
		t.block = max(8, maxBlock)
	}
	seen := map[string]bool{}
	for _, o := range r.options {
		name := strings.ToLower(o.name)
		n, err := strconv.ParseUint(o.value, 10, 63)
		if err != nil || seen[name] {
			continue
		}
		seen[name] = true
		switch name {
		case "blksize":
			if n < 8 {
				continue
			}
			t.block = int(min(n, uint64(max(8, maxBlock)), 65464))
			n = uint64(t.block)
		case "tsize":
			t.sized = true
			n = uint64(size)
		case "timeout":
			if n < 1 || n > 255 {
				continue
			}
			t.wait = time.Duration(n) * time.Second
		case "windowsize":
			if n < 1 || n > 65535 {
				continue
			}
			t.window = int(min(n, maxWindow))
			n = uint64(t.window)
		default:
			continue
		}
		t.accept = append(t.accept, option{o.name, strconv.FormatUint(n, 10)})
	}
	return t
}

// oack is the packet that tells what was accepted.
func (t terms) oack() []byte {
	b := []byte{0, opOACK}
	for _, o := range t.accept {
		b = append(append(append(append(b, o.name...), 0), o.value...), 0)
	}
	return b
}

func errorPacket(code uint16, text string) []byte {
	b := binary.BigEndian.AppendUint16([]byte{0, opError}, code)
	return append(append(b, text...), 0)
}

// parseError reads an ERROR packet; its text may lack its end.
func parseError(b []byte) (code uint16, text string) {
	if len(b) < header {
		return 0, ""
	}
	text, _, ok := field(b[header:])
	if !ok {
		text = string(b[header:])
	}
	return binary.BigEndian.Uint16(b[2:]), text[:min(len(text), 80)]
}
