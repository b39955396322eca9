package multicast

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// bytesOf reads bytes that are written as hexadecimal digits, with spaces and comments from // to the end of the line.
func bytesOf(t *testing.T, text string) []byte {
	t.Helper()
	var digits strings.Builder
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "//")
		digits.WriteString(strings.Join(strings.Fields(line), ""))
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func randomText(rng *rand.Rand) string {
	const letters = "aZ 9-éß€漢𝄞"
	runes := []rune(letters)
	var b strings.Builder
	for range rng.IntN(60) {
		b.WriteRune(runes[rng.IntN(len(runes))])
	}
	return b.String()
}

func randomCommand(rng *rand.Rand) command {
	c := command{
		content: Content{Name: randomText(rng), Size: rng.Int64N((maxBlocks-1)*BlockSize+2) - 1},
		phase:   phases[rng.IntN(len(phases))],
		half:    rng.IntN(2) == 0, known: rng.IntN(2) == 0,
		pass: uint16(rng.Uint32()), poll: uint16(rng.Uint32()),
		base: rng.Uint32(), gone: rng.Uint32(),
		interval: time.Duration(rng.IntN(1<<16)) * 100 * time.Microsecond,
		joined:   uint16(rng.Uint32()), wanted: uint16(rng.Uint32()),
		reason: randomText(rng),
	}
	for i := range c.content.ID {
		c.content.ID[i] = byte(rng.Uint32())
	}
	return c
}

func randomReport(rng *rand.Rand) report {
	r := report{
		heard: rng.Uint32(), received: rng.Uint32(), room: rng.Uint32(), queued: rng.Uint32(), done: rng.Uint32(),
		poll: uint16(rng.Uint32()), pass: uint16(rng.Uint32()), from: rng.Uint32N(1 << 30),
		group: rng.IntN(2) == 0, complete: rng.IntN(2) == 0, failed: rng.IntN(2) == 0,
		name: randomText(rng), reason: randomText(rng),
	}
	next := r.from
	for range rng.IntN(50) {
		m := deficit{block: next + rng.Uint32N(1<<rng.IntN(20)), count: 1 + rng.Uint32N(1<<rng.IntN(20)), need: uint8(1 + rng.IntN(sourceSymbols))}
		r.missing = append(r.missing, m)
		next = m.block + m.count
	}
	r.upTo = next + rng.Uint32N(1000)
	return r
}

func TestCommandComesThrough(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 1))
	for range 2000 {
		want := randomCommand(rng)
		b := want.append(nil)
		if got, err := decodeCommand(b); err != nil || got != want {
			t.Fatalf("decodeCommand: got %+v, %v; want %+v", got, err, want)
		}
	}
}

func TestReportComesThrough(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 2))
	for range 2000 {
		want := randomReport(rng)
		b := want.append(nil, symbolSize)
		if got, err := decodeReport(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("decodeReport: got %+v, %v; want %+v", got, err, want)
		}
	}
}

// The bytes of docs/multicast.md. Whoever has to change these makes another version of the protocol.
func TestCommandLayout(t *testing.T) {
	c := command{
		content: Content{ID: [32]byte{0: 0xa0, 31: 0xaf}, Name: "Büro", Size: 0x0102030405},
		phase:   CatchingUp, half: true, known: true, pass: 0x0607, poll: 0x0809,
		sent: 0x01020304, base: 0x0a0b0c0d, gone: 0x0e0f1011, interval: 30 * time.Millisecond, joined: 0x1213, wanted: 0x1415,
		reason: "disk",
	}
	want := bytesOf(t, `
		a0000000 00000000 00000000 00000000 00000000 00000000 00000000 000000af // content
		00000001 02030405 // size
		02 03             // catching up; half-duplex, known
		0607 0809         // pass, poll
		01020304          // sent
		0a0b0c0d 0e0f1011 // base, gone
		012c 1213 1415    // interval, joined, wanted
		05 42c3bc726f     // name
		04 6469736b       // reason
	`)
	if got := c.append(nil); !bytes.Equal(got, want) {
		t.Errorf("command:\n got %x\nwant %x", got, want)
	}
}

