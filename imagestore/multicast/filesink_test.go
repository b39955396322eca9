package multicast

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zeebo/blake3"
	"golang.org/x/sys/unix"
)

// A sample is content for sinks, the same for the same seed.
type sample struct {
	Content
	data []byte
}

func newSample(seed uint64, size int) sample {
	s := sample{Content{Name: "win.img", Size: int64(size)}, make([]byte, size)}
	random := rand.NewChaCha8([32]byte{byte(seed)})
	random.Read(s.ID[:])
	random.Read(s.data)
	return s
}

func (s sample) block(n int64) (offset int64, b []byte) {
	offset = n * BlockSize
	return offset, s.data[offset:min(offset+BlockSize, int64(len(s.data)))]
}

func (s sample) blocks() int64 { return blocks(int64(len(s.data))) }

func openSink(t *testing.T, path string, replace bool) *FileSink {
	t.Helper()
	s, err := OpenFileSink(path, replace)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.file.Close() }) // beside Close, harmless
	return s
}

func begin(t *testing.T, s *FileSink, c Content) *Blocks {
	t.Helper()
	have, err := s.Begin(c)
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	return have
}

func writeBlocks(t *testing.T, s *FileSink, from sample, numbers ...int64) {
	t.Helper()
	for _, n := range numbers {
		if err := s.WriteBlock(from.block(n)); err != nil {
			t.Fatalf("block %d: %v", n, err)
		}
	}
}

// complete receives the blocks that the sink lacks, and finishes.
func complete(t *testing.T, s *FileSink, from sample, have *Blocks) {
	t.Helper()
	for n := range from.blocks() {
		if !have.Has(n) {
			writeBlocks(t, s, from, n)
		}
	}
	if err := errors.Join(s.Finish(from.Content), s.Close()); err != nil {
		t.Fatalf("Finish: %v", err)
	}
}

func checkFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, %v; they are not the %d that were sent", path, len(got), err, len(want))
	}
}

// checkFolder tells which files are where the sink's path is.
func checkFolder(t *testing.T, path string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if !slices.Equal(got, want) {
		t.Errorf("the folder has %q, want %q", got, want)
	}
}

func TestFileSinkMakesTheFileOfBlocksInAnyOrder(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, BlockSize, BlockSize + 1, 5*BlockSize - 7} {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "out.img")
			from := newSample(1, size)
			s := openSink(t, path, false)
			if have := begin(t, s, from.Content); have.Len() != 0 {
				t.Errorf("a new sink has %d blocks", have.Len())
			}
			for n := from.blocks() - 1; n >= 0; n-- {
				writeBlocks(t, s, from, n)
			}
			if err := errors.Join(s.Finish(from.Content), s.Close()); err != nil {
				t.Fatal(err)
			}
			checkFile(t, path, from.data)
			checkFolder(t, path, "out.img")
		})
	}
}

func TestFileSinkTakesAStream(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out.img")
	from := newSample(2, 3*BlockSize+5)
	unknown := from.Content
	unknown.Size = Unknown
	s := openSink(t, path, false)
	begin(t, s, unknown)
	writeBlocks(t, s, from, 3, 0)
	if err := s.Finish(unknown); err == nil {
		t.Error("a stream that has not ended is finished")
	}
	if have := begin(t, s, from.Content); have.Len() != 2 {
		t.Errorf("when the size is known, %d blocks are there, want 2", have.Len())
	}
	writeBlocks(t, s, from, 1)
	if err := s.Finish(from.Content); err == nil {
		t.Error("a content is finished of which a block is missing")
	}
	writeBlocks(t, s, from, 2)
	if err := errors.Join(s.Finish(from.Content), s.Close()); err != nil {
		t.Fatal(err)
	}
	checkFile(t, path, from.data)
}

func TestFileSinkGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	from := newSample(3, 9*BlockSize+100)
	other := newSample(4, 9*BlockSize+100)
	longer, unknown := from.Content, from.Content
	longer.Size += BlockSize
	unknown.Size = Unknown
	damage := func(change func([]byte) []byte) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			t.Helper()
			b, err := os.ReadFile(path + ".partial.blocks")
			if err == nil {
				err = os.WriteFile(path+".partial.blocks", change(b), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name      string
		meanwhile func(*testing.T, string)
		next      Content
		want      []int64
	}{
		{"the same content", nil, from.Content, []int64{0, 4, 9}},
		{"the same, of which the size is not known yet", nil, unknown, []int64{0, 4, 9}},
		{"another content", nil, other.Content, nil},
		{"the same ID with another size", nil, longer, nil},
		{"a bit of the journal flipped", damage(func(b []byte) []byte { b[50] ^= 4; return b }), from.Content, nil},
		{"the journal cut short", damage(func(b []byte) []byte { return b[:len(b)/2] }), from.Content, nil},
		{"the journal empty", damage(func([]byte) []byte { return nil }), from.Content, nil},
		{"the journal gone", func(t *testing.T, path string) { os.Remove(path + ".partial.blocks") }, from.Content, nil},
		{"the data gone", func(t *testing.T, path string) { os.Remove(path + ".partial") }, from.Content, nil},
		{"the data cut short", func(t *testing.T, path string) { os.Truncate(path+".partial", 9*BlockSize) }, from.Content, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "out.img")
			s := openSink(t, path, false)
			begin(t, s, from.Content)
			writeBlocks(t, s, from, 9, 0, 4)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			checkFolder(t, path, "out.img.partial", "out.img.partial.blocks")
			if c.meanwhile != nil {
				c.meanwhile(t, path)
			}
			s = openSink(t, path, false)
			have := begin(t, s, c.next)
			var got []int64
			for n := have.next(0); n >= 0; n = have.next(n + 1) {
				got = append(got, n)
			}
			if !slices.Equal(got, c.want) {
				t.Fatalf("it goes on with blocks %v, want %v", got, c.want)
			}
			switch {
			case c.next.ID == other.ID:
				complete(t, s, other, have)
				checkFile(t, path, other.data)
			case c.next.Size != longer.Size:
				complete(t, s, from, have)
				checkFile(t, path, from.data)
			}
		})
	}
}

func TestFileSinkStartsAnewWhenTheSenderChangesTheContent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out.img")
	first, second := newSample(5, 4*BlockSize), newSample(6, 2*BlockSize+9)
	s := openSink(t, path, false)
	begin(t, s, first.Content)
	writeBlocks(t, s, first, 0, 1, 2)
	have := begin(t, s, second.Content)
	if have.Len() != 0 {
		t.Errorf("%d blocks of another content count", have.Len())
	}
	complete(t, s, second, have)
	checkFile(t, path, second.data)
}

// A powerCut knows what is on the disk: what was written when the last sync began.
type powerCut struct {
	from sample
	path string

	mu     sync.Mutex
	stable []byte // of OUT.partial
	cuts   int
}

// sync is what a disk does, and cuts the power before and after.
func (p *powerCut) sync(t *testing.T) func(*os.File) error {
	return func(f *os.File) error {
		p.cut(t, "before a sync")
		written, err := os.ReadFile(f.Name())
		p.mu.Lock()
		p.stable = written
		p.mu.Unlock()
		p.cut(t, "after a sync")
		return err
	}
}

// cut is what a receiver finds that starts after the power was cut at this moment, and completes the content from there.
func (p *powerCut) cut(t *testing.T, when string) {
	t.Helper()
	kept, err := os.ReadFile(p.path + ".partial.blocks") // before stable, which only grows
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	p.mu.Lock()
	stable := p.stable
	p.cuts++
	p.mu.Unlock()
	again := filepath.Join(t.TempDir(), "out.img")
	if err := errors.Join(os.WriteFile(again+".partial", stable, 0o600), os.WriteFile(again+".partial.blocks", kept, 0o600)); err != nil {
		t.Error(err)
		return
	}
	s, err := OpenFileSink(again, false)
	if err != nil {
		t.Error(err)
		return
	}
	defer s.file.Close()
	have, err := s.Begin(p.from.Content)
	for n := range p.from.blocks() {
		if err == nil && !have.Has(n) {
			err = s.WriteBlock(p.from.block(n))
		}
	}
	if err == nil {
		err = s.Finish(p.from.Content)
	}
	got, readErr := os.ReadFile(again)
	if err != nil || readErr != nil || !bytes.Equal(got, p.from.data) {
		t.Errorf("power cut %s: with %d blocks from the journal, the file differs (%v, %v)", when, have.Len(), err, readErr)
	}
}

// TestFileSinkJournalClaimsOnlyWhatTheDiskHas cuts the power at every step of receptions in random order.
func TestFileSinkJournalClaimsOnlyWhatTheDiskHas(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1))
				p := &powerCut{from: newSample(seed, 8*BlockSize-3), path: filepath.Join(t.TempDir(), "out.img")}
				s := openSink(t, p.path, false)
				s.sync = p.sync(t)
				begin(t, s, p.from.Content)
				for _, n := range random.Perm(int(p.from.blocks())) {
					writeBlocks(t, s, p.from, int64(n))
					p.cut(t, "after a block")
					if random.IntN(3) > 0 {
						time.Sleep(journalEvery) // the next block is journalled, perhaps while others are written
					}
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
				p.cut(t, "at the end")
				j, err := readJournal(s.journalPath())
				if err != nil || j.have.Len() != p.from.blocks() || p.cuts < 10 {
					t.Errorf("after %d power cuts the journal has %d blocks, %v", p.cuts, j.have.Len(), err)
				}
			})
		})
	}
}

