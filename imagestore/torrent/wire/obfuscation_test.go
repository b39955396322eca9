package wire

import (
	"bytes"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/anacrolix/torrent/mse"

	"aula/imagestore/torrent/metainfo"
)

// A wiretap is a connection whose reads come through something, and whose written bytes are kept.
type wiretap struct {
	net.Conn
	in      io.Reader
	mu      sync.Mutex
	written bytes.Buffer
}

func (w *wiretap) Read(b []byte) (int, error) { return w.in.Read(b) }

func (w *wiretap) Write(b []byte) (int, error) {
	w.mu.Lock()
	w.written.Write(b)
	w.mu.Unlock()
	return w.Conn.Write(b)
}

func (w *wiretap) saw(b []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Contains(w.written.Bytes(), b)
}

// pair is the two ends of a connection, which read through something and are closed with the test.
func pair(t testing.TB, through func(io.Reader) io.Reader) (client, server *wiretap) {
	a, b := net.Pipe()
	for _, c := range []net.Conn{a, b} {
		c.SetDeadline(time.Now().Add(time.Minute))
		t.Cleanup(func() { c.Close() })
	}
	return &wiretap{Conn: a, in: through(a)}, &wiretap{Conn: b, in: through(b)}
}

func straight(r io.Reader) io.Reader { return r }

var ways = map[string]func(io.Reader) io.Reader{"as it is": straight, "by bytes": iotest.OneByteReader}

func these(hashes ...metainfo.Hash) iter.Seq[metainfo.Hash] { return slices.Values(hashes) }

// inBackground runs f beside the test, which waits for its error.
func inBackground(f func() error) (wait func() error) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return func() error { return <-done }
}

// checkTalk sends bytes both ways at once, and looks whether they come through.
func checkTalk(t *testing.T, a, b net.Conn) {
	t.Helper()
	rng := rand.New(rand.NewPCG(6, 1))
	long := randomBytes(rng, 3*cipherStep+5)
	var waits []func() error
	for _, c := range []struct{ from, to net.Conn }{{a, b}, {b, a}} {
		waits = append(waits,
			inBackground(func() error {
				_, err := c.from.Write(long)
				return err
			}),
			inBackground(func() error {
				got := make([]byte, len(long))
				if _, err := io.ReadFull(c.to, got); err != nil {
					return err
				}
				if !bytes.Equal(got, long) {
					return errors.New("other bytes came than were sent")
				}
				return nil
			}))
	}
	for _, wait := range waits {
		if err := wait(); err != nil {
			t.Error(err)
		}
	}
}

func TestAcceptTakesAPlainHandshake(t *testing.T) {
	h, b := example()
	for name, through := range ways {
		for _, known := range []iter.Seq[metainfo.Hash]{nil, these(), these(h.Hash)} {
			client, server := pair(t, through)
			sent := inBackground(func() error {
				_, err := client.Write(b)
				return err
			})
			got, said, err := Accept(server, known)
			if err != nil || said != h {
				t.Fatalf("%s: Accept = %+v, %v, want %+v", name, said, err, h)
			}
			if got != net.Conn(server) {
				t.Errorf("%s: the connection to go on with is %T, not the one that was accepted", name, got)
			}
			if err := sent(); err != nil {
				t.Fatal(err)
			}
			checkTalk(t, client, got)
		}
	}
}

func TestObfuscated(t *testing.T) {
	h, b := example()
	others := these(metainfo.Hash{1}, metainfo.Hash{2}, h.Hash, metainfo.Hash{3})
	for name, through := range ways {
		client, server := pair(t, through)
		var out net.Conn
		sent := inBackground(func() (err error) {
			if out, err = Obfuscate(client, h.Hash); err != nil {
				return err
			}
			_, err = out.Write(b)
			return err
		})
		got, said, err := Accept(server, others)
		if err != nil || said != h {
			t.Fatalf("%s: Accept = %+v, %v, want %+v", name, said, err, h)
		}
		if err := sent(); err != nil {
			t.Fatal(err)
		}
		checkTalk(t, out, got)
		for _, secret := range [][]byte{[]byte(greeting), h.Hash[:], h.Peer[:]} {
			if client.saw(secret) {
				t.Errorf("%s: %q can be read on the way", name, secret)
			}
		}
	}
}

// A peer that offers both is taken by what costs nothing; what it sent with its handshake is not lost.
func TestObfuscatedHandshakeOnly(t *testing.T) {
	h, b := example()
	for name, through := range ways {
		for _, with := range []string{"", "interested"} {
			client, server := pair(t, through)
			payload := append(bytes.Clone(b), with...)
			sent := inBackground(func() error {
				_, method, err := mse.InitiateHandshake(client, h.Hash[:], payload, mse.AllSupportedCrypto)
				if err == nil && method != mse.CryptoMethodPlaintext {
					err = errors.New("RC4 was chosen")
				}
				return err
			})
			got, said, err := Accept(server, these(h.Hash))
			if err != nil || said != h {
				t.Fatalf("%s: Accept = %+v, %v, want %+v", name, said, err, h)
			}
			if err := sent(); err != nil {
				t.Fatal(err)
			}
			if with == "" && got != net.Conn(server) {
				t.Errorf("%s: the connection to go on with is %T, not the one that was accepted", name, got)
			}
			first := make([]byte, len(with))
			if _, err := io.ReadFull(got, first); err != nil || string(first) != with {
				t.Errorf("%s: with the handshake came %q, %v, want %q", name, first, err, with)
			}
			checkTalk(t, client, got)
		}
	}
}

