package imagestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"aula/imagestore/format"
	"aula/imagestore/format/formattest"
	"aula/imagestore/torrent/metainfo"
)

func TestPublish(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	file := imageFile(t, 1)
	var done, total int64
	s := stageFile(t, r, "lab", file)
	if _, err := r.Image("lab"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a staged image is visible: %v", err)
	}
	img, err := s.Publish(t.Context(), strings.ToUpper(digest(file)), func(d, n int64) { done, total = d, n })
	if err != nil {
		t.Fatal(err)
	}
	if done != int64(len(file)) || total != done {
		t.Errorf("progress ended at %d of %d, want %d", done, total, len(file))
	}
	if img.HasLayout || img.Source.Computer != "pc-07" || img.Created.IsZero() || img.Info.Filesystem != "EXTFS" {
		t.Errorf("record = %+v", img)
	}
	checkImage(t, r, "lab", 1, file)
	checkClean(t, r, "lab")
	if err := s.Abort(); err != nil {
		t.Errorf("Abort after Publish: %v", err)
	}
	if _, err := s.Write([]byte("x")); err == nil {
		t.Error("Write after Publish: no error")
	}
	if _, err := s.Publish(t.Context(), digest(file), nil); err == nil {
		t.Error("second Publish: no error")
	}
	checkImage(t, r, "lab", 1, file)
}

// TestLargeFile has several pieces, and more than the last MiB.
func TestLargeFile(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	file := pack(t, formattest.Partclone{Blocks: 4500, Checksum: formattest.ChecksumCRC32}.Encode())
	if int64(len(file)) < 2*metainfo.PieceLengthFor(int64(len(file))) {
		t.Fatalf("file has only %d bytes", len(file))
	}
	publishFile(t, r, "lab", file)
	checkImage(t, r, "lab", 1, file)
}

func TestRevisions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := openRepository(t, dir)
	files := [][]byte{1: imageFile(t, 1), 2: imageFile(t, 2), 3: imageFile(t, 3)}
	for i := 1; i < len(files); i++ {
		if img := publishFile(t, r, "lab", files[i]); img.Revision != i {
			t.Errorf("revision = %d, want %d", img.Revision, i)
		}
	}
	for range 2 { // once as published, once as found again
		revisions, err := r.Revisions("lab")
		if err != nil || len(revisions) != 3 {
			t.Fatalf("revisions = %v, %v", revisions, err)
		}
		checkImage(t, r, "lab", 3, files[3])
		for i, img := range revisions {
			f, err := r.OpenFile("lab", img.Revision)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(f)
			f.Close()
			if err != nil || !bytes.Equal(got, files[i+1]) {
				t.Errorf("revision %d has another file: %v", img.Revision, err)
			}
		}
		r.Close()
		r = openRepository(t, dir)
	}
	for _, revision := range []int{-1, 0, 4} {
		if _, err := r.Revision("lab", revision); !errors.Is(err, ErrNotFound) {
			t.Errorf("revision %d: %v", revision, err)
		}
	}
}

// TestNotPublished ends captures in every way in which they fail. The image that was there must stay.
func TestNotPublished(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	old := imageFile(t, 1)
	publishFile(t, r, "lab", old)
	file := imageFile(t, 2)
	flipped := bytes.Clone(file)
	flipped[len(flipped)/2] ^= 1
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name   string
		ctx    context.Context
		file   []byte
		digest string
		want   error
	}{
		{"sender's digest is another", t.Context(), file, digest(old), nil},
		{"no digest: upload cut", t.Context(), file, "", nil},
		{"digest is no digest", t.Context(), file, "../../etc/passwd", nil},
		{"cut at 99 %", t.Context(), file[:len(file)*99/100], digest(file[:len(file)*99/100]), format.ErrCorrupt},
		{"damaged before it was sent", t.Context(), flipped, digest(flipped), format.ErrCorrupt},
		{"no image", t.Context(), []byte("hello"), digest([]byte("hello")), format.ErrNotImage},
		{"nothing at all", t.Context(), nil, digest(nil), format.ErrNotImage},
		{"compressor that has lost its data", t.Context(), []byte("\x1F\x8B\x08 something"), digest([]byte("\x1F\x8B\x08 something")), format.ErrCorrupt},
		{"cancelled", cancelled, file, digest(file), context.Canceled},
	}
	for _, test := range tests {
		s := stageFile(t, r, "lab", test.file)
		_, err := s.Publish(test.ctx, test.digest, nil)
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: got error %v, want %v", test.name, err, test.want)
		}
		checkImage(t, r, "lab", 1, old)
		checkClean(t, r, "lab")
	}
}

