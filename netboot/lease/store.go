package lease

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"time"

	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// The file has two buckets: leases, from the four bytes of an address to the JSON of its Lease, so that an address cannot have two
// records; and meta, with the version of this layout and the high-water mark of the Clock.
const (
	leasesBucket  = "leases"
	metaBucket    = "meta"
	versionKey    = "version"
	clockKey      = "clock"
	layoutVersion = "1"
)

// A Store keeps leases in a bbolt file. What Save has returned from without error survives the loss of power.
type Store struct {
	db   *bolt.DB
	path string
}

// Open opens the file, making it when it is not there. It refuses a file that another program has open.
func Open(path string) (*Store, error) {
	db, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: time.Second})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("lease database %s: another program has it open: is another aula running with this data folder? Stop that one first", path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("lease database %s: permission denied: run as the user who owns the data folder, or as root", path)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("lease database %s: its folder does not exist: make it, or choose another data folder", path)
	case err != nil:
		return nil, fmt.Errorf("lease database %s: %w (if it is damaged, stop aula, move it away and start again: PCs keep their addresses as they renew)", path, err)
	}
	s := &Store{db, path}
	if err := s.prepare(); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func (s *Store) prepare() error {
	err := s.db.Update(func(tx *bolt.Tx) error {
		if _, err := tx.CreateBucketIfNotExists([]byte(leasesBucket)); err != nil {
			return err
		}
		meta, err := tx.CreateBucketIfNotExists([]byte(metaBucket))
		if err != nil {
			return err
		}
		switch v := string(meta.Get([]byte(versionKey))); v {
		case layoutVersion:
			return nil
		case "":
			return meta.Put([]byte(versionKey), []byte(layoutVersion))
		default:
			return fmt.Errorf("written in version %q of its layout by a newer aula: use that one, or move the file away", v)
		}
	})
	if err != nil {
		return fmt.Errorf("lease database %s: %w", s.path, err)
	}
	return nil
}

// Load returns all records, and the highest time that Save was given: the Clock must not start before it.
func (s *Store) Load() (leases []Lease, highWater time.Time, err error) {
	err = s.db.View(func(tx *bolt.Tx) error {
		if v := tx.Bucket([]byte(metaBucket)).Get([]byte(clockKey)); v != nil {
			if err := highWater.UnmarshalText(v); err != nil {
				return fmt.Errorf("time of the last change: %w", err)
			}
		}
		return tx.Bucket([]byte(leasesBucket)).ForEach(func(k, v []byte) error {
			var l Lease
			a, ok := netip.AddrFromSlice(k)
			if err := json.Unmarshal(v, &l); err != nil || !ok || l.Address != a {
				return fmt.Errorf("record of address %x cannot be read: %q", k, v)
			}
			leases = append(leases, l)
			return nil
		})
	})
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("lease database %s: %w", s.path, err)
	}
	return leases, highWater, nil
}

// Save writes the changes in one transaction and returns when they are on disk. After an error nothing has been written, and
// the same changes can be saved later.
func (s *Store) Save(changes []Change, now time.Time) error {
	if len(changes) == 0 {
		return nil
	}
	err := s.db.Update(func(tx *bolt.Tx) error {
		leases := tx.Bucket([]byte(leasesBucket))
		for _, c := range changes {
			if err := put(leases, c); err != nil {
				return err
			}
		}
		mark, err := now.Round(0).UTC().MarshalText()
		if err != nil {
			return err
		}
		return tx.Bucket([]byte(metaBucket)).Put([]byte(clockKey), mark)
	})
	if err != nil {
		return fmt.Errorf("lease database %s: %w", s.path, err)
	}
	return nil
}

func put(leases *bolt.Bucket, c Change) error {
	if c.Lease == nil {
		return leases.Delete(c.Address.AsSlice())
	}
	v, err := json.Marshal(c.Lease)
	if err != nil {
		return err
	}
	return leases.Put(c.Address.AsSlice(), v)
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }
