package catalog

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// openTest opens a catalog that is checked for consistency and closed after the test.
func openTest(t *testing.T) *Catalog {
	t.Helper()
	return openAt(t, filepath.Join(t.TempDir(), "catalog.db"))
}

func openAt(t *testing.T, path string) *Catalog {
	t.Helper()
	c, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		checkFile(t, c)
		if err := c.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return c
}

// hurry makes the many small changes of a test fast, when it is not about what survives a power cut.
func hurry(c *Catalog) { c.db.NoSync, c.db.MaxBatchDelay = true, 0 }

// checkFile fails the test if the file or an index of the catalog is not consistent.
func checkFile(t *testing.T, c *Catalog) {
	t.Helper()
	err := c.db.View(func(tx *bolt.Tx) error {
		for err := range tx.Check() {
			t.Errorf("the file is not consistent: %v", err)
		}
		return nil
	})
	if errors.Is(err, bolt.ErrDatabaseNotOpen) { // the test closed it
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	checkIndexes(t, c)
}

// checkIndexes compares each index with one made afresh from the computers. An address that several have finds one of them.
func checkIndexes(t *testing.T, c *Catalog) {
	t.Helper()
	all, err := c.Computers()
	if err != nil {
		t.Fatal(err)
	}
	macs, names, pending := map[string][]string{}, map[string][]string{}, map[string]bool{}
	for _, pc := range all {
		for _, mac := range pc.MACs {
			macs[mac] = append(macs[mac], pc.ID)
		}
		if pc.State == Pending {
			pending[pc.ID] = true
		} else {
			names[string(nameKey(pc.ClassroomID, pc.Name))] = []string{pc.ID}
		}
	}
	entries := 0
	err = c.db.View(func(tx *bolt.Tx) error {
		for _, index := range []struct {
			bucket []byte
			want   map[string][]string
		}{{macsBucket, macs}, {namesBucket, names}} {
			n := 0
			tx.Bucket(index.bucket).ForEach(func(key, id []byte) error {
				n++
				if !slices.Contains(index.want[string(key)], string(id)) {
					t.Errorf("%s: %q is of %s, want one of %q", index.bucket, key, id, index.want[string(key)])
				}
				return nil
			})
			if n != len(index.want) {
				t.Errorf("%s has %d entries, want %d", index.bucket, n, len(index.want))
			}
		}
		return tx.Bucket(pendingBucket).ForEach(func(id, _ []byte) error {
			entries++
			if !pending[string(id)] {
				t.Errorf("%s is in %s and is not pending", id, pendingBucket)
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if entries != len(pending) {
		t.Errorf("%s has %d entries, want %d", pendingBucket, entries, len(pending))
	}
}

// must returns v, or ends the test.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestWhatWasStoredIsThereAfterReopening(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	c := must(Open(path))(t)
	centre := must(c.AddCentre("  Facultad de Física "))(t)
	room := must(c.AddClassroom(centre.ID, "Aula 1"))(t)
	pc := observe(t, c, "52:54:00:00:00:01", board("uuid-1", "serial-1"))
	pc = must(c.AcceptComputer(pc.ID, room.ID, ""))(t)
	if err := c.AddFirstUser(User{Name: "Marta", PasswordHash: "$argon2id$x"}); err != nil {
		t.Fatal(err)
	}
	if err := c.PutRecord(Operations, "op-1", []byte("data")); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	c = openAt(t, path)
	if got := must(c.Centres())(t); len(got) != 1 || got[0] != centre || centre.Name != "Facultad de Física" {
		t.Errorf("centres: got %v, want %v with its name trimmed", got, centre)
	}
	if got := must(c.Computer(pc.ID))(t); got.Name != "pc-01" || got.State != Accepted || got.ClassroomID != room.ID {
		t.Errorf("computer: got %+v, want pc-01 accepted in %s", got, room.ID)
	}
	if got := must(c.User("marta"))(t); got.PasswordHash != "$argon2id$x" || got.Name != "Marta" {
		t.Errorf("user: got %+v, want Marta with her hash", got)
	}
	if got := must(c.Record(Operations, "op-1"))(t); string(got) != "data" {
		t.Errorf("record: got %q, want %q", got, "data")
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	openAt(t, path)
	_, err := Open(path)
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "another aula") {
		t.Errorf("got %v, want a refusal that names %s and the other aula", err, path)
	}
}

func TestFileThatIsNoCatalogIsRefused(t *testing.T) {
	t.Parallel()
	whole := filepath.Join(t.TempDir(), "catalog.db")
	c := must(Open(whole))(t)
	must(c.AddCentre("Centre"))(t)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	good := must(os.ReadFile(whole))(t)
	scribbled := append([]byte(nil), good...)
	for i := 2 * os.Getpagesize(); i < len(scribbled); i++ {
		scribbled[i] = 0xa5
	}
	for name, content := range map[string][]byte{
		"text":                []byte(strings.Repeat("this is no database\n", 4096)),
		"zeros":               make([]byte, 1<<16),
		"one byte":            {1},
		"cut after the metas": good[:2*os.Getpagesize()],
		"pages overwritten":   scribbled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "catalog.db")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := Open(path)
			if err == nil {
				c.Close()
				t.Fatal("the file was opened, want an error")
			}
			if !strings.Contains(err.Error(), path) {
				t.Errorf("got %q, want the file's name in it", err)
			}
		})
	}
}

func TestFolderThatIsMissingIsSaid(t *testing.T) {
	t.Parallel()
	_, err := Open(filepath.Join(t.TempDir(), "nowhere", "catalog.db"))
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "folder") {
		t.Errorf("got %v, want that the folder is missing", err)
	}
}

func TestClosedCatalogAnswersErrors(t *testing.T) {
	t.Parallel()
	c := must(Open(filepath.Join(t.TempDir(), "catalog.db")))(t)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Computers(); err == nil {
		t.Error("Computers after Close: got no error")
	}
	if _, err := c.AddCentre("x"); err == nil {
		t.Error("AddCentre after Close: got no error")
	}
}

func TestWatchersHearOfChangesOnly(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	var heard atomic.Int32
	stop := c.Watch(func() { heard.Add(1) })
	centre := must(c.AddCentre("Centre"))(t)
	if got := heard.Load(); got != 1 {
		t.Errorf("after one change: heard %d", got)
	}
	if _, err := c.AddCentre("centre"); !errors.Is(err, ErrExists) {
		t.Fatalf("second centre of that name: got %v, want ErrExists", err)
	}
	must(c.Centres())(t)
	if err := c.PutRecord(Operations, "op", nil); err != nil {
		t.Fatal(err)
	}
	if got := heard.Load(); got != 1 {
		t.Errorf("after a refusal, a reading and a record: heard %d, want still 1", got)
	}
	stop()
	if err := c.RemoveCentre(centre.ID); err != nil {
		t.Fatal(err)
	}
	if got := heard.Load(); got != 1 {
		t.Errorf("after stop: heard %d, want still 1", got)
	}
}

func TestWatcherMayReadAndStop(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	var stop func()
	var centres []Centre
	stop = c.Watch(func() {
		centres, _ = c.Centres()
		stop()
	})
	must(c.AddCentre("Centre"))(t)
	if len(centres) != 1 {
		t.Errorf("the watcher saw %v, want the new centre", centres)
	}
}

func TestBackupIsACatalog(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	must(c.AddCentre("Centre"))(t)
	path := filepath.Join(t.TempDir(), "backup.db")
	if err := c.Backup(path); err != nil {
		t.Fatal(err)
	}
	if err := c.Backup(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("backup over a backup: got %v, want a refusal", err)
	}
	if got := must(openAt(t, path).Centres())(t); len(got) != 1 {
		t.Errorf("the backup holds %v, want one centre", got)
	}
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	centre := must(c.AddCentre("Centre"))(t)
	room := must(c.AddClassroom(centre.ID, "Aula"))(t)
	const pcs = 40
	var wg sync.WaitGroup
	for i := range pcs {
		wg.Go(func() {
			pc, err := c.Observe(testMAC(i), "10.0.0.1", board("", ""), t0)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := c.AcceptComputer(pc.ID, room.ID, ""); err != nil {
				t.Error(err)
			}
			if _, err := c.Computers(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	all := must(c.Computers())(t)
	if len(all) != pcs || all[0].Name != "pc-01" || all[pcs-1].Name != "pc-40" {
		t.Errorf("got %d computers from %s to %s, want pc-01 to pc-40", len(all), all[0].Name, all[len(all)-1].Name)
	}
}