func TestAbort(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	s := stageFile(t, r, "lab", imageFile(t, 1))
	for range 2 {
		if err := s.Abort(); err != nil {
			t.Error(err)
		}
	}
	checkClean(t, r)
	if _, err := s.Publish(t.Context(), "", nil); err == nil {
		t.Error("Publish after Abort: no error")
	}
}

// TestUploadBreaks copies from a connection that breaks; the error is the connection's.
func TestUploadBreaks(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	for _, cause := range []error{errors.New("connection reset"), io.ErrUnexpectedEOF} {
		s, err := r.Stage("lab", Source{})
		if err != nil {
			t.Fatal(err)
		}
		n, err := s.ReadFrom(io.MultiReader(iotest.HalfReader(bytes.NewReader(imageFile(t, 1)[:5000])), iotest.ErrReader(cause)))
		if !errors.Is(err, cause) || n != 5000 || s.Size() != 5000 {
			t.Errorf("%d bytes, %v; want 5000, %v", n, err, cause)
		}
		if err := s.Abort(); err != nil {
			t.Error(err)
		}
	}
	checkClean(t, r)
}

func TestSetLayout(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	file := imageFile(t, 1)
	s := stageFile(t, r, "lab", file)
	if err := s.SetLayout([]byte("no JSON")); err == nil {
		t.Error("a layout that is no JSON: no error")
	}
	layout := []byte(`{"version":1,"table":"gpt"}`)
	if err := s.SetLayout(layout); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Publish(t.Context(), digest(file), nil); err != nil {
		t.Fatal(err)
	}
	got, err := r.Layout("lab", 1)
	if err != nil || !bytes.Equal(got, layout) {
		t.Errorf("layout = %s, %v", got, err)
	}
	checkImage(t, r, "lab", 1, file)
}

func TestHoldAndRemove(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	if _, err := r.Hold("lab", 1, "nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("holding what is not there: %v", err)
	}
	if err := r.Remove("lab"); !errors.Is(err, ErrNotFound) {
		t.Errorf("removing what is not there: %v", err)
	}
	file := imageFile(t, 1)
	publishFile(t, r, "lab", file)
	publishFile(t, r, "lab", imageFile(t, 2))
	release7, err := r.Hold("lab", 1, "restore on pc-07")
	if err != nil {
		t.Fatal(err)
	}
	release8, err := r.Hold("lab", 2, "restore on pc-08")
	if err != nil {
		t.Fatal(err)
	}
	err = r.Remove("lab")
	if !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "restore on pc-07, restore on pc-08") {
		t.Errorf("removing a held image: %v", err)
	}
	release7()
	release7()
	if got, want := r.Holders("lab"), []string{"restore on pc-08"}; !slices.Equal(got, want) {
		t.Errorf("holders = %v, want %v", got, want)
	}
	if err := r.Remove("lab"); !errors.Is(err, ErrBusy) {
		t.Errorf("removing a held image: %v", err)
	}
	release8()
	f, err := r.OpenFile("lab", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := r.Remove("lab"); err != nil {
		t.Fatal(err)
	}
	checkClean(t, r)
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, file) {
		t.Errorf("an open file changed when its image was removed: %d bytes, %v", len(got), err)
	}
	if _, err := r.OpenFile("lab", 1); !errors.Is(err, ErrNotFound) {
		t.Errorf("opening what is removed: %v", err)
	}
	if img := publishFile(t, r, "lab", file); img.Revision != 3 {
		t.Errorf("revision after two that were removed = %d, want 3", img.Revision)
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := openRepository(t, dir)
	s := stageFile(t, r, "lab", imageFile(t, 1))
	_, err := Open(dir, Options{Name: "main", Log: r.log})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("second Open: %v", err)
	}
	// The second must not have cleaned the staging of the first.
	if _, err := s.Publish(t.Context(), digest(imageFile(t, 1)), nil); err != nil {
		t.Error(err)
	}
	r.Close()
	checkImage(t, openRepository(t, dir), "lab", 1, imageFile(t, 1))
}

