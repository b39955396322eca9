package operation

import "time"

// Times of the rules.
const (
	// silenceLimit is how long a connected PC may say nothing about its instruction, of which it reports several times a
	// second, before it counts as lost. With the session's own limit of 30 s, lost contact shows within 60 s.
	silenceLimit = 45 * time.Second
	// takeLimit is how long a PC has to take an instruction before it is sent once more: what was sent to a connection
	// that broke at that instant never arrived. An agent that holds an instruction ignores its second copy.
	takeLimit = 15 * time.Second
	maxTries  = 3
	// cancelAgain is how long a PC that works on is left alone before it is asked again to stop, should the first word have been
	// lost. An agent that has stopped answers the second with its verdict.
	cancelAgain = 10 * time.Second
	// obeyLimit is how long a PC has to go away after a power instruction.
	obeyLimit = 2 * time.Minute
	// excuseLimit is how long the PC has to say why a capture ended that the server gave up: it knows better whether its disk,
	// the network or the operator broke it off.
	excuseLimit = 8 * time.Second
	// wakeAgain is how often a magic packet is sent to a PC that is waited for: some cards miss the first.
	wakeAgain = 20 * time.Second
	// returnLimit is how long PCs have to connect again after the server was away: agents try every few seconds.
	returnLimit = 2 * time.Minute
)

// restarted settles what the server's own end has changed.
func (p part) restarted(now time.Time) (part, []effect) {
	p.memory.Heard = now
	if soonest := now.Add(returnLimit); !p.memory.Deadline.IsZero() && p.memory.Deadline.Before(soonest) {
		p.memory.Deadline = soonest
	}
	switch {
	case p.memory.AgentDone:
		return p.end(Failed, p.serverRestarted(), now) // the staging is gone with the server that filled it
	case p.memory.Send == sent:
		p.State, p.Rate = LostContact, 0
	case p.memory.CancelAsked:
		return p.end(Cancelled, nil, now)
	default:
		p.memory.Send = unsent // whether it left or not, the PC says when it connects
	}
	return p, nil
}

func (r rules) tick(p part, ready bool, now time.Time) (part, []effect) {
	quiet := now.Sub(p.memory.Heard)
	switch {
	case p.waitedFor():
		return p.await(ready, now)
	case p.memory.AgentDone:
		if quiet >= r.lostAfter {
			return p.end(Incomplete, p.neverPublished(r.lostAfter), now)
		}
	case p.memory.GivenUp != nil && now.Sub(p.memory.GivenUpAt) >= excuseLimit:
		if p.memory.CancelAsked {
			return p.end(Cancelled, nil, now)
		}
		return p.end(Failed, p.memory.GivenUp, now)
	case p.State == Running:
		switch {
		case quiet >= silenceLimit:
			p.State, p.Rate = LostContact, 0
		case p.memory.CancelAsked && ready && now.Sub(p.memory.CancelSent) >= cancelAgain:
			return p.askToStop(now)
		}
	case quiet >= r.lostAfter:
		return p.giveUp(ready, r.lostAfter, now)
	case p.memory.Send == unsent && ready:
		return p.send()
	case p.State == Waiting && p.memory.Send == sent && ready:
		return p.urge(quiet, now)
	}
	return p, nil
}

// await lets time pass for a PC that must come, or come back, before it can be told anything.
func (p part) await(ready bool, now time.Time) (part, []effect) {
	switch {
	case p.memory.Unprepared && ready && !p.memory.Away, p.memory.Unprepared && !ready && p.kinds[p.Step] == WakeUp:
		return p, []effect{prepare}
	case ready && !p.memory.Unprepared:
		return p.done(now) // a PC that was to wake up
	case !p.memory.Deadline.IsZero() && now.After(p.memory.Deadline):
		return p.end(NeverCame, p.neverCame("it was not there in time"), now)
	case p.Instruct.Kind == WakeUp && !p.memory.Unprepared && now.Sub(p.memory.Woken) >= wakeAgain && !now.After(p.memory.WakeUntil):
		return p.wake(now)
	}
	return p, nil
}

// giveUp ends a part that was quiet for too long.
func (p part) giveUp(ready bool, after time.Duration, now time.Time) (part, []effect) {
	switch {
	case p.memory.Published > 0:
		return p.end(Incomplete, p.unconfirmed(), now)
	case isPower(p.Instruct.Kind) && p.memory.Send == sent && !ready:
		return p.done(now) // the server restarted while the PC obeyed: it was sent the instruction, and is gone
	default:
		return p.end(Incomplete, p.lost(after), now)
	}
}

// urge deals with a connected PC that was sent the instruction and says nothing of it.
func (p part) urge(quiet time.Duration, now time.Time) (part, []effect) {
	switch {
	case isPower(p.Instruct.Kind):
		if quiet >= obeyLimit {
			return p.end(Incomplete, p.notObeyed(), now)
		}
	case p.memory.CancelAsked:
		if quiet >= takeLimit {
			return p.end(Cancelled, nil, now)
		}
	case quiet >= takeLimit && p.memory.Tries < maxTries:
		return p.send()
	case quiet >= silenceLimit:
		return p.end(Failed, p.notTaken(), now)
	}
	return p, nil
}
