package lab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"aula/netboot"
	"aula/webui/client"
)

// A Config says what classroom to start.
type Config struct {
	// Aula is the path of the program whose `serve` is the appliance. Required.
	Aula string
	// Agent is the command line of the native PCs' agent; the program's own `agent` when empty.
	Agent []string
	// Console is the listening socket of the web console, opened outside of Isolate; nil for a console that only the
	// classroom's PCs can reach.
	Console *os.File
	// Mode is that of the appliance's DHCP; netboot.ModeFull, in which it leases addresses without being asked to, when empty.
	Mode netboot.Mode
	// Foreign has somebody else's DHCP server in the classroom before the appliance starts.
	Foreign bool
	// OwnDisk lets accepted PCs without work boot their own disk, as they do in a classroom. Without it they boot the client OS: what is shown in a lab is mostly
	// what PCs do when they are told to.
	OwnDisk bool
	// Settings are added to the appliance's configuration file (TOML).
	Settings string
	// RepositoryBytes makes the repository a volume of this size in memory; 0 for a folder.
	RepositoryBytes int64
	// Temp is the folder in which the classroom's own folder is made; the machine's temporary folder when empty.
	// Disks and images are in it.
	Temp string
	// Log is told what ends unexpectedly; nil for nobody.
	Log *slog.Logger
}

// A Lab is a running classroom. Its methods are safe for concurrent use.
type Lab struct {
	cfg     Config
	folder  *folder
	api     *client.Client
	console string
	foreign *ForeignDHCP

	server struct {
		sync.Mutex
		process *child
	}

	mu       sync.Mutex
	numbered int
	owned    []owned // PCs, in the order in which they were added
	closed   bool
}

// owned is what the classroom ends when it closes.
type owned interface{ close() error }

// Start makes a classroom without PCs, starts its appliance and waits until that answers. It must be called on the inside of
// Isolate, once. ctx bounds the start only; Close ends the classroom.
func Start(ctx context.Context, cfg Config) (*Lab, error) {
	if cfg.Temp == "" {
		cfg.Temp = os.TempDir()
	}
	if len(cfg.Agent) == 0 {
		cfg.Agent = []string{cfg.Aula, "agent"}
	}
	if cfg.Mode == "" {
		cfg.Mode = netboot.ModeFull
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if _, err := os.Stat(cfg.Aula); err != nil {
		return nil, fmt.Errorf("the appliance's program: %w: build it with make", err)
	}
	f, err := makeFolder(cfg.Temp)
	if err != nil {
		return nil, err
	}
	l := &Lab{cfg: cfg, folder: f}
	if err := l.start(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

func (l *Lab) start(ctx context.Context) error {
	var err error
	if l.api, err = client.New(filepath.Join(l.Data(), "aula.sock")); err != nil {
		return err
	}
	if l.console, err = consoleURL(l.cfg.Console); err != nil {
		return err
	}
	if err := os.MkdirAll(l.Images(), 0o700); err != nil {
		return err
	}
	if size := l.cfg.RepositoryBytes; size > 0 {
		if err := unix.Mount("aula-lab", l.Images(), "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
			return fmt.Errorf("repository in memory: %w", err)
		}
	}
	if err := errors.Join(l.writeConfig(), l.writeLeaseScript()); err != nil {
		return err
	}
	if err := makeBridge(); err != nil {
		return err
	}
	if l.cfg.Foreign {
		if l.foreign, err = l.addForeign(); err != nil {
			return err
		}
	}
	if err := l.StartServer(ctx); err != nil {
		return err
	}
	if l.cfg.OwnDisk {
		return nil
	}
	return l.bootClientOS(ctx)
}

// Dir is the classroom's folder: disks, logs and the appliance's data.
func (l *Lab) Dir() string { return l.folder.path }

// Data is the appliance's data folder.
func (l *Lab) Data() string { return filepath.Join(l.Dir(), "data") }

// Images is the folder of the appliance's repository.
func (l *Lab) Images() string { return filepath.Join(l.Data(), "images") }

// API is a client of the appliance that may do everything.
func (l *Lab) API() *client.Client { return l.api }

// ConsoleURL is where a browser on this machine finds the console; empty without Config.Console.
func (l *Lab) ConsoleURL() string { return l.console }

// nextNumber counts the PCs from 1.
func (l *Lab) nextNumber() (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return 0, errors.New("the virtual classroom is closed")
	}
	l.numbered++
	return l.numbered, nil
}

// LastWords are the last lines of every PC's serial console and of the appliance's log, for people who look for what went
// wrong.
func (l *Lab) LastWords() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, o := range l.owned {
		if pc, ok := o.(PC); ok {
			fmt.Fprintf(&b, "%s said last:\n%s\n", pc.Name(), pc.Serial().Tail(lastWords))
		}
	}
	fmt.Fprintf(&b, "the appliance said last:\n%s\n", l.serverTail())
	return b.String()
}

// own remembers something that Close must end.
func (l *Lab) own(o owned) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.owned = append(l.owned, o)
}

// Close cuts the power of every PC, stops the appliance and removes the classroom's folder. It may be called again.
func (l *Lab) Close() error {
	l.mu.Lock()
	all := l.owned
	l.owned = nil
	done := l.closed
	l.closed = true
	l.mu.Unlock()
	if done {
		return nil
	}
	var errs []error
	for _, o := range all {
		errs = append(errs, o.close())
	}
	l.stopServer()
	if l.cfg.RepositoryBytes > 0 {
		// It is not there when the start failed.
		if err := unix.Unmount(l.Images(), unix.MNT_DETACH); err != nil && err != unix.EINVAL {
			errs = append(errs, fmt.Errorf("repository in memory: %w", err))
		}
	}
	// The bridge goes with the namespace; a second classroom in the same namespace needs its name.
	errs = append(errs, removeBridge(), l.folder.remove())
	return errors.Join(errs...)
}
