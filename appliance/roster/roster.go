// Package roster knows who is connected: it gives out the tickets of a boot, enrols the agents that present them, keeps one
// session with each, carries instructions out and reports in, and moves image bytes to and from the PCs that
// an instruction entitles to them. It decides nothing about operations.
//
// # Who is who
//
// A PC makes a key at each boot. The first time it shows that key it also shows the ticket that its boot loader was given; the
// roster then stores the key's hash with the computer and burns the ticket. From then on, and after a restart of the
// server too, the key alone opens the door, for that one boot: the next boot brings a new ticket and a new key. Computers that
// nobody accepted yet are kept connected, and get neither instructions nor bytes.
//
// # Order
//
// For each computer, the calls to Work.Connected, Report and Disconnected come one after the other, in the order in which things
// happened. Work must not block in them for long. It may call any method of the Roster from within them.
package roster

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sort"
	"sync"
	"time"

	"aula/appliance/catalog"
	"aula/clientos/protocol"
	"aula/imagestore"
)

// Errors that callers branch on.
var (
	ErrNotConnected = errors.New("not connected")
	ErrPending      = errors.New("not accepted into a classroom yet")
)

// A Config gives a Roster what it works with. All fields are required except where it says otherwise.
type Config struct {
	Catalog  *catalog.Catalog
	Images   *imagestore.Library
	Identity Identity
	Work     Work
	// Sessions lets PCs into multicast sessions. May be nil: then nobody is let in.
	Sessions Sessions
	// Changed is called after a session began, ended or changed; it must not block. May be nil.
	Changed func(computerID string)
	// Arrived is called when the agent of the PC that booted with this MAC has connected; it must not block. May be nil.
	Arrived func(mac string)
	Log     *slog.Logger
	Now     func() time.Time // time.Now when nil
}

// Work is what the roster needs of those who command PCs.
type Work interface {
	// Connected says that a session of an accepted PC began, or began again; running is what the agent says that it holds.
	Connected(computerID string, running *protocol.Report)
	Disconnected(computerID string)
	Report(computerID string, r protocol.Report)
	// Entitled answers the instruction that the PC has now under this id, else false.
	Entitled(computerID, instructionID string) (protocol.Instruct, bool)
	// Reading tells whether the PC has now an instruction that names this image revision.
	Reading(computerID, repository, image string, revision int) bool
	// Publishing tells of a capture whose bytes have all arrived and that is being read again.
	Publishing(computerID, instructionID string, done, total int64)
	Published(computerID, instructionID string, img imagestore.Image)
	CaptureFailed(computerID, instructionID string, f protocol.Failure)
}

// Sessions is what the roster needs of those who send by multicast; appliance/sender.Senders is one.
type Sessions interface {
	// Join lets a PC, called name by people, into the session of its instruction. An error that wraps a *protocol.Failure tells the PC what is wrong; it is
	// final, unless one of the errors that it wraps has a method Temporary that answers true. Any other error is cured by time.
	Join(ctx context.Context, computerID, name string, in protocol.Instruct) (protocol.Session, error)
}

// A Session is one connected PC.
type Session struct {
	ComputerID string     `json:"computerID"`
	Address    netip.Addr `json:"address"`
	Since      time.Time  `json:"since"`
	LastHeard  time.Time  `json:"lastHeard"`
	Version    string     `json:"version"`        // of the agent
	State      string     `json:"state"`          // protocol.Pending or protocol.Accepted
	Code       string     `json:"code,omitempty"` // pairing code, while pending
}

// A Roster is the agents' side of the appliance. Its methods are safe for concurrent use.
type Roster struct {
	cfg     Config
	handler http.Handler

	stopping  chan struct{}  // closed when Run ends
	open      sync.WaitGroup // handlers at work
	strangers chan struct{}  // one for each connection that has not been let in yet
	admission sync.Mutex     // held while a PC is let in; taken before mu

	mu       sync.Mutex
	stopped  bool
	tickets  tickets
	enrolled map[protocol.Key]enrolment
	sweepAt  int                 // number of enrolments at which sweep runs again
	sessions map[string]*session // by computer
	uploads  map[string]*upload  // by computer

	maps maps
}

// maxStrangers bounds the connections that are not let in yet.
const maxStrangers = 512

