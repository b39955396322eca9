package imagestore

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"golang.org/x/sys/unix"

	"aula/imagestore/format"
)

// nextStale takes the next revision whose sidecars are not as this version makes them.
func (r *Repository) nextStale() (key, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	keys := make([]key, 0, len(r.stale))
	for k := range r.stale {
		if _, err := r.revision(k.name, k.revision); err != nil {
			delete(r.stale, k)
			continue
		}
		keys = append(keys, k)
	}
	if len(keys) == 0 {
		return key{}, false
	}
	k := slices.MinFunc(keys, func(a, b key) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.revision, b.revision))
	})
	delete(r.stale, k)
	return k, true
}

// refresh reads a revision again and makes its sidecars anew, as this version makes them. A file that is not the one that was
// published is damaged.
func (r *Repository) refresh(ctx context.Context, k key) (err error) {
	release, err := r.hold(k.name, k.revision, "bringing its sidecars up to date")
	if err != nil {
		return err
	}
	defer release()
	img, err := r.usable(k.name, k.revision)
	if err != nil {
		return err // it is damaged, or is read as a newcomer
	}
	a := r.begin(k.name, Processing)
	defer a.end()
	dir := path.Join(stagingDir, rand.Text())
	if err := r.folder.mkdir(dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.folder.removeAll(dir)) }()
	img, err = r.remake(ctx, img, dir, a.progress)
	if errors.Is(err, ErrDamaged) {
		return errors.Join(err, r.condemn(k, err))
	}
	if err != nil {
		return r.explain(err)
	}
	return r.explain(r.exchange(img, dir))
}

// remake makes all sidecars of a revision in the folder dir, and answers its record as it is now.
func (r *Repository) remake(ctx context.Context, img Image, dir string, progress func(done, total int64)) (Image, error) {
	file, err := r.folder.root.Open(revisionFile(img.Name, img.Revision, imageSuffix))
	if err != nil {
		return img, err
	}
	defer file.Close()
	if err := forgetCached(file); err != nil {
		return img, err
	}
	info, err := file.Stat()
	if err != nil {
		return img, err
	}
	chunks, err := r.folder.create(path.Join(dir, img.Name+chunksSuffix))
	if err != nil {
		return img, err
	}
	found, err := examine(ctx, file, img.FileBytes, r.pieceLength(img), chunks, progress)
	if err == nil {
		err = r.folder.syncFile(chunks, chunks.Name())
	}
	if err := errors.Join(err, chunks.Close()); err != nil {
		return img, damagedBy(ctx, err)
	}
	if err := img.compare(found.md5, found.blake3); err != nil {
		return img, err
	}
	img.Info, img.Modified = found.info, info.ModTime().UTC()
	if img.LayoutBlake3 = r.layoutSum(img); img.HasLayout && img.LayoutBlake3 == "" {
		layout, err := r.folder.readFile(revisionFile(img.Name, img.Revision, layoutSuffix), maxLayout)
		if err != nil {
			return img, err
		}
		img.LayoutBlake3 = blake3Of(layout)
	}
	if err := r.writeSidecars(dir, img, found); err != nil {
		return img, err
	}
	return img, r.writeRecord(dir, img)
}

// exchange puts sidecars that were made anew in the place of the old ones. All of them follow from the file, so that a
// crash between two leaves nothing that contradicts itself; the record is the last and ends it.
func (r *Repository) exchange(img Image, dir string) error {
	r.commit.Lock()
	defer r.commit.Unlock()
	if _, err := r.Revision(img.Name, img.Revision); err != nil {
		return err
	}
	for _, suffix := range []string{chunksSuffix, torrentSuffix, infoSuffix, fullSumSuffix, sumSuffix, recordSuffix} {
		if err := r.folder.rename(path.Join(dir, img.Name+suffix), revisionFile(img.Name, img.Revision, suffix)); err != nil {
			return err
		}
	}
	if err := r.folder.syncDir(revisionPath(img.Name, img.Revision)); err != nil {
		return err
	}
	r.note(img)
	r.forgetTorrent(img.key())
	if current, err := r.Image(img.Name); err != nil || current.Revision != img.Revision {
		return err
	}
	if err := r.link(img.Name); err != nil && !errors.Is(err, errForeign) {
		return err
	}
	return nil
}

// compare answers an error wrapping ErrDamaged unless these are the hashes of the file that was published.
func (i Image) compare(md5, blake3 string) error {
	if i.MD5 == md5 && i.Blake3 == blake3 {
		return nil
	}
	return fmt.Errorf("%w: its bytes are not those that were published: MD5 is %s, was %s", ErrDamaged, md5, i.MD5)
}

// damagedBy tells what kept a published file from being read whole. It makes the file damaged if the file is the cause: its data
// cannot be read, or are too few, or do not decode. What the caller, the system or the network of a volume does is no damage.
func damagedBy(ctx context.Context, err error) error {
	var read *readError
	switch {
	case ctx.Err() != nil, errors.Is(err, ErrDamaged), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, fs.ErrClosed), errors.Is(err, unix.ESTALE):
		return err
	case errors.As(err, &read), errors.Is(err, errLength), errors.Is(err, format.ErrCorrupt):
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return err
}