func TestFileSinkWritesOnWhileTheDiskIsSlow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from := newSample(7, 4*BlockSize)
		s := openSink(t, filepath.Join(t.TempDir(), "out.img"), false)
		syncs := 0
		s.sync = func(*os.File) error { syncs++; time.Sleep(time.Minute); return nil }
		begin(t, s, from.Content)
		time.Sleep(journalEvery)
		start := time.Now()
		writeBlocks(t, s, from, 0, 1)
		if waited := time.Since(start); waited != 0 {
			t.Errorf("two blocks took %v", waited)
		}
		time.Sleep(2 * time.Minute)
		j, err := readJournal(s.journalPath())
		if err != nil || !j.have.Has(0) || j.have.Has(1) {
			t.Errorf("the journal has %d blocks, %v; want the one that was written before its sync", j.have.Len(), err)
		}
		complete(t, s, from, func() *Blocks { var b Blocks; b.Add(0); b.Add(1); return &b }())
		if syncs != 2 {
			t.Errorf("%d syncs for two intervals", syncs)
		}
	})
}

func TestFileSinkKeepsTheJournalAfterEnoughBytesToo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // where no time passes
		from := newSample(12, 3*BlockSize)
		s := openSink(t, filepath.Join(t.TempDir(), "out.img"), false)
		begin(t, s, from.Content)
		writeBlocks(t, s, from, 1)
		synctest.Wait()
		if _, err := readJournal(s.journalPath()); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a journal after one block: %v", err)
		}
		s.unsaved = journalBytes - BlockSize // as if so many had come
		writeBlocks(t, s, from, 2)
		synctest.Wait()
		if j, err := readJournal(s.journalPath()); err != nil || j.have.Len() != 2 {
			t.Errorf("after %d bytes: %d blocks, %v", journalBytes, j.have.Len(), err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestFileSinkTellsThatTheDiskFailed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		from := newSample(8, 4*BlockSize)
		s := openSink(t, filepath.Join(t.TempDir(), "out.img"), false)
		s.sync = func(*os.File) error { return unix.EIO }
		begin(t, s, from.Content)
		time.Sleep(journalEvery)
		writeBlocks(t, s, from, 0)
		synctest.Wait()
		if err := s.WriteBlock(from.block(1)); !errors.Is(err, unix.EIO) {
			t.Errorf("the next block: got %v, want the disk's error", err)
		}
	})
}

func TestFileSinkRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	there := filepath.Join(dir, "there.img")
	if err := os.WriteFile(there, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	busy := openSink(t, filepath.Join(dir, "busy.img"), false)
	defer busy.Close()
	for _, c := range []struct{ name, path, says string }{
		{"a file that is there", there, "file already exists"},
		{"a pipe", "-", "any order"},
		{"a terminal or the like", "/dev/null", "neither a file nor a block device"},
		{"a folder", dir, "neither a file nor a block device"},
		{"a folder that is not there", filepath.Join(dir, "none", "out.img"), "no such file"},
		{"a file that somebody receives", filepath.Join(dir, "busy.img"), "another receiver"},
	} {
		if s, err := OpenFileSink(c.path, false); s != nil || err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want an error that says %s", c.name, err, c.says)
		}
	}
	checkFile(t, there, []byte("precious"))
}

func TestFileSinkReplacesOnlyWhenAskedAndComplete(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out.img")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	from := newSample(9, BlockSize)
	s := openSink(t, path, true)
	begin(t, s, from.Content)
	checkFile(t, path, []byte("precious"))
	complete(t, s, from, nil)
	checkFile(t, path, from.data)

	late := filepath.Join(t.TempDir(), "out.img")
	s = openSink(t, late, false)
	begin(t, s, from.Content)
	writeBlocks(t, s, from, 0)
	if err := os.WriteFile(late, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Finish(from.Content); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file that appeared meanwhile: got %v", err)
	}
	checkFile(t, late, []byte("precious"))
}

func TestFileSinkLeavesNothingWhenNothingCame(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out.img")
	if err := openSink(t, path, false).Close(); err != nil {
		t.Fatal(err)
	}
	checkFolder(t, path)
}

