package catalog

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	bolt "go.etcd.io/bbolt"

	"aula/imagestore"
)

// An ImageObject is what the operator says of an image; the file is imagestore's. The two are linked by Name.
type ImageObject struct {
	Name          string `json:"name"`                    // canonical
	DisplayName   string `json:"displayName"`             // for people
	Profile       string `json:"profile,omitempty"`       // software profile: the system and the programs in it
	Partition     int    `json:"partition,omitempty"`     // where it is installed, from 1; 0 when nobody has said
	PartitionType string `json:"partitionType,omitempty"` // OpenGnsys' name: NTFS, LINUX, EFI ...
	Repository    string `json:"repository,omitempty"`    // where it is kept
	Comments      string `json:"comments,omitempty"`
}

// maxComments bounds the comments on an image, in bytes.
const maxComments = 4096

// ImageObjects returns all, by name.
func (c *Catalog) ImageObjects() ([]ImageObject, error) {
	var all []ImageObject
	err := c.db.View(func(tx *bolt.Tx) (err error) {
		all, err = list[ImageObject](tx, imagesBucket)
		return err
	})
	slices.SortFunc(all, func(a, b ImageObject) int { return compareNatural(a.Name, b.Name) })
	return all, err
}

// PutImageObject makes or replaces one. An empty DisplayName becomes the Name.
func (c *Catalog) PutImageObject(o ImageObject) (err error) {
	if err := imagestore.CheckName(o.Name); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if o.DisplayName, err = cleanName("image", cmp.Or(strings.TrimSpace(o.DisplayName), o.Name)); err != nil {
		return err
	}
	o.Comments = strings.TrimSpace(o.Comments)
	if len(o.Comments) > maxComments || !utf8.ValidString(o.Comments) {
		return fmt.Errorf("comments on image %s: %w: write at most %d bytes of UTF-8 text", o.Name, ErrInvalid, maxComments)
	}
	return c.change(func(tx *bolt.Tx) error { return put(tx, imagesBucket, o.Name, o) })
}

// RemoveImageObject removes one, or answers ErrNotFound.
func (c *Catalog) RemoveImageObject(name string) error {
	return c.change(func(tx *bolt.Tx) error {
		if _, err := get[ImageObject](tx, imagesBucket, name); err != nil {
			return fmt.Errorf("image %s: %w", name, err)
		}
		return tx.Bucket(imagesBucket).Delete([]byte(name))
	})
}
