package multicast

import (
	"encoding/binary"
	"errors"
	"strings"
	"time"
	"unicode/utf8"
)

// The packets. docs/multicast.md has them as tables; integers are big-endian.
//
//	byte 0     version 1 in the high half, kind in the low half
//	DATA       1 source symbols of the block; 2-3 symbol; 4-7 block; 8-11 session; 12-15 sequence; sealed symbol
//	COMMAND    1-7 zero; 8-11 session; 12-15 sequence of commands; 16-31 salt; sealed command
//	REPORT     1 zero; 2-7 receiver; 8-11 session; 12-15 sequence of this receiver; sealed report
//	QUERY      as a report, session 0; 16-31 salt; sealed nothing: who hears no session asks for one
const (
	version     = 1
	headerSize  = 16
	saltSize    = 16
	tagSize     = 16
	packetLimit = headerSize + symbolSize + tagSize

	// What Ethernet, IP and UDP add to a packet, as switches and traffic shapers count it.
	wireOverhead = 14 + 20 + 8
	dataOnWire   = wireOverhead + packetLimit
)

type kind byte

const (
	kindData kind = 1 + iota
	kindCommand
	kindReport
	kindQuery
)

var errPacket = errors.New("not a packet of a multicast session")

// kindOf tells what a datagram says to be.
func kindOf(b []byte) (kind, error) {
	if len(b) < headerSize+tagSize || b[0]>>4 != version {
		return 0, errPacket
	}
	return kind(b[0] & 15), nil
}

func sessionOf(header []byte) uint32  { return binary.BigEndian.Uint32(header[8:]) }
func sequenceOf(header []byte) uint32 { return binary.BigEndian.Uint32(header[12:]) }

func putHeader(b []byte, k kind, session, sequence uint32) {
	b[0] = version<<4 | byte(k)
	binary.BigEndian.PutUint32(b[8:], session)
	binary.BigEndian.PutUint32(b[12:], sequence)
}

// A symbolID is the place of a symbol in the content.
type symbolID struct {
	block   uint32
	symbol  uint16 // from the block's number of source symbols on: repair symbols
	sources uint8  // source symbols of the block
}

func putSymbolID(header []byte, id symbolID) {
	header[1] = id.sources
	binary.BigEndian.PutUint16(header[2:], id.symbol)
	binary.BigEndian.PutUint32(header[4:], id.block)
}

func symbolIDOf(header []byte) (symbolID, error) {
	id := symbolID{
		sources: header[1],
		symbol:  binary.BigEndian.Uint16(header[2:]),
		block:   binary.BigEndian.Uint32(header[4:]),
	}
	if id.sources == 0 || id.sources > sourceSymbols || id.symbol >= maxSymbols {
		return symbolID{}, errPacket
	}
	return id, nil
}

// A receiverID tells receivers apart: 48 random bits.
type receiverID [6]byte

func receiverOf(header []byte) receiverID { return receiverID(header[2:8]) }

// A command is what the sender tells everybody, again and again: whoever hears one knows all about the session.
type command struct {
	content  Content
	phase    Phase
	half     bool          // receivers report only when poll changes
	known    bool          // to one receiver: that it is complete is known
	pass     uint16        // over the content, from 1; 0 before the start
	poll     uint16        // number of the question, in half-duplex
	sent     uint32        // sequence of the last symbol
	base     uint32        // reports are about the blocks from here on
	gone     uint32        // blocks before it can no longer be had
	interval time.Duration // between the reports of a receiver, in units of 100 µs; in half-duplex the time over which answers are spread
	joined   uint16        // receivers that came
	wanted   uint16        // receivers to wait for
	reason   string        // why it ended, if it did not end well
}

const (
	flagHalf = 1 << iota
	flagKnown
)

// textLimit bounds the texts in packets, so that every packet fits.
const textLimit = 255

var phases = []Phase{Waiting, Sending, CatchingUp, Ended}

// append encodes the command.
func (c *command) append(b []byte) []byte {
	b = append(b, c.content.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(c.content.Size))
	b = append(b, phaseNumber(c.phase), flag(c.half, flagHalf)|flag(c.known, flagKnown))
	b = binary.BigEndian.AppendUint16(b, c.pass)
	b = binary.BigEndian.AppendUint16(b, c.poll)
	b = binary.BigEndian.AppendUint32(b, c.sent)
	b = binary.BigEndian.AppendUint32(b, c.base)
	b = binary.BigEndian.AppendUint32(b, c.gone)
	b = binary.BigEndian.AppendUint16(b, uint16(c.interval/(100*time.Microsecond)))
	b = binary.BigEndian.AppendUint16(b, c.joined)
	b = binary.BigEndian.AppendUint16(b, c.wanted)
	b = appendText(b, c.content.Name)
	return appendText(b, c.reason)
}

func decodeCommand(b []byte) (command, error) {
	d := decoder{b: b}
	var c command
	copy(c.content.ID[:], d.take(32))
	c.content.Size = int64(d.uint64())
	phase, flags := d.byte(), d.byte()
	c.half, c.known = flags&flagHalf != 0, flags&flagKnown != 0
	c.pass, c.poll = d.uint16(), d.uint16()
	c.sent, c.base, c.gone = d.uint32(), d.uint32(), d.uint32()
	c.interval = time.Duration(d.uint16()) * 100 * time.Microsecond
	c.joined, c.wanted = d.uint16(), d.uint16()
	c.content.Name, c.reason = d.text(), d.text()
	// So many blocks as maxBlocks are a stream's whose end is not known.
	if d.failed || int(phase) >= len(phases) || c.content.Size < Unknown || c.content.Size > (maxBlocks-1)*BlockSize {
		return command{}, errPacket
	}
	c.phase = phases[phase]
	return c, nil
}

