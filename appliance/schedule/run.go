package schedule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"aula/appliance/catalog"
	"aula/clientos/instruction"
)

// run asks for the operation of a due time, until a time when PCs are busy, and returns when to ask again; zero when it is decided.
func (k *Keeper) run(ctx context.Context, s catalog.Schedule, due, next, until time.Time) (again time.Time, err error) {
	err = k.cfg.Catalog.NoteRun(s.ID, catalog.Run{Due: due, Result: "starting", Underway: catalog.RunStarting}, next)
	if err != nil {
		return time.Time{}, fmt.Errorf("its run of %s is not begun, for it cannot be noted: %w", k.clock(s, due), err)
	}
	id, err := k.start(ctx, s)
	result := catalog.Run{Due: due, Result: id}
	switch now := k.now(); {
	case err == nil:
		k.log.Info("schedule run", "name", s.Name, "due", due, "operation", id)
	case errors.Is(err, ErrBusy) && now.Before(until):
		again = now.Add(retryEvery)
		if until.Before(again) {
			again = until
		}
		k.retries[s.ID] = &retry{due: due, again: again, until: until}
		result.Result, result.Underway = fmt.Sprintf("waiting until %s: %v", k.clock(s, until), err), catalog.RunWaiting
		k.log.Warn("schedule waits", "name", s.Name, "due", due, "until", until, "err", err)
	case ctx.Err() != nil:
		return time.Time{}, nil // whoever starts next finds that it was starting
	case errors.Is(err, ErrBusy):
		err = fmt.Errorf("given up after %d minutes: %w", retryFor/time.Minute, err)
		fallthrough
	default:
		result.Result, result.Failed = err.Error(), true
		k.log.Error("schedule not run", "name", s.Name, "due", due, "err", err)
	}
	if result.Underway == "" {
		delete(k.retries, s.ID)
	}
	return again, k.cfg.Catalog.NoteRun(s.ID, result, next)
}

// resume goes on with a run that is not decided. It returns when to look again, or that the run is settled.
func (k *Keeper) resume(ctx context.Context, s catalog.Schedule, d decision, now time.Time) (again time.Time, settled bool, err error) {
	note := func(run catalog.Run) (time.Time, bool, error) {
		run.Due = s.LastRun
		k.log.Error("schedule not run", "name", s.Name, "due", s.LastRun, "err", run.Result)
		next := s.Next // of due times that have passed since it is tended after this
		return time.Time{}, true, k.cfg.Catalog.NoteRun(s.ID, run, next)
	}
	if s.Underway == catalog.RunStarting {
		return note(catalog.Run{Failed: true, Result: fmt.Sprintf("the appliance was stopped while it began the run of %s (look among the operations whether it "+
			"did, and run the procedure by hand if not)", k.clock(s, s.LastRun))})
	}
	r := k.retries[s.ID]
	if r == nil || !r.due.Equal(s.LastRun) {
		// The appliance was stopped while it waited; what was refused then may be asked for again, in time.
		r = &retry{due: s.LastRun, again: now, until: s.LastRun.Add(retryFor)}
		if made := s.LastRun.Add(s.Missed); now.Before(made) && r.until.Before(now) {
			r.until = now.Add(retryFor)
		}
		if !now.Before(r.until) {
			return note(catalog.Run{Failed: true, Result: fmt.Sprintf("missed: PCs were busy at %s, and then the appliance was off", k.clock(s, s.LastRun))})
		}
		k.retries[s.ID] = r
	}
	if d.count > 0 {
		return note(catalog.Run{Failed: true, Result: fmt.Sprintf("PCs were busy at %s, until the next run was due", k.clock(s, s.LastRun))})
	}
	// A clock that was set back must not make it wait for longer than it would have.
	if now.Add(retryEvery).Before(r.again) {
		r.again, r.until = now, now.Add(retryFor)
	}
	if now.Before(r.again) {
		return r.again, false, nil
	}
	again, err = k.run(ctx, s, r.due, d.next, r.until)
	return again, again.IsZero(), err
}

// start asks for the operation.
func (k *Keeper) start(ctx context.Context, s catalog.Schedule) (operationID string, err error) {
	procedure, err := k.cfg.Catalog.Procedure(s.ProcedureID)
	if err != nil {
		return "", fmt.Errorf("%w (let the schedule run another procedure)", err)
	}
	program, err := instruction.Parse(procedure.Text)
	if err != nil {
		return "", fmt.Errorf("procedure %q: %w (correct it)", procedure.Name, err)
	}
	pcs, err := k.scope(s)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	actor := "schedule " + s.Name
	if s.Actor != "" {
		actor += " of " + s.Actor
	}
	return k.cfg.Start(ctx, actor, pcs, program, fmt.Sprintf("schedule %s, procedure %s", s.Name, procedure.Name))
}

// scope returns the accepted PCs that are in the classrooms of the schedule now, and those that it names.
func (k *Keeper) scope(s catalog.Schedule) ([]string, error) {
	all, err := k.cfg.Catalog.Computers()
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, pc := range all {
		if pc.State == catalog.Accepted && (slices.Contains(s.ClassroomIDs, pc.ClassroomID) || slices.Contains(s.ComputerIDs, pc.ID)) {
			ids = append(ids, pc.ID)
		}
	}
	if len(ids) == 0 {
		return nil, errors.New("there is no PC to run it on: its classrooms are empty, or they and its PCs were removed (choose others in the schedule)")
	}
	return ids, nil
}
