package incorporation

import (
	"bytes"
	"context"
	"crypto/md5"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aula/imagestore/format"
	"aula/imagestore/format/formattest"
)

// smallImage is an image of a few blocks; different seeds make different ones.
func smallImage(t testing.TB, seed int, compressor string) []byte {
	t.Helper()
	plain := formattest.Partclone{Filesystem: "XFS", Blocks: 300 + seed, Used: func(i int) bool { return (i+seed)%3 > 0 }, Checksum: formattest.ChecksumCRC32}.Encode()
	var file bytes.Buffer
	w, err := format.NewWriter(&file, compressor, 0)
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

func md5Of(data []byte) string { return fmt.Sprintf("%x\n", md5.Sum(data)) }

// age sets the time of the last change of a file.
func age(t testing.TB, path string, days int) {
	t.Helper()
	when := time.Now().AddDate(0, 0, -days)
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
}

func TestOpenGnsysDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "images")
	for _, d := range []string{"", "north", "groups", "mount", "synced"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	old, now := smallImage(t, 1, format.Lzop), smallImage(t, 2, format.Lzop)
	large := append(smallImage(t, 3, format.None), nil...)
	write(t, file("win10.img"), now)
	write(t, file("win10.img.sum"), []byte(md5Of(now[max(0, len(now)-mib):]))) // the last MiB
	write(t, file("win10.img.full.sum"), []byte(strings.TrimSpace(md5Of(now))))
	write(t, file("win10.img.torrent"), []byte("d4:infoe"))
	write(t, file("win10.img.info"), []byte("PARTCLONE:LZOP:NTFS:72100000:pc-07\n"))
	write(t, file("win10.img.ant"), old)
	write(t, file("win10.img.sum.ant"), []byte(md5Of(old)))
	write(t, file("win7.img"), large)
	write(t, file("win7.img.sum"), []byte(md5Of(large))) // the whole file, as version 1.0.1 did
	write(t, file("north/win10.img"), smallImage(t, 4, format.Gzip))
	write(t, file("north/lab.pgz"), smallImage(t, 5, format.Gzip))
	write(t, file("base.img.diff"), smallImage(t, 6, format.Gzip))
	write(t, file("base.img"), read(t, makePartition(t, "ext4", 8*mib).path))
	write(t, file("base.img.info"), []byte("#RSYNC:NONE:EXT4:8192\n"))
	write(t, file("synced/ogimg.info"), []byte("#EXTFS:LZOP:8192\n"))
	write(t, file("readme"), []byte("not an image"))
	write(t, file("half.img"), now[:40])
	if err := os.Symlink("/etc/passwd", file("link.img")); err != nil {
		t.Fatal(err)
	}

	p := examine(t, Options{}, dir)
	for _, want := range []string{"link.img", "base.img is left out: it is a synchronised image", "synced is left out", "half.img is left out", "north-win10"} {
		wantWarning(t, p, want)
	}
	repo := openRepository(t)
	images := take(t, p, repo)
	var got []string
	for _, img := range images {
		got = append(got, fmt.Sprintf("%s/%d %s", img.Name, img.Revision, img.Source.System))
	}
	want := "win10/1 OpenGnsys, win10/2 OpenGnsys, win7/1 OpenGnsys, lab/1 lab.pgz, north-win10/1 win10.img"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %s\nwant %s", strings.Join(got, ", "), want)
	}
	for revision, data := range map[int][]byte{1: old, 2: now} {
		f, err := repo.OpenFile("win10", revision)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		taken := make([]byte, len(data)+1)
		if n, _ := f.ReadAt(taken, 0); !bytes.Equal(taken[:n], data) {
			t.Errorf("revision %d of win10 is not the file as it was", revision)
		}
	}
	if img, err := repo.Image("win10"); err != nil || img.Source.Computer != "pc-07" {
		t.Errorf("image %+v, %v, want the computer pc-07 of the file .info", img, err)
	}
}

