package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"aula/imagestore"
	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
	"aula/imagestore/torrent/tracker"
	"aula/webui"
)

const (
	// usualGiveFor is a bitTorrent's giveFor.
	usualGiveFor = 15 * time.Second
	// lookAfter is how often it is looked whether the images that are given may still be.
	lookAfter = 2 * time.Second
	// byTorrent is who holds an image that is being given, in words for people.
	byTorrent = "PCs that fetch it by BitTorrent"
)

// A bitTorrent gives the images of the library by BitTorrent: a tracker tells peers of each other, and a seeder opens an image when a
// peer asks for it. It hashes nothing: the library has verified its images, and peers check what they get.
type bitTorrent struct {
	cfg     TorrentConfig
	address netip.Addr // the appliance's own
	serves  func(netip.Addr) bool
	images  *imagestore.Library
	giveFor time.Duration // an image stays open, and in use, that no peer wants any more
	log     *slog.Logger

	tracker *tracker.Server // nil: none
	tcp     net.Listener    // of the tracker, as udp
	udp     net.PacketConn
	seeder  *torrent.Client // nil: none
}

// newBitTorrent binds the ports, so that one in use is said before anything runs. Run closes them.
func newBitTorrent(cfg TorrentConfig, address netip.Addr, serves func(netip.Addr) bool, images *imagestore.Library, log *slog.Logger) (*bitTorrent, error) {
	b := &bitTorrent{cfg: cfg, address: address, serves: serves, images: images, giveFor: usualGiveFor, log: log}
	if err := b.listen(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bitTorrent) listen() (err error) {
	if b.cfg.tracks() {
		if b.tcp, err = listenTCP(b.cfg.Tracker, "BitTorrent tracker", "torrent.tracker"); err != nil {
			return err
		}
		if b.udp, err = listenUDP(b.tcp.Addr().String(), "BitTorrent tracker", "torrent.tracker"); err != nil {
			return err
		}
		b.tracker = tracker.NewServer(tracker.Config{Serves: b.serves, Lookup: b.lookup, Log: b.log})
	}
	if b.cfg.seeds() {
		port := fmt.Sprintf(":%d", b.cfg.Port)
		b.seeder, err = torrent.NewClient(torrent.Config{
			Listen: port, Serves: b.serves, Open: b.open, Known: b.images.Torrents, Idle: b.giveFor, UploadLimit: b.cfg.bytesPerSecond(), Log: b.log,
		})
		if err != nil {
			return listenProblem(err, "BitTorrent seeder", port+"/tcp", "torrent.port")
		}
	}
	return nil
}

// listenUDP is listenTCP for datagrams.
func listenUDP(address, what, setting string) (net.PacketConn, error) {
	c, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, listenProblem(err, what, address+"/udp", setting)
	}
	return c, nil
}

// listenProblem says what to do about a port that cannot be had.
func listenProblem(err error, what, port, setting string) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s: %s is in use by another program (ss -lntup shows which): stop it, or change the setting %s", what, port, setting)
	}
	return fmt.Errorf("%s: listen on %s: %w: check the setting %s", what, port, err, setting)
}

// Run gives until ctx ends.
func (b *bitTorrent) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	if b.tracker != nil {
		group.Go(func() error { return b.tracker.Serve(ctx, b.tcp, b.udp) })
	}
	if b.seeder != nil {
		group.Go(func() error { return b.seeder.Run(ctx) })
		group.Go(func() error { b.watch(ctx); return nil })
	}
	return group.Wait()
}

// close closes what Run has not: after a start that failed half-way. After Run it does nothing.
func (b *bitTorrent) close() {
	if b.tcp != nil {
		b.tcp.Close()
	}
	if b.udp != nil {
		b.udp.Close()
	}
	if b.seeder != nil {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		_ = b.seeder.Run(over) // which closes its port
	}
}

// lookup tells the tracker of a torrent: that of an image that may be used.
func (b *bitTorrent) lookup(hash metainfo.Hash) (tracker.Torrent, bool) {
	img, err := b.images.FindTorrent(hash)
	if err != nil {
		return tracker.Torrent{}, false
	}
	t := tracker.Torrent{Name: img.Name + ".img", Size: img.FileBytes}
	if b.seeder != nil {
		t.Seeders = []netip.AddrPort{netip.AddrPortFrom(b.addressOf(img.Repository), b.seeder.Port())}
	}
	return t, true
}

// addressOf is where PCs fetch the images of a repository.
func (b *bitTorrent) addressOf(repository string) netip.Addr {
	if r, err := b.images.Repository(repository); err == nil {
		if a, err := netip.ParseAddr(r.Address()); err == nil {
			return a
		}
	}
	return b.address
}

// open is asked by the seeder for a torrent that a peer wants. The image is in use until nobody has wanted it for giveFor.
func (b *bitTorrent) open(hash metainfo.Hash) (*torrent.Task, error) {
	shared, err := b.images.Share(hash, byTorrent)
	if err != nil {
		return nil, err
	}
	seed, err := torrent.SeedOf(shared.File, shared.Torrent)
	if err != nil {
		return nil, errors.Join(err, shared.Close())
	}
	b.log.Info("image is given by BitTorrent", "image", shared.Image.Name, "revision", shared.Image.Revision)
	return &torrent.Task{
		Torrent: shared.Torrent, Storage: given{seed, shared}, Mode: torrent.Seeder, Linger: -1,
		Trackers: []string{}, // the tracker knows the seeder without being told
	}, nil
}

// given is an image that is held while it is given.
type given struct {
	*torrent.Seed
	shared *imagestore.Shared
}

// Close closes the file and lets go of the image.
func (g given) Close() error { return g.shared.Close() }

// watch ends the torrents of images that may not be used any more: somebody changed a file, or it was found damaged.
func (b *bitTorrent) watch(ctx context.Context) {
	every := time.NewTicker(lookAfter)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
			b.look()
		}
	}
}

func (b *bitTorrent) look() {
	for _, status := range b.seeder.Status() {
		if _, err := b.images.FindTorrent(status.Hash); err != nil {
			b.log.Warn("image is not given by BitTorrent any more", "torrent", status.Name, "error", err)
			b.seeder.End(status.Hash)
		}
	}
}

// Swarms implements webui.Torrents.
func (b *bitTorrent) Swarms() []tracker.Swarm {
	if b.tracker == nil {
		return nil
	}
	return b.tracker.Swarms()
}

// Seeding implements webui.Torrents.
func (b *bitTorrent) Seeding() []torrent.Status {
	if b.seeder == nil {
		return nil
	}
	return b.seeder.Status()
}

// Image implements webui.Torrents.
func (b *bitTorrent) Image(hash metainfo.Hash) (imagestore.Image, bool) {
	img, err := b.images.FindTorrent(hash)
	return img, err == nil
}

// Offer implements webui.Torrents.
func (b *bitTorrent) Offer() webui.TorrentOffer {
	offer := webui.TorrentOffer{Tracker: b.cfg.announce(b.address), UploadLimit: b.cfg.bytesPerSecond()}
	if b.seeder != nil {
		offer.Port = int(b.seeder.Port())
	}
	return offer
}
