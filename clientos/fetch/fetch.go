// Package fetch brings the files of images to a PC, by unicast, multicast or BitTorrent: into files of its cache, or in blocks straight to where
// clientos/clone puts them.
//
// It knows nothing of disks, and decides nothing about what to do when a way is closed.
package fetch

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"aula/clientos/clone"
	"aula/clientos/protocol"
)

// A Server is what is asked of the appliance, besides what clone asks of it.
type Server interface {
	clone.Server
	clone.MapServer
	// Join asks to join the multicast session of an instruction.
	Join(ctx context.Context, instruction string) (protocol.Session, error)
	// OpenTorrent opens the torrent of an image.
	OpenTorrent(ctx context.Context, image protocol.Image) (io.ReadCloser, error)
}

// A Config gives Files and Blocks what they work with.
type Config struct {
	Server    Server
	Name      string // of the PC, for the sender's operator
	Interface string // NIC for multicast; empty: every one that is up
	Listen    string // TCP address for BitTorrent; empty: torrent.DefaultPort of every address
	Memory    int64  // bytes that Blocks may keep of pieces to pass on; 0 for 64 MiB. What comes out of order is clone's (clone.Env)
	Log       *slog.Logger
}

// A Progress is how far a fetch is.
type Progress struct {
	Waiting bool // for a multicast session to begin
	Bytes   int64
	Total   int64
}

// A File is an image and the path at which its file is to be.
type File struct {
	Image protocol.Image
	Path  string // the fetch may leave Path.partial and journals beside it, and goes on with what an earlier one left
}

// patience is how long is waited without one byte, and without a sign of life of a sender, before a fetch fails: as long as clone waits for the server.
const patience = 15 * time.Minute

// Files brings the files of an instruction, all of them, by the instruction's Delivery. Images whose names are in have are there already, and are wanted
// by nobody; they are among the content of a multicast session all the same. progress is called often, from one goroutine at a time, and must not
// block. The error is a *protocol.Failure, or wraps context.Cause; what has come by then is kept, and gone on with when Files is called again.
//
// A file is at its path when it is complete and on the disk. Its bytes are compared with nothing, but for what BitTorrent compares: that is for who asked
// for it (clientos/cache).
//
// The Sharing that it returns is not nil after a Delivery by BitTorrent.
func Files(ctx context.Context, cfg Config, in protocol.Instruct, files []File, have map[string]bool, progress func(Progress)) (*Sharing, error) {
	f := &filesFetch{cfg: cfg.complete(in), in: in, wanted: wantedOf(files, have), tell: &teller{report: progress}}
	for _, w := range f.wanted {
		f.tell.now.Total += w.Image.FileBytes
	}
	way := protocol.Unicast
	if in.Delivery != nil && in.Delivery.Protocol != "" {
		way = in.Delivery.Protocol
	}
	var sharing *Sharing
	var err error
	switch way {
	case protocol.Unicast:
		err = f.unicast(ctx)
	case protocol.Multicast:
		err = f.multicast(ctx)
	case protocol.Torrent:
		sharing, err = f.torrent(ctx)
	default:
		err = failure(protocol.ErrFormat, fmt.Sprintf("images do not come by %.40q", way), "start the operation again; if this comes back, update Aula", nil)
	}
	if err == nil {
		return sharing, nil
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("stopped while fetching: %w", context.Cause(ctx))
	}
	return nil, clone.Explain(err, protocol.StageCaching)
}

// A filesFetch is one call of Files.
type filesFetch struct {
	cfg    Config
	in     protocol.Instruct
	wanted []File
	tell   *teller
}

// complete fills in what a Config leaves open.
func (c Config) complete(in protocol.Instruct) Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Log = c.Log.With("instruction", in.ID)
	return c
}

// wantedOf leaves out what is there, and what is named twice.
func wantedOf(files []File, have map[string]bool) []File {
	var wanted []File
	seen := map[string]bool{}
	for _, f := range files {
		if !have[f.Image.Name] && !seen[f.Path] {
			wanted = append(wanted, f)
			seen[f.Path] = true
		}
	}
	return wanted
}

// A teller reports progress, from several goroutines, one at a time.
type teller struct {
	mu     sync.Mutex
	now    Progress
	report func(Progress)
}

func (t *teller) change(f func(*Progress)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.now)
	if t.report != nil {
		t.report(t.now)
	}
}

func (t *teller) add(n int64) { t.change(func(p *Progress) { p.Bytes += n }) }

func (t *teller) bytes() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.now.Bytes
}

// wait says whether a session is waited for.
func (t *teller) wait(waiting bool) {
	t.mu.Lock()
	same := t.now.Waiting == waiting
	t.mu.Unlock()
	if !same {
		t.change(func(p *Progress) { p.Waiting = waiting })
	}
}
