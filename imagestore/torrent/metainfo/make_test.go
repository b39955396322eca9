package metainfo

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestPieceLengthFor(t *testing.T) {
	t.Parallel()
	tests := []struct{ size, want int64 }{
		{1, 256 << 10}, {256 << 20, 256 << 10}, {512<<20 - 1, 256 << 10}, {512 << 20, 512 << 10}, {1 << 30, 1 << 20}, {2 << 30, 2 << 20},
		{4<<30 - 1, 2 << 20}, {4 << 30, 4 << 20}, {100 << 30, 4 << 20}, {4 << 40, 4 << 20}, {4<<40 + 1, 8 << 20}, {1 << 50, 64 << 20},
	}
	for _, test := range tests {
		if got := PieceLengthFor(test.size); got != test.want {
			t.Errorf("%d bytes: pieces of %d, want %d", test.size, got, test.want)
		}
	}
}

// content returns bytes that are the same every time.
func content(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// plainSums makes the sums in the plainest way.
func plainSums(data []byte, length int) (sums []byte) {
	for len(data) > 0 {
		n := min(len(data), length)
		sum := sha1.Sum(data[:n])
		sums = append(sums, sum[:]...)
		data = data[n:]
	}
	return sums
}

func TestHasher(t *testing.T) {
	t.Parallel()
	const length = 48 << 10
	for _, size := range []int{0, 1, length - 1, length, length + 1, 7*length + 5} {
		data := content(size)
		h := NewHasher(length)
		for rest := data; len(rest) > 0; {
			n := min(len(rest), 10007)
			h.Write(rest[:n])
			rest = rest[n:]
			if done := size - len(rest); !bytes.Equal(h.Pieces(), plainSums(data[:done], length)) {
				t.Fatalf("%d of %d bytes: other sums", done, size)
			}
		}
		if got := h.Pieces(); !bytes.Equal(got, plainSums(data, length)) {
			t.Errorf("%d bytes: %x", size, got)
		}
	}
}

func TestMake(t *testing.T) {
	t.Parallel()
	for _, length := range []int{0, 16 << 10, 48 << 10, 4 << 20} {
		for _, size := range []int{1, 16 << 10, 5<<20 + 3} {
			data := content(size)
			var last, total int64
			got, err := Make(t.Context(), bytes.NewReader(data), "lab.img", int64(size), int64(length), func(d, t int64) {
				if d <= last {
					last = -1 << 40
				}
				last, total = d, t
			})
			if err != nil {
				t.Fatalf("%d bytes in pieces of %d: %v", size, length, err)
			}
			if last != int64(size) || total != int64(size) {
				t.Errorf("progress ended at %d of %d", last, total)
			}
			if !got.Private || got.Name != "lab.img" || got.Length != int64(size) || !bytes.Equal(got.Pieces, plainSums(data, int(got.PieceLength))) {
				t.Errorf("%d bytes in pieces of %d: %+v", size, length, got)
			}
			again, err := Parse(got.Encode())
			if err != nil || again.Hash != got.Hash || !again.Private {
				t.Errorf("%d bytes in pieces of %d: read again %+v %v", size, length, again, err)
			}
		}
	}
}

// brokenDisk cannot be read from some byte on.
type brokenDisk struct {
	*bytes.Reader
	at int64
}

var errDisk = errors.New("input/output error")

func (b brokenDisk) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.at {
		return 0, errDisk
	}
	return b.Reader.ReadAt(p, off)
}

