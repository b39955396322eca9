package cache_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/zeebo/blake3"
	"golang.org/x/sys/unix"

	"aula/clientos/cache"
	"aula/clientos/disk"
	"aula/clientos/disk/disktest"
	"aula/clientos/protocol"
)

const mib = 1 << 20

// table is a disk of 100 MiB whose last partition is a cache of 60 MiB.
const (
	dosTable = "label: dos\n1 : start=2048, size=40960, type=7\n4 : start=43008, size=122880, type=ca\n"
	gptTable = "label: gpt\n1 : start=2048, size=40960, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4\n" +
		"4 : start=43008, size=122880, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name=\"CACHE\"\n"
)

// A pc is a computer with one disk and its cache.
type pc struct {
	*cache.Cache
	system disk.System
	loop   disktest.Disk
	node   string // of the cache partition, when there is one
	folder string
}

// newPC makes a computer whose cache partition has what mkfs makes of it; nil for nothing.
func newPC(t *testing.T, table string, mkfs ...string) pc {
	t.Helper()
	p := pc{loop: disktest.New(t, "CACHE-PC", 100*mib, 512), folder: filepath.Join(t.TempDir(), "cache")}
	p.loop.Partition(t, table)
	p.system = disk.System{Devices: []string{p.loop.Path}}
	p.node = p.loop.Path + "p4"
	if len(mkfs) > 0 {
		disks, err := p.system.Disks(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		f, err := disks[0].Open(t.Context(), 4, true) // makes the kernel know the partition
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		disktest.Run(t, mkfs[0], append(mkfs[1:], p.node)...)
	}
	p.Cache = cache.New(p.system, p.folder, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if mounted(t, p.folder) {
			t.Error("the cache is still mounted")
			disktest.Unmount(t, p.folder)
		}
	})
	return p
}

func withExt4(t *testing.T, table string) pc {
	return newPC(t, table, "mkfs.ext4", "-q", "-F", "-L", "CACHE")
}

func mounted(t *testing.T, folder string) bool {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Contains(data, []byte(" "+folder+" "))
}

func open(t *testing.T, p pc) *cache.Open {
	t.Helper()
	o, err := p.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func closed(t *testing.T, o *cache.Open) {
	t.Helper()
	if err := o.Close(); err != nil {
		t.Error(err)
	}
}

func file(seed uint64, size int) []byte {
	data := make([]byte, size)
	rng := rand.New(rand.NewPCG(seed, 6))
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return data
}

func imageOf(name string, revision int, data []byte) protocol.Image {
	sum := blake3.Sum256(data)
	return protocol.Image{Repository: "main", Name: name, Revision: revision, Digest: hex.EncodeToString(sum[:]), FileBytes: int64(len(data))}
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// bring brings an image into the cache and returns the note of its reservation.
func bring(t *testing.T, o *cache.Open, image protocol.Image, data []byte) string {
	t.Helper()
	path, note, err := o.Reserve(image)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, data)
	if _, err := o.Keep(t.Context(), image, nil); err != nil {
		t.Fatal(err)
	}
	return note
}

func wantFailure(t *testing.T, err error, code int, words ...string) {
	t.Helper()
	var f *protocol.Failure
	if !errors.As(err, &f) {
		t.Fatalf("got error %v, want a *protocol.Failure", err)
	}
	if f.Code != code {
		t.Errorf("got code %d (%v), want %d", f.Code, f, code)
	}
	for _, w := range words {
		if !strings.Contains(f.Error(), w) {
			t.Errorf("got %q, want it to say %q", f.Error(), w)
		}
	}
}

func state(t *testing.T, p pc) *protocol.CacheState {
	t.Helper()
	s, err := p.State(t.Context())
	if err != nil || s == nil {
		t.Fatalf("got state %v, error %v", s, err)
	}
	return s
}

func TestCacheComesAndGoes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		table string
		mkfs  []string
	}{
		"type of an MBR":        {dosTable, []string{"mkfs.ext4", "-q", "-F"}},
		"name in a GPT":         {gptTable, []string{"mkfs.ext4", "-q", "-F"}},
		"label":                 {strings.Replace(dosTable, "type=ca", "type=83", 1), []string{"mkfs.ext4", "-q", "-F", "-L", "CACHE"}},
		"without metadata sums": {dosTable, []string{"mkfs.ext4", "-q", "-F", "-O", "^metadata_csum,^64bit"}},
		"ext2":                  {dosTable, []string{"mkfs.ext2", "-q", "-F", "-L", "CACHE"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPC(t, test.table, test.mkfs...)
			if err := p.Make(t.Context()); err != nil {
				t.Fatal(err)
			}
			empty := state(t, p)
			if empty.Disk != 1 || empty.Partition != 4 || empty.Problem != "" || len(empty.Images) != 0 || empty.Bytes < 40*mib || empty.Free < 30*mib {
				t.Errorf("got %+v, want an empty cache of about 60 MiB on partition 4", empty)
			}
			if mounted(t, p.folder) {
				t.Error("mounted after State")
			}
			data := file(1, 5*mib+17)
			image := imageOf("linux", 4, data)
			o := open(t, p)
			bring(t, o, image, data)
			if s := state(t, p); !s.Has(image) || s.Free > empty.Free-5*mib || len(s.Images) != 1 || s.Images[0].Bytes < 5*mib {
				t.Errorf("got %+v, want the image", s)
			}
			closed(t, o)
			if mounted(t, p.folder) {
				t.Error("mounted after Close")
			}
			closed(t, o) // a second time is nothing
			if !state(t, p).Has(image) {
				t.Error("the image is gone with the mount")
			}
			o = open(t, p)
			path, found := o.Find(image)
			if got, err := os.ReadFile(path); !found || err != nil || !bytes.Equal(got, data) {
				t.Errorf("not found, or other bytes (%v)", err)
			}
			if err := o.Remove("linux"); err != nil {
				t.Error(err)
			}
			closed(t, o)
			if s := state(t, p); s.Has(image) || len(s.Images) != 0 {
				t.Errorf("got %+v, want it empty", s)
			}
		})
	}
}