// New reads the enrolments that are still good from the catalog.
func New(cfg Config) (*Roster, error) {
	if cfg.Catalog == nil || cfg.Images == nil || cfg.Work == nil || cfg.Log == nil || cfg.Identity.key == (protocol.Key{}) {
		return nil, errors.New("roster: catalog, images, identity, work and log are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Arrived == nil {
		cfg.Arrived = func(string) {}
	}
	if cfg.Changed == nil {
		cfg.Changed = func(string) {}
	}
	enrolled, err := loadEnrolments(cfg.Catalog, cfg.Log)
	if err != nil {
		return nil, fmt.Errorf("roster: %w", err)
	}
	r := &Roster{
		cfg:       cfg,
		stopping:  make(chan struct{}),
		strangers: make(chan struct{}, maxStrangers),
		enrolled:  enrolled,
		sessions:  make(map[string]*session),
		uploads:   make(map[string]*upload),
	}
	if err := r.sweep(); err != nil {
		return nil, fmt.Errorf("roster: forget enrolments of computers that are gone: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+protocol.SessionPath, r.serveSession)
	mux.HandleFunc("GET "+protocol.ImagesPath+"{name}/{revision}/{part}", r.serveImage)
	mux.HandleFunc("POST "+protocol.SessionsPath+"{instruction}", r.serveJoin)
	mux.HandleFunc("PUT "+protocol.CapturesPath+"{instruction}/layout", r.serveLayout)
	mux.HandleFunc("PUT "+protocol.CapturesPath+"{instruction}/image", r.serveCapture)
	r.handler = r.counted(mux)
	return r, nil
}

// TLSConfig returns the configuration of the agents' listener: TLS 1.3, this server's key, and a client certificate whose
// key is all that matters about it.
func (r *Roster) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{r.cfg.Identity.certificate},
		ClientAuth:   tls.RequireAnyClientCert,
		NextProtos:   []string{"http/1.1"}, // WebSocket and the large transfers both want a connection of their own
	}
}

// Handler serves everything below /agent/v1/. It sets the deadlines of each connection itself: a transfer lasts
// as long as bytes move. Its server should have a ReadHeaderTimeout and an IdleTimeout.
func (r *Roster) Handler() http.Handler { return r.handler }

// counted lets Run wait for the handlers, and refuses new ones after it.
func (r *Roster) counted(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		stopped := r.stopped
		if !stopped {
			r.open.Add(1)
		}
		r.mu.Unlock()
		if stopped {
			http.Error(w, "the server is restarting", http.StatusServiceUnavailable)
			return
		}
		defer r.open.Done()
		h.ServeHTTP(w, req)
	})
}

// Run keeps the sessions in step with the catalog until ctx ends; then it closes them, saying that the server restarts, and
// returns nil when all its handlers have ended.
func (r *Roster) Run(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	unwatch := r.cfg.Catalog.Watch(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer unwatch()
	sweep := time.NewTicker(uploadSweep)
	defer sweep.Stop()
	for {
		select {
		case <-sweep.C:
			r.sweepUploads()
		case <-changed:
			r.refreshAll()
		case <-ctx.Done():
			r.mu.Lock()
			r.stopped = true
			r.mu.Unlock()
			close(r.stopping)
			r.open.Wait()
			r.endUploads()
			return nil
		}
	}
}

// IssueTicket gives the PC that boots with the address mac a ticket: good once, for ten minutes, for that PC.
func (r *Roster) IssueTicket(mac string, addr netip.Addr) (string, error) {
	mac, err := protocol.NormalizeMAC(mac)
	if err != nil {
		return "", fmt.Errorf("ticket: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cfg.Log.Debug("ticket issued", "mac", mac, "address", addr)
	return r.tickets.issue(mac, r.cfg.Now()), nil
}

// Instruct sends an instruction to a connected, accepted PC. After nil the PC will report on it, or lose contact.
func (r *Roster) Instruct(computerID string, in protocol.Instruct) error {
	if err := in.Check(); err != nil {
		return err
	}
	return r.send(computerID, protocol.Message{Instruct: &in})
}

// Cancel asks a PC to stop an instruction.
func (r *Roster) Cancel(computerID, instructionID string) error {
	return r.send(computerID, protocol.Message{Cancel: &protocol.Cancel{ID: instructionID}})
}

// Settle tells a PC that the verdict on an instruction is stored, and forgets what was kept for it.
func (r *Roster) Settle(computerID, instructionID string) error {
	r.dropUpload(computerID, instructionID)
	return r.send(computerID, protocol.Message{Settled: &protocol.Settled{ID: instructionID}})
}

func (r *Roster) send(computerID string, m protocol.Message) error {
	s := r.session(computerID)
	if s == nil {
		return fmt.Errorf("computer %s: %w", computerID, ErrNotConnected)
	}
	if s.welcome().State != protocol.Accepted {
		return fmt.Errorf("computer %s: %w", computerID, ErrPending)
	}
	if err := s.enqueue(m); err != nil {
		return fmt.Errorf("computer %s: %w", computerID, err)
	}
	return nil
}

// Connected tells whether the PC has a session, accepted or pending.
func (r *Roster) Connected(computerID string) bool { return r.session(computerID) != nil }

func (r *Roster) session(computerID string) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sessions[computerID]
}

// Session returns the session of one computer.
func (r *Roster) Session(computerID string) (Session, bool) {
	s := r.session(computerID)
	if s == nil {
		return Session{}, false
	}
	return s.public(), true
}

// Sessions returns all sessions, by computer.
func (r *Roster) Sessions() []Session {
	r.mu.Lock()
	all := make([]Session, 0, len(r.sessions))
	for _, s := range r.sessions {
		all = append(all, s.public())
	}
	r.mu.Unlock()
	sort.Slice(all, func(i, j int) bool { return all[i].ComputerID < all[j].ComputerID })
	return all
}

// Refresh tells a connected PC its name, classroom and state again if the catalog's differ from what it was told. While Run
// runs that happens by itself.
func (r *Roster) Refresh(computerID string) {
	if s := r.session(computerID); s != nil {
		r.refresh(s)
	}
}

func (r *Roster) refreshAll() {
	r.mu.Lock()
	all := make([]*session, 0, len(r.sessions))
	for _, s := range r.sessions {
		all = append(all, s)
	}
	r.mu.Unlock()
	for _, s := range all {
		r.refresh(s)
	}
}
