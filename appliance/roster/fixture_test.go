package roster_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"aula/appliance/catalog"
	"aula/appliance/roster"
	"aula/clientos/agent"
	"aula/clientos/agent/screen"
	"aula/clientos/deployment"
	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/clientos/protocol/wire"
	"aula/imagestore"
)

// patience is how long a test waits for what must come. It passes only when something is broken.
const patience = 30 * time.Second

// A server is an appliance as far as the agents see it, on loopback, with the real catalog and repository.
type server struct {
	t       *testing.T
	dir     string
	reserve int64 // of the repository
	now     func() time.Time

	sessions roster.Sessions // nil for none

	*roster.Roster
	catalog *catalog.Catalog
	images  *imagestore.Repository
	attic   *imagestore.Repository // the second one of the library
	work    *work
	pin     string
	address string
	web     *http.Server
	stop    func()
}

// newServer starts one with empty folders.
func newServer(t *testing.T) *server {
	t.Helper()
	return newServerWith(t, nil)
}

// newServerWith is newServer with multicast sessions.
func newServerWith(t *testing.T, sessions roster.Sessions) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), now: time.Now, work: newWork(), sessions: sessions}
	s.start()
	return s
}

// start starts the server, again on the same port if it ran before.
func (s *server) start() {
	s.t.Helper()
	var err error
	s.catalog, err = catalog.Open(filepath.Join(s.dir, "catalog.db"))
	check(s.t, err)
	s.images, err = imagestore.Open(filepath.Join(s.dir, "images"), imagestore.Options{Name: "main", Reserve: s.reserve, Log: quiet()})
	check(s.t, err)
	s.attic, err = imagestore.Open(filepath.Join(s.dir, "attic"), imagestore.Options{Name: "attic", Log: quiet()})
	check(s.t, err)
	identity, err := roster.LoadIdentity(s.dir)
	check(s.t, err)
	s.pin = identity.Pin()
	s.Roster, err = roster.New(roster.Config{
		Catalog: s.catalog, Images: imagestore.NewLibrary(s.images, s.attic), Identity: identity, Work: s.work, Sessions: s.sessions, Log: quiet(),
		Now: func() time.Time { return s.now() },
	})
	check(s.t, err)
	s.work.roster = s.Roster

	if s.address == "" {
		s.address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", s.address)
	check(s.t, err)
	s.address = listener.Addr().String()
	web := &http.Server{
		Handler: s.Handler(), TLSConfig: s.TLSConfig(), ReadHeaderTimeout: patience,
		// Shorter than any transfer of these tests would have to be if it counted.
		ReadTimeout: time.Second, WriteTimeout: time.Second,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0),
	}
	s.web = web
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() { _ = web.ServeTLS(listener, "", "") })
	group.Go(func() {
		if err := s.Run(ctx); err != nil {
			s.t.Errorf("Run: %v", err)
		}
	})
	s.stop = sync.OnceFunc(func() {
		cancel()
		_ = web.Shutdown(context.Background())
		group.Wait()
		if err := errors.Join(s.images.Close(), s.attic.Close(), s.catalog.Close()); err != nil {
			s.t.Errorf("close: %v", err)
		}
	})
	s.t.Cleanup(func() { s.stop() })
}

// ticket gives one for the PC.
func (s *server) ticket(mac string) string {
	s.t.Helper()
	ticket, err := s.IssueTicket(mac, netip.MustParseAddr("127.0.0.1"))
	check(s.t, err)
	return ticket
}

// accept puts a pending computer into a classroom.
func (s *server) accept(mac, name string) catalog.Computer {
	s.t.Helper()
	c, err := s.catalog.ComputerByMAC(mac)
	check(s.t, err)
	rooms, err := s.catalog.Classrooms()
	check(s.t, err)
	if len(rooms) == 0 {
		centre, err := s.catalog.AddCentre("School")
		check(s.t, err)
		room, err := s.catalog.AddClassroom(centre.ID, "Room 3")
		check(s.t, err)
		rooms = append(rooms, room)
	}
	c, err = s.catalog.AcceptComputer(c.ID, rooms[0].ID, name)
	check(s.t, err)
	return c
}

