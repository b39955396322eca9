package clone

import (
	"sync"

	"aula/imagestore/format"
)

// A Budget is memory that one or several Scatters share for what waits for its neighbours.
type Budget struct {
	limit int64

	mu   sync.Mutex
	held int64
	most int64 // that held ever was
}

// NewBudget makes a Budget of that many bytes; 256 MiB when 0.
func NewBudget(bytes int64) *Budget {
	if bytes == 0 {
		bytes = scatterMemory
	}
	return &Budget{limit: bytes}
}

// Limit is how many bytes may be held.
func (b *Budget) Limit() int64 { return b.limit }

// Most is how many bytes were held when they were most.
func (b *Budget) Most() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.most
}

func (b *Budget) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held+n > b.limit {
		return false
	}
	b.held += n
	b.most = max(b.most, b.held)
	return true
}

func (b *Budget) give(n int64) {
	b.mu.Lock()
	b.held -= n
	b.mu.Unlock()
}

// stretchNeeds is the most that a Scatter keeps for one stretch of a file that has come.
func stretchNeeds(m *format.FileMap) int64 {
	largest := 0
	for _, p := range m.Parts {
		largest = max(largest, p.Packed)
	}
	return 2 * (int64(largest) + edgeSize)
}
