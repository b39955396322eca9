package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	bolt "go.etcd.io/bbolt"
)

// The buckets of the current schema. Values are JSON unless said otherwise.
var (
	metaBucket       = []byte("meta")       // schemaKey -> version in decimal
	centresBucket    = []byte("centres")    // id -> Centre
	classroomsBucket = []byte("classrooms") // id -> Classroom
	computersBucket  = []byte("computers")  // id -> Computer
	imagesBucket     = []byte("images")     // name -> ImageObject
	usersBucket      = []byte("users")      // name in lower case -> storedUser
	recordsBucket    = []byte("records")    // kind -> bucket of id -> bytes of other rooms

	repositoriesBucket = []byte("repositories") // name -> Repository; since schema 2

	// Since schema 3, all by id.
	proceduresBucket = []byte("procedures") // Procedure
	schedulesBucket  = []byte("schedules")  // Schedule
	holidaysBucket   = []byte("holidays")   // Holiday
	schemesBucket    = []byte("schemes")    // SchemeTemplate

	// Since schema 4.
	groupsBucket   = []byte("groups")   // id -> Group
	settingsBucket = []byte("settings") // bootKey -> BootSettings
	quirksBucket   = []byte("quirks")   // MAC -> JSON list of quirks

	// Indexes over computers, changed in the same transaction.
	macsBucket    = []byte("index.macs")    // MAC -> computer id
	namesBucket   = []byte("index.names")   // classroom id, 0, name in lower case -> computer id
	pendingBucket = []byte("index.pending") // computer id -> time last seen, RFC 3339

	schemaKey = []byte("schema")
)

// A migration brings the file from the schema before it to its own. Once released it is never changed.
type migration func(tx *bolt.Tx) error

// migrations[i] makes schema i+1.
var migrations = []migration{makeBuckets, makeRepositories, makeProcedures, makeBootSettings}

func makeBuckets(tx *bolt.Tx) error {
	for _, name := range [][]byte{centresBucket, classroomsBucket, computersBucket, imagesBucket, usersBucket,
		recordsBucket, macsBucket, namesBucket, pendingBucket} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return fmt.Errorf("bucket %s: %w", name, err)
		}
	}
	return nil
}

func makeRepositories(tx *bolt.Tx) error {
	if _, err := tx.CreateBucketIfNotExists(repositoriesBucket); err != nil {
		return fmt.Errorf("bucket %s: %w", repositoriesBucket, err)
	}
	return nil
}

func makeProcedures(tx *bolt.Tx) error {
	for _, name := range [][]byte{proceduresBucket, schedulesBucket, holidaysBucket, schemesBucket} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return fmt.Errorf("bucket %s: %w", name, err)
		}
	}
	return nil
}

func makeBootSettings(tx *bolt.Tx) error {
	for _, name := range [][]byte{groupsBucket, settingsBucket, quirksBucket} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return fmt.Errorf("bucket %s: %w", name, err)
		}
	}
	return nil
}

// migrate runs the steps that the file has not seen, all or none.
func migrate(db *bolt.DB, steps []migration) error {
	var have int
	err := db.View(func(tx *bolt.Tx) (err error) {
		if have, err = schemaOf(tx); err != nil || have == 0 || have >= len(steps) {
			return err
		}
		return backUpBeforeMigration(tx, have)
	})
	if err != nil {
		return err
	}
	if have > len(steps) {
		return fmt.Errorf("it has schema %d and this aula knows schemas up to %d (use the newer aula that wrote it)", have, len(steps))
	}
	if have == len(steps) {
		return nil
	}
	return db.Update(func(tx *bolt.Tx) error {
		for i := have; i < len(steps); i++ {
			if err := steps[i](tx); err != nil {
				return fmt.Errorf("migration to schema %d: %w (the file is as it was)", i+1, err)
			}
		}
		meta, err := tx.CreateBucketIfNotExists(metaBucket)
		if err != nil {
			return err
		}
		return meta.Put(schemaKey, []byte(strconv.Itoa(len(steps))))
	})
}

// schemaOf reads the version; 0 is an empty file.
func schemaOf(tx *bolt.Tx) (int, error) {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		if first, _ := tx.Cursor().First(); first != nil {
			return 0, errors.New("the file is a bbolt database but no catalog (name another file)")
		}
		return 0, nil
	}
	text := string(meta.Get(schemaKey))
	version, err := strconv.Atoi(text)
	if err != nil || version < 1 {
		return 0, fmt.Errorf("schema version %q makes no sense (put a backup copy in its place)", text)
	}
	return version, nil
}

// backUpBeforeMigration keeps the first copy of each schema: a migration that failed and is tried again finds it there.
func backUpBeforeMigration(tx *bolt.Tx, version int) error {
	path := fmt.Sprintf("%s.schema-%d", tx.DB().Path(), version)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// A copy that a crash cut short must not pass for one, hence the name in between.
	partial := path + ".partial"
	if err := os.Remove(partial); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := copyTo(tx, partial); err != nil {
		return err
	}
	return os.Rename(partial, path)
}

// get reads the value of a key, or ErrNotFound.
func get[T any](tx *bolt.Tx, bucket []byte, key string) (T, error) {
	var v T
	data := tx.Bucket(bucket).Get([]byte(key))
	if data == nil {
		return v, ErrNotFound
	}
	return v, decode(bucket, []byte(key), data, &v)
}

// put writes the value of a key.
func put(tx *bolt.Tx, bucket []byte, key string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("%s/%s: %w", bucket, key, err)
	}
	return tx.Bucket(bucket).Put([]byte(key), data)
}

// list reads all values of a bucket, in the order of their keys.
func list[T any](tx *bolt.Tx, bucket []byte) ([]T, error) {
	all := []T{}
	err := tx.Bucket(bucket).ForEach(func(key, data []byte) error {
		var v T
		if err := decode(bucket, key, data, &v); err != nil {
			return err
		}
		all = append(all, v)
		return nil
	})
	return all, err
}

func decode(bucket, key, data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("catalog entry %s/%s cannot be read: %w (put a backup copy of the catalog in its place)", bucket, key, err)
	}
	return nil
}
