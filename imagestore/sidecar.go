package imagestore

import (
	"encoding/hex"
	"fmt"
	"path"

	"github.com/zeebo/blake3"
)

// The files of a revision are NAME and one of these.
const (
	imageSuffix   = ".img"
	sumSuffix     = ".img.sum"
	fullSumSuffix = ".img.full.sum"
	torrentSuffix = ".img.torrent"
	infoSuffix    = ".img.info"
	recordSuffix  = ".img.json"
	chunksSuffix  = ".img.chunks"
	layoutSuffix  = ".img.layout"
)

// Bounds of what is read whole.
const (
	maxRecord = 1 << 20
	maxLayout = 64 << 20
)

// sidecarSuffixes are those of the files beside the image. The sums come first, so that they are the last to appear and the
// first to go.
func sidecarSuffixes() []string {
	return []string{sumSuffix, fullSumSuffix, torrentSuffix, infoSuffix, recordSuffix, chunksSuffix, layoutSuffix}
}

// infoLine is the content of the .info sidecar.
func (i Image) infoLine() string {
	return fmt.Sprintf("%s:%s\n", i.Info, i.Source.Computer)
}

// writeSidecars makes the sidecars that follow from one pass over the file of img, as new files in the folder dir. The chunk index
// is there already, the layout comes from elsewhere, and the record is written last.
func (r *Repository) writeSidecars(dir string, img Image, found findings) error {
	torrent, err := img.torrent(found.pieces, r.Options().Announce)
	if err != nil {
		return err
	}
	for suffix, data := range map[string][]byte{
		sumSuffix:     []byte(found.tailMD5 + "\n"),
		fullSumSuffix: []byte(img.MD5 + "\n"),
		torrentSuffix: torrent.Encode(),
		infoSuffix:    []byte(img.infoLine()),
	} {
		if err := r.folder.writeFile(path.Join(dir, img.Name+suffix), data); err != nil {
			return err
		}
	}
	return nil
}

// writeRecord makes the record of img, as a new file in the folder dir. It notes the sum of the layout that is there.
func (r *Repository) writeRecord(dir string, img Image) error {
	if img.HasLayout && img.LayoutBlake3 == "" {
		layout, err := r.folder.readFile(path.Join(dir, img.Name+layoutSuffix), maxLayout)
		if err != nil {
			return err
		}
		img.LayoutBlake3 = blake3Of(layout)
	}
	data, err := img.encode()
	if err != nil {
		return err
	}
	return r.folder.writeFile(path.Join(dir, img.Name+recordSuffix), data)
}

var errLayout = fmt.Errorf("%w: its disk layout is not the one that was published: the image itself can be restored to a partition, capture it again with its layout",
	ErrDamaged)

// blake3Of is the BLAKE3 of data, hexadecimal.
func blake3Of(data []byte) string {
	sum := blake3.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// layoutSum returns the sum that the record of a revision has for the layout, or "" when there is none.
func (r *Repository) layoutSum(img Image) string {
	if !img.HasLayout || img.LayoutBlake3 != "" {
		return img.LayoutBlake3
	}
	// What was published by this process has it in the file only.
	recorded, err := r.load(img.Name, img.Revision)
	if err != nil {
		return ""
	}
	return recorded.LayoutBlake3
}

// outOfDate tells whether a revision lacks sidecars that this version makes. Its file can be used all the same.
func (r *Repository) outOfDate(img Image) bool {
	if img.Modified.IsZero() {
		return true
	}
	for _, suffix := range sidecarSuffixes() {
		if suffix != layoutSuffix && !r.folder.exists(revisionFile(img.Name, img.Revision, suffix)) {
			return true
		}
	}
	return false
}

// all returns every revision of every image.
func (r *Repository) all() []Image {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []Image
	for _, revisions := range r.images {
		list = append(list, revisions...)
	}
	return list
}
