package agent

import (
	"context"
	"reflect"
	"sync"
	"time"

	"aula/clientos/protocol"
)

const (
	// inventoryLimit bounds one stocktaking. A failing disk makes the tools slow, and what they find is then worth knowing all the same.
	inventoryLimit = 2 * time.Minute
	// stockPatience is how long a verdict, or the end of the agent, waits for a stocktaking. People are to see a failure within 10 s.
	stockPatience = 5 * time.Second
	// interruptPatience is how long work on the disks waits for a stocktaking that it has interrupted, which may have the cache mounted.
	interruptPatience = 3 * time.Second
)

// A stocktaker takes stock when asked, in one goroutine of its own, so that nobody has to wait for a disk that does not answer.
// However often it is asked while it is at it, it takes stock once more afterwards.
type stocktaker struct {
	take func(ctx context.Context)
	look chan struct{} // holds one: something was asked for

	mu     sync.Mutex
	asked  chan struct{}      // closed when what is asked for is done; nil when nothing is
	cancel context.CancelFunc // of the stocktaking in progress; nil without one
	taking chan struct{}      // closed when the stocktaking in progress is over; nil without one
}

func newStocktaker(take func(ctx context.Context)) *stocktaker {
	return &stocktaker{take: take, look: make(chan struct{}, 1)}
}

// ask has stock taken that begins after the call. The channel is closed when that is over, successfully or not.
func (s *stocktaker) ask() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked == nil {
		s.asked = make(chan struct{})
	}
	select {
	case s.look <- struct{}{}:
	default:
	}
	return s.asked
}

// interrupt stops what is in progress and forgets what is asked for: work on the disks begins, after which stock is taken anyway,
// and a partition that a tool has open, or a cache that is mounted, cannot be replaced. The channel is closed when what was in progress is over.
func (s *stocktaker) interrupt() (over <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked != nil {
		close(s.asked)
		s.asked = nil
	}
	if s.taking == nil {
		ended := make(chan struct{})
		close(ended)
		return ended
	}
	s.cancel()
	return s.taking
}

// run takes stock whenever asked, until ctx ends. A tool that waits for a broken disk inside the kernel cannot be ended, and keeps
// run from returning.
func (s *stocktaker) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.look:
			s.once(ctx)
		}
	}
}

func (s *stocktaker) once(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, inventoryLimit)
	defer cancel()
	s.mu.Lock()
	done := s.asked
	s.asked = nil
	if done != nil {
		s.cancel, s.taking = cancel, make(chan struct{})
	}
	s.mu.Unlock()
	if done == nil {
		return // interrupted before it began
	}
	s.take(ctx)
	s.mu.Lock()
	close(s.taking)
	s.cancel, s.taking = nil, nil
	s.mu.Unlock()
	close(done)
}

// stockPatienceOf is how long the verdict on an instruction waits for the inventory. What comes after a change of a partition table is judged by
// the new one, so the verdict that all went well waits for it as long as stock is taken.
func stockPatienceOf(in protocol.Instruct, err error) time.Duration {
	if err == nil && (in.Kind == protocol.PartitionDisk || in.Kind == protocol.RestoreImage && len(in.Layout) > 0) {
		return inventoryLimit
	}
	return stockPatience
}

// awaitStock waits until the server has heard what the disks now hold, or until a stocktaking is over, but not for a disk that does not answer.
func (a *Agent) awaitStock(ctx context.Context, done <-chan struct{}, limit time.Duration) {
	patience := time.NewTimer(limit)
	defer patience.Stop()
	select {
	case <-done:
	case <-ctx.Done():
	case <-patience.C:
		a.cfg.Log.Warn("the inventory takes long: a disk answers slowly or not at all", "waited", limit)
	}
}

// takeStock tells the server what the PC holds now.
func (a *Agent) takeStock(ctx context.Context) {
	inv, err := a.inventoryNow(ctx)
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

// inventoryNow is what the PC is made of, and what its cache holds.
func (a *Agent) inventoryNow(ctx context.Context) (protocol.Inventory, error) {
	inv, err := a.cfg.Inventory(ctx)
	if err != nil {
		return inv, err
	}
	if inv.Cache, err = a.cached(ctx); err != nil {
		a.cfg.Log.Warn("the cache cannot be looked at", "error", err) // the disks are worth telling all the same
	}
	return inv, nil
}

// lookForDevices is how often an idle agent looks whether a disk has come or gone.
const lookForDevices = 3 * time.Second

// watchDevices has stock taken when disks come or go while nothing is being done: some take their time to start, and sticks are
// plugged in.
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
			a.stock.ask()
			known = now
		}
	}
}
