package rate

import "time"

// A Governor finds the rate that the network takes: it backs off when the loss of most receivers falls with the rate, and not for one bad
// cable, nor for loss that a lower rate does not mend.
type Governor struct{ limit int64 }

// NewGovernor returns a governor that starts at, and never exceeds, that many bit/s; 0 for no limit.
func NewGovernor(limit int64) *Governor { return &Governor{limit: limit} }

// Rate is the rate to send at; 0 for no limit.
func (g *Governor) Rate() int64 { return g.limit }

// Observe tells the governor what happened since it was last told: the bit/s that were really sent, and what part (0 to 1) of the datagrams
// of that time each receiver lost. It is called every 200 ms or so, with enough datagrams to tell.
func (g *Governor) Observe(now time.Time, sent int64, losses []float64) {}
