package imagestore

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// Whoever asks for an image while it is being removed is refused, and does not hold what is gone.
func TestHoldOfWhatIsBeingRemoved(t *testing.T) {
	t.Parallel()
	tests := map[string]func(t *testing.T, r *Repository) error{
		"Remove":         func(_ *testing.T, r *Repository) error { return r.Remove("lab") },
		"RemoveRevision": func(_ *testing.T, r *Repository) error { return r.RemoveRevision("lab", 2) },
		"prune": func(t *testing.T, r *Repository) error {
			r.SetOptions(Options{Keep: 0, Announce: tracker})
			publishFile(t, r, "lab", imageFile(t, 3))
			return nil
		},
	}
	for name, remove := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := openWith(t, t.TempDir(), Options{Keep: 1, Trash: time.Hour})
			publishFile(t, r, "lab", imageFile(t, 1))
			publishFile(t, r, "lab", imageFile(t, 2))
			refused := 0
			r.folder.after = func(step, name string) {
				for _, n := range []int{1, 2} {
					release, err := r.Hold("lab", n, "restore on pc-07")
					switch {
					case err == nil:
						release()
					case errors.Is(err, ErrBusy):
						refused++
					case !errors.Is(err, ErrNotFound):
						t.Errorf("after %s %s: %v", step, name, err)
					}
				}
			}
			err := remove(t, r)
			r.folder.after = nil
			if err != nil {
				t.Fatal(err)
			}
			if name == "prune" {
				// It is out of the list before anything is done to its folder.
				checkImage(t, r, "lab", 3, imageFile(t, 3))
			} else if refused == 0 {
				t.Error("nobody was refused")
			}
			if r.going("lab", 1) || r.going("lab", 2) {
				t.Error("something is still being removed")
			}
		})
	}
}

// Large files take long to remove: nobody waits for it who wants to publish.
func TestFilesAreRemovedAfterTheCommit(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	r.SetOptions(Options{Keep: 0, Announce: tracker})
	publishFile(t, r, "lab", imageFile(t, 1))
	swept := 0
	r.folder.after = func(step, name string) {
		rest, staged := strings.CutPrefix(name, stagingDir+"/")
		if step != "remove" || !staged || !isTrashID(rest) {
			return
		}
		swept++
		if !r.commit.TryLock() {
			t.Errorf("commit is held while %s is removed", name)
			return
		}
		r.commit.Unlock()
	}
	publishFile(t, r, "lab", imageFile(t, 2)) // prunes
	publishFile(t, r, "lab2", imageFile(t, 2))
	for _, err := range []error{r.RemoveRevision("lab2", 1), r.Remove("lab")} {
		if err != nil {
			t.Error(err)
		}
	}
	if swept < 3 {
		t.Errorf("%d folders were removed", swept)
	}
	r.folder.after = nil
	checkClean(t, r)
}
