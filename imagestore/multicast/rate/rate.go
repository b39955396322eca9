// Package rate says when a sender may send: a Pacer spreads datagrams evenly at a rate, and a Governor finds the rate that the network takes.
// Both are pure: they are told the time.
package rate

import "time"

// A Pacer spreads datagrams evenly over time.
type Pacer struct{}

// NewPacer returns a pacer of bits per second on the wire; 0 for no limit.
func NewPacer(rate int64) *Pacer { return &Pacer{} }

// SetRate changes the rate; 0 for no limit.
func (p *Pacer) SetRate(rate int64) {}

// Batch tells how many datagrams of that many wire bytes may leave at once: enough for half a millisecond, from 1 to most.
func (p *Pacer) Batch(wireBytes, most int) int { return most }

// Wait tells how long to wait before the next batch may leave; 0 for now.
func (p *Pacer) Wait(now time.Time) time.Duration { return 0 }

// Sent tells the pacer what has left.
func (p *Pacer) Sent(now time.Time, wireBytes int) {}

// A Governor finds the rate that the network takes: it backs off when the loss of most receivers falls with the rate, and not for one bad
// cable, nor for loss that a lower rate does not mend.
type Governor struct{}

// NewGovernor returns a governor that starts at, and never exceeds, that many bit/s; 0 for no limit.
func NewGovernor(limit int64) *Governor { return &Governor{} }

// Rate is the rate to send at; 0 for no limit.
func (g *Governor) Rate() int64 { return 0 }

// Observe tells the governor what happened since it was last told: the bit/s that were really sent, and what part (0 to 1) of the datagrams
// of that time each receiver lost. It is called every 200 ms or so, with enough datagrams to tell.
func (g *Governor) Observe(now time.Time, sent int64, losses []float64) {}
