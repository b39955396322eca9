package imagestore

import (
	"context"
	"io"
)

// stages make one progress of several passes over files.
type stages struct {
	tell  func(done, total int64) // may be nil
	done  int64                   // by the passes before
	total int64
}

// after returns the progress of what follows a pass over n bytes.
func (s stages) after(n int64) stages {
	s.done += n
	return s
}

// meter reads r as one pass, and no further when ctx ends.
func (s stages) meter(ctx context.Context, r io.Reader) io.Reader {
	return &meter{ctx: ctx, r: r, stages: s}
}

// publishing returns what tells Publish's pass as one over n bytes, however many it really has.
func (s stages) publishing(n int64) func(done, total int64) {
	return func(done, total int64) {
		if s.tell != nil && total > 0 {
			s.tell(s.done+int64(float64(n)*float64(done)/float64(total)), s.total)
		}
	}
}

// A meter is a pass over a file.
type meter struct {
	ctx    context.Context // of the call that the pass belongs to
	r      io.Reader
	stages stages
	read   int64
}

// Read implements io.Reader.
func (m *meter) Read(p []byte) (int, error) {
	if err := m.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := m.r.Read(p)
	m.read += int64(n)
	if m.stages.tell != nil {
		m.stages.tell(m.stages.done+m.read, m.stages.total)
	}
	return n, err
}
