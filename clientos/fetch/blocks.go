package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"aula/clientos/clone"
	"aula/clientos/protocol"
	"aula/imagestore/format"
	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
)

// Blocks is the Delivery by multicast or BitTorrent of an instruction's images straight to where clone puts them; nil for Unicast.
//
// What it brought is kept by nobody: an interrupted one begins anew, but goes on through any number of sessions.
func Blocks(cfg Config, in protocol.Instruct, progress func(Progress)) clone.Delivery {
	d := blocks{cfg: cfg.complete(in), in: in, report: progress}
	switch {
	case in.Delivery == nil:
		return nil
	case in.Delivery.Protocol == protocol.Multicast:
		return &sessionBlocks{d}
	case in.Delivery.Protocol == protocol.Torrent:
		return &swarmBlocks{blocks: d, metas: map[string]*metainfo.Torrent{}}
	}
	return nil
}

// blocks are what both deliveries have.
type blocks struct {
	cfg    Config
	in     protocol.Instruct
	report func(Progress)
}

// teller tells of images that are being delivered.
func (b *blocks) teller(images []clone.Placed) *teller {
	t := &teller{report: b.report}
	for _, image := range images {
		t.now.Total += image.Image.FileBytes
	}
	return t
}

// A sessionBlocks delivers by multicast.
type sessionBlocks struct{ blocks }

// BlockSize tells that Deliver keeps to the memory by itself. A session brings the file in order, but for what a PC loses or comes too late for, which it
// gets in later passes. How many stretches of the file that makes, nobody can foresee: every other block in the worst case, which would take half
// of the file and more. So Deliver counts stretches.
func (*sessionBlocks) BlockSize(context.Context, protocol.Image) (int64, error) { return 0, nil }

// Deliver implements clone.Delivery.
func (d *sessionBlocks) Deliver(ctx context.Context, images []clone.Placed) error {
	tell := d.teller(images)
	into, err := d.content(images, tell)
	if err != nil {
		return err
	}
	return (&follower{cfg: d.cfg, instruction: d.in.ID, into: into, tell: tell, waits: waitOf(d.in)}).follow(ctx)
}

// content is what a session brings to the images, which are those of the instruction in their order.
func (d *sessionBlocks) content(images []clone.Placed, tell *teller) (*content, error) {
	if len(images) != len(d.in.Parts) {
		return nil, fmt.Errorf("%d images to deliver of the %d of the instruction", len(images), len(d.in.Parts))
	}
	into := newContent(sizesOf(d.in), tell, func() error { return nil })
	all := &scatters{}
	for i, image := range images {
		s := &scatter{to: image.To, all: all}
		all.list = append(all.list, s)
		all.room = image.To.Budget().Limit()
		into.places[i].to = s
	}
	return into, nil
}

// scatters share the memory for what waits for its neighbours.
type scatters struct {
	list []*scatter
	room int64
}

// A scatter is the destination of a file whose bytes go straight to a disk.
//
// What a Scatter keeps in memory grows with the stretches of the file that have come. A block that would begin one for which there is no room is passed
// over, and is asked for again when the session has brought the others: those that lengthen a stretch, or close a gap, make room. The first
// missing block of a file always does, so that each session brings the end nearer.
type scatter struct {
	to   *clone.Scatter
	have clone.Ranges
	all  *scatters
}

func (s *scatter) missing(low, high int64) []format.Extent { return s.have.Missing(low, high) }

func (s *scatter) write(offset int64, b []byte) error {
	if !s.have.Add(format.Extent{Offset: offset, Length: int64(len(b))}) {
		return fmt.Errorf("some of the bytes %d to %d came before", offset, offset+int64(len(b))-1)
	}
	return s.to.WriteBlock(offset, b)
}

// admits implements destination.
func (s *scatter) admits(e format.Extent) bool {
	if e.Offset == 0 || s.have.Touches(e) {
		return true
	}
	needs := s.to.StretchNeeds()
	for _, other := range s.all.list {
		needs += other.stretches() * other.to.StretchNeeds()
	}
	return needs <= s.all.room
}

// stretches counts those that there are, and one at the file's beginning.
func (s *scatter) stretches() int64 {
	n := int64(len(s.have))
	if n == 0 || s.have[0].Offset > 0 {
		n++
	}
	return n
}

