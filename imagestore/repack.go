package imagestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"aula/imagestore/format"
)

// A Conversion says how an image is to be packed anew.
type Conversion struct {
	Compressor string // format.Zstd, Lzop, Gzip or None
	Level      int    // of the compressor, 0 for its default
	Name       string // of the new image; empty: a new revision of the same
}

// Validate checks the compressor, its level and the name.
func (c Conversion) Validate() error {
	if c.Name != "" {
		if err := CheckName(c.Name); err != nil {
			return err
		}
	}
	return format.CheckCompressor(c.Compressor, c.Level)
}

// repack writes the image in file, of which info and index are known, packed by another compressor. A partclone stream stays as it
// is byte for byte, and so do the bytes of a whole disk, for which partclone has no form; what other tools have written becomes a
// partclone stream.
func repack(ctx context.Context, w io.Writer, file io.Reader, info format.Info, index *format.Index, to Conversion) error {
	out, err := format.NewWriter(w, to.Compressor, to.Level)
	if err != nil {
		return err
	}
	if info.Tool == format.Partclone || info.Filesystem == format.Disk {
		err = copyPlain(out, file)
	} else {
		err = writePartclone(out, file, index)
	}
	err = errors.Join(err, out.Close())
	if cause := ctx.Err(); cause != nil {
		return cause
	}
	return err
}

// copyPlain writes what is below the compressor of file.
func copyPlain(out io.Writer, file io.Reader) error {
	plain, _, err := format.Decompress(file)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{plain}, make([]byte, 1<<20))
	return errors.Join(err, plain.Close())
}

func writePartclone(out io.Writer, file io.Reader, index *format.Index) error {
	reader, err := format.NewReader(file)
	if err != nil {
		return err
	}
	return errors.Join(format.WritePartclone(out, reader, index), reader.Close())
}

// lossless answers an error unless both indexes name the same bytes.
func lossless(before, after *format.Index) error {
	equal := func(a, b format.Chunk) bool {
		return a.Number == b.Number && a.Hash == b.Hash && slices.Equal(a.Used, b.Used)
	}
	if before.Info.RequiredBytes != after.Info.RequiredBytes || !slices.EqualFunc(before.Chunks, after.Chunks, equal) {
		return fmt.Errorf("the converted image does not hold what the original holds (%s with %d used bytes became %s with %d): nothing was changed; please report this",
			before.Info, before.UsedBytes(), after.Info, after.UsedBytes())
	}
	return nil
}