func TestObfuscatedStrangersAreRefused(t *testing.T) {
	h, b := example()
	other := metainfo.Hash{9}
	for name, c := range map[string]struct {
		key     metainfo.Hash
		offers  mse.CryptoMethod
		payload []byte
		known   iter.Seq[metainfo.Hash]
		want    error // nil for any
	}{
		"a torrent that is not here":  {other, mse.CryptoMethodRC4, b, these(h.Hash, metainfo.Hash{8}), mse.ErrNoSecretKeyMatch},
		"no torrent is here":          {h.Hash, mse.CryptoMethodRC4, b, these(), mse.ErrNoSecretKeyMatch},
		"obfuscation is not spoken":   {h.Hash, mse.CryptoMethodRC4, b, nil, ErrProtocol},
		"a method that is none":       {h.Hash, 4, b, these(h.Hash), nil},
		"the handshake is of another": {other, mse.CryptoMethodRC4, b, these(other), ErrProtocol},
		"no handshake in it":          {h.Hash, mse.CryptoMethodRC4, bytes.Repeat([]byte("x"), HandshakeSize), these(h.Hash), ErrProtocol},
	} {
		client, server := pair(t, straight)
		sent := inBackground(func() error {
			mse.InitiateHandshake(client, c.key[:], c.payload, c.offers)
			return nil
		})
		got, said, err := Accept(server, c.known)
		if err == nil || got != nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: Accept = %v, %+v, %v, want %v", name, got, said, err, c.want)
		}
		server.Close()
		sent()
	}
}

// Whoever dials gets an error from a peer that closes, and does not wait for ever.
func TestObfuscateIsRefused(t *testing.T) {
	h, _ := example()
	client, server := pair(t, straight)
	refused := inBackground(func() error {
		_, _, err := Accept(server, these(metainfo.Hash{1}))
		server.Close()
		return err
	})
	if conn, err := Obfuscate(client, h.Hash); err == nil {
		t.Errorf("Obfuscate = %v, and no error", conn)
	}
	if err := refused(); !errors.Is(err, mse.ErrNoSecretKeyMatch) {
		t.Errorf("Accept: %v, want %v", err, mse.ErrNoSecretKeyMatch)
	}
}

func TestADeadlineEndsAccept(t *testing.T) {
	_, b := example()
	noise := bytes.Repeat([]byte{0xa5}, 300)
	for _, said := range [][]byte{nil, b[:10], b[:40], noise[:10], noise[:30], noise[:96], noise} {
		client, server := pair(t, straight)
		go io.Copy(io.Discard, client.Conn) // ends when the test closes it
		sent := inBackground(func() error {
			_, err := client.Write(said)
			server.SetReadDeadline(time.Now())
			return err
		})
		if _, h, err := Accept(server, these(metainfo.Hash{1})); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d bytes: Accept = %+v, %v, want the deadline", len(said), h, err)
		}
		server.Close()
		sent()
	}
}

// After a write that failed half-way the cipher is out of step: later writes fail, too.
func TestObfuscatedWriteThatFailed(t *testing.T) {
	h, b := example()
	client, server := pair(t, straight)
	accepted := inBackground(func() error {
		_, _, err := Accept(server, these(h.Hash))
		return err
	})
	out, err := Obfuscate(client, h.Hash)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := accepted(); err != nil {
		t.Fatal(err)
	}
	out.SetWriteDeadline(time.Now())
	for range 3 {
		if n, err := out.Write(make([]byte, 100)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write = %d, %v, want the deadline", n, err)
		}
		out.SetWriteDeadline(time.Now().Add(time.Minute))
	}
}

// FuzzAccept connects and says anything.
func FuzzAccept(f *testing.F) {
	h, b := example()
	f.Add(b)
	f.Add(b[:30])
	f.Add(bytes.Repeat([]byte{0}, 700))
	f.Add(bytes.Repeat([]byte{0xff}, 700))
	f.Fuzz(func(t *testing.T, said []byte) {
		client, server := pair(t, straight)
		go func() {
			client.Write(said)
			client.Close()
		}()
		drained := inBackground(func() error {
			_, err := io.Copy(io.Discard, client.Conn)
			return err
		})
		_, got, err := Accept(server, these(h.Hash))
		server.Close()
		drained()
		if plain := len(said) >= HandshakeSize && isGreeting(said); plain != (err == nil) {
			t.Errorf("%q: Accept = %+v, %v", said, got, err)
		}
	})
}