// A pc is an agent that runs.
type pc struct {
	mac     string
	board   *screen.Board
	stop    func()
	outcome chan string
}

type carryFunc = func(context.Context, deployment.Env, protocol.Instruct, func(deployment.Progress)) (deployment.Result, error)

// boot starts an agent with a new ticket.
func (s *server) boot(mac string, carry carryFunc) *pc {
	s.t.Helper()
	return s.bootWith(agent.Config{MAC: mac, Ticket: s.ticket(mac), Pin: s.pin, Carry: carry})
}

func (s *server) bootWith(cfg agent.Config) *pc {
	s.t.Helper()
	p := &pc{mac: cfg.MAC, board: screen.NewBoard(screen.State{Phase: screen.Starting}), outcome: make(chan string, 1)}
	cfg.Server, cfg.Version, cfg.Board, cfg.Log = s.address, "test", p.board, quiet()
	cfg.Folder = s.t.TempDir()
	cfg.Inventory = func(context.Context) (protocol.Inventory, error) { return inventory(cfg.MAC), nil }
	a, err := agent.New(cfg)
	check(s.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		outcome, _ := a.Run(ctx)
		p.outcome <- outcome
	})
	p.stop = func() {
		cancel()
		group.Wait()
	}
	s.t.Cleanup(p.stop)
	return p
}

// accepted boots a PC and brings it into a classroom.
func (s *server) accepted(mac, name string, carry carryFunc) (*pc, catalog.Computer) {
	s.t.Helper()
	p := s.boot(mac, carry)
	p.waitFor(s.t, screen.Pending)
	c := s.accept(mac, name)
	p.waitFor(s.t, screen.Ready)
	return p, c
}

// waitFor waits until the PC's screen shows a phase and returns what it shows.
func (p *pc) waitFor(t *testing.T, phase screen.Phase) screen.State {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		changed := p.board.Changed()
		state := p.board.State()
		if state.Phase == phase {
			return state
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("the screen of %s shows %q, want phase %q", p.mac, screen.Line(state), phase)
		}
	}
}

func inventory(mac string) protocol.Inventory {
	return protocol.Inventory{
		Firmware: "bios", Vendor: "Aula", NICs: []protocol.NIC{{Name: "eth0", MAC: mac, Link: true}},
		Disks: []disk.Disk{{Number: 1, Path: "/dev/loop0", Bytes: 1 << 30, SectorSize: 512, Partitions: []disk.Partition{}}},
	}
}

// A work stands for the operations: it remembers what the roster said, and settles verdicts.
type work struct {
	roster *roster.Roster

	mu       sync.Mutex
	calls    []string // in order
	reports  []protocol.Report
	running  map[string]*protocol.Report
	orders   map[string]protocol.Instruct // by computer
	unwilled bool                         // verdicts are not settled
	images   []imagestore.Image
	failures []protocol.Failure
	hold     chan struct{} // reports are not taken until it is closed, if it is there
	changed  chan struct{}
}

func newWork() *work {
	return &work{running: map[string]*protocol.Report{}, orders: map[string]protocol.Instruct{}, changed: make(chan struct{})}
}

func (w *work) note(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
	close(w.changed)
	w.changed = make(chan struct{})
}

func (w *work) call(format string, args ...any) {
	w.note(func() { w.calls = append(w.calls, fmt.Sprintf(format, args...)) })
}

// until waits until f, which is called with w locked, answers true.
func (w *work) until(t *testing.T, what string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		w.mu.Lock()
		ok, changed := f(), w.changed
		w.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s; calls: %q", what, w.calls)
		}
	}
}

func (w *work) called(call string) func() bool {
	return func() bool {
		for _, c := range w.calls {
			if c == call {
				return true
			}
		}
		return false
	}
}

