package imagestore

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A clock is set by the test.
type clock struct{ time.Time }

func newClock() *clock { return &clock{time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) now() time.Time { return c.Time }

// onlyTrashed returns the one image that is in the trash.
func onlyTrashed(t testing.TB, r *Repository) Trashed {
	t.Helper()
	list := r.Trash()
	if len(list) != 1 {
		t.Fatalf("trash = %+v, want one image", list)
	}
	return list[0]
}

func TestTrash(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	opt := Options{Trash: 24 * time.Hour, Now: clock.now}
	r := openWith(t, dir, opt)
	files := [][]byte{1: imageFile(t, 1), 2: imageFile(t, 2), 3: imageFile(t, 3)}
	publishFile(t, r, "lab", files[1])
	publishFile(t, r, "lab", files[2])
	if err := r.Remove("lab"); err != nil {
		t.Fatal(err)
	}
	var id string
	for range 2 { // as it is, and as it is found again
		checkClean(t, r)
		trashed := onlyTrashed(t, r)
		id = trashed.ID
		if trashed.Name != "lab" || !trashed.Removed.Equal(clock.Time) || !trashed.Expires.Equal(clock.Add(24*time.Hour)) ||
			!slices.Equal(trashed.Revisions, []int{1, 2}) || trashed.Bytes < int64(len(files[1])+len(files[2])) {
			t.Errorf("trash = %+v", trashed)
		}
		if err := r.noSpace(); !strings.Contains(err.Error(), "empty the trash (0.0 GiB)") {
			t.Errorf("advice for a full disk: %v", err)
		}
		r.Close()
		r = openWith(t, dir, opt)
	}
	if err := r.Undelete(id); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		checkImage(t, r, "lab", 2, files[2])
		checkClean(t, r, "lab")
		if revisions, err := r.Revisions("lab"); err != nil || len(revisions) != 2 {
			t.Errorf("revisions = %v, %v", revisions, err)
		}
		if list := r.Trash(); len(list) > 0 {
			t.Errorf("trash = %+v, want nothing", list)
		}
		r.Close()
		r = openWith(t, dir, opt)
	}
	if err := r.Undelete(id); !errors.Is(err, ErrNotFound) {
		t.Errorf("bringing it back twice: %v", err)
	}
	if img := publishFile(t, r, "lab", files[3]); img.Revision != 3 {
		t.Errorf("next revision = %d, want 3", img.Revision)
	}
}

// TestTrashTwice removes an image, makes it anew, and removes that, too: both can be brought back, one at a time.
func TestTrashTwice(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	r := openWith(t, dir, Options{Trash: time.Hour, Now: clock.now})
	files := [][]byte{1: imageFile(t, 1), 2: imageFile(t, 2)}
	publishFile(t, r, "lab", files[1])
	if err := r.Remove("lab"); err != nil {
		t.Fatal(err)
	}
	first := onlyTrashed(t, r).ID
	if img := publishFile(t, r, "lab", files[2]); img.Revision != 2 {
		t.Errorf("number of a revision in the trash is given again: %d", img.Revision)
	}
	if err := r.Undelete(first); !errors.Is(err, ErrExists) {
		t.Errorf("bringing back an image whose name is taken: %v", err)
	}
	checkImage(t, r, "lab", 2, files[2])
	clock.Time = clock.Add(time.Minute)
	if err := r.Remove("lab"); err != nil {
		t.Fatal(err)
	}
	list := r.Trash()
	if len(list) != 2 || list[1].ID != first {
		t.Fatalf("trash = %+v, want two with the latest first", list)
	}
	if err := r.Undelete(first); err != nil {
		t.Fatal(err)
	}
	checkImage(t, r, "lab", 1, files[1])
	if got := onlyTrashed(t, r); !slices.Equal(got.Revisions, []int{2}) {
		t.Errorf("trash = %+v, want revision 2", got)
	}
	r.Close()
	r = openWith(t, dir, Options{Trash: time.Hour, Now: clock.now})
	checkImage(t, r, "lab", 1, files[1])
	if img := publishFile(t, r, "lab", files[2]); img.Revision != 3 {
		t.Errorf("number of a revision in the trash is given again: %d", img.Revision)
	}
}

