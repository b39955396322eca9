package imagestore

import (
	"bytes"
	"cmp"
	"crypto/md5"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/zeebo/blake3"
	"go.uber.org/goleak"

	"aula/imagestore/format"
	"aula/imagestore/format/formattest"
	"aula/imagestore/torrent/metainfo"
)

// Nothing that Publish starts may outlive it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// openRepository opens a repository that is closed when the test ends.
func openRepository(t testing.TB, dir string) *Repository {
	t.Helper()
	return openWith(t, dir, Options{})
}

// tracker is what the torrents of test repositories announce.
const tracker = "http://192.0.2.1:6969/announce"

// openWith is openRepository with options, in which what is zero is set as tests need it.
func openWith(t testing.TB, dir string, opt Options) *Repository {
	t.Helper()
	opt.Name, opt.Log = "main", slog.New(slog.NewTextHandler(t.Output(), nil))
	opt.Keep = cmp.Or(opt.Keep, 10)
	opt.Announce = cmp.Or(opt.Announce, tracker)
	r, err := Open(dir, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// imageFile makes a small image as an agent would send it; different seeds make different images.
func imageFile(t testing.TB, seed int) []byte {
	t.Helper()
	image := formattest.Partclone{
		Blocks: 280 + seed, Used: func(i int) bool { return (i+seed)%5 != 0 }, Checksum: formattest.ChecksumCRC32,
	}
	return pack(t, image.Encode())
}

func pack(t testing.TB, plain []byte) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := format.NewFrameWriter(&file, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

func digest(file []byte) string {
	sum := blake3.Sum256(file)
	return hex.EncodeToString(sum[:])
}

// md5Of is an MD5 as the sums have it.
func md5Of(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:])
}

// stageFile stages a whole file.
func stageFile(t testing.TB, r *Repository, name string, file []byte) *Staging {
	t.Helper()
	s, err := r.Stage(name, Source{Computer: "pc-07", Disk: 1, Partition: 2, SectorSize: 512})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(s, struct{ io.Reader }{bytes.NewReader(file)}); err != nil || n != int64(len(file)) {
		t.Fatalf("staging: %d of %d bytes, %v", n, len(file), err)
	}
	return s
}

// publishFile publishes a file with a layout.
func publishFile(t testing.TB, r *Repository, name string, file []byte) Image {
	t.Helper()
	s := stageFile(t, r, name, file)
	if err := s.SetLayout([]byte(`{"version":1}`)); err != nil {
		t.Fatal(err)
	}
	img, err := s.Publish(t.Context(), digest(file), nil)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// checkImage makes sure that an image is whole: its file, what its record says, all its sidecars, and the links.
func checkImage(t testing.TB, r *Repository, name string, revision int, file []byte) {
	t.Helper()
	img, err := r.Image(name)
	if err != nil {
		t.Error(err)
		return
	}
	if img.Name != name || img.Revision != revision {
		t.Errorf("current image is revision %d of %s, want %d of %s", img.Revision, img.Name, revision, name)
		return
	}
	if img.MD5 != md5Of(file) || img.Blake3 != digest(file) || img.FileBytes != int64(len(file)) {
		t.Errorf("record of %s says %d bytes, MD5 %s, BLAKE3 %s", name, img.FileBytes, img.MD5, img.Blake3)
	}
	f, err := r.OpenFile(name, revision)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, file) {
		t.Errorf("file of %s has %d bytes, %v, want the %d that were staged", name, len(got), err, len(file))
	}
	checkChunks(t, r, img)
	if _, err := r.Layout(name, revision); img.HasLayout != (err == nil) {
		t.Errorf("layout of %s: %v, record says %t", name, err, img.HasLayout)
	}
	for suffix, want := range map[string][]byte{
		imageSuffix:   file,
		sumSuffix:     []byte(md5Of(file[max(0, len(file)-1<<20):]) + "\n"),
		fullSumSuffix: []byte(img.MD5 + "\n"),
		infoSuffix:    []byte(img.Info.String() + ":" + img.Source.Computer + "\n"),
		torrentSuffix: torrentOf(t, img, file, 0),
	} {
		if got, err := os.ReadFile(filepath.Join(r.Dir(), name+suffix)); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s has %d bytes, %v, want %d", name+suffix, len(got), err, len(want))
		}
	}
	for _, suffix := range append(sidecarSuffixes(), imageSuffix) {
		linked := r.folder.same(name+suffix, revisionFile(name, revision, suffix))
		if want := suffix != layoutSuffix || img.HasLayout; linked != want {
			t.Errorf("%s is a link to the current revision: %t, want %t", name+suffix, linked, want)
		}
	}
}

// torrentOf is the .torrent of an image with pieces of that many bytes, or with 0 as a new image gets it.
func torrentOf(t testing.TB, img Image, file []byte, pieceLength int64) []byte {
	t.Helper()
	if pieceLength == 0 {
		pieceLength = metainfo.PieceLengthFor(int64(len(file)))
	}
	var sums []byte
	for piece := range slices.Chunk(file, int(pieceLength)) {
		sum := sha1.Sum(piece)
		sums = append(sums, sum[:]...)
	}
	tor, err := img.torrent(pieceHashes{pieceLength, sums}, tracker)
	if err != nil {
		t.Fatal(err)
	}
	return tor.Encode()
}

func checkChunks(t testing.TB, r *Repository, img Image) {
	t.Helper()
	f, err := r.OpenChunks(img.Name, img.Revision)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	x, err := format.ReadIndex(f)
	if err != nil {
		t.Error(err)
		return
	}
	if x.Info != img.Info || x.UsedBytes() != img.Info.UsedBytes {
		t.Errorf("chunk index is of %s with %d used bytes, record says %s with %d", x.Info, x.UsedBytes(), img.Info, img.Info.UsedBytes)
	}
}

// checkClean makes sure that a folder holds nothing but the named images and what belongs to every repository.
func checkClean(t testing.TB, r *Repository, names ...string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(r.Dir(), stagingDir))
	if err != nil || len(entries) > 0 {
		t.Errorf("staging holds %v, %v, want nothing", entries, err)
	}
	entries, err = os.ReadDir(r.Dir())
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		name, _, _ := strings.Cut(e.Name(), ".img")
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(names, name) {
			t.Errorf("%s is in the repository", e.Name())
		}
	}
	images, err := r.Images()
	if err != nil || len(images) != len(names) {
		t.Errorf("images = %v, %v, want %v", images, err, names)
	}
}

// copyTree copies a folder with its hard links. keep says whether the content of a file has reached the disk;
// else the copy is empty.
func copyTree(t testing.TB, from, to string, keep func(fs.FileInfo) bool) {
	t.Helper()
	type twin struct {
		info fs.FileInfo
		path string
	}
	var seen []twin
	err := filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if e.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		for _, s := range seen {
			if os.SameFile(s.info, info) {
				return os.Link(s.path, target)
			}
		}
		seen = append(seen, twin{info, target})
		data, err := os.ReadFile(path)
		if !keep(info) {
			data = nil
		}
		return errors.Join(err, os.WriteFile(target, data, 0o600), os.Chtimes(target, time.Time{}, info.ModTime()))
	})
	if err != nil {
		t.Fatal(err)
	}
}
