package agent

import (
	"context"
	"fmt"
	"time"

	"aula/clientos/deployment"
	"aula/clientos/protocol"
)

// begin starts the work on an instruction, which lasts at most as long as ctx. The caller holds a.mu.
func (a *Agent) begin(ctx context.Context, in protocol.Instruct) {
	work, cancel := context.WithCancelCause(ctx)
	a.stopWork = cancel
	a.pace = pace{}
	a.jobs.Go(func() error {
		defer cancel(nil)
		a.awaitStock(work, a.stock.interrupt(), interruptPatience)
		result, err := a.safely(work, in)
		a.awaitStock(ctx, a.stock.ask(), stockPatienceOf(in, err))
		a.finish(in, result, err)
		return nil
	})
}

// finish gives the verdict on an instruction. The server has heard by then what the disks now hold, unless a disk does not answer.
func (a *Agent) finish(in protocol.Instruct, result deployment.Result, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	a.desk.finish(result, err, now)
	a.cfg.Log.Info("instruction ended", "id", in.ID, "kind", in.Kind, "state", a.desk.last.State, "error", err)
	if r, ok := a.desk.due(now); ok {
		a.say(&r)
	}
	a.show("")
}

// safely carries out an instruction and turns a panic of its own goroutine into a failure: an instruction that meets a bug should not
// take the PC out of the operator's reach. A panic in a goroutine that the work starts is beyond recovery here: it ends the agent,
// upon which the PC restarts.
func (a *Agent) safely(ctx context.Context, in protocol.Instruct) (result deployment.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &protocol.Failure{
				Code: protocol.ErrGeneric, Stage: a.stage(),
				Problem: "the agent met an error of its own", Advice: "restart the PC and try again; report the detail",
				Detail: fmt.Sprint(p),
			}
		}
	}()
	return a.cfg.Carry(ctx, a.env, in, a.progress)
}

func (a *Agent) stage() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.desk.last.Stage
}

// progress is called often by the work.
func (a *Agent) progress(p deployment.Progress) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.desk.progress(p, a.pace.add(p.Stage, p.Bytes, time.Now()))
}
