package cache

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

const mib = 1 << 20

// file returns the bytes of an image's file, the same for the same seed.
func file(seed uint64, size int) []byte {
	data := make([]byte, size)
	rng := rand.New(rand.NewPCG(seed, 6))
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	return data
}

// imageOf names the image of these bytes.
func imageOf(name string, revision int, data []byte) protocol.Image {
	sum := blake3.Sum256(data)
	return protocol.Image{Repository: "main", Name: name, Revision: revision, Digest: hex.EncodeToString(sum[:]), FileBytes: int64(len(data))}
}

// bare is an Open of a folder that is no mount, which is enough for all that concerns files.
func bare(t *testing.T, dir string) *Open {
	t.Helper()
	o := &Open{cache: New(disk.System{}, dir, slog.New(slog.DiscardHandler)), shelf: shelf{dir: filepath.Join(dir, imagesFolder)}, partition: 1 << 40}
	if err := o.shelf.make(); err != nil {
		t.Fatal(err)
	}
	return o
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func reserve(t *testing.T, o *Open, image protocol.Image) string {
	t.Helper()
	path, note, err := o.Reserve(image)
	if err != nil || note != "" {
		t.Fatalf("Reserve of %s: note %q, error %v", image.Name, note, err)
	}
	return path
}

// keep brings an image into the cache.
func keep(t *testing.T, o *Open, image protocol.Image, data []byte) string {
	t.Helper()
	write(t, reserve(t, o, image), data)
	path, err := o.Keep(t.Context(), image, nil)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// wantFailure fails the test unless err is a Failure of that code that says the words.
func wantFailure(t *testing.T, err error, code int, words ...string) {
	t.Helper()
	var f *protocol.Failure
	if !errors.As(err, &f) {
		t.Fatalf("got error %v, want a *protocol.Failure", err)
	}
	if f.Code != code {
		t.Errorf("got code %d (%v), want %d", f.Code, f, code)
	}
	for _, w := range words {
		if !strings.Contains(f.Error(), w) {
			t.Errorf("got %q, want it to say %q", f.Error(), w)
		}
	}
}

// names lists the folder.
func names(t *testing.T, o *Open) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(o.shelf.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

func md5Line(data []byte) string {
	sum := md5.Sum(data)
	return hex.EncodeToString(sum[:]) + "\n"
}

func listed(t *testing.T, o *Open) []protocol.CachedImage {
	t.Helper()
	list, err := o.shelf.list()
	if err != nil {
		t.Fatal(err)
	}
	for i := range list {
		if list[i].Bytes <= 0 {
			t.Errorf("%s takes %d bytes", list[i].Name, list[i].Bytes)
		}
		list[i].Bytes = 0
	}
	return list
}

func TestKeep(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int{"large": 5*mib + 333, "one MiB": mib, "tiny": 7, "empty": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := bare(t, t.TempDir())
			data := file(1, size)
			image := imageOf("windows11", 3, data)
			if _, found := o.Find(image); found {
				t.Error("found before it came")
			}
			path := reserve(t, o, image)
			if base := filepath.Base(path); !strings.HasPrefix(base, ".windows11.img."+image.Digest[:12]) {
				t.Errorf("it is made as %s", base)
			}
			if o.Arrived(image) {
				t.Error("arrived before it came")
			}
			write(t, path, data)
			if !o.Arrived(image) {
				t.Error("it is there, and has not arrived")
			}
			var told int64
			kept, err := o.Keep(t.Context(), image, func(done int64) {
				if done < told {
					t.Errorf("progress goes back from %d to %d", told, done)
				}
				told = done
			})
			if err != nil {
				t.Fatal(err)
			}
			if told != int64(size) {
				t.Errorf("progress ended at %d of %d", told, size)
			}
			if found, ok := o.Find(image); !ok || found != kept || !bytes.Equal(read(t, kept), data) {
				t.Errorf("found %q (%v), want %s with the bytes that came", found, ok, kept)
			}
			if got, want := string(read(t, kept+".full.sum")), md5Line(data); got != want {
				t.Errorf("got .full.sum %q, want %q", got, want)
			}
			if got, want := string(read(t, kept+".sum")), md5Line(data[max(0, size-mib):]); got != want {
				t.Errorf("got .sum %q, want %q", got, want)
			}
			want := []string{"windows11.img", "windows11.img.aula", "windows11.img.full.sum", "windows11.img.sum"}
			if got := names(t, o); !reflect.DeepEqual(got, want) {
				t.Errorf("got the files %v, want %v", got, want)
			}
			wantList := []protocol.CachedImage{{Name: "windows11", Digest: image.Digest, Repository: "main", Revision: 3}}
			if got := listed(t, o); !reflect.DeepEqual(got, wantList) {
				t.Errorf("got %+v, want %+v", got, wantList)
			}
			if len(o.cache.promised) != 0 {
				t.Errorf("still promised: %v", o.cache.promised)
			}
		})
	}
}

func TestKeepRefusesWhatCameWrong(t *testing.T) {
	t.Parallel()
	o := bare(t, t.TempDir())
	old, data := file(1, 3*mib), file(2, 3*mib)
	oldImage, image := imageOf("linux", 1, old), imageOf("linux", 2, data)
	kept := keep(t, o, oldImage, old)
	wrong := bytes.Clone(data)
	wrong[2*mib+5] ^= 0x10
	path := reserve(t, o, image)
	write(t, path, wrong)
	write(t, path+".partial.blocks", []byte("journal"))
	_, err := o.Keep(t.Context(), image, nil)
	wantFailure(t, err, protocol.ErrUpdate, image.Digest, imageOf("", 0, wrong).Digest, "removed")
	if _, found := o.Find(image); found {
		t.Error("what came wrong is found")
	}
	if found, ok := o.Find(oldImage); !ok || found != kept || !bytes.Equal(read(t, kept), old) {
		t.Error("the old image is gone")
	}
	if got := names(t, o); len(got) != 4 {
		t.Errorf("got the files %v, want those of the old image", got)
	}
	_, err = o.Keep(t.Context(), image, nil)
	wantFailure(t, err, protocol.ErrUpdate, "linux")
}

func TestKeepReplacesImageOfSameName(t *testing.T) {
	t.Parallel()
	o := bare(t, t.TempDir())
	old, data := file(1, mib), file(2, 2*mib)
	oldImage, image := imageOf("linux", 1, old), imageOf("linux", 2, data)
	keep(t, o, oldImage, old)
	write(t, o.shelf.path("linux.img.torrent"), []byte("of the old one"))
	other := file(3, 100)
	keep(t, o, imageOf("linux2", 1, other), other)
	keep(t, o, image, data)
	if _, found := o.Find(oldImage); found {
		t.Error("the old image is still found")
	}
	if path, found := o.Find(image); !found || !bytes.Equal(read(t, path), data) {
		t.Error("the new image is not found")
	}
	if _, found := o.Find(imageOf("linux2", 1, other)); !found {
		t.Error("another image has gone")
	}
	if exists(o.shelf.path("linux.img.torrent")) {
		t.Error("the old image's torrent is beside the new image")
	}
}

func TestKeepStopsWithContext(t *testing.T) {
	t.Parallel()
	o := bare(t, t.TempDir())
	data := file(1, 4*mib)
	image := imageOf("linux", 1, data)
	path := reserve(t, o, image)
	write(t, path, data)
	cause := errors.New("cancelled by the operator")
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := o.Keep(ctx, image, func(int64) { cancel(cause) })
	if !errors.Is(err, cause) {
		t.Errorf("got error %v, want the cause", err)
	}
	if !o.Arrived(image) {
		t.Error("what had come is gone")
	}
	if _, err := o.Keep(t.Context(), image, nil); err != nil {
		t.Error(err)
	}
}

func TestImageThatSomebodyWroteToIsNone(t *testing.T) {
	t.Parallel()
	data := file(1, mib)
	image := imageOf("linux", 1, data)
	for name, spoil := range map[string]func(t *testing.T, path string){
		"longer": func(t *testing.T, path string) { write(t, path, append(data, 0)) },
		"other bytes, another time": func(t *testing.T, path string) {
			write(t, path, file(2, mib))
			later := time.Now().Add(time.Hour)
			if err := os.Chtimes(path, later, later); err != nil {
				t.Fatal(err)
			}
		},
		"gone": func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		},
		"record of rubbish": func(t *testing.T, path string) { write(t, path+".aula", []byte("{\"digest\"")) },
		"record of another": func(t *testing.T, path string) {
			write(t, path+".aula", bytes.Replace(read(t, path+".aula"), []byte("linux"), []byte("other"), 1))
		},
		"record without digit": func(t *testing.T, path string) {
			write(t, path+".aula", bytes.Replace(read(t, path+".aula"), []byte(image.Digest), []byte("abc"), 1))
		},
		"link to the same": func(t *testing.T, path string) {
			if err := errors.Join(os.Rename(path, path+".x"), os.Symlink(path+".x", path)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := bare(t, t.TempDir())
			spoil(t, keep(t, o, image, data))
			if _, found := o.Find(image); found {
				t.Error("it is found")
			}
			for _, i := range listed(t, o) {
				if i.Digest != "" {
					t.Errorf("it is listed with its digest: %+v", i)
				}
			}
		})
	}
}

