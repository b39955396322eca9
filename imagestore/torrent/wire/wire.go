// Package wire is what BitTorrent peers say to each other: the handshake and the messages of BEP 3, the fast extension (BEP 6), the
// extension protocol (BEP 10) with what is said in it (BEP 54's lt_donthave, and Aula's own), as bytes.
//
// It holds no state of a conversation and decides nothing.
package wire

import (
	"errors"
	"io"

	"aula/imagestore/torrent/metainfo"
)

// A PeerID names a program that runs; it is made anew each time.
type PeerID [20]byte

// A Handshake is the first that peers say.
type Handshake struct {
	Hash     metainfo.Hash
	Peer     PeerID
	Fast     bool // speaks BEP 6
	Extended bool // speaks BEP 10
}

// HandshakeSize is its bytes.
const HandshakeSize = 68

// Append appends its bytes.
func (h Handshake) Append(b []byte) []byte { return b }

// ReadHandshake reads one, and refuses what is none.
func ReadHandshake(r io.Reader) (Handshake, error) { return Handshake{}, errors.ErrUnsupported }

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

// A Message is one of any kind; the fields that its kind has are set.
type Message struct {
	Kind   Kind
	Piece  uint32 // Have, Request, Block, Cancel, Suggest, Reject, AllowedFast
	Begin  uint32 // Request, Block, Cancel, Reject: bytes from the piece's begin
	Length uint32 // Request, Block, Cancel, Reject: bytes
	Bits   []byte // Bitfield: a bit for each piece, the highest first
	Number uint8  // Extended: which extension, 0 for its handshake
	Body   []byte // Extended
}

// Append appends its bytes; of a Block the head only, which Length bytes must follow.
func (m Message) Append(b []byte) []byte { return b }

// A Reader reads messages.
type Reader struct{}

// NewReader reads from r the messages about a torrent of that many pieces, of which no block is longer than that many bytes.
func NewReader(r io.Reader, pieces, block int) *Reader { return &Reader{} }

// Next returns the next message; those of an unknown kind are passed over. Its Bits and Body are good until the next call. After a Block, the caller
// reads its bytes with ReadFull before the next call; those left are passed over. A message longer than it can be, or that names a piece
// that is none, is an error.
func (r *Reader) Next() (Message, error) { return Message{}, errors.ErrUnsupported }

// ReadFull reads the bytes of the Block last returned into b, which has its length; large ones go straight from the connection to b.
func (r *Reader) ReadFull(b []byte) error { return errors.ErrUnsupported }

// Extensions is the handshake of the extension protocol (BEP 10): what a peer can beyond BEP 3.
type Extensions struct {
	Client     string // name and version of the program
	Listen     uint16 // TCP port at which it takes connections; 0 if not told
	Requests   int    // how many it keeps waiting ("reqq"); 0 if not told
	DontHave   uint8  // the number by which it wants to be told lt_donthave (BEP 54); 0: never
	UploadOnly bool   // it wants no pieces any more (BEP 21)

	// Block is the largest request that an Aula takes, in bytes; 0 of others, which take 16 KiB. ("aula_block")
	Block int
	// Silent says that an Aula shares nothing until it has everything (mode leecher). ("aula_silent")
	Silent bool
}

// Append appends the handshake's body, which an Extended message of number 0 carries.
func (e Extensions) Append(b []byte) []byte { return b }

// ParseExtensions reads it from any client: what is missing or of another type is as not told.
func ParseExtensions(body []byte) (Extensions, error) { return Extensions{}, errors.ErrUnsupported }
