package wire

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// A spoken message is one with the bytes of its block.
type spoken struct {
	message Message
	block   []byte
}

func (s spoken) append(b []byte) []byte { return append(s.message.Append(b), s.block...) }

// listen reads everything; what is returned may be kept.
func listen(r *Reader) (all []spoken, err error) {
	for {
		m, err := r.Next()
		if err != nil {
			return all, err
		}
		s := spoken{message: m}
		s.message.Bits, s.message.Body = bytes.Clone(m.Bits), bytes.Clone(m.Body)
		if m.Kind == Block {
			s.block = make([]byte, m.Length)
			if err := r.ReadFull(s.block); err != nil {
				return all, err
			}
		}
		all = append(all, s)
	}
}

func randomBytes(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

const (
	testPieces = 9001
	testBlock  = 40_000
)

// randomSpoken is any message about a torrent of testPieces.
func randomSpoken(rng *rand.Rand) spoken {
	kinds := []Kind{KeepAlive, Choke, Unchoke, Interested, NotInterested, Have, Bitfield, Request, Block, Cancel, Port, Suggest, HaveAll, HaveNone, Reject,
		AllowedFast, Extended}
	s := spoken{message: Message{Kind: kinds[rng.IntN(len(kinds))]}}
	m := &s.message
	switch m.Kind {
	case Have, Suggest, AllowedFast:
		m.Piece = rng.Uint32N(testPieces)
	case Request, Cancel, Reject:
		m.Piece, m.Begin, m.Length = rng.Uint32N(testPieces), rng.Uint32(), rng.Uint32()
	case Bitfield:
		m.Bits = randomBytes(rng, (testPieces+7)/8)
		m.Bits[len(m.Bits)-1] &= 0x80 // 9001 is 8 × 1125 + 1
	case Block:
		s.block = randomBytes(rng, rng.IntN(testBlock+1))
		m.Piece, m.Begin, m.Length = rng.Uint32N(testPieces), rng.Uint32(), uint32(len(s.block))
	case Port:
		m.Port = uint16(rng.Uint32())
	case Extended:
		m.Number, m.Body = uint8(rng.Uint32()), randomBytes(rng, rng.IntN(10_000))
	}
	return s
}

func sameSpoken(a, b spoken) bool {
	return bytes.Equal(a.append(nil), b.append(nil)) && a.message.Kind == b.message.Kind && a.message.Port == b.message.Port
}

func TestMessagesComeThrough(t *testing.T) {
	for name, through := range map[string]func(io.Reader) io.Reader{
		"as they are": func(r io.Reader) io.Reader { return r },
		"by bytes":    iotest.OneByteReader,
		"by halves":   iotest.HalfReader,
		"at the end":  iotest.DataErrReader,
	} {
		rng := rand.New(rand.NewPCG(5, 1))
		var want []spoken
		var stream []byte
		for range 300 {
			s := randomSpoken(rng)
			want, stream = append(want, s), s.append(stream)
		}
		got, err := listen(NewReader(through(bytes.NewReader(stream)), testPieces, testBlock))
		if err != io.EOF || len(got) != len(want) {
			t.Fatalf("%s: %d messages, %v, want %d", name, len(got), err, len(want))
		}
		for i := range want {
			if !sameSpoken(got[i], want[i]) {
				t.Fatalf("%s: message %d is a %v of %d bytes, want a %v of %d", name, i, got[i].message.Kind, len(got[i].append(nil)),
					want[i].message.Kind, len(want[i].append(nil)))
			}
		}
	}
}

func TestUnknownKindsArePassedOver(t *testing.T) {
	for _, unknown := range []string{
		"00000001 0a", "00000003 0b ffff", "00000001 12", "00000001 15", "00000005 ff 00000000", // 255 is KeepAlive to us only
		"00010000 c8" + strings.Repeat("77", extendedLimit-1),
	} {
		stream := bytesOf(t, unknown+"00000005 04 00000002"+unknown+"00000001 01")
		got, err := listen(NewReader(bytes.NewReader(stream), goldenPieces, BlockSize))
		want := []spoken{{message: Message{Kind: Have, Piece: 2}}, {message: Message{Kind: Unchoke}}}
		if err != io.EOF || !reflect.DeepEqual(got, want) {
			t.Errorf("%.20s: %+v, %v, want %+v", unknown, got, err, want)
		}
	}
}

func TestBytesOfABlockThatAreNotReadArePassedOver(t *testing.T) {
	block := bytes.Repeat([]byte{1, 2, 3, 4, 5}, 2000)
	stream := spoken{Message{Kind: Block, Piece: 1, Length: uint32(len(block))}, block}.append(nil)
	stream = Message{Kind: Have, Piece: 5}.Append(stream)
	for _, read := range []int{0, 1, 3000, 9999, 10_000} {
		r := NewReader(bytes.NewReader(stream), goldenPieces, BlockSize)
		if m, err := r.Next(); err != nil || m.Kind != Block {
			t.Fatal(m, err)
		}
		b := make([]byte, read)
		if err := r.ReadFull(b[:read/2]); err != nil {
			t.Fatal(err)
		}
		if err := r.ReadFull(b[read/2:]); err != nil || !bytes.Equal(b, block[:read]) {
			t.Errorf("%d bytes read in two: %v", read, err)
		}
		if err := r.ReadFull(make([]byte, len(block)-read+1)); err == nil {
			t.Errorf("%d bytes read: more can be read than the block has", read)
		}
		if m, err := r.Next(); err != nil || m.Kind != Have || m.Piece != 5 {
			t.Errorf("%d bytes read: Next = %+v, %v", read, m, err)
		}
	}
	if err := NewReader(bytes.NewReader(stream), goldenPieces, BlockSize).ReadFull(make([]byte, 1)); err == nil {
		t.Error("a byte can be read where there is no block")
	}
}

func TestHostileMessagesAreRefused(t *testing.T) {
	for name, stream := range map[string]string{
		"choke of 2 bytes":                "00000002 00 00",
		"have of 4 bytes":                 "00000004 04 000000",
		"have of 6 bytes":                 "00000006 04 00000000 00",
		"have all with a body":            "00000005 0e 00000000",
		"have of the piece after the end": "00000005 04 00000014",
		"have of no piece":                "00000005 04 ffffffff",
		"request of 12 bytes":             "0000000c 06 00000000 00000000 000000",
		"request of no piece":             "0000000d 06 00000014 00000000 00004000",
		"cancel of no piece":              "0000000d 08 80000000 00000000 00004000",
		"reject of no piece":              "0000000d 10 00000014 00000000 00004000",
		"suggest of no piece":             "00000005 0d 00000014",
		"allowed fast of no piece":        "00000005 11 00000014",
		"block of no piece":               "0000000a 07 00000014 00000000 00",
		"block without its begin":         "00000008 07 00000000 000000",
		"block of a byte too many":        "0000400a 07 00000000 00000000",
		"block of 4 GiB":                  "ffffffff 07 00000000 00000000",
		"bitfield of a byte too few":      "00000003 05 ffff",
		"bitfield of a byte too many":     "00000005 05 fffff000",
		"bitfield of nothing":             "00000001 05",
		"bitfield of 4 GiB":               "ffffffff 05",
		"bitfield with a piece too many":  "00000004 05 fffff8",
		"bitfield with the last bit":      "00000004 05 000001",
		"port of 1 byte":                  "00000002 09 1a",
		"extended without a number":       "00000001 14",
		"extended beyond 64 KiB":          "00010003 14 00",
		"extended of 2 GiB":               "80000000 14 00",
		"unknown beyond 64 KiB":           "00010001 c8",
		"unknown of 4 GiB":                "ffffffff c8",
		"another protocol":                "47455420 2f20",
	} {
		m, err := NewReader(bytes.NewReader(bytesOf(t, stream)), goldenPieces, BlockSize).Next()
		if !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: Next = %+v, %v, want ErrProtocol", name, m, err)
		}
	}
}

