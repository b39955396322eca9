package upkeep

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aula/appliance/catalog"
	"aula/imagestore"
)

func (b *bed) status(name string) RepositoryStatus {
	b.t.Helper()
	all, err := b.Repositories()
	if err != nil {
		b.t.Fatal(err)
	}
	for _, r := range all {
		if r.Name == name {
			return r
		}
	}
	b.t.Fatalf("there is no repository %s among %d", name, len(all))
	return RepositoryStatus{}
}

func TestRepositoriesAreAddedChangedAndRemoved(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.publish("main", "lab")
	first := b.status("main")
	if first.Images != 1 || first.Keep != 5 || first.TrashDays != 1 || first.ReserveMiB != 1 || first.Free <= 0 || first.Size < first.Free || first.Problem != "" {
		t.Errorf("the first repository is %+v", first)
	}
	r := b.add("attic")
	if s := b.status("attic"); s.Problem != "" || s.Images != 0 || s.Dir != r.Dir() {
		t.Errorf("the new repository is %+v", s)
	}
	if err := b.ChangeRepository(catalog.Repository{Name: "attic", Keep: 9, TrashDays: 3, Address: "10.0.0.9"}); err != nil {
		t.Error(err)
	}
	if o := r.Options(); o.Keep != 9 || o.Address != "10.0.0.9" || o.Trash.Hours() != 72 {
		t.Errorf("options after the change: %+v", o)
	}
	if s := b.status("attic"); s.Keep != 9 || s.Dir != r.Dir() {
		t.Errorf("status after the change: %+v", s)
	}
	b.publish("attic", "old")
	release, err := r.Hold("old", 1, "restore on pc-07")
	if err != nil {
		t.Fatal(err)
	}
	if err := b.RemoveRepository("attic"); !errors.Is(err, imagestore.ErrBusy) {
		t.Errorf("removing one in use: %v", err)
	}
	release()
	if err := b.RemoveRepository("attic"); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(r.Dir(), "old.img")); err != nil {
		t.Errorf("the folder did not stay as it was: %v", err)
	}
	if err := b.RemoveRepository("attic"); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("removing it again: %v", err)
	}
	b.add("attic")
	if s := b.status("attic"); s.Images != 1 {
		t.Errorf("added again it has %d images", s.Images)
	}
}

func TestRepositoryMistakesChangeNothing(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.add("attic")
	file := filepath.Join(b.dir, "a-file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		err  error
		want error
		says string
	}{
		{"a name that is taken", b.AddRepository(catalog.Repository{Name: "attic", Dir: filepath.Join(b.dir, "x")}), catalog.ErrExists, "attic"},
		{"the first one's name", b.AddRepository(catalog.Repository{Name: "main", Dir: filepath.Join(b.dir, "x")}), catalog.ErrInvalid, "main"},
		{"a name with a space", b.AddRepository(catalog.Repository{Name: "my images", Dir: filepath.Join(b.dir, "x")}), catalog.ErrInvalid, "my_images"},
		{"the folder of the first", b.AddRepository(catalog.Repository{Name: "x", Dir: filepath.Join(b.dir, "images")}), ErrRefused, ""},
		{"a folder within the first", b.AddRepository(catalog.Repository{Name: "x", Dir: filepath.Join(b.dir, "images", "x")}), ErrRefused, "choose another folder"},
		{"a file", b.AddRepository(catalog.Repository{Name: "x", Dir: file}), ErrRefused, "a-file"},
		{"changing the first", b.ChangeRepository(catalog.Repository{Name: "main", Keep: 1}), ErrRefused, "configuration file"},
		{"removing the first", b.RemoveRepository("main"), ErrRefused, "configuration file"},
		{"changing one that is not there", b.ChangeRepository(catalog.Repository{Name: "x"}), catalog.ErrNotFound, "x"},
		{"another folder", b.ChangeRepository(catalog.Repository{Name: "attic", Dir: filepath.Join(b.dir, "x")}), ErrRefused, "move the images"},
	} {
		if !errors.Is(c.err, c.want) || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, c.err)
		}
	}
	all, err := b.Repositories()
	if err != nil || len(all) != 2 {
		t.Errorf("%d repositories, %v", len(all), err)
	}
	if _, err := os.Stat(filepath.Join(b.dir, "images", "x", ".lock")); err == nil {
		t.Error("a repository was begun within another")
	}
}

