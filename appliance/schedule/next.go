package schedule

import (
	"cmp"
	"slices"
	"time"

	_ "time/tzdata" // the server may have no list of time zones

	"aula/appliance/catalog"
)

// horizon is how many days Next looks ahead: a schedule that finds nothing but holidays for so long does not run.
const horizon = 3 * 366

// Next returns when s is due next after a time, and false when it never is: it is off, its one time is over, or there are only holidays. Where it names
// no time zone, local is its own.
//
// A time of day that a change of the clocks leaves out is due at the first moment after the gap; one that comes twice is due the first time. Holidays
// are days in the schedule's zone. The one time of a schedule is due on a holiday too: who chose it has named the day.
func Next(s catalog.Schedule, holidays []catalog.Holiday, after time.Time, local *time.Location) (time.Time, bool) {
	if s.Off {
		return time.Time{}, false
	}
	if !s.Once.IsZero() {
		return s.Once, s.Once.After(after)
	}
	zone, at, ok := timing(s, local)
	if !ok || len(s.Days) == 0 {
		return time.Time{}, false
	}
	// From the day before: what a gap at its end left out is due on the day after it.
	y, m, d := after.In(zone).Date()
	for i := -1; i < horizon; i++ {
		day := time.Date(y, m, d+i, at.Hour(), at.Minute(), 0, 0, time.UTC)
		if !slices.Contains(s.Days, day.Weekday()) || !s.Free && isHoliday(holidays, day) {
			continue
		}
		if due := moment(day, zone); due.After(after) {
			return due, true
		}
	}
	return time.Time{}, false
}

// timing reads zone and time of day, which the catalog has checked.
func timing(s catalog.Schedule, local *time.Location) (zone *time.Location, at time.Time, ok bool) {
	zone = cmp.Or(local, time.Local)
	if s.Zone != "" {
		var err error
		if zone, err = time.LoadLocation(s.Zone); err != nil {
			return nil, at, false
		}
	}
	at, err := time.Parse("15:04", s.At)
	return zone, at, err == nil
}

func isHoliday(holidays []catalog.Holiday, day time.Time) bool {
	date := day.Format(time.DateOnly)
	return slices.ContainsFunc(holidays, func(h catalog.Holiday) bool { return h.First <= date && date <= h.Last })
}

// moment returns the first time at which a clock in zone shows what wall shows in UTC, or, when none ever does, the end of the gap. (time.Date
// promises neither.)
func moment(wall time.Time, zone *time.Location) time.Time {
	// No zone is more than 26 hours from another: the clock is behind wall here.
	for at := wall.Add(-36 * time.Hour).In(zone); ; {
		_, offset := at.Zone()
		start, end := at.ZoneBounds()
		due := wall.Add(-time.Duration(offset) * time.Second)
		switch {
		case due.Before(start):
			return start
		case end.IsZero() || due.Before(end):
			return due.In(zone)
		}
		at = end
	}
}
