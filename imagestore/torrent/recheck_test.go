package torrent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRecheckFindsWhatIsRight(t *testing.T) {
	t.Parallel()
	c := newContent(110, 3*recheckBuffer+5, recheckBuffer+100)
	damaged := slices.Clone(c.data)
	damaged[c.Offset(1)+recheckBuffer+7] ^= 1
	for name, file := range map[string]struct {
		data []byte
		want []int
	}{
		"whole":          {c.data, []int{0, 1, 2}},
		"longer":         {append(slices.Clone(c.data), 1, 2, 3), []int{0, 1, 2}},
		"a bit flipped":  {damaged, []int{0, 2}},
		"cut in a piece": {c.data[:c.Offset(2)-1], []int{0}},
		"empty":          {nil, []int{}},
	} {
		got, last, sum := []int{}, int64(0), int64(0)
		r := recheck{torrent: c.Torrent, file: bytes.NewReader(file.data), pieces: []int{2, 0, 1}, found: func(piece int, right bool) error {
			if right {
				got = append(got, piece)
			}
			return nil
		}, tell: func(done, total int64) {
			if done <= last {
				t.Errorf("%s: %d bytes after %d", name, done, last)
			}
			last, sum = done, total
		}}
		if err := r.run(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if slices.Sort(got); !slices.Equal(got, file.want) {
			t.Errorf("%s: it has the pieces %v, want %v", name, got, file.want)
		}
		if last != c.Length || sum != c.Length {
			t.Errorf("%s: it ended at %d of %d, want %d", name, last, sum, c.Length)
		}
	}
}

// A brokenDisk cannot be read from an offset on.
type brokenDisk struct {
	data []byte
	from int64
}

func (b brokenDisk) ReadAt(p []byte, offset int64) (int, error) {
	if offset+int64(len(p)) > b.from {
		return 0, unix.EIO
	}
	return copy(p, b.data[offset:]), nil
}

func TestRecheckEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	c := newContent(111, 100*4096, 4096)
	all := make([]int, c.Count())
	for i := range all {
		all[i] = i
	}
	enough := errors.New("enough")
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	for name, test := range map[string]struct {
		ctx   context.Context
		disk  brokenDisk
		found error
		want  error
	}{
		"a disk that cannot be read": {t.Context(), brokenDisk{c.data, c.Offset(50)}, nil, unix.EIO},
		"one who has seen enough":    {t.Context(), brokenDisk{c.data, c.Length}, enough, enough},
		"a context that has ended":   {gone, brokenDisk{c.data, c.Length}, nil, context.Canceled},
	} {
		r := recheck{torrent: c.Torrent, file: test.disk, pieces: all, found: func(int, bool) error { return test.found }}
		if err := r.run(test.ctx); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
}

func TestWrittenKnowsHoles(t *testing.T) {
	t.Parallel()
	const page = 64 << 10 // no filesystem has larger blocks here
	c := newContent(112, 10*page-77, page)
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := written(f, c.Torrent); slices.ContainsFunc(got, func(n int64) bool { return n > 0 }) {
		t.Errorf("an empty file has %v", got)
	}
	if err := errors.Join(f.Truncate(c.Length), unix.Fallocate(int(f.Fd()), 0, 0, c.Length)); errors.Is(err, unix.EOPNOTSUPP) {
		t.Skipf("SKIPPED: the filesystem does not preallocate: %v", err)
	} else if err != nil {
		t.Fatal(err)
	}
	for _, i := range []int{0, 3, 4, 9} {
		if _, err := f.WriteAt(c.piece(i), c.Offset(i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, when := range []string{"in memory", "on the disk"} {
		got := written(f, c.Torrent)
		for i, n := range got {
			switch want := slices.Contains([]int{0, 3, 4, 9}, i); {
			case want && n != c.Size(i):
				t.Errorf("%s: of piece %d, %d bytes are written, want all %d", when, i, n, c.Size(i))
			case !want && n > 0:
				t.Errorf("%s: of piece %d, %d bytes are written, want none", when, i, n)
			}
		}
		if err := f.Sync(); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkRecheck(b *testing.B) {
	c := newContent(113, 64<<20, 4<<20)
	r := recheck{torrent: c.Torrent, file: bytes.NewReader(c.data), found: func(piece int, right bool) error {
		if !right {
			return fmt.Errorf("piece %d is wrong", piece)
		}
		return nil
	}}
	for i := range c.Count() {
		r.pieces = append(r.pieces, i)
	}
	b.SetBytes(c.Length)
	for b.Loop() {
		if err := r.run(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
