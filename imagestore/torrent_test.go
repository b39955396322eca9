package imagestore

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadTorrent refuses torrents that are not what this program writes of the image.
func TestReadTorrent(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	file := imageFile(t, 1)
	img := publishFile(t, r, "lab", file)
	good := string(torrentOf(t, img, file, 0))
	tests := []struct {
		what, from, to string
		ours           bool
	}{
		{"as it was written", "", "", true},
		{"no tracker", "8:announce30:" + tracker, "", true},
		{"another tracker", "192.0.2.1", "192.0.2.9", true},
		{"made by another program", "4:Aula", "4:Alua", false},
		{"other MD5", img.MD5, strings.Repeat("0", 32), false},
		{"other name", "7:lab.img", "7:lob.img", false},
		{"not private", "7:privatei1e", "", false},
		{"explicitly not private", "7:privatei1e", "7:privatei0e", false},
		{"a key that we do not write", "7:privatei1e", "7:privatei1e6:source1:x", false},
		{"no sums", "6:pieces", "6:peaces", false},
		{"bytes behind it", "i1eee", "i1eeex", false},
	}
	for _, test := range tests {
		data := strings.Replace(good, test.from, test.to, 1)
		if (data == good) != (test.from == "") {
			t.Fatalf("%s: the torrent has no %q", test.what, test.from)
		}
		rewrite(t, filepath.Join(r.Dir(), "lab.img.torrent"), []byte(data))
		got, err := r.readTorrent(img)
		if test.ours && (err != nil || string(got.Encode()) != data) || !test.ours && !errors.Is(err, errForeignTorrent) {
			t.Errorf("%s: %+v, %v", test.what, got, err)
		}
	}
}

// TestTorrentOfOtherRule leaves torrents as they are whose pieces have another length than new ones get: they were made by an older version, and PCs
// may be fetching by them.
func TestTorrentOfOtherRule(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := openRepository(t, dir)
	file := imageFile(t, 1)
	img := publishFile(t, r, "lab", file)
	path := filepath.Join(dir, "lab.img.torrent")
	old := torrentOf(t, img, file, 4<<20)
	if bytes.Equal(old, torrentOf(t, img, file, 0)) {
		t.Fatal("the rule is the same for this file")
	}
	rewrite(t, path, old)
	verify := func(what string, want []byte) {
		t.Helper()
		if err := r.Verify(t.Context(), "lab", 1, nil); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: another torrent, %v", what, err)
		}
	}
	verify("as it was", old)
	rewrite(t, filepath.Join(dir, "lab.img.sum"), []byte("something else"))
	verify("another sidecar is made anew, and all with it", old)
	opt := r.Options()
	opt.Announce = "http://192.0.2.9:6969/announce"
	r.SetOptions(opt)
	r.announce()
	moved := bytes.Replace(old, []byte("192.0.2.1"), []byte("192.0.2.9"), 1)
	verify("another tracker", moved)
	wrong := bytes.Clone(file)
	wrong[0] ^= 1
	rewrite(t, path, torrentOf(t, img, wrong, 4<<20))
	verify("wrong sums", moved)
}

// TestNoTracker leaves out what no client could ask.
func TestNoTracker(t *testing.T) {
	t.Parallel()
	r := openWith(t, t.TempDir(), Options{Announce: "not a tracker"})
	img := publishFile(t, r, "lab", imageFile(t, 1))
	for range 2 {
		if got, err := r.readTorrent(img); err != nil || len(got.Announce) != 0 {
			t.Fatalf("%+v, %v", got, err)
		}
		r.announce()
	}
}

// TestTorrentClients has other programs read what we write.
func TestTorrentClients(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	file := imageFile(t, 1)
	img := publishFile(t, r, "lab", file)
	path := filepath.Join(r.Dir(), "lab.img.torrent")
	tests := []struct {
		argv []string
		want []string
	}{
		{[]string{"aria2c", "-S", path}, []string{"lab.img", img.MD5, "256KiB", tracker}},
		{[]string{"transmission-show", path}, []string{"lab.img", img.MD5, "256.0 KiB", tracker, "Private torrent"}},
	}
	for _, test := range tests {
		t.Run(test.argv[0], func(t *testing.T) {
			if _, err := exec.LookPath(test.argv[0]); err != nil {
				t.Skipf("SKIPPED: %s is not installed", test.argv[0])
			}
			out, err := exec.CommandContext(t.Context(), test.argv[0], test.argv[1:]...).CombinedOutput()
			for _, want := range test.want {
				if err != nil || !strings.Contains(string(out), want) {
					t.Errorf("%v, want %q in\n%s", err, want, out)
				}
			}
		})
	}
}

// TestOpenTorrent opens the torrent of a revision that may be used.
func TestOpenTorrent(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	file := imageFile(t, 1)
	img := publishFile(t, r, "lab", file)
	f, err := r.OpenTorrent("lab", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, torrentOf(t, img, file, 0)) {
		t.Errorf("torrent of %d bytes, %v", len(got), err)
	}
	if _, err := r.OpenTorrent("lab", 2); !errors.Is(err, ErrNotFound) {
		t.Errorf("revision that is not there: %v", err)
	}
	flip(t, r, "lab", 1)
	if err := r.Verify(t.Context(), "lab", 1, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("a bit differs: %v", err)
	}
	if _, err := r.OpenTorrent("lab", 1); !errors.Is(err, ErrDamaged) {
		t.Errorf("damaged revision: %v", err)
	}
}

// TestAria2Checks has aria2 check the file against the torrent, which is what every client does before it seeds.
func TestAria2Checks(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("aria2c"); err != nil {
		t.Skip("SKIPPED: aria2c is not installed")
	}
	r := openRepository(t, t.TempDir())
	publishFile(t, r, "lab", imageFile(t, 1))
	dir := t.TempDir()
	check := func() (string, error) {
		out, err := exec.CommandContext(t.Context(), "aria2c", "--check-integrity=true", "--hash-check-only=true", "--seed-time=0",
			"--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false", "--bt-tracker-connect-timeout=1", "--bt-stop-timeout=1",
			"--listen-port=6881-6999", "--dir="+dir, filepath.Join(r.Dir(), "lab.img.torrent")).CombinedOutput()
		return string(out), err
	}
	file := imageFile(t, 1)
	if err := os.WriteFile(filepath.Join(dir, "lab.img"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := check(); err != nil || !strings.Contains(out, "Verification finished successfully") {
		t.Errorf("good file: %v\n%s", err, out)
	}
	file[len(file)/2] ^= 1
	if err := os.WriteFile(filepath.Join(dir, "lab.img"), file, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := check()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || !strings.Contains(out, "Checksum error detected") {
		t.Errorf("file in which a bit differs: %v\n%s", err, out)
	}
}