// TestReserveGoesOnWithTheSameAndRemovesTheStale has what interrupted downloads leave, as imagestore/multicast and imagestore/torrent name it.
func TestReserveGoesOnWithTheSameAndRemovesTheStale(t *testing.T) {
	t.Parallel()
	o := bare(t, t.TempDir())
	image := imageOf("linux", 2, file(2, mib))
	stale, other := imageOf("linux", 1, file(1, mib)), imageOf("linux.img.x", 1, file(3, mib))
	path := o.shelf.coming(image)
	var kept []string
	for _, p := range []string{path, o.shelf.coming(other)} {
		kept = append(kept, p+".partial", p+".partial.blocks", p+".torrent.bf")
	}
	old := o.shelf.coming(stale)
	for _, p := range append([]string{old, old + ".partial", old + ".partial.blocks", old + ".torrent.bf", old + ".torrent.bf.new", old + ".aula", path}, kept...) {
		write(t, p, []byte("some"))
	}
	if got := reserve(t, o, image); got != path {
		t.Errorf("got %s, want %s as before", got, path)
	}
	if got := names(t, o); len(got) != len(kept) {
		t.Errorf("got the files %v, want %v", got, kept)
	}
	for _, p := range kept {
		if !exists(p) {
			t.Errorf("%s is gone", p)
		}
	}
	want := []protocol.CachedImage{{Name: "linux", Partial: true}, {Name: "linux.img.x", Partial: true}}
	if got := listed(t, o); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := o.Remove("linux"); err != nil {
		t.Fatal(err)
	}
	if got := listed(t, o); !reflect.DeepEqual(got, want[1:]) {
		t.Errorf("got %+v, want %+v", got, want[1:])
	}
}

