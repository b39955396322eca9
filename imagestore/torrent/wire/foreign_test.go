package wire

import (
	"bytes"
	"context"
	"crypto/sha1"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"aula/imagestore/torrent/metainfo"
)

// foreign programs, as they are told to speak RC4 and with nobody but whom their tracker names.
var foreign = map[string]struct {
	name string // as it tells by its peer ID
	args func(port string) []string
	// martian says that it connects to nobody on this machine.
	martian bool
	// slow says that it asks for blocks ten seconds later.
	slow bool
}{
	"aria2c": {name: "aria2 1.", args: func(port string) []string {
		return []string{"--no-conf", "--enable-dht=false", "--enable-peer-exchange=false", "--bt-enable-lpd=false", "--listen-port=" + port,
			"--bt-require-crypto=true", "--bt-min-crypto-level=arc4"}
	}},
	"transmission-cli": {name: "Transmission ", martian: true, slow: true, args: func(port string) []string {
		return []string{"--config-dir", "config", "--download-dir", ".", "--no-portmap", "--encryption-required", "--port", port}
	}},
}

const foreignPieces = 20

// TestForeignPrograms meets programs that download a torrent which nobody else has, at both ends: their obfuscation, handshakes, and first messages.
func TestForeignPrograms(t *testing.T) {
	for program, f := range foreign {
		t.Run(program, func(t *testing.T) {
			if _, err := exec.LookPath(program); err != nil {
				t.Skipf("SKIPPED, NOT TESTED: %s is not installed", program)
			}
			here := listenHere(t)
			tracker, asked := trackerOf(t, here.Addr().(*net.TCPAddr))
			torrent, hash := unfindable(tracker)
			port := listenHere(t)
			_, number, _ := net.SplitHostPort(port.Addr().String())
			port.Close()
			start(t, torrent, program, f.args(number)...)

			for _, incoming := range []bool{true, false} {
				if incoming && f.martian {
					continue
				}
				conn, h := meet(t, incoming, here, asked, hash)
				if h.Hash != hash || !h.Fast || !h.Extended || !strings.HasPrefix(h.Peer.Client(), f.name) {
					t.Errorf("incoming %t: it shakes hands with %+v, by %q (%q)", incoming, h, h.Peer.Client(), h.Peer)
				}
				if _, is := conn.(*obfuscated); !is {
					t.Errorf("incoming %t: RC4 is not spoken", incoming)
				}
				converse(t, conn, !f.slow)
			}
		})
	}
}

func listenHere(t *testing.T) *net.TCPListener {
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	l.SetDeadline(time.Now().Add(time.Minute))
	return l
}

// trackerOf answers everybody with one peer, and tells the ports that it is told.
func trackerOf(t *testing.T, peer *net.TCPAddr) (url string, ports <-chan string) {
	told := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case told <- r.FormValue("port"):
		default:
		}
		fmt.Fprintf(w, "d8:intervali1800e5:peers6:%s%se", []byte(peer.IP.To4()), []byte{byte(peer.Port >> 8), byte(peer.Port)})
	}))
	t.Cleanup(server.Close)
	return server.URL + "/announce", told
}

// unfindable is a private torrent of a file that nobody has.
func unfindable(tracker string) (torrent []byte, hash metainfo.Hash) {
	info := fmt.Sprintf("d6:lengthi%de4:name8:test.bin12:piece lengthi65536e6:pieces%d:%s7:privatei1ee",
		foreignPieces<<16, 20*foreignPieces, strings.Repeat("no such piece at all", foreignPieces))
	return fmt.Appendf(nil, "d8:announce%d:%s4:info%se", len(tracker), tracker, info), sha1.Sum([]byte(info))
}

// start runs the program, in an empty folder that is its home, until the test ends.
func start(t *testing.T, torrent []byte, program string, args ...string) {
	home := t.TempDir()
	path := filepath.Join(home, "test.torrent")
	if err := os.WriteFile(path, torrent, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, append(args, path)...)
	var said bytes.Buffer
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = home, append(os.Environ(), "HOME="+home), &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		end()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", program, &said)
		}
	})
}

// meet waits for the program, or goes to it, and shakes hands.
func meet(t *testing.T, incoming bool, here net.Listener, asked <-chan string, hash metainfo.Hash) (net.Conn, Handshake) {
	own := Handshake{Hash: hash, Peer: NewPeerID(), Fast: true, Extended: true}.Append(nil)
	if incoming {
		raw, err := here.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { raw.Close() })
		raw.SetDeadline(time.Now().Add(time.Minute))
		conn, h, err := Accept(raw, these(hash))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(own); err != nil {
			t.Fatal(err)
		}
		return conn, h
	}

	var port string
	select {
	case port = <-asked:
	case <-time.After(time.Minute):
		t.Fatal("it does not ask its tracker")
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		t.Fatal(err)
	}
	raw, err := net.Dial("tcp4", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(time.Minute))
	conn, err := Obfuscate(raw, hash)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(own); err != nil {
		t.Fatal(err)
	}
	h, err := ReadHandshake(conn)
	if err != nil {
		t.Fatal(err)
	}
	return conn, h
}

// converse tells the program that all pieces are here, and waits until it has told of its extensions and, where that is wanted, asked for a block.
func converse(t *testing.T, conn net.Conn, wanted bool) {
	b := Message{Kind: Extended, Body: Extensions{Client: "Aula", Requests: 64, DontHave: 7}.Append(nil)}.Append(nil)
	b = Message{Kind: HaveAll}.Append(b)
	b = Message{Kind: Unchoke}.Append(b)
	if _, err := conn.Write(b); err != nil {
		t.Fatal(err)
	}
	r := NewReader(conn, foreignPieces, BlockSize)
	for extended, requested := false, !wanted; !extended || !requested; {
		m, err := r.Next()
		if err != nil {
			t.Fatalf("before it has told of its extensions (%t) and asked for a block (%t): %v", extended, requested, err)
		}
		switch {
		case m.Kind == Extended && m.Number == 0:
			e, err := ParseExtensions(m.Body)
			if err != nil || e.Client == "" || e.Block != 0 {
				t.Errorf("%q: ParseExtensions = %+v, %v", m.Body, e, err)
			}
			extended = true
		case m.Kind == Request:
			if m.Length != BlockSize || m.Begin%BlockSize != 0 {
				t.Errorf("it asks for %+v", m)
			}
			requested = true
		}
	}
}
