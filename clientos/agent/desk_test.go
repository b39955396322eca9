package agent

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"aula/clientos/deployment"
	"aula/clientos/disk"
	"aula/clientos/protocol"
)

var morning = time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC)

func restore(id string) protocol.Instruct {
	return protocol.Instruct{
		ID: id, Kind: protocol.RestoreImage, Disk: disk.Ref{Number: 1, Bytes: 1 << 30, SectorSize: 512},
		Parts: []protocol.Part{{Partition: 1, Image: protocol.Image{Name: "debian", Revision: 1}}},
	}
}

func TestDeskRunsAnInstructionOnce(t *testing.T) {
	t.Parallel()
	var d desk
	first := d.instruct(restore("a"), morning)
	if !first.begin || first.report == nil || first.report.State != protocol.Running {
		t.Fatalf("new instruction: %+v, want it begun and a running report", first)
	}
	if again := d.instruct(restore("a"), morning); again.begin || again.report == nil || again.report.State != protocol.Running {
		t.Errorf("while it runs: %+v, want only a report", again)
	}
	d.finish(deployment.Result{Verified: 7}, nil, morning)
	if again := d.instruct(restore("a"), morning); again.begin || again.report == nil || again.report.State != protocol.Done {
		t.Errorf("when it is done: %+v, want only the verdict", again)
	}
	d.settled("a")
	if again := d.instruct(restore("a"), morning); again.begin || again.report == nil || again.report.Verified != 7 {
		t.Errorf("when it is settled: %+v, want only the verdict", again)
	}
	if next := d.instruct(restore("b"), morning); !next.begin {
		t.Errorf("the next instruction: %+v, want it begun", next)
	}
}

func TestDeskRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		held *protocol.Instruct
		in   protocol.Instruct
		code int
	}{
		"a second instruction while one runs": {ptr(restore("a")), restore("b"), protocol.ErrLocked},
		"an unknown kind":                     {nil, protocol.Instruct{ID: "b", Kind: "formatEverything"}, protocol.ErrFormat},
		"a restore without a disk":            {nil, protocol.Instruct{ID: "b", Kind: protocol.RestoreImage, Parts: []protocol.Part{{Partition: 1, Image: protocol.Image{Name: "x", Revision: 1}}}}, protocol.ErrFormat},
		"a capture without a name":            {nil, protocol.Instruct{ID: "b", Kind: protocol.CreateImage}, protocol.ErrFormat},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d desk
			if test.held != nil {
				d.instruct(*test.held, morning)
			}
			got := d.instruct(test.in, morning)
			if got.begin || got.report == nil || got.report.ID != "b" || got.report.State != protocol.Failed || got.report.Failure.Code != test.code {
				t.Errorf("decision %+v, want a failure of code %d", got, test.code)
			}
			if test.held != nil && !d.busy() {
				t.Error("the running instruction was dropped")
			}
		})
	}
}

func TestDeskVerdicts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err   error
		state string
		code  int
	}{
		"success":             {nil, protocol.Done, 0},
		"a named failure":     {fmt.Errorf("write: %w", &protocol.Failure{Code: protocol.ErrSize, Problem: "too small"}), protocol.Failed, protocol.ErrSize},
		"cancelled":           {fmt.Errorf("write: %w", errCancelled), protocol.Cancelled, 0},
		"the agent stopped":   {context.Canceled, protocol.Failed, protocol.ErrGeneric},
		"an error of no kind": {errors.New("boom"), protocol.Failed, protocol.ErrGeneric},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var d desk
			d.instruct(restore("a"), morning)
			d.progress(deployment.Progress{Stage: protocol.StageWriting, Bytes: 5, Total: 9, Dirty: true}, 3)
			d.progress(deployment.Progress{Stage: protocol.StageVerifying}, 3)
			d.finish(deployment.Result{Verified: 9}, test.err, morning)
			r, ok := d.due(morning)
			if !ok || r.State != test.state || !r.Dirty || r.Rate != 0 {
				t.Errorf("report %+v, %v; want state %s, dirty, no rate", r, ok, test.state)
			}
			if test.code != 0 && (r.Failure == nil || r.Failure.Code != test.code || r.Failure.Problem == "") {
				t.Errorf("failure %+v, want code %d", r.Failure, test.code)
			}
			if (r.Verified > 0) != (test.err == nil) {
				t.Errorf("%d bytes verified with error %v", r.Verified, test.err)
			}
			if err := r.Check(); err != nil {
				t.Errorf("the server would refuse the report: %v", err)
			}
		})
	}
}

