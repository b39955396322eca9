package operation

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"aula/clientos/protocol"
	"aula/imagestore"
)

var (
	simRuns = flag.Int("sim.runs", 500, "how many random classrooms TestSimulation plays")
	simSeed = flag.Uint64("sim.seed", 0, "play the one classroom with this seed")
)

// TestSimulation plays classrooms in which PCs vanish, restart, lie and repeat themselves, the repository disk fills
// up, the operator changes her mind and the server is killed, at random, and checks after every step that:
//
//   - a restore that is Done was really written whole by its PC, and a capture that is Done really is an image;
//   - no record denies what a PC wrote after it was heard to have begun, whether or not the PC could still say so;
//   - every target is in one of the states, and one that ended never changes again;
//   - progress never goes back in a stage;
//   - no PC is sent an instruction, or told to forget one, before the record says so;
//   - no PC has two operations at once;
//   - an image is held while a restore of it runs;
//
// and, when the storm is over, that everything has ended and nothing is held.
func TestSimulation(t *testing.T) {
	t.Parallel()
	if *simSeed != 0 {
		newStorm(t, *simSeed).play()
		return
	}
	for seed := range uint64(*simRuns) {
		newStorm(t, seed+1).play()
		if t.Failed() {
			t.Fatalf("play it again with: go test ./appliance/operation -run TestSimulation -sim.seed=%d", seed+1)
		}
	}
}

// A storm is one random classroom. It is the Agents of its bench's Manager.
type storm struct {
	*bench
	random    *rand.Rand
	pcs       []*simPC
	published map[string]bool        // instructions whose capture is in the repository
	settled   map[string]Target      // by instruction: what was stored as ended
	last      map[string]Target      // by instruction: as seen after the step before
	failures  int                    // times that the store was full
	trace     []func() string        // what happened, for the reader of a failure
	history   map[string][]simReport // by PC: what it once said
}

type simReport = protocol.Report

// A simPC is a PC with an agent that keeps to the protocol.
type simPC struct {
	id        string
	online    bool // its session stands, as far as it knows
	seq       uint64
	work      *simWork
	whole     map[string]bool // instructions whose image was really written and verified here
	wrote     map[string]bool // instructions that have written to its disk, said or not
	saidDirty map[string]bool
}

// simWork is the instruction that an agent holds.
type simWork struct {
	in     protocol.Instruct
	step   int
	dirty  bool
	cancel bool
	report protocol.Report // the last
}

func newStorm(t *testing.T, seed uint64) *storm {
	s := &storm{
		bench: newBench(t), random: rand.New(rand.NewPCG(seed, seed)),
		published: map[string]bool{}, settled: map[string]Target{}, last: map[string]Target{}, history: map[string][]simReport{},
	}
	for _, id := range []string{"pc1", "pc2", "pc3"} {
		s.pcs = append(s.pcs, &simPC{id: id, online: true, whole: map[string]bool{}, wrote: map[string]bool{}, saidDirty: map[string]bool{}})
	}
	s.cfg.Agents = s
	s.cfg.Keep = 6
	s.restart()
	return s
}

func (s *storm) pc(id string) *simPC {
	i := slices.IndexFunc(s.pcs, func(p *simPC) bool { return p.id == id })
	return s.pcs[i]
}

func (s *storm) chance(percent int) bool { return s.random.IntN(100) < percent }

// say notes what happened; it is written out only if a check fails.
func (s *storm) say(format string, args ...any) {
	at := s.clock
	s.trace = append(s.trace, func() string { return at.Format("15:04:05 ") + fmt.Sprintf(format, args...) })
}

func (s *storm) failf(format string, args ...any) {
	s.t.Helper()
	s.t.Errorf(format, args...)
	var story strings.Builder
	for _, line := range s.trace[max(0, len(s.trace)-60):] {
		story.WriteString(line() + "\n")
	}
	s.t.Fatalf("what happened:\n%s", &story)
}

func (s *storm) play() {
	for range 150 {
		s.step()
		s.check()
		if s.t.Failed() {
			return
		}
	}
	s.calm()
}

// step is one thing that happens.
func (s *storm) step() {
	pc := s.pcs[s.random.IntN(len(s.pcs))]
	switch n := s.random.IntN(100); {
	case n < 40:
		s.works(pc)
	case n < 65:
		s.errand()
	case n < 75:
		s.operator()
	case n < 80:
		s.passesSome()
	case n < 84:
		s.disconnects(pc)
	case n < 91:
		s.connects(pc)
	case n < 93:
		s.restarts(pc)
	case n < 96:
		s.repeats(pc)
	case n < 98:
		s.crash()
	default:
		s.store.full = !s.store.full && s.chance(50)
		if s.store.full {
			s.failures++
		}
		s.say("store full: %v", s.store.full)
	}
}