func TestOpenGnsysSums(t *testing.T) {
	t.Parallel()
	image := smallImage(t, 1, format.None) // 800 KiB
	image = append(image[:0:0], smallImage(t, 200, format.None)...)
	other := md5Of([]byte("another file"))
	for name, test := range map[string]struct {
		sum, full string
		old       bool // the sums are older than the image
		want      string
		warning   string
	}{
		"both right":         {sum: md5Of(image[max(0, len(image)-mib):]), full: md5Of(image)},
		"old kind of sum":    {sum: md5Of(image)},
		"full sum wrong":     {full: other, want: "x.img is damaged: its MD5"},
		"sum wrong":          {sum: other, want: "x.img is damaged: its MD5"},
		"left behind":        {sum: other, full: other, old: true, warning: "older than x.img"},
		"no sum":             {sum: "hello", full: "", warning: "holds no sum"},
		"contradicting sums": {sum: other, full: md5Of(image), want: "contradict each other"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, filepath.Join(dir, "x.img"), image)
			age(t, filepath.Join(dir, "x.img"), 10)
			for suffix, sum := range map[string]string{".sum": test.sum, ".full.sum": test.full} {
				if sum == "" {
					continue
				}
				path := filepath.Join(dir, "x.img"+suffix)
				write(t, path, []byte(sum))
				if test.old {
					age(t, path, 20)
				}
			}
			p, err := Examine(t.Context(), []string{dir}, Options{})
			if err == nil {
				if test.warning != "" {
					wantWarning(t, p, test.warning)
				} else if len(p.Warnings) > 0 {
					t.Errorf("warnings %q", p.Warnings)
				}
				_, err = p.Run(t.Context(), openRepository(t), nil)
			}
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// One bad image of many does not keep the others out.
func TestOneDamagedImageOfSeveral(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	image := smallImage(t, 2000, format.Gzip) // larger than what is read in order to recognise it
	write(t, filepath.Join(dir, "a.img"), image[:len(image)-100])
	write(t, filepath.Join(dir, "b.img"), image)
	repo := openRepository(t)
	images, err := examine(t, Options{}, dir).Run(t.Context(), repo, nil)
	if len(images) != 1 || images[0].Name != "b" || err == nil || !strings.Contains(err.Error(), "a.img") {
		t.Errorf("got %+v, %v, want b and an error about a.img", images, err)
	}
}

func TestSeveralFilesAndVolumes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	image := smallImage(t, 1, format.Zstd)
	file := func(name string) string { return filepath.Join(dir, name) }
	write(t, file("win.img"), image)
	split(t, file("win.img"), "100k")
	write(t, file("mac.img"), smallImage(t, 2, format.Zstd))
	paths, err := filepath.Glob(file("*"))
	if err != nil || len(paths) < 4 {
		t.Fatalf("files %v, %v", paths, err)
	}
	slices.Reverse(paths)
	p := examine(t, Options{}, paths...)
	if len(p.Images) != 2 || p.Images[0].Name != "mac" || p.Images[1].Name != "win" || p.System != "file, volumes" {
		t.Fatalf("planned %+v (%s)", p.Images, p.System)
	}
	repo := openRepository(t)
	images := take(t, p, repo)
	if images[1].FileBytes != int64(len(image)) {
		t.Errorf("win has %d bytes, want %d", images[1].FileBytes, len(image))
	}
	refused(t, "win.img.ab is missing", file("win.img.aa"), file("win.img.ac"))
	refused(t, "win.img.ac lies beside win.img.ab", file("win.img.ab"), file("win.img.aa"))
	refused(t, "is named twice", file("mac.img"), file("mac.img"))
	if _, err := Examine(t.Context(), []string{file("mac.img"), dir}, Options{}); err == nil {
		t.Error("a file and a directory are taken together")
	}
	if _, err := Examine(t.Context(), []string{dir}, Options{Name: "one"}); err == nil || !strings.Contains(err.Error(), "holds 2 images") {
		t.Errorf("one name for two images: %v", err)
	}
	if _, err := Examine(t.Context(), []string{file("mac.img")}, Options{Name: "not good"}); err == nil || !strings.Contains(err.Error(), "not_good") {
		t.Errorf("a bad name: %v, want a suggestion", err)
	}
}

func TestPartimageVolumes(t *testing.T) {
	t.Parallel()
	part := makePartition(t, "vfat", 8*mib)
	overwriteNoise(t, part.path)
	for _, packing := range []string{"-z0", "-z1"} {
		t.Run(packing, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			tool(t, "", "partimage", "-M", "-f3", "-o", "-d", "-B", "gui=no", "-c", packing, "-V1", "save", loopOf(t, part.path), filepath.Join(dir, "aula"))
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) < 3 {
				t.Fatalf("partimage made %v, %v, want several volumes", entries, err)
			}
			var paths []string
			for _, e := range entries {
				paths = append([]string{filepath.Join(dir, e.Name())}, paths...) // in reverse
			}
			p := examine(t, Options{}, paths...)
			if p.System != "partimage volumes" || len(p.Images) != 1 || p.Images[0].Name != "aula" {
				t.Fatalf("plan %s: %+v", p.System, p.Images)
			}
			repo := openRepository(t)
			images := take(t, p, repo)
			if got := images[0].Info; got.Tool != format.Partimage || got.Compressor != format.Zstd || got.Filesystem != "FAT16" {
				t.Errorf("info %s, want partimage packed by zstd", got)
			}
			checkUsed(t, content(t, repo, images[0]), read(t, part.path))

			refused(t, "aula.001 lies beside aula.000", filepath.Join(dir, "aula.000"))
			away := t.TempDir()
			write(t, filepath.Join(away, "aula.img"), read(t, filepath.Join(dir, "aula.001")))
			refused(t, "it is volume 1 of a partimage image", filepath.Join(away, "aula.img"))
			write(t, filepath.Join(away, "aula.000"), read(t, filepath.Join(dir, "aula.000")))
			write(t, filepath.Join(away, "aula.001"), read(t, filepath.Join(dir, "aula.002")))
			refused(t, "volume 2 of its image", filepath.Join(away, "aula.000"), filepath.Join(away, "aula.001"))
			last := paths[0]
			if err := os.Remove(last); err != nil {
				t.Fatal(err)
			}
			_, err = examine(t, Options{}, paths[1:]...).Run(t.Context(), repo, nil)
			if err == nil || !strings.Contains(err.Error(), "volumes are missing") {
				t.Errorf("without the last volume: %v", err)
			}
		})
	}
}

func TestCancelLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "x.img"), smallImage(t, 1, format.Zstd))
	repo := openRepository(t)
	ctx, cancel := context.WithCancel(t.Context())
	images, err := examine(t, Options{}, dir).Run(ctx, repo, func(p Progress) {
		if p.Stage == "copying" {
			cancel()
		}
	})
	if err == nil || len(images) > 0 {
		t.Errorf("got %v, %v, want an error", images, err)
	}
	if left, err := repo.Images(); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

func TestFileThatChangesMeanwhile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.img")
	image := smallImage(t, 1, format.Zstd)
	write(t, path, image)
	p := examine(t, Options{}, path)
	write(t, path, image[:len(image)-1])
	if _, err := p.Run(t.Context(), openRepository(t), nil); err == nil || !strings.Contains(err.Error(), "has changed") {
		t.Errorf("got %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Run(t.Context(), openRepository(t), nil); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a pipe in its place: got %v", err)
	}
	refused(t, "not a regular file", path)
}

func TestOddDirectories(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	refused(t, "there is no image in it", dir)
	refused(t, "no such file", filepath.Join(dir, "nothing"))
	write(t, filepath.Join(dir, "a\nb"), nil)
	refused(t, "odd name", dir)
	text := filepath.Join(t.TempDir(), "text")
	write(t, text, bytes.Repeat([]byte("just text\n"), 10_000))
	refused(t, "not a disk image", text)
	write(t, text, nil)
	refused(t, "it is empty", text)
	if _, err := Examine(t.Context(), nil, Options{}); err == nil {
		t.Error("nothing is taken")
	}
}

// An upload is not copied, and stays whole until it is discarded, so that a failed import can be repeated.
func TestOwnedFilesAreLinked(t *testing.T) {
	t.Parallel()
	repo := openRepository(t)
	u, err := OpenUploads(filepath.Join(repo.Dir(), ".uploads"), plenty, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	image := smallImage(t, 1, format.Zstd)
	up := begin(t, u, File{Path: "x.img", Size: int64(len(image))})
	appendTo(t, u, up.ID, 0, 0, string(image))
	paths, err := u.Paths(up.ID)
	if err != nil {
		t.Fatal(err)
	}
	images := take(t, examine(t, Options{Owned: true}, paths...), repo)
	f, err := repo.OpenFile("x", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	taken, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	sent, err := os.Stat(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	if !os.SameFile(sent, taken) || images[0].FileBytes != int64(len(image)) {
		t.Error("the uploaded file was copied")
	}
	if left, _ := os.ReadDir(filepath.Dir(paths[0])); len(left) != 1 {
		t.Errorf("beside the uploaded file: %v", left)
	}
	if err := u.Discard(up.ID); err != nil {
		t.Fatal(err)
	}
	if got := content(t, repo, images[0]); len(got) == 0 {
		t.Error("the image went with the upload")
	}
}
