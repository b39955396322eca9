package imagestore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// A cutter takes a copy of a repository after every step of what is done to it, as it would be found after a crash of the
// program there, and another in which all that was not brought to stable storage is lost, as after a power cut.
type cutter struct {
	t      *testing.T
	repo   *Repository
	synced []fs.FileInfo
	cuts   []cut
}

type cut struct {
	step string
	dir  string
}

func newCutter(t *testing.T, r *Repository) *cutter {
	c := &cutter{t: t, repo: r}
	r.folder.after = func(step, name string) {
		info, err := os.Lstat(filepath.Join(r.Dir(), name))
		if step == "sync" && err == nil {
			c.synced = append(c.synced, info)
		}
		if c.cuts != nil {
			c.take(step + " " + name)
		}
	}
	return c
}

// quickDir is a folder in memory where there is one: what these tests cut is made up, and waiting for a disk proves nothing.
func quickDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "aula-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// start begins to take copies.
func (c *cutter) start() {
	c.cuts = []cut{}
	c.take("before")
}

// stop ends it and returns the copies.
func (c *cutter) stop() []cut {
	c.repo.folder.after = nil
	return c.cuts
}

func (c *cutter) take(step string) {
	dir := quickDir(c.t)
	crash, power := filepath.Join(dir, "crash"), filepath.Join(dir, "power")
	copyTree(c.t, c.repo.Dir(), crash, func(fs.FileInfo) bool { return true })
	copyTree(c.t, c.repo.Dir(), power, func(info fs.FileInfo) bool {
		for _, s := range c.synced {
			if os.SameFile(s, info) {
				return true
			}
		}
		return false
	})
	c.cuts = append(c.cuts,
		cut{fmt.Sprintf("crash at step %d, %s", len(c.cuts)/2, step), crash},
		cut{fmt.Sprintf("power cut at step %d, %s", len(c.cuts)/2, step), power})
}

func TestCrashWhilePublishing(t *testing.T) {
	t.Parallel()
	r := openRepository(t, quickDir(t))
	cuts := newCutter(t, r)
	files := [][]byte{1: imageFile(t, 1), 2: imageFile(t, 2), 3: imageFile(t, 3)}
	publishFile(t, r, "lab", files[1])
	s := stageFile(t, r, "lab", files[2]) // without a layout: that of the first must go
	cuts.start()
	if _, err := s.Publish(t.Context(), digest(files[2]), nil); err != nil {
		t.Fatal(err)
	}
	taken := cuts.stop()
	if len(taken) < 20 {
		t.Errorf("only %d copies were taken", len(taken))
	}
	published := false
	for i, cut := range taken {
		r := openRepository(t, cut.dir)
		img, err := r.Image("lab")
		if err != nil {
			t.Errorf("%s: %v", cut.step, err)
			continue
		}
		if img.Revision < 2 && (published || i >= len(taken)-2) {
			t.Errorf("%s: revision 2 was there and is gone", cut.step)
		}
		published = img.Revision == 2
		checkImage(t, r, "lab", img.Revision, files[img.Revision])
		checkClean(t, r, "lab")
		next := publishFile(t, r, "lab", files[3])
		if next.Revision != img.Revision+1 {
			t.Errorf("%s: revision after %d is %d", cut.step, img.Revision, next.Revision)
		}
		checkImage(t, r, "lab", next.Revision, files[3])
		if t.Failed() {
			t.Fatal("at: " + cut.step)
		}
	}
	if !published {
		t.Error("revision 2 was in no copy")
	}
}

