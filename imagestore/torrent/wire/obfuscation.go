package wire

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net"

	"github.com/anacrolix/torrent/mse"

	"aula/imagestore/torrent/metainfo"
)

// Accept reads the handshake of a peer that has connected. One that is obfuscated (Message Stream Encryption, which no BEP tells of) is
// understood when it is about a torrent that known yields; known is nil to take none. The connection to go on with is conn itself, unless
// the peer insists on RC4: where it leaves the choice, only the handshake is obfuscated, for RC4 costs a processor and keeps no secret.
//
// A deadline of conn ends the wait. After an error, conn is the caller's to close.
func Accept(conn net.Conn, known iter.Seq[metainfo.Hash]) (net.Conn, Handshake, error) {
	var b [HandshakeSize]byte
	if err := readGreeting(conn, b[:]); err != nil {
		return nil, Handshake{}, err
	}
	switch {
	case !isGreeting(b[:]) && known == nil:
		return nil, Handshake{}, noHandshake(b[:])
	case !isGreeting(b[:]):
		return acceptObfuscated(&replay{Conn: conn, head: b[:len(greeting)]}, known)
	}
	h, err := readRest(conn, &b)
	if err != nil {
		return nil, Handshake{}, err
	}
	return conn, h, nil
}

// acceptObfuscated reads what did not begin as a plain handshake does.
func acceptObfuscated(raw *replay, known iter.Seq[metainfo.Hash]) (net.Conn, Handshake, error) {
	var key metainfo.Hash
	keys := func(is func(key []byte) bool) {
		for key = range known {
			if more := is(key[:]); !more {
				return
			}
		}
	}
	stream, method, err := mse.ReceiveHandshake(context.Background(), raw, keys, choose)
	if err != nil {
		return nil, Handshake{}, fmt.Errorf("a peer begins with neither a handshake nor an obfuscated one of a torrent that is here: %w", err)
	}
	h, err := ReadHandshake(stream)
	if err != nil {
		return nil, Handshake{}, fmt.Errorf("in an obfuscated connection: %w", err)
	}
	if h.Hash != key {
		return nil, Handshake{}, fmt.Errorf("%w: torrent %s in a connection obfuscated by %s", ErrProtocol, h.Hash, key)
	}
	if method == mse.CryptoMethodRC4 {
		return &obfuscated{Conn: raw.Conn, stream: stream}, h, nil
	}

	// With its obfuscated handshake a peer may send the first bytes of what follows.
	raw.stopped = true
	rest, err := io.ReadAll(stream)
	if err != nil {
		return nil, Handshake{}, fmt.Errorf("reading on after an obfuscated handshake: %w", err)
	}
	if len(rest) > 0 {
		return &replay{Conn: raw.Conn, head: rest}, h, nil
	}
	return raw.Conn, h, nil
}

// choose takes of what a peer offers the one that costs nothing. A method that is none is refused.
func choose(offered mse.CryptoMethod) mse.CryptoMethod {
	if offered&mse.CryptoMethodPlaintext != 0 {
		return mse.CryptoMethodPlaintext
	}
	return offered & mse.CryptoMethodRC4
}

// Obfuscate begins the obfuscated handshake about a torrent on a connection that was made to a peer, and insists on RC4 for what follows: the
// handshake of BEP 3 is next. A deadline of conn ends the wait. A peer that does not know the torrent, or no obfuscation, closes the connection.
func Obfuscate(conn net.Conn, hash metainfo.Hash) (net.Conn, error) {
	stream, _, err := mse.InitiateHandshake(conn, hash[:], nil, mse.CryptoMethodRC4)
	if err != nil {
		return nil, fmt.Errorf("asking %s for an obfuscated connection: %w", conn.RemoteAddr(), err)
	}
	return &obfuscated{Conn: conn, stream: stream}, nil
}

// A replay reads first what was read of a connection before.
type replay struct {
	net.Conn
	head    []byte
	stopped bool // it ends here, whatever the connection has
}

func (r *replay) Read(b []byte) (int, error) {
	if r.stopped {
		return 0, io.EOF
	}
	if len(r.head) > 0 {
		n := copy(b, r.head)
		r.head = r.head[n:]
		return n, nil
	}
	return r.Conn.Read(b)
}

// obfuscated is a connection whose bytes go through RC4. One goroutine may read and one write at a time.
type obfuscated struct {
	net.Conn
	stream io.ReadWriter
	broken error // of a write: what came after it would be read as noise
}

// cipherStep is how many bytes are ciphered at a time: the stream keeps a buffer as large as the most that it was ever given.
const cipherStep = 16 << 10

func (o *obfuscated) Read(b []byte) (int, error) { return o.stream.Read(b[:min(len(b), cipherStep)]) }

func (o *obfuscated) Write(b []byte) (int, error) {
	written := 0
	for o.broken == nil && written < len(b) {
		var n int
		n, o.broken = o.stream.Write(b[written:min(written+cipherStep, len(b))])
		written += n
	}
	return written, o.broken
}
