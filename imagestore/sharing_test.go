package imagestore

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aula/imagestore/torrent/metainfo"
)

// hashOf is the info-hash of the torrent that a client gets of a revision.
func hashOf(t testing.TB, r *Repository, name string, revision int) metainfo.Hash {
	t.Helper()
	tor, err := metainfo.ReadFile(filepath.Join(r.Dir(), revisionFile(name, revision, torrentSuffix)))
	if err != nil {
		t.Fatal(err)
	}
	return tor.Hash
}

// checkTorrent makes sure that an info-hash finds a revision, or with 0 that it finds none for a reason.
func checkTorrent(t testing.TB, r *Repository, hash metainfo.Hash, revision int, why error) {
	t.Helper()
	img, err := r.FindTorrent(hash)
	if err != nil && strings.Contains(err.Error(), hash.String()) {
		t.Errorf("the error tells the info-hash: %v", err)
	}
	if img.Revision != revision || !errors.Is(err, why) {
		t.Errorf("found revision %d, %v, want %d, %v", img.Revision, err, revision, why)
	}
}

// TestFindTorrent looks for torrents while images come and go.
func TestFindTorrent(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := openWith(t, dir, Options{Trash: time.Hour})
	checkTorrent(t, r, metainfo.Hash{}, 0, ErrNotFound)
	checkTorrent(t, r, metainfo.Hash{1}, 0, ErrNotFound)

	var hashes []metainfo.Hash
	for i := range 2 {
		publishFile(t, r, "lab", imageFile(t, i+1))
		hashes = append(hashes, hashOf(t, r, "lab", i+1))
		checkTorrent(t, r, hashes[i], i+1, nil)
	}
	checkTorrent(t, r, hashes[0], 1, nil)
	publishFile(t, r, "lab", imageFile(t, 1))
	r.learnTorrents()
	checkTorrent(t, r, hashes[0], 3, nil) // the newest of the same bytes
	checkTorrent(t, r, metainfo.Hash{}, 0, ErrNotFound)

	flip(t, r, "lab", 3)
	if err := r.Verify(t.Context(), "lab", 3, nil); !errors.Is(err, ErrDamaged) {
		t.Fatalf("a bit differs: %v", err)
	}
	checkTorrent(t, r, hashes[0], 1, nil)
	flip(t, r, "lab", 2)
	if err := r.Verify(t.Context(), "lab", 2, nil); !errors.Is(err, ErrDamaged) {
		t.Fatalf("a bit differs: %v", err)
	}
	checkTorrent(t, r, hashes[1], 0, ErrDamaged)

	if err := r.Remove("lab"); err != nil {
		t.Fatal(err)
	}
	checkTorrent(t, r, hashes[0], 0, ErrNotFound)
	if err := r.Undelete(onlyTrashed(t, r).ID); err != nil {
		t.Fatal(err)
	}
	checkTorrent(t, r, hashes[0], 1, nil)
	r.Close()
	r = openRepository(t, dir)
	checkTorrent(t, r, hashes[0], 1, nil)
	if err := r.RemoveRevision("lab", 1); err != nil {
		t.Fatal(err)
	}
	checkTorrent(t, r, hashes[0], 0, ErrDamaged) // revision 3 is left
	if n := len(r.hashes); n != 2 {
		t.Errorf("%d info-hashes are known of 2 revisions", n)
	}
}

// TestFindTorrentMadeAnew follows a torrent that is made anew, and goes without one that is not ours until then.
func TestFindTorrentMadeAnew(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	file := imageFile(t, 1)
	img := publishFile(t, r, "lab", file)
	hash, path := hashOf(t, r, "lab", 1), filepath.Join(r.Dir(), "lab.img.torrent")
	old, err := metainfo.Parse(torrentOf(t, img, file, 4<<20))
	if err != nil {
		t.Fatal(err)
	}
	rewrite(t, path, old.Encode())
	checkTorrent(t, r, hash, 0, ErrNotFound)
	checkTorrent(t, r, old.Hash, 1, nil)

	rewrite(t, path, []byte("something else"))
	if s, err := r.Share(old.Hash, "test"); err == nil || len(r.Holders("lab")) > 0 {
		t.Errorf("shared %+v, held by %q", s, r.Holders("lab"))
	}
	if err := r.Verify(t.Context(), "lab", 1, nil); err != nil {
		t.Fatal(err)
	}
	checkTorrent(t, r, old.Hash, 0, ErrNotFound)
	checkTorrent(t, r, hash, 1, nil)

	// Nothing is read again for info-hashes that nobody has.
	if err := os.Remove(filepath.Join(r.Dir(), revisionFile("lab", 1, torrentSuffix))); err != nil {
		t.Fatal(err)
	}
	checkTorrent(t, r, metainfo.Hash{1}, 0, ErrNotFound)
	checkTorrent(t, r, hash, 1, nil)
}

