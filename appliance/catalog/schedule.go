package catalog

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A Schedule runs a procedure at times.
type Schedule struct {
	ID          string `json:"id"`
	Name        string `json:"name"` // unique, without regard to case
	ProcedureID string `json:"procedureID"`
	// ClassroomIDs and ComputerIDs are where it runs: the PCs that are in those rooms then, and these.
	ClassroomIDs []string `json:"classroomIDs,omitempty"`
	ComputerIDs  []string `json:"computerIDs,omitempty"`

	Once time.Time      `json:"once,omitzero"`      // the one time, holiday or not, or
	Days []time.Weekday `json:"days,omitempty"`     // the days of the week
	At   string         `json:"at,omitempty"`       // and the time of day there, as 07:30
	Zone string         `json:"zone,omitempty"`     // IANA time zone; empty: the server's
	Free bool           `json:"holidays,omitempty"` // runs on holidays as well
	// Missed says what becomes of a run whose time came while the appliance was off: skipped when 0, else made up for that long afterwards.
	Missed time.Duration `json:"missed,omitempty"`
	Off    bool          `json:"off,omitempty"` // does not run

	Actor string    `json:"actor"`         // user who made or changed it last
	Next  time.Time `json:"next,omitzero"` // of the last reckoning; zero before it, and when there is none

	// What became of the last run, see NoteRun.
	LastRun  time.Time `json:"lastRun,omitzero"`   // its due time
	Result   string    `json:"result,omitempty"`   // the operation's ID, or why there was none
	Failed   bool      `json:"failed,omitempty"`   // there was none
	Underway string    `json:"underway,omitempty"` // RunStarting or RunWaiting, when that is not decided yet; Result says so in words
	// Ran is the latest due time for which an operation was asked for. No due time up to it runs again, whatever the clock says.
	Ran time.Time `json:"ran,omitzero"`
}

// Stages of a run that is not decided yet.
const (
	RunStarting = "starting" // the operation is being asked for
	RunWaiting  = "waiting"  // for PCs that are busy: it was refused, and will be asked for again
)

// A Run is what became of a run of a schedule.
type Run struct {
	Due      time.Time
	Result   string // the operation's ID, or why there is none
	Failed   bool
	Underway string // RunStarting, RunWaiting, or empty when it is decided
	Missed   bool   // no operation was asked for
}

// maxMissed is the longest for which a run can be made up: after that the next weekly one has come.
const maxMissed = 7 * 24 * time.Hour

// Schedules returns all, by name.
func (c *Catalog) Schedules() ([]Schedule, error) {
	return sorted(c, schedulesBucket, func(a, b Schedule) int { return compareNatural(a.Name, b.Name) })
}

// Schedule returns one, or ErrNotFound.
func (c *Catalog) Schedule(id string) (Schedule, error) {
	return one[Schedule](c, schedulesBucket, "schedule", id)
}

// PutSchedule makes a schedule when it has no ID, else changes what people say of that one; what became of its runs stays. A run of it that waits for
// PCs is given up. Times before now are none of its own.
func (c *Catalog) PutSchedule(s Schedule, now time.Time) (Schedule, error) {
	s, err := s.clean()
	if err != nil {
		return Schedule{}, err
	}
	err = c.change(func(tx *bolt.Tx) error {
		id, err := identify(tx, schedulesBucket, "schedule", s.ID)
		if err != nil {
			return err
		}
		s.ID = id
		before, err := get[Schedule](tx, schedulesBucket, id)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
		if !s.Once.IsZero() && !s.Off && !s.Once.Equal(before.Once) && !s.Once.After(now) {
			return fmt.Errorf("schedule %q: %w: %s is over (choose a time to come)", s.Name, ErrInvalid, s.Once.Format("2006-01-02 15:04"))
		}
		if err := checkScope(tx, s); err != nil {
			return err
		}
		s.takeRuns(before, now)
		return put(tx, schedulesBucket, id, s)
	})
	if err != nil {
		return Schedule{}, err
	}
	return s, nil
}

// takeRuns takes what became of the runs from the schedule that is changed.
func (s *Schedule) takeRuns(before Schedule, now time.Time) {
	s.Next = time.Time{}
	s.LastRun, s.Result, s.Failed, s.Underway, s.Ran = before.LastRun, before.Result, before.Failed, before.Underway, before.Ran
	if s.Underway == RunWaiting {
		s.Underway, s.Result, s.Failed = "", "given up: the schedule was changed while it waited for PCs that were busy", true
	}
	// A clock that was ahead has left a time to come; somebody who saves the schedule now has looked at it.
	if s.Ran.After(now) {
		s.Ran = time.Time{}
	}
}

