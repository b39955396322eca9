package operation

import (
	"slices"
	"time"

	"aula/clientos/protocol"
	"aula/imagestore"
)

// A part is one PC's part in an operation: what people see of it and what the rules remember.
type part struct {
	Target
	memory memory
	kinds  []string      // of the statements of the program; none of one from before there were programs
	late   time.Duration // for which a PC that is not connected is waited for; not at all when 0
}

// memory is what the rules remember of a target.
type memory struct {
	Send        delivery          `json:"send,omitempty"`
	Tries       int               `json:"tries,omitempty"`       // how often the instruction was sent
	Taken       bool              `json:"taken,omitempty"`       // the PC has reported on it
	Seq         uint64            `json:"seq,omitempty"`         // of the last report
	CancelAsked bool              `json:"cancelAsked,omitempty"` //
	CancelSent  time.Time         `json:"-"`                     // when the PC was last asked to stop
	AgentDone   bool              `json:"agentDone,omitempty"`   // capture: the PC says Done
	Published   int               `json:"published,omitempty"`   // capture: the revision that the server published, 0 for none yet
	Publishing  bool              `json:"-"`                     // capture: the server reports the progress now
	GivenUp     *protocol.Failure `json:"givenUp,omitempty"`     // capture: why the server gave it up
	GivenUpAt   time.Time         `json:"-"`
	Heard       time.Time         `json:"-"` // last sign of life, or of its end

	// Unprepared says that the PC has not been looked at for this statement yet; what Instruct holds is of the one before, or nothing.
	Unprepared bool      `json:"unprepared,omitempty"`
	Unplanned  bool      `json:"unplanned,omitempty"` // Instruct is not the one of the plan
	Away       bool      `json:"away,omitempty"`      // it restarts: the next session is what is waited for
	Deadline   time.Time `json:"deadline,omitzero"`   // by which the PC must be there
	Woken      time.Time `json:"-"`                   // when it was last sent a magic packet
	WakeUntil  time.Time `json:"wakeUntil,omitzero"`  // when it is sent the last one
	Parts      int       `json:"parts,omitempty"`     // images of a capture of several that were published
	Made       int       `json:"made,omitempty"`      // the revision that an earlier statement published
	Said       []string  `json:"said,omitempty"`      // notes of what came before this instruction
	Expelled   bool      `json:"-"`                   // ended, and told to stop since the PC connected
}

// A delivery is how far an instruction is on its way to the PC.
type delivery string

const (
	unsent  delivery = ""
	sending delivery = "sending" // stored before it is sent, so that it is never sent unknown to the record
	sent    delivery = "sent"
)

// An event is what happens to a target.
type event interface{ isEvent() }

type (
	// sendResult ends a delivery that was sending.
	sendResult struct{ err error }
	// connected is a new session of the PC, with the report that it holds.
	connected struct{ running *protocol.Report }
	// disconnected is the end of the PC's session.
	disconnected struct{}
	// reported is a report on the target's instruction.
	reported struct{ protocol.Report }
	// publishing is the server's own progress with a capture that has arrived.
	publishing struct{ done, total int64 }
	// published is a capture that has become an image.
	published struct{ imagestore.Image }
	// captureFailed is a capture that the server could not take or publish.
	captureFailed struct{ protocol.Failure }
	// cancelAsked is the operator's wish to stop.
	cancelAsked struct{}
	// ticked comes every few seconds; ready says that the PC is connected and holds no other instruction.
	ticked struct{ ready bool }
	// restarted is the first event after the server has read its records again.
	restarted struct{}
	// prepared is what the pre-flight of the statement that is next says, and its instruction.
	prepared struct {
		instruct protocol.Instruct
		notes    []string
		failure  *protocol.Failure
		online   bool
		free     bool          // and holds no other instruction
		within   time.Duration // for WakeUp: how long it is tried; as long as those that come late are waited for when 0
	}
	// unawaited is the operator's wish to go on without those that are not there.
	unawaited struct{ online bool }
)