func TestOpensAreCounted(t *testing.T) {
	t.Parallel()
	p := withExt4(t, dosTable)
	first := open(t, p)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			o, err := p.Open(t.Context())
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := p.State(t.Context()); err != nil {
				t.Error(err)
			}
			if err := o.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if !mounted(t, p.folder) {
		t.Error("it was unmounted while it was open")
	}
	closed(t, first)
	if mounted(t, p.folder) {
		t.Error("it is still mounted")
	}
}

// TestFileThatStaysOpen is a torrent that is given while the last Open is closed.
func TestFileThatStaysOpen(t *testing.T) {
	t.Parallel()
	p := withExt4(t, dosTable)
	data := file(1, mib)
	image := imageOf("linux", 1, data)
	o := open(t, p)
	bring(t, o, image, data)
	path, _ := o.Find(image)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); !errors.Is(err, unix.EBUSY) {
		t.Errorf("got error %v, want EBUSY", err)
	}
	if got := make([]byte, mib); true {
		if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, data) {
			t.Errorf("the open file cannot be read any more: %v", err)
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if !state(t, p).Has(image) {
		t.Error("the image is gone")
	}
	if mounted(t, p.folder) {
		t.Error("it is still mounted after the next use")
	}
}

func TestNoCache(t *testing.T) {
	t.Parallel()
	p := newPC(t, "label: dos\n1 : start=2048, size=40960, type=83\n")
	if s, err := p.State(t.Context()); s != nil || err != nil {
		t.Errorf("got %v, %v, want neither state nor error", s, err)
	}
	_, err := p.Open(t.Context())
	wantFailure(t, err, protocol.ErrNotCache, "no cache partition")
	wantFailure(t, p.Make(t.Context()), protocol.ErrNotCache)
}

