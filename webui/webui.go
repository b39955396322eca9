// Package webui is the appliance's HTTP face: the console's pages, the REST API and the live stream.
//
// Pages and API are two faces over the same services (appliance/catalog, appliance/operation, appliance/upkeep, imagestore) behind one
// authorisation function that denies by default: a route that is not in the table of access.go answers nobody.
// Pages are rendered on the server and work as plain forms; scripts add live progress, dialogs and selection.
//
// It holds no state of its own but login sessions, which the catalog keeps for it, and a short history of live
// events. It commands no PC: operation does. It serves nothing to booting PCs: netboot and roster do.
package webui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"aula/appliance/boot"
	"aula/appliance/catalog"
	"aula/appliance/incorporation"
	"aula/appliance/operation"
	"aula/appliance/roster"
	"aula/appliance/upkeep"
	"aula/imagestore"
	"aula/netboot"
	"aula/netboot/lease"
	"aula/netboot/neighbour"
)

// A Config gives a Server what it shows and commands. Catalog, Roster, Operations, Images, Upkeep and Uploads are required.
type Config struct {
	Catalog    *catalog.Catalog
	Roster     Roster
	Operations *operation.Manager
	Images     *imagestore.Library
	Upkeep     Upkeep
	Uploads    Uploads
	Torrents   Torrents // nil when there is neither tracker nor seeder
	Sessions   Sessions // nil when nothing is sent by multicast
	Boots      Boots
	Network    Network
	// ModeFixed says that the configuration file or the command line sets the mode of DHCP, so that it is not the console's to change.
	ModeFixed bool
	Version   string // of the appliance, shown in the footer and by the API
	// SetupCode must be given by whoever makes the first user; printed where only the machine's owner reads it. Without
	// one the set-up page refuses everybody, and the first user can only be made through Local.
	SetupCode string
	// RepositoryDefaults is how a new repository is kept when nobody says otherwise; its name and folder are not used.
	RepositoryDefaults catalog.Repository
	Log                *slog.Logger     // discarded when nil
	Now                func() time.Time // time.Now when nil
}

// A Roster tells who is connected; *roster.Roster is one.
type Roster interface {
	// Session returns the session of one computer and whether it is connected.
	Session(computerID string) (roster.Session, bool)
	// Sessions returns all.
	Sessions() []roster.Session
	// Refresh tells the PC its name, classroom and state again after the catalog changed them. It does not block.
	Refresh(computerID string)
}

// Boots tell what PCs boot and how it went; *boot.Service is one.
type Boots interface {
	Boots() []boot.Boot
	History(mac string) []boot.Boot
	Notices() []boot.Notice
	Dismiss(key string)
	Forgive(mac string)
}

// A Network is the boot services; *netboot.Server is one.
type Network interface {
	Status() netboot.Status
	SetMode(netboot.Mode)
	Reconsider()
	Probe(ctx context.Context) ([]neighbour.Server, error)
	Leases() []lease.Lease
}

// An Upkeep does the long work on repositories; *upkeep.Service is one.
type Upkeep interface {
	Import(ctx context.Context, actor string, r upkeep.ImportRequest) (upkeep.Task, error)
	Convert(actor string, ref upkeep.ImageRef, to imagestore.Conversion) (upkeep.Task, error)
	Copy(actor string, ref upkeep.ImageRef, to string) (upkeep.Task, error)
	Move(actor string, ref upkeep.ImageRef, to string) (upkeep.Task, error)
	Verify(actor string, ref upkeep.ImageRef) (upkeep.Task, error)
	Tasks() []upkeep.Task
	Task(id string) (upkeep.Task, error)
	Cancel(id string) error
	Repositories() ([]upkeep.RepositoryStatus, error)
	AddRepository(r catalog.Repository) error
	ChangeRepository(r catalog.Repository) error
	RemoveRepository(name string) error
}

// Uploads are the files that browsers are sending; *incorporation.Uploads is one.
type Uploads interface {
	Begin(files []incorporation.File, by string) (incorporation.Upload, error)
	Append(id string, file int, offset int64, r io.Reader) (have int64, err error)
	Upload(id string) (incorporation.Upload, error)
	All() ([]incorporation.Upload, error)
	Paths(id string) ([]string, error)
	Discard(id string) error
}

// A Server is the HTTP face.
type Server struct {
	cfg      Config
	log      *slog.Logger
	now      func() time.Time
	echo     *echo.Echo
	api      huma.API
	sessions *sessions
	hasher   *hasher
	limiter  *limiter
	pages    *pages
	assets   *assets
	live     *live
	shapes   shapes                 // of live.run's goroutine
	work     *standings             // of live.run's goroutine; nil to begin anew
	parts    map[string]torrentPart // of live.run's goroutine
	attended map[string]bool        // operations with a multicast session, of live.run's goroutine; nil to look for them
	leavers  leavers
	moving   atomic.Bool // images are arriving or being processed
	removing sync.Mutex  // of removeFile
}

