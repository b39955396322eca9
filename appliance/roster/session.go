package roster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"reflect"
	"sync"
	"time"

	"aula/appliance/catalog"
	"aula/clientos/protocol"
	"aula/clientos/protocol/wire"
)

// Limits of a session's beginning.
const (
	helloLimit = 15 * time.Second
	// probeLimit is how long a connected PC has to answer when another one claims to be it.
	probeLimit = 5 * time.Second
)

// A session is one connection of one PC.
type session struct {
	computer string
	key      protocol.Key
	mac      string
	address  netip.Addr
	version  string
	since    time.Time
	conn     *wire.Conn
	done     chan struct{} // closed when the roster has said all about this session to Work
	dismiss  chan struct{} // closed when the operator removed the computer
	once     sync.Once     // guards dismiss

	refreshing sync.Mutex // keeps what is sent in the order in which it was read

	mu   sync.Mutex
	told protocol.Welcome // the last that was sent

	// calls keeps the calls to Work in order. Nothing that Work may call back takes it.
	calls     sync.Mutex
	announced bool             // Work knows of the session
	left      bool             // Work hears nothing more of it
	running   *protocol.Report // what the PC said that it holds, until Work knows of the session
}

func (s *session) welcome() protocol.Welcome {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.told
}

func (s *session) gone() bool {
	select {
	case <-s.conn.Done():
		return true
	default:
		return false
	}
}

func (s *session) public() Session {
	told := s.welcome()
	return Session{
		ComputerID: s.computer, Address: s.address, Since: s.since, LastHeard: s.conn.Heard(),
		Version: s.version, State: told.State, Code: told.Code,
	}
}

// enqueue sends a message, or gives the PC up that does not take what is sent to it.
func (s *session) enqueue(m protocol.Message) error {
	err := s.conn.Send(m)
	if errors.Is(err, wire.ErrFull) {
		s.conn.Drop()
	}
	return err
}

// serveSession is one connection from its beginning to its end.
func (r *Roster) serveSession(w http.ResponseWriter, req *http.Request) {
	key, address, ok := caller(w, req)
	if !ok {
		return
	}
	select {
	case r.strangers <- struct{}{}:
	default:
		http.Error(w, "too many PCs connect at once: try again", http.StatusServiceUnavailable)
		return
	}
	inside := false
	defer func() {
		if !inside {
			<-r.strangers
		}
	}()
	conn, err := wire.Accept(w, req)
	if err != nil {
		return // wire has answered
	}
	log := r.cfg.Log.With("address", address)
	hello, err := r.hear(conn)
	if err != nil {
		log.Warn("agent not understood", "error", err)
		conn.Close(protocol.CloseMalformed, fmt.Sprintf("The server does not understand this client OS: %v", err))
		return
	}
	s := &session{
		key: key, mac: hello.MAC, address: address, version: hello.Version,
		since: r.cfg.Now(), conn: conn, done: make(chan struct{}), dismiss: make(chan struct{}),
		running: hello.Running,
	}
	old, err := r.letIn(s, hello)
	if err != nil {
		r.refuse(conn, log.With("mac", hello.MAC), err)
		return
	}
	inside = true
	<-r.strangers
	defer r.leave(s)
	log = log.With("computer", s.computer, "mac", s.mac)
	if old != nil {
		old.conn.Close(protocol.CloseReplaced, "This PC has connected again.")
		<-old.done
	}
	log.Info("agent connected", "version", s.version, "boot", hello.Boot, "state", s.welcome().State)
	r.announce(s)
	r.cfg.Arrived(s.mac)
	r.cfg.Changed(s.computer)
	r.listen(s, log)
}

