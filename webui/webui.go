// Package webui is the appliance's HTTP face: the console's pages, the REST API and the live stream.
//
// Pages and API are two faces over the same services (appliance/catalog, appliance/operation, imagestore) behind one
// authorisation function that denies by default: a route that is not in the table of access.go answers nobody.
// Pages are rendered on the server and work as plain forms; scripts add live progress, dialogs and selection.
//
// It holds no state of its own but login sessions, which the catalog keeps for it, and a short history of live
// events. It commands no PC: operation does. It serves nothing to booting PCs: netboot and roster do.
package webui

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"aula/appliance/catalog"
	"aula/appliance/operation"
	"aula/imagestore"
)

// A Config gives a Server what it shows and commands. Catalog, Roster, Operations and Images are required.
type Config struct {
	Catalog    *catalog.Catalog
	Roster     Roster
	Operations *operation.Manager
	Images     *imagestore.Repository
	Version    string // of the appliance, shown in the footer and by the API
	// SetupCode must be given by whoever makes the first user; printed where only the machine's owner reads it. Without
	// one the set-up page refuses everybody, and the first user is made through Local.
	SetupCode string
	Log       *slog.Logger     // discarded when nil
	Now       func() time.Time // time.Now when nil
}

// A Roster tells who is connected.
type Roster interface {
	// Session returns the session of one computer and whether it is connected.
	Session(computerID string) (Session, bool)
	// Sessions returns all.
	Sessions() []Session
	// Refresh tells the PC its name, classroom and state again after the catalog changed them. It does not block.
	Refresh(computerID string)
}

// A Session is a connected PC.
type Session struct {
	ComputerID string
	Address    string    // of the PC, without port
	Since      time.Time // connected since
	LastHeard  time.Time
	Version    string // of its agent
	Code       string // six symbols on the PC's screen while it is pending
}

// A Server is the HTTP face.
type Server struct {
	cfg Config
}

// New makes a Server. It refuses an incomplete configuration.
func New(cfg Config) (*Server, error) {
	if cfg.Catalog == nil || cfg.Roster == nil || cfg.Operations == nil || cfg.Images == nil {
		return nil, errors.New("webui: catalog, roster, operations and images are all required")
	}
	return &Server{cfg: cfg}, nil
}

// Console serves pages, API and live stream to people. It must be behind HTTPS: its cookies are Secure.
func (s *Server) Console() http.Handler { return http.NotFoundHandler() }

// Local serves the API to whoever can reach it as the machine's administrator: it belongs on a Unix socket of mode 0600.
func (s *Server) Local() http.Handler { return http.NotFoundHandler() }

// ComputerChanged tells open pages that a PC connected, left or changed. It does not block.
func (s *Server) ComputerChanged(id string) {}

// OperationChanged tells open pages that an operation moved. It does not block.
func (s *Server) OperationChanged(id string) {}

// CatalogChanged tells open pages that centres, classrooms or computers changed. It does not block.
func (s *Server) CatalogChanged() {}

// ImagesChanged tells open pages that the repository changed. It does not block.
func (s *Server) ImagesChanged() {}

// Run feeds the live stream and forgets expired logins until ctx ends; then open streams end too.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}
