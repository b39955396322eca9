// Package sender runs the multicast sessions of operations: one begins when the first PC asks to join it, sends when all that are awaited have come
// or none came for as long as its parameters say, and serves those that come late.
//
// It decides nothing about operations; it keeps no state across a restart, after which PCs ask again. The content of a session is known by the digests
// of its images, so that a PC goes on with what it has.
package sender

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"aula/clientos/protocol"
	"aula/imagestore"
	"aula/imagestore/multicast"
)

// Images is where the files that are sent come from; imagestore.Library is one.
type Images interface {
	Revision(repository, name string, revision int) (imagestore.Image, error)
	Hold(repository, name string, revision int, holder string) (release func(), err error)
	OpenFile(repository, name string, revision int) (*os.File, error)
}

// A Config gives Senders what they work with. All fields are required except where it says otherwise.
type Config struct {
	Images    Images
	Interface string     // to send on; empty: the only one that is up and has an IPv4 address
	Address   netip.Addr // of the appliance on Interface
	// Awaited tells how many PCs, that have not asked yet, a session must still expect; negative when the session has ended. It must not block, and may
	// be nil: then nobody knows, and sessions wait as their parameters say.
	Awaited func(session string) int
	Log     *slog.Logger
}

// Senders are the sessions that are being sent. Their methods are safe for concurrent use.
type Senders struct {
	cfg   Config
	grace time.Duration // after the start, in which PCs of sessions of before come back

	mu       sync.Mutex
	life     context.Context // of Run, nil before; sessions begin in Join, which is called by others
	since    time.Time       // when Run began
	sessions map[string]*session
	broken   map[string]broken // sessions that could not read their images
	ports    map[int]bool      // in use by a session
	open     sync.WaitGroup    // sessions
}

// A broken session is not begun anew for a while: the PCs hear why instead.
type broken struct {
	why *Refusal
	at  time.Time
}

// New makes Senders. Nothing is sent before Run.
func New(cfg Config) (*Senders, error) {
	if cfg.Images == nil || cfg.Log == nil || !cfg.Address.Is4() {
		return nil, errors.New("sender: images, an IPv4 address and log are required")
	}
	if cfg.Awaited == nil {
		cfg.Awaited = func(string) int { return 1 }
	}
	return &Senders{cfg: cfg, grace: grace, sessions: make(map[string]*session), broken: make(map[string]broken), ports: make(map[int]bool)}, nil
}

// Run sends until ctx ends; then it ends all sessions, and returns nil. It is called once.
func (s *Senders) Run(ctx context.Context) error {
	s.mu.Lock()
	s.life, s.since = ctx, time.Now()
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	s.life = nil // from now on no session begins
	s.mu.Unlock()
	s.open.Wait()
	return nil
}

// Join lets a PC, called name by people, into the session of its instruction, which begins if it has not. A PC may ask as often as it likes. It answers
// when the session listens, within seconds. An error is a *Refusal, or that of ctx.
func (s *Senders) Join(ctx context.Context, computerID, name string, in protocol.Instruct) (protocol.Session, error) {
	order, err := orderOf(in, s.cfg.Address)
	if err != nil {
		return protocol.Session{}, err
	}
	for {
		n, err := s.enter(computerID, order)
		if err != nil {
			return protocol.Session{}, err
		}
		again, err := n.wait(ctx)
		switch {
		case err != nil:
			return protocol.Session{}, err
		case again: // it has just ended: the PC begins the next one
			continue
		}
		s.cfg.Log.Info("a PC joins a multicast session", "session", n.order.session, "computer", computerID, "name", name, "port", n.told.Port)
		return n.told, nil
	}
}

// enter notes that a PC wants to be in a session, which begins if it has not.
func (s *Senders) enter(computerID string, o order) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life == nil {
		return nil, later("the server is starting or stopping", "wait a while")
	}
	s.forgetBroken(time.Now())
	if b, ok := s.broken[o.session]; ok {
		return nil, b.why
	}
	n := s.sessions[o.session]
	if n == nil {
		n = newSession(o)
		s.sessions[o.session] = n
		s.open.Go(func() { s.run(s.life, n) })
	}
	if !slices.Equal(n.order.images, o.images) {
		return nil, refuse(protocol.ErrJoin, fmt.Sprintf("session %s sends %s, and this PC is to have %s", o.session, n.order.name(), o.name()),
			"start the operation again from the console")
	}
	n.enter(computerID)
	return n, nil
}

// forgetBroken forgets the broken sessions that may be begun anew. The caller holds s.mu.
func (s *Senders) forgetBroken(now time.Time) {
	maps.DeleteFunc(s.broken, func(_ string, b broken) bool { return now.Sub(b.at) >= brokenFor })
}

// leave forgets a session that has ended: who asks from now on begins the next one.
func (s *Senders) leave(n *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.sessions[n.order.session] == n {
		delete(s.sessions, n.order.session)
	}
}

// The ports of sessions, as OpenGnsys has them.
const (
	firstPort = 9000
	lastPort  = 9098
)

// takePort finds a port that no other session has and that was not tried yet: the one that is wanted, or the next.
func (s *Senders) takePort(wanted int, tried map[int]bool) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	candidates := []int{wanted}
	for port := wanted + 2; port <= lastPort; port += 2 {
		candidates = append(candidates, port)
	}
	for port := firstPort; port < min(wanted, lastPort+2); port += 2 {
		candidates = append(candidates, port)
	}
	for _, port := range candidates {
		if !s.ports[port] && !tried[port] {
			s.ports[port] = true
			return port, nil
		}
	}
	return 0, later(fmt.Sprintf("the ports from %d to %d are all taken by multicast sessions or other programs", firstPort, lastPort),
		"wait until a session has ended")
}

func (s *Senders) freePort(port int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.ports, port)
}

// Start has a session begin with those that are there, or with the first that comes.
func (s *Senders) Start(session string) {
	if n := s.session(session); n != nil {
		n.start()
	}
}

// Status tells how far a session is; false when it is not being sent.
func (s *Senders) Status(session string) (multicast.SenderStatus, bool) {
	n := s.session(session)
	if n == nil {
		return multicast.SenderStatus{}, false
	}
	sender := n.sending()
	if sender == nil {
		return multicast.SenderStatus{}, false
	}
	return sender.Status(), true
}

// restarted tells whether PCs may still come back whose session has ended with the server that ran before. Nobody awaits them: they were there.
func (s *Senders) restarted(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return now.Sub(s.since) < s.grace
}

func (s *Senders) session(id string) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[id]
}
