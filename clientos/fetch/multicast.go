package fetch

import (
	"context"
	"errors"

	"aula/clientos/protocol"
)

// multicast brings all files by one session. Of those that are had, and of those that the instruction names twice, nothing is written.
func (f *filesFetch) multicast(ctx context.Context) (err error) {
	if len(f.wanted) == 0 {
		return nil
	}
	var open []*partial
	defer func() {
		for _, p := range open {
			err = errors.Join(err, diskFailure(p.path, p.close()))
		}
	}()
	into := newContent(sizesOf(f.in), f.tell, func() error {
		for _, p := range open {
			if err := p.finish(); err != nil {
				return err
			}
		}
		return nil
	})
	complete := true
	for _, w := range f.wanted {
		i := partOf(f.in, w.Image)
		if i < 0 {
			return failure(protocol.ErrFormat, "image "+w.Image.Name+" is not among those of the operation", "this is a mistake in Aula: report it", nil)
		}
		p, err := openPartial(w)
		if err != nil {
			return err
		}
		open = append(open, p)
		into.places[i].to = p
		complete = complete && len(p.missing(0, p.size)) == 0
		f.tell.add(p.have.Bytes())
	}
	if complete {
		return into.finish()
	}
	return (&follower{cfg: f.cfg, instruction: f.in.ID, into: into, tell: f.tell, waits: waitOf(f.in)}).follow(ctx)
}

// sizesOf are the sizes of the files of an instruction, in their order.
func sizesOf(in protocol.Instruct) []int64 {
	var sizes []int64
	for _, p := range in.Parts {
		sizes = append(sizes, p.Image.FileBytes)
	}
	return sizes
}

// partOf is the first part of an instruction with an image, or -1.
func partOf(in protocol.Instruct, image protocol.Image) int {
	for i, p := range in.Parts {
		if p.Image.Repository == image.Repository && p.Image.Name == image.Name && p.Image.Revision == image.Revision {
			return i
		}
	}
	return -1
}