// caller tells who makes a request: by its key, whatever else is in its certificate.
func caller(w http.ResponseWriter, req *http.Request) (protocol.Key, netip.Addr, bool) {
	if req.TLS == nil || len(req.TLS.PeerCertificates) == 0 || req.TLS.Version < tls.VersionTLS13 {
		http.Error(w, "agents connect by TLS 1.3 with a certificate", http.StatusForbidden)
		return protocol.Key{}, netip.Addr{}, false
	}
	from, err := netip.ParseAddrPort(req.RemoteAddr)
	if err != nil {
		http.Error(w, "no peer address", http.StatusBadRequest)
		return protocol.Key{}, netip.Addr{}, false
	}
	return protocol.KeyOf(req.TLS.PeerCertificates[0]), from.Addr().Unmap(), true
}

// hear reads the first message.
func (r *Roster) hear(conn *wire.Conn) (protocol.Hello, error) {
	ctx, cancel := context.WithTimeout(context.Background(), helloLimit)
	defer cancel()
	m, err := conn.Receive(ctx)
	if err != nil {
		return protocol.Hello{}, err
	}
	if m.Hello == nil {
		return protocol.Hello{}, errors.New("the first message is not hello")
	}
	h := *m.Hello
	if err := h.Check(); err != nil {
		return protocol.Hello{}, err
	}
	h.Bound()
	h.MAC, err = protocol.NormalizeMAC(h.MAC)
	return h, err
}

// letIn admits the PC and puts its session in the place of the one that it had, which is returned. A connected PC with another
// key that claims to be the same computer is asked for a sign of life: a PC that lost power comes back sooner than its silence shows.
func (r *Roster) letIn(s *session, h protocol.Hello) (old *session, err error) {
	const attempts = 3
	for range attempts {
		old, err = r.tryLetIn(s, h)
		var occ *occupant
		if !errors.As(err, &occ) {
			return old, err
		}
		if occ.s.conn.Alive(context.Background(), probeLimit) {
			r.cfg.Log.Warn("second PC with the address of a connected one refused", "mac", h.MAC, "address", s.address,
				"computer", occ.s.computer, "connected from", occ.s.address)
			return nil, &denial{protocol.CloseDuplicate, fmt.Sprintf("Another PC with the address %s is connected, from %s.", h.MAC, occ.s.address)}
		}
		occ.s.conn.Close(protocol.CloseReplaced, "This PC has started again.")
		<-occ.s.done
	}
	return nil, err
}

func (r *Roster) tryLetIn(s *session, h protocol.Hello) (old *session, err error) {
	r.admission.Lock()
	defer r.admission.Unlock()
	c, err := r.admit(h, s.key, s.address)
	if err != nil {
		return nil, err
	}
	s.computer = c.ID
	s.told, err = r.welcomeFor(c, s.key)
	if err != nil {
		return nil, err
	}
	// Welcome is in the queue before anybody can find the session and send through it.
	welcome := s.told
	if err := s.conn.Send(protocol.Message{Welcome: &welcome}); err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	old = r.sessions[c.ID]
	r.sessions[c.ID] = s
	return old, nil
}

// refuse closes a connection that is not let in.
func (r *Roster) refuse(conn *wire.Conn, log *slog.Logger, err error) {
	var d *denial
	if errors.As(err, &d) {
		log.Warn("agent refused", "code", d.code, "reason", d.reason)
		conn.Close(d.code, d.reason)
		return
	}
	log.Error("agent could not be let in", "error", err)
	conn.Close(protocol.CloseRestarting, "The server could not record this PC: its log says why.")
}

// welcomeFor says what the PC of computer c is to be told.
func (r *Roster) welcomeFor(c catalog.Computer, key protocol.Key) (protocol.Welcome, error) {
	w := protocol.Welcome{State: c.State, Computer: c.Name, Time: r.cfg.Now()}
	if c.State != protocol.Accepted {
		w.State = protocol.Pending
		w.Code = protocol.PairingCode(r.cfg.Identity.key, key)
		return w, nil
	}
	room, err := r.cfg.Catalog.Classroom(c.ClassroomID)
	switch {
	case errors.Is(err, catalog.ErrNotFound):
	case err != nil:
		return protocol.Welcome{}, err
	default:
		w.Classroom = room.Name
	}
	return w, nil
}

