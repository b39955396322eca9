package imagestore

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"

	"github.com/zeebo/blake3"

	"aula/imagestore/format"
	"aula/imagestore/torrent/metainfo"
)

// Verify reads a revision again and compares it with its record; sidecars that are not what they should be are made
// anew. An error wrapping ErrDamaged says that the image differs or cannot be read; it is then damaged until it is verified good or
// replaced. progress, when not nil, is told the file bytes read.
func (r *Repository) Verify(ctx context.Context, name string, revision int, progress func(done, total int64)) error {
	return r.verify(ctx, key{name, revision}, "verification", progress, nil)
}

// verify is Verify on behalf of holder. slow, when not nil, is asked before each read.
func (r *Repository) verify(ctx context.Context, k key, holder string, progress func(done, total int64), slow func(n int) error) error {
	release, err := r.hold(k.name, k.revision, holder)
	if err != nil {
		return err
	}
	defer release()
	img, err := r.Revision(k.name, k.revision)
	if err != nil {
		return err
	}
	found, err := r.compareFile(ctx, img, progress, slow)
	if err != nil {
		if err = damagedBy(ctx, err); errors.Is(err, ErrDamaged) {
			return r.condemn(k, err)
		}
		return fmt.Errorf("verifying revision %d of image %s: %w", k.revision, k.name, err)
	}
	h := health{Verified: r.now().UTC()}
	// A layout cannot be made anew from the image, which can be used without.
	_, bad := r.Layout(k.name, k.revision)
	if errors.Is(bad, ErrDamaged) {
		h.Layout = bad.Error()
	}
	if err := r.setHealth(k, h); err != nil {
		return err
	}
	if err := r.compareSidecars(img, found); err != nil {
		r.log.Warn("sidecars are not what they should be and are made anew", "image", k.name, "revision", k.revision, "err", err)
		if err := r.refresh(ctx, k); err != nil {
			return err
		}
	}
	if bad != nil && !errors.Is(bad, ErrNotFound) {
		r.log.Error("disk layout cannot be used", "image", k.name, "revision", k.revision, "err", bad)
		r.tell(k.name)
		return fmt.Errorf("verifying the disk layout: %w", bad)
	}
	return nil
}

// compareFile reads a file as it is on the disk and compares it with its record. It answers what its sidecars should say.
func (r *Repository) compareFile(ctx context.Context, img Image, progress func(done, total int64), slow func(n int) error) (findings, error) {
	file, err := r.folder.root.Open(revisionFile(img.Name, img.Revision, imageSuffix))
	if errors.Is(err, os.ErrNotExist) {
		return findings{}, fmt.Errorf("%w: its file is gone", ErrDamaged)
	}
	if err != nil {
		return findings{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return findings{}, err
	}
	if img.changed(info) {
		return findings{}, fmt.Errorf("%w: %s", ErrDamaged, changedByHand)
	}
	if err := forgetCached(file); err != nil {
		return findings{}, err
	}
	var in io.ReaderAt = file
	if slow != nil {
		in = slowReader{file, slow}
	}
	pieceLength := r.pieceLength(img)
	sum, digest, pieces := md5.New(), blake3.New(), metainfo.NewHasher(pieceLength)
	if err := readOnce(ctx, in, img.FileBytes, progress, into(sum), into(digest), into(pieces)); err != nil {
		return findings{}, err
	}
	found := findings{
		md5: hex.EncodeToString(sum.Sum(nil)), blake3: hex.EncodeToString(digest.Sum(nil)),
		pieces: pieceHashes{pieceLength, pieces.Pieces()},
	}
	if err := img.compare(found.md5, found.blake3); err != nil {
		return findings{}, err
	}
	found.tailMD5, err = tailMD5(file, img.FileBytes)
	return found, err
}

// A slowReader asks before each read.
type slowReader struct {
	io.ReaderAt
	ask func(n int) error
}

func (s slowReader) ReadAt(p []byte, off int64) (int, error) {
	if err := s.ask(len(p)); err != nil {
		return 0, err
	}
	return s.ReaderAt.ReadAt(p, off)
}

// compareSidecars compares the sidecars of a revision, whose file is good, with its record and with what was found of the file.
func (r *Repository) compareSidecars(img Image, found findings) error {
	file := func(suffix string) string { return revisionFile(img.Name, img.Revision, suffix) }
	for _, text := range []struct{ suffix, want string }{
		{sumSuffix, found.tailMD5 + "\n"}, {fullSumSuffix, img.MD5 + "\n"}, {infoSuffix, img.infoLine()},
	} {
		if data, err := r.folder.readFile(file(text.suffix), maxRecord); err != nil || string(data) != text.want {
			return fmt.Errorf("%s: %w", path.Base(file(text.suffix)), orDiffers(err))
		}
	}
	t, err := r.readTorrent(img)
	if err == nil && (t.PieceLength != found.pieces.length || !bytes.Equal(t.Pieces, found.pieces.sums)) {
		err = errDiffers
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path.Base(file(torrentSuffix)), err)
	}
	chunks, err := r.folder.root.Open(file(chunksSuffix))
	if err != nil {
		return err
	}
	defer chunks.Close()
	index, err := format.ReadIndex(chunks) // which has a checksum of its own
	if err == nil && (index.Info != img.Info || index.UsedBytes() != img.Info.UsedBytes) {
		err = errDiffers
	}
	return err
}

var errDiffers = errors.New("it is not that of the image")

func orDiffers(err error) error {
	if err != nil {
		return err
	}
	return errDiffers
}

// condemn notes that a revision is damaged, durably, and answers what is to be said of it.
func (r *Repository) condemn(k key, err error) error {
	problem := fmt.Sprintf("%v: restore an older revision, put a good copy of the file in its place, or capture the image again", err)
	r.mu.Lock()
	h := r.health[k]
	r.mu.Unlock()
	h.Problem, h.Found = problem, r.now().UTC()
	noted := r.setHealth(k, h)
	r.log.Error("image is damaged", "image", k.name, "revision", k.revision, "err", err)
	r.tell(k.name)
	return errors.Join(fmt.Errorf("revision %d of image %s: %w", k.revision, k.name, err), noted)
}
