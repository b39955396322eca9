package deployment

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"aula/clientos/clone"
	"aula/clientos/disk"
	"aula/clientos/fetch"
	"aula/clientos/protocol"
	"aula/imagestore/format"
)

// cacheProblems are for which a PC does without its cache: there is none, it is in use, full, or damaged.
var cacheProblems = []int{protocol.ErrNotCache, protocol.ErrCacheSize, protocol.ErrLocked, protocol.ErrFilesystem}

// restore puts the images onto the disk by the way that the instruction asks for, or by the one that is open.
func (w *work) restore(ctx context.Context) error {
	d := w.in.Delivery
	if d == nil || d.Direct {
		return w.restoreDirectly(ctx)
	}
	// An image that does not fit must not first come over the network.
	if err := clone.Check(ctx, w.clone(w.Server, nil), w.in); err != nil {
		return err
	}
	if err := w.checkCacheStays(ctx); err != nil {
		return err
	}
	sharing, err := w.bring(ctx)
	if codeIs(err, cacheProblems...) && d.From != protocol.Cache && d.Fallback != protocol.None {
		return w.fallBack(ctx, err)
	}
	if err != nil {
		return err
	}
	defer sharing.Close()
	if len(w.in.Layout) > 0 { // nothing may have the disk open while it is partitioned
		if err := w.share(ctx, sharing); err != nil {
			return err
		}
	}
	if err := w.restoreFromCache(ctx); err != nil {
		return err
	}
	// The disk is proved to hold the image: what ends from here on ends a restore that is done.
	w.configureProved(ctx)
	if err := w.share(ctx, sharing); err != nil && ctx.Err() == nil {
		w.result.Warnings = append(w.result.Warnings, *w.explain(err))
	}
	return nil
}

// configureProved configures a system whose restore is proved; when that is cut off, a warning says so.
func (w *work) configureProved(ctx context.Context) {
	if ctx.Err() == nil {
		w.configure(ctx)
	}
	if ctx.Err() == nil || w.in.Configuration == nil || w.in.Configuration.Empty() {
		return
	}
	w.result.Warnings = append(w.result.Warnings, protocol.Failure{
		Code: protocol.ErrGeneric, Stage: protocol.StageConfiguring, Problem: "not configured: " + context.Cause(ctx).Error(),
		Advice: "the image is restored and verified; retry the operation to have only the configuration done",
	})
}

// checkCacheStays refuses to have an image come through a cache that it overwrites, or that its layout does away with. A layout that fits itself to the
// disk leaves the cache in its place.
func (w *work) checkCacheStays(ctx context.Context) error {
	whole := slices.ContainsFunc(w.in.Parts, func(p protocol.Part) bool { return p.Partition == 0 })
	if !whole && (len(w.in.Layout) == 0 || w.in.Fit) {
		return nil
	}
	disks, err := w.Disks.Disks(ctx)
	if err != nil {
		return err
	}
	if on, _, found := disk.FindCache(disks); !found || on.Number != w.in.Disk.Number {
		return nil
	}
	return w.failed(protocol.ErrCacheSize, fmt.Sprintf("the restore would do away with the cache, through which the image is to come: all of disk %d is made anew",
		w.in.Disk.Number), "restore with -DIRECT, or make the partitions first with partitionDisk, which leaves the cache in its place; nothing was written")
}

// fallBack restores straight to the disk, because of what the cache says.
func (w *work) fallBack(ctx context.Context, why error) error {
	d := *w.in.Delivery
	d.Direct, d.Protocol, d.Parameters = true, d.Fallback, ""
	if d.Protocol == "" {
		d.Protocol = protocol.Unicast
	}
	w.note(fmt.Sprintf("restored straight to the disk by %s: %v", d.Protocol, why))
	w.in.Delivery = &d
	return w.restoreDirectly(ctx)
}