// works lets a PC do a piece of what it has to do and say so.
func (s *storm) works(pc *simPC) {
	w := pc.work
	if w == nil {
		return
	}
	if !w.report.Final() {
		s.proceed(pc, w)
	}
	if pc.work != nil && pc.online { // a final report is repeated until it is settled
		s.reports(pc)
	}
}

func (s *storm) proceed(pc *simPC, w *simWork) {
	w.step++
	r := protocol.Report{ID: w.in.ID, State: protocol.Running, Total: 100, Bytes: int64(w.step)}
	switch {
	case w.cancel:
		r.State = protocol.Cancelled
	case s.chance(4):
		r.State, r.Failure = protocol.Failed, &protocol.Failure{Code: protocol.ErrImage, Problem: "read error", Advice: "replace the disk"}
	case isPower(w.in.Kind):
		pc.work = nil
		s.restarts(pc)
		return
	case w.in.Kind == CreateImage:
		s.captures(pc, w, &r)
	default:
		s.writes(pc, w, &r)
	}
	pc.seq++
	r.Seq, r.Dirty = pc.seq, w.dirty
	w.report = r
	s.say("%s: %s %s %d dirty %v verified %d", pc.id, r.State, r.Stage, r.Bytes, r.Dirty, r.Verified)
}

func (s *storm) writes(pc *simPC, w *simWork, r *protocol.Report) {
	switch {
	case w.step == 1:
		r.Stage = protocol.StagePreflight
	case w.step < 4:
		r.Stage, w.dirty = protocol.StageWriting, true
		pc.wrote[w.in.ID] = true
	case w.step < 6:
		r.Stage = protocol.StageVerifying
	case s.chance(10): // a broken agent that ends without having verified all
		r.State, r.Verified = protocol.Done, w.in.UsedBytes()-int64(s.random.IntN(2)+1)
	case len(w.in.Parts) > 1 && s.chance(20): // one that forgets a part
		r.State, r.Verified = protocol.Done, w.in.UsedBytes()-w.in.Parts[s.random.IntN(len(w.in.Parts))].Image.UsedBytes
	default:
		r.State, r.Verified = protocol.Done, w.in.UsedBytes()
		pc.whole[w.in.ID] = true
	}
}

func (s *storm) captures(pc *simPC, w *simWork, r *protocol.Report) {
	switch {
	case w.step < 4:
		r.Stage = protocol.StageReading
		return
	case w.step == 4 && !pc.online:
		w.step-- // the upload waits for the network
		return
	case w.step == 4:
		if _, ok := s.m.Entitled(pc.id, w.in.ID); !ok {
			r.State, r.Failure = protocol.Failed, &protocol.Failure{Code: protocol.ErrRepository, Problem: "not entitled", Advice: "again"}
			return
		}
		if s.chance(15) {
			s.m.CaptureFailed(pc.id, w.in.ID, protocol.Failure{Code: protocol.ErrCacheSize, Problem: "repository full", Advice: "remove images"})
			r.State, r.Failure = protocol.Failed, &protocol.Failure{Code: protocol.ErrCacheSize, Problem: "repository full", Advice: "remove images"}
			return
		}
		s.m.Publishing(pc.id, w.in.ID, 1, 2)
		s.published[w.in.ID] = true
		if s.chance(10) {
			s.crash() // after the image is there, before anybody was told
			r.Stage = protocol.StagePublishing
			return
		}
		if s.chance(50) {
			s.m.Published(pc.id, w.in.ID, imagestore.Image{Name: w.in.Capture.Name, Revision: 1})
		} else {
			defer s.m.Published(pc.id, w.in.ID, imagestore.Image{Name: w.in.Capture.Name, Revision: 1})
			s.say("%s: confirms before the server does", pc.id)
			pc.seq++
			s.m.Report(pc.id, protocol.Report{ID: w.in.ID, Seq: pc.seq, State: protocol.Done})
		}
		r.State = protocol.Done
	default:
		r.State, r.Failure = protocol.Failed, &protocol.Failure{Code: protocol.ErrRepository, Problem: "the server restarted", Advice: "again"}
	}
}

func (s *storm) reports(pc *simPC) {
	r := pc.work.report
	if r.ID == "" {
		return
	}
	s.history[pc.id] = append(s.history[pc.id], r)
	if r.Dirty {
		pc.saidDirty[r.ID] = true
	}
	s.m.Report(pc.id, r)
}

// repeats delivers something that the PC once said.
func (s *storm) repeats(pc *simPC) {
	past := s.history[pc.id]
	if len(past) == 0 || !pc.online {
		return
	}
	r := past[s.random.IntN(len(past))]
	s.say("%s: repeats %s %d", pc.id, r.State, r.Seq)
	s.m.Report(pc.id, r)
}