func TestDiscard(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := openWith(t, dir, Options{Trash: time.Hour})
	publishFile(t, r, "lab", imageFile(t, 1))
	if err := r.Remove("lab"); err != nil {
		t.Fatal(err)
	}
	id := onlyTrashed(t, r).ID
	for _, bad := range []string{"", ".", "..", "../.revisions", strings.Repeat("A", 26)} {
		if err := r.Discard(bad); !errors.Is(err, ErrNotFound) {
			t.Errorf("discarding %q: %v", bad, err)
		}
		if err := r.Undelete(bad); !errors.Is(err, ErrNotFound) {
			t.Errorf("bringing back %q: %v", bad, err)
		}
	}
	if err := r.Discard(id); err != nil {
		t.Fatal(err)
	}
	if list := r.Trash(); len(list) > 0 {
		t.Errorf("trash = %+v", list)
	}
	if left, err := os.ReadDir(filepath.Join(dir, trashDir)); err != nil || len(left) > 0 {
		t.Errorf("left in the trash's folder: %v, %v", left, err)
	}
	checkClean(t, r)
	if img := publishFile(t, r, "lab", imageFile(t, 1)); img.Revision != 2 {
		t.Errorf("number of a discarded revision is given again: %d", img.Revision)
	}
}

func TestTrashExpires(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	opt := Options{Trash: time.Hour, Now: clock.now}
	r := openWith(t, dir, opt)
	for _, name := range []string{"early", "late"} {
		publishFile(t, r, name, imageFile(t, 1))
		if err := r.Remove(name); err != nil {
			t.Fatal(err)
		}
		clock.Time = clock.Add(40 * time.Minute)
	}
	r.expire()
	if got := onlyTrashed(t, r); got.Name != "late" {
		t.Errorf("after 80 minutes %+v is in the trash", got)
	}
	// A shorter time is in force at once.
	opt = r.Options()
	opt.Trash = time.Minute
	r.SetOptions(opt)
	r.expire()
	if list := r.Trash(); len(list) > 0 {
		t.Errorf("trash = %+v", list)
	}
	publishFile(t, r, "lab", imageFile(t, 1))
	if err := r.Remove("lab"); err != nil {
		t.Fatal(err)
	}
	r.Close()
	clock.Time = clock.Add(time.Hour)
	if list := openWith(t, dir, opt).Trash(); len(list) > 0 {
		t.Errorf("expired while the repository was closed: %+v", list)
	}
}

// TestUndeleteBesideHandMadeFile leaves a file alone that somebody has put where the image was.
func TestUndeleteBesideHandMadeFile(t *testing.T) {
	t.Parallel()
	r := openWith(t, t.TempDir(), Options{Trash: time.Hour})
	publishFile(t, r, "lab", imageFile(t, 1))
	if err := r.Remove("lab"); err != nil {
		t.Fatal(err)
	}
	drop(t, r, "lab.img", []byte("ten years of work"))
	if err := r.Undelete(onlyTrashed(t, r).ID); !errors.Is(err, errForeign) {
		t.Errorf("got %v", err)
	}
	os.Remove(filepath.Join(r.Dir(), "lab.img"))
	if err := r.Undelete(onlyTrashed(t, r).ID); err != nil {
		t.Error(err)
	}
	checkImage(t, r, "lab", 1, imageFile(t, 1))
}

func TestRemoveRevision(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := openWith(t, dir, Options{Trash: time.Hour})
	files := [][]byte{1: imageFile(t, 1), 2: imageFile(t, 2), 3: imageFile(t, 3)}
	for _, file := range files[1:] {
		publishFile(t, r, "lab", file)
	}
	release, err := r.Hold("lab", 3, "restore on pc-07")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.RemoveRevision("lab", 3); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "restore on pc-07") {
		t.Errorf("removing a held revision: %v", err)
	}
	if err := r.RemoveRevision("lab", 4); !errors.Is(err, ErrNotFound) {
		t.Errorf("removing what is not there: %v", err)
	}
	if err := r.RemoveRevision("lab", 1); err != nil {
		t.Errorf("removing one beside a held one: %v", err)
	}
	checkImage(t, r, "lab", 3, files[3])
	release()
	if err := r.RemoveRevision("lab", 3); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		checkImage(t, r, "lab", 2, files[2])
		checkClean(t, r, "lab")
		r.Close()
		r = openWith(t, dir, Options{Trash: time.Hour})
	}
	if err := r.RemoveRevision("lab", 2); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		checkClean(t, r)
		r.Close()
		r = openWith(t, dir, Options{Trash: time.Hour})
	}
	if list := r.Trash(); len(list) > 0 {
		t.Errorf("trash = %+v", list)
	}
	if img := publishFile(t, r, "lab", files[1]); img.Revision != 4 {
		t.Errorf("next revision = %d, want 4", img.Revision)
	}
}

