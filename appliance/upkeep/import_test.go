package upkeep

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aula/appliance/incorporation"
	"aula/imagestore"
)

// file writes a file of some name.
func (b *bed) file(name string, data []byte) string {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		b.t.Fatal(err)
	}
	return path
}

func TestImportOfAFile(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	path := b.file("win10.img", image())
	ended := b.succeeds(b.Import(t.Context(), "root", ImportRequest{Paths: []string{path}}))
	if ended.Kind != Import || ended.Image != "win10" || ended.Repository != "main" || !strings.HasPrefix(ended.Title, "Import win10") ||
		!strings.HasPrefix(ended.Results[0], "win10, revision 1 in repository main: PARTCLONE:NONE:XFS:2800") {
		t.Errorf("got %+v", ended)
	}
	b.add("attic")
	b.succeeds(b.Import(t.Context(), "root", ImportRequest{Paths: []string{path}, Repository: "attic", Name: "w10"}))
	if _, err := b.images.Image("attic", "w10"); err != nil {
		t.Error(err)
	}
	if data, err := os.ReadFile(path); err != nil || !bytes.Equal(data, image()) {
		t.Errorf("the file that was taken in is not as it was: %v", err)
	}
}

func TestImportMistakesAreToldAtOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	good := b.file("win10.img", image())
	for _, c := range []struct {
		name string
		r    ImportRequest
		want error
	}{
		{"nothing", ImportRequest{}, ErrRefused},
		{"no such file", ImportRequest{Paths: []string{good + ".gone"}}, ErrRefused},
		{"what is no image", ImportRequest{Paths: []string{b.file("notes.img", []byte("remember to image room 3"))}}, ErrRefused},
		{"an empty file", ImportRequest{Paths: []string{b.file("empty.img", nil)}}, ErrRefused},
		{"an empty folder", ImportRequest{Paths: []string{t.TempDir()}}, ErrRefused},
		{"a bad name", ImportRequest{Paths: []string{good}, Name: "../../etc"}, ErrRefused},
		{"no such repository", ImportRequest{Paths: []string{good}, Repository: "loft"}, ErrRefused},
		{"no such upload", ImportRequest{Upload: "nothing"}, incorporation.ErrNoUpload},
		{"an upload and paths", ImportRequest{Upload: "nothing", Paths: []string{good}}, ErrRefused},
	} {
		if _, err := b.Import(t.Context(), "root", c.r); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	main := b.images.Repositories()[0]
	options := main.Options()
	options.Reserve = 1 << 62
	main.SetOptions(options)
	if _, err := b.Import(t.Context(), "root", ImportRequest{Paths: []string{good}}); !errors.Is(err, imagestore.ErrNoSpace) {
		t.Errorf("without room: %v", err)
	}
	if tasks := b.Tasks(); len(tasks) > 0 {
		t.Errorf("%d tasks were begun", len(tasks))
	}
}

// upload sends files, all but the last n bytes of the last.
func (b *bed) upload(n int, name string, data []byte) incorporation.Upload {
	b.t.Helper()
	u, err := b.uploads.Begin([]incorporation.File{{Path: name, Size: int64(len(data))}}, "ana")
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.uploads.Append(u.ID, 0, 0, bytes.NewReader(data[:len(data)-n])); err != nil && n == 0 {
		b.t.Fatal(err)
	}
	return u
}

func TestImportOfAnUpload(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	u := b.upload(0, "win10.img", image())
	b.succeeds(b.Import(t.Context(), "ana", ImportRequest{Upload: u.ID}))
	if _, err := b.images.Image("", "win10"); err != nil {
		t.Error(err)
	}
	if _, err := b.uploads.Upload(u.ID); !errors.Is(err, incorporation.ErrNoUpload) {
		t.Errorf("the upload that was taken in is still there: %v", err)
	}
	t.Run("incomplete", func(t *testing.T) {
		u := b.upload(100, "win11.img", image())
		if _, err := b.Import(t.Context(), "ana", ImportRequest{Upload: u.ID}); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "not complete") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("one that fails stays, and can be tried again", func(t *testing.T) {
		broken := bytes.Clone(image())
		broken[len(broken)-5000] ^= 1
		u := b.upload(0, "win12.img", broken)
		for range 2 {
			ended := b.ends(b.Import(t.Context(), "ana", ImportRequest{Upload: u.ID}))
			if ended.State != Failed {
				t.Errorf("got %+v", ended)
			}
		}
		if _, err := b.uploads.Upload(u.ID); err != nil {
			t.Error(err)
		}
	})
	t.Run("it must fit into another repository", func(t *testing.T) {
		attic := b.add("attic")
		options := attic.Options()
		options.Reserve = 1 << 62
		attic.SetOptions(options)
		u := b.upload(0, "win14.img", image())
		if _, err := b.Import(t.Context(), "ana", ImportRequest{Upload: u.ID, Repository: "attic"}); !errors.Is(err, imagestore.ErrNoSpace) {
			t.Errorf("got %v, want ErrNoSpace", err)
		}
		if err := b.uploads.Discard(u.ID); err != nil {
			t.Errorf("the upload that was refused is still claimed: %v", err)
		}
	})
	t.Run("not twice at a time", func(t *testing.T) {
		u := b.upload(0, "win13.img", image())
		_, done, err := b.claim(ImportRequest{Upload: u.ID})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Import(t.Context(), "ana", ImportRequest{Upload: u.ID}); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "already") {
			t.Errorf("got %v", err)
		}
		done(false)
		b.succeeds(b.Import(t.Context(), "ana", ImportRequest{Upload: u.ID}))
	})
}
