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
//   - the images of all statements are held while their operation runs;
//   - a PC carries out the statements of a program in order, none twice and none left out;
//   - no PC is sent a statement when it is about to restart because of the one before;
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
	kills     int                    // of the server
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
	leaving   string          // the record by which it was told to restart, which it does, as soon as it heard that its verdict is stored, or soon
	did       map[string]int  // instructions that it has carried out: how often the server had been killed by then
	lost      map[string]bool // instructions to restart that were lost on the way
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
	s.images.image.Blake3 = "0102"
	for _, id := range []string{"pc1", "pc2", "pc3"} {
		s.withCache(id, 90*gb)
		pc := s.computers.all[id]
		pc.MACs = []string{id}
		s.computers.all[id] = pc
		s.pcs = append(s.pcs, &simPC{id: id, online: true, did: map[string]int{}, lost: map[string]bool{}, whole: map[string]bool{}, wrote: map[string]bool{}, saidDirty: map[string]bool{}})
	}
	s.cfg.Agents, s.cfg.Wake = s, s.wakes
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
	if pc.leaving != "" && (w == nil || s.chance(20)) {
		s.restarts(pc)
		return
	}
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
		r.Stage, w.dirty = protocol.StageWriting, w.in.Writes()
		pc.wrote[w.in.ID] = w.dirty
	case w.step < 6:
		r.Stage = protocol.StageVerifying
	case w.in.Kind == UpdateCache:
		r.State, r.Verified = protocol.Done, w.in.FileBytes()
		s.withCache(pc.id, 60*gb, protocol.CachedImage{Name: "windows11", Digest: "0102", Bytes: 18 * gb})
		s.carriedOut(pc, w.in)
	case w.in.Kind != RestoreImage:
		if r.State = protocol.Done; w.in.Kind == ConfigureOS && s.chance(30) {
			r.Warnings = []protocol.Failure{{Code: protocol.ErrGeneric, Problem: "a script failed", Advice: "mend it"}}
		}
		s.carriedOut(pc, w.in)
	case s.chance(10): // a broken agent that ends without having verified all
		r.State, r.Verified = protocol.Done, w.in.UsedBytes()-int64(s.random.IntN(2)+1)
	case len(w.in.Parts) > 1 && s.chance(20): // one that forgets a part
		r.State, r.Verified = protocol.Done, w.in.UsedBytes()-w.in.Parts[s.random.IntN(len(w.in.Parts))].Image.UsedBytes
	default:
		r.State, r.Verified = protocol.Done, w.in.UsedBytes()
		pc.whole[w.in.ID] = true
		s.carriedOut(pc, w.in)
	}
}

// carriedOut notes that a PC has done a statement.
func (s *storm) carriedOut(pc *simPC, in protocol.Instruct) {
	pc.did[in.ID] = s.kills
	s.say("%s: has carried out %s, a %s", pc.id, in.ID, in.Kind)
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
		s.carriedOut(pc, w.in)
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
	if pc.leaving != "" && pc.work == nil { // it has restarted meanwhile
		pc.leaving = ""
	}
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
	if w := pc.work; w != nil && !isPower(w.in.Kind) {
		if seat := s.m.seats[firstID(w.in.ID)]; seat == nil || seat.Instruct.ID == w.in.ID && !seat.memory.Unprepared && !seat.memory.Taken {
			delete(pc.wrote, w.in.ID) // nobody heard that it had begun: the record counts from the next time that it is sent
			delete(pc.did, w.in.ID)
		}
	}
	pc.work, pc.seq, pc.leaving = nil, 0, ""
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
	switch s.random.IntN(11) {
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
	case 6, 7, 8:
		op, err = s.m.Begin(ctx, "marta", s.program(ids))
		s.say("operator: %q", op.Text)
	default:
		if all := s.m.Operations(3); len(all) > 0 {
			op = all[s.random.IntN(len(all))]
			if s.chance(50) {
				err = s.m.StartNow(ctx, op.ID)
			} else {
				op, err = s.m.Retry(ctx, "marta", op.ID)
			}
		}
	}
	s.say("operator: %s %s %v: %v", op.Kind, op.ID, ids, err)
	if err != nil && !errors.Is(err, ErrRefused) && !errors.Is(err, errFull) {
		s.failf("the operator got %v", err)
	}
}

// program is a random one.
func (s *storm) program(ids []string) Request {
	texts := []string{
		"wakeUp 60\nrestoreImage REPO windows11 1 1",
		"wakeUp 120\nreboot\nrestoreImage REPO windows11 1 1",
		"restoreImage REPO windows11 1 1\nreboot\nconfigureOs 1 1",
		"reboot\ndeployImage REPO windows11 1 1 MULTICAST\nbootOs 1 1",
		"updateCache REPO windows11 UNICAST\nrestoreImage CACHE windows11 1 1\nreboot",
		"partitionDisk 1 MSDOS NTFS:70G EXT4:*:EXT4\nrestoreImage REPO windows11 1 1\nrestoreImage REPO windows11 1 1",
		"createImage 1 1 REPO ubuntu\nreboot\ndeleteCachedImage windows11",
	}
	r := s.request(texts[s.random.IntN(len(texts))], ids...)
	r.Late = []time.Duration{-1, 2 * time.Minute, 10 * time.Minute}[s.random.IntN(3)]
	return r
}

