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

func TestTorrent(t *testing.T) {
	t.Parallel()
	tor := torrent{announce: tracker, comment: "0123456789abcdef0123456789abcdef", name: "lab.img", length: pieceLen + 1, pieces: bytes.Repeat([]byte{'x'}, 40)}
	want := "d8:announce30:" + tracker + "7:comment32:0123456789abcdef0123456789abcdef10:created by4:Aula4:info" +
		"d6:lengthi4194305e4:name7:lab.img12:piece lengthi4194304e6:pieces40:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx7:privatei1eee"
	data := tor.encode()
	if string(data) != want {
		t.Errorf("got  %q\nwant %q", data, want)
	}
	got, err := parseTorrent(data)
	if err != nil || !bytes.Equal(got.encode(), data) {
		t.Errorf("parsed to %+v, %v", got, err)
	}
	for i := range data {
		if _, err := parseTorrent(data[:i]); err == nil {
			t.Fatalf("cut after %d bytes: no error", i)
		}
	}
	for _, bad := range []string{
		strings.Replace(want, "i4194305e", "i4194304e", 1), // one piece too many
		strings.Replace(want, "i4194305e", "i-1e", 1),
		strings.Replace(want, "i4194305e", "i04194305e", 1),
		strings.Replace(want, "i4194305e", "i99999999999999999999e", 1),
		strings.Replace(want, "40:x", "99999999999:x", 1),
		strings.Replace(want, "i1eee", "i0eee", 1),
		want + "x",
	} {
		if _, err := parseTorrent([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestPieceHash(t *testing.T) {
	t.Parallel()
	for _, size := range []int{0, 1, pieceLen - 1, pieceLen, pieceLen + 1, 3*pieceLen + 5} {
		data := make([]byte, size)
		for i := range data {
			data[i] = byte(i * i >> 3)
		}
		h := newPieceHash()
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 1000003)
			h.Write(rest[:n])
			rest = rest[n:]
		}
		if got := h.Sum(nil); !bytes.Equal(got, pieceSums(data)) {
			t.Errorf("%d bytes: %x, want %x", size, got, pieceSums(data))
		}
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
		{[]string{"aria2c", "-S", path}, []string{"lab.img", img.MD5, "4.0MiB", tracker}},
		{[]string{"transmission-show", path}, []string{"lab.img", img.MD5, "4.00 MiB", tracker, "Private torrent"}},
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
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, img.torrent(pieceSums(file), tracker).encode()) {
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

func FuzzParseTorrent(f *testing.F) {
	f.Add(torrent{comment: "c", name: "lab.img", length: 1, pieces: make([]byte, 20)}.encode())
	f.Add(torrent{announce: tracker, comment: "c", name: "lab.img"}.encode())
	f.Add([]byte("d7:comment99999999999999999:"))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseTorrent(data)
		if err == nil && !bytes.Equal(got.encode(), data) {
			t.Errorf("%q is taken for %+v", data, got)
		}
	})
}
