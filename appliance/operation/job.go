package operation

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aula/appliance/catalog"
	"aula/clientos/protocol"
)

// A job is an operation under way or remembered.
type job struct {
	op      Operation // its Targets are in seats
	seats   []*seat
	plans   map[int]stepPlan // of its steps, once made
	layouts map[int][]byte   // JSON of the layouts of its steps, once read
	release func()           // of the images, while the operation runs
}

// A seat is one PC's place in a job.
type seat struct {
	part
	job     *job
	record  string   // its id, which is also that of its first instruction
	unsaved bool     // part differs from its record
	urgent  bool     // in what matters
	owed    []errand // that wait for the record
}

// newSeat is the place of a target as it was planned.
func (j *job) newSeat(t Target) *seat {
	s := &seat{part: part{Target: t, late: j.op.Late}, job: j, record: t.Instruct.ID}
	for _, step := range j.op.Steps {
		s.kinds = append(s.kinds, step.Kind)
	}
	if !ended(t.State) && len(j.op.Steps) > 0 && !t.planned() {
		s.memory.Unprepared, s.memory.Unplanned = true, true
	}
	if j.op.Late > 0 {
		s.memory.Deadline = j.op.Created.Add(j.op.Late)
	}
	s.memory.Heard, s.memory.Said = j.op.Created, t.Notes
	return s
}

// parts are the images of all steps.
func (j *job) parts() []protocol.Part {
	if len(j.op.Steps) == 0 {
		for _, s := range j.seats {
			if len(s.Instruct.Parts) > 0 { // else it failed the pre-flight
				return s.Instruct.Parts // the same for each PC
			}
		}
		return nil
	}
	var parts []protocol.Part
	for _, step := range j.op.Steps {
		parts = append(parts, step.Parts...)
	}
	return parts
}

func (j *job) snapshot() Operation {
	op := j.op
	op.Targets = make([]Target, len(j.seats))
	for i, s := range j.seats {
		op.Targets[i] = s.Target
	}
	return op
}

func (j *job) unended() []*seat {
	return slices.DeleteFunc(slices.Clone(j.seats), func(s *seat) bool { return ended(s.State) })
}

// describe says who has a PC, for a refusal.
func (s *seat) describe() string {
	words := map[string]string{
		CreateImage: "capturing " + s.job.op.Image, RestoreImage: "restoring " + s.job.op.Image,
		UpdateCache: "bringing " + s.job.op.Image + " into its cache", DeleteCached: "removing images from its cache",
		PartitionDisk: "partitioning", ConfigureOS: "configuring what was restored", WakeUp: "waking up",
		Reboot: "restarting", BootDisk: "booting its own disk", PowerOff: "switching off",
	}
	return strings.TrimSpace(fmt.Sprintf("%s, asked for by %s at %s", words[s.job.op.Kind], s.job.op.Actor,
		s.job.op.Created.Local().Format("15:04")))
}

// hold keeps the images of a restore in their repositories while the job runs. After an error those are held that could be.
func (m *Manager) hold(j *job) error {
	if j.release != nil {
		return nil
	}
	var releases []func()
	var errs []error
	for _, p := range j.parts() {
		release, err := m.cfg.Images.Hold(p.Image.Repository, p.Image.Name, p.Image.Revision, holder(j.op))
		if err != nil {
			errs = append(errs, err)
			continue
		}
		releases = append(releases, release)
	}
	j.release = func() {
		for _, release := range releases {
			release()
		}
	}
	return errors.Join(errs...)
}

// letGo ends what hold began.
func (j *job) letGo() {
	if j.release != nil {
		j.release()
		j.release = nil
	}
}

func holder(op Operation) string {
	if len(op.Targets) == 1 {
		return "restore on " + op.Targets[0].Name
	}
	return fmt.Sprintf("restore on %d computers", len(op.Targets))
}

// advance gives each seat its event, stores what matters in one write and then lets the effects go. It returns the operations
// that look different now. The caller holds the lock.
func (m *Manager) advance(seats []*seat, events func(*seat) event) (changed []string) {
	now := m.cfg.Now()
	var turned []*job
	for _, s := range seats {
		before := s.part
		after, effects := m.rules.step(before, events(s), now)
		s.part = after
		for _, e := range effects {
			s.owed = append(s.owed, errand{e, s.ComputerID, before.Instruct.ID, s}) // it is about the instruction that was
		}
		s.urgent = s.urgent || matters(before, after)
		s.unsaved = s.unsaved || s.urgent || shows(before, after)
		if shows(before, after) && !slices.Contains(changed, s.job.op.ID) {
			changed = append(changed, s.job.op.ID)
		}
		if before.State != after.State {
			m.moved(s, before.State)
		}
		if (before.State != after.State || before.memory.Published != after.memory.Published || before.Step != after.Step) && !slices.Contains(turned, s.job) {
			turned = append(turned, s.job)
		}
	}
	urgent := slices.DeleteFunc(slices.Clone(seats), func(s *seat) bool { return !s.urgent })
	if err := m.save(urgent); err != nil {
		m.cfg.Log.Error("operation records not stored, will be tried again", "records", len(urgent), "error", err)
	}
	for _, s := range seats {
		m.pay(s)
	}
	for _, j := range turned {
		m.summarise(j)
	}
	return changed
}

// moved tells the log of a new state and frees the PC of an ended one.
func (m *Manager) moved(s *seat, before string) {
	log := m.cfg.Log.With("operation", s.job.op.ID, "kind", s.job.op.Kind, "computer", s.ComputerID, "name", s.Name)
	if s.Failure != nil {
		log = log.With("code", s.Failure.Code, "problem", s.Failure.Problem)
	}
	log.Info("computer's part changed", "from", before, "to", s.State)
	if ended(s.State) && m.active[s.ComputerID] == s {
		m.leave(s.ComputerID)
	}
}

// save writes the records of seats, all or none. Those that could not be written stay marked.
func (m *Manager) save(seats []*seat) error {
	if len(seats) == 0 {
		return nil
	}
	records := make(map[string][]byte, len(seats))
	for _, s := range seats {
		data, err := encodeStanding(s.part)
		if err != nil {
			return fmt.Errorf("record %s: %w", s.record, err)
		}
		records[s.record] = data
	}
	if err := m.cfg.Store.PutRecords(catalog.Operations, records); err != nil {
		return err
	}
	for _, s := range seats {
		s.unsaved, s.urgent = false, false
	}
	return nil
}

// pay lets the effects of a stored state go.
func (m *Manager) pay(s *seat) {
	if s.urgent {
		return
	}
	for _, e := range s.owed {
		m.outbox.put(e)
	}
	s.owed = nil
}

// summarise computes what is said of an operation as a whole, and lets go of what an ended one held.
func (m *Manager) summarise(j *job) {
	states := make([]string, len(j.seats))
	last := j.op.Created
	for i, s := range j.seats {
		states[i] = s.State
		if s.Ended.After(last) {
			last = s.Ended
		}
		if made := cmp.Or(s.memory.Published, s.memory.Made); made > 0 {
			j.op.Revision = made
		}
	}
	j.op.State = overall(states)
	if j.op.State == Running {
		return
	}
	j.op.Ended, j.layouts, j.plans = last, nil, nil
	j.letGo()
}