func (sendResult) isEvent()    {}
func (connected) isEvent()     {}
func (disconnected) isEvent()  {}
func (reported) isEvent()      {}
func (publishing) isEvent()    {}
func (published) isEvent()     {}
func (captureFailed) isEvent() {}
func (cancelAsked) isEvent()   {}
func (ticked) isEvent()        {}
func (restarted) isEvent()     {}
func (prepared) isEvent()      {}
func (unawaited) isEvent()     {}

// An effect is what to do after a step, in this order and only once the step's state is stored.
type effect int

const (
	instruct  effect = iota // send the instruction, then bring a sendResult
	cancel                  // ask the PC to stop
	settle                  // tell the PC that the verdict is stored
	resetBoot               // undo the PC's next boot
	prepare                 // look at the PC for the statement that is next, then bring a prepared
	wake                    // send it a magic packet
)

// rules are the rules by which a part moves. They know no clock and no network.
type rules struct {
	lostAfter time.Duration
}

// step is the part after an event at the time now, and what to do then. It changes nothing that p points to.
func (r rules) step(p part, ev event, now time.Time) (part, []effect) {
	if ended(p.State) {
		return p.afterEnd(ev)
	}
	switch ev := ev.(type) {
	case sendResult:
		return p.delivered(ev.err, now)
	case connected:
		return p.connected(ev.running, now)
	case disconnected:
		return p.disconnected(now)
	case reported:
		return p.report(ev.Report, now)
	case publishing:
		return p.publishing(ev, now), nil
	case published:
		return p.published(ev.Image, now)
	case captureFailed:
		return p.captureFailed(ev.Failure, now)
	case cancelAsked:
		return p.cancel(now)
	case ticked:
		return r.tick(p, ev.ready, now)
	case restarted:
		return p.restarted(now)
	case prepared:
		return p.prepared(ev, now)
	case unawaited:
		if !ev.online && p.awaited() && !(p.begun() && now.Sub(p.memory.Heard) < r.lostAfter) {
			return p.end(NeverCame, p.neverCame("the others were started without it"), now)
		}
	}
	return p, nil
}

// send begins a delivery.
func (p part) send() (part, []effect) {
	p.State, p.memory.Send = Waiting, sending
	p.memory.Tries++
	return p, []effect{instruct}
}

func (p part) delivered(err error, now time.Time) (part, []effect) {
	if p.memory.Send != sending {
		return p, nil
	}
	if err != nil {
		p.memory.Send = unsent
		p.memory.Tries-- // nothing arrived: it does not count as one that the PC ignored
		if p.memory.CancelAsked {
			return p.end(Cancelled, nil, now)
		}
		return p, nil // a tick sends it when the PC is there
	}
	p.memory.Send, p.memory.Heard = sent, now
	if p.memory.CancelAsked {
		return p.askToStop(now)
	}
	return p, nil
}

// askToStop asks the PC to stop, which may be done any number of times.
func (p part) askToStop(now time.Time) (part, []effect) {
	p.memory.CancelSent = now
	return p, []effect{cancel}
}

// mayHaveWritten tells whether the PC has begun what writes to its disk. Dirty tells only what was heard: it travels with the
// report after the first write, which a PC that loses its power or its network just then never sends.
func (p part) mayHaveWritten() bool { return p.Instruct.Writes() && p.memory.Taken }

