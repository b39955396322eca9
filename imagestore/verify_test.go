package imagestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"aula/imagestore/format"
)

// flip changes one bit of a revision's file as a bad disk does: size and times stay.
func flip(t testing.TB, r *Repository, name string, revision int) {
	t.Helper()
	path := filepath.Join(r.Dir(), revisionFile(name, revision, imageSuffix))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	os.Chmod(path, 0o600)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, info.Size()/2); err != nil {
		t.Fatal(err)
	}
	os.Chtimes(path, time.Time{}, info.ModTime())
}

func TestVerify(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), newClock()
	opt := Options{Now: clock.now, Trash: time.Hour}
	r := openWith(t, dir, opt)
	files := [][]byte{1: imageFile(t, 1), 2: imageFile(t, 2)}
	publishFile(t, r, "lab", files[1])
	publishFile(t, r, "lab", files[2])
	published := clock.Time
	clock.Time = clock.Add(time.Hour)
	var done, total int64
	if err := r.Verify(t.Context(), "lab", 2, func(d, n int64) { done, total = d, n }); err != nil {
		t.Fatal(err)
	}
	if done != int64(len(files[2])) || total != done {
		t.Errorf("progress ended at %d of %d", done, total)
	}
	check := func(revision int, want time.Time) {
		t.Helper()
		if got, err := r.VerifiedAt("lab", revision); err != nil || !got.Equal(want) {
			t.Errorf("revision %d was verified at %v, %v, want %v", revision, got, err, want)
		}
	}
	verified := clock.Time
	for range 2 {
		check(1, published)
		check(2, verified)
		r.Close()
		r = openWith(t, dir, opt)
	}
	if _, err := r.VerifiedAt("lab", 3); !errors.Is(err, ErrNotFound) {
		t.Errorf("a revision that is not there: %v", err)
	}
	if err := r.Verify(t.Context(), "lab", 3, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("verifying what is not there: %v", err)
	}

	flip(t, r, "lab", 2)
	clock.Time = clock.Add(time.Hour)
	if err := r.Verify(t.Context(), "lab", 2, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("a bit differs: %v", err)
	}
	for range 2 {
		check(2, verified)
		checkStanding(t, r, "lab", Damaged, "capture the image again")
		if _, err := r.OpenFile("lab", 2); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "restore an older revision") {
			t.Errorf("opening it: %v", err)
		}
		if _, err := r.Hold("lab", 2, "restore on pc-07"); !errors.Is(err, ErrDamaged) {
			t.Errorf("holding it: %v", err)
		}
		if f, err := r.OpenFile("lab", 1); err != nil {
			t.Errorf("the revision before: %v", err)
		} else {
			f.Close()
		}
		r.Close()
		r = openWith(t, dir, opt)
	}
	flip(t, r, "lab", 2)
	if err := r.Verify(t.Context(), "lab", 2, nil); err != nil {
		t.Errorf("it is as it was: %v", err)
	}
	checkStanding(t, r, "lab", Ready, "")
	checkImage(t, r, "lab", 2, files[2])

	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.Verify(ctx, "lab", 2, nil); !errors.Is(err, context.Canceled) || errors.Is(err, ErrDamaged) {
			t.Errorf("got %v", err)
		}
		checkStanding(t, r, "lab", Ready, "")
	})
	t.Run("file is shorter", func(t *testing.T) {
		os.Truncate(filepath.Join(dir, revisionFile("lab", 1, imageSuffix)), 100)
		if err := r.Verify(t.Context(), "lab", 1, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("got %v", err)
		}
		checkStanding(t, r, "lab", Ready, "") // revision 2 is good
		if s, _ := r.Standing("lab"); len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "revision 1") {
			t.Errorf("warnings = %q", s.Warnings)
		}
	})
	t.Run("replaced by a new capture", func(t *testing.T) {
		flip(t, r, "lab", 2)
		if err := r.Verify(t.Context(), "lab", 2, nil); !errors.Is(err, ErrDamaged) {
			t.Errorf("got %v", err)
		}
		publishFile(t, r, "lab", files[1])
		checkStanding(t, r, "lab", Ready, "")
	})
	t.Run("damaged in the trash and back", func(t *testing.T) {
		if err := r.Remove("lab"); err != nil {
			t.Fatal(err)
		}
		if err := r.Undelete(onlyTrashed(t, r).ID); err != nil {
			t.Fatal(err)
		}
		if _, err := r.OpenFile("lab", 2); !errors.Is(err, ErrDamaged) {
			t.Errorf("opening it: %v", err)
		}
	})
}

