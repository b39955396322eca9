package torrent

import "time"

// A meter counts bytes and tells their rate, over about the last seconds.
type meter struct {
	total int64 // bytes
	rate  float64
	last  int64 // total at the last tick
	at    time.Time
}

// memory is how long a rate remembers.
const memory = 3 * time.Second

func (m *meter) add(n int64) { m.total += n }

// tick brings the rate up to date; it is called several times a second.
func (m *meter) tick(now time.Time) {
	if m.at.IsZero() {
		m.at, m.last = now, m.total
		return
	}
	passed := now.Sub(m.at)
	if passed <= 0 {
		return
	}
	recent := float64(m.total-m.last) / passed.Seconds()
	weight := min(1, float64(passed)/float64(memory))
	if m.rate == 0 {
		weight = 1
	}
	m.rate += (recent - m.rate) * weight
	m.at, m.last = now, m.total
}