func TestOpenBadFolder(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(file, Options{Name: "main"}); err == nil {
		t.Error("opening a file: no error")
	}
	nested := filepath.Join(t.TempDir(), "a", "b")
	if got := openRepository(t, nested).Dir(); got != nested {
		t.Errorf("folder = %s, want %s", got, nested)
	}
}

// TestHandMadeFile never overwrites or removes what a person put into the folder.
func TestHandMadeFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mine := []byte("ten years of work")
	path := filepath.Join(dir, "lab.img")
	if err := os.WriteFile(path, mine, 0o600); err != nil {
		t.Fatal(err)
	}
	r := openRepository(t, dir)
	if _, err := r.Stage("lab", Source{}); err == nil || !strings.Contains(err.Error(), "by hand") {
		t.Errorf("staging over a file of somebody's: %v", err)
	}
	// One that appears later.
	os.Remove(path)
	s := stageFile(t, r, "lab", imageFile(t, 1))
	if err := os.WriteFile(path, mine, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Publish(t.Context(), digest(imageFile(t, 1)), nil); err != nil {
		t.Errorf("publishing beside it: %v", err)
	}
	r.Close()
	r = openRepository(t, dir)
	if _, err := r.Image("lab"); err != nil {
		t.Error(err)
	}
	if err := r.Remove("lab"); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, mine) {
		t.Errorf("the file now holds %q, %v", got, err)
	}
}

// TestDamagedRevision finds revisions as a bad disk or somebody's hand has left them, and reads them again.
func TestDamagedRevision(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		damage  func(t *testing.T, dir string)
		found   int  // current revision when the repository is opened
		usable  bool // and whether it can be used then
		remade  int  // current revision when everything was read again
		standby State
	}{
		{"record is no JSON", func(t *testing.T, dir string) { rewrite(t, dir+"/lab.img.json", []byte("{")) }, 1, true, 3, Ready},
		{"record is empty", func(t *testing.T, dir string) { rewrite(t, dir+"/lab.img.json", nil) }, 1, true, 3, Ready},
		{"record of another image", func(t *testing.T, dir string) { swap(t, dir+"/lab.img.json", `"lab"`, `"bal"`) }, 1, true, 3, Ready},
		{"record of other revision", func(t *testing.T, dir string) { swap(t, dir+"/lab.img.json", `"revision": 2`, `"revision": 7`) }, 1, true, 3, Ready},
		{"record with a path inside", func(t *testing.T, dir string) { swap(t, dir+"/lab.img.json", `"lab"`, `"../lab"`) }, 1, true, 3, Ready},
		{"layout is missing", func(t *testing.T, dir string) { os.Remove(dir + "/lab.img.layout") }, 1, true, 3, Ready},
		{"image file is shorter", func(t *testing.T, dir string) { rewrite(t, dir+"/lab.img", []byte("short")) }, 2, false, 2, Damaged},
		{"image file is missing", func(t *testing.T, dir string) {
			os.Remove(dir + "/lab.img")
			os.Remove(dir + "/../../../lab.img")
		}, 1, true, 1, Ready},
		{"chunk index is missing", func(t *testing.T, dir string) { os.Remove(dir + "/lab.img.chunks") }, 2, true, 2, Ready},
		{"sums and torrent are missing", func(t *testing.T, dir string) {
			os.Remove(dir + "/lab.img.sum")
			os.Remove(dir + "/lab.img.full.sum")
			os.Remove(dir + "/lab.img.torrent")
		}, 2, true, 2, Ready},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := openRepository(t, dir)
			files := [][]byte{1: imageFile(t, 1), 2: imageFile(t, 2), 3: imageFile(t, 2), 4: imageFile(t, 4)}
			publishFile(t, r, "lab", files[1])
			publishFile(t, r, "lab", files[2])
			r.Close()
			test.damage(t, filepath.Join(dir, revisionsDir, "lab", "2"))
			r = openRepository(t, dir)
			img, err := r.Image("lab")
			if err != nil || img.Revision != test.found {
				t.Fatalf("current revision is %d, %v, want %d", img.Revision, err, test.found)
			}
			f, err := r.OpenFile("lab", img.Revision)
			if err == nil {
				f.Close()
			}
			if (err == nil) != test.usable || err != nil && !errors.Is(err, ErrDamaged) {
				t.Errorf("opening revision %d: %v, want usable %t", img.Revision, err, test.usable)
			}
			readAgain(t, r)
			if s, ok := r.Standing("lab"); !ok || s.State != test.standby || s.Revision != test.remade {
				t.Errorf("standing = %+v, want %s, revision %d", s, test.standby, test.remade)
			}
			if test.standby == Ready {
				checkImage(t, r, "lab", test.remade, files[test.remade])
			}
			want := max(test.remade, 2) + 1
			if img := publishFile(t, r, "lab", files[4]); img.Revision != want {
				t.Errorf("next revision = %d, want %d", img.Revision, want)
			}
			checkImage(t, r, "lab", want, files[4])
		})
	}
}