// TestVerifySidecars makes sidecars anew that are not what they should be.
func TestVerifySidecars(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	file := imageFile(t, 1)
	publishFile(t, r, "lab", file)
	img, err := r.Image("lab")
	if err != nil {
		t.Fatal(err)
	}
	wrong := bytes.Clone(file)
	wrong[0] ^= 1
	foreign := torrentOf(t, img, wrong, 0) // of another file of that name and length
	tests := []struct {
		suffix string
		data   []byte
	}{
		{sumSuffix, []byte(md5Of([]byte("x")) + "\n")}, {fullSumSuffix, []byte("something else")}, {infoSuffix, []byte("something else")},
		{torrentSuffix, []byte("something else")}, {torrentSuffix, foreign}, {chunksSuffix, []byte("something else")},
	}
	for _, test := range tests {
		rewrite(t, filepath.Join(r.Dir(), "lab"+test.suffix), test.data)
		if err := r.Verify(t.Context(), "lab", 1, nil); err != nil {
			t.Errorf("%s: %v", test.suffix, err)
		}
		checkImage(t, r, "lab", 1, file)
		checkClean(t, r, "lab")
	}
}

// TestVerifyLayout finds that a layout was changed, which cannot be made anew and without which the image can be used.
func TestVerifyLayout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := openRepository(t, dir)
	file := imageFile(t, 1)
	publishFile(t, r, "lab", file)
	layout := filepath.Join(dir, "lab.img.layout")
	for range 2 { // as it was published, and as it is found again
		rewrite(t, layout, []byte(`{"version":2}`))
		if _, err := r.Layout("lab", 1); !errors.Is(err, ErrDamaged) {
			t.Errorf("layout: %v", err)
		}
		if err := r.Verify(t.Context(), "lab", 1, nil); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "disk layout") {
			t.Errorf("verifying it: %v", err)
		}
		if s, _ := r.Standing("lab"); s.State != Ready || len(s.Warnings) != 1 || !strings.Contains(s.Warnings[0], "disk layout") {
			t.Errorf("standing = %+v", s)
		}
		if f, err := r.OpenFile("lab", 1); err != nil {
			t.Error(err)
		} else {
			f.Close()
		}
		rewrite(t, layout, []byte(`{"version":1}`))
		if err := r.Verify(t.Context(), "lab", 1, nil); err != nil {
			t.Error(err)
		}
		checkImage(t, r, "lab", 1, file)
		if s, _ := r.Standing("lab"); len(s.Warnings) > 0 {
			t.Errorf("standing = %+v", s)
		}
		r.Close()
		r = openRepository(t, dir)
	}
	t.Run("record without its sum", func(t *testing.T) {
		record := revisionFile("lab", 1, recordSuffix)
		swap(t, filepath.Join(dir, record), fmt.Sprintf(`"layoutBlake3": %q`, digest([]byte(`{"version":1}`))), `"x": 1`)
		r.Close()
		r = openRepository(t, dir)
		if layout, err := r.Layout("lab", 1); err != nil || string(layout) != `{"version":1}` {
			t.Errorf("layout = %s, %v", layout, err)
		}
		if err := r.Verify(t.Context(), "lab", 1, nil); err != nil {
			t.Error(err)
		}
	})
}