func TestPrune(t *testing.T) {
	t.Parallel()
	r := openWith(t, t.TempDir(), Options{Keep: 2})
	numbers := func() (list []int) {
		revisions, err := r.Revisions("lab")
		if err != nil {
			t.Fatal(err)
		}
		for _, img := range revisions {
			list = append(list, img.Revision)
		}
		return list
	}
	for seed := range 4 {
		publishFile(t, r, "lab", imageFile(t, seed))
	}
	if got, want := numbers(), []int{2, 3, 4}; !slices.Equal(got, want) {
		t.Errorf("revisions = %v, want %v", got, want)
	}
	if err := r.condemn(key{"lab", 3}, ErrDamaged); !errors.Is(err, ErrDamaged) {
		t.Fatal(err)
	}
	publishFile(t, r, "lab", imageFile(t, 4))
	if got, want := numbers(), []int{2, 3, 4, 5}; !slices.Equal(got, want) {
		t.Errorf("with revision 3 damaged: revisions = %v, want %v", got, want)
	}
	release, err := r.Hold("lab", 2, "restore on pc-07")
	if err != nil {
		t.Fatal(err)
	}
	publishFile(t, r, "lab", imageFile(t, 5))
	if got, want := numbers(), []int{2, 4, 5, 6}; !slices.Equal(got, want) {
		t.Errorf("with revision 2 in use: revisions = %v, want %v", got, want)
	}
	release()
	opt := r.Options()
	opt.Keep = 0
	r.SetOptions(opt)
	publishFile(t, r, "lab", imageFile(t, 6))
	if got, want := numbers(), []int{7}; !slices.Equal(got, want) {
		t.Errorf("revisions = %v, want %v", got, want)
	}
	checkImage(t, r, "lab", 7, imageFile(t, 6))
}

// TestOldMarkers opens a folder in which removals were noted as before there were ledgers.
func TestOldMarkers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := openRepository(t, dir)
	publishFile(t, r, "lab", imageFile(t, 1))
	publishFile(t, r, "lab", imageFile(t, 2))
	r.Close()
	if err := os.WriteFile(filepath.Join(dir, revisionsDir, "lab", "7.removed"), nil, 0o400); err != nil {
		t.Fatal(err)
	}
	r = openRepository(t, dir)
	checkClean(t, r)
	if img := publishFile(t, r, "lab", imageFile(t, 3)); img.Revision != 8 {
		t.Errorf("revision = %d, want 8", img.Revision)
	}
	r.Close()
	r = openRepository(t, dir)
	checkImage(t, r, "lab", 8, imageFile(t, 3))
}

func TestParseLedger(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "{", `{"given":1,"removed":2}`, `{"removed":-1}`, `{"given":1,"trash":"../x"}`, `{"given":1,"trash":"a/b"}`, `{"given":"1"}`} {
		if l, err := parseLedger([]byte(bad)); err == nil {
			t.Errorf("%s: %+v and no error", bad, l)
		}
	}
	want := ledger{Given: 3, Removed: 2, Trash: strings.Repeat("A", 26)}
	if l, err := parseLedger([]byte(`{"given":3,"removed":2,"trash":"AAAAAAAAAAAAAAAAAAAAAAAAAA"}`)); err != nil || l != want {
		t.Errorf("got %+v, %v", l, err)
	}
}

// TestRemoveLost gets rid of an image of which nothing can be read.
func TestRemoveLost(t *testing.T) {
	t.Parallel()
	for _, remove := range []func(*Repository) error{
		func(r *Repository) error { return r.Remove("lab") },
		func(r *Repository) error { return r.RemoveRevision("lab", 1) },
	} {
		dir := t.TempDir()
		r := openRepository(t, dir)
		publishFile(t, r, "lab", imageFile(t, 1))
		r.Close()
		home := filepath.Join(dir, revisionsDir, "lab", "1")
		os.Remove(home + "/lab.img")
		os.Remove(home + "/lab.img.json")
		os.Remove(filepath.Join(dir, "lab.img"))
		r = openRepository(t, dir)
		readAgain(t, r)
		checkStanding(t, r, "lab", Damaged, "remove the image")
		if err := remove(r); err != nil {
			t.Error(err)
		}
		if s, ok := r.Standing("lab"); ok {
			t.Errorf("it is removed and stands as %+v", s)
		}
		r.Close()
		checkClean(t, openRepository(t, dir))
	}
}