func TestErrorsSayWhatWasWrong(t *testing.T) {
	for stream, want := range map[string]string{
		"00000005 04 00000014": "names piece 20 of a torrent of 20 pieces",
		"00000004 05 fffff8":   "pieces beyond the last of 20",
		"00000006 04":          `"have" of 6 bytes`,
		"00100000 c8":          `"kind 200" of 1048576 bytes`,
	} {
		_, err := NewReader(bytes.NewReader(bytesOf(t, stream)), goldenPieces, BlockSize).Next()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", stream, err, want)
		}
	}
}

func TestTheLongestThatIsTaken(t *testing.T) {
	const pieces = 1 << 20
	bits := bytes.Repeat([]byte{0xa5}, pieces/8)
	body := bytes.Repeat([]byte("x"), extendedLimit)
	block := bytes.Repeat([]byte("y"), 256<<10)
	want := []spoken{
		{message: Message{Kind: Bitfield, Bits: bits}},
		{message: Message{Kind: Extended, Number: 1, Body: body}},
		{Message{Kind: Block, Piece: pieces - 1, Length: uint32(len(block))}, block},
	}
	var stream []byte
	for _, s := range want {
		stream = s.append(stream)
	}
	got, err := listen(NewReader(bytes.NewReader(stream), pieces, len(block)))
	if err != io.EOF || !reflect.DeepEqual(got, want) {
		t.Errorf("%d messages, %v, want %d", len(got), err, len(want))
	}
}

