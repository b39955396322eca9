package imagestore

import (
	"bytes"
	"errors"
	"fmt"
	"path"

	"aula/imagestore/torrent/metainfo"
)

// A pieceHashes is what one pass over a file yields for its torrent.
type pieceHashes struct {
	length int64  // of each piece
	sums   []byte // SHA-1 of each
}

// torrent is the torrent of the .torrent sidecar. It says no dates, so that the same image always makes the same.
func (i Image) torrent(pieces pieceHashes, announce string) (*metainfo.Torrent, error) {
	t, err := metainfo.New(i.Name+imageSuffix, i.FileBytes, pieces.length, pieces.sums)
	if err != nil {
		return nil, err
	}
	t.Announce, t.Comment = trackers(announce), i.MD5 // the comment as OpenGnsys writes it
	return t, nil
}

// trackers are those that a torrent names; a tracker that no client could ask is none.
func trackers(announce string) []string {
	if metainfo.CheckTracker(announce) != nil {
		return nil
	}
	return []string{announce}
}

var errForeignTorrent = errors.New("torrent is not one that this program wrote of the image")

// readTorrent reads the .torrent sidecar of a revision, which must be what this program writes, byte for byte, whatever its tracker, the length
// of its pieces and their sums.
func (r *Repository) readTorrent(img Image) (*metainfo.Torrent, error) {
	data, err := r.folder.readFile(revisionFile(img.Name, img.Revision, torrentSuffix), metainfo.MaxFile)
	if err != nil {
		return nil, err
	}
	t, err := metainfo.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errForeignTorrent, err)
	}
	ours, err := img.torrent(pieceHashes{t.PieceLength, t.Pieces}, "")
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errForeignTorrent, err)
	}
	if ours.Announce = t.Announce; !bytes.Equal(ours.Encode(), data) {
		return nil, errForeignTorrent
	}
	return ours, nil
}

// pieceLength returns how long the pieces of a revision's torrent are. A torrent that is there already decides that: one that was made by
// another rule is as good, and keeps its info-hash, by which PCs are fetching it.
func (r *Repository) pieceLength(img Image) int64 {
	if t, err := r.readTorrent(img); err == nil {
		return t.PieceLength
	}
	return metainfo.PieceLengthFor(img.FileBytes)
}

// announce makes the torrents of all images name the tracker that the options name. Their pieces stay as they are.
func (r *Repository) announce() {
	for _, img := range r.all() {
		if err := r.announceOne(img); err != nil {
			r.log.Warn("torrent does not name the tracker", "image", img.Name, "revision", img.Revision, "err", err)
		}
	}
}

func (r *Repository) announceOne(img Image) error {
	r.commit.Lock()
	defer r.commit.Unlock()
	name := revisionFile(img.Name, img.Revision, torrentSuffix)
	if _, err := r.Revision(img.Name, img.Revision); err != nil || !r.folder.exists(name) {
		return nil // removed meanwhile, or made anew soon
	}
	t, err := r.readTorrent(img)
	r.noteTorrent(img.key(), t, err)
	if err != nil {
		return err
	}
	was := t.Encode()
	t.Announce = trackers(r.Options().Announce)
	will := t.Encode()
	if bytes.Equal(was, will) {
		return nil
	}
	if err := r.folder.replaceFile(name, will, path.Join(stagingDir, img.Name+torrentSuffix)); err != nil {
		return err
	}
	if current, err := r.Image(img.Name); err != nil || current.Revision != img.Revision {
		return err
	}
	return r.link(img.Name)
}