func (s *storm) disconnects(pc *simPC) {
	if pc.online {
		s.say("%s: disconnects", pc.id)
		pc.online = false
		s.m.Disconnected(pc.id)
	}
}

// connects begins a session, also where the server believes that there is one.
func (s *storm) connects(pc *simPC) {
	pc.online = true
	var running *protocol.Report
	if pc.work != nil {
		if pc.work.report.ID == "" {
			pc.seq++
			pc.work.report = protocol.Report{ID: pc.work.in.ID, Seq: pc.seq, State: protocol.Running, Stage: protocol.StagePreflight}
		}
		r := pc.work.report
		running = &r
		if r.Dirty {
			pc.saidDirty[r.ID] = true
		}
	}
	s.say("%s: connects with %v", pc.id, running)
	s.m.Connected(pc.id, running)
}

// restarts is a power cut: what the agent held is gone, what was written is not.
func (s *storm) restarts(pc *simPC) {
	s.say("%s: restarts", pc.id)
	if w := pc.work; w != nil && (s.m.seats[w.in.ID] == nil || !s.m.seats[w.in.ID].memory.Taken) {
		delete(pc.wrote, w.in.ID) // nobody heard that it had begun: the record counts from the next time that it is sent
	}
	pc.work, pc.seq = nil, 0
	if s.chance(50) {
		s.disconnects(pc)
	} else {
		s.connects(pc)
	}
}

// errand carries out one effect of the Manager.
func (s *storm) errand() {
	ids := slices.Sorted(maps.Keys(s.m.outbox.waiting))
	if len(ids) == 0 {
		return
	}
	if e, ok := s.m.outbox.take(ids[s.random.IntN(len(ids))]); ok {
		s.m.carryOut(e)
	}
}

func (s *storm) operator() {
	ids := []string{s.pcs[s.random.IntN(len(s.pcs))].id}
	if s.chance(30) {
		ids = []string{"pc1", "pc2", "pc3"}
	}
	ctx := s.t.Context()
	var err error
	var op Operation
	switch s.random.IntN(6) {
	case 0:
		op, err = s.m.Restore(ctx, "marta", RestoreRequest{ComputerIDs: ids, Disk: 1, Partition: 1, Image: "windows11"})
	case 1:
		op, err = s.m.Restore(ctx, "marta", RestoreRequest{ComputerIDs: ids, Disk: 1, Image: "lab", Whole: true})
	case 2, 3:
		op, err = s.m.Capture(ctx, "marta", CaptureRequest{ComputerID: ids[0], Disk: 1, Partition: 1, Image: "ubuntu"})
	case 4:
		op, err = s.m.Power(ctx, "marta", Reboot, ids)
	case 5:
		all := s.m.Operations(3)
		if len(all) > 0 {
			op = all[s.random.IntN(len(all))]
			s.say("operator: cancels %s", op.ID)
			err = s.m.Cancel(ctx, op.ID)
		}
	}
	s.say("operator: %s %s %v: %v", op.Kind, op.ID, ids, err)
	if err != nil && !errors.Is(err, ErrRefused) && !errors.Is(err, errFull) {
		s.failf("the operator got %v", err)
	}
}

func (s *storm) passesSome() {
	d := tickInterval
	if s.chance(10) {
		d = time.Duration(s.random.Int64N(int64(lostAfter + time.Minute)))
	} else if s.chance(30) {
		d = time.Duration(s.random.Int64N(int64(time.Minute)))
	}
	s.clock = s.clock.Add(d)
	s.say("tick")
	s.m.tick()
}

// crash is kill -9: the effects that were not carried out are lost with all that was not stored, and no session stands.
func (s *storm) crash() {
	s.say("the server is killed")
	for _, pc := range s.pcs {
		pc.online = false
	}
	clear(s.last)
	s.restart()
}

// The Agents of the Manager.

func (s *storm) Connected(id string) bool { return s.pc(id).online }

func (s *storm) Instruct(id string, in protocol.Instruct) error {
	pc := s.pc(id)
	s.say("server: instructs %s, online %v", in.ID, pc.online)
	if err := in.Check(); err != nil {
		s.failf("the instruction is wrong: %v", err)
	}
	op, _, _ := strings.Cut(in.ID, ".")
	if s.store.records[op] == nil || !strings.Contains(string(s.store.records[in.ID]), `"send":"s`) {
		s.failf("instruction %s is sent before the record says so: %s", in.ID, s.store.records[in.ID])
	}
	switch {
	case !pc.online:
		return errors.New("not connected")
	case s.chance(5): // the connection breaks at this instant and nobody knows yet
		return nil
	case pc.work != nil && pc.work.in.ID == in.ID:
		return nil // held already
	}
	pc.work = &simWork{in: in}
	return nil
}

