// Package schedule starts instructions at the times that people have set for them: once or weekly, in a time zone, not on holidays, and says what
// became of the runs that were missed.
//
// A due time is run at most once: that it is about to be run is on stable storage before the operation is asked for, and a server that is killed in
// between does not ask again, for nobody knows then how far it came; it says so. A deploy that does not happen is a nuisance in the morning, one
// that happens a second time, at nine, takes the room away from a class.
//
// It is not about what the instructions do (appliance/operation).
package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"aula/appliance/catalog"
	"aula/clientos/instruction"
)

// ErrBusy is wrapped by what Config.Start answers when it started nothing because PCs are busy with something else: it is asked again.
var ErrBusy = errors.New("PCs are busy")

const (
	lateness     = time.Minute      // a due time that is over for longer was missed
	retryEvery   = time.Minute      // how often busy PCs are asked again
	retryFor     = 10 * time.Minute // and for how long
	startTimeout = 2 * time.Minute  // for Config.Start: the other schedules wait for it
	// pulse is how often the clock is looked at: timers do not count the time for which a machine sleeps, nor hear of a clock that is set.
	pulse = 20 * time.Second
)

// A Config gives a Keeper what it works with. Catalog and Start are required.
type Config struct {
	Catalog *catalog.Catalog
	// Start begins an operation and returns its ID. When it answers an error it has started nothing; one that wraps ErrBusy has it asked again.
	Start func(ctx context.Context, actor string, computerIDs []string, program instruction.Program, note string) (operationID string, err error)
	Log   *slog.Logger     // discarded when nil
	Now   func() time.Time // time.Now when nil
	Zone  *time.Location   // of schedules that name none; time.Local when nil
}

// A Keeper runs the schedules of a catalog.
type Keeper struct {
	cfg     Config
	log     *slog.Logger
	started bool              // it has looked at the schedules before: it was not off
	took    time.Duration     // the last look, in which schedules wait for one another
	retries map[string]*retry // by schedule
}

// A retry is a run that waits for PCs that are busy.
type retry struct {
	due, again, until time.Time
}

