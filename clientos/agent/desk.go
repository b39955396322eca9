package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"aula/clientos/deployment"
	"aula/clientos/protocol"
)

const (
	// repeatFinal is how often a verdict is repeated until the server says that it is stored.
	repeatFinal = 5 * time.Second
	// powerPatience is how long a restart waits for the server to store its verdict.
	powerPatience = 10 * time.Second
	// memory is the number of settled verdicts that are kept, in case an instruction comes again.
	memory = 32
)

// errCancelled is the cause with which the work on a cancelled instruction ends.
var errCancelled = errors.New("cancelled by the operator")

// A desk is what the agent holds: at most one instruction, and what there is to say about it. It decides and does
// nothing; whoever uses it tells it what happened and when, and acts on the answers.
type desk struct {
	held  protocol.Instruct // while holds
	holds bool
	last  protocol.Report // on held
	ended time.Time       // when last became final
	said  time.Time       // when last was last said
	seq   uint64
	past  []protocol.Report // settled verdicts, newest last
}

// A decision is what to do with an instruction that arrived.
type decision struct {
	begin  bool             // carry it out
	report *protocol.Report // say this now; nil for nothing
}

// instruct decides about an instruction. One that is held, or was carried out before, is not carried out again: the server hears how
// it stands or how it ended.
func (d *desk) instruct(in protocol.Instruct, now time.Time) decision {
	if d.holds && d.held.ID == in.ID {
		return d.tell(now)
	}
	for _, r := range d.past {
		if r.ID == in.ID {
			return decision{report: &r}
		}
	}
	if d.busy() {
		return d.refuse(in, &protocol.Failure{
			Code: protocol.ErrLocked, Stage: protocol.StagePreflight,
			Problem: fmt.Sprintf("this PC is busy with another instruction (%s)", d.held.Kind),
			Advice:  "wait until it has ended, or cancel it",
		})
	}
	if err := in.Check(); err != nil {
		return d.refuse(in, &protocol.Failure{
			Code: protocol.ErrFormat, Stage: protocol.StagePreflight, Problem: err.Error(),
			Advice: "restart the PC, so that it runs this server's client OS",
		})
	}
	// A verdict that the server has not stored is dropped here: it heard it, or it would not send the next instruction.
	d.held, d.holds = in, true
	d.last = protocol.Report{ID: in.ID, State: protocol.Running, Stage: protocol.StagePreflight}
	if isPower(in.Kind) {
		d.end(protocol.Report{ID: in.ID, State: protocol.Done, Stage: protocol.StageFinishing}, now)
	}
	answer := d.tell(now)
	answer.begin = !isPower(in.Kind)
	return answer
}

func isPower(kind string) bool {
	return kind == protocol.Reboot || kind == protocol.BootDisk || kind == protocol.PowerOff
}

// busy tells whether work is going on.
func (d *desk) busy() bool { return d.holds && !d.last.Final() }

// refuse answers an instruction without holding it.
func (d *desk) refuse(in protocol.Instruct, f *protocol.Failure) decision {
	d.seq++
	return decision{report: &protocol.Report{
		ID: in.ID, Seq: d.seq, State: protocol.Failed, Stage: f.Stage, Failure: f,
	}}
}

// tell says how the held instruction stands.
func (d *desk) tell(now time.Time) decision {
	d.seq++
	d.last.Seq = d.seq
	d.said = now
	r := d.last
	return decision{report: &r}
}

// cancel tells whether the work on an instruction is to be stopped, and what to say now. An instruction that never arrived counts
// as cancelled, should it still come.
func (d *desk) cancel(id string, now time.Time) (stop bool, report *protocol.Report) {
	if d.holds && d.held.ID == id {
		if d.busy() {
			return true, nil
		}
		return false, d.tell(now).report
	}
	for _, r := range d.past {
		if r.ID == id {
			return false, &r
		}
	}
	d.seq++
	r := protocol.Report{ID: id, Seq: d.seq, State: protocol.Cancelled, Stage: protocol.StagePreflight}
	d.remember(r)
	return false, &r
}

// progress notes how far the work has come.
func (d *desk) progress(p deployment.Progress, rate int64) {
	if !d.busy() {
		return
	}
	d.last.Stage, d.last.Bytes, d.last.Total = p.Stage, max(p.Bytes, 0), max(p.Total, 0)
	d.last.Rate = max(rate, 0)
	d.last.Dirty = d.last.Dirty || p.Dirty
	d.last.Slow, d.last.Notes = p.Slow, p.Notes
}

// finish notes how the work ended.
func (d *desk) finish(result deployment.Result, err error, now time.Time) {
	if !d.busy() {
		return
	}
	r := d.last
	r.Rate, r.Slow = 0, ""
	var f *protocol.Failure
	switch {
	case err == nil:
		r.State, r.Verified = protocol.Done, result.Verified
		r.Notes, r.Warnings, r.Scripts = result.Notes, result.Warnings, result.Scripts
	case errors.Is(err, errCancelled):
		r.State = protocol.Cancelled
	case errors.As(err, &f):
		r.State, r.Failure = protocol.Failed, f
	case errors.Is(err, context.Canceled):
		r.State, r.Failure = protocol.Failed, &protocol.Failure{
			Code: protocol.ErrGeneric, Stage: r.Stage, Problem: "the agent on the PC was stopped", Advice: "start the operation again",
		}
	default:
		r.State, r.Failure = protocol.Failed, &protocol.Failure{
			Code: protocol.ErrGeneric, Stage: r.Stage, Problem: err.Error(), Advice: "start the operation again",
		}
	}
	d.end(r, now)
}

func (d *desk) end(r protocol.Report, now time.Time) {
	d.last, d.ended, d.said = r, now, time.Time{}
}

// settled forgets an instruction whose verdict is stored.
func (d *desk) settled(id string) {
	if !d.holds || d.held.ID != id || !d.last.Final() {
		return
	}
	d.remember(d.last)
	d.holds = false
}

func (d *desk) remember(verdict protocol.Report) {
	d.past = append(d.past, verdict)
	if len(d.past) > memory {
		d.past = d.past[len(d.past)-memory:]
	}
}

// due returns the report that it is time to say, if any.
func (d *desk) due(now time.Time) (protocol.Report, bool) {
	if !d.holds {
		return protocol.Report{}, false
	}
	pause := protocol.ReportInterval - tick // so that the next tick is not too late
	if d.last.Final() {
		pause = repeatFinal
	}
	if now.Sub(d.said) < pause {
		return protocol.Report{}, false
	}
	return *d.tell(now).report, true
}

// power returns the kind of restart to carry out now: its verdict is stored, or the server does not answer.
func (d *desk) power(now time.Time) (kind string, ok bool) {
	if !isPower(d.held.Kind) || d.ended.IsZero() {
		return "", false
	}
	if d.holds && now.Sub(d.ended) < powerPatience {
		return "", false
	}
	return d.held.Kind, true
}

// running is what Hello says of the instruction that is held.
func (d *desk) running() *protocol.Report {
	if !d.holds {
		return nil
	}
	r := d.last
	return &r
}
