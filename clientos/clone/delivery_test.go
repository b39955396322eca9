package clone

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"aula/clientos/disk"
	"aula/clientos/disk/disktest"
	"aula/clientos/protocol"
	"aula/imagestore/format"
	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
)

// A swarmDelivery fetches the images of a PC by BitTorrent.
type swarmDelivery struct {
	client  *torrent.Client
	meta    *metainfo.Torrent
	peers   []netip.AddrPort
	window  int64 // bytes that are kept for other peers
	start   *together
	written chan struct{} // closed when this PC has all
	linger  <-chan struct{}
}

// together is where PCs wait for the last of them.
type together struct {
	away atomic.Int32
	all  chan struct{}
}

func (d *swarmDelivery) BlockSize(context.Context, protocol.Image) (int64, error) {
	return d.meta.PieceLength, nil
}

func (d *swarmDelivery) Deliver(ctx context.Context, images []Placed) error {
	to := images[0].To
	w, err := torrent.NewWindow(finishing{to, d.written}, d.meta, d.window)
	if err != nil {
		return err
	}
	if d.start.away.Add(-1) == 0 {
		close(d.start.all)
	}
	select {
	case <-d.start.all:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- d.client.Do(ctx, &torrent.Task{Torrent: d.meta, Storage: w, Mode: torrent.Peer, Linger: -1, Peers: d.peers})
	}()
	select {
	case <-d.linger: // all PCs have all
		cancel()
		<-ended
		return nil
	case err := <-ended:
		return err
	}
}

// finishing tells when a window has brought everything to the disk.
type finishing struct {
	*Scatter
	written chan struct{}
}

func (f finishing) Sync() error {
	err := f.Scatter.Sync()
	if err == nil {
		close(f.written)
	}
	return err
}

// peer starts a client on an address of the loopback, for as long as the test runs.
func peer(t *testing.T, address string, limit int64) (*torrent.Client, netip.AddrPort) {
	t.Helper()
	c, err := torrent.NewClient(torrent.Config{Listen: address + ":0", UploadLimit: limit})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ran; err != nil {
			t.Error(err)
		}
	})
	return c, netip.AddrPortFrom(netip.MustParseAddr(address), c.Port())
}

// originOf seeds an image.
func originOf(t *testing.T, image []byte) (*metainfo.Torrent, *torrent.Client, netip.AddrPort) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "model.img")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	meta, err := metainfo.Make(t.Context(), bytes.NewReader(image), "model.img", int64(len(image)), 256<<10, func(int64, int64) {})
	if err != nil {
		t.Fatal(err)
	}
	client, at := peer(t, "127.0.5.1", 4<<20)
	seed, err := torrent.OpenSeed(path, meta)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- client.Do(ctx, &torrent.Task{Torrent: meta, Storage: seed, Mode: torrent.Seeder, Linger: -1})
	}()
	t.Cleanup(func() { cancel(); <-ended })
	return meta, client, at
}