func TestMakeFails(t *testing.T) {
	t.Parallel()
	data := bytes.NewReader(content(3 << 20))
	if _, err := Make(t.Context(), data, "lab.img", 3<<20+1, 0, nil); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("file is shorter: %v", err)
	}
	if _, err := Make(t.Context(), brokenDisk{data, 2 << 20}, "lab.img", 3<<20, 0, nil); !errors.Is(err, errDisk) {
		t.Errorf("disk is broken: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Make(ctx, data, "lab.img", 3<<20, 0, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for _, bad := range []struct {
		name         string
		size, pieces int64
	}{{"lab.img", 0, 0}, {"lab.img", -1, 0}, {"lab.img", 1, -1}, {"lab.img", 1, 5}, {"../lab.img", 1, 0}, {"lab.img", 1 << 60, 16 << 10}} {
		if _, err := Make(t.Context(), data, bad.name, bad.size, bad.pieces, nil); err == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
	if _, err := MakeFile(t.Context(), t.TempDir(), nil); err == nil || !strings.Contains(err.Error(), "no ordinary file") {
		t.Errorf("folder: %v", err)
	}
}

// TestEncode is the .torrent of an image, byte by byte.
func TestEncode(t *testing.T) {
	t.Parallel()
	tor, err := New("lab.img", 4<<20+1, 4<<20, bytes.Repeat([]byte{'x'}, 40))
	if err != nil {
		t.Fatal(err)
	}
	tor.Announce, tor.Comment = []string{announceURL}, "0123456789abcdef0123456789abcdef"
	const info = "4:infod6:lengthi4194305e4:name7:lab.img12:piece lengthi4194304e6:pieces40:xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx7:privatei1eee"
	want := "d8:announce30:" + announceURL + "7:comment32:0123456789abcdef0123456789abcdef10:created by4:Aula" + info
	if got := string(tor.Encode()); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	tor.Announce, tor.Comment = []string{"http://a/x", "udp://b:1"}, ""
	want = "d8:announce10:http://a/x13:announce-listll10:http://a/xel9:udp://b:1ee10:created by4:Aula" + info
	if got := string(tor.Encode()); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	tor.info = nil // as of one whose fields were set one by one
	if got := string(tor.Encode()); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// show returns what another program says of a torrent.
func show(t *testing.T, argv ...string) string {
	t.Helper()
	if _, err := exec.LookPath(argv[0]); err != nil {
		t.Skipf("SKIPPED: %s is not installed", argv[0])
	}
	out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", argv[0], err, out)
	}
	return string(out)
}

var shownHash = regexp.MustCompile(`Hash(?: v1)?: ([0-9a-f]{40})`)

// TestTransmissionMakes reads what transmission-create makes, and agrees with transmission on the info-hash.
func TestTransmissionMakes(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("transmission-create"); err != nil {
		t.Skip("SKIPPED: transmission-create is not installed")
	}
	dir := t.TempDir()
	data := content(5<<20 + 3)
	file, path := filepath.Join(dir, "lab.img"), filepath.Join(dir, "lab.torrent")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "transmission-create", "-p", "-o", path, "-s", "64", "-c", "by another", "-t", announceURL,
		"-t", "udp://192.0.2.2:6969", file).CombinedOutput()
	if err != nil {
		t.Fatalf("transmission-create: %v\n%s", err, out)
	}
	theirs, err := ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(theirs.Pieces, plainSums(data, 64<<10)) || !theirs.Private || len(theirs.Announce) != 2 || theirs.Comment != "by another" {
		t.Errorf("read as %+v", theirs)
	}
	if shown := shownHash.FindStringSubmatch(show(t, "transmission-show", path)); shown == nil || shown[1] != theirs.Hash.String() {
		t.Errorf("info-hash %s, transmission says %v", theirs.Hash, shown)
	}
	ours, err := Make(t.Context(), bytes.NewReader(data), "lab.img", int64(len(data)), 64<<10, nil)
	if err != nil || ours.Hash != theirs.Hash {
		t.Errorf("made here it has info-hash %v, made by transmission %s (%v)", ours, theirs.Hash, err)
	}
}

// TestOthersRead has transmission and aria2 read what we make.
func TestOthersRead(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "Física 3.img")
	if err := os.WriteFile(file, content(5<<20+3), 0o600); err != nil {
		t.Fatal(err)
	}
	tor, err := MakeFile(t.Context(), file, nil)
	if err != nil {
		t.Fatal(err)
	}
	tor.Announce, tor.Comment = []string{announceURL, "udp://192.0.2.2:6969"}, "0123456789abcdef0123456789abcdef"
	path := file + ".torrent"
	if err := os.WriteFile(path, tor.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, argv := range [][]string{{"transmission-show", path}, {"aria2c", "-S", path}} {
		t.Run(argv[0], func(t *testing.T) {
			out := show(t, argv...)
			for _, want := range []string{"Física 3.img", tor.Hash.String(), announceURL, "udp://192.0.2.2:6969", tor.Comment} {
				if !strings.Contains(out, want) {
					t.Errorf("it does not say %q:\n%s", want, out)
				}
			}
		})
	}
}

func BenchmarkMake(b *testing.B) {
	data := content(64 << 20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		if _, err := Make(b.Context(), bytes.NewReader(data), "lab.img", int64(len(data)), 0, nil); err != nil {
			b.Fatal(err)
		}
	}
}