// New makes a Server. It refuses an incomplete configuration.
func New(cfg Config) (*Server, error) {
	if cfg.Catalog == nil || cfg.Roster == nil || cfg.Operations == nil || cfg.Images == nil || cfg.Upkeep == nil || cfg.Uploads == nil {
		return nil, errors.New("webui: catalog, roster, operations, images, upkeep and uploads are all required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{cfg: cfg, log: cfg.Log, now: cfg.Now, hasher: newHasher(), limiter: newLimiter()}
	s.sessions = &sessions{catalog: cfg.Catalog, now: cfg.Now, log: cfg.Log}
	var err error
	if s.assets, err = loadAssets(); err != nil {
		return nil, fmt.Errorf("webui: %w", err)
	}
	if s.pages, err = loadPages(); err != nil {
		return nil, fmt.Errorf("webui: %w", err)
	}
	s.live, s.shapes = newLive(s.observe), shapes{}
	s.echo = echo.New()
	s.echo.HTTPErrorHandler = s.showError
	s.echo.Use(s.recovered, s.authorise)
	s.routePages(s.echo)
	s.api = s.routeAPI(s.echo)
	return s, nil
}

// Console serves pages, API and live stream to people. It must be behind HTTPS: its cookies are Secure.
func (s *Server) Console() http.Handler {
	guard := http.NewCrossOriginProtection()
	guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.log.Warn("request of another origin refused", "path", r.URL.Path, "origin", r.Header.Get("Origin"))
		http.Error(w, "This request came from another web site and was refused.", http.StatusForbidden)
	}))
	return secure(guard.Handler(s.echo))
}

// Local serves the API to whoever can reach it as the machine's administrator: it belongs on a Unix socket of mode 0600.
func (s *Server) Local() http.Handler {
	return secure(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isAPI(r) {
			http.NotFound(w, r)
			return
		}
		s.echo.ServeHTTP(w, r.WithContext(withCaller(r.Context(), caller{Local: true})))
	}))
}

// ComputerChanged tells open pages that a PC connected, left or changed. It does not block.
func (s *Server) ComputerChanged(id string) { s.live.note(func(d *dirt) { d.computers[id] = true }) }

// OperationChanged tells open pages that an operation moved. It does not block.
func (s *Server) OperationChanged(id string) { s.live.note(func(d *dirt) { d.operations[id] = true }) }

// CatalogChanged tells open pages that centres, classrooms or computers changed. It does not block.
func (s *Server) CatalogChanged() { s.live.note(func(d *dirt) { d.catalog = true }) }

// ImagesChanged tells open pages that an image of a repository stands otherwise than before. It does not block.
func (s *Server) ImagesChanged() { s.live.note(func(d *dirt) { d.images = true }) }

// BootChanged tells open pages that the boot of a PC moved, with "" that a notice came or went. It does not block.
func (s *Server) BootChanged(mac string) { s.live.note(func(d *dirt) { d.boots[mac] = true }) }

// TaskChanged tells open pages that long work on repositories moved. It does not block.
func (s *Server) TaskChanged(id string) { s.live.note(func(d *dirt) { d.tasks[id] = true }) }

const (
	expireEvery = 10 * time.Minute // how often logins that are over are forgotten
	// How often it is looked how far arriving images, torrents and multicast sessions have got, and how the network stands: their rooms tell
	// changes of state only, or none.
	lookEvery = time.Second
)

// Run feeds the live stream and forgets expired logins until ctx ends; then open streams end too.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { s.live.run(ctx); return nil })
	group.Go(func() error {
		for every := time.NewTicker(expireEvery); ; {
			if err := s.sessions.expire(); err != nil {
				s.log.Warn("expired logins not forgotten", "error", err)
			}
			select {
			case <-ctx.Done():
				every.Stop()
				return nil
			case <-every.C:
			}
		}
	})
	group.Go(func() error {
		for every := time.NewTicker(lookEvery); ; {
			select {
			case <-ctx.Done():
				every.Stop()
				return nil
			case <-every.C:
				if s.moving.Load() {
					s.ImagesChanged()
				}
				if s.cfg.Torrents != nil || s.cfg.Sessions != nil || s.cfg.Network != nil {
					s.live.note(func(d *dirt) {
						d.torrents, d.sessions, d.network = s.cfg.Torrents != nil, s.cfg.Sessions != nil, s.cfg.Network != nil
					})
				}
			}
		}
	})
	return group.Wait()
}
