package imagestore

import (
	"context"
	"errors"
	"io"
)

// A Conversion says how an image is to be packed anew.
type Conversion struct {
	Compressor string // format.Zstd, Lzop, Gzip or None
	Level      int    // of the compressor, 0 for its default
	Name       string // of the new image; empty: a new revision of the same
}

// Validate checks the compressor and its level.
func (c Conversion) Validate() error { return nil }

// Convert makes of a revision (0: the current one) an image packed by another compressor: a new revision of the same name, or an
// image of another name.
func (l *Library) Convert(ctx context.Context, repository, name string, revision int, to Conversion, progress func(done, total int64)) (Image, error) {
	return Image{}, errors.New("not yet")
}

// Export writes the file of a revision (0: the current one) to w, byte for byte as it is or, when compressor is not empty, packed anew.
func (l *Library) Export(ctx context.Context, repository, name string, revision int, compressor string, w io.Writer, progress func(done, total int64)) error {
	return errors.New("not yet")
}
