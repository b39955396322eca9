package fetch

import (
	"context"
	"errors"
	"io"

	"aula/clientos/clone"
	"aula/imagestore/format"
)

// readBytes is how much is read at once.
const readBytes = 1 << 20

// unicast brings one file after another by HTTPS, each from where an earlier fetch left off.
func (f *filesFetch) unicast(ctx context.Context) error {
	for _, w := range f.wanted {
		if err := f.download(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// download brings one file.
func (f *filesFetch) download(ctx context.Context, w File) (err error) {
	p, err := openPartial(w)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, diskFailure(w.Path, p.close())) }()
	f.tell.add(p.have.Bytes())
	for _, gap := range p.missing(0, p.size) {
		if err := f.fill(ctx, w, p, gap); err != nil {
			return err
		}
	}
	return p.finish()
}

// fill brings what is missing in one place.
func (f *filesFetch) fill(ctx context.Context, w File, p *partial, gap format.Extent) error {
	stream := clone.OpenFile(ctx, f.cfg.Log, f.cfg.Server, w.Image, gap.Offset, gap.End())
	defer stream.Close()
	buffer := make([]byte, readBytes)
	for at := gap.Offset; at < gap.End(); {
		n, err := io.ReadFull(stream, buffer[:min(int64(len(buffer)), gap.End()-at)])
		if n > 0 {
			if err := p.write(at, buffer[:n]); err != nil {
				return err
			}
			at += int64(n)
			f.tell.add(int64(n))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