// wakes is a magic packet to a PC.
func (s *storm) wakes(macs []string) error {
	if pc := s.pc(macs[0]); !pc.online && s.chance(50) {
		s.say("%s: wakes up", pc.id)
		s.connects(pc)
	}
	return nil
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
	s.kills++
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
	first := firstID(in.ID)
	record := string(s.store.records[first])
	if s.store.records[op] == nil || !strings.Contains(record, `"send":"s`) || in.ID != first && !strings.Contains(record, `"id":"`+in.ID+`"`) {
		s.failf("instruction %s is sent before the record says so: %s", in.ID, record)
	}
	switch {
	case !pc.online:
		return errors.New("not connected")
	case s.chance(5): // the connection breaks at this instant and nobody knows yet
		pc.lost[in.ID] = isPower(in.Kind)
		return nil
	case pc.work != nil && pc.work.in.ID == in.ID:
		return nil // held already
	}
	s.checkOrder(pc, in)
	pc.work = &simWork{in: in}
	if pc.leaving = ""; isPower(in.Kind) { // an agent is done with it at once
		pc.leaving = firstID(in.ID)
		pc.seq++
		pc.work.report = protocol.Report{ID: in.ID, Seq: pc.seq, State: protocol.Done, Stage: protocol.StageFinishing}
		s.carriedOut(pc, in)
	}
	return nil
}

// checkOrder looks whether it is the turn of an instruction that a PC is sent.
func (s *storm) checkOrder(pc *simPC, in protocol.Instruct) {
	seat := s.m.seats[firstID(in.ID)]
	if seat == nil {
		s.failf("instruction %s is of no operation", in.ID)
	}
	if pc.leaving == seat.record {
		s.failf("instruction %s is sent to a PC that is about to restart", in.ID)
	}
	if kills, did := pc.did[in.ID]; did && s.failures == 0 && !(isPower(in.Kind) && kills < s.kills) {
		s.failf("instruction %s was carried out and is sent again", in.ID)
	}
	s.checkBefore(pc, seat, seat.Step)
	if seat.Instruct.ID != in.ID || in.ID != nextID(seat.record, seat.Step) {
		s.failf("instruction %s is sent and the PC is at %d", in.ID, seat.Step)
	}
}

// checkBefore looks whether a PC has carried out the statements before one.
func (s *storm) checkBefore(pc *simPC, seat *seat, before int) {
	i := slices.IndexFunc(seat.job.op.Targets, func(t Target) bool { return t.ComputerID == pc.id })
	for step := seat.job.op.Targets[i].Step; step < before; step++ {
		id, kind := nextID(seat.record, step), seat.job.op.Steps[step].Kind
		_, did := pc.did[id]
		switch {
		case kind == RestoreImage && !pc.whole[id]:
			s.failf("%s goes on after statement %d and its disk does not hold the image", id, step)
		case kind == CreateImage && !s.published[id]:
			s.failf("%s goes on after statement %d and there is no image", id, step)
		case kind != WakeUp && !did && !pc.lost[id]:
			s.failf("%s: statement %d, a %s, was left out", id, step, kind)
		}
	}
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
	if seat, ok := s.m.seats[firstID(instructionID)]; ok {
		stored, err := decodeStanding(seat.Target, s.store.records[seat.record])
		if err != nil || !ended(stored.State) && nextID(seat.record, stored.Step) == instructionID {
			s.failf("%s is settled and its record says %s (%v)", instructionID, stored.State, err)
		}
	}
	pc := s.pc(id)
	if !pc.online {
		return errors.New("not connected")
	}
	if pc.work != nil && pc.work.in.ID == instructionID && pc.work.report.Final() {
		if pc.work = nil; pc.leaving != "" && s.chance(50) { // else it is on its way down
			s.restarts(pc)
		}
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
		for _, step := range op.Steps {
			if op.State == Running {
				holders += len(step.Parts)
			}
		}
	}
	if got := len(s.images.holders()); got != holders {
		s.failf("images are held %d times, want %d", got, holders)
	}
}

func (s *storm) checkTarget(op Operation, target Target) {
	seat := s.m.seats[instructionID(op.ID, target.ComputerID)]
	id, record := target.Instruct.ID, seat.record
	if err := checkState(target); err != nil {
		s.failf("%v", err)
	}
	pc := s.pc(target.ComputerID)
	if target.State == Done {
		s.checkBefore(pc, seat, len(op.Steps))
	}
	if target.State == Failed || target.State == Incomplete {
		if target.Failure == nil || target.Failure.Problem == "" || target.Failure.Advice == "" || target.Failure.Code == 0 {
			s.failf("%s is %s without a reason: %+v", id, target.State, target.Failure)
		}
	}
	_, did := pc.did[id]
	atWork := !seat.memory.Unprepared && !did // else the statement is Done, and its disk whole
	if atWork && ended(target.State) && target.State != Done && pc.saidDirty[id] && !target.Dirty && s.failures == 0 {
		s.failf("%s ended %s and does not say that the disk was written to", id, target.State)
	}
	if denied := target.State == Cancelled || target.Failure != nil && strings.Contains(target.Failure.Problem, "nothing was written"); denied && atWork &&
		pc.wrote[id] && !target.Dirty && seat.memory.Taken && s.failures == 0 {
		s.failf("%s ended %s (%v) although its PC has written", id, target.State, target.Failure)
	}
	before, seen := s.last[record]
	if seen && before.Step == target.Step && before.Stage == target.Stage && before.State == target.State && target.Bytes < before.Bytes {
		s.failf("%s went back from %d to %d in stage %s", id, before.Bytes, target.Bytes, target.Stage)
	}
	if seen && target.Step < before.Step || target.Step > len(op.Steps) {
		s.failf("%s went from statement %d to %d", record, before.Step, target.Step)
	}
	s.last[record] = target
	if was, ok := s.settled[record]; ok && (was.State != target.State || !was.Ended.Equal(target.Ended)) {
		s.failf("%s had ended %s and is %s now", id, was.State, target.State)
	}
	if ended(target.State) && !seat.urgent {
		s.settled[record] = target
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
	for i := range 200 {
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
