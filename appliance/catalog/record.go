package catalog

import (
	"bytes"
	"fmt"

	bolt "go.etcd.io/bbolt"
)

// A RecordKind is a family of records that the catalog keeps for other rooms without knowing what is in them.
type RecordKind string

// The families.
const (
	Operations RecordKind = "operations" // appliance/operation
	Enrolments RecordKind = "enrolments" // appliance/roster: agents' keys
	Sessions   RecordKind = "sessions"   // webui: console sessions, by hash of their token
	Removed    RecordKind = "removed"    // webui: what people said of images that are in the trash, by name
)

// maxRecordID bounds the identifier of a record, in bytes.
const maxRecordID = 256

// PutRecord stores one record.
func (c *Catalog) PutRecord(kind RecordKind, id string, data []byte) error {
	return c.PutRecords(kind, map[string][]byte{id: data})
}

// PutRecords stores records by their ids, all or none, in one write.
func (c *Catalog) PutRecords(kind RecordKind, data map[string][]byte) error {
	for id := range data {
		if kind == "" || id == "" || len(id) > maxRecordID {
			return fmt.Errorf("record %q of kind %q: %w: both need a name, of at most %d bytes", id, kind, ErrInvalid, maxRecordID)
		}
	}
	return c.store(c.db.Batch, func(tx *bolt.Tx) error {
		records, err := tx.Bucket(recordsBucket).CreateBucketIfNotExists([]byte(kind))
		if err != nil {
			return err
		}
		for id, value := range data {
			if err := records.Put([]byte(id), value); err != nil {
				return err
			}
		}
		return nil
	})
}

// Record returns one, or ErrNotFound.
func (c *Catalog) Record(kind RecordKind, id string) ([]byte, error) {
	var data []byte
	err := c.db.View(func(tx *bolt.Tx) error {
		if records := recordsOf(tx, kind); records != nil {
			data = bytes.Clone(records.Get([]byte(id)))
		}
		if data == nil {
			return fmt.Errorf("record %s/%s: %w", kind, id, ErrNotFound)
		}
		return nil
	})
	return data, err
}

// DeleteRecord removes one; a missing one is no error.
func (c *Catalog) DeleteRecord(kind RecordKind, id string) error {
	return c.DeleteRecords(kind, id)
}

// DeleteRecords removes records, all or none, in one write; missing ones are no error.
func (c *Catalog) DeleteRecords(kind RecordKind, ids ...string) error {
	return c.store(c.db.Batch, func(tx *bolt.Tx) error {
		records := recordsOf(tx, kind)
		if records == nil {
			return nil
		}
		for _, id := range ids {
			if err := records.Delete([]byte(id)); err != nil {
				return err
			}
		}
		return nil
	})
}

// EachRecord calls f for every record of a kind in the order of their ids, until f returns an error, which it returns. f may
// keep data and may call the catalog; what is put or deleted meanwhile is seen or not.
func (c *Catalog) EachRecord(kind RecordKind, f func(id string, data []byte) error) error {
	type record struct {
		id   string
		data []byte
	}
	for after := []byte(nil); ; {
		// A page at a time: a transaction that stays open while f writes would stop the file from growing.
		page := make([]record, 0, 64)
		err := c.db.View(func(tx *bolt.Tx) error {
			records := recordsOf(tx, kind)
			if records == nil {
				return nil
			}
			cursor := records.Cursor()
			key, data := cursor.Seek(after)
			if after != nil && bytes.Equal(key, after) {
				key, data = cursor.Next()
			}
			for ; key != nil && len(page) < cap(page); key, data = cursor.Next() {
				page = append(page, record{string(key), bytes.Clone(data)})
			}
			return nil
		})
		if err != nil || len(page) == 0 {
			return err
		}
		for _, r := range page {
			if err := f(r.id, r.data); err != nil {
				return err
			}
		}
		after = []byte(page[len(page)-1].id)
	}
}

func recordsOf(tx *bolt.Tx, kind RecordKind) *bolt.Bucket {
	if kind == "" {
		return nil
	}
	return tx.Bucket(recordsBucket).Bucket([]byte(kind))
}
