package clone

import (
	"context"
	"fmt"
	"io"

	"aula/imagestore/format"
)

// An imageStream is an image that is being fetched and decoded.
type imageStream struct {
	stream *resumer
	reader *format.Reader
}

// open begins the stream of a part's image and checks that it is the image that its index is of. The caller closes it.
func (r *restore) open(ctx context.Context, p *part) (*imageStream, error) {
	s := &imageStream{stream: newResumer(ctx, r.log, p.image.FileBytes, func(ctx context.Context, offset int64) (io.ReadCloser, error) {
		return r.server.OpenImage(ctx, p.image, offset)
	})}
	var err error
	if s.reader, err = format.NewReader(strained{s.stream, r.strain}); err == nil && s.reader.Final() {
		err = checkInfo(s.reader.Info(), p.index.Info)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// checkInfo refuses an image whose sizes, once they are certain, are not those of its index.
func checkInfo(got, want format.Info) error {
	if got.UsedBytes != want.UsedBytes || got.RequiredBytes != want.RequiredBytes {
		return fmt.Errorf("%w: it says %s with %d bytes used, its index says %s with %d bytes used",
			format.ErrCorrupt, got, got.UsedBytes, want, want.UsedBytes)
	}
	return nil
}

// close ends the connection and the decoder's goroutines.
func (s *imageStream) close() {
	s.stream.stop()
	if s.reader != nil {
		s.reader.Close() // waits for a Read of the stream
	}
	s.stream.hangUp()
}
