package incorporation

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aula/imagestore"
	"aula/imagestore/format"
)

func plenty() (int64, error) { return 1 << 40, nil }

func openUploads(t *testing.T, dir string, now func() time.Time) *Uploads {
	t.Helper()
	u, err := OpenUploads(dir, plenty, now)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func begin(t *testing.T, u *Uploads, files ...File) Upload {
	t.Helper()
	up, err := u.Begin(files, "maria")
	if err != nil {
		t.Fatal(err)
	}
	return up
}

func appendTo(t *testing.T, u *Uploads, id string, file int, offset int64, data string) int64 {
	t.Helper()
	have, err := u.Append(id, file, offset, strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return have
}

func TestUploadOfAFolderSurvivesARestart(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "uploads")
	u := openUploads(t, dir, time.Now)
	up := begin(t, u, File{Path: "win7/d1p1.img", Size: 10}, File{Path: "win7/d1.mbr", Size: 3}, File{Path: "win7/d1.has_grub"})
	if have := appendTo(t, u, up.ID, 0, 0, "01234"); have != 5 {
		t.Errorf("after 5 bytes: have %d", have)
	}
	if _, err := u.Paths(up.ID); err == nil || !strings.Contains(err.Error(), "8 bytes are missing") {
		t.Errorf("paths of an upload that is not complete: %v", err)
	}

	u = openUploads(t, dir, time.Now)
	got, err := u.Upload(up.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got.By != "maria" || got.Files[0].Have != 5 || got.Files[0].Size != 10 || got.Complete() {
		t.Errorf("after a restart: %+v", got)
	}
	appendTo(t, u, up.ID, 0, 5, "56789")
	appendTo(t, u, up.ID, 1, 0, "mbr")
	paths, err := u.Paths(up.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) != 1 || filepath.Base(paths[0]) != "win7" {
		t.Fatalf("paths = %v, want the folder win7", paths)
	}
	for name, want := range map[string]string{"d1p1.img": "0123456789", "d1.mbr": "mbr", "d1.has_grub": ""} {
		if data, err := os.ReadFile(filepath.Join(paths[0], name)); err != nil || string(data) != want {
			t.Errorf("%s holds %q, %v, want %q", name, data, err, want)
		}
	}
	if err := u.Discard(up.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Upload(up.ID); !errors.Is(err, ErrNoUpload) {
		t.Errorf("after Discard: %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("%v is left", left)
	}
}

func TestUploadOfFilesIsTheirPaths(t *testing.T) {
	t.Parallel()
	u := openUploads(t, t.TempDir(), time.Now)
	up := begin(t, u, File{Path: "x.000", Size: 1}, File{Path: "x.001", Size: 1})
	appendTo(t, u, up.ID, 1, 0, "b")
	appendTo(t, u, up.ID, 0, 0, "a")
	paths, err := u.Paths(up.ID)
	if err != nil || len(paths) != 2 || filepath.Base(paths[0]) != "x.000" || filepath.Base(paths[1]) != "x.001" {
		t.Errorf("paths = %v, %v", paths, err)
	}
}

func TestUploadRefuses(t *testing.T) {
	t.Parallel()
	u := openUploads(t, t.TempDir(), time.Now)
	for name, files := range map[string][]File{
		"nothing":              {},
		"no name":              {{Path: "", Size: 1}},
		"hidden":               {{Path: ".bashrc", Size: 1}},
		"parent":               {{Path: "..", Size: 1}},
		"traversal":            {{Path: "../x", Size: 1}},
		"absolute":             {{Path: "/etc/passwd", Size: 1}},
		"folders in folders":   {{Path: "a/b/c", Size: 1}},
		"traversal in folder":  {{Path: "a/..", Size: 1}},
		"backslash":            {{Path: `a\b`, Size: 1}},
		"control character":    {{Path: "a\nb", Size: 1}},
		"not UTF-8":            {{Path: "a\xff", Size: 1}},
		"two folders":          {{Path: "a/x", Size: 1}, {Path: "b/x", Size: 1}},
		"folder and file":      {{Path: "a/x", Size: 1}, {Path: "x", Size: 1}},
		"same name twice":      {{Path: "x", Size: 1}, {Path: "x", Size: 1}},
		"negative size":        {{Path: "x", Size: -1}},
		"more than the volume": {{Path: "x", Size: 1 << 41}},
		"sizes that overflow":  {{Path: "x", Size: 1 << 62}, {Path: "y", Size: 1 << 62}},
		"name too long":        {{Path: strings.Repeat("x", 256), Size: 1}},
	} {
		if up, err := u.Begin(files, "eve"); err == nil {
			t.Errorf("%s: taken as %+v", name, up)
		}
	}
	if all, err := u.All(); err != nil || len(all) != 0 {
		t.Errorf("all = %v, %v, want none", all, err)
	}
}

func TestUploadCountsWhatOthersStillSend(t *testing.T) {
	t.Parallel()
	u, err := OpenUploads(t.TempDir(), func() (int64, error) { return 100, nil }, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	first := begin(t, u, File{Path: "x", Size: 60})
	if _, err := u.Begin([]File{{Path: "y", Size: 60}}, "maria"); err == nil {
		t.Error("120 bytes are promised to a volume of 100")
	}
	if err := u.Discard(first.ID); err != nil {
		t.Fatal(err)
	}
	begin(t, u, File{Path: "y", Size: 60})
}

func TestAppendRefuses(t *testing.T) {
	t.Parallel()
	u := openUploads(t, t.TempDir(), time.Now)
	up := begin(t, u, File{Path: "x", Size: 4})
	appendTo(t, u, up.ID, 0, 0, "ab")
	for name, test := range map[string]struct {
		file   int
		offset int64
		data   string
		want   string
	}{
		"a gap":              {0, 3, "d", "goes on at byte 2"},
		"what is there":      {0, 0, "ab", "goes on at byte 2"},
		"more than the file": {0, 2, "cde", "longer than the 4 bytes"},
		"no such file":       {1, 0, "x", "no file 1"},
		"negative file":      {-1, 0, "x", "no file -1"},
	} {
		have, err := u.Append(up.ID, test.file, test.offset, strings.NewReader(test.data))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want an error with %q", name, err, test.want)
		}
		if test.file == 0 && have != 2 {
			t.Errorf("%s: have %d, want 2", name, have)
		}
	}
	if _, err := u.Append(up.ID, 0, 3, strings.NewReader("d")); !errors.Is(err, ErrOffset) {
		t.Errorf("a gap: %v, want ErrOffset", err)
	}
	if _, err := u.Append("../x", 0, 0, strings.NewReader("d")); !errors.Is(err, ErrNoUpload) {
		t.Errorf("unknown upload: %v, want ErrNoUpload", err)
	}
}

// What came before the connection broke is kept.
func TestAppendKeepsWhatCameBeforeAnError(t *testing.T) {
	t.Parallel()
	u := openUploads(t, t.TempDir(), time.Now)
	up := begin(t, u, File{Path: "x", Size: 10})
	broken := errors.New("connection reset")
	have, err := u.Append(up.ID, 0, 0, io.MultiReader(strings.NewReader("abc"), failingReader{broken}))
	if have != 3 || !errors.Is(err, broken) {
		t.Errorf("got %d, %v, want 3 bytes and the connection's error", have, err)
	}
	appendTo(t, u, up.ID, 0, 3, "defghij")
}

type failingReader struct{ err error }

func (f failingReader) Read([]byte) (int, error) { return 0, f.err }

// A browser that takes its connection for dead sends the rest on another one while the first still waits.
func TestTwoConnectionsForOneFile(t *testing.T) {
	t.Parallel()
	u := openUploads(t, t.TempDir(), time.Now)
	data := bytes.Repeat([]byte("0123456789"), 300_000)
	up := begin(t, u, File{Path: "x", Size: int64(len(data))})
	stalled, feed := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		have, err := u.Append(up.ID, 0, 0, stalled)
		if !errors.Is(err, ErrOffset) || have != int64(len(data)) {
			t.Errorf("the connection that came late: have %d, %v, want ErrOffset", have, err)
		}
	})
	if _, err := feed.Write(data[:1]); err != nil { // the first connection is in Append now
		t.Fatal(err)
	}
	appendTo(t, u, up.ID, 0, 0, string(data))
	if _, err := feed.Write(data[1:uploadBlock]); err != nil {
		t.Fatal(err)
	}
	feed.Close()
	wg.Wait()
	paths, err := u.Paths(up.ID)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(paths[0]); err != nil || !bytes.Equal(got, data) {
		t.Errorf("file of %d bytes, %v, differs from what was sent", len(got), err)
	}
}

func TestUploadsExpire(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	clock := func() time.Time { return now }
	dir := t.TempDir()
	u := openUploads(t, dir, clock)
	old := begin(t, u, File{Path: "x", Size: 2})
	now = now.Add(5 * 24 * time.Hour)
	kept := begin(t, u, File{Path: "x", Size: 2})
	continued := begin(t, u, File{Path: "x", Size: 2})
	now = now.Add(4 * 24 * time.Hour)
	appendTo(t, u, continued.ID, 0, 0, "a")
	if err := u.Expire(); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Upload(old.ID); !errors.Is(err, ErrNoUpload) {
		t.Errorf("after 9 days: %v, want ErrNoUpload", err)
	}
	if _, err := u.Upload(kept.ID); err != nil {
		t.Errorf("after 4 days: %v", err)
	}
	now = now.Add(6 * 24 * time.Hour)
	u = openUploads(t, dir, clock)
	all, err := u.All()
	if err != nil || len(all) != 1 || all[0].ID != continued.ID {
		t.Errorf("after 10 days: %v, %v, want only the one that was continued 6 days ago", all, err)
	}
}

// A crash may leave bytes that Append has not acknowledged, and uploads without a manifest.
func TestUploadsAfterACrash(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	u := openUploads(t, dir, time.Now)
	up := begin(t, u, File{Path: "x", Size: 10})
	appendTo(t, u, up.ID, 0, 0, "abc")
	file := filepath.Join(dir, up.ID, "data", "x")
	if err := os.WriteFile(file, []byte("abc\x00\x00\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(dir, strings.Repeat("A", 26))
	if err := os.MkdirAll(filepath.Join(half, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	u = openUploads(t, dir, time.Now)
	if exists(half) {
		t.Error("an upload without a manifest is left")
	}
	appendTo(t, u, up.ID, 0, 3, "defghij")
	if data, err := os.ReadFile(file); err != nil || string(data) != "abcdefghij" {
		t.Errorf("got %q, %v", data, err)
	}
}

// While an import has an upload, nobody takes it away.
func TestClaimedUploadStays(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	u := openUploads(t, t.TempDir(), func() time.Time { return now })
	up := begin(t, u, File{Path: "x", Size: 2})
	if _, _, err := u.Claim(up.ID); err == nil || !strings.Contains(err.Error(), "not complete") {
		t.Errorf("claiming one that is not complete: %v", err)
	}
	appendTo(t, u, up.ID, 0, 0, "ab")
	now = now.Add(6 * 24 * time.Hour)
	paths, release, err := u.Claim(up.ID)
	if err != nil || len(paths) != 1 {
		t.Fatalf("claiming: %v, %v", paths, err)
	}
	if got, _ := u.Upload(up.ID); got.Expires != now.Add(uploadLife) {
		t.Errorf("claimed, it expires %v, want %v", got.Expires, now.Add(uploadLife))
	}
	if _, _, err := u.Claim(up.ID); !errors.Is(err, imagestore.ErrBusy) {
		t.Errorf("claiming it again: %v, want ErrBusy", err)
	}
	if err := u.Discard(up.ID); !errors.Is(err, imagestore.ErrBusy) {
		t.Errorf("discarding it: %v, want ErrBusy", err)
	}
	now = now.Add(10 * 24 * time.Hour) // the import waits for its turn for days
	if err := u.Expire(); err != nil {
		t.Error(err)
	}
	if !exists(paths[0]) {
		t.Fatal("it expired while it was being taken in")
	}
	if err := release(false); err != nil {
		t.Error(err)
	}
	if err := u.Expire(); err != nil || !exists(paths[0]) {
		t.Errorf("given back, it expired at once: %v", err)
	}
	if _, release, err = u.Claim(up.ID); err != nil {
		t.Fatal(err)
	}
	if err := release(true); err != nil || exists(paths[0]) {
		t.Errorf("taken in, it is left: %v", err)
	}
	if _, _, err := u.Claim(up.ID); !errors.Is(err, ErrNoUpload) {
		t.Errorf("claiming what was taken in: %v", err)
	}
}

// Bytes that the disk may still lose complete no upload: the next start would cut them off a file that is an image by then.
func TestUploadIsCompleteWhenItIsOnTheDisk(t *testing.T) {
	t.Parallel()
	u := openUploads(t, t.TempDir(), time.Now)
	up := begin(t, u, File{Path: "x", Size: uploadBlock})
	sent, feed := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := u.Append(up.ID, 0, 0, sent); err != nil {
			t.Error(err)
		}
	})
	for _, block := range [][]byte{make([]byte, uploadBlock), nil} { // when nothing more is awaited, all has been written
		if _, err := feed.Write(block); err != nil {
			t.Fatal(err)
		}
	}
	got, err := u.Upload(up.ID)
	if err != nil || got.Files[0].Have != uploadBlock || got.Complete() {
		t.Errorf("before it is on the disk: %+v, complete %t, %v", got, got.Complete(), err)
	}
	if _, _, err := u.Claim(up.ID); err == nil {
		t.Error("it can be claimed before it is on the disk")
	}
	feed.Close()
	wg.Wait()
	if got, err := u.Upload(up.ID); err != nil || !got.Complete() {
		t.Errorf("afterwards: %+v, %v", got, err)
	}
}

// A manifest that says less than a file has does not cost an image that is the same file.
func TestStartDoesNotCutAnImage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	u := openUploads(t, filepath.Join(dir, "uploads"), time.Now)
	up := begin(t, u, File{Path: "x", Size: 10})
	file, image := filepath.Join(u.path(up.ID), dataDir, "x"), filepath.Join(dir, "x.img")
	write(t, file, []byte("0123456789"))
	if err := os.Link(file, image); err != nil {
		t.Fatal(err)
	}
	openUploads(t, filepath.Join(dir, "uploads"), time.Now)
	if got := read(t, image); string(got) != "0123456789" {
		t.Errorf("the image holds %q", got)
	}
}

// A name as long as names may be is no obstacle, and what a crash leaves beside it is removed.
func TestUploadWithALongName(t *testing.T) {
	t.Parallel()
	repo := openRepository(t)
	dir := filepath.Join(repo.Dir(), ".uploads")
	u := openUploads(t, dir, time.Now)
	image := smallImage(t, 1, format.Zstd)
	name := strings.Repeat("x", 251) + ".img"
	up := begin(t, u, File{Path: name, Size: int64(len(image))})
	appendTo(t, u, up.ID, 0, 0, string(image))
	paths, err := u.Paths(up.ID)
	if err != nil {
		t.Fatal(err)
	}
	take(t, examine(t, Options{Owned: true}, paths...), repo)
	if err := os.Link(paths[0], filepath.Join(filepath.Dir(paths[0]), secondName())); err != nil {
		t.Fatal(err)
	}
	openUploads(t, dir, time.Now)
	if left, _ := os.ReadDir(filepath.Dir(paths[0])); len(left) != 1 || left[0].Name() != name {
		t.Errorf("beside the uploaded file: %v", left)
	}
}

func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"id":"A","by":"x","files":[{"path":"a/b","size":3,"have":1}]}`))
	f.Add([]byte(`{"id":"A","files":[{"path":"../../etc","size":-1,"have":9}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		u := &Uploads{dir: t.TempDir()}
		if up, err := u.parseManifest("A", data); err == nil {
			t.Errorf("%s: taken without its files: %+v", data, up.state)
		}
	})
}
