package imagestore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// drop puts a file into a repository's folder, as somebody's cp would.
func drop(t testing.TB, r *Repository, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.Dir(), file), data, 0o644); err != nil {
		t.Fatal(err)
	}
	written()
}

// remove and rename do what somebody's rm and mv do.
func remove(t testing.TB, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

func rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// written waits until no program that another test was just starting has the test's files open for writing, as its process
// has for an instant: such a file is taken for one that somebody still writes.
func written() {
	syscall.ForkLock.Lock()
	defer syscall.ForkLock.Unlock()
}

// checkStanding makes sure how an image stands. problem is a part of what is said of it.
func checkStanding(t testing.TB, r *Repository, name string, state State, problem string) {
	t.Helper()
	s, ok := r.Standing(name)
	if !ok {
		t.Errorf("nothing is known of %s, want %s", name, state)
		return
	}
	if s.State != state || !strings.Contains(s.Problem, problem) || problem == "" && s.Problem != "" {
		t.Errorf("%s is %s, %q, want %s, %q", name, s.State, s.Problem, state, problem)
	}
}

func TestDrop(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	files := [][]byte{1: imageFile(t, 1), 2: imageFile(t, 2), 3: imageFile(t, 3)}
	drop(t, r, "lab.img", files[1])
	before, err := os.Stat(filepath.Join(r.Dir(), "lab.img"))
	if err != nil {
		t.Fatal(err)
	}
	readAgain(t, r)
	checkImage(t, r, "lab", 1, files[1])
	checkStanding(t, r, "lab", Ready, "")
	after, err := os.Stat(filepath.Join(r.Dir(), "lab.img"))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the file was copied: %v", err)
	}

	t.Run("NAME.dsk and NAME.pgz become NAME", func(t *testing.T) {
		drop(t, r, "lab.dsk", files[2])
		readAgain(t, r)
		checkImage(t, r, "lab", 2, files[2])
		drop(t, r, "lab.pgz", files[3])
		readAgain(t, r)
		checkImage(t, r, "lab", 3, files[3])
		checkClean(t, r, "lab")
	})
	t.Run("other extension, then renamed", func(t *testing.T) {
		drop(t, r, "win.new", files[1])
		readAgain(t, r)
		if s, ok := r.Standing("win"); ok {
			t.Errorf("a file that is no .img stands as %+v", s)
		}
		if err := os.Rename(filepath.Join(r.Dir(), "win.new"), filepath.Join(r.Dir(), "win.img")); err != nil {
			t.Fatal(err)
		}
		readAgain(t, r)
		checkImage(t, r, "win", 1, files[1])
	})
	t.Run("folders are left alone", func(t *testing.T) {
		if err := os.MkdirAll(filepath.Join(r.Dir(), "groups.img"), 0o755); err != nil {
			t.Fatal(err)
		}
		readAgain(t, r)
		if s, ok := r.Standing("groups"); ok {
			t.Errorf("a folder stands as %+v", s)
		}
	})
}

