package imagestore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
)

// stageSet prepares a capture of a disk of so many partitions.
func stageSet(t *testing.T, r *Repository, capture string, partitions int) (set []*Staging) {
	t.Helper()
	for n := 1; n <= partitions; n++ {
		file := imageFile(t, 10*len(capture)+n)
		s, err := r.Stage(fmt.Sprintf("lab-p%d", n), Source{Computer: "pc-07", Disk: 1, Partition: n, Set: "lab", Import: capture, Members: partitions})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write(file); err != nil {
			t.Fatal(err)
		}
		if err := s.Prepare(t.Context(), digest(file), nil); err != nil {
			t.Fatal(err)
		}
		set = append(set, s)
	}
	return set
}

func publishSet(t *testing.T, r *Repository, capture string, partitions int) []Image {
	t.Helper()
	images, err := CommitSet(stageSet(t, r, capture, partitions))
	if err != nil {
		t.Fatal(err)
	}
	return images
}

// setIs requires that the set is a capture, whole.
func setIs(t *testing.T, r *Repository, capture string, partitions int) {
	t.Helper()
	set, err := NewLibrary(r).Set("", "lab")
	if err != nil {
		t.Error(err)
		return
	}
	if got := captureOf(t, set); got != capture || len(set) != partitions {
		t.Errorf("the set is %d images of %q, want %d of %q", len(set), got, partitions, capture)
	}
}

// captureOf tells of which capture the images of a set are, none of which may be of another.
func captureOf(t *testing.T, set []Image) string {
	t.Helper()
	for i, img := range set {
		if img.Source.Import != set[0].Source.Import || img.Source.Partition != i+1 {
			t.Errorf("the set is a mix: %+v", set)
		}
	}
	return set[0].Source.Import
}

// At every instant of publishing a set there is a whole one, also where no old revisions are kept.
func TestCrashWhilePublishingASet(t *testing.T) {
	t.Parallel()
	r := openWith(t, quickDir(t), Options{Keep: -1})
	cuts := newCutter(t, r)
	publishSet(t, r, "first", 3)
	staged := stageSet(t, r, "later", 3)
	cuts.start()
	if _, err := CommitSet(staged); err != nil {
		t.Fatal(err)
	}
	setIs(t, r, "later", 3)
	if revisions, err := r.Revisions("lab-p1"); err != nil || len(revisions) != 1 {
		t.Errorf("%d revisions are kept, %v, want 1", len(revisions), err)
	}
	seen := map[string]int{}
	for _, cut := range cuts.stop() {
		r := openWith(t, cut.dir, Options{Keep: -1})
		set, err := NewLibrary(r).Set("", "lab")
		if err != nil || len(set) != 3 {
			t.Fatalf("%s: %d images, %v", cut.step, len(set), err)
		}
		capture := captureOf(t, set)
		for _, img := range set {
			checkRevision(t, r, img)
		}
		seen[capture]++
		if t.Failed() {
			t.Fatal("at: " + cut.step)
		}
	}
	if seen["first"] == 0 || seen["later"] == 0 {
		t.Errorf("the copies have %v, want some of each", seen)
	}
}

// checkRevision requires that a revision's file is there and whole.
func checkRevision(t *testing.T, r *Repository, img Image) {
	t.Helper()
	f, err := r.OpenFile(img.Name, img.Revision)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil || digest(b) != img.Blake3 {
		t.Errorf("revision %d of %s: %v, or other bytes", img.Revision, img.Name, err)
	}
}

// An image that is captured on its own under the name of a member does not come into the set.
func TestSetPassesOverWhatIsNotOfIt(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	publishSet(t, r, "first", 2)
	publishFile(t, r, "lab-p2", imageFile(t, 90))
	setIs(t, r, "first", 2)
	publishSet(t, r, "second", 3)
	setIs(t, r, "second", 3)
	publishSet(t, r, "third", 2)
	setIs(t, r, "third", 2) // without lab-p3, which is of the second
}

// Without its images, a set is refused and says so; a conversion stays in it.
func TestSetOfWhichAnImageIsGone(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	first := publishSet(t, r, "first", 2)
	second := publishSet(t, r, "second", 2)
	if err := r.RemoveRevision("lab-p1", second[0].Revision); err != nil {
		t.Fatal(err)
	}
	setIs(t, r, "first", 2)
	if err := r.RemoveRevision("lab-p2", first[1].Revision); err != nil {
		t.Fatal(err)
	}
	if set, err := NewLibrary(r).Set("", "lab"); !errors.Is(err, ErrIncomplete) {
		t.Errorf("%d images, %v, want ErrIncomplete", len(set), err)
	}
	other := openRepository(t, t.TempDir())
	publishSet(t, other, "copied", 2)
	if set, err := NewLibrary(r, other).Set("", "lab"); err != nil || captureOf(t, set) != "copied" {
		t.Errorf("of two repositories: %d images, %v, want the whole set of the second", len(set), err)
	}
}

// A set that cannot be published whole leaves nothing behind.
func TestSetIsPublishedWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	publishSet(t, r, "first", 3)
	staged := stageSet(t, r, "second", 3)
	broken := errors.New("the disk is broken")
	staged[2].check = func() error { return broken }
	if _, err := CommitSet(staged); !errors.Is(err, broken) {
		t.Errorf("CommitSet: %v", err)
	}
	setIs(t, r, "first", 3)
	for n := 1; n <= 3; n++ {
		if revisions, err := r.Revisions(fmt.Sprintf("lab-p%d", n)); err != nil || len(revisions) != 1 {
			t.Errorf("lab-p%d: %d revisions, %v, want the first", n, len(revisions), err)
		}
	}
	unprepared, err := r.Stage("lab-p1", Source{Set: "lab"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := CommitSet([]*Staging{unprepared}); err == nil {
		t.Error("what was not prepared is published")
	}
	if left, err := os.ReadDir(r.Dir() + "/" + stagingDir); err != nil || len(left) != 0 {
		t.Errorf("staging has %d entries, %v", len(left), err)
	}
}