// TestSwarmRestoresPartitions has an origin and two PCs, each of which passes on what it can within its window, and neither of which has room for the file.
func TestSwarmRestoresPartitions(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	server, source := captured(t, ext4)
	meta, origin, at := originOf(t, server.image)

	everyone := make(chan struct{})
	start := &together{all: make(chan struct{})}
	var pcs []*swarmDelivery
	for _, address := range []string{"127.0.5.2", "127.0.5.3"} {
		client, own := peer(t, address, 0)
		pc := &swarmDelivery{
			client: client, meta: meta, peers: []netip.AddrPort{at}, window: 6 << 20, start: start, written: make(chan struct{}), linger: everyone,
		}
		for _, other := range pcs {
			other.peers = append(other.peers, own)
		}
		pcs = append(pcs, pc)
		start.away.Add(1)
	}
	var targets []disktest.Disk
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		for _, pc := range pcs {
			select {
			case <-pc.written:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		close(everyone)
		return nil
	})
	for _, pc := range pcs {
		target := disktest.New(t, "TARGET", 150*mib, 512)
		targets = append(targets, target)
		i := instruction(t, protocol.RestoreImage, target.Path, 1)
		i.Parts, i.Layout = server.part(1), server.layout
		own := &fakeServer{image: server.image, index: server.index}
		env := Env{Server: own, Delivery: pc, Disks: disk.System{Devices: []string{target.Path}}, Log: slog.New(slog.DiscardHandler)}
		r := &recorder{t: t}
		group.Go(func() error {
			result, err := Run(ctx, env, i, r.report)
			if err == nil && (result.Verified != server.index.Info.UsedBytes || r.stages() != "preflight partitioning writing verifying finishing ") {
				t.Errorf("verified %d bytes of %d in the stages %s", result.Verified, server.index.Info.UsedBytes, r.stages())
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if uploaded := origin.Status()[0].Uploaded; uploaded >= 2*meta.Length {
		t.Errorf("the origin gave %d bytes of a file of %d: its PCs share nothing", uploaded, meta.Length)
	}
	for _, target := range targets {
		restored := node(t, target, 1)
		disktest.Run(t, "e2fsck", "-fn", restored)
		compareUsed(t, server.index, node(t, source, 1), restored, "EXT4")
		compareWithPartclone(t, server, restored)
	}
}

// A mapServer is a fakeServer that has maps.
type mapServer struct {
	*fakeServer
	cuts int // of connections
}

func (s *mapServer) OpenMap(context.Context, protocol.Image) (io.ReadCloser, error) {
	m, err := format.MapFile(bytes.NewReader(s.image), int64(len(s.image)), s.index)
	if err != nil {
		return nil, &protocol.Failure{Code: protocol.ErrNotFound, Problem: err.Error(), Advice: "none"}
	}
	var b bytes.Buffer
	if _, err := m.WriteTo(&b); err != nil {
		return nil, err
	}
	if s.cuts > 0 {
		s.cuts--
		return io.NopCloser(io.MultiReader(io.LimitReader(&b, 20), brokenReader{})), nil
	}
	return io.NopCloser(&b), nil
}

// TestDeliveryOfLzop has the map from the server.
func TestDeliveryOfLzop(t *testing.T) {
	t.Parallel()
	disktest.Need(t, "partclone.extfs")
	source := model(t, ext4)
	server := &mapServer{fakeServer: &fakeServer{}, cuts: 2}
	i := instruction(t, protocol.CreateImage, source.Path, 1)
	i.Capture.Compressor = format.Lzop
	if _, _, err := run(t, server, source.Path, i); err != nil {
		t.Fatal(err)
	}
	target := disktest.New(t, "TARGET", 128*mib, 512)
	i = instruction(t, protocol.RestoreImage, target.Path, 1)
	i.Parts, i.Layout = server.part(1), server.layout
	env := Env{
		Server: server, Delivery: inMemory{server: server.fakeServer, block: mib},
		Disks: disk.System{Devices: []string{target.Path}}, Log: slog.New(slog.DiscardHandler),
	}
	if _, err := Run(t.Context(), env, i, (&recorder{t: t}).report); err != nil {
		t.Fatal(err)
	}
	compareUsed(t, server.index, node(t, source, 1), node(t, target, 1), "EXT4")
}

// inMemory delivers blocks of an image in a shuffled order, and may spoil them.
type inMemory struct {
	server *fakeServer
	block  int
	spoil  func(b []byte)
}

func (d inMemory) BlockSize(context.Context, protocol.Image) (int64, error) {
	return int64(d.block), nil
}

func (d inMemory) Deliver(_ context.Context, images []Placed) error {
	to := images[0].To
	image := bytes.Clone(d.server.image)
	if d.spoil != nil {
		d.spoil(image)
	}
	return give(to, image, shuffled(blocksOf(len(image), d.block, nil), 11))
}

// TestDeliveryIsRefusedBeforeWriting has images that cannot be taken in any order, or not in the memory that there is.
func TestDeliveryIsRefusedBeforeWriting(t *testing.T) {
	t.Parallel()
	server, _ := captured(t, ext4)
	plain, _, err := format.Decompress(bytes.NewReader(server.image))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	image, err := io.ReadAll(plain)
	if err != nil {
		t.Fatal(err)
	}
	withMaps := func(s *fakeServer) Server { return &mapServer{fakeServer: s} }
	withoutMaps := func(s *fakeServer) Server { return s }
	for name, test := range map[string]struct {
		image  []byte
		server func(*fakeServer) Server
		memory int64
		cause  error
		words  string
	}{
		"gzip":                      {packedBy(t, image, "gzip", "-1", "-c"), withMaps, 0, format.ErrOrdered, "gzip file is one stream"},
		"lzop, of which is no map":  {packedBy(t, image, "lzop", "-c"), withoutMaps, 0, format.ErrOrdered, "LZOP"},
		"zstd without a seek table": {packedBy(t, image, "zstd", "-q", "-c"), withMaps, 0, format.ErrOrdered, "seek table"},
		"little memory":             {server.image, withoutMaps, 100_000, ErrScattered, "of memory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			own := published(t, test.image)
			target := disktest.New(t, "TARGET", 150*mib, 512)
			i := instruction(t, protocol.RestoreImage, target.Path, 1)
			i.Parts, i.Layout = own.part(1), server.layout
			before := readAt(t, target.Path, 0, 150*mib)
			r := &recorder{t: t}
			env := Env{
				Server: test.server(own), Delivery: inMemory{server: own, block: 256 << 10}, Memory: test.memory,
				Disks: disk.System{Devices: []string{target.Path}}, Log: slog.New(slog.DiscardHandler),
			}
			_, err := Run(t.Context(), env, i, r.report)
			f := wantFailure(t, err, protocol.ErrImage, test.words)
			if f.Stage != protocol.StagePreflight || r.dirty() || !strings.Contains(f.Advice, "nothing was written") {
				t.Errorf("got %+v, dirty %v; want preflight and a clean disk", f, r.dirty())
			}
			if !bytes.Equal(readAt(t, target.Path, 0, 150*mib), before) {
				t.Error("the disk was written to")
			}
			// The cause is for those who would fetch it in another way.
			rs := &restore{job: &job{server: env.Server, delivery: env.Delivery, memory: test.memory, log: env.Log}}
			_, _, err = rs.mapFile(t.Context(), &part{image: own.record(), index: own.index})
			if !errors.Is(err, test.cause) {
				t.Errorf("got %v, want %v", err, test.cause)
			}
		})
	}
}

// TestDeliveryFaults has an image of which something is wrong on the way, and a server that cuts the few reads of its head and its table.
func TestDeliveryFaults(t *testing.T) {
	t.Parallel()
	server, source := captured(t, ntfs)
	run := func(t *testing.T, d inMemory) (disktest.Disk, error) {
		target := disktest.New(t, "TARGET", 150*mib, 512)
		i := instruction(t, protocol.RestoreImage, target.Path, 1)
		i.Parts, i.Layout = server.part(1), server.layout
		i.Parts[0].Image.SectorSize = 0 // so that the first sector is looked at
		own := &fakeServer{image: server.image, index: server.index, cuts: 3, cutAfter: 5000}
		env := Env{Server: own, Delivery: d, Disks: disk.System{Devices: []string{target.Path}}, Log: slog.New(slog.DiscardHandler)}
		_, err := Run(t.Context(), env, i, (&recorder{t: t}).report)
		return target, err
	}
	t.Run("cuts", func(t *testing.T) {
		t.Parallel()
		target, err := run(t, inMemory{server: server, block: 184_288})
		if err != nil {
			t.Fatal(err)
		}
		compareUsed(t, server.index, node(t, source, 1), node(t, target, 1), "NTFS")
	})
	t.Run("wrong bytes", func(t *testing.T) {
		t.Parallel()
		spoil := func(b []byte) { b[len(b)/2] ^= 4 }
		_, err := run(t, inMemory{server: server, block: 184_288, spoil: spoil})
		f := wantFailure(t, err, protocol.ErrImageFile, "of the image file")
		if f.Stage != protocol.StageWriting {
			t.Errorf("failed while %s, want writing", f.Stage)
		}
	})
}