func (p part) connected(running *protocol.Report, now time.Time) (part, []effect) {
	switch {
	case p.memory.Unprepared:
		return p.returned(running, now)
	case running != nil && running.ID == p.Instruct.ID:
		return p.holds(*running, now)
	}
	if p.memory.AgentDone {
		return p, nil // it has done its part
	}
	p.memory.Heard = now
	switch {
	case p.Instruct.Kind == WakeUp && running == nil:
		return p.done(now)
	case p.memory.Send == unsent && running == nil:
		return p.send()
	case p.memory.Send != sent:
		return p, nil
	case isPower(p.Instruct.Kind):
		return p.back(now) // it went away and is back: it obeyed
	case p.memory.Published > 0:
		return p.end(Incomplete, p.unconfirmed(), now)
	case p.memory.GivenUp != nil && !p.memory.CancelAsked:
		return p.end(Failed, p.memory.GivenUp, now)
	case p.memory.CancelAsked && !p.mayHaveWritten():
		return p.end(Cancelled, nil, now)
	case p.memory.Taken:
		return p.end(Failed, p.restartedPC(), now)
	case p.memory.Tries < maxTries:
		return p.send()
	default:
		return p.end(Failed, p.notTaken(), now)
	}
}

// holds is a PC that came back with the instruction.
func (p part) holds(running protocol.Report, now time.Time) (part, []effect) {
	p, effects := p.report(running, now)
	if ended(p.State) || p.memory.Unprepared {
		return p, effects
	}
	if !p.memory.AgentDone {
		p.State = Running // although the report may be one that was heard before
	}
	if p.memory.CancelAsked {
		return p.askToStop(now)
	}
	return p, effects
}

func (p part) disconnected(now time.Time) (part, []effect) {
	switch {
	case p.memory.Send != sent || p.memory.AgentDone:
		return p, nil
	case isPower(p.Instruct.Kind):
		return p.done(now)
	default:
		p.State, p.Rate, p.memory.Heard = LostContact, 0, now
		return p, nil
	}
}

func (p part) report(r protocol.Report, now time.Time) (part, []effect) {
	if !r.Final() && r.State != protocol.Running {
		return p, nil
	}
	arrived := p.memory.Send != sent // this report is what proves it; the sendResult comes later and changes nothing
	p.memory.Taken, p.memory.Send = true, sent
	if !p.memory.AgentDone { // else it is the server that is waited for, however often the PC says it again
		p.memory.Heard = now
	}
	p.Dirty = p.Dirty || r.Dirty
	if p.Started.IsZero() {
		p.Started = now
	}
	// Numbers grow within a boot and an instruction does not outlive one: what is not newer was said before.
	if r.Seq > p.memory.Seq {
		p.memory.Seq = r.Seq
		p.Slow, p.Notes = r.Slow, slices.Concat(p.memory.Said, r.Notes)
		if !p.memory.AgentDone {
			p.State = Running
			p = p.progress(r.Stage, r.Bytes, r.Total, r.Rate, false)
		}
	}
	switch r.State {
	case protocol.Done:
		return p.agentDone(r, now)
	case protocol.Failed:
		return p.end(Failed, p.completed(r.Failure), now)
	case protocol.Cancelled:
		return p.end(Cancelled, p.cancelledLate(), now)
	}
	if arrived && p.memory.CancelAsked {
		return p.askToStop(now)
	}
	return p, nil
}

// agentDone is the PC's own verdict, which is believed as far as it proves itself.
func (p part) agentDone(r protocol.Report, now time.Time) (part, []effect) {
	if !p.memory.AgentDone { // else it says so once more
		p.Warnings, p.Scripts = slices.Concat(p.Warnings, r.Warnings), slices.Concat(p.Scripts, r.Scripts)
	}
	switch p.Instruct.Kind {
	case RestoreImage, UpdateCache:
		p.Verified = r.Verified
		if want := p.toVerify(); want <= 0 || r.Verified != want {
			return p.end(Failed, p.notVerified(), now)
		}
	case CreateImage:
		p.memory.AgentDone = true
		switch {
		case p.memory.GivenUp != nil:
			return p.end(Failed, p.memory.GivenUp, now)
		case p.memory.Published == 0:
			p.State = Running // and the PC is not settled: it holds its verdict until there is ours
			return p, nil
		}
	}
	p.Dirty = false
	return p.done(now)
}

