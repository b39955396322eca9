// Package appliance puts the whole together: from a configuration it opens the catalog and the repository, starts
// netboot, the agents' roster, the operations and the console, runs them until it is told to stop, and stops them in order.
//
// Reading Run from top to bottom is reading what the appliance is. It holds no logic of any service; where two rooms meet that do
// not know each other (what shall this PC boot?) the few lines that introduce them are in introductions.go.
package appliance

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"aula/appliance/boot"
	"aula/appliance/catalog"
	"aula/appliance/operation"
	"aula/appliance/roster"
	"aula/appliance/schedule"
	"aula/appliance/sender"
	"aula/clientos"
	"aula/netboot"
	"aula/netboot/wake"
	"aula/webui"
)

// Options are what the caller of Run adds to the configuration.
type Options struct {
	Version string
	Log     *slog.Logger
	Ready   func(Status) // called once when everything answers; may be nil
}

// A Status is what a newcomer needs to know when the appliance has started.
type Status struct {
	Interface   string
	Address     netip.Addr
	Console     string       // address of the console, for a browser
	Fingerprint string       // SHA-256 of the console's certificate
	SetupCode   string       // to be typed at the first visit; empty when there is a user already
	Images      string       // folder of the repository
	Free        int64        // bytes that captures may still fill
	ClientOS    error        // nil, or why PCs cannot boot
	Mode        netboot.Mode // of DHCP
}

