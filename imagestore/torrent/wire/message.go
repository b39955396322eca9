package wire

import (
	"encoding/binary"
	"fmt"
)

// A Kind is what a message says.
type Kind uint8

// The kinds of BEP 3, 6 and 10, by their numbers there.
const (
	Choke         Kind = 0
	Unchoke       Kind = 1
	Interested    Kind = 2
	NotInterested Kind = 3
	Have          Kind = 4
	Bitfield      Kind = 5
	Request       Kind = 6
	Block         Kind = 7 // BEP 3 calls it "piece"
	Cancel        Kind = 8
	Port          Kind = 9
	Suggest       Kind = 13
	HaveAll       Kind = 14
	HaveNone      Kind = 15
	Reject        Kind = 16
	AllowedFast   Kind = 17
	Extended      Kind = 20
	KeepAlive     Kind = 255 // has no number: a message of no bytes
)

var kindNames = map[Kind]string{
	Choke: "choke", Unchoke: "unchoke", Interested: "interested", NotInterested: "not interested", Have: "have", Bitfield: "bitfield",
	Request: "request", Block: "block", Cancel: "cancel", Port: "port", Suggest: "suggest", HaveAll: "have all", HaveNone: "have none",
	Reject: "reject", AllowedFast: "allowed fast", Extended: "extended", KeepAlive: "keep-alive",
}

// String names the kind as the BEPs do, but for the block.
func (k Kind) String() string {
	if name, known := kindNames[k]; known {
		return name
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// A Message is one of any kind; the fields that its kind has are set.
type Message struct {
	Kind   Kind
	Number uint8  // Extended: which extension, 0 for its handshake
	Port   uint16 // Port: the UDP port of a DHT node (BEP 5)
	Piece  uint32 // Have, Request, Block, Cancel, Suggest, Reject, AllowedFast
	Begin  uint32 // Request, Block, Cancel, Reject: bytes from the piece's begin
	Length uint32 // Request, Block, Cancel, Reject: bytes
	Bits   []byte // Bitfield: a bit for each piece, the highest first
	Body   []byte // Extended
}

// blockHead is the bytes of a Block that precede the block's, but for the length: kind, piece, begin.
const blockHead = 1 + 4 + 4

// Append appends its bytes; of a Block the head only, which Length bytes must follow.
func (m Message) Append(b []byte) []byte {
	order := binary.BigEndian
	if m.Kind == KeepAlive {
		return order.AppendUint32(b, 0)
	}
	b = order.AppendUint32(b, m.size())
	b = append(b, byte(m.Kind))
	switch m.Kind {
	case Have, Suggest, AllowedFast:
		b = order.AppendUint32(b, m.Piece)
	case Request, Cancel, Reject:
		b = order.AppendUint32(b, m.Piece)
		b = order.AppendUint32(b, m.Begin)
		b = order.AppendUint32(b, m.Length)
	case Block:
		b = order.AppendUint32(b, m.Piece)
		b = order.AppendUint32(b, m.Begin)
	case Bitfield:
		b = append(b, m.Bits...)
	case Port:
		b = order.AppendUint16(b, m.Port)
	case Extended:
		b = append(b, m.Number)
		b = append(b, m.Body...)
	}
	return b
}

// size is what a message says of its length: the bytes that follow.
func (m Message) size() uint32 {
	switch m.Kind {
	case Block:
		return blockHead + m.Length
	case Bitfield:
		return 1 + uint32(len(m.Bits))
	case Extended:
		return 2 + uint32(len(m.Body))
	}
	size, _ := fixedSize(m.Kind)
	return size
}

// fixedSize is the size of the kinds that have one; the others, and those that are not known, are of one byte at least.
func fixedSize(k Kind) (size uint32, fixed bool) {
	switch k {
	case Choke, Unchoke, Interested, NotInterested, HaveAll, HaveNone:
		return 1, true
	case Have, Suggest, AllowedFast:
		return 1 + 4, true
	case Request, Cancel, Reject:
		return 1 + 3*4, true
	case Port:
		return 1 + 2, true
	}
	return 1, false
}