// readAgain does what Run does until there is nothing left to do.
func readAgain(t testing.TB, r *Repository) {
	t.Helper()
	written()
	if err := r.scan(); err != nil {
		t.Fatal(err)
	}
	for r.workOne(t.Context()) {
	}
}

// rewrite replaces a file's content in place, as a bad disk would.
func rewrite(t *testing.T, path string, data []byte) {
	t.Helper()
	os.Chmod(path, 0o600)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// swap changes a word in a record.
func swap(t *testing.T, path, old, new string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || !bytes.Contains(data, []byte(old)) {
		t.Fatalf("record %s: %v", data, err)
	}
	rewrite(t, path, bytes.ReplaceAll(data, []byte(old), []byte(new)))
}

// TestSideBySide publishes several images at once, two of them under one name.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	names := []string{"a", "b", "b"}
	var group sync.WaitGroup
	for i, name := range names {
		file := imageFile(t, i)
		s := stageFile(t, r, name, file)
		group.Go(func() {
			if _, err := s.Publish(t.Context(), digest(file), nil); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	checkClean(t, r, "a", "b")
	if img, err := r.Image("b"); err != nil || img.Revision != 2 {
		t.Errorf("b: revision %d, %v, want 2", img.Revision, err)
	}
}

// What is prepared is seen by nobody until it is committed.
func TestPrepareAndCommit(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	file := imageFile(t, 1)
	aborted := stageFile(t, r, "lab", file)
	if err := aborted.Prepare(t.Context(), digest(file), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := aborted.Write(file); err == nil {
		t.Error("a prepared image was written to")
	}
	if err := aborted.Prepare(t.Context(), digest(file), nil); err == nil {
		t.Error("an image was prepared twice")
	}
	if err := aborted.Abort(); err != nil {
		t.Error(err)
	}
	if _, err := aborted.Commit(); err == nil {
		t.Error("an aborted image was committed")
	}
	s := stageFile(t, r, "lab", file)
	if err := s.Prepare(t.Context(), digest(file), nil); err != nil {
		t.Fatal(err)
	}
	if img, err := r.Image("lab"); !errors.Is(err, ErrNotFound) {
		t.Errorf("before Commit the image is %+v, %v", img, err)
	}
	img, err := s.Commit()
	if err != nil || img.Revision != 1 {
		t.Fatalf("Commit: revision %d, %v", img.Revision, err)
	}
	checkImage(t, r, "lab", 1, file)
	hasty := stageFile(t, r, "lab", file)
	if _, err := hasty.Commit(); err == nil {
		t.Error("what was not prepared was committed")
	}
	checkClean(t, r, "lab")
}