func TestFileSinkRefusesWhatIsNoBlock(t *testing.T) {
	t.Parallel()
	s := openSink(t, filepath.Join(t.TempDir(), "out.img"), false)
	b := make([]byte, BlockSize)
	if err := s.WriteBlock(0, b); err == nil {
		t.Error("a block before Begin is taken")
	}
	begin(t, s, Content{Size: BlockSize + 1})
	for name, err := range map[string]error{
		"before the content":     s.WriteBlock(-BlockSize, b),
		"between blocks":         s.WriteBlock(1, b[:1]),
		"longer than a block":    s.WriteBlock(0, make([]byte, BlockSize+1)),
		"over the content's end": s.WriteBlock(BlockSize, b[:2]),
	} {
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestFileSinkKnowsWhenThereIsNoRoom(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out.img")
	s := openSink(t, path, false)
	_, err := s.Begin(Content{Size: 1 << 60})
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "1152921504606846976 bytes") {
		t.Errorf("got %v, want no room, the file's name and the bytes", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkFolder(t, path)
}

// needRoot skips tests that mount and make devices.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can mount filesystems and make block devices")
	}
}

func TestFileSinkOnADiskThatFillsUp(t *testing.T) {
	t.Parallel()
	needRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	from := newSample(10, 8*BlockSize)
	stream := from.Content
	stream.Size = Unknown
	s := openSink(t, filepath.Join(dir, "out.img"), false)
	begin(t, s, stream)
	var err error
	for n := int64(0); n < from.blocks() && err == nil; n++ {
		err = s.WriteBlock(from.block(n))
	}
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "no room for "+s.path) {
		t.Errorf("a stream that is too long: got %v", err)
	}
	// Now somebody else fills the disk while a content of known size is received.
	s.Close()
	os.Remove(s.partialPath())
	os.Remove(s.journalPath())
	from = newSample(10, 4*BlockSize)
	s = openSink(t, s.path, false)
	begin(t, s, from.Content)
	writeBlocks(t, s, from, 0)
	if err := os.WriteFile(filepath.Join(dir, "other"), make([]byte, 512<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	for n := int64(1); n < from.blocks(); n++ {
		err = s.WriteBlock(from.block(n))
	}
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "bytes are still needed") {
		t.Errorf("a disk that others filled: got %v", err)
	}
	os.Remove(filepath.Join(dir, "other"))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openSink(t, s.path, false)
	have := begin(t, s, from.Content)
	if !have.Has(0) || have.Has(3) {
		t.Errorf("with room again it goes on with %d blocks", have.Len())
	}
	complete(t, s, from, have)
	checkFile(t, s.path, from.data)
}

// loopDevice makes a block device of a file of that size.
func loopDevice(t *testing.T, size int64) string {
	t.Helper()
	needRoot(t)
	file := filepath.Join(t.TempDir(), "disk")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Truncate(file, size)); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "losetup", "--find", "--show", file).CombinedOutput()
	if err != nil {
		t.Skipf("SKIPPED: losetup: %v: %s", err, out)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("%s stays: %v: %s", device, err, out)
		}
	})
	return device
}

func TestFileSinkFillsABlockDevice(t *testing.T) {
	t.Parallel()
	from := newSample(11, 3*BlockSize+512)
	device := loopDevice(t, 4*BlockSize+4096-4*BlockSize%4096)
	if _, err := OpenFileSink(device, false); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "overwritten") {
		t.Errorf("without being asked to replace it: got %v", err)
	}
	s := openSink(t, device, true)
	if _, err := OpenFileSink(device, true); !errors.Is(err, unix.EBUSY) {
		t.Errorf("twice: got %v, want busy", err)
	}
	if _, err := s.Begin(Content{Size: 1 << 40}); !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "the device has") {
		t.Errorf("more than it holds: got %v", err)
	}
	complete(t, s, from, begin(t, s, from.Content))
	got, err := os.ReadFile(device)
	if err != nil || !bytes.HasPrefix(got, from.data) {
		t.Errorf("the device does not hold what was sent (%v)", err)
	}
}

func FuzzDecodeJournal(f *testing.F) {
	var have Blocks
	for _, n := range []int64{0, 5, 130} {
		have.Add(n)
	}
	whole := journal{Content{ID: [32]byte{1}, Name: "win.img", Size: 200 * BlockSize}, &have}
	f.Add(whole.encode())
	whole.content.Size = Unknown
	f.Add(whole.encode())
	f.Add(whole.encode()[:40])
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, sealJournal(b)} {
			j, err := decodeJournal(b)
			if err != nil {
				continue
			}
			if again := j.encode(); len(j.content.Name) <= journalName && !bytes.Equal(again, b) {
				t.Errorf("%x is written %x", b, again)
			}
			if j.content.Size >= 0 && j.end() > j.content.Size {
				t.Errorf("blocks to %d of %d bytes", j.end(), j.content.Size)
			}
		}
	})
}

// sealJournal puts the right checksum behind bytes, so that fuzzing gets past it.
func sealJournal(b []byte) []byte {
	sum := blake3.Sum256(b)
	return append(bytes.Clone(b), sum[:]...)
}
