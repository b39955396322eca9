// Package cache is the cache partition of a PC: it finds and mounts it, tells what it holds, and keeps image files in it, of which each is either
// complete and verified, or is called otherwise.
//
// It is not about how image files come (clientos/fetch), nor about the partition table (clientos/disk). Nothing is removed to make room, but for an image
// that another of the same name replaces.
//
// Images lie where OpenGnsys has them, with the sums that it looks at, so that both can use the same cache; shelf tells their names.
package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// A Cache is the cache partition of one PC. Its methods are safe for concurrent use.
type Cache struct {
	disks  disk.System
	folder string
	log    *slog.Logger

	// turn is held by who mounts, unmounts, or needs neither to happen: a lock for which one waits no longer than a context.
	turn    chan struct{}
	opens   int
	mounted *place // nil while it is not

	files    sync.Mutex         // held by who changes names in the images' folder
	promised map[string]promise // by path, what was reserved and may not have come yet
}

// A promise is room for a file that is on its way.
type promise struct {
	to    *Open
	bytes int64 // of the whole file
}

// New returns the cache of the PC with these disks, which is mounted at folder while it is used. It does nothing yet.
func New(disks disk.System, folder string, log *slog.Logger) *Cache {
	return &Cache{disks: disks, folder: folder, log: log, turn: make(chan struct{}, 1), promised: map[string]promise{}}
}

// State tells what the cache holds; nil when the PC has none. A cache that cannot be used is no error: its Problem says why. While the cache is open
// nothing is mounted or unmounted for it.
func (c *Cache) State(ctx context.Context) (*protocol.CacheState, error) {
	release, err := c.take(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	at, err := c.attach(ctx)
	var failure *protocol.Failure
	switch {
	case at == nil && errors.As(err, &failure) && failure.Code == protocol.ErrNotCache:
		return nil, nil
	case at != nil && errors.As(err, &failure):
		return at.state(failure.Error()), nil
	case err != nil:
		return nil, err
	}
	defer func() {
		if err := c.detach(); err != nil {
			c.log.Warn("cache stays mounted", "folder", c.folder, "err", err)
		}
	}()
	return at.look(), nil
}

// Make mounts the cache and makes the folder of its images: it is for a cache partition that has just been formatted.
func (c *Cache) Make(ctx context.Context) error {
	o, err := c.Open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(o.shelf.make(), o.Close())
}

// Open mounts the cache until the Open is closed. Its error is a *protocol.Failure, unless ctx has ended: of code ErrNotCache when there is none,
// ErrLocked when something else uses it, ErrFilesystem when it cannot be mounted.
func (c *Cache) Open(ctx context.Context) (*Open, error) {
	release, err := c.take(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	at, err := c.attach(ctx)
	if err != nil {
		return nil, err
	}
	return &Open{cache: c, shelf: at.shelf, partition: at.partition.Bytes}, nil
}

// take waits for the turn.
func (c *Cache) take(ctx context.Context) (release func(), err error) {
	select {
	case c.turn <- struct{}{}:
		return func() { <-c.turn }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for the cache partition: %w", context.Cause(ctx))
	}
}

// attach mounts the cache unless it is mounted, and counts who uses it. When it is there and cannot be mounted, the place comes with the error.
func (c *Cache) attach(ctx context.Context) (*place, error) {
	if c.mounted != nil {
		c.opens++
		return c.mounted, nil
	}
	at, err := find(ctx, c.disks)
	if err != nil {
		return nil, err
	}
	if err := at.mount(ctx, c.folder, c.log); err != nil {
		return at, err
	}
	at.shelf = shelf{dir: filepath.Join(c.folder, imagesFolder)}
	if err := at.shelf.mend(); err != nil {
		c.log.Warn("what an interrupted instruction left in the cache cannot be tidied up", "folder", at.shelf.dir, "err", err)
	}
	c.mounted, c.opens = at, c.opens+1
	return at, nil
}

// detach unmounts the cache when nobody uses it any more. When a file in it is still open, it stays mounted, and the next to use it tries again.
func (c *Cache) detach() error {
	c.opens--
	if c.opens > 0 || c.mounted == nil {
		return nil
	}
	if err := unmount(c.folder); err != nil {
		return err
	}
	c.mounted = nil
	return nil
}

// An Open is a cache that is mounted.
type Open struct {
	cache     *Cache
	shelf     shelf
	partition int64 // bytes
	closed    sync.Once
}

// Close unmounts the cache once nobody else has it open. The error says so when it stays mounted because a file in it is open; everything is on the disk
// all the same.
func (o *Open) Close() (err error) {
	o.closed.Do(func() {
		c := o.cache
		c.files.Lock()
		for path, p := range c.promised {
			if p.to == o {
				delete(c.promised, path)
			}
		}
		c.files.Unlock()
		c.turn <- struct{}{}
		defer func() { <-c.turn }()
		err = c.detach()
	})
	return err
}

// Find returns the path of the file that is the image, byte for byte, as it was verified when it came; false when there is none.
func (o *Open) Find(image protocol.Image) (path string, found bool) {
	if checkName(image.Name) != nil || image.Digest == "" {
		return "", false
	}
	r, ok := o.shelf.recorded(image.Name)
	if !ok || r.Digest != image.Digest {
		return "", false
	}
	return o.shelf.path(image.Name + imageSuffix), true
}

// Remove removes images, by name, with all that belongs to them. Names that it does not hold are no error; when one cannot be a name, nothing is removed.
func (o *Open) Remove(names ...string) error {
	for _, name := range names {
		if err := checkName(name); err != nil {
			return &protocol.Failure{Code: protocol.ErrFormat, Problem: "nothing was removed from the cache: " + err.Error(),
				Advice: "name images as the list of the cache does"}
		}
	}
	o.cache.files.Lock()
	defer o.cache.files.Unlock()
	for _, name := range names {
		if err := o.shelf.remove(name); err != nil {
			return failed("image "+name+" cannot be removed from the cache", err)
		}
	}
	return nil
}