// TestTorrentThatCannotBeRead is looked at once a minute, however often somebody asks, and found when it can be read.
func TestTorrentThatCannotBeRead(t *testing.T) {
	t.Parallel()
	day := &clock{time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	var log bytes.Buffer
	r := openWith(t, t.TempDir(), Options{Now: day.now})
	r.log = slog.New(slog.NewTextHandler(&log, nil))
	img := publishFile(t, r, "lab", imageFile(t, 1))
	hash, path := hashOf(t, r, "lab", 1), filepath.Join(r.Dir(), revisionFile("lab", 1, torrentSuffix))
	if err := errors.Join(os.Rename(path, path+".away"), os.Mkdir(path, 0o755)); err != nil { // of a folder nothing can be read
		t.Fatal(err)
	}
	r.forgetTorrent(img.key())
	for range 10 {
		checkTorrent(t, r, hash, 0, ErrNotFound)
	}
	if n := strings.Count(log.String(), "cannot be shared"); n != 1 {
		t.Errorf("it is read and warned of %d times, want once: %s", n, log.String())
	}
	if strings.Contains(log.String(), hash.String()) {
		t.Errorf("the info-hash is logged: %s", log.String())
	}
	if err := errors.Join(os.Remove(path), os.Rename(path+".away", path)); err != nil {
		t.Fatal(err)
	}
	checkTorrent(t, r, hash, 0, ErrNotFound)
	day.Time = day.Add(rereadTorrent)
	checkTorrent(t, r, hash, 1, nil)
}

// TestAnnounceLearns knows every info-hash after the look through the torrents with which Run begins.
func TestAnnounceLearns(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	publishFile(t, r, "lab", imageFile(t, 1))
	hash := hashOf(t, r, "lab", 1)
	r.announce()
	if found := r.torrents(hash); len(found) != 1 {
		t.Errorf("found %v", found)
	}
}

// TestShare holds what it opens, and reads nothing of the file.
func TestShare(t *testing.T) {
	t.Parallel()
	first, second := openRepository(t, t.TempDir()), openRepository(t, t.TempDir())
	l := NewLibrary(first, second)
	file := imageFile(t, 1)
	publishFile(t, second, "lab", file)
	hash := hashOf(t, second, "lab", 1)
	if img, err := l.FindTorrent(hash); err != nil || img.Name != "lab" {
		t.Errorf("found %+v, %v", img, err)
	}
	if known := slices.Collect(l.Torrents); !slices.Equal(known, []metainfo.Hash{hash}) {
		t.Errorf("known torrents: %v", known)
	}
	if _, err := l.Share(metainfo.Hash{1}, "test"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such torrent: %v", err)
	}
	s, err := l.Share(hash, "shared by BitTorrent")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(io.NewSectionReader(s.File, 0, 1<<40)); err != nil || !bytes.Equal(got, file) {
		t.Errorf("file of %d bytes, %v", len(got), err)
	}
	if s.Torrent.Hash != hash || s.Torrent.Name != "lab.img" || s.Image.Revision != 1 || s.Torrent.Announce[0] != tracker {
		t.Errorf("shared %+v", s)
	}
	if path := filepath.Join(second.Dir(), revisionFile("lab", 1, imageSuffix)); s.File.Name() != path {
		t.Errorf("file is called %s, want %s", s.File.Name(), path)
	}
	if err := second.Remove("lab"); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "shared by BitTorrent") {
		t.Errorf("removed while it is shared: %v", err)
	}
	if err := errors.Join(s.Close(), second.Remove("lab")); err != nil {
		t.Error(err)
	}
	if _, err := l.Share(hash, "test"); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed: %v", err)
	}
}

// TestShareDamaged gives nothing away that is damaged or was changed by hand, and takes a good copy in another repository instead.
func TestShareDamaged(t *testing.T) {
	t.Parallel()
	first, second := openRepository(t, t.TempDir()), openRepository(t, t.TempDir())
	l := NewLibrary(first, second)
	publishFile(t, first, "lab", imageFile(t, 1))
	hash := hashOf(t, first, "lab", 1)
	rewrite(t, filepath.Join(first.Dir(), "lab.img"), imageFile(t, 2))
	if _, err := l.Share(hash, "test"); !errors.Is(err, ErrDamaged) || len(first.Holders("lab")) > 0 {
		t.Errorf("changed by hand: %v, held by %q", err, first.Holders("lab"))
	}
	publishFile(t, second, "lab", imageFile(t, 1))
	s, err := l.Share(hash, "test")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if !strings.HasPrefix(s.File.Name(), second.Dir()) {
		t.Errorf("shared %s", s.File.Name())
	}
}