// TestDropOver puts files where a revision's link is, in every way in which people do.
func TestDropOver(t *testing.T) {
	t.Parallel()
	files := [][]byte{1: imageFile(t, 1), 2: imageFile(t, 2)}
	path := func(r *Repository, file string) string { return filepath.Join(r.Dir(), file) }
	tests := []struct {
		name      string
		do        func(t *testing.T, r *Repository)
		revision  int
		revisions int // that are there in the end
		file      int
	}{
		{"renamed over the link", func(t *testing.T, r *Repository) {
			drop(t, r, "lab.tmp", files[2])
			rename(t, path(r, "lab.tmp"), path(r, "lab.img"))
		}, 2, 2, 2},
		{"link removed, then copied", func(t *testing.T, r *Repository) {
			remove(t, path(r, "lab.img"))
			drop(t, r, "lab.img", files[2])
		}, 2, 2, 2},
		{"written over in place", func(t *testing.T, r *Repository) { rewrite(t, path(r, "lab.img"), files[2]) }, 2, 1, 2},
		{"the same file once more", func(t *testing.T, r *Repository) {
			remove(t, path(r, "lab.img"))
			drop(t, r, "lab.img", files[1])
		}, 1, 1, 1},
		{"touched", func(t *testing.T, r *Repository) {
			if err := os.Chtimes(path(r, "lab.img"), time.Time{}, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}, 1, 1, 1},
		{"link removed", func(t *testing.T, r *Repository) { remove(t, path(r, "lab.img")) }, 1, 1, 1},
		{"sums and torrent removed", func(t *testing.T, r *Repository) {
			remove(t, path(r, "lab.img.sum"))
			remove(t, path(r, "lab.img.torrent"))
		}, 1, 1, 1},
		{"other files renamed over the sidecars", func(t *testing.T, r *Repository) {
			for _, suffix := range []string{sumSuffix, infoSuffix, recordSuffix, chunksSuffix, layoutSuffix} {
				drop(t, r, "other", []byte("of another image"))
				rename(t, path(r, "other"), path(r, "lab"+suffix))
			}
		}, 1, 1, 1},
		{"symbolic links in place of the sidecars", func(t *testing.T, r *Repository) {
			for _, suffix := range []string{fullSumSuffix, torrentSuffix} {
				remove(t, path(r, "lab"+suffix))
				if err := os.Symlink("/etc/passwd", path(r, "lab"+suffix)); err != nil {
					t.Fatal(err)
				}
			}
		}, 1, 1, 1},
		{"link renamed to what is no image", func(t *testing.T, r *Repository) {
			rename(t, path(r, "lab.img"), path(r, "lab.old"))
			drop(t, r, "lab.img", files[2])
		}, 2, 2, 2},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := openRepository(t, dir)
			s := stageFile(t, r, "lab", files[1])
			if _, err := s.Publish(t.Context(), digest(files[1]), nil); err != nil {
				t.Fatal(err)
			}
			test.do(t, r)
			readAgain(t, r)
			for range 2 { // as it is, and as it is found again
				checkImage(t, r, "lab", test.revision, files[test.file])
				checkStanding(t, r, "lab", Ready, "")
				if revisions, err := r.Revisions("lab"); err != nil || len(revisions) != test.revisions {
					t.Errorf("revisions = %v, %v, want %d", revisions, err, test.revisions)
				}
				r.Close()
				r = openRepository(t, dir)
				readAgain(t, r)
			}
		})
	}
}

// TestRenameAside makes an image of a link that somebody has renamed to another image's name.
func TestRenameAside(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	files := [][]byte{1: imageFile(t, 1), 2: imageFile(t, 2)}
	drop(t, r, "lab.img", files[1])
	readAgain(t, r)
	if err := os.Rename(filepath.Join(r.Dir(), "lab.img"), filepath.Join(r.Dir(), "lab-2025.img")); err != nil {
		t.Fatal(err)
	}
	drop(t, r, "lab.img", files[2])
	readAgain(t, r)
	checkImage(t, r, "lab", 2, files[2])
	checkImage(t, r, "lab-2025", 1, files[1])
	if err := r.Remove("lab"); err != nil {
		t.Fatal(err)
	}
	checkImage(t, r, "lab-2025", 1, files[1])
	checkClean(t, r, "lab-2025")
}

