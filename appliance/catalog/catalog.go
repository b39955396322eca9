// Package catalog holds what exists: centres, classrooms, computers, image objects, repositories, users, and what people have saved to do again:
// procedures, schedules, holidays and schemes of partitions, in one bbolt file with a versioned schema. It is not about what is being done (appliance/operation) nor about who
// is connected (appliance/roster), though it keeps their records for them as opaque bytes.
//
// Every method that changes something returns after the change is on stable storage, and changes all that it
// says or nothing. Answers are values: changing one changes nothing in the catalog.
package catalog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("not in the catalog")
	ErrExists   = errors.New("already in the catalog")
	ErrInvalid  = errors.New("not valid")
	ErrInUse    = errors.New("still in use")
)

// lockWait is how long Open waits for another process to let go of the file: long enough for a service that is
// being restarted, short enough for a person at a terminal.
const lockWait = time.Second

// A Catalog is an open catalog file. Its methods are safe for concurrent use.
type Catalog struct {
	path string
	db   *bolt.DB

	mu        sync.Mutex
	watchers  map[int]func()
	nextWatch int
}

// Open opens or makes the catalog at path and migrates it to this version's schema in one transaction. A file of a
// newer schema, or one that another process holds, is refused with an error that says so. Before an older file is
// migrated, a copy of it is written beside it as PATH.schema-N.
func Open(path string) (*Catalog, error) { return open(path, migrations) }

func open(path string, steps []migration) (*Catalog, error) {
	db, err := openFile(path)
	if err != nil {
		return nil, openError(path, err)
	}
	// Agents enrol in crowds when a room is powered on; a short wait lets their changes share one sync of the disk.
	db.MaxBatchDelay = 2 * time.Millisecond
	if err := migrate(db, steps); err != nil {
		return nil, errors.Join(fmt.Errorf("catalog %s: %w", path, err), db.Close())
	}
	return &Catalog{path: path, db: db, watchers: make(map[int]func())}, nil
}

// openFile opens the file. bbolt maps it into memory and trusts what it reads there: on a damaged file it panics, and on a
// shortened one the read itself faults. Both become an error here, where the file is first read.
func openFile(path string) (db *bolt.DB, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", bolterrors.ErrInvalid, p)
		}
	}()
	return bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType})
}

// openError says what the reader can do about a file that does not open.
func openError(path string, err error) error {
	advice := ""
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("catalog %s: another aula has it open (stop that one first, or use another data folder)", path)
	case errors.Is(err, fs.ErrNotExist):
		advice = " (make its folder first)"
	case errors.Is(err, fs.ErrPermission):
		advice = " (run as the user that owns it, or as root)"
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrChecksum),
		errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrInvalidMapping):
		advice = " (it is damaged or no catalog; put a backup copy in its place, or move it away to begin with an empty one)"
	}
	return fmt.Errorf("catalog %s: %w%s", path, err, advice)
}

// Close closes the file, after the calls that are under way. Later calls answer an error.
func (c *Catalog) Close() error { return c.db.Close() }

// Watch calls changed after each change of what exists (not of records), until stop is called. changed must not block.
func (c *Catalog) Watch(changed func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.nextWatch
	c.nextWatch++
	c.watchers[id] = changed
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.watchers, id)
	}
}

func (c *Catalog) notify() {
	c.mu.Lock()
	called := make([]func(), 0, len(c.watchers))
	for _, changed := range c.watchers {
		called = append(called, changed)
	}
	c.mu.Unlock()
	for _, changed := range called {
		changed()
	}
}

// change runs f in a transaction of its own and then tells the watchers.
func (c *Catalog) change(f func(tx *bolt.Tx) error) error { return c.changeBy(c.db.Update, f) }

// changeTogether is change for callers that come in crowds; f may run more than once.
func (c *Catalog) changeTogether(f func(tx *bolt.Tx) error) error { return c.changeBy(c.db.Batch, f) }

func (c *Catalog) changeBy(run func(func(*bolt.Tx) error) error, f func(tx *bolt.Tx) error) error {
	if err := c.store(run, f); err != nil {
		return err
	}
	c.notify()
	return nil
}

// store runs f by run; f's own errors come back as they are, those of the file with its name and advice.
func (c *Catalog) store(run func(func(*bolt.Tx) error) error, f func(tx *bolt.Tx) error) error {
	var refused error
	err := run(func(tx *bolt.Tx) error {
		refused = f(tx)
		return refused
	})
	switch {
	case err == nil || refused != nil:
		return err
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("catalog %s: %w; nothing was changed (free some room on that disk)", c.path, err)
	default:
		return fmt.Errorf("catalog %s: %w; nothing was changed", c.path, err)
	}
}

// Backup writes a consistent copy of the catalog to path, which must not exist, while others go on using it.
func (c *Catalog) Backup(path string) error {
	return c.db.View(func(tx *bolt.Tx) error { return copyTo(tx, path) })
}

// copyTo writes the file as tx sees it to path, whole or not at all.
func copyTo(tx *bolt.Tx, path string) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("backup copy: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			os.Remove(path)
			err = fmt.Errorf("backup copy %s: %w", path, err)
		}
	}()
	if _, err := tx.WriteTo(f); err != nil {
		return err
	}
	return f.Sync()
}
