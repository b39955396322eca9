package upkeep

import (
	"bytes"
	"context"
	"encoding/hex"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/zeebo/blake3"
	"go.uber.org/goleak"

	"aula/appliance/catalog"
	"aula/appliance/incorporation"
	"aula/imagestore"
	"aula/imagestore/format/formattest"
)

// Nothing that a Service starts may outlive its Run.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A bed is a Service with what it works on.
type bed struct {
	t       *testing.T
	dir     string
	catalog *catalog.Catalog
	images  *imagestore.Library
	uploads *incorporation.Uploads
	*Service
	stop func()
}

// newBed makes a bed whose first repository is empty, and runs its Service until the test ends or stop is called.
func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{t: t, dir: t.TempDir()}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	var err error
	ok := func() {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	b.catalog, err = catalog.Open(filepath.Join(b.dir, "catalog.db"))
	ok()
	t.Cleanup(func() { b.catalog.Close() })
	main, err := imagestore.Open(filepath.Join(b.dir, "images"), imagestore.Options{
		Name: "main", Keep: 5, Trash: 24 * time.Hour, Reserve: 1 << 20, Log: log,
	})
	ok()
	b.images = imagestore.NewLibrary(main)
	t.Cleanup(func() { b.images.Close() })
	b.uploads, err = incorporation.OpenUploads(filepath.Join(main.Dir(), ".uploads"), main.Free, time.Now)
	ok()
	b.Service = b.service(log)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	var stopped bool
	b.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
	t.Cleanup(b.stop)
	return b
}

// service makes a Service on what is there, as a start of the appliance does.
func (b *bed) service(log *slog.Logger) *Service {
	b.t.Helper()
	s, err := New(Config{
		Library: b.images, Catalog: b.catalog, Uploads: b.uploads, Log: log,
		Options: imagestore.Options{Log: log},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// add adds a repository.
func (b *bed) add(name string) *imagestore.Repository {
	b.t.Helper()
	if err := b.AddRepository(catalog.Repository{Name: name, Dir: filepath.Join(b.dir, name), Keep: 5}); err != nil {
		b.t.Fatal(err)
	}
	r, err := b.images.Repository(name)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

// image is a small image.
func image() []byte {
	return formattest.Partclone{Filesystem: "XFS", BlockSize: 4096, Blocks: 700, Checksum: formattest.ChecksumCRC32}.Encode()
}

// publish puts the small image into a repository.
func (b *bed) publish(repository, name string) imagestore.Image {
	b.t.Helper()
	s, err := b.images.Stage(repository, name, imagestore.Source{Computer: "pc-01", Disk: 1, Partition: 2})
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := io.Copy(s, bytes.NewReader(image())); err != nil {
		b.t.Fatal(err)
	}
	sum := blake3.Sum256(image())
	img, err := s.Publish(b.t.Context(), hex.EncodeToString(sum[:]), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	return img
}

// ends waits for a task.
func (b *bed) ends(task Task, err error) Task {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	ended, err := b.Wait(b.t.Context(), task.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	return ended
}

// succeeds waits for a task that must end well.
func (b *bed) succeeds(task Task, err error) Task {
	b.t.Helper()
	ended := b.ends(task, err)
	if ended.State != Done || ended.Problem != "" || ended.Stage != "" || ended.Ended.IsZero() {
		b.t.Fatalf("task ended as %+v", ended)
	}
	return ended
}

// damage changes the file of an image in place, as a bad disk would.
func damage(t *testing.T, r *imagestore.Repository, name string) {
	t.Helper()
	path := filepath.Join(r.Dir(), name+".img")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	os.Chmod(path, 0o600)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
