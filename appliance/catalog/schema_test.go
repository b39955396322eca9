package catalog

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// The second schema of these tests keeps names in capitals.
var twoSchemas = []migration{makeBuckets, func(tx *bolt.Tx) error {
	all, err := list[Centre](tx, centresBucket)
	if err != nil {
		return err
	}
	for _, centre := range all {
		centre.Name = strings.ToUpper(centre.Name)
		if err := put(tx, centresBucket, centre.ID, centre); err != nil {
			return err
		}
	}
	return nil
}}

// oldFile makes a catalog of the first schema with one centre.
func oldFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "catalog.db")
	c := must(open(path, twoSchemas[:1]))(t)
	must(c.AddCentre("Centre"))(t)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestOlderSchemaIsMigratedAndKept(t *testing.T) {
	t.Parallel()
	path := oldFile(t)
	c := must(open(path, twoSchemas))(t)
	if got := must(c.Centres())(t); got[0].Name != "CENTRE" {
		t.Errorf("after the migration: got %q, want CENTRE", got[0].Name)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	backup := must(open(path+".schema-1", twoSchemas[:1]))(t)
	defer backup.Close()
	if got := must(backup.Centres())(t); got[0].Name != "Centre" {
		t.Errorf("the copy of the older file: got %q, want Centre", got[0].Name)
	}

	c = must(open(path, twoSchemas))(t) // nothing left to do
	defer c.Close()
	if got := must(c.Centres())(t); got[0].Name != "CENTRE" {
		t.Errorf("opened again: got %q, want CENTRE", got[0].Name)
	}
}

func TestMigrationThatFailsChangesNothing(t *testing.T) {
	t.Parallel()
	path := oldFile(t)
	broken := append(twoSchemas[:2:2], func(tx *bolt.Tx) error { return errors.New("no room") })
	if _, err := open(path, broken); err == nil || !strings.Contains(err.Error(), "schema 3: no room") {
		t.Fatalf("got %v, want the step that failed and its reason", err)
	}
	c := must(open(path, twoSchemas[:1]))(t)
	if got := must(c.Centres())(t); got[0].Name != "Centre" {
		t.Errorf("got %q, want the file as it was", got[0].Name)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	c = must(open(path, twoSchemas))(t) // tried again by a mended program
	defer c.Close()
	if got := must(c.Centres())(t); got[0].Name != "CENTRE" {
		t.Errorf("tried again: got %q, want CENTRE", got[0].Name)
	}
}

func TestMigrationWaitsForItsBackup(t *testing.T) {
	t.Parallel()
	path := oldFile(t)
	if err := os.Mkdir(path+".schema-1.partial", 0o700); err != nil { // no copy can be written there
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path+".schema-1.partial", "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(path, twoSchemas); err == nil {
		t.Fatal("the file was migrated without a copy")
	}
	c := must(open(path, twoSchemas[:1]))(t)
	defer c.Close()
	if got := must(c.Centres())(t); got[0].Name != "Centre" {
		t.Errorf("got %q, want the file as it was", got[0].Name)
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	t.Parallel()
	path := oldFile(t)
	if c, err := open(path, twoSchemas); err != nil {
		t.Fatal(err)
	} else if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	before := must(os.ReadFile(path))(t)
	_, err := open(path, twoSchemas[:1])
	if err == nil || !strings.Contains(err.Error(), "schema 2") || !strings.Contains(err.Error(), "newer aula") {
		t.Errorf("got %v, want a refusal that names the schema", err)
	}
	if string(must(os.ReadFile(path))(t)) != string(before) {
		t.Error("the refused file was changed")
	}
}

func TestOtherBoltFileIsRefused(t *testing.T) {
	t.Parallel()
	for name, fill := range map[string]func(tx *bolt.Tx) error{
		"leases": func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("leases")); return err },
		"schema that is no number": func(tx *bolt.Tx) error {
			b, err := tx.CreateBucket(metaBucket)
			if err != nil {
				return err
			}
			return b.Put(schemaKey, []byte("two"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "other.db")
			db := must(bolt.Open(path, 0o600, nil))(t)
			if err := db.Update(fill); err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(path); err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want a refusal that names the file", err)
			}
		})
	}
}

func TestEntryThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	c := must(Open(filepath.Join(t.TempDir(), "catalog.db")))(t)
	defer c.Close()
	err := c.db.Update(func(tx *bolt.Tx) error { return tx.Bucket(centresBucket).Put([]byte("c1"), []byte("{")) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Centres(); err == nil || !strings.Contains(err.Error(), "centres/c1") {
		t.Errorf("got %v, want the entry's name", err)
	}
}

func TestEveryMigrationIsReachable(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	var got string
	if err := c.db.View(func(tx *bolt.Tx) error { got = string(tx.Bucket(metaBucket).Get(schemaKey)); return nil }); err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprint(len(migrations)); got != want {
		t.Errorf("a new file has schema %s, want %s", got, want)
	}
}