// TestDamagedBy tells what is wrong with an image from what is wrong with the machine.
func TestDamagedBy(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		ctx     context.Context
		err     error
		damaged bool
	}{
		{t.Context(), &readError{unix.EIO}, true},
		{t.Context(), errLength, true},
		{t.Context(), fmt.Errorf("block 7: %w", format.ErrCorrupt), true},
		{t.Context(), fmt.Errorf("%w: its file is gone", ErrDamaged), true},
		{cancelled, &readError{unix.EIO}, false},
		{t.Context(), &readError{context.Canceled}, false},
		{t.Context(), &readError{unix.ESTALE}, false},
		{t.Context(), &readError{fs.ErrClosed}, false},
		{t.Context(), &fs.PathError{Op: "open", Err: unix.EMFILE}, false},
		{t.Context(), &fs.PathError{Op: "open", Err: unix.EACCES}, false},
		{t.Context(), &fs.PathError{Op: "stat", Err: unix.EIO}, false},
		{t.Context(), unix.ENOSPC, false},
	}
	for _, test := range tests {
		if err := damagedBy(test.ctx, test.err); errors.Is(err, ErrDamaged) != test.damaged || !errors.Is(err, test.err) {
			t.Errorf("%v makes it damaged: %v, want %t", test.err, err, test.damaged)
		}
	}
}

// TestVerifyClosed does not take a repository that is closed for damage.
func TestVerifyClosed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := openRepository(t, dir)
	publishFile(t, r, "lab", imageFile(t, 1))
	r.Close()
	if err := r.Verify(t.Context(), "lab", 1, nil); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("verifying it: %v", err)
	}
	if _, err := r.OpenFile("lab", 1); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("opening it: %v", err)
	}
	r = openRepository(t, dir)
	checkStanding(t, r, "lab", Ready, "")
}

// TestHealthNotNoted has a disk that does not take what was found: a damaged image is not handed out, and is not good again
// before that lasts.
func TestHealthNotNoted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := openRepository(t, dir)
	publishFile(t, r, "lab", imageFile(t, 1))
	inTheWay := filepath.Join(dir, healthPath(key{"lab", 1}))
	block := func() {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(inTheWay, "x"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	block()
	flip(t, r, "lab", 1)
	if err := r.Verify(t.Context(), "lab", 1, nil); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "noting") {
		t.Errorf("a bit differs: %v", err)
	}
	checkStanding(t, r, "lab", Damaged, "capture the image again")
	if err := os.RemoveAll(inTheWay); err != nil {
		t.Fatal(err)
	}
	if err := r.Verify(t.Context(), "lab", 1, nil); !errors.Is(err, ErrDamaged) || strings.Contains(err.Error(), "noting") {
		t.Errorf("once more: %v", err)
	}
	flip(t, r, "lab", 1)
	remove(t, inTheWay)
	block()
	if err := r.Verify(t.Context(), "lab", 1, nil); err == nil || errors.Is(err, ErrDamaged) {
		t.Errorf("it is as it was: %v", err)
	}
	checkStanding(t, r, "lab", Damaged, "capture the image again")
}

// TestScrubTurns gives damaged revisions their turn among the others.
func TestScrubTurns(t *testing.T) {
	t.Parallel()
	clock := newClock()
	r := openWith(t, t.TempDir(), Options{Now: clock.now})
	publishFile(t, r, "a", imageFile(t, 1))
	publishFile(t, r, "b", imageFile(t, 1))
	next := func() string {
		t.Helper()
		clock.Time = clock.Add(24 * time.Hour)
		k, due := dueTonight(r.verifications(), nightOf(clock.Time))
		if !due {
			t.Fatal("nothing is due")
		}
		return k.name
	}
	flip(t, r, "a", 1)
	for _, want := range []string{"a", "b", "a", "b"} {
		if got := next(); got != want {
			t.Errorf("%s is next, want %s", got, want)
		}
		if err := r.Verify(t.Context(), want, 1, nil); errors.Is(err, ErrDamaged) != (want == "a") {
			t.Errorf("verifying %s: %v", want, err)
		}
	}
}

