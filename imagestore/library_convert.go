package imagestore

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/zeebo/blake3"

	"aula/imagestore/format"
)

// Convert makes of a revision (0: the current one) an image packed by another compressor: a new revision of the same name, which only
// the current revision can become, or an image of another name, which is in no set. Source, layout and date are those of the
// revision. Before it is published its chunk index is compared with the old one: the image that comes out restores the same bytes, or there is
// none. progress is told file bytes, read and then checked.
func (l *Library) Convert(ctx context.Context, repository, name string, revision int, to Conversion, progress func(done, total int64)) (Image, error) {
	r, err := l.home(repository, name)
	if err != nil {
		return Image{}, err
	}
	img, release, err := r.holdFor(name, revision, "conversion to "+to.Compressor)
	if err != nil {
		return Image{}, err
	}
	defer release()
	made, err := r.convert(ctx, img, to, stages{progress, 0, 2 * img.FileBytes})
	if err != nil {
		err = fmt.Errorf("image %s is not converted: %w", name, err)
	}
	return made, err
}

// convert is Convert of a revision that is held.
func (r *Repository) convert(ctx context.Context, img Image, to Conversion, progress stages) (Image, error) {
	name := cmp.Or(to.Name, img.Name)
	if err := r.CheckConversion(img, to); err != nil {
		return Image{}, err
	}
	index, err := r.index(img)
	if err != nil {
		return Image{}, err
	}
	if to.Compressor == format.None {
		if err := r.roomFor(img.Info.UsedBytes); err != nil {
			return Image{}, err
		}
	}
	staging, err := r.restage(r, img, name, "conversion to "+to.Compressor)
	if err != nil {
		return Image{}, err
	}
	defer staging.Abort()
	digest := blake3.New()
	if err := r.repack(ctx, io.MultiWriter(staging, digest), img, index, to, progress); err != nil {
		return Image{}, err
	}
	staging.check = func() error { return r.CheckConversion(img, to) }
	keepDate := staging.amend
	staging.amend = func(next *Image) error {
		after, err := staging.index()
		if err != nil {
			return err
		}
		return errors.Join(lossless(index, after), keepDate(next))
	}
	return staging.Publish(ctx, hex.EncodeToString(digest.Sum(nil)), progress.after(img.FileBytes).publishing(img.FileBytes))
}

// CheckConversion refuses to make of anything but the current revision the next one, which would put an old state of the image in the
// place of a newer one, and to make of an image the next revision of another.
func (r *Repository) CheckConversion(img Image, to Conversion) error {
	name := cmp.Or(to.Name, img.Name)
	current, err := r.Image(name)
	switch {
	case name != img.Name && err == nil:
		return fmt.Errorf("%w: %s: choose a name that is free", ErrExists, name)
	case name == img.Name && err == nil && current.Revision != img.Revision:
		return fmt.Errorf("%w: revision %d is the current one, and this is revision %d: give what comes of it a name of its own",
			ErrExists, current.Revision, img.Revision)
	case name == img.Name:
		return err
	}
	return nil
}

// repack writes the file of a revision, packed by another compressor.
func (r *Repository) repack(ctx context.Context, w io.Writer, img Image, index *format.Index, to Conversion, progress stages) error {
	file, err := r.OpenFile(img.Name, img.Revision)
	if err != nil {
		return err
	}
	defer file.Close()
	return repack(ctx, w, progress.meter(ctx, file), img.Info, index, to)
}

// index reads the chunk index of a revision.
func (r *Repository) index(img Image) (*format.Index, error) {
	chunks, err := r.OpenChunks(img.Name, img.Revision)
	if err != nil {
		return nil, err
	}
	defer chunks.Close()
	return format.ReadIndex(chunks)
}

// index reads the chunk index that Publish has made.
func (s *Staging) index() (*format.Index, error) {
	chunks, err := s.repo.folder.root.Open(s.path(chunksSuffix))
	if err != nil {
		return nil, err
	}
	defer chunks.Close()
	return format.ReadIndex(chunks)
}

// Export writes the file of a revision (0: the current one) to w: byte for byte when compressor is empty, otherwise packed anew by
// it, as Convert does. progress is told bytes of the repository's file. After an error what was written is no image.
func (l *Library) Export(ctx context.Context, repository, name string, revision int, compressor string, w io.Writer, progress func(done, total int64)) error {
	r, err := l.home(repository, name)
	if err != nil {
		return err
	}
	img, release, err := r.holdFor(name, revision, "export")
	if err != nil {
		return err
	}
	defer release()
	told := stages{progress, 0, img.FileBytes}
	if compressor == "" {
		err = r.copyOut(ctx, w, img, told)
	} else {
		var index *format.Index
		if index, err = r.index(img); err == nil {
			err = r.repack(ctx, w, img, index, Conversion{Compressor: compressor}, told)
		}
	}
	if err != nil {
		return fmt.Errorf("image %s is not exported: %w", name, err)
	}
	return nil
}

// copyOut writes the file of a revision as it is, and fails at the end if it is not what was published.
func (r *Repository) copyOut(ctx context.Context, w io.Writer, img Image, progress stages) error {
	file, err := r.OpenFile(img.Name, img.Revision)
	if err != nil {
		return err
	}
	defer file.Close()
	digest := blake3.New()
	if _, err := io.Copy(w, io.TeeReader(progress.meter(ctx, file), digest)); err != nil {
		return err
	}
	if hex.EncodeToString(digest.Sum(nil)) != img.Blake3 {
		return fmt.Errorf("%w: the file of revision %d is not what was published: verify the image", ErrDamaged, img.Revision)
	}
	return nil
}