// TestVolumeThatIsNotMounted starts the appliance while the folder of a repository is missing and later while it is an empty mount point.
func TestVolumeThatIsNotMounted(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	r := b.add("attic")
	b.publish("attic", "old")
	b.stop()
	if err := b.images.Drop("attic"); err != nil {
		t.Fatal(err)
	}
	away := r.Dir() + ".away"
	if err := os.Rename(r.Dir(), away); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"missing", "empty"} {
		if what == "empty" {
			if err := os.Mkdir(r.Dir(), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		b.Service = b.service(slog.New(slog.DiscardHandler))
		if s := b.status("attic"); s.Problem == "" {
			t.Errorf("%s folder: %+v", what, s)
		}
		if left, _ := os.ReadDir(r.Dir()); len(left) > 0 {
			t.Errorf("%s folder: a repository was begun in it: %v", what, left)
		}
	}
	if err := os.Remove(r.Dir()); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(away, r.Dir()); err != nil {
		t.Fatal(err)
	}
	if err := b.openAll(t.Context()); err != nil { // as Run does from time to time
		t.Fatal(err)
	}
	if s := b.status("attic"); s.Problem != "" || s.Images != 1 {
		t.Errorf("when the volume is back: %+v", s)
	}
}

// TestVolumeThatHangs has the volumes of two repositories hang: one before it can be opened, one afterwards.
func TestVolumeThatHangs(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.add("open")
	b.add("shut")
	b.stop()
	if err := b.images.Drop("shut"); err != nil {
		t.Fatal(err)
	}
	s, err := newService(Config{Library: b.images, Catalog: b.catalog, Uploads: b.uploads})
	if err != nil {
		t.Fatal(err)
	}
	b.Service = s
	answer := make(chan struct{})
	s.patience = time.Millisecond
	s.openFolder = func(dir string, opt imagestore.Options) (*imagestore.Repository, error) {
		<-answer
		return imagestore.Open(dir, opt)
	}
	s.measure = func(r *imagestore.Repository) (room, error) {
		if r.Name() == "open" {
			<-answer
		}
		return measure(r)
	}
	for range 2 { // the second time nothing more is begun
		if err := s.openAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"open", "shut"} {
			if status := b.status(name); status.Problem != errSilent.Error() {
				t.Errorf("repository %s, whose volume hangs: %+v", name, status)
			}
		}
	}
	if err := s.ChangeRepository(catalog.Repository{Name: "shut", Keep: 7}); err != nil {
		t.Errorf("others wait for the volume that hangs: %v", err)
	}
	if err := s.AddRepository(catalog.Repository{Name: "new", Dir: filepath.Join(b.dir, "new")}); !errors.Is(err, ErrRefused) || !errors.Is(err, errSilent) {
		t.Errorf("adding one whose volume hangs: %v", err)
	}
	s.shelves.Lock()
	shut, added, looked := s.openings["shut"], s.openings["new"], s.looks[b.images.Repositories()[1]]
	s.shelves.Unlock()
	close(answer)
	<-shut.ended
	<-added.ended
	<-looked.ended
	s.patience = patience
	for _, name := range []string{"open", "shut"} {
		if status := b.status(name); status.Problem != "" || status.Size == 0 {
			t.Errorf("repository %s, whose volume answers again: %+v", name, status)
		}
	}
	if r, err := b.images.Repository("shut"); err != nil || r.Options().Keep != 7 {
		t.Errorf("the change that was made meanwhile is lost: %v", err)
	}
	if _, err := b.images.Repository("new"); err == nil {
		t.Error("a repository that was refused is open")
	}
}

// TestScratchOfACrashIsRemovedAtTheStart leaves what an import of an archive leaves when the power goes.
func TestScratchOfACrashIsRemovedAtTheStart(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	attic := b.add("attic")
	b.stop()
	if err := b.images.Drop("attic"); err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, dir := range []string{attic.Dir(), b.images.Repositories()[0].Dir()} {
		path := filepath.Join(dir, ".unpacking", "LEFT")
		if err := os.MkdirAll(path, 0o700); err != nil {
			t.Fatal(err)
		}
		left = append(left, path)
	}
	b.Service = b.service(slog.New(slog.DiscardHandler))
	for _, path := range left {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
}
