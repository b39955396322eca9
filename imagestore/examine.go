package imagestore

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"io"
	"os"

	"github.com/zeebo/blake3"
	"golang.org/x/sys/unix"

	"aula/imagestore/format"
	"aula/imagestore/torrent/metainfo"
)

// findings are what one pass over an image file yields.
type findings struct {
	md5, blake3 string
	tailMD5     string // of the last tailLen bytes
	pieces      pieceHashes
	info        format.Info
}

// tailLen is how much of a file's end OpenGnsys' .sum covers.
const tailLen = 1 << 20

// examine reads an image file of size bytes once, at the speed of the slowest of what it does side by side: MD5, BLAKE3, SHA-1 of
// the torrent's pieces, and decoding it whole with all its checksums into a chunk index.
func examine(ctx context.Context, file io.ReaderAt, size, pieceLength int64, chunks io.Writer, progress func(done, total int64)) (findings, error) {
	var found findings
	sum, digest, pieces := md5.New(), blake3.New(), metainfo.NewHasher(pieceLength)
	err := readOnce(ctx, file, size, progress, into(sum), into(digest), into(pieces), func(r *teeReader) (err error) {
		found.info, err = index(r, chunks)
		return err
	})
	if err != nil {
		return findings{}, err
	}
	if found.tailMD5, err = tailMD5(file, size); err != nil {
		return findings{}, err
	}
	found.md5, found.blake3 = hex.EncodeToString(sum.Sum(nil)), hex.EncodeToString(digest.Sum(nil))
	found.pieces = pieceHashes{pieceLength, pieces.Pieces()}
	return found, nil
}

// tailMD5 is the MD5 of the last MiB of a file.
func tailMD5(file io.ReaderAt, size int64) (string, error) {
	sum := md5.New()
	start := max(0, size-tailLen)
	if _, err := io.Copy(sum, io.NewSectionReader(file, start, size-start)); err != nil {
		return "", &readError{err}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// index decodes an image and writes its chunk index.
func index(file io.Reader, chunks io.Writer) (format.Info, error) {
	image, err := format.NewReader(file)
	if err != nil {
		return format.Info{}, err
	}
	defer image.Close()
	w, err := format.NewIndexWriter(chunks)
	if err != nil {
		return format.Info{}, err
	}
	for {
		off, run, err := image.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return format.Info{}, err
		}
		if err := w.Add(off, run); err != nil {
			return format.Info{}, err
		}
	}
	info := image.Info() // exact now
	if err := w.Close(info); err != nil {
		return info, err
	}
	if w.UsedBytes() != info.UsedBytes {
		return info, fmt.Errorf("%w: it says %d used bytes and holds %d", format.ErrCorrupt, info.UsedBytes, w.UsedBytes())
	}
	return info, nil
}

// forgetCached makes the next reads of a file come from the disk and not from memory.
func forgetCached(file *os.File) error {
	if err := unix.Fadvise(int(file.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("dropping the image file from the cache: %w", err)
	}
	return nil
}
