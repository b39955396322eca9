package clone

import (
	"sync"
	"time"
)

// A meter holds how far a job has come and reports every change, one at a time.
type meter struct {
	mu     sync.Mutex
	now    Progress
	strain *strain // of the stage; nil for none
	report func(Progress)
}

// stage begins a stage; total is 0 when it is not known.
func (m *meter) stage(name string, total int64) { m.strained(name, total, nil) }

// strained begins a stage that tells what it waits for.
func (m *meter) strained(name string, total int64, s *strain) {
	m.change(func(p *Progress) {
		m.strain = s
		p.Stage, p.Bytes, p.Total, p.Slow = name, 0, total, ""
	})
}

func (m *meter) total(n int64) { m.change(func(p *Progress) { p.Total = n }) }

func (m *meter) add(n int64) { m.change(func(p *Progress) { p.Bytes += n }) }

// dirty is called before the first byte is written to the disk.
func (m *meter) dirty() { m.change(func(p *Progress) { p.Dirty = true }) }

func (m *meter) change(f func(*Progress)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.now)
	if m.strain != nil {
		if what, known := m.strain.slow(time.Now()); known {
			m.now.Slow = what
		}
	}
	m.report(m.now)
}

func (m *meter) current() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}
