package agent

import (
	"math"
	"time"
)

// A pace estimates how fast a stage goes: an average of the bytes per second in which older seconds weigh less and less.
type pace struct {
	stage string
	bytes int64
	at    time.Time
	rate  float64 // byte/s
	known bool
}

// paceMemory is the time after which what was measured weighs 1/e.
const paceMemory = 3 * time.Second

// add notes how many bytes of a stage are done and returns the rate in byte/s.
func (p *pace) add(stage string, bytes int64, now time.Time) int64 {
	if stage != p.stage || bytes < p.bytes {
		*p = pace{stage: stage, bytes: bytes, at: now}
		return 0
	}
	elapsed := now.Sub(p.at)
	if elapsed < 50*time.Millisecond { // too short to tell
		return int64(p.rate)
	}
	rate := float64(bytes-p.bytes) / elapsed.Seconds()
	if p.known {
		weight := 1 - math.Exp(-elapsed.Seconds()/paceMemory.Seconds())
		rate = p.rate + weight*(rate-p.rate)
	}
	p.rate, p.known, p.bytes, p.at = rate, true, bytes, now
	return int64(rate)
}

// A backoff gives the pauses between attempts to reach the server: they double from first to most, and each is shortened by a random part of
// up to half, so that a room that lost its server does not come back all at once.
type backoff struct {
	next   time.Duration
	random func() float64 // in [0, 1)
}

const (
	firstPause = 500 * time.Millisecond
	mostPause  = 15 * time.Second
)

func (b *backoff) pause() time.Duration {
	base := max(b.next, firstPause)
	b.next = min(2*base, mostPause)
	return base - time.Duration(b.random()*float64(base)/2)
}

func (b *backoff) reset() { b.next = firstPause }