func TestReserveRefusals(t *testing.T) {
	t.Parallel()
	o := bare(t, t.TempDir())
	good := imageOf("linux", 1, nil)
	o.partition = 10_000_000_000
	for name, test := range map[string]struct {
		change func(*protocol.Image)
		code   int
		words  []string
	}{
		"larger than the cache": {func(i *protocol.Image) { i.FileBytes = 12_000_000_000 }, protocol.ErrCacheSize,
			[]string{"cache of 10.0 GB is smaller than image linux of 12.0 GB"}},
		"as large as the cache": {func(i *protocol.Image) { i.FileBytes = o.partition }, protocol.ErrCacheSize, []string{"10.0 GB"}},
		"name with a separator": {func(i *protocol.Image) { i.Name = "../linux" }, protocol.ErrFormat, []string{"../linux"}},
		"hidden name":           {func(i *protocol.Image) { i.Name = ".linux" }, protocol.ErrFormat, nil},
		"no name":               {func(i *protocol.Image) { i.Name = "" }, protocol.ErrFormat, nil},
		"no digest":             {func(i *protocol.Image) { i.Digest = "" }, protocol.ErrFormat, []string{"digest"}},
		"digest with a path":    {func(i *protocol.Image) { i.Digest = "../../../" + i.Digest[9:] }, protocol.ErrFormat, []string{"digest"}},
	} {
		image := good
		test.change(&image)
		_, _, err := o.Reserve(image)
		t.Run(name, func(t *testing.T) { wantFailure(t, err, test.code, test.words...) })
		if _, err := o.Keep(t.Context(), image, nil); err == nil {
			t.Errorf("%s: kept", name)
		}
	}
	if got := names(t, o); len(got) != 0 {
		t.Errorf("refusals left %v", got)
	}
}

func TestFilesOfOpenGnsysAreListedWithoutDigest(t *testing.T) {
	t.Parallel()
	o := bare(t, t.TempDir())
	for _, name := range []string{"w10.img", "w10.img.sum", "w10.img.full.sum", "cut.img", "cut.img.torrent.bf", "readme.txt", ".hidden.img", "half.img.partial"} {
		write(t, o.shelf.path(name), []byte("x"))
	}
	if err := os.Mkdir(o.shelf.path("synchronised.img"), 0o755); err != nil {
		t.Fatal(err)
	}
	want := []protocol.CachedImage{{Name: "cut", Partial: true}, {Name: "half", Partial: true}, {Name: "w10"}}
	if got := listed(t, o); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := o.Remove("w10", "cut", "half", "never was"); err != nil {
		t.Fatal(err)
	}
	if got, want := names(t, o), []string{".hidden.img", "readme.txt", "synchronised.img"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v left, want %v", got, want)
	}
}

func TestRemoveRefusesWhatIsNoName(t *testing.T) {
	t.Parallel()
	o := bare(t, t.TempDir())
	data := file(1, 10)
	image := imageOf("linux", 1, data)
	keep(t, o, image, data)
	for _, name := range []string{"", ".", "..", "/linux", "a/b", `a\b`, "../images/linux", "a\x00"} {
		wantFailure(t, o.Remove("linux", name), protocol.ErrFormat)
	}
	if _, found := o.Find(image); !found {
		t.Error("an image was removed all the same")
	}
}
