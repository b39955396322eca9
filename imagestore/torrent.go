package imagestore

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"strconv"
)

const (
	pieceLen   = 4 << 20 // as OpenGnsys makes them
	maxTorrent = 64 << 20
	createdBy  = "Aula"
)

// A torrent is the metainfo of one file (BEP 3), private (BEP 27): its peers come from the announced tracker only. It says no
// dates, so that the same image always makes the same torrent.
type torrent struct {
	announce string // URL of the tracker; empty for none
	comment  string // MD5 of the file, as OpenGnsys writes it
	name     string
	length   int64
	pieces   []byte // SHA-1 of each pieceLen bytes
}

// encode returns the bencoded form. Keys of a dictionary must be sorted.
func (t torrent) encode() []byte {
	var b bytes.Buffer
	text := func(s string) { fmt.Fprintf(&b, "%d:%s", len(s), s) }
	number := func(n int64) { fmt.Fprintf(&b, "i%de", n) }
	b.WriteByte('d')
	if t.announce != "" {
		text("announce")
		text(t.announce)
	}
	text("comment")
	text(t.comment)
	text("created by")
	text(createdBy)
	text("info")
	b.WriteByte('d')
	text("length")
	number(t.length)
	text("name")
	text(t.name)
	text("piece length")
	number(pieceLen)
	text("pieces")
	text(string(t.pieces))
	text("private")
	number(1)
	b.WriteString("ee")
	return b.Bytes()
}

var errForeignTorrent = errors.New("torrent is not one that this program wrote")

// parseTorrent reads what encode wrote and refuses every other torrent.
func parseTorrent(data []byte) (torrent, error) {
	var t torrent
	p := bencoded{rest: data}
	p.expect("d")
	if bytes.HasPrefix(p.rest, []byte("8:announce")) {
		p.expect("8:announce")
		t.announce = p.text()
	}
	p.expect("7:comment")
	t.comment = p.text()
	p.expect("10:created by")
	p.text()
	p.expect("4:infod6:length")
	t.length = p.number()
	p.expect("4:name")
	t.name = p.text()
	p.expect("12:piece length")
	p.number()
	p.expect("6:pieces")
	t.pieces = []byte(p.text())
	// What is right writes itself again; the rest needs no rules.
	if p.bad || !bytes.Equal(t.encode(), data) || int64(len(t.pieces)) != (t.length+pieceLen-1)/pieceLen*sha1.Size {
		return torrent{}, errForeignTorrent
	}
	return t, nil
}

// bencoded is what is left of a bencoded text; after its first error it is bad.
type bencoded struct {
	rest []byte
	bad  bool
}

func (p *bencoded) expect(s string) {
	rest, ok := bytes.CutPrefix(p.rest, []byte(s))
	p.rest, p.bad = rest, p.bad || !ok
}

// until reads a number that ends with the byte end.
func (p *bencoded) until(end byte) int64 {
	const digits = 20 // more than any number has
	i := bytes.IndexByte(p.rest[:min(len(p.rest), digits)], end)
	if p.bad = p.bad || i < 0; p.bad {
		return 0
	}
	n, err := strconv.ParseInt(string(p.rest[:i]), 10, 64)
	p.rest, p.bad = p.rest[i+1:], err != nil || n < 0
	return n
}

func (p *bencoded) number() int64 {
	p.expect("i")
	return p.until('e')
}

func (p *bencoded) text() string {
	n := p.until(':')
	if p.bad = p.bad || n > int64(len(p.rest)); p.bad {
		return ""
	}
	s := string(p.rest[:n])
	p.rest = p.rest[n:]
	return s
}

// A pieceHash makes the SHA-1 of each piece of what is written to it.
type pieceHash struct {
	hash.Hash        // of the current piece
	room      int    // bytes that the current piece still takes
	sums      []byte // of the pieces that are complete
}

func newPieceHash() *pieceHash { return &pieceHash{Hash: sha1.New(), room: pieceLen} }

// Write implements io.Writer; it never fails.
func (h *pieceHash) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		n := min(len(p), h.room)
		h.Hash.Write(p[:n])
		h.room -= n
		p = p[n:]
		if h.room == 0 {
			h.sums = h.Hash.Sum(h.sums)
			h.Reset()
		}
	}
	return written, nil
}

// Reset begins a new piece.
func (h *pieceHash) Reset() {
	h.Hash.Reset()
	h.room = pieceLen
}

// Sum appends the sums of all pieces, also of the last one, which may be shorter.
func (h *pieceHash) Sum(b []byte) []byte {
	b = append(b, h.sums...)
	if h.room < pieceLen {
		b = h.Hash.Sum(b)
	}
	return b
}
