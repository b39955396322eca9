package torrent

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"aula/imagestore/torrent/metainfo"
)

// A content is what storages are tried with: bytes, and their torrent. The same for the same seed.
type content struct {
	*metainfo.Torrent
	data []byte
}

func newContent(seed uint64, size, pieceLength int) content {
	c := content{&metainfo.Torrent{Name: "win.img", Length: int64(size), PieceLength: int64(pieceLength)}, make([]byte, size)}
	random := rand.NewChaCha8([32]byte{byte(seed)})
	random.Read(c.Hash[:])
	random.Read(c.data)
	for piece := range slices.Chunk(c.data, pieceLength) {
		sum := sha1.Sum(piece)
		c.Pieces = append(c.Pieces, sum[:]...)
	}
	return c
}

func (c content) piece(i int) []byte { return c.data[c.Offset(i) : c.Offset(i)+c.Size(i)] }

// give writes pieces into a storage.
func (c content) give(t *testing.T, s Storage, pieces ...int) {
	t.Helper()
	for _, i := range pieces {
		if err := s.WritePiece(i, c.piece(i)); err != nil {
			t.Fatalf("piece %d: %v", i, err)
		}
	}
}

func checkHave(t *testing.T, s Storage, want ...int) {
	t.Helper()
	have, err := s.Have()
	if err != nil {
		t.Fatalf("Have: %v", err)
	}
	got := []int{}
	for i, has := range have {
		if has {
			got = append(got, i)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("it has the pieces %v, want %v", got, want)
	}
}

func checkReads(t *testing.T, s Storage, c content, piece int) {
	t.Helper()
	b := make([]byte, c.Size(piece))
	if n, err := s.ReadAt(b, c.Offset(piece)); n < len(b) || err != nil && err != io.EOF || !bytes.Equal(b, c.piece(piece)) {
		t.Errorf("piece %d: read %d bytes of %d, %v, or not those that were written", piece, n, len(b), err)
	}
}

// checkNames tells which files are in a folder, and what one of them has.
func checkNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{}
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("the folder has %q, want %q", got, want)
	}
}

func checkBytes(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, %v; they are not the %d of the torrent", path, len(got), err, len(want))
	}
}

