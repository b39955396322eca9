// Package wire is the connection of a session: it carries protocol messages over one WebSocket, pings, and closes a
// connection on which nothing was heard for protocol.SilenceLimit. Both ends use it. It knows nothing of what the messages mean.
package wire

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/coder/websocket"

	"aula/clientos/protocol"
)

// ErrFull is answered by Send when the other side has not taken the messages that are waiting for it.
var ErrFull = errors.New("too many messages wait to be sent")

// A CloseError is how the other side closed the connection.
type CloseError struct {
	Code   int
	Reason string
}

func (e *CloseError) Error() string {
	if e.Reason == "" {
		return fmt.Sprintf("session closed by the other side with code %d", e.Code)
	}
	return e.Reason
}

// queueLength is the number of messages that may wait. A PC gets one instruction at a time, and an agent merges its reports.
const queueLength = 64

const (
	writeLimit = protocol.SilenceLimit
	helloLimit = 15 * time.Second // from dialling to the end of the handshakes
)

// A Conn is one open connection. Receive is for one goroutine; the other methods are safe for concurrent use.
type Conn struct {
	ws    *websocket.Conn
	queue chan []byte
	heard atomic.Int64 // Unix nanoseconds
	done  chan struct{}
	once  sync.Once
	work  sync.WaitGroup
}

// Dial opens a session with the server at address (HOST:PORT).
func Dial(ctx context.Context, address string, config *tls.Config) (*Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, helloLimit)
	defer cancel()
	transport := &http.Transport{
		DialContext:         (&net.Dialer{Timeout: helloLimit, KeepAlive: protocol.PingInterval}).DialContext,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: helloLimit,
		DisableKeepAlives:   true,
	}
	c := newConn()
	ws, _, err := websocket.Dial(ctx, "https://"+address+protocol.SessionPath, &websocket.DialOptions{
		HTTPClient:     &http.Client{Transport: transport},
		OnPingReceived: c.onPing,
	})
	if err != nil {
		return nil, err
	}
	return c.start(ws, protocol.MaxServerMessage), nil
}

// Accept answers a PC that opens a session; after an error it has written the HTTP answer.
func Accept(w http.ResponseWriter, r *http.Request) (*Conn, error) {
	c := newConn()
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{OnPingReceived: c.onPing})
	if err != nil {
		return nil, err
	}
	return c.start(ws, protocol.MaxAgentMessage), nil
}

func newConn() *Conn {
	return &Conn{queue: make(chan []byte, queueLength), done: make(chan struct{})}
}

func (c *Conn) start(ws *websocket.Conn, limit int64) *Conn {
	ws.SetReadLimit(limit)
	c.ws = ws
	c.hear()
	c.work.Add(2)
	go c.write()
	go c.ping()
	return c
}

// Heard returns when anything last came from the other side.
func (c *Conn) Heard() time.Time { return time.Unix(0, c.heard.Load()) }

func (c *Conn) hear() { c.heard.Store(time.Now().UnixNano()) }

func (c *Conn) onPing(context.Context, []byte) bool {
	c.hear()
	return true
}

// Send puts a message in the queue and does not wait until it is sent; nil means that it is sent unless the connection breaks.
func (c *Conn) Send(m protocol.Message) error {
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("message: %w", err)
	}
	select {
	case <-c.done:
		return net.ErrClosed
	default:
	}
	select {
	case c.queue <- text:
		return nil
	default:
		return ErrFull
	}
}

// Receive waits for the next message. When the other side closed the connection the error is a *CloseError. A message
// that cannot be understood is an error too, after which the connection is of no use.
func (c *Conn) Receive(ctx context.Context) (protocol.Message, error) {
	_, text, err := c.ws.Read(ctx)
	if err != nil {
		var closed websocket.CloseError
		if errors.As(err, &closed) {
			return protocol.Message{}, &CloseError{Code: int(closed.Code), Reason: closed.Reason}
		}
		return protocol.Message{}, err
	}
	c.hear()
	var m protocol.Message
	if err := json.Unmarshal(text, &m); err != nil {
		return protocol.Message{}, fmt.Errorf("message of %d bytes: %w", len(text), err)
	}
	return m, nil
}

// Done is closed when the connection is.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Alive asks the other side for a sign of life and waits for it at most limit.
func (c *Conn) Alive(ctx context.Context, limit time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if c.ws.Ping(ctx) != nil {
		return false
	}
	c.hear()
	return true
}

// Close closes the connection, telling the other side a code and a reason for people, which is cut to protocol.MaxReason bytes.
// Only the first call has an effect. It waits at most a few seconds for the other side.
func (c *Conn) Close(code int, reason string) {
	c.once.Do(func() {
		close(c.done)
		// The handshake's error is of no interest: the other side may be long gone.
		_ = c.ws.Close(websocket.StatusCode(code), cut(reason, protocol.MaxReason))
	})
	c.work.Wait()
}

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// write sends what is in the queue until the connection ends.
func (c *Conn) write() {
	defer c.work.Done()
	for {
		select {
		case <-c.done:
			return
		case text := <-c.queue:
			ctx, cancel := context.WithTimeout(context.Background(), writeLimit)
			err := c.ws.Write(ctx, websocket.MessageText, text)
			cancel()
			if err != nil {
				c.Drop()
				return
			}
		}
	}
}

// ping asks for a sign of life every PingInterval; a silent connection is closed at most SilenceLimit after the last one.
func (c *Conn) ping() {
	defer c.work.Done()
	tick := time.NewTicker(protocol.PingInterval)
	defer tick.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-tick.C:
			if !c.Alive(context.Background(), protocol.SilenceLimit-protocol.PingInterval) {
				c.Drop()
				return
			}
		}
	}
}

// Drop closes a connection whose other side does not answer, without waiting for it.
func (c *Conn) Drop() {
	c.once.Do(func() {
		close(c.done)
		_ = c.ws.CloseNow()
	})
}