func TestReportLayout(t *testing.T) {
	r := report{
		heard: 0x01020304, received: 0x05060708, room: 0x090a0b0c, queued: 0x0d0e0f10, done: 0x11121314,
		poll: 0x1516, pass: 0x1718, from: 0x100, upTo: 0x2000, group: true, failed: true, name: "pc1", reason: "full",
		missing: []deficit{{0x100, 1, 3}, {0x102, 0x80, 128}, {0x1000, 0x1000, 1}},
	}
	want := bytesOf(t, `
		01020304 05060708 090a0b0c 0d0e0f10 11121314 // heard, received, room, queued, done
		1516 1718         // poll, pass
		00000100 00002000 // from, up to
		05                // group, failed
		03 706331         // name
		04 66756c6c       // reason
		00 01 03          // the first missing: 0 blocks on, 1 block, 3 symbols
		01 8001 80        // a block between; 128 blocks; all symbols
		fe1c 8020 01      // 0x1000 - 0x182 blocks between
	`)
	if got := r.append(nil, symbolSize); !bytes.Equal(got, want) {
		t.Errorf("report:\n got %x\nwant %x", got, want)
	}
}

func TestHeaderLayout(t *testing.T) {
	b := make([]byte, headerSize)
	putHeader(b, kindData, 0x08090a0b, 0x0c0d0e0f)
	putSymbolID(b, symbolID{block: 0x04050607, symbol: 0x00f3, sources: 0x80})
	if want := bytesOf(t, "11 80 00f3 04050607 08090a0b 0c0d0e0f"); !bytes.Equal(b, want) {
		t.Errorf("header of a symbol:\n got %x\nwant %x", b, want)
	}
	if session, sequence := sessionOf(b), sequenceOf(b); session != 0x08090a0b || sequence != 0x0c0d0e0f {
		t.Errorf("session %x, sequence %x", session, sequence)
	}
	b = bytesOf(t, "13 00 a1a2a3a4a5a6 08090a0b 0c0d0e0f")
	if got, want := receiverOf(b), (receiverID{0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6}); got != want {
		t.Errorf("receiver %x, want %x", got, want)
	}
	for k, want := range map[kind]byte{kindData: 0x11, kindCommand: 0x12, kindReport: 0x13, kindQuery: 0x14} {
		if putHeader(b, k, 0, 0); b[0] != want {
			t.Errorf("first byte of kind %d: got %#x, want %#x", k, b[0], want)
		}
	}
	// 1500 bytes of an Ethernet packet, less IP and UDP.
	if packetLimit != 1500-20-8 {
		t.Errorf("a packet of a symbol has %d bytes", packetLimit)
	}
}

func TestCommandCutShort(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 3))
	c := randomCommand(rng)
	b := c.append(nil)
	for n := range b {
		if got, err := decodeCommand(b[:n]); err == nil {
			t.Errorf("%d of %d bytes were taken for a command: %+v", n, len(b), got)
		}
	}
}

// A report that is cut between two of the missing runs cannot be told from a shorter one; the seal can.
func TestReportCutShort(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	whole := randomReport(rng)
	for len(whole.missing) < 10 {
		whole = randomReport(rng)
	}
	ends := map[int]int{} // of the bytes, to the number of runs before
	for n := range len(whole.missing) {
		r := whole
		r.missing = whole.missing[:n]
		ends[len(r.append(nil, symbolSize))] = n
	}
	b := whole.append(nil, symbolSize)
	for n := range b {
		got, err := decodeReport(b[:n])
		runs, whole := ends[n]
		if (err == nil) != whole || err == nil && len(got.missing) != runs {
			t.Errorf("%d of %d bytes: got %d runs, %v; want %d, %t", n, len(b), len(got.missing), err, runs, whole)
		}
	}
}