// keepers are the storages that can be written.
var keepers = map[string]func(*testing.T, content) Storage{
	"file": func(t *testing.T, c content) Storage { return openFile(t, t.TempDir(), c, FileOptions{}) },
	"window": func(t *testing.T, c content) Storage {
		w, err := NewWindow(&sinkFile{data: make([]byte, len(c.data))}, c.Torrent, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		return w
	},
}

func TestStoragesTakePiecesInAnyOrder(t *testing.T) {
	t.Parallel()
	for name, open := range keepers {
		for _, size := range []int{0, 1, 4096, 4097, 9*4096 - 5} {
			t.Run(fmt.Sprint(name, " of ", size), func(t *testing.T) {
				t.Parallel()
				c := newContent(1, size, 4096)
				s := open(t, c)
				checkHave(t, s)
				if err := s.Finish(); (err == nil) != (size == 0) {
					t.Errorf("finished without a piece: %v", err)
				}
				for i := c.Count() - 1; i >= 0; i-- {
					if n, err := s.ReadAt(make([]byte, 1), c.Offset(i)); n > 0 || err == nil {
						t.Errorf("piece %d is read before it is there", i)
					}
					c.give(t, s, i, i)
					checkReads(t, s, c, i)
				}
				if err := s.Finish(); err != nil {
					t.Fatal(err)
				}
				all := make([]byte, size+1)
				if n, err := s.ReadAt(all, 0); n != size || err != io.EOF || !bytes.Equal(all[:n], c.data) {
					t.Errorf("read whole: %d bytes, %v", n, err)
				}
				if n, err := s.ReadAt(all[:1], int64(size)+9); n > 0 || err != io.EOF {
					t.Errorf("read beyond the end: %d bytes, %v, want EOF", n, err)
				}
				if n, err := s.ReadAt(all[:1], -1); n > 0 || err == nil {
					t.Errorf("read before the beginning: %d bytes, %v", n, err)
				}
				if err := errors.Join(s.Close(), s.Close()); err != nil {
					t.Errorf("closed: %v", err)
				}
			})
		}
	}
}

func TestStoragesRefuseWhatIsNoPiece(t *testing.T) {
	t.Parallel()
	c := newContent(2, 10000, 4096)
	for name, open := range keepers {
		s := open(t, c)
		for _, wrong := range []struct{ piece, size int }{{-1, 4096}, {0, 4095}, {0, 4097}, {0, 0}, {2, 4096}, {3, 4096}, {1 << 40, 0}} {
			if err := s.WritePiece(wrong.piece, make([]byte, wrong.size)); err == nil {
				t.Errorf("%s: piece %d of %d bytes was taken", name, wrong.piece, wrong.size)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestStoragesAreReadWhileTheyAreWritten(t *testing.T) {
	t.Parallel()
	for name, open := range keepers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newContent(3, 64*4096-9, 4096)
			s := open(t, c)
			var readers sync.WaitGroup
			defer readers.Wait()
			there := make([]chan bool, 4)
			for r := range there {
				there[r] = make(chan bool, c.Count())
				readers.Go(func() {
					for i := 0; <-there[r]; i++ {
						checkReads(t, s, c, i)
						if filed, ok := s.(Filed); ok && filed.File() == nil {
							t.Error("the file must not be read")
						}
					}
				})
			}
			for i := range c.Count() {
				c.give(t, s, i)
				for _, r := range there {
					r <- true
				}
			}
			if err := s.Finish(); err != nil {
				t.Error(err)
			}
			for _, r := range there {
				close(r)
			}
			readers.Wait()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestTorrentsThatNoStorageKeeps(t *testing.T) {
	t.Parallel()
	hostile := map[string]func(*metainfo.Torrent){
		"no name":             func(m *metainfo.Torrent) { m.Name = "" },
		"a dot":               func(m *metainfo.Torrent) { m.Name = "." },
		"the folder above":    func(m *metainfo.Torrent) { m.Name = ".." },
		"a path":              func(m *metainfo.Torrent) { m.Name = "a/b" },
		"a path from above":   func(m *metainfo.Torrent) { m.Name = "../b" },
		"an absolute path":    func(m *metainfo.Torrent) { m.Name = "/etc/passwd" },
		"a name with a NUL":   func(m *metainfo.Torrent) { m.Name = "a\x00b" },
		"a slash at the end":  func(m *metainfo.Torrent) { m.Name = "a/" },
		"pieces of nothing":   func(m *metainfo.Torrent) { m.PieceLength = 0 },
		"negative pieces":     func(m *metainfo.Torrent) { m.PieceLength = -4096 },
		"a negative length":   func(m *metainfo.Torrent) { m.Length = -1 },
		"a piece too few":     func(m *metainfo.Torrent) { m.Pieces = m.Pieces[20:] },
		"a piece too many":    func(m *metainfo.Torrent) { m.Pieces = append(m.Pieces, m.Pieces[:20]...) },
		"half a hash":         func(m *metainfo.Torrent) { m.Pieces = m.Pieces[:len(m.Pieces)-1] },
		"the largest lengths": func(m *metainfo.Torrent) { m.Length, m.PieceLength = 1<<63-1, 1<<63-2 },
	}
	for name, change := range hostile {
		c := newContent(4, 3*4096, 4096)
		dir := t.TempDir()
		path := filepath.Join(dir, "win.img")
		if err := os.WriteFile(path, c.data, 0o644); err != nil {
			t.Fatal(err)
		}
		change(c.Torrent)
		if _, err := OpenFile(t.Context(), dir, c.Torrent, FileOptions{}); err == nil {
			t.Errorf("%s: a file was opened", name)
		}
		if _, err := OpenSeed(path, c.Torrent); err == nil {
			t.Errorf("%s: a seed was opened", name)
		}
		if _, err := NewWindow(&sinkFile{}, c.Torrent, 1); err == nil {
			t.Errorf("%s: a window was opened", name)
		}
		checkNames(t, dir, "win.img")
	}
}
