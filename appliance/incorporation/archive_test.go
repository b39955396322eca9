package incorporation

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aula/imagestore/format"
)

func TestArchivesOfAnImageDirectory(t *testing.T) {
	t.Parallel()
	dir := smallFOG(t)
	parent, name := filepath.Split(dir)
	for archive, args := range map[string][]string{
		"plain.tar":     {"-cf"},
		"packed.tar.gz": {"-czf"},
		"packed.tzst":   {"--zstd", "-cf"},
	} {
		t.Run(archive, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), archive)
			tool(t, "", "tar", append(args, path, "-C", parent, "./"+name)...)
			p := examine(t, Options{}, path)
			if p.System != "archive" || len(p.Images) != 1 {
				t.Fatalf("plan %s: %+v", p.System, p.Images)
			}
			repo := openRepository(t)
			images := take(t, p, repo)
			if len(images) != 2 || images[0].Name != "Aula_3_Linux-p1" || images[0].Source.System != "FOG" {
				t.Fatalf("got %+v", images)
			}
			if want := int64(len(read(t, filepath.Join(dir, "d1p5.img")))); images[1].FileBytes != want || !images[1].HasLayout {
				t.Errorf("partition 5: %+v, want %d bytes and a layout", images[1], want)
			}
			if left, _ := os.ReadDir(filepath.Join(repo.Dir(), unpackingDir)); len(left) > 0 {
				t.Errorf("left of the archive: %v", left)
			}
		})
	}
}

// The files may lie at the top of the archive; then the archive's name is that of the set.
func TestArchiveWithoutAFolder(t *testing.T) {
	t.Parallel()
	dir := smallFOG(t)
	path := filepath.Join(t.TempDir(), "lab 7.tar")
	tool(t, "", "tar", "-cf", path, "-C", dir, ".")
	var warned []string
	repo := openRepository(t)
	write(t, filepath.Join(dir, "d1p9.lvm"), nil)
	images, err := examine(t, Options{}, path).Run(t.Context(), repo, func(p Progress) { warned = append(warned, p.Warnings...) })
	if err != nil || len(images) != 2 || images[0].Name != "lab_7-p1" {
		t.Errorf("got %+v, %v, want lab_7-p1 and -p5", images, err)
	}
	split(t, path, "1M")
	parts, err := filepath.Glob(path + ".*")
	if err != nil {
		t.Fatal(err)
	}
	images = take(t, examine(t, Options{Name: "other"}, parts...), repo)
	if len(images) != 2 || images[0].Name != "other-p1" {
		t.Errorf("split archive: got %+v", images)
	}
	if len(warned) > 0 {
		t.Errorf("warnings %q", warned)
	}
}

// tarOf makes an archive of headers; files hold an image.
func tarOf(t testing.TB, headers ...tar.Header) string {
	t.Helper()
	image := smallImage(t, 1, format.Zstd)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		h.Mode = 0o644
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(image))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write(image); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.tar")
	write(t, path, b.Bytes())
	return path
}

func TestHostileArchives(t *testing.T) {
	t.Parallel()
	file := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg} }
	for name, test := range map[string]struct {
		headers []tar.Header
		want    string
	}{
		"traversal":           {[]tar.Header{file("../../etc/cron.d/x.img")}, "leads out of the archive"},
		"hidden traversal":    {[]tar.Header{file("a/../../x.img")}, "leads out of the archive"},
		"absolute":            {[]tar.Header{file("/etc/x.img")}, "leads out of the archive"},
		"symbolic link":       {[]tar.Header{{Name: "d1p1.img", Typeflag: tar.TypeSymlink, Linkname: "/etc/shadow"}}, "is a link"},
		"hard link":           {[]tar.Header{file("a.img"), {Name: "d1p1.img", Typeflag: tar.TypeLink, Linkname: "/etc/shadow"}}, "is a link"},
		"device":              {[]tar.Header{{Name: "sda", Typeflag: tar.TypeBlock, Devmajor: 8}}, "a device"},
		"pipe":                {[]tar.Header{{Name: "p", Typeflag: tar.TypeFifo}}, "a device"},
		"twice":               {[]tar.Header{file("a/x.img"), file("a/x.img")}, "is in it twice"},
		"several directories": {[]tar.Header{file("a/x.img"), file("b/x.img")}, "several directories"},
		"control character":   {[]tar.Header{file("a\nb.img")}, "too odd"},
		"backslash":           {[]tar.Header{file(`a\b.img`)}, "too odd"},
		"deep":                {[]tar.Header{file(strings.Repeat("a/", 30) + "x.img")}, "too odd"},
		"nothing":             {[]tar.Header{{Name: "a/", Typeflag: tar.TypeDir}}, "holds no files"},
		"only hidden files":   {[]tar.Header{file("a/.DS_Store")}, "holds no files"},
		"no image":            {[]tar.Header{file("a/readme")}, "there is no image"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			repo := openRepository(t)
			images, err := examine(t, Options{}, tarOf(t, test.headers...)).Run(t.Context(), repo, nil)
			if err == nil || len(images) > 0 || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, %v, want an error with %q", images, err, test.want)
			}
			if left, _ := os.ReadDir(filepath.Join(repo.Dir(), unpackingDir)); len(left) > 0 {
				t.Errorf("left of the archive: %v", left)
			}
		})
	}
}