// toVerify is how many bytes the PC must have read back: of the disk, or of the files in its cache.
func (p part) toVerify() int64 {
	if p.Instruct.Kind == UpdateCache {
		return p.Instruct.FileBytes()
	}
	return p.Instruct.UsedBytes()
}

// progress takes figures, which never go back within a stage.
func (p part) progress(stage string, done, total, rate int64, server bool) part {
	if p.memory.Publishing && !server {
		return p // the bytes are all here: what counts now is what the server does with them
	}
	if stage != p.Stage {
		p.Stage, p.Bytes = stage, 0
	}
	p.Bytes, p.Total, p.Rate = max(p.Bytes, done), max(total, 0), max(rate, 0)
	return p
}

func (p part) publishing(ev publishing, now time.Time) part {
	if p.Instruct.Kind != CreateImage {
		return p
	}
	p.memory.Heard, p.memory.Publishing, p.memory.GivenUp = now, true, nil
	return p.progress(protocol.StagePublishing, ev.done, ev.total, 0, true)
}

func (p part) published(img imagestore.Image, now time.Time) (part, []effect) {
	if p.Instruct.Kind != CreateImage || img.Revision < 1 {
		return p, nil
	}
	capture := p.Instruct.Capture
	if several := len(capture.Partitions); several > 0 {
		if img.Source.Set != capture.Name {
			return p, nil
		}
		if p.memory.Parts++; p.memory.Parts < several {
			return p, nil
		}
	} else if img.Name != capture.Name {
		return p, nil
	}
	p.memory.Published, p.memory.GivenUp = img.Revision, nil
	if !ended(p.State) && p.memory.AgentDone {
		return p.done(now)
	}
	return p, nil
}

func (p part) captureFailed(f protocol.Failure, now time.Time) (part, []effect) {
	if p.Instruct.Kind != CreateImage || p.memory.Published > 0 {
		return p, nil
	}
	p.memory.GivenUp, p.memory.GivenUpAt = p.completed(&f), now
	if p.memory.AgentDone || p.State == LostContact {
		return p.end(Failed, p.memory.GivenUp, now) // the PC has nothing to add
	}
	return p, nil
}

func (p part) cancel(now time.Time) (part, []effect) {
	if p.memory.Send == unsent {
		return p.end(Cancelled, nil, now) // also of a PC that is only waited for
	}
	p.memory.CancelAsked = true
	if p.memory.Send == sent && p.State != LostContact {
		return p.askToStop(now)
	}
	return p, nil // it is asked when the PC is there
}

// end gives the part its final state.
func (p part) end(state string, f *protocol.Failure, now time.Time) (part, []effect) {
	var effects []effect
	if p.memory.Send == sent {
		effects = append(effects, settle)
	}
	if p.Instruct.Kind == BootDisk && state != Done && !p.memory.Unprepared {
		effects = append(effects, resetBoot)
	}
	p.State, p.Failure, p.Ended, p.Rate = state, f, now, 0
	return p, effects
}

// afterEnd answers a PC that still speaks of an instruction with a verdict, which nothing changes any more.
func (p part) afterEnd(ev event) (part, []effect) {
	var r *protocol.Report
	switch ev := ev.(type) {
	case connected:
		p.memory.Expelled = false
		if ev.running != nil && ev.running.ID == p.Instruct.ID {
			r = ev.running
		}
	case reported:
		r = &ev.Report
	case published: // the operation failed and yet there is an image: its record says so
		return p.published(ev.Image, p.Ended)
	}
	if r == nil {
		return p, nil
	}
	// Of a PC that was given up, the record must say that it wrote after all.
	p.Dirty = p.Dirty || r.Dirty && p.State != Done
	switch {
	case r.Final():
		return p, []effect{settle}
	case p.memory.Expelled:
		return p, nil
	}
	p.memory.Expelled = true
	return p, []effect{cancel}
}