// refresh tells a PC what has changed about it in the catalog.
func (r *Roster) refresh(s *session) {
	s.refreshing.Lock()
	defer s.refreshing.Unlock()
	c, err := r.cfg.Catalog.Computer(s.computer)
	if errors.Is(err, catalog.ErrNotFound) {
		s.once.Do(func() { close(s.dismiss) })
		return
	}
	if err != nil {
		r.cfg.Log.Error("computer of a session", "computer", s.computer, "error", err)
		return
	}
	w, err := r.welcomeFor(c, s.key)
	if err != nil {
		r.cfg.Log.Error("classroom of a session", "computer", s.computer, "error", err)
		return
	}
	s.mu.Lock()
	before := s.told
	before.Time = w.Time
	same := reflect.DeepEqual(before, w)
	s.told = w
	s.mu.Unlock()
	if same {
		return
	}
	if err := s.enqueue(protocol.Message{Welcome: &w}); err != nil {
		return // the session is ending, the next one begins with Welcome
	}
	r.announce(s)
	r.cfg.Changed(s.computer)
}

// announce tells Work, once, of the session of an accepted PC and of what that PC holds.
func (r *Roster) announce(s *session) {
	s.calls.Lock()
	defer s.calls.Unlock()
	if s.announced || s.left || s.welcome().State != protocol.Accepted {
		return
	}
	s.announced = true
	r.cfg.Work.Connected(s.computer, s.running)
}

// listen takes what the PC says until its connection ends.
func (r *Roster) listen(s *session, log *slog.Logger) {
	ended := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-r.stopping:
			s.conn.Close(protocol.CloseRestarting, "The server is restarting. This PC connects again.")
		case <-s.dismiss:
			s.conn.Close(protocol.CloseForgotten, "The operator removed this PC. It connects again as a new one.")
		case <-ended:
		}
	})
	defer watcher.Wait()
	defer close(ended)
	for {
		m, err := s.conn.Receive(context.Background())
		if err == nil {
			err = r.take(s, m)
		}
		if err != nil {
			log.Info("agent disconnected", "reason", err)
			s.conn.Close(protocol.CloseMalformed, err.Error())
			return
		}
	}
}

// take acts on one message.
func (r *Roster) take(s *session, m protocol.Message) error {
	switch {
	case m.Report != nil:
		if err := m.Report.Check(); err != nil {
			return err
		}
		m.Report.Bound()
		s.calls.Lock()
		defer s.calls.Unlock()
		if s.announced {
			r.cfg.Work.Report(s.computer, *m.Report)
		}
	case m.Inventory != nil:
		if err := m.Inventory.Check(); err != nil {
			return err
		}
		m.Inventory.Bound()
		own := func(c catalog.Computer) error {
			if c.ID != s.computer {
				return fmt.Errorf("it is the inventory of computer %s", c.ID)
			}
			return nil
		}
		if _, err := r.cfg.Catalog.ObserveIf(s.mac, s.address.String(), *m.Inventory, r.cfg.Now(), own); err != nil {
			r.cfg.Log.Error("record an inventory", "computer", s.computer, "error", err)
			return nil
		}
		r.cfg.Changed(s.computer)
	default:
		return errors.New("a message that an agent does not send")
	}
	return nil
}

// leave ends a session. Work hears of it unless the PC has connected again already.
func (r *Roster) leave(s *session) {
	s.conn.Close(protocol.CloseRestarting, "")
	r.mu.Lock()
	last := r.sessions[s.computer] == s
	if last {
		delete(r.sessions, s.computer)
	}
	r.mu.Unlock()
	s.calls.Lock()
	s.left = true
	if last && s.announced {
		r.cfg.Work.Disconnected(s.computer)
	}
	s.calls.Unlock()
	close(s.done)
	r.cfg.Changed(s.computer)
}