// An entry that claims more than the volume has is refused before anything is written, and so is a file with holes.
func TestArchiveThatClaimsTooMuch(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "d1p1.img", Typeflag: tar.TypeReg, Size: 16 << 40, Format: tar.FormatGNU}); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "x.tar")
	write(t, path, append(b.Bytes(), make([]byte, 4096)...))
	if _, err := examine(t, Options{}, path).Run(t.Context(), openRepository(t), nil); err == nil || !strings.Contains(err.Error(), "there is room for") {
		t.Errorf("got %v", err)
	}
	dir := t.TempDir()
	sparse := filepath.Join(dir, "d1p1.img")
	write(t, sparse, nil)
	if err := os.Truncate(sparse, 1<<30); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"gnu", "posix"} {
		path := filepath.Join(t.TempDir(), "sparse.tar")
		tool(t, "", "tar", "--sparse", "--format="+kind, "-cf", path, "-C", dir, "d1p1.img")
		if _, err := examine(t, Options{}, path).Run(t.Context(), openRepository(t), nil); err == nil {
			t.Errorf("%s: a file of 1 GiB of holes is taken", kind)
		}
	}
}

func TestScratchOfACrashIsRemoved(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := Clean(dir); err != nil {
		t.Errorf("a repository into which nothing was unpacked: %v", err)
	}
	parent := filepath.Join(dir, unpackingDir)
	busy, err := makeScratch(parent)
	if err != nil {
		t.Fatal(err)
	}
	defer busy.remove()
	left := filepath.Join(parent, "LEFT")
	if err := os.MkdirAll(filepath.Join(left, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Clean(dir); err != nil {
		t.Fatal(err)
	}
	if exists(left) || !exists(busy.dir) {
		t.Error("only the folder that is in use must be left")
	}
}

// What is wrong with a file of an archive is told without the folder into which it was unpacked, and callers can still branch on it.
func TestErrorWithinAnArchive(t *testing.T) {
	t.Parallel()
	err := error(within{fmt.Errorf("/srv/.unpacking/X/win/d1p1.img: %w", format.ErrUnsupported), "/srv/.unpacking/X"})
	if !errors.Is(err, format.ErrUnsupported) || err.Error() != "win/d1p1.img: "+format.ErrUnsupported.Error() {
		t.Errorf("got %v", err)
	}
}

// FuzzUnpack unpacks any bytes: nothing appears outside of the folder.
func FuzzUnpack(f *testing.F) {
	f.Add(read(f, tarOf(f, tar.Header{Name: "a/x.img", Typeflag: tar.TypeReg}, tar.Header{Name: "../x", Typeflag: tar.TypeReg}))[:3000])
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	tw := tar.NewWriter(z)
	if err := tw.WriteHeader(&tar.Header{Name: "d/l", Typeflag: tar.TypeSymlink, Linkname: "/etc"}); err != nil {
		f.Fatal(err)
	}
	tw.Close()
	z.Close()
	f.Add(packed.Bytes())
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		inside := filepath.Join(dir, "inside")
		if err := os.Mkdir(inside, 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "x.tar"), data)
		p := piece{dir: dir, name: "x.tar", size: int64(len(data))}
		src := source{volumes: volumes{"x.tar", []piece{p}}}
		_, _ = unpack(t.Context(), src, inside, 1<<20, nil)
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) != 2 {
			t.Errorf("outside of the folder: %v, %v", entries, err)
		}
	})
}