func phaseNumber(p Phase) byte {
	for i := range phases {
		if phases[i] == p {
			return byte(i)
		}
	}
	return 0
}

// A report is what a receiver tells the sender: what it has and what it lacks.
type report struct {
	heard    uint32 // every symbol up to this sequence has come or is lost
	received uint32 // symbols that came
	room     uint32 // incomplete blocks that it can take in, besides those it has
	queued   uint32 // blocks that wait for its disk
	done     uint32 // blocks that it has, written
	poll     uint16 // the question that it answers
	pass     uint16 // the pass of the command that it goes by
	from     uint32 // missing tells of the blocks from here
	upTo     uint32 // to here
	group    bool   // the group reaches it
	complete bool   // all is written
	failed   bool   // it gave up: reason says why
	name     string // empty in most reports
	reason   string
	missing  []deficit // ascending
}

// A deficit is a run of blocks of which a receiver lacks the same number of symbols.
type deficit struct {
	block uint32 // the first
	count uint32 // of blocks
	need  uint8  // any so many symbols more complete each of them
}

const (
	flagGroup = 1 << iota
	flagComplete
	flagFailed
)

// append encodes the report, with as many of the missing blocks as fit into limit bytes: upTo says how far it got.
func (r *report) append(b []byte, limit int) []byte {
	limit += len(b)
	b = binary.BigEndian.AppendUint32(b, r.heard)
	b = binary.BigEndian.AppendUint32(b, r.received)
	b = binary.BigEndian.AppendUint32(b, r.room)
	b = binary.BigEndian.AppendUint32(b, r.queued)
	b = binary.BigEndian.AppendUint32(b, r.done)
	b = binary.BigEndian.AppendUint16(b, r.poll)
	b = binary.BigEndian.AppendUint16(b, r.pass)
	b = binary.BigEndian.AppendUint32(b, r.from)
	upTo := len(b)
	b = binary.BigEndian.AppendUint32(b, r.upTo)
	b = append(b, flag(r.group, flagGroup)|flag(r.complete, flagComplete)|flag(r.failed, flagFailed))
	b = appendText(b, r.name)
	b = appendText(b, r.reason)
	next := r.from
	for _, m := range r.missing {
		start := len(b)
		b = binary.AppendUvarint(b, uint64(m.block-next))
		b = binary.AppendUvarint(b, uint64(m.count))
		b = append(b, m.need)
		if len(b) > limit {
			binary.BigEndian.PutUint32(b[upTo:], m.block)
			return b[:start]
		}
		next = m.block + m.count
	}
	return b
}

func decodeReport(b []byte) (report, error) {
	d := decoder{b: b}
	r := report{
		heard: d.uint32(), received: d.uint32(), room: d.uint32(), queued: d.uint32(), done: d.uint32(),
		poll: d.uint16(), pass: d.uint16(), from: d.uint32(), upTo: d.uint32(),
	}
	flags := d.byte()
	r.group, r.complete, r.failed = flags&flagGroup != 0, flags&flagComplete != 0, flags&flagFailed != 0
	r.name, r.reason = d.text(), d.text()
	next := uint64(r.from)
	for !d.failed && len(d.b) > 0 {
		block, count, need := next+d.uvarint(), d.uvarint(), d.byte()
		next = block + count
		if count == 0 || need == 0 || need > sourceSymbols || next > uint64(r.upTo) {
			return report{}, errPacket
		}
		r.missing = append(r.missing, deficit{block: uint32(block), count: uint32(count), need: need})
	}
	if d.failed || r.upTo < r.from {
		return report{}, errPacket
	}
	return r, nil
}

func flag(set bool, f byte) byte {
	if set {
		return f
	}
	return 0
}

// appendText writes a text of at most textLimit bytes, cut between characters when it is longer.
func appendText(b []byte, s string) []byte {
	s = strings.ToValidUTF8(s[:min(len(s), textLimit)], "")
	b = append(b, byte(len(s)))
	return append(b, s...)
}

// A decoder takes a packet apart; failed is set, and stays, when the packet ends too soon.
type decoder struct {
	b      []byte
	failed bool
}

func (d *decoder) take(n int) []byte {
	if n > len(d.b) {
		d.failed, d.b = true, nil
		return make([]byte, n)
	}
	taken := d.b[:n]
	d.b = d.b[n:]
	return taken
}

func (d *decoder) byte() byte     { return d.take(1)[0] }
func (d *decoder) uint16() uint16 { return binary.BigEndian.Uint16(d.take(2)) }
func (d *decoder) uint32() uint32 { return binary.BigEndian.Uint32(d.take(4)) }
func (d *decoder) uint64() uint64 { return binary.BigEndian.Uint64(d.take(8)) }
func (d *decoder) text() string {
	s := string(d.take(int(d.byte())))
	if !utf8.ValidString(s) {
		d.failed = true
	}
	return s
}

// uvarint reads a number below 2^32.
func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > 1<<32-1 {
		d.failed, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}