// TestDropBad puts things into the folder that cannot be images. They stay as they are, and the reason is told.
func TestDropBad(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "outside")
	if err := os.WriteFile(outside, imageFile(t, 3), 0o600); err != nil {
		t.Fatal(err)
	}
	good := imageFile(t, 2)
	flipped := append([]byte{}, good...)
	flipped[len(flipped)/2] ^= 1
	tests := []struct {
		name, file, image string
		put               func(path string) error
		problem           string
	}{
		{"no image", "lab.img", "lab", func(p string) error { return os.WriteFile(p, []byte("hello"), 0o600) }, "not a disk image"},
		{"empty", "lab.img", "lab", func(p string) error { return os.WriteFile(p, nil, 0o600) }, "empty"},
		{"truncated", "lab.img", "lab", func(p string) error { return os.WriteFile(p, good[:len(good)/2], 0o600) }, "copy it again"},
		{"a bit differs", "lab.img", "lab", func(p string) error { return os.WriteFile(p, flipped, 0o600) }, "copy it again"},
		{"link out of the folder", "lab.img", "lab", func(p string) error { return os.Symlink(outside, p) }, "no ordinary file"},
		{"link within the folder", "lab.img", "lab", func(p string) error { return os.Symlink("other.img", p) }, "no ordinary file"},
		{"link to nothing", "lab.img", "lab", func(p string) error { return os.Symlink("nothing", p) }, "no ordinary file"},
		{"fifo", "lab.img", "lab", func(p string) error { return unix.Mkfifo(p, 0o600) }, "no ordinary file"},
		{"name with spaces", "My lab.img", "My lab", func(p string) error { return os.WriteFile(p, good, 0o600) }, `"My_lab" would do: rename`},
		{"name with accents", "Aula José.img", "Aula José", func(p string) error { return os.WriteFile(p, good, 0o600) }, `"Aula_Jose" would do`},
		{"name that is too long", strings.Repeat("x", 140) + ".img", strings.Repeat("x", 140), func(p string) error { return os.WriteFile(p, good, 0o600) }, "longer than 128"},
		{"name with a line break", "a\nb.img", "a\nb", func(p string) error { return os.WriteFile(p, good, 0o600) }, `"a_b" would do`},
		{"name that is no UTF-8", "a\xFFb.img", "a\xFFb", func(p string) error { return os.WriteFile(p, good, 0o600) }, "not a canonical image name"},
	}
	if os.Geteuid() == 0 {
		tests = append(tests, tests[0])
		last := &tests[len(tests)-1]
		last.name, last.problem = "device", "no ordinary file"
		last.put = func(p string) error { return unix.Mknod(p, unix.S_IFBLK|0o600, int(unix.Mkdev(7, 0))) }
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := openRepository(t, t.TempDir())
			drop(t, r, "other.img", imageFile(t, 1))
			path := filepath.Join(r.Dir(), test.file)
			if err := test.put(path); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			readAgain(t, r)
			checkStanding(t, r, test.image, Damaged, test.problem)
			checkStanding(t, r, "other", Ready, "")
			if after, err := os.Lstat(path); err != nil || stampOf(after) != stampOf(before) || after.Mode() != before.Mode() {
				t.Errorf("the file is not as it was: %v", err)
			}
			if list := r.Standings(); len(list) != 2 {
				t.Errorf("standings = %+v", list)
			}
			// It is not tried again until it changes.
			if err := r.scan(); err != nil || r.workOne(t.Context()) {
				t.Errorf("it is tried again: %v", err)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			readAgain(t, r)
			if s, ok := r.Standing(test.image); ok {
				t.Errorf("it is gone and stands as %+v", s)
			}
		})
	}
}

// TestDropRepaired takes in a file that was damaged when it has been copied again.
func TestDropRepaired(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	file := imageFile(t, 1)
	drop(t, r, "lab.img", file[:len(file)/2])
	readAgain(t, r)
	checkStanding(t, r, "lab", Damaged, "copy it again")
	drop(t, r, "lab.img", file)
	readAgain(t, r)
	checkImage(t, r, "lab", 1, file)
	checkStanding(t, r, "lab", Ready, "")
}

// TestDropWithSums compares a file with the sums that came with it and not with those of another.
func TestDropWithSums(t *testing.T) {
	t.Parallel()
	file := imageFile(t, 1)
	tests := []struct {
		name    string
		sum     string
		fullSum string
		age     time.Duration // of the sums, against that of the image
		warning string
	}{
		{"none", "", "", 0, ""},
		{"right", md5Of(file), md5Of(file), 0, ""},
		{"upper case and a file name behind, as md5sum writes it", "", strings.ToUpper(md5Of(file)) + "  lab.img", 0, ""},
		{"wrong", "", md5Of([]byte("x")), 0, "lab.img.full.sum came with it"},
		{"wrong .sum", md5Of([]byte("x")), md5Of(file), 0, "lab.img.sum came with it"},
		{"older than the image", md5Of([]byte("x")), md5Of([]byte("x")), time.Hour, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := openRepository(t, t.TempDir())
			now := time.Now()
			drop(t, r, "lab.img", file)
			os.Chtimes(filepath.Join(r.Dir(), "lab.img"), now, now)
			drop(t, r, "lab.img.torrent", []byte("d4:infodee"))
			for name, sum := range map[string]string{"lab.img.sum": test.sum, "lab.img.full.sum": test.fullSum} {
				if sum != "" {
					drop(t, r, name, []byte(sum+"\n"))
					os.Chtimes(filepath.Join(r.Dir(), name), now, now.Add(-test.age))
				}
			}
			readAgain(t, r)
			checkImage(t, r, "lab", 1, file)
			s, _ := r.Standing("lab")
			if got := strings.Join(s.Warnings, "\n"); s.State != Ready || (test.warning == "") != (got == "") || !strings.Contains(got, test.warning) {
				t.Errorf("%s, warnings %q, want %q", s.State, got, test.warning)
			}
		})
	}
}

