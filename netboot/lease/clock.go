package lease

import "time"

// A Clock tells the time by which leases end. While the program runs it only counts the time that passes, so that stepping the
// machine's clock (NTP, an operator, an empty CMOS battery) ends no lease early; and it never starts before a time that it has already
// told, so that a machine that comes up in the past does not keep leases for ever nor hand them out as new.
//
// It cannot know how long the machine was off other than from the wall clock. A PC whose lease seems to have ended
// during that time is still first in line for its address.
type Clock struct {
	start time.Time // with its monotonic reading
	ahead time.Duration
}

// NewClock makes a Clock that starts now, or at the high-water mark of the Store when that is later.
func NewClock(highWater time.Time) Clock {
	c := Clock{start: time.Now()}
	if d := highWater.Sub(c.start); d > 0 {
		c.ahead = d
	}
	return c
}

// Now returns the time in UTC, without a monotonic reading.
func (c Clock) Now() time.Time {
	return c.start.Add(c.ahead + time.Since(c.start)).Round(0).UTC()
}
