// Package agent is what runs on a PC in the client OS: it connects to the server that started the PC, obeys its instructions one
// at a time, reports, and shows people in the room how it stands.
//
// It guarantees that it talks only to the server whose key is pinned, that an instruction is carried out at most once in
// a boot, that work in progress goes on while the connection is lost, and that a verdict is repeated until the server has
// stored it. What instructions do to disks is in clientos/deployment and below; this package knows nothing of images.
//
// The rooms inside: screen (what people see), machine (what the PC is made of) and boot (from the kernel's start to the network).
package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	mrand "math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"aula/clientos/agent/screen"
	"aula/clientos/cache"
	"aula/clientos/deployment"
	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/clientos/protocol/wire"
)

// A Config gives an Agent what it works with.
type Config struct {
	Server  string // HOST:PORT
	Pin     string // SHA-256 of the server's public key, hexadecimal
	Ticket  string // of this boot
	MAC     string // NIC that booted
	Version string
	Disks   disk.System // the only disks that are ever touched
	// Inventory takes stock of the PC.
	Inventory func(ctx context.Context) (protocol.Inventory, error)
	// Devices returns a text that changes when a disk comes or goes, upon which stock is taken again; nil when none ever does.
	Devices func() string
	Board   *screen.Board // what people see
	// Folder is where the cache and restored systems are mounted while they are used.
	Folder string
	// Firmware is the folder of the firmware's EFI variables; empty when there are none, or they are not this PC's.
	Firmware  string
	Interface string // NIC for multicast; empty: every one that is up
	// Carry carries out what is more than a restart; deployment.Run when nil.
	Carry func(ctx context.Context, env deployment.Env, in protocol.Instruct, progress func(deployment.Progress)) (deployment.Result, error)
	// SetClock is told the server's time; nil leaves the clock alone.
	SetClock func(t time.Time)
	Log      *slog.Logger
}

// A link is one open session: *wire.Conn, or a stand-in of a test.
type link interface {
	Send(m protocol.Message) error
	Receive(ctx context.Context) (protocol.Message, error)
	Close(code int, reason string)
}

// An Agent is one boot of one PC.
type Agent struct {
	cfg  Config
	id   identity
	boot string

	env    deployment.Env
	dial   func(ctx context.Context) (link, error)                 // a value, so that tests need no network
	cached func(ctx context.Context) (*protocol.CacheState, error) // likewise
	random func() float64

	mu        sync.Mutex
	desk      desk
	pace      pace
	stopWork  context.CancelCauseFunc // while desk.busy
	conn      link                    // nil without a session
	welcome   *protocol.Welcome       // the last one; nil before the first
	inventory protocol.Inventory
	trouble   trouble
	jobs      *errgroup.Group // Run's, for the work that an instruction starts

	stock *stocktaker
}

// New makes this boot's key. It does not connect yet.
func New(cfg Config) (*Agent, error) {
	if cfg.Server == "" || cfg.Inventory == nil || cfg.Board == nil || cfg.Log == nil || cfg.Folder == "" {
		return nil, errors.New("agent: server, inventory, folder, board and log are required")
	}
	mac, err := protocol.NormalizeMAC(cfg.MAC)
	if err != nil {
		return nil, err
	}
	cfg.MAC = mac
	id, err := newIdentity(cfg.Pin)
	if err != nil {
		return nil, err
	}
	if cfg.Carry == nil {
		cfg.Carry = deployment.Run
	}
	a := &Agent{cfg: cfg, id: id, boot: rand.Text(), random: mrand.Float64}
	a.dial = func(ctx context.Context) (link, error) { return wire.Dial(ctx, cfg.Server, id.tls()) }
	a.stock = newStocktaker(a.takeStock)
	a.env = deployment.Env{
		Server: newTransfer(cfg.Server, id), Disks: cfg.Disks, Cache: cache.New(cfg.Disks, filepath.Join(cfg.Folder, "cache"), cfg.Log),
		Folder: cfg.Folder, Firmware: cfg.Firmware, Interface: cfg.Interface, Log: cfg.Log,
	}
	a.cached = a.env.Cache.State
	return a, nil
}

// Run connects and obeys until the PC is to restart or to switch off, which is left to the caller: it returns protocol.Reboot,
// BootDisk or PowerOff. When ctx ends it stops the work in progress and returns ctx's error. It leaves one goroutine behind, with a
// warning in the log, when a tool that takes stock hangs in the kernel for a disk that does not answer: such a PC must restart as well.
func (a *Agent) Run(ctx context.Context) (string, error) {
	group, running := errgroup.WithContext(ctx)
	running, stop := context.WithCancel(running)
	defer stop()
	a.mu.Lock()
	a.jobs = group
	a.mu.Unlock()

	a.cfg.Board.Update(func(s *screen.State) {
		s.Server, s.MAC, s.Version = a.cfg.Server, a.cfg.MAC, a.cfg.Version
		s.Phase, s.Step = screen.Starting, "Taking stock of this PC"
	})
	inv, err := a.inventoryNow(running)
	if err != nil {
		// A PC whose disks cannot be listed is still worth showing in the console.
		a.cfg.Log.Error("inventory", "error", err)
	}
	a.inventory = inv

	stocktaking := make(chan struct{})
	go func() {
		defer close(stocktaking)
		a.stock.run(running)
	}()
	var outcome string
	group.Go(func() error {
		defer stop()
		outcome = a.watch(running)
		return nil
	})
	group.Go(func() error {
		a.watchDevices(running)
		return nil
	})
	group.Go(func() error {
		if again := a.keepSession(running); again {
			a.mu.Lock()
			a.trouble.restart = true
			a.mu.Unlock()
		}
		return nil
	})
	err = group.Wait()
	stop()
	select {
	case <-stocktaking:
	case <-time.After(stockPatience):
		a.cfg.Log.Warn("inventory left behind: a disk does not answer", "waited", stockPatience)
	}
	if err != nil {
		return "", err
	}
	if outcome == "" {
		return "", ctx.Err()
	}
	return outcome, nil
}

// tick is how often the agent looks whether there is something to say.
const tick = protocol.ReportInterval / 5

// watch says what is due, until it is time to restart.
func (a *Agent) watch(ctx context.Context) (outcome string) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ""
		case now := <-ticker.C:
			a.mu.Lock()
			if r, ok := a.desk.due(now); ok {
				a.say(&r)
			}
			kind, power := a.desk.power(now)
			if !power && a.trouble.restart && !a.desk.busy() {
				kind, power = protocol.Reboot, true
			}
			a.show(kind)
			a.mu.Unlock()
			if power {
				return kind
			}
		}
	}
}

// say sends a report if there is a session; what is lost is said again.
func (a *Agent) say(r *protocol.Report) {
	if r == nil || a.conn == nil {
		return
	}
	if err := a.conn.Send(protocol.Message{Report: r}); err != nil {
		a.cfg.Log.Debug("report not sent", "instruction", r.ID, "error", err)
	}
}
