package deployment

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"aula/clientos/cache"
	"aula/clientos/fetch"
	"aula/clientos/protocol"
)

// updateCache brings the images into the cache.
func (w *work) updateCache(ctx context.Context) error {
	if err := w.readBack(ctx); err != nil {
		return err
	}
	sharing, err := w.bring(ctx)
	if err != nil {
		return err
	}
	defer sharing.Close()
	w.result.Verified = w.in.FileBytes()
	return w.share(ctx, sharing)
}

// proofLasts is for how long an image that was read back from the cache is taken to be there still. Disks rot slowly, and reading 20 GB takes minutes.
const proofLasts = 7 * 24 * time.Hour

// readBack reads the images that the cache has and that were not read lately, and removes those that are damaged: bring fetches them anew. A note says
// when the others were read.
func (w *work) readBack(ctx context.Context) (err error) {
	open, err := w.Cache.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, open.Close()) }()
	w.stage(protocol.StageVerifying, w.in.FileBytes())
	_, err = w.rotten(ctx, open, func(image protocol.Image) bool {
		at := open.Proved(image)
		if age := time.Since(at); age < 0 || age > proofLasts { // a clock that was set says nothing
			return true
		}
		w.note(fmt.Sprintf("image %s was last read back from the cache on %s", image.Name, at.UTC().Format("2006-01-02 15:04 UTC")))
		return false
	})
	return err
}

// rotten reads those images that the cache has and that are due, and removes the damaged ones, whose names it returns.
func (w *work) rotten(ctx context.Context, open *cache.Open, due func(protocol.Image) bool) (damaged []string, err error) {
	var before int64
	for _, p := range w.in.Parts {
		if _, found := open.Find(p.Image); found && due(p.Image) {
			sound, err := open.Prove(ctx, p.Image, func(done int64) { w.done(before + done) })
			if err != nil {
				return damaged, err
			}
			if !sound {
				damaged = append(damaged, p.Image.Name)
				w.note(fmt.Sprintf("image %s was damaged in the cache and is fetched anew", p.Image.Name))
			}
		}
		before += p.Image.FileBytes
	}
	return damaged, nil
}

// bring sees that the cache has every image, and shares them as long as the protocol's parameters say.
func (w *work) bring(ctx context.Context) (sharing *sharing, err error) {
	open, err := w.Cache.Open(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, open.Close())
		}
	}()
	have, paths := w.cached(open)
	if len(have) == len(w.in.Parts) {
		w.note("the cache had it already")
		return newSharing(nil, open), nil
	}
	if w.in.Delivery.From == protocol.Cache {
		return nil, w.failed(protocol.ErrNotFound, fmt.Sprintf("the cache does not have image %s", w.lacking(have)), "bring it there with updateCache, or restore from REPO")
	}
	files, err := w.reserve(open, have, paths)
	if err != nil {
		return nil, err
	}
	w.stage(protocol.StageCaching, w.in.FileBytes())
	shared, err := fetch.Files(ctx, w.fetching(), w.in, files, w.arrived(open, have), w.coming)
	if err != nil {
		return nil, err
	}
	if err := w.keep(ctx, open, have); err != nil {
		return nil, errors.Join(err, shared.Close())
	}
	return newSharing(shared, open), nil
}

// cached finds the images that the cache has, by name.
func (w *work) cached(open *cache.Open) (have map[string]bool, paths map[string]string) {
	have, paths = make(map[string]bool), make(map[string]string)
	for _, p := range w.in.Parts {
		if path, found := open.Find(p.Image); found {
			have[p.Image.Name], paths[p.Image.Name] = true, path
		}
	}
	return have, paths
}

// reserve makes room for the images that the cache does not have.
func (w *work) reserve(open *cache.Open, have map[string]bool, paths map[string]string) (files []fetch.File, err error) {
	for _, p := range w.in.Parts {
		path := paths[p.Image.Name]
		if !have[p.Image.Name] {
			var note string
			if path, note, err = open.Reserve(p.Image); err != nil {
				return nil, err
			}
			w.note(note)
		}
		files = append(files, fetch.File{Image: p.Image, Path: path})
	}
	return files, nil
}

// arrived adds to what the cache has those files that came whole before a power cut and were not read back.
func (w *work) arrived(open *cache.Open, have map[string]bool) map[string]bool {
	here := maps.Clone(have)
	for _, p := range w.in.Parts {
		if open.Arrived(p.Image) {
			here[p.Image.Name] = true
		}
	}
	return here
}

// lacking is the first image that the cache does not have.
func (w *work) lacking(have map[string]bool) string {
	for _, p := range w.in.Parts {
		if !have[p.Image.Name] {
			return fmt.Sprintf("%s revision %d", p.Image.Name, p.Image.Revision)
		}
	}
	return ""
}

// keep has the cache read back what came.
func (w *work) keep(ctx context.Context, open *cache.Open, have map[string]bool) error {
	w.stage(protocol.StageVerifying, w.in.FileBytes())
	var before int64
	for _, p := range w.in.Parts {
		if !have[p.Image.Name] {
			if _, err := open.Keep(ctx, p.Image, func(done int64) { w.done(before + done) }); err != nil {
				return err
			}
		}
		before += p.Image.FileBytes
	}
	return nil
}

// fetching is what fetch works with.
func (w *work) fetching() fetch.Config {
	return fetch.Config{Server: w.Server, Name: w.in.Computer, Interface: w.Interface, Log: w.Log}
}

// coming passes on how far a fetch into the cache is.
func (w *work) coming(p fetch.Progress) {
	w.change(func(now *Progress) {
		if p.Waiting {
			now.Stage, now.Bytes, now.Total, now.Slow = protocol.StageWaiting, 0, 0, ""
			return
		}
		now.Stage, now.Bytes, now.Total, now.Slow = protocol.StageCaching, p.Bytes, p.Total, protocol.SlowNetwork
	})
}

// joining tells of a session that has not begun; of the rest clone tells.
func (w *work) joining(p fetch.Progress) {
	if p.Waiting {
		w.stage(protocol.StageWaiting, 0)
	}
}

// A sharing is a cache that others may still fetch from.
type sharing struct {
	shared *fetch.Sharing // nil: nobody does
	open   *cache.Open
}

func newSharing(shared *fetch.Sharing, open *cache.Open) *sharing { return &sharing{shared, open} }

// share waits until the PC has given what it fetched to others for as long as it was told.
func (w *work) share(ctx context.Context, s *sharing) error {
	if s.shared != nil && s.shared.Left() > 0 {
		w.stage(protocol.StageSharing, 0)
		if err := s.shared.Wait(ctx); err != nil {
			return err
		}
	}
	return s.Close()
}

// Close ends it.
func (s *sharing) Close() (err error) {
	if s.shared != nil {
		err = s.shared.Close()
		s.shared = nil
	}
	if s.open != nil {
		err = errors.Join(err, s.open.Close())
		s.open = nil
	}
	return err
}
