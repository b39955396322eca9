package imagestore

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path"
	"strconv"
	"time"

	"aula/imagestore/format"
)

// An Image is one revision of an image, as its record says.
type Image struct {
	// Repository is the name of the repository that the image was asked of; it is not in the record.
	Repository string `json:"repository,omitempty"`

	Name      string      `json:"name"`     // canonical: letters, digits, _ . -, no leading dot, at most 128
	Revision  int         `json:"revision"` // from 1
	Info      format.Info `json:"info"`
	FileBytes int64       `json:"fileBytes"`
	MD5       string      `json:"md5"`    // hexadecimal, of the file
	Blake3    string      `json:"blake3"` // hexadecimal, of the file
	Created   time.Time   `json:"created"`
	Modified  time.Time   `json:"modified,omitzero"` // of the file; a file that was modified later is not the one that was published
	Source    Source      `json:"source"`
	HasLayout bool        `json:"hasLayout"`
	// LayoutBlake3 is the BLAKE3 of the layout, hexadecimal; empty without one, and in records that were written before it was noted.
	LayoutBlake3 string   `json:"layoutBlake3,omitempty"`
	Warnings     []string `json:"warnings,omitempty"` // what people should know of it
}

// A Source says where an image was captured.
type Source struct {
	Computer   string `json:"computer,omitempty"` // name
	ComputerID string `json:"computerID,omitempty"`
	Disk       int    `json:"disk,omitempty"`
	Partition  int    `json:"partition,omitempty"`
	SectorSize int    `json:"sectorSize,omitempty"`
	// Set is the common name of the images of one disk that belong together: the partitions of a FOG or Clonezilla image.
	// They share their layout and are told apart by Partition.
	Set string `json:"set,omitempty"`
	// Import is the id of the import that brought the images of a set; members of different imports are not mixed.
	Import string `json:"import,omitempty"`
	// Members is how many images the set has, 0 when that was not noted: a set that is not whole is not restored.
	Members int `json:"members,omitempty"`
	// System says which system or file it was imported from, for people: "FOG", "Clonezilla", "OpenGnsys", a file's name.
	System string `json:"system,omitempty"`
}

// revisionPath is the folder of one revision.
func revisionPath(name string, revision int) string {
	return path.Join(revisionsDir, name, strconv.Itoa(revision))
}

// revisionFile is one file of a revision.
func revisionFile(name string, revision int, suffix string) string {
	return path.Join(revisionPath(name, revision), name+suffix)
}

// encode returns the record.
func (i Image) encode() ([]byte, error) {
	i.Repository = ""
	data, err := json.MarshalIndent(i, "", "  ")
	return append(data, '\n'), err
}

// parseImage reads the record of a revision and refuses one that contradicts itself.
func parseImage(data []byte) (Image, error) {
	var i Image
	if err := json.Unmarshal(data, &i); err != nil {
		return Image{}, fmt.Errorf("image record: %w", err)
	}
	if err := CheckName(i.Name); err != nil {
		return Image{}, fmt.Errorf("image record: %w", err)
	}
	switch {
	case i.Revision < 1:
		return Image{}, fmt.Errorf("image record: revision %d", i.Revision)
	case i.FileBytes < 1:
		return Image{}, fmt.Errorf("image record: file of %d bytes", i.FileBytes)
	case !isHex(i.MD5, 16):
		return Image{}, fmt.Errorf("image record: MD5 is %q", i.MD5)
	case !isHex(i.Blake3, 32):
		return Image{}, fmt.Errorf("image record: BLAKE3 is %q", i.Blake3)
	case i.LayoutBlake3 != "" && !isHex(i.LayoutBlake3, 32):
		return Image{}, fmt.Errorf("image record: BLAKE3 of the layout is %q", i.LayoutBlake3)
	case i.Info.Tool == "" || i.Info.Compressor == "" || i.Info.Filesystem == "":
		return Image{}, fmt.Errorf("image record: incomplete info %s", i.Info)
	case i.Info.UsedBytes < 0 || i.Info.RequiredBytes < i.Info.UsedBytes || i.Info.BlockSize < 1:
		return Image{}, fmt.Errorf("image record: %d bytes used of %d in blocks of %d",
			i.Info.UsedBytes, i.Info.RequiredBytes, i.Info.BlockSize)
	}
	return i, nil
}

// isHex tells whether s is the hexadecimal form of n bytes.
func isHex(s string, n int) bool {
	b, err := hex.DecodeString(s)
	return err == nil && len(b) == n
}