func TestCacheThatCannotBeMounted(t *testing.T) {
	t.Parallel()
	t.Run("not formatted", func(t *testing.T) {
		t.Parallel()
		p := newPC(t, dosTable)
		if s := state(t, p); s.Partition != 4 || !strings.Contains(s.Problem, "no filesystem") || !strings.Contains(s.Problem, "initCache") {
			t.Errorf("got %+v", s)
		}
		_, err := p.Open(t.Context())
		wantFailure(t, err, protocol.ErrFilesystem, "disk 1, partition 4")
	})
	t.Run("swap", func(t *testing.T) {
		t.Parallel()
		p := newPC(t, dosTable, "mkswap", "-q")
		if s := state(t, p); !strings.Contains(s.Problem, "LINUX-SWAP") {
			t.Errorf("got %+v", s)
		}
	})
	t.Run("damaged", func(t *testing.T) {
		t.Parallel()
		p := withExt4(t, dosTable)
		// Inodes of the root and of the journal, in a filesystem whose superblock and groups look right.
		spoil(t, p.node, inodeTable(t, p.node), bytes.Repeat([]byte{0xa5}, 4096))
		s := state(t, p)
		if !strings.Contains(s.Problem, "damaged") || !strings.Contains(s.Problem, "initCache") || s.Has(imageOf("x", 1, nil)) {
			t.Errorf("got %+v", s)
		}
		_, err := p.Open(t.Context())
		wantFailure(t, err, protocol.ErrFilesystem, "damaged")
	})
	t.Run("mounted elsewhere", func(t *testing.T) {
		t.Parallel()
		p := withExt4(t, dosTable)
		where := t.TempDir()
		disktest.Run(t, "mount", p.node, where)
		t.Cleanup(func() { disktest.Unmount(t, where) })
		_, err := p.Open(t.Context())
		wantFailure(t, err, protocol.ErrLocked, "mounted on "+where)
		if s := state(t, p); !strings.Contains(s.Problem, where) {
			t.Errorf("got %+v", s)
		}
	})
	t.Run("something else at the folder", func(t *testing.T) {
		t.Parallel()
		p := withExt4(t, dosTable)
		if err := os.MkdirAll(p.folder, 0o755); err != nil {
			t.Fatal(err)
		}
		disktest.Run(t, "mount", "-t", "tmpfs", "none", p.folder)
		_, err := p.Open(t.Context())
		disktest.Unmount(t, p.folder)
		wantFailure(t, err, protocol.ErrLocked, p.folder)
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		p := withExt4(t, dosTable)
		cause := errors.New("cancelled by the operator")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		if _, err := p.Open(ctx); !errors.Is(err, cause) {
			t.Errorf("got error %v, want the cause", err)
		}
	})
}

// TestMountOfAnAgentThatWasKilled finds the cache mounted where it is to be.
func TestMountOfAnAgentThatWasKilled(t *testing.T) {
	t.Parallel()
	p := withExt4(t, gptTable)
	if err := os.MkdirAll(p.folder, 0o755); err != nil {
		t.Fatal(err)
	}
	disktest.Run(t, "mount", p.node, p.folder)
	if s := state(t, p); s.Problem != "" {
		t.Errorf("got %+v", s)
	}
	if mounted(t, p.folder) {
		t.Error("it is still mounted")
	}
}

// TestRepair has a descriptor of blocks with a wrong checksum, with which the kernel does not mount, and which e2fsck -p computes anew.
func TestRepair(t *testing.T) {
	t.Parallel()
	p := newPC(t, dosTable, "mkfs.ext4", "-q", "-F", "-L", "CACHE", "-b", "4096")
	data := file(1, mib)
	image := imageOf("linux", 1, data)
	o := open(t, p)
	bring(t, o, image, data)
	closed(t, o)
	spoil(t, p.node, 4096+0x1e, []byte{0xba, 0xad})
	if err := unix.Mount(p.node, p.folder, "ext4", 0, ""); err == nil {
		disktest.Unmount(t, p.folder)
		t.Fatal("the kernel mounts it: the test proves nothing")
	}
	if s := state(t, p); s.Problem != "" || !s.Has(image) {
		t.Errorf("got %+v, want it repaired, with its image", s)
	}
}

// spoil writes to a device past any filesystem.
func spoil(t *testing.T, node string, offset int64, data []byte) {
	t.Helper()
	f, err := os.OpenFile(node, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(data, offset); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// inodeTable is where the first inodes of an ext4 filesystem are, in bytes.
func inodeTable(t *testing.T, node string) int64 {
	t.Helper()
	out := disktest.Run(t, "dumpe2fs", node)
	number := func(after string) int64 {
		_, rest, _ := strings.Cut(out, after)
		rest = strings.TrimSpace(rest)
		n, err := strconv.ParseInt(rest[:max(0, strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' }))], 10, 64)
		if err != nil {
			t.Fatalf("dumpe2fs does not tell the %s: %v", after, err)
		}
		return n
	}
	return number("Inode table at") * number("Block size:")
}
