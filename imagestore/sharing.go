package imagestore

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"aula/imagestore/torrent/metainfo"
)

// An infoHash is what is known of a revision's torrent. It is learnt from the .torrent sidecar once, and forgotten when that is made anew: so
// nothing is read for an info-hash that nobody has, whoever asks for it however often.
type infoHash struct {
	hash  metainfo.Hash // zero of a revision without a good torrent
	again time.Time     // when to look again, of one that could not be read
}

// A sidecar that could not be read is tried again after this long.
const rereadTorrent = time.Minute

var errNoTorrent = fmt.Errorf("%w with a torrent of that info-hash", ErrNotFound)

// noteTorrent notes what readTorrent answered. commit is held.
func (r *Repository) noteTorrent(k key, t *metainfo.Torrent, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.hashes[k] = infoHash{hash: t.Hash}
	case errors.Is(err, errForeignTorrent), errors.Is(err, fs.ErrNotExist):
		r.hashes[k] = infoHash{} // until it is made anew
	default:
		r.hashes[k] = infoHash{again: r.now().Add(rereadTorrent)}
	}
}

// forgetTorrent makes the info-hash of a revision be learnt anew.
func (r *Repository) forgetTorrent(k key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.hashes, k)
}

// learnTorrents learns the info-hashes that are not known yet.
func (r *Repository) learnTorrents() {
	r.mu.Lock()
	var unknown []Image
	for _, revisions := range r.images {
		for _, img := range revisions {
			if h, known := r.hashes[img.key()]; !known || !h.again.IsZero() && !r.now().Before(h.again) {
				unknown = append(unknown, img)
			}
		}
	}
	r.mu.Unlock()
	for _, img := range unknown {
		r.learnTorrent(img)
	}
}

func (r *Repository) learnTorrent(img Image) {
	r.commit.Lock() // the sidecar stays as it is
	defer r.commit.Unlock()
	if _, err := r.Revision(img.Name, img.Revision); err != nil {
		return // removed meanwhile
	}
	t, err := r.readTorrent(img)
	r.noteTorrent(img.key(), t, err)
	if err != nil {
		r.log.Warn("image cannot be shared by BitTorrent until it is verified, which makes its torrent anew", "image", img.Name, "revision", img.Revision, "err", err)
	}
}

// torrents returns the revisions that have a torrent of that info-hash, the newest first.
func (r *Repository) torrents(hash metainfo.Hash) (found []Image) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, revisions := range r.images {
		for _, img := range revisions {
			if h, known := r.hashes[img.key()]; known && h.hash == hash {
				found = append(found, img)
			}
		}
	}
	slices.SortFunc(found, func(a, b Image) int { return cmp.Or(cmp.Compare(b.Revision, a.Revision), cmp.Compare(a.Name, b.Name)) })
	return found
}

// FindTorrent returns the revision whose torrent has that info-hash, if it may be used: ErrNotFound says that there is none, an error wrapping
// ErrDamaged why it may not. Of several revisions of the same bytes it is the newest good one. No error tells the info-hash: it is what one must know
// to get the image, and errors are logged.
func (r *Repository) FindTorrent(hash metainfo.Hash) (Image, error) {
	if hash == (metainfo.Hash{}) {
		return Image{}, errNoTorrent
	}
	found := r.torrents(hash)
	if len(found) == 0 {
		r.learnTorrents()
		found = r.torrents(hash)
	}
	err := errNoTorrent
	for _, img := range found {
		var usable Image
		if usable, err = r.usable(img.Name, img.Revision); err == nil {
			return usable, nil
		}
	}
	return Image{}, err
}

// Shared is a revision whose file is given away by its torrent. It is held, so that it is neither removed nor moved.
type Shared struct {
	Image   Image
	Torrent *metainfo.Torrent
	File    *os.File // for reading at offsets; its bytes are those that the repository has verified
	release func()
}

// Close closes the file and ends the hold.
func (s *Shared) Close() error {
	defer s.release()
	return s.File.Close()
}

// Share opens the revision whose torrent has that info-hash on behalf of holder (Hold). Nothing of its file is read. It answers what
// FindTorrent answers.
func (r *Repository) Share(hash metainfo.Hash, holder string) (*Shared, error) {
	img, err := r.FindTorrent(hash)
	if err != nil {
		return nil, err
	}
	return r.share(img, hash, holder)
}

// share is Share of a revision that was found.
func (r *Repository) share(img Image, hash metainfo.Hash, holder string) (*Shared, error) {
	release, err := r.Hold(img.Name, img.Revision, holder)
	if err != nil {
		return nil, err
	}
	s, err := r.openShared(img, hash)
	if err != nil {
		release()
		return nil, fmt.Errorf("sharing revision %d of image %s: %w", img.Revision, img.Name, err)
	}
	s.release = release
	return s, nil
}

func (r *Repository) openShared(img Image, hash metainfo.Hash) (*Shared, error) {
	t, err := r.readTorrent(img)
	if err != nil {
		return nil, err
	}
	if t.Hash != hash {
		return nil, fmt.Errorf("%w: it has just got another", errNoTorrent)
	}
	file, err := r.OpenFile(img.Name, img.Revision)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && img.changed(info) {
		err = fmt.Errorf("%w: %s", ErrDamaged, changedByHand)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &Shared{Image: img, Torrent: t, File: file}, nil
}

// Torrents yields the info-hashes of all revisions that have a torrent, as far as they are known.
func (l *Library) Torrents(yield func(metainfo.Hash) bool) {
	for _, r := range l.Repositories() {
		for _, h := range r.infoHashes() {
			if !yield(h) {
				return
			}
		}
	}
}

func (r *Repository) infoHashes() (all []metainfo.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.hashes {
		if h.hash != (metainfo.Hash{}) {
			all = append(all, h.hash)
		}
	}
	return all
}

// FindTorrent returns the revision whose torrent has that info-hash, as Repository.FindTorrent does; of several repositories, that of the first that
// has a good one, which is named in it.
func (l *Library) FindTorrent(hash metainfo.Hash) (Image, error) {
	_, img, err := l.sharer(hash)
	return img, err
}

// Share is Repository.Share.
func (l *Library) Share(hash metainfo.Hash, holder string) (*Shared, error) {
	r, img, err := l.sharer(hash)
	if err != nil {
		return nil, err
	}
	return r.share(img, hash, holder)
}

// sharer returns the first repository that has a good revision with that torrent. When there is none, what is wrong with a damaged one says
// more than that there is none.
func (l *Library) sharer(hash metainfo.Hash) (*Repository, Image, error) {
	bad := errNoTorrent
	for _, r := range l.Repositories() {
		img, err := r.FindTorrent(hash)
		if err == nil {
			img.Repository = r.Name()
			return r, img, nil
		}
		if !errors.Is(err, ErrNotFound) {
			bad = err
		}
	}
	return nil, Image{}, bad
}
