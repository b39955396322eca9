package lease

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	bolt "go.etcd.io/bbolt"
)

func openStore(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestStoreKeepsLeasesOverARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases.db")
	s := openStore(t, path)
	b := NewBook(pool(), nil)
	mustBind(t, b, t0, pc(1), ip(10), hour)
	mustBind(t, b, t0, pc(2), ip(11), hour)
	b.Quarantine(t0, pc(2), ip(13))
	save(t, s, b, t0)
	mustBind(t, b, t0.Add(2*hour), pc(2), ip(14), hour) // loses .11
	save(t, s, b, t0.Add(2*hour))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}

	got, highWater, err := openStore(t, path).Load()
	want := []Lease{
		record(ip(10), pc(1), Bound, t0.Add(hour)),
		record(ip(13), pc(2), Quarantined, t0.Add(Quarantine)),
		record(ip(14), pc(2), Bound, t0.Add(3*hour)),
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Load = %+v, %v, want %+v", got, err, want)
	}
	if !highWater.Equal(t0.Add(2 * hour)) {
		t.Errorf("high-water mark = %s, want %s", highWater, t0.Add(2*hour))
	}
}

func save(t *testing.T, s *Store, b *Book, now time.Time) {
	t.Helper()
	if err := s.Save(b.Changes(), now); err != nil {
		t.Fatal(err)
	}
	b.Saved()
	if got := b.Changes(); got != nil {
		t.Errorf("after Saved there are still the changes %s", describe(got))
	}
}

func TestWhatCouldNotBeSavedIsSavedNextTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases.db")
	s := openStore(t, path)
	b := NewBook(pool(), nil)
	mustBind(t, b, t0, pc(1), ip(10), hour)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(b.Changes(), t0); err == nil {
		t.Fatal("Save in a closed file succeeded")
	}
	mustBind(t, b, t0, pc(2), ip(11), hour)
	s = openStore(t, path)
	save(t, s, b, t0)
	if got, _, err := s.Load(); err != nil || len(got) != 2 {
		t.Errorf("Load = %+v, %v, want both leases", got, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	busy := filepath.Join(dir, "busy.db")
	openStore(t, busy)
	rubbish := filepath.Join(dir, "rubbish.db")
	if err := os.WriteFile(rubbish, []byte(strings.Repeat("not a database", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	newer := filepath.Join(dir, "newer.db")
	s := openStore(t, newer)
	if err := s.db.Update(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte(metaBucket)).Put([]byte(versionKey), []byte("2"))
	}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		busy:    "another aula",
		rubbish: "move it away",
		newer:   "newer aula",
		filepath.Join(dir, "missing", "leases.db"): "folder does not exist",
	} {
		s, err := Open(path)
		if err == nil {
			_ = s.Close()
			t.Errorf("Open(%s) succeeded", path)
			continue
		}
		if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("Open(%s): %v, want the file's name and %q", path, err, want)
		}
	}
}

func TestLoadRefusesADamagedRecord(t *testing.T) {
	for name, record := range map[string]string{
		"no JSON":         "\x00\x01",
		"another address": `{"address":"10.0.0.11","mac":"52:54:00:00:00:01","state":"bound","expires":"2026-11-22T09:00:00Z"}`,
		"no MAC":          `{"address":"10.0.0.10","mac":"","state":"bound","expires":"2026-11-22T09:00:00Z"}`,
	} {
		s := openStore(t, filepath.Join(t.TempDir(), "leases.db"))
		if err := s.db.Update(func(tx *bolt.Tx) error {
			return tx.Bucket([]byte(leasesBucket)).Put(ip(10).AsSlice(), []byte(record))
		}); err != nil {
			t.Fatal(err)
		}
		if got, _, err := s.Load(); err == nil {
			t.Errorf("%s: Load = %+v, want an error", name, got)
		}
	}
}

func TestClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		onTime, behind := NewClock(began.Add(-hour)), NewClock(began.Add(24*hour))
		time.Sleep(10 * time.Minute)
		if got, want := onTime.Now(), began.Add(10*time.Minute); !got.Equal(want) {
			t.Errorf("a clock that goes right says %s, want %s", got, want)
		}
		if got, want := behind.Now(), began.Add(24*hour+10*time.Minute); !got.Equal(want) {
			t.Errorf("on a machine that came up in the past it says %s, want to go on at %s", got, want)
		}
	})
}

func TestPoolContains(t *testing.T) {
	for a, want := range map[netip.Addr]bool{
		ip(9): false, ip(10): true, ip(12): false, ip(14): true, ip(15): false, none: false, netip.MustParseAddr("::a00:a"): false,
	} {
		if got := pool()[0].Contains(a); got != want {
			t.Errorf("Contains(%s) = %v, want %v", a, got, want)
		}
	}
}
