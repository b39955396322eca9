package torrent

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// kill ends a storage as kill -9 would: what was written is written, and nothing else.
func (s *FileStorage) kill(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.settle()
	s.closed = true
	if err := s.file.Close(); err != nil {
		t.Fatal(err)
	}
}

// due makes the next piece that is written begin the journal, unless one is being written.
func (s *FileStorage) due() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved = time.Time{}
}

// journalled brings what was written to the journal.
func (s *FileStorage) journalled(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := errors.Join(s.settle(), s.save(newPieceJournal(s.torrent, s.id, s.have))); err != nil {
		t.Fatal(err)
	}
}

func TestAfterAKillOnlyWhatIsDoubtfulIsHashed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newContent(40, 20*8192-5, 8192)
	s := openFile(t, dir, c, FileOptions{})
	c.give(t, s, 1, 2, 3, 19)
	s.journalled(t)
	c.give(t, s, 7, 9)
	if _, err := s.file.WriteAt(c.piece(12)[:5000], c.Offset(12)); err != nil { // half of a piece
		t.Fatal(err)
	}
	s.kill(t)
	var hashed int64
	s = openFile(t, dir, c, checking(&hashed))
	checkHave(t, s, 1, 2, 3, 7, 9, 19)
	if want := int64(3 * 8192); hashed != want {
		t.Errorf("%d bytes were hashed, want the %d of pieces 7, 9 and 12", hashed, want)
	}
	s.kill(t)
	hashed = 0
	s = openFile(t, dir, c, checking(&hashed))
	checkHave(t, s, 1, 2, 3, 7, 9, 19)
	if want := int64(8192); hashed != want {
		t.Errorf("then %d bytes were hashed, want the %d of piece 12", hashed, want)
	}
	c.complete(t, s)
	checkNames(t, dir, "win.img")
}

// A journal that cannot be believed: everything that was written is hashed, and what is right is kept.
func TestFileWithoutAJournalIsHashed(t *testing.T) {
	t.Parallel()
	c := newContent(41, 20*8192-5, 8192)
	other := newContent(42, 20*8192-5, 8192)
	cases := map[string]func(s *FileStorage) error{
		"none":         func(s *FileStorage) error { return os.Remove(s.journalPath()) },
		"empty":        func(s *FileStorage) error { return os.Truncate(s.journalPath(), 0) },
		"torn":         func(s *FileStorage) error { return os.Truncate(s.journalPath(), 60) },
		"of OpenGnsys": func(s *FileStorage) error { return os.WriteFile(s.journalPath(), []byte{0xff, 0xff, 0xf0}, 0o644) },
		"of another torrent": func(s *FileStorage) error {
			return newPieceJournal(other.Torrent, s.id, whole(c.Torrent)).write(s.journalPath())
		},
		"of another file": func(s *FileStorage) error {
			return newPieceJournal(c.Torrent, fileIdentity{s.id.inode, 1}, whole(c.Torrent)).write(s.journalPath())
		},
		"of a longer file": func(s *FileStorage) error {
			return errors.Join(newPieceJournal(c.Torrent, s.id, whole(c.Torrent)).write(s.journalPath()), os.Truncate(s.partialPath(), 5*8192))
		},
		"of a shorter file": func(s *FileStorage) error {
			return errors.Join(newPieceJournal(c.Torrent, s.id, whole(c.Torrent)).write(s.journalPath()), os.Truncate(s.partialPath(), 25*8192))
		},
	}
	for name, damage := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := openFile(t, dir, c, FileOptions{})
			c.give(t, s, 0, 4)
			if _, err := s.file.WriteAt(other.piece(2), c.Offset(2)); err != nil {
				t.Fatal(err)
			}
			s.kill(t)
			if err := damage(s); err != nil {
				t.Fatal(err)
			}
			var hashed int64
			s = openFile(t, dir, c, checking(&hashed))
			checkHave(t, s, 0, 4)
			if want := int64(3 * 8192); hashed != want {
				t.Errorf("%d bytes were hashed, want the %d of pieces 0, 2 and 4", hashed, want)
			}
			if j, err := readPieceJournal(s.journalPath()); err != nil || !slices.Equal(j.have, s.have) {
				t.Errorf("afterwards the journal is another: %v", err)
			}
			c.complete(t, s)
		})
	}
}