// restoreDirectly has the images come straight to the disk.
func (w *work) restoreDirectly(ctx context.Context) error {
	var delivery clone.Delivery
	if d := w.in.Delivery; d != nil {
		delivery = fetch.Blocks(w.fetching(), w.in, w.joining)
	}
	result, err := clone.Run(ctx, w.clone(w.Server, delivery), w.in, w.cloning)
	if inOrderOnly(err) && w.in.Delivery.Fallback != protocol.None {
		by, d := w.in.Delivery.Protocol, *w.in.Delivery
		d.Protocol = protocol.Unicast
		w.in.Delivery = &d
		w.note(fmt.Sprintf("restored by UNICAST instead of %s: %v", by, err))
		result, err = clone.Run(ctx, w.clone(w.Server, nil), w.in, w.cloning)
	}
	if err != nil {
		return err
	}
	w.result.Verified = result.Verified
	w.configureProved(ctx)
	return nil
}

// inOrderOnly tells whether an image cannot be written as its blocks come, but from its beginning to its end.
func inOrderOnly(err error) bool {
	return errors.Is(err, clone.ErrScattered) || errors.Is(err, format.ErrOrdered)
}

// restoreFromCache restores from the files in the cache. A file that has rotted there is fetched anew, once.
func (w *work) restoreFromCache(ctx context.Context) error {
	result, err := clone.Run(ctx, w.clone(cached{w.Server, w}, nil), w.in, w.cloning)
	if codeIs(err, protocol.ErrImageFile) && ctx.Err() == nil && w.in.Delivery.From != protocol.Cache {
		w.note(fmt.Sprintf("what the cache held was damaged and was fetched again: %v", err))
		if err := w.refetch(ctx); err != nil {
			return err
		}
		result, err = clone.Run(ctx, w.clone(cached{w.Server, w}, nil), w.in, w.cloning)
	}
	if err == nil {
		w.result.Verified = result.Verified
	}
	return err
}

// refetch brings the images that are damaged anew: those whose files are not what they were, or all when none is found to be.
func (w *work) refetch(ctx context.Context) error {
	open, err := w.Cache.Open(ctx)
	if err != nil {
		return err
	}
	var damaged []string
	if len(w.in.Parts) > 1 {
		w.stage(protocol.StageCaching, w.in.FileBytes())
		damaged, err = w.rotten(ctx, open, func(protocol.Image) bool { return true })
	}
	if len(damaged) == 0 && err == nil {
		for _, p := range w.in.Parts {
			err = errors.Join(err, open.Remove(p.Image.Name))
		}
	}
	if err := errors.Join(err, open.Close()); err != nil {
		return err
	}
	sharing, err := w.bring(ctx)
	if err != nil {
		return err
	}
	return sharing.Close()
}

// cached is the server to clone, but for the images' files, which the cache has. The cache is open only while one of them is: a disk with a cache on it
// can be partitioned in between.
type cached struct {
	fetch.Server
	work *work
}

// OpenImage implements clone.Server.
func (c cached) OpenImage(ctx context.Context, image protocol.Image, offset int64) (io.ReadCloser, error) {
	open, err := c.work.Cache.Open(ctx)
	if err != nil {
		return nil, err
	}
	path, found := open.Find(image)
	if !found {
		return nil, errors.Join(c.work.failed(protocol.ErrUpdate, fmt.Sprintf("image %s is not in the cache any more", image.Name), "start the operation again"), open.Close())
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Join(c.damaged(image, err), open.Close())
	}
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return nil, errors.Join(c.damaged(image, err), f.Close(), open.Close())
	}
	return &cachedFile{server: c, image: image, file: f, at: offset, cache: open}, nil
}

// damaged is the failure of a file that the cache has and that cannot be read. It is final: waiting does not mend a disk.
func (c cached) damaged(image protocol.Image, err error) error {
	return c.work.failed(protocol.ErrImageFile, fmt.Sprintf("image %s cannot be read from the cache: %v", image.Name, err),
		"bring it there again with updateCache; if that happens again, replace the disk")
}

// A cachedFile is a file of the cache, which is open as long as it is.
type cachedFile struct {
	server cached
	image  protocol.Image
	file   *os.File
	at     int64
	cache  io.Closer
}

// Read implements io.Reader.
func (f *cachedFile) Read(b []byte) (int, error) {
	n, err := f.file.Read(b)
	f.at += int64(n)
	switch {
	case n > 0 || err == nil:
		return n, nil
	case errors.Is(err, io.EOF) && f.at >= f.image.FileBytes:
		return 0, err
	}
	return 0, f.server.damaged(f.image, err)
}

// Close implements io.Closer.
func (f *cachedFile) Close() error { return errors.Join(f.file.Close(), f.cache.Close()) }