// New makes a Keeper. It does nothing before Run.
func New(cfg Config) (*Keeper, error) {
	if cfg.Catalog == nil || cfg.Start == nil {
		return nil, errors.New("schedule: Catalog and Start are needed")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Zone == nil {
		cfg.Zone = time.Local
	}
	return &Keeper{cfg: cfg, log: cfg.Log, retries: make(map[string]*retry)}, nil
}

// Run runs the schedules until ctx ends, and then returns nil. What goes wrong with a schedule is noted in it and logged; nothing ends Run.
func (k *Keeper) Run(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	defer k.cfg.Catalog.Watch(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var wake time.Time // when the next look is due
	for looked := k.now(); ; {
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
			wake = k.look(ctx)
		case <-timer.C:
			if now := k.now(); !now.Before(wake) || now.Before(looked) {
				wake = k.look(ctx)
			}
		}
		looked = k.now()
		timer.Reset(max(0, min(pulse, wake.Sub(looked))))
	}
}

// now is the time on the wall, without the monotonic reading, which does not hear of a clock that is set.
func (k *Keeper) now() time.Time { return k.cfg.Now().Round(0) }

// look does what is due, and returns when it wants to look again.
func (k *Keeper) look(ctx context.Context) time.Time {
	now := k.now()
	wake := now.Add(time.Hour)
	schedules, holidays, err := k.read()
	if err != nil {
		k.log.Error("schedules cannot be read; they do not run", "err", err)
		return now.Add(retryEvery)
	}
	// What was due first is first: of an updateCache and a deploy that were both missed.
	slices.SortStableFunc(schedules, func(a, b catalog.Schedule) int { return a.Next.Compare(b.Next) })
	for _, s := range schedules {
		if ctx.Err() != nil {
			return wake
		}
		next, err := k.tend(ctx, s, holidays, now)
		if err != nil && !errors.Is(err, catalog.ErrNotFound) { // somebody has removed it meanwhile
			k.log.Error("schedule", "name", s.Name, "err", err)
			next = now.Add(retryEvery)
		}
		if !next.IsZero() && next.Before(wake) {
			wake = next
		}
	}
	k.forget(schedules)
	k.started, k.took = true, max(0, k.now().Sub(now))
	return wake
}

func (k *Keeper) read() ([]catalog.Schedule, []catalog.Holiday, error) {
	schedules, err := k.cfg.Catalog.Schedules()
	if err != nil {
		return nil, nil, err
	}
	holidays, err := k.cfg.Catalog.Holidays()
	return schedules, holidays, err
}

// forget drops the retries of schedules that were removed.
func (k *Keeper) forget(schedules []catalog.Schedule) {
	for id := range k.retries {
		if !slices.ContainsFunc(schedules, func(s catalog.Schedule) bool { return s.ID == id }) {
			delete(k.retries, id)
		}
	}
}

// tend does what is due of one schedule now, and returns when there is something to do again; zero for never.
func (k *Keeper) tend(ctx context.Context, s catalog.Schedule, holidays []catalog.Holiday, now time.Time) (time.Time, error) {
	d := decide(s, holidays, now, lateness+k.took, k.cfg.Zone)
	if s.Underway != "" {
		again, settled, err := k.resume(ctx, s, d, now)
		if err != nil || !settled && d.count == 0 {
			return earliest(again, d.next), err
		}
	}
	delete(k.retries, s.ID)
	if d.count == 0 {
		if !d.next.Equal(s.Next) {
			return d.next, k.cfg.Catalog.SetNext(s.ID, d.next)
		}
		return d.next, nil
	}
	if d.missed {
		return d.next, k.miss(s, d)
	}
	if d.count > 1 {
		k.log.Warn("runs of a schedule missed", "name", s.Name, "runs", d.count-1, "first", d.first, "made up", d.due)
	}
	again, err := k.run(ctx, s, d.due, d.next, k.now().Add(retryFor))
	return earliest(again, d.next), err
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// A decision is what the clock says of a schedule.
type decision struct {
	next   time.Time // when it is due next, after now; zero for never
	count  int       // how many due times have passed since the last reckoning
	first  time.Time // the first and
	due    time.Time // the last of them
	missed bool      // the last one is not to be made up
}

// decide is told by Next of the schedule, which was reckoned before, what has become due since. Due times up to the last one that was run are over.
// One that is over for longer than grace was missed.
func decide(s catalog.Schedule, holidays []catalog.Holiday, now time.Time, grace time.Duration, local *time.Location) decision {
	var d decision
	for due := s.Next; !s.Off && !due.IsZero() && !due.After(now); due, _ = Next(s, holidays, due, local) {
		if !due.After(s.Ran) {
			continue
		}
		if d.count++; d.count == 1 {
			d.first = due
		}
		d.due = due
	}
	late := now.Sub(d.due)
	d.missed = d.count > 0 && late > grace && late > s.Missed
	after := now
	if s.Ran.After(after) {
		after = s.Ran
	}
	d.next, _ = Next(s, holidays, after, local)
	return d
}

// miss notes runs that are not made up.
func (k *Keeper) miss(s catalog.Schedule, d decision) error {
	why := "the appliance was off"
	if k.started {
		why = "the appliance was asleep, or its clock was set"
	}
	result := fmt.Sprintf("missed: %s at %s", why, k.clock(s, d.due))
	if d.count > 1 {
		result += fmt.Sprintf(", as were %d runs before it", d.count-1)
	}
	k.log.Warn("runs of a schedule missed", "name", s.Name, "runs", d.count, "first", d.first, "last", d.due, "why", why)
	return k.cfg.Catalog.NoteRun(s.ID, catalog.Run{Due: d.due, Result: result, Failed: true, Missed: true}, d.next)
}

// clock writes a time as the clock of the schedule's place shows it.
func (k *Keeper) clock(s catalog.Schedule, t time.Time) string {
	zone, _, ok := timing(s, k.cfg.Zone)
	if !ok && s.Once.IsZero() || zone == nil {
		zone = k.cfg.Zone
	}
	return t.In(zone).Format("15:04 on 2006-01-02")
}