func TestCommandRefused(t *testing.T) {
	const sizeAt, phaseAt, nameAt = 32, 40, 66
	for name, change := range map[string]func(b []byte){
		"a fifth phase":             func(b []byte) { b[phaseAt] = 4 },
		"less than no size":         func(b []byte) { binary.BigEndian.PutUint64(b[sizeAt:], math.MaxUint64-1) },
		"the smallest number":       func(b []byte) { binary.BigEndian.PutUint64(b[sizeAt:], 1<<63) },
		"too many blocks":           func(b []byte) { binary.BigEndian.PutUint64(b[sizeAt:], maxBlocks*BlockSize+1) },
		"as many blocks as unknown": func(b []byte) { binary.BigEndian.PutUint64(b[sizeAt:], maxBlocks*BlockSize) },
		"the greatest number":       func(b []byte) { binary.BigEndian.PutUint64(b[sizeAt:], math.MaxInt64) },
		"a name that is no text":    func(b []byte) { b[nameAt+1] = 0xff },
		"a name past the end":       func(b []byte) { b[nameAt] = 255 },
	} {
		c := command{content: Content{Name: "image", Size: 5}, phase: Sending}
		b := c.append(nil)
		if change(b); bytes.Equal(b, c.append(nil)) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if got, err := decodeCommand(b); err == nil {
			t.Errorf("%s: taken for %+v", name, got)
		}
	}
}

func TestReportRefused(t *testing.T) {
	head := report{from: 10, upTo: 20}
	for name, runs := range map[string]string{
		"no block":             "00 00 01",
		"no symbol needed":     "00 01 00",
		"too many symbols":     "00 01 81",
		"beyond the end":       "00 0b 01",
		"past the end":         "0b 01 01",
		"together past it":     "00 05 01 00 06 01",
		"2^32":                 "8080808010 01 01",
		"a block below zero":   "ffffffff0f 01 01",
		"2^32 blocks":          "00 8080808010 01",
		"a number without end": "ffffffffffffffffffff 01 01",
		"no need":              "00 01",
		"no count":             "00",
	} {
		if got, err := decodeReport(append(head.append(nil, symbolSize), bytesOf(t, runs)...)); err == nil {
			t.Errorf("%s: taken for %+v", name, got)
		}
	}
	if got, err := decodeReport((&report{from: 2, upTo: 1}).append(nil, symbolSize)); err == nil {
		t.Errorf("a list that ends before it begins: taken for %+v", got)
	}
}

// Of a receiver that lacks more than a packet tells, the report is true as far as it goes.
func TestLongReportSaysHowFarItGoes(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 5))
	for range 500 {
		whole := report{from: rng.Uint32N(1 << 20), name: randomText(rng), reason: randomText(rng)}
		next := whole.from
		for range deficits {
			m := deficit{block: next + rng.Uint32N(1<<rng.IntN(22)), count: 1 + rng.Uint32N(1<<rng.IntN(18)), need: uint8(1 + rng.IntN(sourceSymbols))}
			whole.missing = append(whole.missing, m)
			next = m.block + m.count
		}
		whole.upTo = next + 5

		b := whole.append(make([]byte, 0, symbolSize), symbolSize)
		if len(b) > symbolSize {
			t.Fatalf("%d bytes of a report, of %d", len(b), symbolSize)
		}
		if len(b) < symbolSize-11 { // the longest run
			t.Errorf("%d bytes of a report: there is room for more", len(b))
		}
		got, err := decodeReport(b)
		if err != nil {
			t.Fatal(err)
		}
		n := len(got.missing)
		if n == 0 || n == deficits || !reflect.DeepEqual(got.missing, whole.missing[:n]) {
			t.Fatalf("%d runs came through, and are not the first of %d", n, deficits)
		}
		if want := whole.missing[n].block; got.upTo != want {
			t.Errorf("the list goes up to block %d, want %d, the first that did not fit", got.upTo, want)
		}
	}
}

// What is there before the report is not counted.
func TestLongReportBehindAHeader(t *testing.T) {
	r := report{upTo: 1 << 20}
	for i := range uint32(deficits) {
		r.missing = append(r.missing, deficit{block: 2 * i, count: 1, need: 1})
	}
	alone := r.append(nil, 200)
	behind := r.append(make([]byte, headerSize), 200)
	if !bytes.Equal(behind[headerSize:], alone) {
		t.Errorf("behind a header %d bytes, alone %d", len(behind)-headerSize, len(alone))
	}
}

func TestTextsFit(t *testing.T) {
	for name, s := range map[string]string{
		"empty":               "",
		"longest":             strings.Repeat("x", 255),
		"too long":            strings.Repeat("x", 256),
		"cut in a character":  strings.Repeat("x", 254) + "é",
		"long characters":     strings.Repeat("𝄞", 100),
		"Latin-1":             "B\xfcro",
		"nothing but rubbish": strings.Repeat("\xff", 1000),
		"very long":           strings.Repeat("漢字", 1<<16),
	} {
		b := appendText(nil, s)
		d := decoder{b: b}
		got := d.text()
		if d.failed || len(d.b) > 0 {
			t.Errorf("%s: does not come through", name)
		}
		if len(b) != 1+len(got) || len(got) > textLimit || !utf8.ValidString(got) {
			t.Errorf("%s: %d bytes: %q", name, len(b), got)
		}
		if valid := strings.ToValidUTF8(s, ""); !strings.HasPrefix(valid, got) || len(got) < min(len(valid), textLimit-utf8.UTFMax+1) && utf8.ValidString(s) {
			t.Errorf("%s: got %q, which is not as much of it as fits", name, got)
		}
	}
	full := strings.Repeat("x", 1000)
	c := command{content: Content{Name: full}, reason: full}
	if n := headerSize + saltSize + len(c.append(nil)) + tagSize; n > packetLimit {
		t.Errorf("a command of the longest texts has %d bytes", n)
	}
}

func TestKindOf(t *testing.T) {
	long := make([]byte, 32)
	for first := range 256 {
		long[0] = byte(first)
		k, err := kindOf(long)
		if ok := first>>4 == 1; (err == nil) != ok || ok && k != kind(first&15) {
			t.Errorf("first byte %#x: kind %d, %v", first, k, err)
		}
	}
	long[0] = version<<4 | byte(kindData)
	for n := range len(long) {
		if _, err := kindOf(long[:n]); err == nil {
			t.Errorf("%d bytes have no room for header and tag, and were taken for a packet", n)
		}
	}
}

func FuzzCommand(f *testing.F) {
	rng := rand.New(rand.NewPCG(4, 6))
	for range 10 {
		c := randomCommand(rng)
		f.Add(c.append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeCommand(b)
		if err != nil {
			return
		}
		if c.content.Size < Unknown || blocks(max(c.content.Size, 0)) < 0 || blocks(max(c.content.Size, 0)) >= maxBlocks {
			t.Errorf("size %d was let through", c.content.Size)
		}
		if got, err := decodeCommand(c.append(nil)); err != nil || got != c {
			t.Errorf("again: got %+v, %v; want %+v", got, err, c)
		}
	})
}

func FuzzReport(f *testing.F) {
	rng := rand.New(rand.NewPCG(4, 7))
	for range 10 {
		r := randomReport(rng)
		f.Add(r.append(nil, symbolSize))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := decodeReport(b)
		if err != nil {
			return
		}
		next := uint64(r.from)
		for _, m := range r.missing {
			if uint64(m.block) < next || m.count == 0 || m.need == 0 || m.need > sourceSymbols {
				t.Errorf("run %+v after block %d was let through", m, next)
			}
			next = uint64(m.block) + uint64(m.count)
		}
		if next > uint64(r.upTo) {
			t.Errorf("the list goes to block %d, and says %d", next, r.upTo)
		}
		if got, err := decodeReport(r.append(nil, 10*len(b))); err != nil || !reflect.DeepEqual(got, r) {
			t.Errorf("again: got %+v, %v; want %+v", got, err, r)
		}
	})
}

// FuzzKind is for what is read of a packet before its seal.
func FuzzKind(f *testing.F) {
	f.Add(make([]byte, 31))
	f.Add(bytes.Repeat([]byte{0x11}, 32))
	f.Add(bytes.Repeat([]byte{0xff}, packetLimit))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := kindOf(b); err != nil {
			return
		}
		receiverOf(b)
		id, err := symbolIDOf(b)
		if err != nil {
			return
		}
		if id.sources == 0 || id.sources > sourceSymbols || id.symbol >= maxSymbols {
			t.Errorf("%+v was let through", id)
		}
		again := make([]byte, headerSize)
		putHeader(again, kind(b[0]&15), sessionOf(b), sequenceOf(b))
		if putSymbolID(again, id); !bytes.Equal(again, b[:headerSize]) {
			t.Errorf("header again: got %x, want %x", again, b[:headerSize])
		}
	})
}