// checkScope refuses a schedule of which something does not exist.
func checkScope(tx *bolt.Tx, s Schedule) error {
	all, err := list[Schedule](tx, schedulesBucket)
	if err != nil {
		return err
	}
	for _, other := range all {
		if other.ID != s.ID && fold(other.Name) == fold(s.Name) {
			return fmt.Errorf("schedule %q: %w (choose another name)", other.Name, ErrExists)
		}
	}
	if _, err := find[Procedure](tx, proceduresBucket, "procedure", s.ProcedureID); err != nil {
		return fmt.Errorf("schedule %q: %w (choose a procedure that there is)", s.Name, err)
	}
	for _, id := range s.ClassroomIDs {
		if _, err := getClassroom(tx, id); err != nil {
			return fmt.Errorf("schedule %q: %w (choose classrooms that there are)", s.Name, err)
		}
	}
	for _, id := range s.ComputerIDs {
		pc, err := getComputer(tx, id)
		if err == nil && pc.State != Accepted {
			err = fmt.Errorf("computer %s: %w: it is pending", id, ErrInvalid)
		}
		if err != nil {
			return fmt.Errorf("schedule %q: %w (choose computers that are in a classroom)", s.Name, err)
		}
	}
	return nil
}

// RemoveSchedule removes one, or answers ErrNotFound. An operation that it has started goes on.
func (c *Catalog) RemoveSchedule(id string) error {
	return c.change(func(tx *bolt.Tx) error {
		if _, err := find[Schedule](tx, schedulesBucket, "schedule", id); err != nil {
			return err
		}
		return tx.Bucket(schedulesBucket).Delete([]byte(id))
	})
}

// NoteRun stores what became of a run, and when the next one is due; zero when there is none. What became of an earlier run than the last is not noted.
func (c *Catalog) NoteRun(id string, run Run, next time.Time) error {
	return c.change(func(tx *bolt.Tx) error {
		s, err := find[Schedule](tx, schedulesBucket, "schedule", id)
		if err != nil {
			return err
		}
		s.Next = next
		s.LastRun, s.Result, s.Failed, s.Underway = run.Due, run.Result, run.Failed, run.Underway
		if !run.Missed && run.Due.After(s.Ran) {
			s.Ran = run.Due
		}
		return put(tx, schedulesBucket, id, s)
	})
}

// SetNext stores when a schedule is due next; zero when it is not.
func (c *Catalog) SetNext(id string, next time.Time) error {
	return c.change(func(tx *bolt.Tx) error {
		s, err := find[Schedule](tx, schedulesBucket, "schedule", id)
		if err != nil {
			return err
		}
		s.Next = next
		return put(tx, schedulesBucket, id, s)
	})
}

// forgetInSchedules takes a classroom or computer that is removed out of the schedules. One that has nowhere to run any more stays, and says so
// when its time comes: whoever removes a PC must not wonder which schedules it was in.
func forgetInSchedules(tx *bolt.Tx, id string) error {
	all, err := list[Schedule](tx, schedulesBucket)
	if err != nil {
		return err
	}
	is := func(other string) bool { return other == id }
	for _, s := range all {
		rooms, pcs := len(s.ClassroomIDs), len(s.ComputerIDs)
		s.ClassroomIDs, s.ComputerIDs = slices.DeleteFunc(s.ClassroomIDs, is), slices.DeleteFunc(s.ComputerIDs, is)
		if len(s.ClassroomIDs) == rooms && len(s.ComputerIDs) == pcs {
			continue
		}
		if err := put(tx, schedulesBucket, s.ID, s); err != nil {
			return err
		}
	}
	return nil
}

// clean returns the schedule as it is kept, or ErrInvalid with the reason.
func (s Schedule) clean() (_ Schedule, err error) {
	if s.Name, err = cleanName("schedule", s.Name); err != nil {
		return s, err
	}
	refuse := func(format string, args ...any) (Schedule, error) {
		return s, fmt.Errorf("schedule %q: %w: %s", s.Name, ErrInvalid, fmt.Sprintf(format, args...))
	}
	s.ClassroomIDs, s.ComputerIDs, s.Days = ordered(s.ClassroomIDs), ordered(s.ComputerIDs), ordered(s.Days)
	s.At, s.Zone = strings.TrimSpace(s.At), strings.TrimSpace(s.Zone)
	switch {
	case len(s.ClassroomIDs)+len(s.ComputerIDs) == 0:
		return refuse("it runs nowhere (choose classrooms or computers)")
	case s.Once.IsZero() == (len(s.Days) == 0):
		return refuse("give it either one time or days of the week")
	case s.Missed < 0 || s.Missed > maxMissed:
		return refuse("a missed run is made up for %v (give 0, which is not at all, to %d days)", s.Missed, maxMissed/(24*time.Hour))
	}
	if !s.Once.IsZero() {
		if s.At != "" {
			return refuse("a time of day goes with days of the week (leave it out, or choose days)")
		}
		s.Once = s.Once.UTC().Truncate(time.Second)
		if y := s.Once.Year(); y < 2000 || y > 9999 {
			return refuse("the year %d (choose a time to come)", y)
		}
	} else {
		if s.Days[0] < time.Sunday || s.Days[len(s.Days)-1] > time.Saturday {
			return refuse("a day of the week is from 0, Sunday, to 6, Saturday")
		}
		if at, err := time.Parse("15:04", s.At); err != nil || at.Format("15:04") != s.At {
			return refuse("time of day %.40q (write hours and minutes, such as 07:30)", s.At)
		}
	}
	// time.LoadLocation knows "Local" as well, which would mean another thing on another machine.
	if _, err := time.LoadLocation(s.Zone); err != nil || strings.EqualFold(s.Zone, "local") {
		return refuse("time zone %.40q is not known (write one such as Europe/Madrid, or leave it empty for the server's)", s.Zone)
	}
	return s, nil
}