func (s *storm) Cancel(id, instructionID string) error {
	s.say("server: cancels %s", instructionID)
	pc := s.pc(id)
	if !pc.online {
		return errors.New("not connected")
	}
	if s.chance(10) {
		return nil // lost on the way
	}
	if pc.work != nil && pc.work.in.ID == instructionID {
		pc.work.cancel = true
	}
	return nil
}

func (s *storm) Settle(id, instructionID string) error {
	s.say("server: settles %s", instructionID)
	if seat, ok := s.m.seats[instructionID]; ok {
		stored, err := decodeStanding(seat.Target, s.store.records[instructionID])
		if err != nil || !ended(stored.State) {
			s.failf("%s is settled and its record says %s (%v)", instructionID, stored.State, err)
		}
	}
	pc := s.pc(id)
	if !pc.online {
		return errors.New("not connected")
	}
	if pc.work != nil && pc.work.in.ID == instructionID && pc.work.report.Final() {
		pc.work = nil
	}
	return nil
}

// check looks whether all is as it must be.
func (s *storm) check() {
	busy := map[string]string{}
	holders := 0
	for _, op := range s.m.Operations(0) {
		states := make([]string, len(op.Targets))
		for i, target := range op.Targets {
			states[i] = target.State
			s.checkTarget(op, target)
			if ended(target.State) {
				continue
			}
			if other := busy[target.ComputerID]; other != "" {
				s.failf("%s is in operations %s and %s at once", target.ComputerID, other, op.ID)
			}
			busy[target.ComputerID] = op.ID
		}
		if want := overall(states); op.State != want {
			s.failf("operation %s is %s, its PCs are %v", op.ID, op.State, states)
		}
		if op.Kind == RestoreImage && op.State == Running {
			holders += len(op.Steps[0].Parts)
		}
	}
	if got := len(s.images.holders()); got != holders {
		s.failf("images are held %d times, want %d", got, holders)
	}
}

func (s *storm) checkTarget(op Operation, target Target) {
	id := target.Instruct.ID
	if err := checkState(target); err != nil {
		s.failf("%v", err)
	}
	pc := s.pc(target.ComputerID)
	if target.State == Done {
		switch {
		case op.Kind == RestoreImage && !pc.whole[id]:
			s.failf("%s is Done and its disk does not hold the image", id)
		case op.Kind == CreateImage && !s.published[id]:
			s.failf("%s is Done and there is no image", id)
		}
	}
	if target.State == Failed || target.State == Incomplete {
		if target.Failure == nil || target.Failure.Problem == "" || target.Failure.Advice == "" || target.Failure.Code == 0 {
			s.failf("%s is %s without a reason: %+v", id, target.State, target.Failure)
		}
	}
	if ended(target.State) && target.State != Done && pc.saidDirty[id] && !target.Dirty && s.failures == 0 {
		s.failf("%s ended %s and does not say that the disk was written to", id, target.State)
	}
	if denied := target.State == Cancelled || target.Failure != nil && strings.Contains(target.Failure.Problem, "nothing was written"); denied &&
		pc.wrote[id] && !target.Dirty && s.m.seats[id].memory.Taken && s.failures == 0 {
		s.failf("%s ended %s (%v) although its PC has written", id, target.State, target.Failure)
	}
	before, seen := s.last[id]
	if seen && before.Stage == target.Stage && before.State == target.State && target.Bytes < before.Bytes {
		s.failf("%s went back from %d to %d in stage %s", id, before.Bytes, target.Bytes, target.Stage)
	}
	s.last[id] = target
	if was, ok := s.settled[id]; ok && (was.State != target.State || !was.Ended.Equal(target.Ended)) {
		s.failf("%s had ended %s and is %s now", id, was.State, target.State)
	}
	if ended(target.State) && !s.m.seats[id].urgent {
		s.settled[id] = target
	}
}

// calm ends the storm, in one of two ways, and waits for everything to end.
func (s *storm) calm() {
	s.store.full = false
	silent := s.chance(50)
	s.say("calm; PCs silent: %v", silent)
	for _, pc := range s.pcs {
		if s.disconnects(pc); !silent {
			s.connects(pc)
		}
	}
	interval := tickInterval
	for i := range 100 {
		for _, pc := range s.pcs {
			s.works(pc)
			if !silent && !pc.online {
				s.connects(pc)
			}
		}
		s.bench.work()
		if i == 50 { // honest PCs have finished: what is left waits for its limits
			interval = 30 * time.Second
		}
		s.clock = s.clock.Add(interval)
		s.m.tick()
		s.check()
		if s.t.Failed() {
			return
		}
	}
	for _, op := range s.m.Operations(0) {
		if !ended(op.State) {
			s.failf("operation %s has not ended: %+v", op.ID, op.Targets)
		}
	}
	if !silent {
		for _, pc := range s.pcs {
			if pc.work != nil {
				s.failf("%s still holds %s", pc.id, pc.work.in.ID)
			}
		}
	}
}