// TestChangedByHand no longer hands out a published file that somebody has changed.
func TestChangedByHand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := openRepository(t, dir)
	publishFile(t, r, "lab", imageFile(t, 1))
	publishFile(t, r, "lab", imageFile(t, 2))
	rewrite(t, filepath.Join(dir, "lab.img"), []byte("not what was published"))
	for range 2 {
		if _, err := r.OpenFile("lab", 2); !errors.Is(err, ErrDamaged) {
			t.Errorf("opening it: %v", err)
		}
		if _, err := r.Hold("lab", 2, "restore on pc-07"); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "changed") {
			t.Errorf("holding it: %v", err)
		}
		readAgain(t, r)
		checkStanding(t, r, "lab", Damaged, "or remove revision 2")
		r.Close()
		r = openRepository(t, dir)
	}
	if err := r.RemoveRevision("lab", 2); err != nil {
		t.Fatal(err)
	}
	readAgain(t, r)
	checkImage(t, r, "lab", 1, imageFile(t, 1))
	checkStanding(t, r, "lab", Ready, "")
}

// TestLayoutStays keeps the layout beside an image that somebody has written over.
func TestLayoutStays(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	publishFile(t, r, "lab", imageFile(t, 1))
	rewrite(t, filepath.Join(r.Dir(), "lab.img"), imageFile(t, 2))
	readAgain(t, r)
	checkImage(t, r, "lab", 2, imageFile(t, 2))
	if layout, err := r.Layout("lab", 2); err != nil || string(layout) != `{"version":1}` {
		t.Errorf("layout = %s, %v", layout, err)
	}
}

// TestSettle runs the repository while somebody copies a file into it slowly.
func TestSettle(t *testing.T) {
	t.Parallel()
	file, dir := imageFile(t, 1), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		var told []State
		var r *Repository
		r, err := Open(dir, Options{Name: "main", Announce: tracker, Settle: 30 * time.Second, Changed: func(name string) {
			if s, ok := r.Standing(name); ok && (len(told) == 0 || told[len(told)-1] != s.State) {
				told = append(told, s.State)
			}
		}})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- r.Run(ctx) }()
		path := filepath.Join(dir, "lab.img")
		for i := range 10 {
			part := file[:len(file)*(i+1)/10]
			if err := os.WriteFile(path, part, 0o600); err != nil {
				t.Fatal(err)
			}
			os.Chtimes(path, time.Now(), time.Now())
			time.Sleep(29 * time.Second)
			checkStanding(t, r, "lab", Arriving, "")
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		checkImage(t, r, "lab", 1, file)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if len(told) < 3 || told[0] != Arriving || told[1] != Processing || told[len(told)-1] != Ready {
			t.Errorf("it was told to be %v", told)
		}
	})
}

// TestChangedWhileRead does not publish a file that somebody has touched since it settled.
func TestChangedWhileRead(t *testing.T) {
	t.Parallel()
	file := imageFile(t, 1)
	t.Run("replaced before it is opened", func(t *testing.T) {
		t.Parallel()
		r := openRepository(t, t.TempDir())
		drop(t, r, "lab.img", file)
		if err := r.scan(); err != nil {
			t.Fatal(err)
		}
		os.Remove(filepath.Join(r.Dir(), "lab.img"))
		drop(t, r, "lab.img", imageFile(t, 2))
		n, ok := r.nextNewcomer()
		if !ok {
			t.Fatal("there is no newcomer")
		}
		r.takeIn(t.Context(), n)
		checkStanding(t, r, "lab", Arriving, "")
		readAgain(t, r)
		checkImage(t, r, "lab", 1, imageFile(t, 2))
	})
	t.Run("touched while it is read", func(t *testing.T) {
		t.Parallel()
		var r *Repository
		path, touched := "", false
		r = openWith(t, t.TempDir(), Options{Changed: func(name string) {
			if s, _ := r.Standing(name); s.State == Processing && s.Total > 0 && !touched {
				touched = true
				os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour))
			}
		}})
		path = filepath.Join(r.Dir(), "lab.img")
		drop(t, r, "lab.img", file)
		if err := r.scan(); err != nil {
			t.Fatal(err)
		}
		n, ok := r.nextNewcomer()
		if !ok {
			t.Fatal("there is no newcomer")
		}
		r.takeIn(t.Context(), n)
		if !touched {
			t.Fatal("it was not touched")
		}
		checkStanding(t, r, "lab", Arriving, "")
		if img, err := r.Image("lab"); err == nil {
			t.Errorf("it is published as %+v", img)
		}
		readAgain(t, r)
		checkImage(t, r, "lab", 1, file)
	})
}