func (w *work) order(computerID string, in protocol.Instruct) {
	w.note(func() { w.orders[computerID] = in })
}

func (w *work) Connected(computerID string, running *protocol.Report) {
	w.note(func() {
		w.running[computerID] = running
		w.calls = append(w.calls, "connected "+computerID)
	})
}

func (w *work) Disconnected(computerID string) { w.call("disconnected %s", computerID) }

func (w *work) Report(computerID string, r protocol.Report) {
	settle, hold := false, (chan struct{})(nil)
	w.note(func() {
		w.reports = append(w.reports, r)
		settle, hold = r.Final() && !w.unwilled, w.hold
	})
	if hold != nil {
		<-hold
	}
	if settle {
		_ = w.roster.Settle(computerID, r.ID)
	}
}

func (w *work) Entitled(computerID, instructionID string) (protocol.Instruct, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	in := w.orders[computerID]
	return in, in.ID != "" && in.ID == instructionID
}

func (w *work) Reading(computerID, repository, image string, revision int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.orders[computerID].Parts, func(p protocol.Part) bool {
		return p.Image.Repository == repository && p.Image.Name == image && p.Image.Revision == revision
	})
}

func (w *work) Publishing(computerID, instructionID string, done, total int64) {
	w.call("publishing %s", instructionID)
}

func (w *work) Published(computerID, instructionID string, img imagestore.Image) {
	w.note(func() {
		w.images = append(w.images, img)
		w.calls = append(w.calls, "published "+instructionID)
	})
}

func (w *work) CaptureFailed(computerID, instructionID string, f protocol.Failure) {
	w.note(func() {
		w.failures = append(w.failures, f)
		w.calls = append(w.calls, "failed "+instructionID)
	})
}

// A stranger speaks the protocol by hand.
type stranger struct {
	t    *testing.T
	tls  *tls.Config
	key  protocol.Key
	boot string
}

func newStranger(t *testing.T) *stranger {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	check(t, err)
	leaf, err := x509.ParseCertificate(der)
	check(t, err)
	return &stranger{t: t, boot: rand.Text(), key: protocol.KeyOf(leaf), tls: &tls.Config{
		InsecureSkipVerify: true,
		Certificates:       []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}}
}

// hello opens a session and returns the first answer.
func (x *stranger) hello(s *server, mac, ticket string) (*wire.Conn, protocol.Message, error) {
	x.t.Helper()
	return x.say(s, protocol.Hello{Ticket: ticket, MAC: mac, Inventory: inventory(mac)})
}

// say is hello with all that a PC may say in it.
func (x *stranger) say(s *server, h protocol.Hello) (*wire.Conn, protocol.Message, error) {
	x.t.Helper()
	h.Version, h.Boot = "test", x.boot
	conn, err := wire.Dial(x.t.Context(), s.address, x.tls)
	check(x.t, err)
	x.t.Cleanup(conn.Drop)
	check(x.t, conn.Send(protocol.Message{Hello: &h}))
	m, err := conn.Receive(x.t.Context())
	return conn, m, err
}

// denied requires that the server refuses, with a code, and returns the reason.
func (x *stranger) denied(s *server, mac, ticket string, code int) string {
	x.t.Helper()
	_, m, err := x.hello(s, mac, ticket)
	var closed *wire.CloseError
	if !errors.As(err, &closed) || closed.Code != code {
		x.t.Fatalf("hello was answered by %+v, %v; want close code %d", m, err, code)
	}
	return closed.Reason
}

// request makes an HTTPS request with the stranger's key.
func (x *stranger) request(method, url string, body io.Reader, header http.Header) (*http.Response, []byte) {
	x.t.Helper()
	req, err := http.NewRequestWithContext(x.t.Context(), method, url, body)
	check(x.t, err)
	for name, values := range header {
		req.Header[name] = values
	}
	transport := &http.Transport{TLSClientConfig: x.tls, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	check(x.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	check(x.t, err)
	return resp, text
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }
