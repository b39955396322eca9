package multicast

import (
	"bytes"
	"crypto/cipher"
	"crypto/sha256"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"
)

// testKey and testSalt are numbers that count up, for packets that stay the same.
func testKey() (key Key) {
	for i := range key {
		key[i] = byte(i)
	}
	return key
}

func testSalt() (salt [saltSize]byte) {
	for i := range salt {
		salt[i] = byte(0xf0 + i)
	}
	return salt
}

func testSeals(t testing.TB, key Key, salt [saltSize]byte) seals {
	t.Helper()
	s, err := newSeals(key, salt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const testSession = 0xcafe0001

// sealedSymbol makes the packet of a symbol that is all i.
func sealedSymbol(s seals, sequence uint32, id symbolID, i byte) []byte {
	b := make([]byte, headerSize, packetLimit)
	putHeader(b, kindData, testSession, sequence)
	putSymbolID(b, id)
	return seal(s.sender, new(nonce), b, headerSize, bytes.Repeat([]byte{i}, symbolSize))
}

func sealedCommand(s seals, salt [saltSize]byte, sequence uint32, c command) []byte {
	b := make([]byte, headerSize, packetLimit)
	putHeader(b, kindCommand, testSession, sequence)
	b = append(b, salt[:]...)
	return seal(s.sender, new(nonce), b, len(b), c.append(nil))
}

func sealedReport(s seals, session uint32, id receiverID, counter uint32, r report) []byte {
	b := make([]byte, headerSize, packetLimit)
	copy(b[2:8], id[:])
	putHeader(b, kindReport, session, counter)
	return seal(s.receiver, new(nonce), b, headerSize, r.append(nil, symbolSize))
}

func sealedQuery(s seals, salt [saltSize]byte, id receiverID, counter uint32) []byte {
	b := make([]byte, headerSize, packetLimit)
	copy(b[2:8], id[:])
	putHeader(b, kindQuery, 0, counter)
	b = append(b, salt[:]...)
	return seal(s.receiver, new(nonce), b, len(b), nil)
}

// Keys, nonces and what is authenticated are part of the protocol. These packets were made with Python's cryptography.
func TestSealedLayout(t *testing.T) {
	s := testSeals(t, testKey(), testSalt())
	id := receiverID{1, 2, 3, 4, 5, 6}
	for name, test := range map[string]struct {
		packet []byte
		want   string
	}{
		"command": {sealedCommand(s, testSalt(), 7, command{content: Content{Name: "a", Size: 1}, phase: Sending}), goldenCommand},
		"report":  {sealedReport(s, testSession, id, 8, report{upTo: 1, missing: []deficit{{0, 1, 1}}}), goldenReport},
		"query":   {sealedQuery(s, testSalt(), id, 9), goldenQuery},
	} {
		if want := bytesOf(t, test.want); !bytes.Equal(test.packet, want) {
			t.Errorf("%s:\n got %x\nwant %x", name, test.packet, want)
		}
	}
	b := sealedSymbol(s, 10, symbolID{block: 3, symbol: 130, sources: 128}, 0x55)
	if got, want := sha256.Sum256(b), bytesOf(t, goldenSymbol); len(b) != packetLimit || !bytes.Equal(got[:], want) {
		t.Errorf("symbol: %d bytes, SHA-256 %x, want %x", len(b), got, want)
	}
}

const (
	goldenCommand = `
		1200000000000000cafe000100000007f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff
		1cd3dd42fbbf8076022613fcb6a4d6cedf451b5b3316d6ffbb74229160bf4bf5
		528ec06df1685a98a7c024b2990ee9f68205774270e7c8f6d3158d3d84083d02
		549b59fed667c890757ecf0a45fd8efc355e94
	`
	goldenReport = `
		1300010203040506cafe000100000008af3b855d745eac6da58823b0e9f42b52
		e244bd933c06f6c61206e5e54364fd5aed8a9f66f42fa03800f2c902e06e6849
		d52a631f2b2f`
	goldenQuery = `
		14000102030405060000000000000009f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff
		19f407677cefd7330118fada3150c80c`
	goldenSymbol = `
		3cabb0806083b0c2c18e5b7c0afd4f9cac34af78cb5e09e05350c6e45bfcc241`
)

// A sealed packet, and how it is opened.
type sealedPacket struct {
	b     []byte
	clear int
	with  func(seals) cipher.AEAD
	plain []byte
}

func sealedPackets(s seals) map[string]sealedPacket {
	c := command{content: Content{Name: "image", Size: 12345}, phase: Sending, pass: 1}
	r := report{upTo: 9, name: "pc1"}
	sender := func(s seals) cipher.AEAD { return s.sender }
	receiver := func(s seals) cipher.AEAD { return s.receiver }
	return map[string]sealedPacket{
		"symbol":  {sealedSymbol(s, 5, symbolID{2, 1, 128}, 7), headerSize, sender, bytes.Repeat([]byte{7}, symbolSize)},
		"command": {sealedCommand(s, testSalt(), 6, c), headerSize + saltSize, sender, c.append(nil)},
		"report":  {sealedReport(s, testSession, receiverID{1}, 7, r), headerSize, receiver, r.append(nil, symbolSize)},
		"query":   {sealedQuery(s, testSalt(), receiverID{1}, 8), headerSize + saltSize, receiver, nil},
	}
}

func TestSealedPacketsOpen(t *testing.T) {
	s := testSeals(t, testKey(), testSalt())
	for name, p := range sealedPackets(s) {
		got, err := open(p.with(s), new(nonce), nil, p.b, p.clear)
		if err != nil || !bytes.Equal(got, p.plain) {
			t.Errorf("%s: got %x, %v; want %x", name, got, err, p.plain)
		}
	}
}

// Every bit of a packet counts: those of the header and of the salt, too.
func TestChangedPacketsDoNotOpen(t *testing.T) {
	s := testSeals(t, testKey(), testSalt())
	for name, p := range sealedPackets(s) {
		for bit := range 8 * len(p.b) {
			b := slices.Clone(p.b)
			b[bit/8] ^= 1 << (bit % 8)
			keys := s
			if p.clear > headerSize { // as its receiver would
				keys = testSeals(t, testKey(), [saltSize]byte(b[headerSize:]))
			}
			if _, err := open(p.with(keys), new(nonce), nil, b, p.clear); err == nil {
				t.Errorf("%s: opened with bit %d of byte %d changed", name, bit%8, bit/8)
			}
		}
		for n := p.clear; n < len(p.b); n++ {
			if _, err := open(p.with(s), new(nonce), nil, p.b[:n], p.clear); err == nil {
				t.Errorf("%s: opened with %d of %d bytes", name, n, len(p.b))
			}
		}
		if _, err := open(p.with(s), new(nonce), nil, append(p.b, 0), p.clear); err == nil {
			t.Errorf("%s: opened with a byte too many", name)
		}
	}
}

func TestOtherKeysDoNotOpen(t *testing.T) {
	s := testSeals(t, testKey(), testSalt())
	key, salt := testKey(), testSalt()
	key[31] ^= 1
	salt[15] ^= 1
	for name, keys := range map[string]seals{
		"another key":              testSeals(t, key, testSalt()),
		"another session":          testSeals(t, testKey(), salt),
		"no key":                   testSeals(t, Key{}, testSalt()),
		"receivers' for sender's":  {sender: s.receiver, receiver: s.sender},
		"another session's, mixed": {sender: testSeals(t, key, salt).sender, receiver: testSeals(t, key, salt).sender},
	} {
		for kind, p := range sealedPackets(s) {
			if _, err := open(p.with(keys), new(nonce), nil, p.b, p.clear); err == nil {
				t.Errorf("%s: the %s opened", name, kind)
			}
		}
	}
}

// A symbol cannot be taken for another one, nor for one of another packet.
func TestSymbolMovedToAnotherPlace(t *testing.T) {
	s := testSeals(t, testKey(), testSalt())
	b := sealedSymbol(s, 5, symbolID{block: 2, symbol: 1, sources: 128}, 7)
	for name, header := range map[string][]byte{
		"symbol":   sealedSymbol(s, 5, symbolID{block: 2, symbol: 2, sources: 128}, 7),
		"block":    sealedSymbol(s, 5, symbolID{block: 3, symbol: 1, sources: 128}, 7),
		"sources":  sealedSymbol(s, 5, symbolID{block: 2, symbol: 1, sources: 127}, 7),
		"sequence": sealedSymbol(s, 6, symbolID{block: 2, symbol: 1, sources: 128}, 7),
	} {
		moved := slices.Concat(header[:headerSize], b[headerSize:])
		if _, err := open(s.sender, new(nonce), nil, moved, headerSize); err == nil {
			t.Errorf("opened as that of another %s", name)
		}
	}
}

// What is forged spoils nothing but the place that was meant for it.
func TestForgedSymbolStaysInItsPlace(t *testing.T) {
	s := testSeals(t, testKey(), testSalt())
	b := sealedSymbol(s, 5, symbolID{block: 2, symbol: 1, sources: 128}, 7)
	b[len(b)-1] ^= 1
	data := bytes.Repeat([]byte{9}, 3*symbolSize)
	if _, err := open(s.sender, new(nonce), data[symbolSize:symbolSize:2*symbolSize], b, headerSize); err == nil {
		t.Fatal("opened")
	}
	neighbours := slices.Concat(data[:symbolSize], data[2*symbolSize:])
	if !bytes.Equal(neighbours, bytes.Repeat([]byte{9}, 2*symbolSize)) {
		t.Error("the neighbours of a forged symbol were changed")
	}
}

// No two packets under one key may have the same nonce: those of a sender differ in the sequence, those of receivers in the receiver,
// its sequence, or the kind.
func TestNoncesDiffer(t *testing.T) {
	seen := map[nonce]string{}
	note := func(name string, header []byte) {
		var n nonce
		n.from(header)
		if before, ok := seen[n]; ok {
			t.Fatalf("%s has the nonce of %s", name, before)
		}
		seen[n] = name
	}
	rng := rand.New(rand.NewPCG(4, 8))
	for sequence := range uint32(1000) { // of the sender
		b := make([]byte, headerSize)
		if sequence%7 == 0 {
			putHeader(b, kindCommand, testSession, sequence)
		} else {
			putHeader(b, kindData, testSession, sequence)
			putSymbolID(b, symbolID{block: rng.Uint32N(4), symbol: uint16(rng.IntN(4)), sources: 128})
		}
		note("a sender's packet", b)
	}
	clear(seen)
	for receiver := range byte(20) {
		for sequence := range uint32(100) {
			b := make([]byte, headerSize)
			for _, k := range []kind{kindReport, kindQuery} {
				id := receiverID{0: receiver, 5: 1}
				copy(b[2:8], id[:])
				putHeader(b, k, testSession, sequence)
				note("a receiver's packet", b)
			}
		}
	}
}

// A bed is a receiver and a sender of a session that is under way, to throw datagrams at.
type bed struct {
	receiver *Receiver
	sender   *Sender
	from     netip.AddrPort
	valid    [4][]byte // packets that each would be taken, by their kind less one
}

func newBed(t testing.TB) *bed {
	t.Helper()
	net := newNetwork(1)
	host := net.host(0)
	group := netip.MustParseAddrPort("239.194.17.36:9000")
	d := &bed{from: netip.AddrPortFrom(host.addr, 9001)}
	image := newMemory(1, 3*BlockSize)

	var err error
	d.receiver, err = newReceiver(ReceiverConfig{Port: 9000, Group: group.Addr(), Key: testKey(), Sink: &memory{}, Memory: 16 << 20},
		net.open(host, group), net.open(host, netip.AddrPortFrom(host.addr, 20000)), []netip.AddrPort{d.from})
	if err != nil {
		t.Fatal(err)
	}
	s := testSeals(t, testKey(), testSalt())
	c := command{content: image.content, phase: Sending, pass: 1}
	d.receiver.take(sealedCommand(s, testSalt(), 1, c), d.from, true)
	d.receiver.take(sealedSymbol(s, 2, symbolID{0, 5, 128}, 1), d.from, true)
	d.receiver.take(sealedSymbol(s, 3, symbolID{0, 200, 128}, 2), d.from, true)
	if d.receiver.rec.symbols != 2 {
		t.Fatalf("the receiver took %d symbols, want 2", d.receiver.rec.symbols)
	}

	d.sender, err = newSender(SenderConfig{Session: Session{Port: 9000, Mode: FullDuplex, Group: group.Addr()}, Key: testKey(), Source: image}, net.open(host, d.from), group)
	if err != nil {
		t.Fatal(err)
	}
	d.sender.takeReport(sealedReport(d.sender.seals, d.sender.id, receiverID{1}, 1, report{upTo: 3, name: "pc1"}), d.from, new(nonce))
	if len(d.sender.plan.audience.list) != 1 {
		t.Fatal("the sender did not take the report")
	}
	d.valid = [4][]byte{
		sealedSymbol(s, 4, symbolID{0, 6, 128}, 3),
		sealedCommand(s, testSalt(), 5, c),
		sealedReport(d.sender.seals, d.sender.id, receiverID{2}, 1, report{upTo: 3}),
		sealedQuery(s, testSalt(), receiverID{3}, 1),
	}
	return d
}

// throw gives a datagram to both, whichever it is for.
func (d *bed) throw(b []byte) {
	d.receiver.derived, d.sender.derived = budget{}, budget{} // nobody is saved by having had too much
	d.receiver.take(b, d.from, true)
	d.receiver.take(b, d.from, false)
	if _, err := kindOf(b); err == nil {
		d.sender.takeReport(b, d.from, new(nonce))
		d.sender.takeQuery(b, d.from, new(nonce))
	}
}

// What a receiver and a sender know.
type knowledge struct {
	session            uint32
	from               netip.AddrPort
	command            command
	sequence, highest  uint32
	received           uint32
	lastAt, groupAt    time.Time
	symbols, useless   int64
	written            int64
	have               int64
	queued, incomplete int
	partial            [maxSymbols / 64]uint64 // of block 0
	data               [32]byte                // of its symbols
	failed             bool
	listeners          []listener
	replies            int
}

func (d *bed) knows() knowledge {
	r := &d.receiver.rec
	k := knowledge{
		session: d.receiver.session.id, from: d.receiver.session.from, command: r.command, sequence: r.commands, highest: r.highest,
		received: r.received, lastAt: r.lastAt, groupAt: r.groupAt, symbols: r.symbols, useless: r.useless,
		written: r.written, have: r.have.Len(), queued: r.queued, incomplete: len(r.partial),
		failed: d.receiver.failure != nil, replies: len(d.sender.replies),
	}
	if a := r.partial[0]; a != nil {
		k.partial = a.have
		k.data = sha256.Sum256(slices.Concat(a.data[5*symbolSize:6*symbolSize], a.repairs))
	}
	for _, l := range d.sender.plan.audience.list {
		k.listeners = append(k.listeners, *l)
	}
	return k
}

func TestValidPacketsAreTaken(t *testing.T) {
	for i := range 4 {
		d := newBed(t)
		before := d.knows()
		if d.throw(d.valid[i]); reflect.DeepEqual(d.knows(), before) {
			t.Errorf("a packet of kind %d changed nothing", i+1)
		}
	}
}

// FuzzDatagram throws datagrams at a receiver and a sender. Whatever is not sealed by the other side must change nothing.
func FuzzDatagram(f *testing.F) {
	d := newBed(f)
	for i := range byte(5) {
		f.Add(i, uint16(0), []byte{})
		f.Add(i, uint16(0), []byte{0, 1})
		f.Add(i, uint16(1), []byte{})
		f.Add(i, uint16(16), []byte{0: 1, 200: 2})
	}
	for _, b := range d.valid {
		f.Add(byte(0), uint16(0), b)
	}
	before := d.knows()
	f.Fuzz(func(t *testing.T, base byte, cut uint16, change []byte) {
		b := change
		if base %= 5; base > 0 { // a packet with some bits changed, and longer or shorter
			valid := d.valid[base-1]
			b = make([]byte, max(len(valid), len(change)))
			copy(b, valid)
			for i := range change {
				b[i] ^= change[i]
			}
			b = b[:len(b)-min(int(cut), len(b))]
		}
		if slices.ContainsFunc(d.valid[:], func(v []byte) bool { return bytes.Equal(b, v) }) {
			return
		}
		d.receiver.rec.lastAt, before.lastAt = time.Time{}, time.Time{} // a moment at which it would take up another session
		b = slices.Clip(b)
		original := slices.Clone(b)
		d.throw(b)
		if after := d.knows(); !reflect.DeepEqual(after, before) {
			t.Errorf("%d bytes that nobody sealed changed\n%+v to\n%+v", len(b), before, after)
		}
		if !bytes.Equal(b, original) {
			t.Error("the datagram itself was changed")
		}
	})
}