// TestReplacedWhileRead renames another file over one that is being read: it is the only copy, and the next revision.
func TestReplacedWhileRead(t *testing.T) {
	t.Parallel()
	files := [][]byte{1: imageFile(t, 1), 2: imageFile(t, 2)}
	tests := []struct {
		name, file string
		before     int // revisions that have the bytes of the file already
	}{
		{"NAME.img", "lab.img", 0},
		{"NAME.dsk", "lab.dsk", 0},
		{"NAME.img, the same as the current revision", "lab.img", 1},
		{"NAME.dsk, the same as the current revision", "lab.dsk", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := openRepository(t, t.TempDir())
			path := filepath.Join(r.Dir(), test.file)
			if test.before > 0 {
				publishFile(t, r, "lab", files[1])
				if test.file == "lab.img" {
					remove(t, path)
				}
			}
			drop(t, r, test.file, files[1])
			replaced := false
			r.folder.after = func(step, name string) {
				if step == "sync" && strings.HasSuffix(name, chunksSuffix) && !replaced {
					replaced = true
					drop(t, r, "lab.new", files[2])
					rename(t, filepath.Join(r.Dir(), "lab.new"), path)
				}
			}
			if err := r.scan(); err != nil {
				t.Fatal(err)
			}
			r.workOne(t.Context())
			r.folder.after = nil
			if !replaced {
				t.Fatal("it was not replaced")
			}
			readAgain(t, r)
			checkImage(t, r, "lab", 2, files[2])
			checkStanding(t, r, "lab", Ready, "")
			if first, err := r.Revision("lab", 1); err != nil || first.Blake3 != digest(files[1]) {
				t.Errorf("revision 1 = %+v, %v", first, err)
			}
			checkClean(t, r, "lab")
		})
	}
}

// TestReplacedBeforeRemoval renames a file over what is left of a revision's between the look at it and its removal.
func TestReplacedBeforeRemoval(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	drop(t, r, "lab.dsk", imageFile(t, 1))
	info, err := r.folder.root.Lstat("lab.dsk")
	if err != nil {
		t.Fatal(err)
	}
	drop(t, r, "lab.new", imageFile(t, 2))
	rename(t, filepath.Join(r.Dir(), "lab.new"), filepath.Join(r.Dir(), "lab.dsk"))
	r.leftOver("lab.dsk", stampOf(info))
	readAgain(t, r)
	checkImage(t, r, "lab", 1, imageFile(t, 2))
}

// TestReplacedWhileLinked renames a file over the link of a revision while its links are renewed.
func TestReplacedWhileLinked(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	publishFile(t, r, "lab", imageFile(t, 1))
	replaced := false
	r.folder.after = func(step, name string) {
		if step == "remove" && name == "lab"+sumSuffix && !replaced {
			replaced = true
			drop(t, r, "lab.new", imageFile(t, 3))
			rename(t, filepath.Join(r.Dir(), "lab.new"), filepath.Join(r.Dir(), "lab.img"))
		}
	}
	publishFile(t, r, "lab", imageFile(t, 2))
	r.folder.after = nil
	if !replaced {
		t.Fatal("it was not replaced")
	}
	readAgain(t, r)
	checkImage(t, r, "lab", 3, imageFile(t, 3))
	if img, err := r.Revision("lab", 2); err != nil || img.Blake3 != digest(imageFile(t, 2)) {
		t.Errorf("revision 2 = %+v, %v", img, err)
	}
	checkClean(t, r, "lab")
}

