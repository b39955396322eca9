// Package fetch brings the files of images to a PC, by unicast, multicast or BitTorrent: into files of its cache, or in blocks straight to where
// clientos/clone puts them.
//
// It knows nothing of disks, and decides nothing about what to do when a way is closed.
package fetch

import (
	"context"
	"errors"
	"io"
	"log/slog"
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

// A Config gives a Fetcher what it works with.
type Config struct {
	Server    Server
	Name      string // of the PC, for the sender's operator
	Interface string // NIC for multicast; empty: every one that is up
	Listen    string // TCP address for BitTorrent; empty: torrent.DefaultPort of every address
	Memory    int64  // bytes for what comes out of order; 0: what the PC can spare
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
	Path  string // the fetch may leave Path.partial and a journal beside it, and goes on with what an earlier one left
}

// Files brings the files of an instruction, all of them, by the instruction's Delivery. Files that are Have are there already, and are wanted by nobody;
// they are among the content of a multicast session all the same. The error is a *protocol.Failure, or wraps context.Cause.
// The Sharing that it returns is not nil after a Delivery by BitTorrent.
func Files(ctx context.Context, cfg Config, in protocol.Instruct, files []File, have map[string]bool, progress func(Progress)) (*Sharing, error) {
	return nil, errors.New("not built yet")
}

// A Sharing is a PC that gives what it has fetched to others.
type Sharing struct{}

// Left is for how long it still shares; 0 when it is over.
func (s *Sharing) Left() time.Duration { return 0 }

// Wait waits until it is over, or ctx ends, which ends it.
func (s *Sharing) Wait(ctx context.Context) error { return errors.New("not built yet") }

// Blocks is the Delivery by multicast or BitTorrent of an instruction's images straight to where clone puts them; nil for Unicast.
func Blocks(cfg Config, in protocol.Instruct, progress func(Progress)) clone.Delivery { return nil }