// Run runs the appliance until ctx ends and then returns nil. What keeps it from starting is one error that says what to do.
func Run(ctx context.Context, cfg Config, opt Options) (err error) {
	if err := cfg.Validate(); err != nil {
		return err
	}
	nic, err := ChooseInterface(cfg.Interface)
	if err != nil {
		return err
	}
	address, err := netboot.AddressOf(nic)
	if err != nil {
		return err
	}
	if err := cfg.makeData(); err != nil {
		return err
	}

	cat, err := catalog.Open(filepath.Join(cfg.Data, "catalog.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cat.Close()) }()
	// The rooms that tell the console of changes are made before it: they tell it through this.
	var changes changes
	store, err := openStore(cfg, address.Addr(), cat, &changes, opt.Log)
	if err != nil {
		return err
	}
	images := store.images
	defer func() { err = errors.Join(err, images.Close()) }()
	identity, err := roster.LoadIdentity(cfg.Data)
	if err != nil {
		return err
	}
	overlay, err := pinOverlay(identity.Pin())
	if err != nil {
		return err
	}

	agents, arrivals := &agents{}, &arrivals{}
	customs := customs{cat, opt.Log.With("room", "operation")}
	card, err := net.InterfaceByName(nic)
	if err != nil {
		return fmt.Errorf("network interface %s: %w", nic, err)
	}
	waker, err := wake.New(wake.Config{NIC: card, Network: address, Log: opt.Log.With("room", "wake")})
	if err != nil {
		return err
	}
	operations, err := operation.New(operation.Config{
		Agents: agents, Store: cat, Computers: cat, Images: images, Locate: locate(images), Network: address,
		Wake: waker.Wake, Parameters: customs.parameters, Scripts: customs.scripts, Classroom: customs.classroom,
		Changed: changes.operation, Log: opt.Log.With("room", "operation"),
	})
	if err != nil {
		return err
	}
	schedules, err := schedule.New(schedule.Config{Catalog: cat, Start: startSchedule(operations), Log: opt.Log.With("room", "schedule")})
	if err != nil {
		return err
	}
	sessions, err := sender.New(sender.Config{
		Images: images, Interface: nic, Address: address.Addr(), Awaited: operations.Awaited, Log: opt.Log.With("room", "sender"),
	})
	if err != nil {
		return err
	}
	pcs, err := roster.New(roster.Config{
		Catalog: cat, Images: images, Identity: identity, Work: operations, Sessions: sessions,
		Changed: changes.computer, Arrived: arrivals.arrived, Log: opt.Log.With("room", "roster"),
	})
	if err != nil {
		return err
	}
	agents.Roster = pcs

	setupCode, err := newSetupCode(cat)
	if err != nil {
		return err
	}
	peers := newNetworks(address, cfg.Torrent.Networks, cat, pcs, opt.Log)
	torrents, err := newBitTorrent(cfg.Torrent, address.Addr(), peers.serves, images, opt.Log.With("room", "torrent"))
	if err != nil {
		return err
	}
	defer torrents.close()
	files := clientos.Embedded()
	boots, err := boot.New(boot.Config{
		Catalog: cat, Tickets: pcs, Busy: operations.Busy, StartSystem: startSystem(operations), Changed: changes.boot,
		LoopBoots: cfg.Boot.LoopBoots, LoopTime: time.Duration(cfg.Boot.LoopTime), Log: opt.Log.With("room", "boot"),
	})
	if err != nil {
		return err
	}
	arrivals.to = boots
	chosen, err := boots.Mode()
	if err != nil {
		return err
	}
	firmware, err := cfg.openFirmwareFiles()
	if err != nil {
		return err
	}
	defer firmware.Close()
	running := false // who runs closes itself
	services, err := netboot.New(cfg.netboot(netboot.Config{
		Interface: nic, Address: address, Overlay: overlay, Files: files, Extras: firmware.FS(),
		Decider: boots, Consent: boots, Observer: observer{boots, waker}, Log: opt.Log.With("room", "netboot"),
	}, chosen))
	if err != nil {
		return err
	}
	defer func() {
		if !running {
			err = errors.Join(err, services.Close())
		}
	}()
	reservations := newReservations(cat, services, boots)
	console, err := webui.New(webui.Config{
		Catalog: cat, Roster: pcs, Operations: operations, Images: images, Upkeep: store.upkeep, Uploads: store.uploads,
		Torrents: torrents, Sessions: sessions, Boots: boots, Network: services, ModeFixed: cfg.DHCP.Mode != netboot.ModeAuto,
		Version: opt.Version, SetupCode: setupCode, RepositoryDefaults: repositoryDefaults(), Log: opt.Log.With("room", "webui"),
	})
	if err != nil {
		return err
	}
	changes.to = console
	defer cat.Watch(console.CatalogChanged)()

	certificate, err := consoleCertificate(cfg.Data, []net.IP{address.Addr().AsSlice()}, time.Now())
	if err != nil {
		return err
	}
	web, err := newWeb(cfg, address.Addr(), certificate, cat, console, pcs, opt.Log)
	if err != nil {
		return err
	}

	running = true
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return images.Run(ctx) })
	group.Go(func() error { return store.upkeep.Run(ctx) })
	group.Go(func() error { return operations.Run(ctx) })
	group.Go(func() error { return pcs.Run(ctx) })
	group.Go(func() error { return sessions.Run(ctx) })
	group.Go(func() error { return schedules.Run(ctx) })
	group.Go(func() error { return console.Run(ctx) })
	group.Go(func() error { return boots.Run(ctx) })
	group.Go(func() error { return waker.Run(ctx) })
	group.Go(func() error { return services.Run(ctx) })
	group.Go(func() error { return reservations.Run(ctx) })
	group.Go(func() error { return web.Run(ctx) })
	group.Go(func() error { return torrents.Run(ctx) })
	if cfg.Multicast.Querier == querierAuto {
		group.Go(func() error {
			keepMulticastForwarded(ctx, nic, opt.Log.With("room", "igmp"))
			return nil
		})
	}

	if opt.Ready != nil {
		free, err := images.Free(catalog.FirstRepository)
		if err != nil {
			opt.Log.Warn("the room left in the repository cannot be told", "dir", cfg.ImagesDir(), "error", err)
		}
		opt.Ready(Status{
			Interface: nic, Address: address.Addr(),
			Console: web.consoleURL(address.Addr()), Fingerprint: fingerprint(certificate), SetupCode: setupCode,
			Images: images.Repositories()[0].Dir(), Free: free, ClientOS: files.Check(), Mode: services.Status().Mode,
		})
	}
	return group.Wait()
}

// newSetupCode makes the code that the first visitor of the console must type, or none when there is a user: only who sees the
// server's terminal or journal may claim it.
func newSetupCode(cat *catalog.Catalog) (string, error) {
	users, err := cat.Users()
	if err != nil || len(users) > 0 {
		return "", err
	}
	text := rand.Text() // 26 characters of base32, 130 bits
	return fmt.Sprintf("%s-%s-%s-%s", text[:4], text[4:8], text[8:12], text[12:16]), nil
}
