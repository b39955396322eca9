package clone

import "sync"

// A meter holds how far a job has come and reports every change, one at a time.
type meter struct {
	mu     sync.Mutex
	now    Progress
	report func(Progress)
}

// stage begins a stage; total is 0 when it is not known.
func (m *meter) stage(name string, total int64) {
	m.change(func(p *Progress) { p.Stage, p.Bytes, p.Total = name, 0, total })
}

func (m *meter) total(n int64) { m.change(func(p *Progress) { p.Total = n }) }

func (m *meter) add(n int64) { m.change(func(p *Progress) { p.Bytes += n }) }

// dirty is called before the first byte is written to the disk.
func (m *meter) dirty() { m.change(func(p *Progress) { p.Dirty = true }) }

func (m *meter) change(f func(*Progress)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.now)
	m.report(m.now)
}

func (m *meter) current() Progress {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}
