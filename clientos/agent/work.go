package agent

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"aula/clientos/clone"
	"aula/clientos/protocol"
)

// inventoryLimit bounds the stocktaking after an instruction, for which the verdict waits.
const inventoryLimit = 30 * time.Second

// begin starts the work on an instruction, which lasts at most as long as ctx. The caller holds a.mu.
func (a *Agent) begin(ctx context.Context, in protocol.Instruct) {
	work, cancel := context.WithCancelCause(ctx)
	a.stopWork = cancel
	a.pace = pace{}
	a.jobs.Go(func() error {
		defer cancel(nil)
		result, err := a.safely(work, in)
		a.takeStock(ctx)
		a.finish(in, result, err)
		return nil
	})
}

// finish gives the verdict on an instruction. The server has heard by then what the disks now hold.
func (a *Agent) finish(in protocol.Instruct, result clone.Result, err error) {
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

// safely carries out an instruction and turns a panic into a failure: one instruction that meets a bug must not take the PC out of the operator's reach.
func (a *Agent) safely(ctx context.Context, in protocol.Instruct) (result clone.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &protocol.Failure{
				Code: protocol.ErrGeneric, Stage: a.stage(),
				Problem: "the agent met an error of its own", Advice: "restart the PC and try again; report the detail",
				Detail: fmt.Sprint(p),
			}
		}
	}()
	return a.cfg.Clone(ctx, a.env, in, a.progress)
}

func (a *Agent) stage() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.desk.last.Stage
}

// progress is called often by the work.
func (a *Agent) progress(p clone.Progress) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.desk.progress(p, a.pace.add(p.Stage, p.Bytes, time.Now()))
}

// takeStock tells the server what the PC holds now.
func (a *Agent) takeStock(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, inventoryLimit)
	defer cancel()
	inv, err := a.cfg.Inventory(ctx)
	if err != nil {
		a.cfg.Log.Error("inventory", "error", err)
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if reflect.DeepEqual(a.inventory, inv) {
		return
	}
	a.inventory = inv
	if a.conn == nil {
		return // the next Hello carries it
	}
	if err := a.conn.Send(protocol.Message{Inventory: &inv}); err != nil {
		a.cfg.Log.Debug("inventory not sent", "error", err)
	}
}

// lookForDevices is how often an idle agent looks whether a disk has come or gone.
const lookForDevices = 3 * time.Second

// watchDevices takes stock when disks come or go while nothing is being done: some take their time to start, and sticks are plugged in.
func (a *Agent) watchDevices(ctx context.Context) {
	if a.cfg.Devices == nil {
		return
	}
	ticker := time.NewTicker(lookForDevices)
	defer ticker.Stop()
	for known := ""; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		a.mu.Lock()
		busy := a.desk.busy()
		a.mu.Unlock()
		if now := a.cfg.Devices(); !busy && now != known {
			a.takeStock(ctx)
			known = now
		}
	}
}
