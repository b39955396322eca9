package agent

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"aula/clientos/deployment"
	"aula/clientos/protocol"
)

// verdictLimit is within what time people are to see how an instruction ended.
const verdictLimit = 10 * time.Second

// verdict returns the last report that the agent has sent by now.
func (l *fakeLink) verdict(t *testing.T) protocol.Report {
	t.Helper()
	reports := l.said()
	if len(reports) == 0 {
		t.Fatal("no report")
	}
	return reports[len(reports)-1]
}

// quick is work that is done at once.
func quick(context.Context, func(deployment.Progress)) (deployment.Result, error) {
	return deployment.Result{}, nil
}

// hang makes stocktaking like that of a broken disk: nothing ends it but release, not even its context.
func (r *room) hang() (taken *atomic.Int32, release func()) {
	taken, released := new(atomic.Int32), make(chan struct{})
	r.stock = func(context.Context) (protocol.Inventory, error) {
		n := taken.Add(1)
		<-released
		return protocol.Inventory{Firmware: "bios", Cores: int(n)}, nil
	}
	return taken, sync.OnceFunc(func() { close(released) })
}

func TestVerdictDoesNotWaitForADiskThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, quick)
		defer r.stop()
		l, _ := r.welcome()
		taken, release := r.hang()
		defer release()
		for _, id := range []string{"a", "b", "c"} {
			l.down <- protocol.Message{Instruct: ptr(restore(id))}
			time.Sleep(verdictLimit)
			if v := l.verdict(t); v.ID != id || v.State != protocol.Done {
				t.Fatalf("%v after the work on %s the last report is %+v, want the verdict", verdictLimit, id, v)
			}
			l.down <- protocol.Message{Settled: &protocol.Settled{ID: id}}
			synctest.Wait()
		}
		if n := taken.Load(); n != 1 {
			t.Errorf("stock was taken %d times while the first hung, want once", n)
		}
		release()
		synctest.Wait()
		var cores []int
		for len(l.up) > 0 {
			if m := <-l.up; m.Inventory != nil {
				cores = append(cores, m.Inventory.Cores)
			}
		}
		if len(cores) != 2 || cores[0] != 1 || cores[1] != 2 {
			t.Errorf("inventories %v were sent when the disk answered, want the first and one more", cores)
		}
	})
}

func TestPCWithADiskThatDoesNotAnswerSwitchesOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, quick)
		defer r.stop()
		l, _ := r.welcome()
		_, release := r.hang()
		defer release()
		l.down <- protocol.Message{Instruct: ptr(restore("a"))}
		time.Sleep(verdictLimit)
		l.down <- protocol.Message{Settled: &protocol.Settled{ID: "a"}}
		l.down <- protocol.Message{Instruct: &protocol.Instruct{ID: "b", Kind: protocol.PowerOff}}
		l.down <- protocol.Message{Settled: &protocol.Settled{ID: "b"}}
		time.Sleep(verdictLimit)
		if got := r.outcome(); got != protocol.PowerOff {
			t.Errorf("outcome %q, want %q", got, protocol.PowerOff)
		}
	})
}

// TestNoStockIsTakenDuringWork: a tool that has a partition open keeps the kernel from replacing it.
func TestNoStockIsTakenDuringWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var taking, during atomic.Int32
		r := newRoom(t, func(context.Context, func(deployment.Progress)) (deployment.Result, error) {
			time.Sleep(time.Second)
			during.Add(taking.Load())
			return deployment.Result{}, nil
		})
		defer r.stop()
		l, _ := r.welcome()
		r.stock = func(ctx context.Context) (protocol.Inventory, error) { // slow, but its tools can be ended
			taking.Add(1)
			defer taking.Add(-1)
			<-ctx.Done()
			return protocol.Inventory{}, ctx.Err()
		}
		for _, id := range []string{"a", "b"} {
			l.down <- protocol.Message{Instruct: ptr(restore(id))}
			time.Sleep(verdictLimit)
			if v := l.verdict(t); v.ID != id || v.State != protocol.Done {
				t.Fatalf("last report %+v, want the verdict on %s", v, id)
			}
			if taking.Load() != 1 {
				t.Errorf("stock is not being taken after %s", id)
			}
			l.down <- protocol.Message{Settled: &protocol.Settled{ID: id}}
			synctest.Wait()
		}
		if n := during.Load(); n != 0 {
			t.Errorf("stock was being taken in %d works", n)
		}
	})
}

// TestVerdictOnATableWaitsForTheInventory: what comes next is judged by the new table, however slowly the disk tells it.
func TestVerdictOnATableWaitsForTheInventory(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, quick)
		defer r.stop()
		l, _ := r.welcome()
		r.stock = func(context.Context) (protocol.Inventory, error) {
			time.Sleep(time.Minute)
			return protocol.Inventory{Firmware: "bios", Cores: 7}, nil
		}
		in := restore("a")
		in.Layout, in.Parts[0].Partition = []byte("{}"), 1
		l.down <- protocol.Message{Instruct: &in}
		time.Sleep(50 * time.Second)
		if v := l.verdict(t); v.State != protocol.Running {
			t.Errorf("before the inventory the last report is %+v", v)
		}
		time.Sleep(11 * time.Second)
		if v := l.verdict(t); v.State != protocol.Done {
			t.Errorf("after the inventory the last report is %+v, want the verdict", v)
		}
	})
}

// TestWorkWaitsForAnInterruptedStocktaking, which has the cache mounted for a while yet.
func TestWorkWaitsForAnInterruptedStocktaking(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mounted, during atomic.Int32
		r := newRoom(t, func(context.Context, func(deployment.Progress)) (deployment.Result, error) {
			during.Add(mounted.Load())
			return deployment.Result{}, nil
		})
		defer r.stop()
		l, _ := r.welcome()
		r.stock = func(ctx context.Context) (protocol.Inventory, error) {
			mounted.Add(1)
			defer mounted.Add(-1)
			<-ctx.Done()
			time.Sleep(time.Second) // unmounting
			return protocol.Inventory{}, ctx.Err()
		}
		for _, id := range []string{"a", "b"} {
			l.down <- protocol.Message{Instruct: ptr(restore(id))}
			time.Sleep(verdictLimit)
			l.down <- protocol.Message{Settled: &protocol.Settled{ID: id}}
			synctest.Wait()
		}
		if n := during.Load(); n != 0 {
			t.Errorf("the cache was mounted in %d works", n)
		}
	})
}
