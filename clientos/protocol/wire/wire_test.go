package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"aula/clientos/protocol"
)

// pair connects two ends over memory, so that silence can be tested in a synctest bubble.
func pair(t *testing.T) (agent, server *Conn) {
	t.Helper()
	up, down := newCable()
	accepted := make(chan *Conn, 1)
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := Accept(w, r)
		if err != nil {
			t.Errorf("Accept: %v", err)
		}
		accepted <- c
	})}
	listener := &oneConn{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	listener.conn <- down
	go web.Serve(listener)
	t.Cleanup(func() { web.Close() })

	agent = newConn()
	ws, _, err := websocket.Dial(t.Context(), "http://server"+protocol.SessionPath, &websocket.DialOptions{
		OnPingReceived: agent.onPing,
		HTTPClient: &http.Client{Transport: &http.Transport{
			DialContext:       func(context.Context, string, string) (net.Conn, error) { return up, nil },
			DisableKeepAlives: true,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	agent.start(ws, protocol.MaxServerMessage)
	server = <-accepted
	t.Cleanup(func() { agent.Drop(); server.Drop(); agent.work.Wait(); server.work.Wait() })
	return agent, server
}

// A cableEnd is one end of a connection in memory that, like TCP and unlike net.Pipe, holds some pieces on the way.
type cableEnd struct {
	in, out chan []byte
	rest    []byte
	cut     chan struct{} // shared by both ends
	once    *sync.Once
}

func newCable() (a, b net.Conn) {
	there, back, cut, once := make(chan []byte, 16), make(chan []byte, 16), make(chan struct{}), new(sync.Once)
	return &cableEnd{in: back, out: there, cut: cut, once: once}, &cableEnd{in: there, out: back, cut: cut, once: once}
}

func (c *cableEnd) Read(p []byte) (int, error) {
	for len(c.rest) == 0 {
		select {
		case c.rest = <-c.in:
		case <-c.cut:
			return 0, io.EOF
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *cableEnd) Write(p []byte) (int, error) {
	select {
	case c.out <- bytes.Clone(p):
		return len(p), nil
	case <-c.cut:
		return 0, net.ErrClosed
	}
}

func (c *cableEnd) Close() error {
	c.once.Do(func() { close(c.cut) })
	return nil
}

func (c *cableEnd) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *cableEnd) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *cableEnd) SetDeadline(time.Time) error      { return nil }
func (c *cableEnd) SetReadDeadline(time.Time) error  { return nil }
func (c *cableEnd) SetWriteDeadline(time.Time) error { return nil }

// A oneConn is a listener of one connection.
type oneConn struct {
	conn   chan net.Conn
	closed chan struct{}
}

func (l *oneConn) Accept() (net.Conn, error) {
	select {
	case c := <-l.conn:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *oneConn) Close() error {
	close(l.closed)
	return nil
}

func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }

func TestMessagesArriveInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		agent, server := pair(t)
		for _, id := range []string{"a", "b", "c"} {
			if err := server.Send(protocol.Message{Cancel: &protocol.Cancel{ID: id}}); err != nil {
				t.Fatal(err)
			}
		}
		for _, id := range []string{"a", "b", "c"} {
			m, err := agent.Receive(t.Context())
			if err != nil || m.Cancel == nil || m.Cancel.ID != id {
				t.Fatalf("received %+v, %v; want cancel %s", m, err, id)
			}
		}
	})
}

func TestQuietConnectionStaysOpen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		agent, server := pair(t)
		go agent.Receive(context.Background())
		ended := make(chan error, 1)
		go func() {
			_, err := server.Receive(context.Background())
			ended <- err
		}()
		time.Sleep(10 * time.Minute)
		select {
		case err := <-ended:
			t.Fatalf("ended though both sides live: %v", err)
		default:
		}
		if quiet := time.Since(server.Heard()); quiet > protocol.PingInterval {
			t.Errorf("nothing heard for %v, want pings each %v", quiet, protocol.PingInterval)
		}
	})
}

func TestSilentSideIsGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, server := pair(t) // the agent's end is never read: it answers no ping
		start := time.Now()
		_, err := server.Receive(context.Background())
		if err == nil {
			t.Fatal("a message came from nowhere")
		}
		if took := time.Since(start); took > protocol.SilenceLimit {
			t.Errorf("given up after %v, want at most %v", took, protocol.SilenceLimit)
		}
	})
}

func TestCloseTellsWhy(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		agent, server := pair(t)
		go server.Receive(context.Background())
		long := "Es hört nicht auf: " + strings.Repeat("ñ", 200)
		go server.Close(protocol.CloseDenied, long)
		_, err := agent.Receive(context.Background())
		var closed *CloseError
		if !errors.As(err, &closed) || closed.Code != protocol.CloseDenied {
			t.Fatalf("received %v, want close code %d", err, protocol.CloseDenied)
		}
		if len(closed.Reason) > protocol.MaxReason || !utf8.ValidString(closed.Reason) || !strings.HasPrefix(long, closed.Reason) {
			t.Errorf("reason %q", closed.Reason)
		}
	})
}

func TestFullQueueIsToldAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, server := pair(t)
		var err error
		for range 10 * queueLength {
			if err = server.Send(protocol.Message{Cancel: &protocol.Cancel{ID: strings.Repeat("x", 10000)}}); err != nil {
				break
			}
		}
		if !errors.Is(err, ErrFull) {
			t.Errorf("Send to a side that reads nothing: %v, want ErrFull", err)
		}
		server.Drop()
		if err := server.Send(protocol.Message{}); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Send on a closed connection: %v, want net.ErrClosed", err)
		}
	})
}

func TestHugeMessageIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		agent, server := pair(t)
		go agent.Receive(context.Background())
		if err := agent.Send(protocol.Message{Cancel: &protocol.Cancel{ID: strings.Repeat("x", protocol.MaxAgentMessage)}}); err != nil {
			t.Fatal(err)
		}
		if m, err := server.Receive(context.Background()); err == nil {
			t.Errorf("took a message of %d bytes", len(m.Cancel.ID))
		}
	})
}

func TestAcceptWantsAWebSocket(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	if _, err := Accept(w, httptest.NewRequest("GET", protocol.SessionPath, nil)); err == nil || w.Code != http.StatusUpgradeRequired {
		t.Errorf("a plain request: %v and %d, want an error and 426", err, w.Code)
	}
}