func TestDeskSaysWhatIsDue(t *testing.T) {
	t.Parallel()
	var d desk
	if _, ok := d.due(morning); ok {
		t.Error("an empty desk has something to say")
	}
	d.instruct(restore("a"), morning)
	if _, ok := d.due(morning.Add(tick)); ok {
		t.Error("a running report right after another")
	}
	r1, ok := d.due(morning.Add(protocol.ReportInterval))
	if !ok {
		t.Fatal("no running report in time")
	}
	d.finish(deployment.Result{}, nil, morning.Add(time.Second))
	r2, ok := d.due(morning.Add(time.Second))
	if !ok || r2.Seq <= r1.Seq {
		t.Fatalf("the verdict is not said at once, or its number %d does not grow from %d", r2.Seq, r1.Seq)
	}
	if _, ok := d.due(morning.Add(time.Second + repeatFinal - 1)); ok {
		t.Error("the verdict is repeated too soon")
	}
	for i := range 3 {
		if _, ok := d.due(morning.Add(time.Second + time.Duration(i+1)*repeatFinal)); !ok {
			t.Errorf("repetition %d of the verdict is missing", i+1)
		}
	}
	if r := d.running(); r == nil || r.State != protocol.Done {
		t.Errorf("hello would say %+v, want the verdict", r)
	}
	d.settled("other")
	if d.running() == nil {
		t.Error("another instruction's settlement made the desk forget")
	}
	d.settled("a")
	if _, ok := d.due(morning.Add(time.Hour)); ok || d.running() != nil {
		t.Error("a settled verdict is still said")
	}
}

func TestDeskCancel(t *testing.T) {
	t.Parallel()
	var d desk
	d.instruct(restore("a"), morning)
	if stop, r := d.cancel("a", morning); !stop || r != nil {
		t.Errorf("running: stop %v, report %+v; want the work stopped", stop, r)
	}
	d.finish(deployment.Result{}, errCancelled, morning)
	if stop, r := d.cancel("a", morning); stop || r == nil || r.State != protocol.Cancelled {
		t.Errorf("ended: stop %v, report %+v; want the verdict", stop, r)
	}
	d.settled("a")
	if stop, r := d.cancel("late", morning); stop || r == nil || r.State != protocol.Cancelled || r.Dirty {
		t.Errorf("never seen: stop %v, report %+v; want cancelled and not dirty", stop, r)
	}
	if got := d.instruct(restore("late"), morning); got.begin {
		t.Error("an instruction was begun after its cancellation")
	}
	if !d.instruct(restore("b"), morning).begin {
		t.Error("the next instruction was not begun")
	}
}

func TestDeskPower(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{protocol.Reboot, protocol.BootDisk, protocol.PowerOff} {
		var d desk
		got := d.instruct(protocol.Instruct{ID: "a", Kind: kind}, morning)
		if got.begin || got.report == nil || got.report.State != protocol.Done {
			t.Errorf("%s: %+v, want the verdict and no work", kind, got)
		}
		if _, ok := d.power(morning.Add(powerPatience - 1)); ok {
			t.Errorf("%s before the verdict was stored", kind)
		}
		silent := d
		if got, ok := silent.power(morning.Add(powerPatience)); !ok || got != kind {
			t.Errorf("%s of a silent server: %q, %v", kind, got, ok)
		}
		d.settled("a")
		if got, ok := d.power(morning); !ok || got != kind {
			t.Errorf("%s when settled: %q, %v", kind, got, ok)
		}
	}
	var d desk
	d.instruct(restore("a"), morning)
	d.instruct(protocol.Instruct{ID: "b", Kind: protocol.Reboot}, morning)
	if _, ok := d.power(morning.Add(time.Hour)); ok {
		t.Error("the PC restarts in the middle of a restore")
	}
}

func TestDeskMemoryIsBounded(t *testing.T) {
	t.Parallel()
	var d desk
	for i := range 10 * memory {
		id := fmt.Sprint(i)
		d.instruct(restore(id), morning)
		d.finish(deployment.Result{}, nil, morning)
		d.settled(id)
	}
	if len(d.past) != memory {
		t.Errorf("%d verdicts are kept, want %d", len(d.past), memory)
	}
}

func TestPace(t *testing.T) {
	t.Parallel()
	var p pace
	now := morning
	p.add("writing", 0, now)
	var rate int64
	for range 20 {
		now = now.Add(250 * time.Millisecond)
		rate = p.add("writing", p.bytes+25e6, now)
	}
	if rate < 99e6 || rate > 101e6 {
		t.Errorf("rate %d, want about 100 MB/s", rate)
	}
	for range 80 {
		now = now.Add(250 * time.Millisecond)
		rate = p.add("writing", p.bytes, now)
	}
	if rate > 1e6 {
		t.Errorf("rate %d after 20 s of standstill, want about nothing", rate)
	}
	if rate := p.add("verifying", 1e9, now); rate != 0 {
		t.Errorf("rate %d at the beginning of a stage, want 0", rate)
	}
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	longest := backoff{random: func() float64 { return 0 }}
	shortest := backoff{random: func() float64 { return 0.999999 }}
	for i, want := range []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 15 * time.Second, 15 * time.Second} {
		long, short := longest.pause(), shortest.pause()
		if long != want {
			t.Errorf("pause %d is at most %v, want %v", i, long, want)
		}
		if short < want/2 || short > want/2+time.Millisecond {
			t.Errorf("pause %d is at least %v, want %v", i, short, want/2)
		}
	}
	longest.reset()
	if got := longest.pause(); got != firstPause {
		t.Errorf("after a reset %v, want %v", got, firstPause)
	}
}

func ptr[T any](v T) *T { return &v }