// TestBusy refuses to remove what is being worked on, and says what and for whom.
func TestBusy(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	publishFile(t, r, "lab", imageFile(t, 1))
	refused := func(who string) {
		t.Helper()
		if err := r.Remove("lab"); !errors.Is(err, ErrBusy) || !strings.Contains(err.Error(), who) {
			t.Errorf("removing it: %v, want %q", err, who)
		}
		if s, _ := r.Standing("lab"); !slices.Contains(s.Holders, who) {
			t.Errorf("standing = %+v, want it held by %q", s, who)
		}
	}
	s := stageFile(t, r, "lab", imageFile(t, 2))
	refused("capture of pc-07")
	checkStanding(t, r, "lab", Arriving, "")
	s.Abort()
	s, err := r.Stage("lab", Source{System: "FOG"})
	if err != nil {
		t.Fatal(err)
	}
	refused("import from FOG")
	s.Abort()
	checkStanding(t, r, "lab", Ready, "")
	err = r.Verify(t.Context(), "lab", 1, func(int64, int64) { refused("verification"); checkStanding(t, r, "lab", Locked, "") })
	if err != nil {
		t.Error(err)
	}
	s = stageFile(t, r, "lab", imageFile(t, 2))
	_, err = s.Publish(t.Context(), digest(imageFile(t, 2)), func(int64, int64) {
		refused("capture of pc-07")
		checkStanding(t, r, "lab", Processing, "")
	})
	if err != nil {
		t.Error(err)
	}
	drop(t, r, "new.img", imageFile(t, 3))
	r.opt.Changed = func(name string) {
		if s, _ := r.Standing("new"); s.Total > 0 && !slices.Equal(s.Holders, []string{fromFolder}) {
			t.Errorf("standing = %+v", s)
		}
	}
	readAgain(t, r)
	if err := r.Remove("lab"); err != nil {
		t.Error(err)
	}
}

// TestOldFolder brings a folder as issue 2 has made it up to date.
func TestOldFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := openRepository(t, dir)
	file := imageFile(t, 1)
	img := publishFile(t, r, "lab", file)
	r.Close()
	home := filepath.Join(dir, revisionsDir, "lab", "1")
	for _, at := range []string{dir, home} {
		os.Remove(filepath.Join(at, "lab.img.full.sum"))
		os.Remove(filepath.Join(at, "lab.img.torrent"))
	}
	swap(t, home+"/lab.img.json", fmt.Sprintf(`"modified": %q`, img.Modified.Format(time.RFC3339Nano)), `"x": 1`)
	rewrite(t, home+"/lab.img.sum", []byte(img.MD5+"\n"))
	r = openRepository(t, dir)
	if f, err := r.OpenFile("lab", 1); err != nil {
		t.Errorf("it cannot be used before it is up to date: %v", err)
	} else {
		f.Close()
	}
	readAgain(t, r)
	for range 2 {
		checkImage(t, r, "lab", 1, file)
		checkClean(t, r, "lab")
		if got, err := r.Image("lab"); err != nil || !got.Modified.Equal(img.Modified) || !got.Created.Equal(img.Created) {
			t.Errorf("record = %+v, %v", got, err)
		}
		r.Close()
		r = openRepository(t, dir)
		if r.workOne(t.Context()) {
			t.Error("it is brought up to date twice")
		}
	}
}

// TestOldFolderDamaged finds, when it brings a revision up to date, that its file is not what was published.
func TestOldFolderDamaged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := openRepository(t, dir)
	publishFile(t, r, "lab", imageFile(t, 1))
	publishFile(t, r, "raw", imageFile(t, 1))
	flip(t, r, "lab", 1)
	// As if another image that decodes were there, of the same size and time.
	img, err := r.Image("raw")
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	swap(t, filepath.Join(dir, revisionFile("raw", 1, recordSuffix)), img.Blake3, strings.Repeat("0", 64))
	for _, name := range []string{"lab", "raw"} {
		os.Remove(filepath.Join(dir, revisionFile(name, 1, torrentSuffix)))
	}
	r = openRepository(t, dir)
	readAgain(t, r)
	checkStanding(t, r, "lab", Damaged, "capture the image again")
	checkStanding(t, r, "raw", Damaged, "not those that were published")
}

func TestAnnounce(t *testing.T) {
	t.Parallel()
	r := openWith(t, t.TempDir(), Options{Announce: "http://192.0.2.9:6969/announce"})
	file := imageFile(t, 1)
	publishFile(t, r, "lab", file)
	opt := r.Options()
	opt.Announce, opt.Address = tracker, "192.0.2.1:8080"
	r.SetOptions(opt)
	r.announce()
	checkImage(t, r, "lab", 1, file)
	if r.Address() != "192.0.2.1:8080" || r.Name() != "main" {
		t.Errorf("repository %q at %q", r.Name(), r.Address())
	}
}