func TestCrashWhileRemoving(t *testing.T) {
	t.Parallel()
	r := openRepository(t, quickDir(t))
	cuts := newCutter(t, r)
	files := [][]byte{1: imageFile(t, 1), 2: imageFile(t, 2)}
	publishFile(t, r, "lab", files[1])
	publishFile(t, r, "lab", files[2])
	publishFile(t, r, "other", files[1])
	cuts.start()
	if err := r.Remove("lab"); err != nil {
		t.Fatal(err)
	}
	gone := false
	for _, cut := range cuts.stop() {
		r := openRepository(t, cut.dir)
		checkImage(t, r, "other", 1, files[1])
		_, err := r.Image("lab")
		switch {
		case err == nil && gone:
			t.Errorf("%s: the image was removed and is there again", cut.step)
		case err == nil:
			checkImage(t, r, "lab", 2, files[2])
			checkClean(t, r, "lab", "other")
		case errors.Is(err, ErrNotFound):
			gone = true
			checkClean(t, r, "other")
			if img := publishFile(t, r, "lab", files[1]); img.Revision != 3 {
				t.Errorf("%s: a removed revision's number is given again: %d", cut.step, img.Revision)
			}
		default:
			t.Errorf("%s: %v", cut.step, err)
		}
	}
	if !gone {
		t.Error("the image was removed in no copy")
	}
}

// TestCrashWhileUploading finds half an upload in staging.
func TestCrashWhileUploading(t *testing.T) {
	t.Parallel()
	r := openRepository(t, quickDir(t))
	file := imageFile(t, 1)
	publishFile(t, r, "lab", file)
	s := stageFile(t, r, "lab", file[:len(file)*99/100])
	defer s.Abort()
	dir := filepath.Join(t.TempDir(), "copy")
	copyTree(t, r.Dir(), dir, func(fs.FileInfo) bool { return true })
	found := openRepository(t, dir)
	checkClean(t, found, "lab")
	checkImage(t, found, "lab", 1, file)
}

// TestCrashWhileTrashing cuts a removal to the trash and the way back. Every cut must have the image whole, in the one place or the
// other, and never in both.
func TestCrashWhileTrashing(t *testing.T) {
	t.Parallel()
	r := openWith(t, quickDir(t), Options{Trash: time.Hour})
	cuts := newCutter(t, r)
	files := [][]byte{1: imageFile(t, 1), 2: imageFile(t, 2)}
	publishFile(t, r, "lab", files[1])
	publishFile(t, r, "lab", files[2])
	publishFile(t, r, "other", files[1])
	cuts.start()
	if err := r.Remove("lab"); err != nil {
		t.Fatal(err)
	}
	removed := len(cuts.cuts)
	if err := r.Undelete(onlyTrashed(t, r).ID); err != nil {
		t.Fatal(err)
	}
	last := ""
	for i, cut := range cuts.stop() {
		r := openWith(t, cut.dir, Options{Trash: time.Hour})
		checkImage(t, r, "other", 1, files[1])
		place := "here"
		if _, err := r.Image("lab"); errors.Is(err, ErrNotFound) {
			place = "trash"
			checkClean(t, r, "other")
			if err := r.Undelete(onlyTrashed(t, r).ID); err != nil {
				t.Errorf("%s: %v", cut.step, err)
			}
		}
		if (i == removed-1 || i == removed-2) && place == "here" {
			t.Errorf("%s: the image was removed and is here", cut.step)
		}
		last = place
		checkImage(t, r, "lab", 2, files[2])
		checkClean(t, r, "lab", "other")
		if list := r.Trash(); len(list) > 0 {
			t.Errorf("%s: it is in the trash, too: %+v", cut.step, list)
		}
		if revisions, err := r.Revisions("lab"); err != nil || len(revisions) != 2 {
			t.Errorf("%s: revisions = %v, %v", cut.step, revisions, err)
		}
		if t.Failed() {
			t.Fatal("at: " + cut.step)
		}
	}
	if last != "here" {
		t.Error("the image was brought back and is in the trash")
	}
}

