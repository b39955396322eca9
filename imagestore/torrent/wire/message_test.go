package wire

import (
	"bytes"
	"encoding/hex"
	"io"
	"reflect"
	"strings"
	"testing"
)

// golden are messages as BEP 3, 5, 6 and 10 write them, of a torrent of 20 pieces, with the bytes of the block where there is one.
var golden = []struct {
	message Message
	bytes   string
	block   string
}{
	{Message{Kind: KeepAlive}, "00000000", ""},
	{Message{Kind: Choke}, "00000001 00", ""},
	{Message{Kind: Unchoke}, "00000001 01", ""},
	{Message{Kind: Interested}, "00000001 02", ""},
	{Message{Kind: NotInterested}, "00000001 03", ""},
	{Message{Kind: Have, Piece: 19}, "00000005 04 00000013", ""},
	{Message{Kind: Bitfield, Bits: []byte{0xff, 0x01, 0xf0}}, "00000004 05 ff01f0", ""},
	{Message{Kind: Request, Piece: 3, Begin: 0x8000, Length: 0x4000}, "0000000d 06 00000003 00008000 00004000", ""},
	{Message{Kind: Block, Piece: 3, Begin: 0x8000, Length: 5}, "0000000e 07 00000003 00008000", "68656c6c6f"},
	{Message{Kind: Cancel, Piece: 3, Begin: 0x8000, Length: 0x4000}, "0000000d 08 00000003 00008000 00004000", ""},
	{Message{Kind: Port, Port: 6881}, "00000003 09 1ae1", ""},
	{Message{Kind: Suggest, Piece: 7}, "00000005 0d 00000007", ""},
	{Message{Kind: HaveAll}, "00000001 0e", ""},
	{Message{Kind: HaveNone}, "00000001 0f", ""},
	{Message{Kind: Reject, Piece: 3, Begin: 0x8000, Length: 0x4000}, "0000000d 10 00000003 00008000 00004000", ""},
	{Message{Kind: AllowedFast, Piece: 8}, "00000005 11 00000008", ""},
	{Message{Kind: Extended, Number: 0, Body: []byte("de")}, "00000004 14 00 6465", ""},
	{Message{Kind: Extended, Number: 7, Body: []byte{0, 0, 0, 19}}, "00000006 14 07 00000013", ""},
}

const goldenPieces = 20

// bytesOf reads bytes that are written as hexadecimal digits, with spaces.
func bytesOf(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestMessagesAreAsTheBEPsWriteThem(t *testing.T) {
	for _, g := range golden {
		if got, want := g.message.Append([]byte("before")), append([]byte("before"), bytesOf(t, g.bytes)...); !bytes.Equal(got, want) {
			t.Errorf("%v: Append = %x, want %x", g.message.Kind, got, want)
		}
		r := NewReader(bytes.NewReader(bytesOf(t, g.bytes+g.block)), goldenPieces, BlockSize)
		got, err := r.Next()
		if err != nil || !reflect.DeepEqual(got, g.message) {
			t.Errorf("Next = %+v, %v, want %+v", got, err, g.message)
			continue
		}
		if got.Kind == Block {
			block := make([]byte, got.Length)
			if err := r.ReadFull(block); err != nil || !bytes.Equal(block, bytesOf(t, g.block)) {
				t.Errorf("%v: ReadFull = %q, %v", got.Kind, block, err)
			}
		}
		if got, err := r.Next(); err != io.EOF {
			t.Errorf("%v: then Next = %+v, %v, want EOF", g.message.Kind, got, err)
		}
	}
}
