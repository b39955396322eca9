package fetch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"aula/clientos/clone"
	"aula/clientos/protocol"
	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
)

// usualMode is how PCs share when an instruction does not say it, as in OpenGnsys.
const usualMode = "peer:60"

// torrentMode reads how a PC shares, and for how long when it has all.
func torrentMode(in protocol.Instruct) (torrent.Mode, time.Duration, error) {
	text := usualMode
	if in.Delivery != nil {
		text = cmp.Or(in.Delivery.Parameters, usualMode)
	}
	mode, linger, err := torrent.ParseMode(text)
	if err != nil {
		return "", 0, failure(protocol.ErrFormat, err.Error(), "write peer:60, for example, and start the operation again", nil)
	}
	return mode, linger, nil
}

// openTorrent gets the torrent of an image.
func openTorrent(ctx context.Context, cfg Config, image protocol.Image) (meta *metainfo.Torrent, err error) {
	err = clone.Retry(ctx, cfg.Log, "fetching the torrent", func() error {
		body, err := cfg.Server.OpenTorrent(ctx, image)
		if err != nil {
			return err
		}
		defer body.Close()
		data, err := io.ReadAll(io.LimitReader(body, metainfo.MaxFile+1))
		if err != nil {
			return err
		}
		meta, err = metainfo.Parse(data)
		if err != nil || meta.Length != image.FileBytes {
			return failure(protocol.ErrImageFile, fmt.Sprintf("the torrent of image %s is not of its file", image.Name),
				"check the image in the repository, so that its torrent is made anew; use UNICAST or MULTICAST meanwhile", err)
		}
		return nil
	})
	return meta, err
}

// newClient opens the port of BitTorrent.
func newClient(cfg Config) (*torrent.Client, error) {
	c, err := torrent.NewClient(torrent.Config{Listen: cmp.Or(cfg.Listen, fmt.Sprintf(":%d", torrent.DefaultPort)), Log: cfg.Log})
	if err != nil {
		return nil, failure(protocol.ErrGeneric, err.Error(), "restart the computer and try again, or use UNICAST or MULTICAST", nil)
	}
	return c, nil
}

// A swarmFile is a file on its way by BitTorrent. It tells when it is complete and on the disk.
type swarmFile struct {
	*torrent.FileStorage
	complete chan struct{}
}

// Finish implements torrent.Storage.
func (s swarmFile) Finish() error {
	err := s.FileStorage.Finish()
	if err == nil {
		close(s.complete)
	}
	return err
}

// torrent brings all files at once by BitTorrent, and goes on sharing them.
func (f *filesFetch) torrent(ctx context.Context) (*Sharing, error) {
	if len(f.wanted) == 0 {
		return overSharing(), nil
	}
	mode, linger, err := torrentMode(f.in)
	if err != nil {
		return nil, err
	}
	client, err := newClient(f.cfg)
	if err != nil {
		return nil, err
	}
	s := newSharing(ctx, client, f.cfg.Log)
	err = f.swarm(s, mode, linger)
	s.keep()
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// swarm begins a task for each file, and returns when all are complete and on the disk.
func (f *filesFetch) swarm(s *Sharing, mode torrent.Mode, linger time.Duration) error {
	var waiting []chan struct{}
	for _, w := range f.wanted {
		meta, err := openTorrent(s.ctx, f.cfg, w.Image)
		if err != nil {
			return err
		}
		file, err := f.openFile(s.ctx, w, meta)
		if err != nil {
			return err
		}
		complete := make(chan struct{})
		waiting = append(waiting, complete)
		s.tasks.Go(func() {
			err := s.client.Do(s.ctx, &torrent.Task{Torrent: meta, Storage: swarmFile{file, complete}, Mode: mode, Linger: linger})
			select {
			case <-complete: // how its sharing ended fails nothing any more
				if err != nil && s.ctx.Err() == nil {
					f.cfg.Log.Warn("an image is shared no more", "image", w.Image.Name, "error", err)
				}
			default:
				s.end(diskFailure(w.Path, err))
			}
		})
	}
	return f.await(s, waiting)
}

// openFile opens what there is of a file. What an earlier fetch brought otherwise than by BitTorrent is looked at, and kept as far as it is right.
func (f *filesFetch) openFile(ctx context.Context, w File, meta *metainfo.Torrent) (*torrent.FileStorage, error) {
	if _, err := os.Stat(w.Path + ".partial"); errors.Is(err, os.ErrNotExist) {
		if err := removeIfThere(w.Path + ".partial.blocks"); err != nil { // it would speak for what begins now
			return nil, diskFailure(w.Path, err)
		}
	}
	file, err := torrent.OpenFile(ctx, filepath.Dir(w.Path), meta, torrent.FileOptions{Name: filepath.Base(w.Path), Replace: true})
	return file, diskFailure(w.Path, err)
}

// await reports progress until all files are complete, one has failed, or nothing has come for too long.
func (f *filesFetch) await(s *Sharing, waiting []chan struct{}) error {
	ticks := time.NewTicker(lookEvery)
	defer ticks.Stop()
	alive := time.Now()
	for len(waiting) > 0 {
		select {
		case <-waiting[0]:
			waiting = waiting[1:]
		case <-s.ctx.Done(): // a task has failed, or the caller's context has ended
			return context.Cause(s.ctx)
		case <-ticks.C:
			if f.look(s.client) {
				alive = time.Now()
			}
			if time.Since(alive) > patience {
				return errSilentSwarm()
			}
		}
	}
	f.tell.change(func(p *Progress) { p.Bytes = p.Total })
	return nil
}

func errSilentSwarm() error {
	return failure(protocol.ErrRepository, fmt.Sprintf("no BitTorrent peer has sent anything for %s", patience),
		"check that the server runs, that its tracker and TCP port 6881 can be reached, and the network cable, then try again", nil)
}

// look reports what has come, and tells whether it is more than before.
func (f *filesFetch) look(client *torrent.Client) (more bool) {
	var have int64
	for _, status := range client.Status() {
		have += status.Have
	}
	more = have > f.tell.bytes()
	if more {
		f.tell.change(func(p *Progress) { p.Bytes = min(have, p.Total) })
	}
	return more
}