func TestCopyOfAnInterruptedFetchIsHashed(t *testing.T) {
	t.Parallel()
	c := newContent(43, 20*8192, 8192)
	s := openFile(t, t.TempDir(), c, FileOptions{})
	c.give(t, s, 0, 4, 8)
	s.journalled(t)
	c.give(t, s, 9)
	dir := t.TempDir() // as a copy that was begun while it was written, and lost piece 4
	if err := os.CopyFS(dir, os.DirFS(filepath.Dir(s.Path()))); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "win.img.partial"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(make([]byte, 100), c.Offset(4)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	resumed := openFile(t, dir, c, FileOptions{})
	checkHave(t, resumed, 0, 8, 9)
	c.complete(t, resumed)
	c.complete(t, s)
}

// Two torrents of one name, of the same size: what the journal says of one is never believed of the other's bytes.
func TestTwoTorrentsOfOneNameTakeTurns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	older, newer := newContent(49, 20*8192-5, 8192), newContent(50, 20*8192-5, 8192)
	s := openFile(t, dir, older, FileOptions{})
	older.give(t, s, 0, 4, 8)
	s.journalled(t)
	s.kill(t)
	s = openFile(t, dir, newer, FileOptions{})
	checkHave(t, s)
	newer.give(t, s, 4, 5)
	s.kill(t)
	s = openFile(t, dir, older, FileOptions{})
	checkHave(t, s, 0, 8)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openFile(t, dir, newer, FileOptions{})
	checkHave(t, s, 4, 5)
	newer.complete(t, s)
}

func TestKilledBetweenNameAndJournal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newContent(44, 3*8192, 8192)
	s := openFile(t, dir, c, FileOptions{})
	c.give(t, s, 0, 1, 2)
	s.journalled(t)
	if err := s.appear(); err != nil {
		t.Fatal(err)
	}
	s.kill(t)
	checkNames(t, dir, "win.img", "win.img.torrent.bf")
	s = openFile(t, dir, c, FileOptions{})
	checkHave(t, s, 0, 1, 2)
	checkNames(t, dir, "win.img")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// The data of a claimed piece that is in no extent was lost by the filesystem: it is hashed, and found wrong.
func TestClaimedPieceThatHasBecomeAHole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newContent(45, 9*8192, 8192)
	s := openFile(t, dir, c, FileOptions{})
	c.give(t, s, 1, 3, 5)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	punch(t, s.partialPath(), c.Offset(3), 8192)
	s = openFile(t, dir, c, FileOptions{})
	checkHave(t, s, 1, 5)
	c.complete(t, s)
}

func punch(t *testing.T, path string, offset, n int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, n); err != nil {
		t.Skipf("SKIPPED: the filesystem punches no holes: %v", err)
	}
}