// TestOldRevisionStaysOld does not make what is left of an old revision the current image.
func TestOldRevisionStaysOld(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		spoil   func(t *testing.T, home string)
		warning string
	}{
		{"its record cannot be read", func(t *testing.T, home string) { rewrite(t, home+recordSuffix, []byte("{")) }, "revision 1: image record"},
		{"its file was written over", func(t *testing.T, home string) { rewrite(t, home+imageSuffix, imageFile(t, 3)) }, "or remove revision 1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			r := openRepository(t, dir)
			publishFile(t, r, "lab", imageFile(t, 1))
			publishFile(t, r, "lab", imageFile(t, 2))
			r.Close()
			test.spoil(t, filepath.Join(dir, revisionPath("lab", 1), "lab"))
			for range 2 {
				r = openRepository(t, dir)
				readAgain(t, r)
				readAgain(t, r)
				checkImage(t, r, "lab", 2, imageFile(t, 2))
				if s, _ := r.Standing("lab"); s.State != Ready || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], test.warning) {
					t.Errorf("standing = %+v, want a warning with %q", s, test.warning)
				}
				if !r.folder.exists(revisionFile("lab", 1, imageSuffix)) {
					t.Error("its file was removed")
				}
				r.Close()
			}
			// Without the newer one it is the best that there is.
			r = openRepository(t, dir)
			readAgain(t, r)
			if err := r.RemoveRevision("lab", 2); err != nil {
				t.Fatal(err)
			}
			readAgain(t, r)
			if img, err := r.Image("lab"); err != nil || img.Revision != 3 {
				t.Errorf("image = %+v, %v, want revision 3", img, err)
			}
			checkStanding(t, r, "lab", Ready, "")
		})
	}
	t.Run("no record can be read", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		r := openRepository(t, dir)
		for n := range 11 { // 10 sorts before 9
			publishFile(t, r, "lab", imageFile(t, n))
		}
		r.Close()
		for n := range 11 {
			rewrite(t, filepath.Join(dir, revisionFile("lab", n+1, recordSuffix)), []byte("{"))
		}
		r = openRepository(t, dir)
		readAgain(t, r)
		checkImage(t, r, "lab", 12, imageFile(t, 10))
	})
}

// TestBeingWritten leaves a file alone as long as somebody has it open for writing, however long that takes.
func TestBeingWritten(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	file := imageFile(t, 1)
	f, err := os.Create(filepath.Join(r.Dir(), "lab.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(file[:1000]); err != nil {
		t.Fatal(err)
	}
	if !r.beingWritten("lab.img") {
		t.Skip("SKIPPED: this file system does not tell who writes a file")
	}
	readAgain(t, r)
	checkStanding(t, r, "lab", Arriving, "")
	if _, err := f.Write(file[1000:]); err != nil {
		t.Fatal(err)
	}
	f.Close()
	readAgain(t, r)
	checkImage(t, r, "lab", 1, file)
}

func TestNewcomer(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const settle = time.Minute
	seen := func(size int64) sighting {
		return sighting{path: "lab.img", name: "lab", stamp: stamp{inode: 1, size: size}}
	}
	arriving := newcomer{}.observe(seen(10), false, start)
	if arriving.state != Arriving || arriving.settled(start.Add(settle-1), settle) || !arriving.settled(start.Add(settle), settle) {
		t.Errorf("new file: %+v", arriving)
	}
	if n := arriving.observe(seen(10), true, start.Add(settle)); n != arriving {
		t.Errorf("unchanged file: %+v, want %+v", n, arriving)
	}
	if n := arriving.observe(seen(11), true, start.Add(settle)); n.settled(start.Add(settle), settle) {
		t.Errorf("file that grows has settled: %+v", n)
	}
	processing := arriving
	processing.state = Processing
	if n := processing.observe(seen(11), true, start); n != processing {
		t.Errorf("file that grows while it is read: %+v", n)
	}
	damaged := arriving
	damaged.state, damaged.problem = Damaged, "no image"
	if n := damaged.observe(seen(10), true, start.Add(time.Hour)); n != damaged {
		t.Errorf("damaged file that is as it was: %+v", n)
	}
	if n := damaged.observe(seen(11), true, start.Add(time.Hour)); n.state != Arriving || n.problem != "" {
		t.Errorf("damaged file that was changed: %+v", n)
	}
	damaged.again = start.Add(retryAfter)
	if n := damaged.observe(seen(10), true, start.Add(retryAfter-1)); n != damaged {
		t.Errorf("no room, too early: %+v", n)
	}
	if n := damaged.observe(seen(10), true, start.Add(retryAfter)); n.state != Arriving {
		t.Errorf("no room, tried again: %+v", n)
	}
}