// TestCrashWhileBringingBack cuts the way back of an image that was removed, made anew and removed again. The two must not
// be mixed.
func TestCrashWhileBringingBack(t *testing.T) {
	t.Parallel()
	clock := newClock()
	opt := Options{Trash: time.Hour, Now: clock.now}
	r := openWith(t, quickDir(t), opt)
	cuts := newCutter(t, r)
	for seed := range 2 {
		publishFile(t, r, "lab", imageFile(t, seed))
		if err := r.Remove("lab"); err != nil {
			t.Fatal(err)
		}
		clock.Time = clock.Add(time.Minute)
	}
	first, second := r.Trash()[1], r.Trash()[0]
	cuts.start()
	if err := r.Undelete(first.ID); err != nil {
		t.Fatal(err)
	}
	for _, cut := range cuts.stop() {
		r := openWith(t, cut.dir, opt)
		if _, err := r.Image("lab"); err != nil {
			if err := r.Undelete(first.ID); err != nil {
				t.Errorf("%s: %v", cut.step, err)
			}
		}
		checkImage(t, r, "lab", 1, imageFile(t, 0))
		if left := onlyTrashed(t, r); left.ID != second.ID || !slices.Equal(left.Revisions, []int{2}) {
			t.Errorf("%s: in the trash is %+v", cut.step, left)
		}
		if t.Failed() {
			t.Fatal("at: " + cut.step)
		}
	}
}

// TestCrashWhileTakingIn cuts the way of a file from the folder into a revision. No cut may lose it.
func TestCrashWhileTakingIn(t *testing.T) {
	t.Parallel()
	files := [][]byte{1: imageFile(t, 1), 2: imageFile(t, 2)}
	for _, file := range []string{"lab.img", "lab.dsk"} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			r := openRepository(t, quickDir(t))
			cuts := newCutter(t, r)
			publishFile(t, r, "lab", files[1])
			os.Remove(filepath.Join(r.Dir(), file))
			drop(t, r, file, files[2])
			// Somebody else has brought it to stable storage.
			if info, err := os.Lstat(filepath.Join(r.Dir(), file)); err == nil {
				cuts.synced = append(cuts.synced, info)
			}
			cuts.start()
			readAgain(t, r)
			checkImage(t, r, "lab", 2, files[2])
			for _, cut := range cuts.stop() {
				r := openRepository(t, cut.dir)
				readAgain(t, r)
				checkImage(t, r, "lab", 2, files[2])
				checkClean(t, r, "lab")
				checkStanding(t, r, "lab", Ready, "")
				if t.Failed() {
					t.Fatal("at: " + cut.step)
				}
			}
		})
	}
}

// TestCrashWhilePruning cuts a publication after which an old revision goes.
func TestCrashWhilePruning(t *testing.T) {
	t.Parallel()
	r := openWith(t, quickDir(t), Options{Keep: 1})
	cuts := newCutter(t, r)
	files := [][]byte{1: imageFile(t, 1), 2: imageFile(t, 2), 3: imageFile(t, 3)}
	publishFile(t, r, "lab", files[1])
	publishFile(t, r, "lab", files[2])
	s := stageFile(t, r, "lab", files[3])
	cuts.start()
	if _, err := s.Publish(t.Context(), digest(files[3]), nil); err != nil {
		t.Fatal(err)
	}
	pruned := 0
	for _, cut := range cuts.stop() {
		r := openWith(t, cut.dir, Options{Keep: 1})
		img, err := r.Image("lab")
		if err != nil || img.Revision < 2 {
			t.Fatalf("%s: revision %d, %v", cut.step, img.Revision, err)
		}
		checkImage(t, r, "lab", img.Revision, files[img.Revision])
		checkClean(t, r, "lab")
		f, err := r.OpenFile("lab", img.Revision-1)
		if err != nil {
			t.Fatalf("%s: the revision before: %v", cut.step, err)
		}
		f.Close()
		revisions, err := r.Revisions("lab")
		if err != nil {
			t.Fatal(err)
		}
		if revisions[0].Revision == 2 {
			pruned++
		}
		r.commit.Lock()
		r.prune("lab")
		r.commit.Unlock()
		checkImage(t, r, "lab", img.Revision, files[img.Revision])
		if t.Failed() {
			t.Fatal("at: " + cut.step)
		}
	}
	if pruned == 0 {
		t.Error("the oldest revision was there in every copy")
	}
}