// The journal must never claim what no sync that has ended was begun after.
func TestJournalNeverClaimsWhatIsNotOnTheDisk(t *testing.T) {
	t.Parallel()
	c := newContent(46, 200*4096, 4096)
	s := openFile(t, t.TempDir(), c, FileOptions{})
	var mu sync.Mutex
	durable := make([]bool, c.Count())
	disk := s.sync
	s.sync = func(f *os.File) error {
		begun := make([]bool, c.Count())
		for i := range begun {
			b := make([]byte, c.Size(i))
			_, err := f.ReadAt(b, c.Offset(i))
			begun[i] = err == nil && bytes.Equal(b, c.piece(i))
		}
		if err := disk(f); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		durable = begun
		return nil
	}
	check := func() {
		j, err := readPieceJournal(s.journalPath())
		if err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		defer mu.Unlock()
		for i, claimed := range j.have {
			if claimed && !durable[i] {
				t.Fatalf("the journal claims piece %d, which is not on the disk", i)
			}
		}
	}
	for _, i := range rand.New(rand.NewPCG(4, 4)).Perm(c.Count()) {
		s.due()
		c.give(t, s, i)
		check()
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if j, err := readPieceJournal(s.journalPath()); err != nil || slices.Contains(j.have, false) {
		t.Errorf("after Close, the journal lacks pieces: %v", err)
	}
}

func TestDiskThatFailsIsNotBelieved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newContent(47, 20*4096, 4096)
	s := openFile(t, dir, c, FileOptions{})
	c.give(t, s, 0)
	s.journalled(t)
	s.sync = func(*os.File) error { return unix.EIO }
	s.due()
	c.give(t, s, 1)
	var err error
	for i := 2; err == nil && i < c.Count(); i++ {
		s.mu.Lock()
		if s.saving != nil {
			answer := <-s.saving // so that it is there for the next piece
			s.saving <- answer
		}
		s.mu.Unlock()
		err = s.WritePiece(i, c.piece(i))
	}
	if !errors.Is(err, unix.EIO) {
		t.Errorf("the disk failed, and WritePiece says %v", err)
	}
	if err := s.Finish(); !errors.Is(err, unix.EIO) {
		t.Errorf("the disk failed, and Finish says %v", err)
	}
	if err := s.Close(); !errors.Is(err, unix.EIO) {
		t.Errorf("the disk failed, and Close says %v", err)
	}
	j, err := readPieceJournal(s.journalPath())
	if err != nil || !j.have[0] || slices.Contains(j.have[1:], true) {
		t.Errorf("the journal claims %v, %v, want piece 0", j.have, err)
	}
	checkNames(t, dir, "win.img.partial", "win.img.torrent.bf")
}

// A fetch is killed and loses power at random moments, with any of what was not yet safe lost, and must come to the right file in the end
// without ever claiming what is wrong.
func TestFetchThatLosesPowerAgainAndAgain(t *testing.T) {
	t.Parallel()
	for seed := range uint64(10) {
		random := rand.New(rand.NewPCG(5, seed))
		dir := t.TempDir()
		c := newContent(60+seed, 40*8192-int(random.Uint32N(8192)), 8192)
		for range 6 {
			s := openFile(t, dir, c, FileOptions{})
			checkClaims(t, c, s)
			loseSomething(t, c, s, random)
		}
		c.complete(t, openFile(t, dir, c, FileOptions{}))
		checkNames(t, dir, "win.img")
	}
}

// checkClaims tells whether the pieces that a storage has are right.
func checkClaims(t *testing.T, c content, s *FileStorage) {
	t.Helper()
	have, err := s.Have()
	if err != nil {
		t.Fatal(err)
	}
	for i, has := range have {
		if has {
			checkReads(t, s, c, i)
		}
	}
}

// loseSomething writes some pieces, loses the power, and damages any of what the last journal does not claim.
func loseSomething(t *testing.T, c content, s *FileStorage, random *rand.Rand) {
	t.Helper()
	for range random.IntN(12) {
		switch i := random.IntN(c.Count()); random.IntN(5) {
		case 0:
			s.journalled(t)
		case 1: // killed within a piece
			if !s.have[i] {
				if _, err := s.file.WriteAt(c.piece(i)[:c.Size(i)/2], c.Offset(i)); err != nil {
					t.Fatal(err)
				}
			}
		default:
			c.give(t, s, i)
		}
	}
	s.kill(t)
	j, err := readPieceJournal(s.journalPath())
	if err != nil {
		t.Fatal(err)
	}
	for i, safe := range j.have {
		if safe {
			continue
		}
		switch random.IntN(4) {
		case 0:
			punch(t, s.partialPath(), c.Offset(i), c.Size(i))
		case 1:
			overwrite(t, s.partialPath(), c.Offset(i), make([]byte, 1+random.Int64N(c.Size(i))))
		}
	}
	switch random.IntN(8) { // the journal itself
	case 0:
		err = os.Remove(s.journalPath())
	case 1:
		err = os.Truncate(s.journalPath(), random.Int64N(100))
	case 2:
		err = os.Truncate(s.partialPath(), random.Int64N(c.Length))
	case 3:
		err = os.WriteFile(s.journalPath()+".new", []byte("torn"), 0o644)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, path string, offset int64, b []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(b, offset); err != nil {
		t.Fatal(err)
	}
}
