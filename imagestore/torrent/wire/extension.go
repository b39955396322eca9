package wire

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/anacrolix/torrent/bencode"

	"aula/imagestore/torrent/bencoded"
)

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

// extensionsBody is how Extensions are written.
type extensionsBody struct {
	Block      int            `bencode:"aula_block,omitempty"`
	Silent     int            `bencode:"aula_silent,omitempty"`
	Numbers    map[string]int `bencode:"m"`
	Listen     int            `bencode:"p,omitempty"`
	Requests   int            `bencode:"reqq,omitempty"`
	UploadOnly int            `bencode:"upload_only,omitempty"`
	Client     string         `bencode:"v,omitempty"`
}

// Append appends the handshake's body, which an Extended message of number 0 carries.
func (e Extensions) Append(b []byte) []byte {
	body := extensionsBody{
		Block: e.Block, Silent: number(e.Silent), Numbers: map[string]int{}, Listen: int(e.Listen), Requests: e.Requests,
		UploadOnly: number(e.UploadOnly), Client: e.Client,
	}
	if e.DontHave != 0 {
		body.Numbers["lt_donthave"] = int(e.DontHave)
	}
	return append(b, bencode.MustMarshal(body)...)
}

func number(is bool) int {
	if is {
		return 1
	}
	return 0
}

// ParseExtensions reads it from any client: what is missing or of another type is as not told.
func ParseExtensions(body []byte) (Extensions, error) {
	told, err := dictionary(body)
	if err != nil {
		return Extensions{}, fmt.Errorf("%w: the handshake of its extensions: %w", ErrProtocol, err)
	}
	e := Extensions{
		Client:     bencoded.Printable(text(told["v"]), clientLimit),
		Listen:     uint16(integer(told["p"], 1, math.MaxUint16)),
		Requests:   int(integer(told["reqq"], 1, math.MaxInt32)),
		UploadOnly: integer(told["upload_only"], 1, math.MaxInt32) != 0,
		Block:      int(integer(told["aula_block"], BlockSize, math.MaxInt32)),
		Silent:     integer(told["aula_silent"], 1, math.MaxInt32) != 0,
	}
	if numbers, err := dictionary(told["m"]); err == nil {
		e.DontHave = uint8(integer(numbers["lt_donthave"], 1, math.MaxUint8))
	}
	return e, nil
}

// dictionary reads the values of one, each as it was written. What follows it is passed over.
func dictionary(b []byte) (values map[string]bencode.Bytes, err error) {
	return values, bencoded.Decode(b, &values)
}

func text(b []byte) string {
	var s string
	if bencoded.Decode(b, &s) != nil {
		return ""
	}
	return s
}

// integer reads one; it is 0 where it is not in the range.
func integer(b []byte, low, high int64) int64 {
	var n int64
	if bencoded.Decode(b, &n) != nil || n < low || n > high {
		return 0
	}
	return n
}

// clientLimit bounds what a program may call itself, in bytes.
const clientLimit = 64

// AppendDontHave appends the body of lt_donthave: that a piece is there no longer (BEP 54).
func AppendDontHave(b []byte, piece uint32) []byte { return binary.BigEndian.AppendUint32(b, piece) }

// ParseDontHave reads it. Whether there is such a piece, the caller must see.
func ParseDontHave(body []byte) (piece uint32, err error) {
	if len(body) != 4 {
		return 0, fmt.Errorf("%w: lt_donthave of %d bytes, which is 4 long", ErrProtocol, len(body))
	}
	return binary.BigEndian.Uint32(body), nil
}
