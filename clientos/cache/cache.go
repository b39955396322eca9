// Package cache is the cache partition of a PC: it finds and mounts it, tells what it holds, and keeps image files in it, of which each is either
// complete and verified, or is called otherwise.
//
// It is not about how image files come (clientos/fetch), nor about the partition table (clientos/disk). Nothing is ever removed to make room.
package cache

import (
	"context"
	"errors"
	"log/slog"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// A Cache is the cache partition of one PC. Its methods are safe for concurrent use.
type Cache struct {
	disks  disk.System
	folder string
	log    *slog.Logger
}

// New returns the cache of the PC with these disks, which is mounted at folder while it is used. It does nothing yet.
func New(disks disk.System, folder string, log *slog.Logger) *Cache {
	return &Cache{disks: disks, folder: folder, log: log}
}

// State tells what the cache holds; nil when the PC has none.
func (c *Cache) State(ctx context.Context) (*protocol.CacheState, error) {
	return nil, errors.New("not built yet")
}

// Open mounts the cache until the Open is closed. Its error is a *protocol.Failure, of code ErrNotCache when there is none.
func (c *Cache) Open(ctx context.Context) (*Open, error) {
	return nil, errors.New("not built yet")
}

// An Open is a cache that is mounted.
type Open struct{}

// Close unmounts the cache once nobody else has it open.
func (o *Open) Close() error { return errors.New("not built yet") }

// Find returns the path of the file that is the image, byte for byte, as it was verified when it came; false when there is none.
func (o *Open) Find(image protocol.Image) (path string, found bool) { return "", false }

// Reserve makes sure that the image fits, in all and beside what is there, and returns the path at which it is to be made: a file and its leftovers of
// an interrupted download may be there. The error is a *protocol.Failure of code ErrCacheSize with the figures.
func (o *Open) Reserve(image protocol.Image) (path string, err error) {
	return "", errors.New("not built yet")
}

// Keep takes the file that was made at the path that Reserve told: it reads it back, and gives it its name, in place of another of that name, when its
// digest is right. What is wrong is removed, with an error of code ErrUpdate. progress is told the bytes that were read back.
func (o *Open) Keep(ctx context.Context, image protocol.Image, progress func(done int64)) (path string, err error) {
	return "", errors.New("not built yet")
}

// Remove removes images, by name, with all that belongs to them. Names that it does not hold are no error.
func (o *Open) Remove(names ...string) error { return errors.New("not built yet") }