func TestAnEndWithinAMessageIsTold(t *testing.T) {
	for _, g := range golden {
		whole := bytesOf(t, g.bytes+g.block)
		for n := 1; n < len(whole); n++ {
			if got, err := listen(NewReader(bytes.NewReader(whole[:n]), goldenPieces, BlockSize)); err != io.ErrUnexpectedEOF {
				t.Errorf("%v, %d of %d bytes: %+v, %v, want an unexpected EOF", g.message.Kind, n, len(whole), got, err)
			}
		}
	}
	failed := errors.New("the cable")
	for n := range 20 {
		stream := io.MultiReader(bytes.NewReader(bytesOf(t, "0000000e 07 00000003 00008000 68656c6c6f 00 00")[:n]), iotest.ErrReader(failed))
		if got, err := listen(NewReader(stream, goldenPieces, BlockSize)); !errors.Is(err, failed) {
			t.Errorf("after %d bytes: %+v, %v, want %v", n, got, err, failed)
		}
	}
}

// A flood repeats its bytes for ever, and notes the longest read that it was asked for.
type flood struct {
	bytes   []byte
	at      int
	longest int
}

func (f *flood) Read(b []byte) (int, error) {
	f.longest = max(f.longest, len(b))
	n := copy(b, f.bytes[f.at:])
	f.at = (f.at + n) % len(f.bytes)
	return n, nil
}

// traffic is what comes from a peer of a room in a second: requests, haves, and large blocks.
func traffic() *flood {
	f := &flood{}
	for i := range uint32(16) {
		f.bytes = Message{Kind: Have, Piece: i}.Append(f.bytes)
		f.bytes = Message{Kind: Request, Piece: i, Length: 256 << 10}.Append(f.bytes)
	}
	f.bytes = Message{Kind: Extended, Number: 7, Body: []byte{0, 0, 0, 1}}.Append(f.bytes)
	f.bytes = Message{Kind: KeepAlive}.Append(f.bytes)
	f.bytes = spoken{Message{Kind: Block, Length: 256 << 10}, make([]byte, 256<<10)}.append(f.bytes)
	return f
}

func hear(tb testing.TB, r *Reader, block []byte) {
	m, err := r.Next()
	if err == nil && m.Kind == Block {
		err = r.ReadFull(block[:m.Length])
	}
	if err != nil {
		tb.Fatal(err)
	}
}

func TestReadingAllocatesNothing(t *testing.T) {
	f, block := traffic(), make([]byte, 256<<10)
	r := NewReader(f, goldenPieces, len(block))
	if n := testing.AllocsPerRun(1000, func() { hear(t, r, block) }); n != 0 {
		t.Errorf("%v allocations a message", n)
	}
	if f.longest < len(block)-readerBuffer {
		t.Errorf("blocks of %d bytes are read by %d at most: they do not go straight to where they belong", len(block), f.longest)
	}
}

func TestWritingAllocatesNothing(t *testing.T) {
	b := make([]byte, 0, 2*HandshakeSize)
	n := testing.AllocsPerRun(100, func() {
		b = Message{Kind: Request, Piece: 1, Length: BlockSize}.Append(b[:0])
		b = Message{Kind: Block, Piece: 1, Length: BlockSize}.Append(b)
		b = Handshake{}.Append(b[:0])
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkReader(b *testing.B) {
	f, block := traffic(), make([]byte, 256<<10)
	r := NewReader(f, goldenPieces, len(block))
	b.ReportAllocs()
	b.SetBytes(int64(len(f.bytes)) / 35) // of which there are in the traffic
	for b.Loop() {
		hear(b, r, block)
	}
}

// FuzzReader gives a Reader any bytes: what it takes must be what its messages are written as, and fit the torrent.
func FuzzReader(f *testing.F) {
	var all []byte
	for _, g := range golden {
		one := bytesOf(f, g.bytes+g.block)
		f.Add(one, uint16(goldenPieces))
		all = append(all, one...)
	}
	f.Add(all, uint16(goldenPieces))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), uint16(1))
	f.Add([]byte{0, 0, 0, 1, 5, 0, 0, 0, 1, 14}, uint16(0))
	f.Fuzz(func(t *testing.T, stream []byte, pieces uint16) {
		const block = 1000
		got, err := listen(NewReader(bytes.NewReader(stream), int(pieces), block))
		if err == nil {
			t.Fatal("a reader reads for ever")
		}
		var written []byte
		for _, s := range got {
			m := s.message
			if len(m.Body) > extendedLimit || len(s.block) > block || m.Kind == Bitfield && len(m.Bits) != (int(pieces)+7)/8 {
				t.Errorf("a message %v is too long", m.Kind)
			}
			written = s.append(written)
		}
		again, err := listen(NewReader(iotest.OneByteReader(bytes.NewReader(written)), int(pieces), block))
		if err != io.EOF || !reflect.DeepEqual(again, got) {
			t.Errorf("read again: %+v, %v, want %+v", again, err, got)
		}
	})
}
