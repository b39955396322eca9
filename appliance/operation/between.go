package operation

import (
	"cmp"
	"slices"
	"time"

	"aula/clientos/protocol"
)

// What the rules are between the statements of a program: a PC is done with one, perhaps restarts or is waited for, is looked at, and gets the next.

// done ends a statement: the next one follows, or the part is Done.
func (p part) done(now time.Time) (part, []effect) {
	switch {
	case p.Step+1 >= len(p.kinds):
		return p.end(Done, nil, now)
	case p.memory.CancelAsked:
		return p.end(Cancelled, nil, now)
	}
	var effects []effect
	if p.memory.Send == sent {
		effects = append(effects, settle)
	}
	p.memory = memory{
		Heard: now, Unprepared: true, Unplanned: true, Away: isPower(p.Instruct.Kind), Said: p.Notes, Deadline: now.Add(p.patience()),
		Made: cmp.Or(p.memory.Published, p.memory.Made),
	}
	p.Step++
	p.State, p.Stage, p.Bytes, p.Total, p.Rate, p.Slow = Waiting, "", 0, 0, 0, ""
	if !p.memory.Away {
		effects = append(effects, prepare)
	}
	return p, effects
}

// patience is for how long a PC that has begun the program is waited for when it is not there.
func (p part) patience() time.Duration { return cmp.Or(p.late, DefaultLate) }

// prepared takes the instruction of the statement that is next, or the reason why there is none.
func (p part) prepared(ev prepared, now time.Time) (part, []effect) {
	absent := !ev.online && ev.failure == nil && p.kinds[p.Step] != WakeUp
	if !p.memory.Unprepared || absent {
		return p, nil // of a PC that is gone again a tick looks when it is back
	}
	p.memory.Unprepared, p.memory.Away, p.Instruct, p.memory.Heard = false, false, ev.instruct, now
	p.memory.Said = slices.Concat(p.memory.Said, ev.notes)
	p.Notes = p.memory.Said
	switch {
	case ev.failure != nil:
		return p.end(Failed, ev.failure, now)
	case p.Instruct.Kind == WakeUp && ev.online:
		return p.done(now)
	case p.Instruct.Kind == WakeUp:
		p.memory.WakeUntil = now.Add(cmp.Or(ev.within, p.patience()))
		last := p.Step+1 >= len(p.kinds)
		if last || p.late == 0 || p.memory.Deadline.Before(p.memory.WakeUntil) { // else it may come late to what follows, on its own
			p.memory.Deadline = p.memory.WakeUntil
		}
		return p.wake(now)
	case ev.free:
		return p.send()
	}
	return p, nil
}

// wake sends a magic packet, again and again until the PC is there.
func (p part) wake(now time.Time) (part, []effect) {
	p.memory.Woken = now
	return p, []effect{wake}
}

// awaited tells whether it is the PC itself that is waited for, because it is not there.
func (p part) awaited() bool {
	return p.State == Waiting && p.memory.Send == unsent
}

// begun tells whether the PC has done a statement in this operation, so that it is between two of them and about to be back.
func (p part) begun() bool {
	waking := p.Instruct.Kind == WakeUp && !p.memory.Unprepared
	return p.Step > 0 && p.Instruct.Kind != "" && !waking
}

// waitedFor tells whether the operation cannot go on before the PC is there.
func (p part) waitedFor() bool {
	return p.awaited() && (p.memory.Unprepared || p.Instruct.Kind == WakeUp)
}

// returned is a PC that connects before it was looked at for its next statement.
func (p part) returned(running *protocol.Report, now time.Time) (part, []effect) {
	if running != nil && running.ID == p.Instruct.ID { // it has yet to hear that the verdict of the statement before is stored
		p.memory.Away = isPower(p.Instruct.Kind) // upon which it restarts
		if p.memory.Away {
			return p, nil
		}
	}
	p.memory.Heard, p.memory.Away = now, false
	if running != nil && !running.Final() {
		return p, nil // a tick goes on when it has put down what it holds
	}
	return p, []effect{prepare}
}

// back is a PC that restarted as it was told and is there again.
func (p part) back(now time.Time) (part, []effect) {
	p, effects := p.done(now)
	if p.memory.Away {
		p.memory.Away = false
		effects = append(effects, prepare)
	}
	return p, effects
}
