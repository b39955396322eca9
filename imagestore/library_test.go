package imagestore

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// openLibrary opens a library of repositories with these names, and closes them when the test ends.
func openLibrary(t *testing.T, names ...string) (*Library, []*Repository) {
	t.Helper()
	var all []*Repository
	for _, name := range names {
		all = append(all, openNamed(t, name, t.TempDir()))
	}
	return NewLibrary(all[0], all[1:]...), all
}

// openNamed opens a repository, which is closed when the test ends unless it is before.
func openNamed(t *testing.T, name, dir string) *Repository {
	t.Helper()
	r, err := Open(dir, Options{
		Name: name, Keep: 10, Trash: time.Hour, Announce: tracker, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestCopyKeepsTheRecord(t *testing.T) {
	t.Parallel()
	l, repos := openLibrary(t, "main", "attic")
	file := imageFile(t, 1)
	original := publishFile(t, repos[0], "lab", file)
	publishFile(t, repos[0], "lab", imageFile(t, 2))
	var last int64
	copied, err := l.Copy(t.Context(), "", "lab", 1, "attic", func(done, total int64) {
		if done < last || done > total || total != 2*original.FileBytes {
			t.Errorf("progress went from %d to %d of %d", last, done, total)
		}
		last = done
	})
	if err != nil {
		t.Fatal(err)
	}
	if copied.Repository != "attic" || copied.Revision != 1 || !copied.Created.Equal(original.Created) || copied.Source != original.Source ||
		copied.Info != original.Info || copied.Blake3 != original.Blake3 || last != 2*original.FileBytes {
		t.Errorf("the copy is %+v, the original %+v; progress ended at %d", copied, original, last)
	}
	checkImage(t, repos[1], "lab", 1, file)
	if layout, err := repos[1].Layout("lab", 1); err != nil || string(layout) != `{"version":1}` {
		t.Errorf("layout of the copy: %s, %v", layout, err)
	}
	if who := append(repos[0].Holders("lab"), repos[1].Holders("lab")...); len(who) > 0 {
		t.Errorf("still held by %v", who)
	}
}

func TestCopyThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	l, repos := openLibrary(t, "main", "attic")
	file := imageFile(t, 1)
	publishFile(t, repos[0], "lab", file)
	t.Run("the same repository", func(t *testing.T) {
		if _, err := l.Copy(t.Context(), "main", "lab", 0, "main", nil); !errors.Is(err, ErrExists) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no such repository", func(t *testing.T) {
		if _, err := l.Copy(t.Context(), "", "lab", 0, "cellar", nil); !errors.Is(err, ErrNoRepository) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no such revision", func(t *testing.T) {
		if _, err := l.Copy(t.Context(), "", "lab", 7, "attic", nil); !errors.Is(err, ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("cancelled in the middle", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := l.Copy(ctx, "", "lab", 0, "attic", func(int64, int64) { cancel() }); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("no room", func(t *testing.T) {
		repos[1].SetOptions(Options{Reserve: 1 << 62})
		defer repos[1].SetOptions(Options{})
		if _, err := l.Copy(t.Context(), "", "lab", 0, "attic", nil); !errors.Is(err, ErrNoSpace) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a file that was changed on the disk", func(t *testing.T) {
		changed := bytes.Clone(file)
		changed[len(changed)/2] ^= 1
		rewrite(t, filepath.Join(repos[0].Dir(), revisionsDir, "lab", "1", "lab.img"), changed)
		if _, err := l.Copy(t.Context(), "", "lab", 0, "attic", nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("got %v", err)
		}
	})
	checkClean(t, repos[1])
	if _, err := repos[1].Image("lab"); !errors.Is(err, ErrNotFound) {
		t.Errorf("there is a copy: %v", err)
	}
	if who := repos[0].Holders("lab"); len(who) > 0 {
		t.Errorf("still held by %v", who)
	}
}

func TestMoveTakesAllRevisions(t *testing.T) {
	t.Parallel()
	l, repos := openLibrary(t, "main", "attic")
	files := [][]byte{1: imageFile(t, 1), 2: imageFile(t, 2)}
	publishFile(t, repos[0], "lab", files[1])
	publishFile(t, repos[0], "lab", files[2])
	publishFile(t, repos[0], "other", files[1])
	moved, err := l.Move(t.Context(), "main", "lab", "attic", nil)
	if err != nil {
		t.Fatal(err)
	}
	if moved.Revision != 2 || moved.Repository != "attic" {
		t.Errorf("moved to revision %d in %s", moved.Revision, moved.Repository)
	}
	checkImage(t, repos[1], "lab", 2, files[2])
	if f, err := os.ReadFile(filepath.Join(repos[1].Dir(), revisionsDir, "lab", "1", "lab.img")); err != nil || !bytes.Equal(f, files[1]) {
		t.Errorf("the earlier revision did not come along: %d bytes, %v", len(f), err)
	}
	checkClean(t, repos[0], "other")
	if trash := repos[0].Trash(); len(trash) > 0 {
		t.Errorf("what was moved is in the trash: %v", trash)
	}
	if found, err := l.Image("", "lab"); err != nil || found.Repository != "attic" {
		t.Errorf("the library finds it in %q: %v", found.Repository, err)
	}
}

// TestMoveLeavesOutWhatTheOtherWouldNotKeep moves to a repository that keeps no earlier revisions.
func TestMoveLeavesOutWhatTheOtherWouldNotKeep(t *testing.T) {
	t.Parallel()
	l, repos := openLibrary(t, "main", "attic")
	repos[1].SetOptions(Options{Keep: 0, Announce: tracker})
	publishFile(t, repos[0], "lab", imageFile(t, 1))
	publishFile(t, repos[0], "lab", imageFile(t, 2))
	if _, err := l.Move(t.Context(), "main", "lab", "attic", nil); err != nil {
		t.Fatal(err)
	}
	checkImage(t, repos[1], "lab", 1, imageFile(t, 2))
	checkClean(t, repos[0])
}

func TestMoveThatFailsIsUndone(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		// when is done before the move, or in it, when the second revision is being copied.
		before, within func(t *testing.T, l *Library, repos []*Repository, cancel func())
		want           error
		revision       int
	}{
		{name: "in use", want: ErrBusy, revision: 2, before: func(t *testing.T, l *Library, repos []*Repository, _ func()) {
			release, err := l.Hold("", "lab", 1, "restore on pc-07")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(release)
		}},
		{name: "another of that name there", want: ErrExists, revision: 2, before: func(t *testing.T, l *Library, repos []*Repository, _ func()) {
			publishFile(t, repos[1], "lab", imageFile(t, 3))
		}},
		{name: "cancelled after the first revision", want: context.Canceled, revision: 2, within: func(t *testing.T, l *Library, repos []*Repository, cancel func()) {
			cancel()
		}},
		{name: "used meanwhile", want: ErrBusy, revision: 2, within: func(t *testing.T, l *Library, repos []*Repository, _ func()) {
			release, err := l.Hold("main", "lab", 2, "restore on pc-08")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(release)
		}},
		{name: "captured anew meanwhile", want: ErrBusy, revision: 3, within: func(t *testing.T, l *Library, repos []*Repository, _ func()) {
			publishFile(t, repos[0], "lab", imageFile(t, 3))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			l, repos := openLibrary(t, "main", "attic")
			publishFile(t, repos[0], "lab", imageFile(t, 1))
			publishFile(t, repos[0], "lab", imageFile(t, 2))
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if test.before != nil {
				test.before(t, l, repos, cancel)
			}
			there, _ := repos[1].Revisions("lab")
			done := false
			_, err := l.Move(ctx, "main", "lab", "attic", func(n, total int64) {
				if n > total/2 && !done && test.within != nil {
					done = true
					test.within(t, l, repos, cancel)
				}
			})
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			checkImage(t, repos[0], "lab", test.revision, imageFile(t, test.revision))
			if left, _ := repos[1].Revisions("lab"); len(left) != len(there) {
				t.Errorf("the other repository has %d revisions, had %d", len(left), len(there))
			}
		})
	}
}

// A capture into the other repository while a move goes on stays, and the move does not happen.
func TestMoveLeavesTheCapturesOfOthersAlone(t *testing.T) {
	t.Parallel()
	l, repos := openLibrary(t, "main", "attic")
	publishFile(t, repos[0], "lab", imageFile(t, 1))
	publishFile(t, repos[0], "lab", imageFile(t, 2))
	captured := false
	_, err := l.Move(t.Context(), "main", "lab", "attic", func(int64, int64) {
		if !captured {
			captured = true
			publishFile(t, repos[1], "lab", imageFile(t, 3))
		}
	})
	if !errors.Is(err, ErrExists) {
		t.Errorf("got %v", err)
	}
	checkImage(t, repos[0], "lab", 2, imageFile(t, 2))
	checkImage(t, repos[1], "lab", 1, imageFile(t, 3))
	if left, _ := repos[1].Revisions("lab"); len(left) != 1 {
		t.Errorf("%d revisions in the other repository, want the captured one", len(left))
	}
}

// A move whose last step fails, the removal of the original, leaves the original whole and no copies.
func TestMoveThatCannotRemoveIsUndone(t *testing.T) {
	t.Parallel()
	l, repos := openLibrary(t, "main", "attic")
	publishFile(t, repos[0], "lab", imageFile(t, 1))
	publishFile(t, repos[0], "lab", imageFile(t, 2))
	// A folder in the way of the ledger stands for a failing disk.
	if err := os.MkdirAll(filepath.Join(repos[0].Dir(), revisionsDir, "lab", ledgerFile, "x"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Move(t.Context(), "main", "lab", "attic", nil); err == nil {
		t.Error("no error")
	}
	checkImage(t, repos[0], "lab", 2, imageFile(t, 2))
	if revisions, _ := repos[0].Revisions("lab"); len(revisions) != 2 {
		t.Errorf("%d revisions are left, had 2", len(revisions))
	}
	checkClean(t, repos[1])
}

// A move that was killed goes on where it was, with the first or all of the copies there.
func TestMoveAgain(t *testing.T) {
	t.Parallel()
	for _, done := range []int{1, 2} {
		l, repos := openLibrary(t, "main", "attic")
		for n := range 2 {
			publishFile(t, repos[0], "lab", imageFile(t, n+1))
		}
		for n := range done {
			if _, err := l.Copy(t.Context(), "main", "lab", n+1, "attic", nil); err != nil {
				t.Fatal(err)
			}
		}
		img, err := l.Move(t.Context(), "main", "lab", "attic", nil)
		if err != nil || img.Revision != 2 {
			t.Fatalf("with %d copies there: revision %d, %v", done, img.Revision, err)
		}
		checkImage(t, repos[1], "lab", 2, imageFile(t, 2))
		checkClean(t, repos[0])
		checkClean(t, repos[1], "lab")
	}
}

// While revisions are copied none of them is seen, least of all an old one as the image.
func TestMoveShowsNoOldRevision(t *testing.T) {
	t.Parallel()
	l, repos := openLibrary(t, "main", "attic")
	publishFile(t, repos[1], "lab", imageFile(t, 1))
	publishFile(t, repos[1], "lab", imageFile(t, 2))
	who := ""
	_, err := l.Move(t.Context(), "attic", "lab", "main", func(int64, int64) {
		if img, err := l.Image("", "lab"); err != nil || img.Revision != 2 || img.Repository != "attic" {
			t.Errorf("during the move the image is revision %d in %s, %v", img.Revision, img.Repository, err)
		}
		who = strings.Join(repos[0].Holders("lab"), ", ")
	})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(who, "move from repository attic") || strings.Contains(who, "capture") {
		t.Errorf("there it was held by %q", who)
	}
}

func TestAddRefusesWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	l, repos := openLibrary(t, "main")
	for name, r := range map[string]*Repository{
		"a name that is taken":   openNamed(t, "main", t.TempDir()),
		"a folder in another's":  openNamed(t, "inner", filepath.Join(repos[0].Dir(), "inner")),
		"a folder around others": openNamed(t, "outer", filepath.Dir(repos[0].Dir())),
	} {
		if err := l.Add(r); !errors.Is(err, ErrRepositoryExists) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := len(l.Repositories()); got != 1 {
		t.Errorf("%d repositories", got)
	}
}

func TestDropWaitsForNobody(t *testing.T) {
	t.Parallel()
	l, repos := openLibrary(t, "main", "attic", "cellar")
	publishFile(t, repos[1], "lab", imageFile(t, 1))
	if err := l.Drop("main"); err == nil {
		t.Error("the first repository was dropped")
	}
	if err := l.Drop("loft"); !errors.Is(err, ErrNoRepository) {
		t.Errorf("dropping one that is not there: %v", err)
	}
	release, err := l.Hold("attic", "lab", 1, "restore on pc-07")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Drop("attic"); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), "restore on pc-07") {
		t.Errorf("dropping one in use: %v", err)
	}
	release()
	staging := stageFile(t, repos[1], "next", imageFile(t, 2))
	if err := l.Drop("attic"); !errors.Is(err, ErrBusy) {
		t.Errorf("dropping one in which an image arrives: %v", err)
	}
	if got := l.Repositories()[1].Name(); got != "attic" {
		t.Errorf("after the refusals the second repository is %s", got)
	}
	if err := staging.Abort(); err != nil {
		t.Error(err)
	}
	if err := l.Drop("attic"); err != nil {
		t.Error(err)
	}
	if _, err := l.Image("", "lab"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an image of the dropped repository: %v", err)
	}
	again := openNamed(t, "attic", repos[1].Dir()) // which its lock would refuse if it were open
	checkImage(t, again, "lab", 1, imageFile(t, 1))
}

// A repository that may not be dropped is never missing from the library.
func TestDropThatIsRefusedIsNotSeen(t *testing.T) {
	t.Parallel()
	l, repos := openLibrary(t, "main", "attic")
	staging := stageFile(t, repos[1], "lab", imageFile(t, 1))
	defer staging.Abort()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 500 {
			if err := l.Drop("attic"); !errors.Is(err, ErrBusy) {
				t.Errorf("got %v", err)
			}
		}
	}()
	for {
		if _, err := l.Repository("attic"); err != nil {
			t.Error(err)
		}
		select {
		case <-ended:
			return
		default:
		}
	}
}

// TestRunRunsEveryRepository drops a file into the folder of each: only Run takes it in.
func TestRunRunsEveryRepository(t *testing.T) {
	t.Parallel()
	changed := make(chan struct{}, 1)
	open := func(name string) *Repository {
		r := openNamed(t, name, t.TempDir())
		r.opt.Changed = func(string) {
			select {
			case changed <- struct{}{}:
			default: // it will look again anyway
			}
		}
		return r
	}
	repos := []*Repository{open("main"), open("attic"), open("late")}
	l := NewLibrary(repos[0], repos[1])
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	if err := l.Add(repos[2]); err != nil {
		t.Fatal(err)
	}
	for _, r := range repos {
		dropIn(t, r, "lab", imageFile(t, 1))
	}
	deadline := time.After(time.Minute)
	lacks := func(r *Repository) bool { s, _ := r.Standing("lab"); return s.State != Ready }
	for slices.ContainsFunc(repos, lacks) {
		select {
		case <-changed:
		case <-deadline:
			t.Fatal("not every repository takes the file in")
		}
	}
	if err := l.Drop("late"); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// dropIn puts an image file into the repository's folder as a person does.
func dropIn(t *testing.T, r *Repository, name string, file []byte) {
	t.Helper()
	part := filepath.Join(r.Dir(), name+".part")
	if err := os.WriteFile(part, file, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(part, filepath.Join(r.Dir(), name+".img")); err != nil {
		t.Fatal(err)
	}
}