// A swarmBlocks delivers by BitTorrent. A PC passes on the pieces that it still has in memory, and shares nothing when it has all: by then it has forgotten
// nearly everything.
type swarmBlocks struct {
	blocks
	mu    sync.Mutex
	metas map[string]*metainfo.Torrent // by repository, name and revision
}

// usualWindow is how many bytes of pieces are kept to be passed on.
const usualWindow = 64 << 20

// torrent gets the torrent of an image, once.
func (d *swarmBlocks) torrent(ctx context.Context, image protocol.Image) (*metainfo.Torrent, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := fmt.Sprintf("%q %q %d", image.Repository, image.Name, image.Revision)
	if d.metas[key] == nil {
		meta, err := openTorrent(ctx, d.cfg, image)
		if err != nil {
			return nil, err
		}
		d.metas[key] = meta
	}
	return d.metas[key], nil
}

// BlockSize is how large the pieces are, which come in random order.
func (d *swarmBlocks) BlockSize(ctx context.Context, image protocol.Image) (int64, error) {
	meta, err := d.torrent(ctx, image)
	if err != nil {
		return 0, err
	}
	return meta.PieceLength, nil
}

// pieces hands the pieces of one torrent to all images that it is of.
type pieces struct {
	mu   *sync.Mutex // of all torrents: one goroutine at a time
	to   []*clone.Scatter
	tell *teller
}

// WriteBlock implements torrent.PieceSink.
func (p *pieces) WriteBlock(offset int64, b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, to := range p.to {
		if err := to.WriteBlock(offset, b); err != nil {
			return err
		}
		p.tell.add(int64(len(b)))
	}
	return nil
}

// Deliver implements clone.Delivery.
func (d *swarmBlocks) Deliver(ctx context.Context, images []clone.Placed) error {
	mode, _, err := torrentMode(d.in)
	if err != nil {
		return err
	}
	tell := d.teller(images)
	sinks, metas := map[metainfo.Hash]*pieces{}, map[metainfo.Hash]*metainfo.Torrent{}
	var one sync.Mutex
	for _, image := range images {
		meta, err := d.torrent(ctx, image.Image)
		if err != nil {
			return err
		}
		metas[meta.Hash] = meta
		if sinks[meta.Hash] == nil {
			sinks[meta.Hash] = &pieces{mu: &one, tell: tell}
		}
		sinks[meta.Hash].to = append(sinks[meta.Hash].to, image.To)
	}
	client, err := newClient(d.cfg)
	if err != nil {
		return err
	}
	s := newSharing(ctx, client, d.cfg.Log)
	for hash, sink := range sinks {
		err = errors.Join(err, d.begin(s, metas[hash], sink, mode, len(sinks)))
	}
	s.keep()
	if err == nil {
		err = awaitBlocks(s, tell)
	}
	return errors.Join(err, s.Close())
}

// begin begins a task for one torrent.
func (d *swarmBlocks) begin(s *Sharing, meta *metainfo.Torrent, sink *pieces, mode torrent.Mode, tasks int) error {
	memory := d.cfg.Memory
	if memory == 0 {
		memory = usualWindow
	}
	window, err := torrent.NewWindow(sink, meta, memory/int64(tasks))
	if err != nil {
		return failure(protocol.ErrImageFile, err.Error(), "check the image in the repository", nil)
	}
	s.tasks.Go(func() {
		if err := s.client.Do(s.ctx, &torrent.Task{Torrent: meta, Storage: window, Mode: mode}); err != nil {
			s.end(err)
		}
	})
	return nil
}

// awaitBlocks returns when all tasks have ended, or one has failed, or nothing has come for too long.
func awaitBlocks(s *Sharing, tell *teller) error {
	ticks := time.NewTicker(lookEvery)
	defer ticks.Stop()
	bytes, alive := tell.bytes(), time.Now()
	for {
		select {
		case <-s.over:
			if cause := context.Cause(s.ctx); cause != errOver {
				return cause
			}
			return nil
		case <-ticks.C:
		}
		if is := tell.bytes(); is > bytes {
			bytes, alive = is, time.Now()
		}
		if time.Since(alive) > patience {
			return errSilentSwarm()
		}
	}
}
