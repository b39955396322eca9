package sender

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"aula/clientos/protocol"
	"aula/imagestore/multicast"
)

const (
	// linger is for how long a session waits for PCs that fell silent, when the others are complete: who comes later begins the next one.
	linger = 20 * time.Second
	// settling is how long a PC takes, at most, from having been let in until the sender hears of it.
	settling = 5 * time.Second
	// breath is how long nobody must have asked before a session begins: PCs that nobody awaits any more may be about to ask.
	breath = time.Second
	// abandoned is how long a session that nobody is in waits for those that were let in.
	abandoned = time.Minute
	// grace is how long after a start of the server the PCs of a session of before have to find each other: they ask again when it has been silent for some
	// seconds.
	grace = 15 * time.Second
	// brokenFor is how long a session that could not read its images is not begun anew.
	brokenFor  = time.Minute
	watchEvery = 250 * time.Millisecond
)

// A session is one multicast.Sender, from the first PC that asks on.
type session struct {
	order order
	ready chan struct{} // closed when it listens, or cannot
	over  chan struct{} // closed when it has ended and is forgotten
	// Once ready.
	told    protocol.Session
	refused *Refusal // when it cannot listen

	mu       sync.Mutex
	joined   map[string]bool // PCs
	last     time.Time       // when one of them asked
	startNow bool
	sender   *multicast.Sender // nil until it listens
}

func newSession(o order) *session {
	return &session{order: o, ready: make(chan struct{}), over: make(chan struct{}), joined: make(map[string]bool)}
}

func (n *session) enter(computerID string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.joined[computerID], n.last = true, time.Now()
}

// wait waits until the session listens. again tells that it has listened, and is over.
func (n *session) wait(ctx context.Context) (again bool, err error) {
	select {
	case <-n.ready:
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
	if n.refused != nil {
		return false, n.refused
	}
	if n.sending().Status().Phase != multicast.Ended {
		return false, nil
	}
	select {
	case <-n.over:
		return true, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// sending returns the sender, or nil while it does not listen.
func (n *session) sending() *multicast.Sender {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.sender
}

func (n *session) start() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.startNow = true
	if n.sender != nil {
		n.sender.Start()
	}
}

// listens lets the PCs in that wait.
func (n *session) listens(sender *multicast.Sender, told protocol.Session) {
	n.mu.Lock()
	n.sender = sender
	if n.startNow {
		sender.Start()
	}
	n.mu.Unlock()
	n.told = told
	close(n.ready)
}

// run is a session from its beginning to its end.
func (s *Senders) run(ctx context.Context, n *session) {
	defer close(n.over)
	defer s.leave(n)
	log := s.cfg.Log.With("session", n.order.session, "images", n.order.name())
	c, err := openContent(s.cfg.Images, n.order)
	if err != nil {
		s.giveUp(n, log, err)
		return
	}
	defer c.close()
	key := multicast.NewKey()
	sender, port, err := s.listen(ctx, n.order, multicast.SenderConfig{
		Session: n.order.how, Key: key, Source: c, Interface: s.cfg.Interface, Linger: linger, Log: log,
	})
	if err != nil {
		s.giveUp(n, log, err)
		return
	}
	defer s.freePort(port)
	told := protocol.Session{Server: s.cfg.Address.String(), Port: port, Key: key[:]}
	if n.order.how.Mode != multicast.Broadcast {
		told.Group = n.order.how.Group.String()
	}
	log.Info("multicast session begins", "port", port, "wanted", n.order.how.Port, "group", told.Group, "bytes", c.about.Size)
	n.listens(sender, told)
	s.report(n, log, s.send(ctx, n, sender))
}

// giveUp tells the PCs that wait why there is no session.
func (s *Senders) giveUp(n *session, log *slog.Logger, err error) {
	log.Warn("no multicast session", "error", err)
	s.leave(n) // before they hear of it and ask again
	n.refused = refusal(err)
	close(n.ready)
}

// listen makes the sender on the port that is wanted, or the next one that is free.
func (s *Senders) listen(ctx context.Context, o order, cfg multicast.SenderConfig) (sender *multicast.Sender, port int, err error) {
	tried := make(map[int]bool)
	for {
		if port, err = s.takePort(o.how.Port, tried); err != nil {
			return nil, 0, err
		}
		cfg.Session.Port = port
		sender, err = multicast.NewSender(ctx, cfg)
		if err == nil {
			return sender, port, nil
		}
		s.freePort(port)
		if !errors.Is(err, syscall.EADDRINUSE) {
			return nil, 0, err
		}
		tried[port] = true // another program of this machine has it
	}
}

// send sends until all are complete, or have been given up.
func (s *Senders) send(ctx context.Context, n *session, sender *multicast.Sender) error {
	ctx, end := context.WithCancelCause(ctx)
	var watcher sync.WaitGroup
	watcher.Go(func() { s.watch(ctx, n, sender, end) })
	err := sender.Run(ctx)
	end(nil)
	watcher.Wait()
	return err
}

var errNobody = errors.New("nobody came")

// watch has the session begin when nobody else is expected, and ends one to which nobody comes.
func (s *Senders) watch(ctx context.Context, n *session, sender *multicast.Sender, end context.CancelCauseFunc) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		status := sender.Status()
		if status.Phase != multicast.Waiting {
			return // it ends by itself
		}
		now := time.Now()
		switch n.decide(now, here(status), s.cfg.Awaited(n.order.session), s.restarted(now)) {
		case begin:
			sender.Start()
		case forget:
			end(errNobody)
			return
		}
	}
}

// here counts the PCs that are in a session.
func here(status multicast.SenderStatus) (n int) {
	for _, r := range status.Receivers {
		if r.State != multicast.Silent && r.State != multicast.Failed {
			n++
		}
	}
	return n
}

// A decision is what becomes of a session that has not begun to send.
type decision int

const (
	await  decision = iota // as the session's parameters say
	begin                  // to send
	forget                 // it
)

// decide tells what becomes of a session that has not begun to send, in which so many PCs are and for which so many more are expected; others may come
// when the server has just been restarted.
func (n *session) decide(now time.Time, here, awaited int, restarted bool) decision {
	n.mu.Lock()
	defer n.mu.Unlock()
	quiet := now.Sub(n.last)
	switch {
	case here == 0 && (quiet > abandoned || awaited < 0 && quiet > settling):
		return forget
	case here > 0 && awaited <= 0 && (here >= len(n.joined) && quiet > breath && !restarted || quiet > settling):
		return begin
	}
	return await
}

// report notes how a session has ended.
func (s *Senders) report(n *session, log *slog.Logger, err error) {
	var incomplete *multicast.IncompleteError
	var unreadable *Refusal
	switch {
	case err == nil:
		log.Info("multicast session is complete")
	case errors.As(err, &incomplete):
		log.Warn("multicast session has ended", "error", err)
	case errors.As(err, &unreadable):
		log.Error("multicast session cannot go on", "error", err)
		s.mu.Lock()
		s.broken[n.order.session] = broken{unreadable, time.Now()}
		s.mu.Unlock()
	case errors.Is(err, errNobody), errors.Is(err, context.Canceled):
		log.Info("multicast session is stopped", "reason", err)
	default:
		log.Error("multicast session has failed: PCs ask for the next one", "error", err)
	}
}