func TestNight(t *testing.T) {
	t.Parallel()
	madrid, err := time.LoadLocation("Europe/Madrid")
	if err != nil {
		t.Skip("SKIPPED: no time zones here")
	}
	for _, test := range []struct{ now, from string }{
		{"2026-03-01 00:30", "2026-03-01 02:00"},
		{"2026-03-01 02:00", "2026-03-01 02:00"},
		{"2026-03-01 05:59", "2026-03-01 02:00"},
		{"2026-03-01 06:00", "2026-03-02 02:00"},
		{"2026-03-01 23:59", "2026-03-02 02:00"},
		{"2026-12-31 12:00", "2027-01-01 02:00"},
		{"2026-03-29 01:30", "2026-03-29 03:00"}, // 02:00 is not on the clock that night
		{"2026-10-25 01:30", "2026-10-25 02:00"}, // and twice that night
	} {
		now, err := time.ParseInLocation("2006-01-02 15:04", test.now, madrid)
		if err != nil {
			t.Fatal(err)
		}
		n := nightOf(now)
		if got := n.from.Format("2006-01-02 15:04"); got != test.from || n.until.Hour() != 6 || !n.until.After(now) {
			t.Errorf("at %s: night from %s until %v, want from %s", test.now, got, n.until, test.from)
		}
	}
}

// TestDueTonight simulates 60 nights: every image is read once in 30, and no night reads much more than its share.
func TestDueTonight(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	var all []verified
	var total, largest int64
	for i := range 100 {
		bytes := int64(1+i%7) << 30
		all = append(all, verified{key{fmt.Sprintf("image%d", i), 1}, bytes, start.AddDate(0, 0, -i)})
		total, largest = total+bytes, max(largest, bytes)
	}
	for day := range 60 {
		n := nightOf(start.AddDate(0, 0, day))
		var read int64
		for clock := n.from; ; clock = clock.Add(time.Second) {
			k, due := dueTonight(all, n)
			if !due {
				break
			}
			i := slices.IndexFunc(all, func(v verified) bool { return v.key == k })
			all[i].at = clock
			read += all[i].bytes
		}
		if read < total/scrubNights || read > total/scrubNights+largest {
			t.Fatalf("night %d reads %d bytes of %d", day, read, total)
		}
	}
	for _, v := range all {
		if age := start.AddDate(0, 0, 60).Sub(v.at); age > 31*24*time.Hour {
			t.Errorf("%s was read %v ago", v.name, age)
		}
	}
	if k, due := dueTonight(nil, nightOf(start)); due {
		t.Errorf("in an empty repository %v is due", k)
	}
}

// TestScrub runs a repository for two nights, with a restart between.
func TestScrub(t *testing.T) {
	t.Parallel()
	dir := quickDir(t)
	files := [][]byte{imageFile(t, 0), imageFile(t, 1), imageFile(t, 2)}
	synctest.Test(t, func(t *testing.T) {
		// night lets the repository run from one o'clock until three.
		night := func() {
			r := openWith(t, dir, Options{Settle: time.Minute})
			time.Sleep(time.Until(nightOf(time.Now()).from) - time.Hour)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- r.Run(ctx) }()
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
			r.Close()
		}
		r := openWith(t, dir, Options{})
		published := time.Now()
		for i, file := range files {
			publishFile(t, r, string(rune('a'+i)), file)
			time.Sleep(time.Second)
		}
		flip(t, r, "b", 1)
		r.Close()
		night()
		time.Sleep(12 * time.Hour)
		night()
		r = openWith(t, dir, Options{})
		checkStanding(t, r, "a", Ready, "")
		checkStanding(t, r, "b", Damaged, "capture the image again")
		checkStanding(t, r, "c", Ready, "")
		at, err := r.VerifiedAt("a", 1)
		if err != nil || at.Before(published.Add(time.Hour)) || at.Local().Hour() < scrubFrom || at.Local().Hour() >= scrubUntil {
			t.Errorf("a was verified at %v, %v", at, err)
		}
		r.Close()
	})
}
