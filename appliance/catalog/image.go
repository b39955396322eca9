package catalog

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	bolt "go.etcd.io/bbolt"

	"aula/imagestore"
)

// An ImageObject is what the operator says of an image; the file is imagestore's. The two are linked by Name, whichever comes
// first: an object without a file is an image that is missing, a file without an object is an image that nobody has described.
type ImageObject struct {
	Name          string `json:"name"`                    // canonical
	DisplayName   string `json:"displayName"`             // for people
	Profile       string `json:"profile,omitempty"`       // software profile: the system and the programs in it
	Partition     int    `json:"partition,omitempty"`     // where it is installed, from 1; 0 when nobody has said
	PartitionType string `json:"partitionType,omitempty"` // one of PartitionTypes, or empty when nobody has said
	Repository    string `json:"repository,omitempty"`    // where its file is expected; empty for the first one
	Comments      string `json:"comments,omitempty"`
	// Script is run on each PC after a restore of it, before the classroom's; see protocol.Script.
	Script string `json:"script,omitempty"`
}

// Bounds of an image object, in bytes but for the partition. GPT has room for 128 partitions.
const (
	maxPartition = 128
	maxProfile   = 256
	maxComments  = 4096
)

// PartitionTypes returns OpenGnsys' names of partition types, those of MBR and GPT tables and of volume managers alike.
func PartitionTypes() []string {
	return []string{
		"BIOS-BOOT", "CACHE", "CHROMEOS", "CHROMEOS-KRN", "CHROMEOS-RESERV", "DATA", "EFI", "EMPTY", "EXTENDED",
		"FAT12", "FAT16", "FAT32", "FREEBSD", "FREEBSD-BOOT", "FREEBSD-DISK", "FREEBSD-SWAP", "GPT",
		"HFAT12", "HFAT16", "HFAT32", "HFS", "HFS-BOOT", "HFS-RAID", "HNTFS", "HNTFS-WINRE",
		"LINUX", "LINUX-LVM", "LINUX-RAID", "LINUX-RESERV", "LINUX-SWAP", "LVM-LV", "MBR",
		"NETBSD", "NETBSD-RAID", "NETBSD-SWAP", "NTFS", "OPENBSD", "SOLARIS", "SOLARIS-BOOT", "SOLARIS-DISK", "SOLARIS-SWAP",
		"UNKNOWN", "VMFS", "VMFS-KRN", "VMFS-RESERV", "WIN-RECOV", "WIN-RESERV", "WINDOWS", "ZFS-VOL",
	}
}

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

// ImageObject returns one, or ErrNotFound.
func (c *Catalog) ImageObject(name string) (ImageObject, error) {
	var o ImageObject
	err := c.db.View(func(tx *bolt.Tx) (err error) {
		o, err = get[ImageObject](tx, imagesBucket, name)
		return err
	})
	if err != nil {
		return ImageObject{}, fmt.Errorf("image %s: %w", name, err)
	}
	return o, nil
}

// AddImageObject makes one, or answers ErrExists.
func (c *Catalog) AddImageObject(o ImageObject) (ImageObject, error) {
	o, err := o.clean()
	if err != nil {
		return ImageObject{}, err
	}
	err = c.change(func(tx *bolt.Tx) error {
		if tx.Bucket(imagesBucket).Get([]byte(o.Name)) != nil {
			return fmt.Errorf("image %s: %w (change that one, or choose another name)", o.Name, ErrExists)
		}
		return put(tx, imagesBucket, o.Name, o)
	})
	if err != nil {
		return ImageObject{}, err
	}
	return o, nil
}

// PutImageObject makes or replaces one. An empty DisplayName becomes the Name; a PartitionType may be in lower case. Without a Script the one that
// it has stays, which only SetImageScript removes.
func (c *Catalog) PutImageObject(o ImageObject) error {
	o, err := o.clean()
	if err != nil {
		return err
	}
	return c.change(func(tx *bolt.Tx) error {
		before, err := get[ImageObject](tx, imagesBucket, o.Name)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		o.Script = cmp.Or(o.Script, before.Script)
		return put(tx, imagesBucket, o.Name, o)
	})
}

// SetImageScript sets the script that is run after each restore of an image, none when empty, and makes the object if nobody has described the image.
func (c *Catalog) SetImageScript(name, script string) error {
	fresh, err := ImageObject{Name: name, Script: script}.clean()
	if err != nil {
		return err
	}
	return c.change(func(tx *bolt.Tx) error {
		o, err := get[ImageObject](tx, imagesBucket, name)
		switch {
		case errors.Is(err, ErrNotFound):
			o = fresh
		case err != nil:
			return err
		}
		o.Script = fresh.Script
		return put(tx, imagesBucket, name, o)
	})
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

// clean returns the object as it is kept, or ErrInvalid with the reason.
func (o ImageObject) clean() (_ ImageObject, err error) {
	if err := imagestore.CheckName(o.Name); err != nil {
		return o, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if o.DisplayName, err = cleanName("image", cmp.Or(strings.TrimSpace(o.DisplayName), o.Name)); err != nil {
		return o, err
	}
	if o.Profile, err = cleanText("software profile of image "+o.Name, o.Profile, maxProfile); err != nil {
		return o, err
	}
	if strings.ContainsFunc(o.Profile, invisible) {
		return o, fmt.Errorf("software profile of image %s: %w: write it in one line", o.Name, ErrInvalid)
	}
	if o.Partition < 0 || o.Partition > maxPartition {
		return o, fmt.Errorf("image %s: %w: partition %d (give 1 to %d, or 0 when it is not known)", o.Name, ErrInvalid, o.Partition, maxPartition)
	}
	o.PartitionType = strings.ToUpper(strings.TrimSpace(o.PartitionType))
	if types := PartitionTypes(); o.PartitionType != "" && !slices.Contains(types, o.PartitionType) {
		return o, fmt.Errorf("image %s: %w: partition type %.40q is none of %s", o.Name, ErrInvalid, o.PartitionType, strings.Join(types, ", "))
	}
	if o.Repository != "" {
		if err := imagestore.CheckName(o.Repository); err != nil {
			return o, fmt.Errorf("repository of image %s: %w: %w", o.Name, ErrInvalid, err)
		}
	}
	if o.Script, err = cleanScript("script of image "+o.Name, o.Script); err != nil {
		return o, err
	}
	o.Comments, err = cleanText("comments on image "+o.Name, o.Comments, maxComments)
	return o, err
}

// cleanText returns text without space around it, or ErrInvalid; what is for the message.
func cleanText(what, text string, most int) (string, error) {
	text = strings.TrimSpace(text)
	if len(text) > most || !utf8.ValidString(text) {
		return "", fmt.Errorf("%s: %w: write at most %d bytes of UTF-8 text", what, ErrInvalid, most)
	}
	return text, nil
}
