package agent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aula/clientos/agent/screen"
	"aula/clientos/deployment"
	"aula/clientos/protocol"
	"aula/clientos/protocol/wire"
)

// A fakeLink is a session in memory; the test is the server.
type fakeLink struct {
	up   chan protocol.Message // what the agent says
	down chan protocol.Message // what the server says
	end  chan error            // how the server closes
}

func newLink() *fakeLink {
	return &fakeLink{up: make(chan protocol.Message, 1000), down: make(chan protocol.Message, 10), end: make(chan error, 1)}
}

func (l *fakeLink) Send(m protocol.Message) error {
	l.up <- m
	return nil
}

func (l *fakeLink) Receive(ctx context.Context) (protocol.Message, error) {
	select {
	case m := <-l.down:
		return m, nil
	case err := <-l.end:
		return protocol.Message{}, err
	case <-ctx.Done():
		return protocol.Message{}, ctx.Err()
	}
}

func (l *fakeLink) Close(int, string) {}

// said returns all reports that the agent has sent by now.
func (l *fakeLink) said() []protocol.Report {
	var all []protocol.Report
	for {
		select {
		case m := <-l.up:
			if m.Report != nil {
				all = append(all, *m.Report)
			}
		default:
			return all
		}
	}
}

// A room is an agent with a server in memory. It lives in a synctest bubble.
type room struct {
	t       *testing.T
	agent   *Agent
	board   *screen.Board
	dialled chan *fakeLink // one for each attempt
	answers chan error     // what dialling answers; nil gives the link
	ended   chan string    // what Run returned
	// stock is the inventory; a test may replace it after welcome.
	stock func(ctx context.Context) (protocol.Inventory, error)
	stop  func()
}

func newRoom(t *testing.T, carry func(ctx context.Context, progress func(deployment.Progress)) (deployment.Result, error)) *room {
	t.Helper()
	r := &room{t: t, dialled: make(chan *fakeLink), answers: make(chan error, 100), board: screen.NewBoard(screen.State{}), ended: make(chan string, 1)}
	r.stock = func(context.Context) (protocol.Inventory, error) { return protocol.Inventory{Firmware: "bios"}, nil }
	a, err := New(Config{
		Server: "10.77.0.1:7443", Pin: strings.Repeat("5a", 32), Ticket: "ticket", MAC: "52:54:00:00:00:01", Version: "test",
		Inventory: func(ctx context.Context) (protocol.Inventory, error) { return r.stock(ctx) },
		Carry: func(ctx context.Context, _ deployment.Env, _ protocol.Instruct, progress func(deployment.Progress)) (deployment.Result, error) {
			return carry(ctx, progress)
		},
		Folder: "/nonexistent", Board: r.board, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	a.random = func() float64 { return 0 }
	a.cached = func(context.Context) (*protocol.CacheState, error) { return nil, nil }
	a.dial = func(ctx context.Context) (link, error) {
		select {
		case err := <-r.answers:
			return nil, err
		default:
		}
		l := newLink()
		select {
		case r.dialled <- l:
			return l, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	r.agent = a
	ctx, cancel := context.WithCancel(t.Context())
	var group sync.WaitGroup
	group.Go(func() {
		outcome, _ := a.Run(ctx)
		r.ended <- outcome
	})
	r.stop = func() {
		cancel()
		group.Wait()
	}
	return r
}

// outcome returns what Run returned, "" while it runs.
func (r *room) outcome() string {
	select {
	case o := <-r.ended:
		return o
	default:
		return ""
	}
}

// welcome takes the agent's next connection and lets it in.
func (r *room) welcome() (*fakeLink, *protocol.Hello) {
	r.t.Helper()
	l := <-r.dialled
	m := <-l.up
	if m.Hello == nil {
		r.t.Fatalf("the first message is %+v, want hello", m)
	}
	l.down <- protocol.Message{Welcome: &protocol.Welcome{State: protocol.Accepted, Computer: "pc-01", Time: time.Now()}}
	synctest.Wait()
	return l, m.Hello
}

func TestReportsComeInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, func(ctx context.Context, progress func(deployment.Progress)) (deployment.Result, error) {
			for i := range int64(100) {
				progress(deployment.Progress{Stage: protocol.StageWriting, Bytes: i * 10e6, Total: 1e9, Dirty: true})
				time.Sleep(100 * time.Millisecond)
			}
			return deployment.Result{Verified: 1e9}, nil
		})
		defer r.stop()
		l, _ := r.welcome()
		l.down <- protocol.Message{Instruct: ptr(restore("a"))}
		time.Sleep(5 * time.Second)
		reports := l.said()
		if n := len(reports); n < 20 || n > 27 {
			t.Errorf("%d reports in 5 s, want one each %v", n, protocol.ReportInterval)
		}
		last := reports[len(reports)-1]
		if last.Rate < 95e6 || last.Rate > 105e6 || last.Stage != protocol.StageWriting || !last.Dirty {
			t.Errorf("last report %+v, want writing at 100 MB/s", last)
		}
		time.Sleep(6 * time.Second)
		reports = l.said()
		if last := reports[len(reports)-1]; last.State != protocol.Done || last.Verified != 1e9 {
			t.Errorf("verdict %+v", last)
		}
	})
}

func TestWorkOutlivesTheConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		r := newRoom(t, func(ctx context.Context, progress func(deployment.Progress)) (deployment.Result, error) {
			runs++
			select {
			case <-time.After(time.Minute):
				return deployment.Result{Verified: 5}, nil
			case <-ctx.Done():
				return deployment.Result{}, ctx.Err()
			}
		})
		defer r.stop()
		first, hello := r.welcome()
		if hello.Ticket != "ticket" || hello.Running != nil {
			t.Errorf("first hello %+v, want the ticket and nothing running", hello)
		}
		first.down <- protocol.Message{Instruct: ptr(restore("a"))}
		time.Sleep(time.Second)
		first.end <- errors.New("connection reset")
		for range 5 {
			r.answers <- errors.New("no route")
		}
		time.Sleep(2 * time.Second)
		if s := r.board.State(); s.Phase != screen.Working || s.Problem == "" {
			t.Errorf("the screen shows %q with problem %q, want the work and that the connection is lost", s.Phase, s.Problem)
		}
		second, hello := r.welcome()
		if hello.Ticket != "" || hello.Running == nil || hello.Running.ID != "a" || hello.Running.State != protocol.Running {
			t.Errorf("second hello %+v, want no ticket and the running instruction", hello)
		}
		if s := r.board.State(); s.Phase != screen.Working || s.Problem != "" {
			t.Errorf("the screen shows %q with problem %q", s.Phase, s.Problem)
		}
		second.end <- errors.New("connection reset")
		time.Sleep(2 * time.Minute) // it ends while nobody listens
		third, hello := r.welcome()
		if hello.Running == nil || hello.Running.State != protocol.Done || hello.Running.Verified != 5 {
			t.Errorf("third hello %+v, want the verdict", hello)
		}
		time.Sleep(3 * repeatFinal)
		if n := len(third.said()); n < 3 {
			t.Errorf("the verdict was said %d times in %v, want it repeated", n, 3*repeatFinal)
		}
		third.down <- protocol.Message{Settled: &protocol.Settled{ID: "a"}}
		synctest.Wait()
		third.said()
		time.Sleep(time.Minute)
		if reports := third.said(); len(reports) > 0 {
			t.Errorf("after the settlement the agent still says %+v", reports)
		}
		if runs != 1 {
			t.Errorf("carried out %d times, want once", runs)
		}
	})
}

func TestDeniedPCRestartsAfterAMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, nil)
		defer r.stop()
		l := <-r.dialled
		<-l.up
		l.end <- &wire.CloseError{Code: protocol.CloseDenied, Reason: "ticket unknown or already used"}
		time.Sleep(time.Second)
		if s := r.board.State(); s.Phase != screen.Denied || !strings.Contains(s.Problem, "ticket unknown") {
			t.Errorf("the screen shows %q: %q", s.Phase, s.Problem)
		}
		time.Sleep(deniedPause)
		synctest.Wait()
		if got := r.outcome(); got != protocol.Reboot {
			t.Errorf("outcome %q, want a restart", got)
		}
	})
}

func TestDeniedPCAtWorkDoesNotRestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, func(ctx context.Context, _ func(deployment.Progress)) (deployment.Result, error) {
			<-ctx.Done()
			return deployment.Result{}, ctx.Err()
		})
		l, _ := r.welcome()
		l.down <- protocol.Message{Instruct: ptr(restore("a"))}
		synctest.Wait()
		l.end <- &wire.CloseError{Code: protocol.CloseDenied, Reason: "unknown key"}
		time.Sleep(deniedPause / 2)
		if s := r.board.State(); s.Phase != screen.Working {
			t.Errorf("the screen shows %q, want the work", s.Phase)
		}
		again := <-r.dialled // it goes on trying
		again.end <- errors.New("lost")
		time.Sleep(10 * time.Minute)
		if got := r.outcome(); got != "" {
			t.Errorf("outcome %q in the middle of the work", got)
		}
		r.stop()
	})
}

func TestPanicIsAFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, func(context.Context, func(deployment.Progress)) (deployment.Result, error) {
			panic("index out of range")
		})
		defer r.stop()
		l, _ := r.welcome()
		l.down <- protocol.Message{Instruct: ptr(restore("a"))}
		time.Sleep(time.Second)
		reports := l.said()
		last := reports[len(reports)-1]
		if last.State != protocol.Failed || last.Failure == nil || last.Failure.Detail != "index out of range" {
			t.Errorf("verdict %+v, want a failure with the panic in its detail", last)
		}
	})
}

func TestPowerOffWaitsForItsVerdict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRoom(t, nil)
		defer r.stop()
		l, _ := r.welcome()
		l.down <- protocol.Message{Instruct: &protocol.Instruct{ID: "a", Kind: protocol.PowerOff}}
		time.Sleep(powerPatience / 2)
		if r.outcome() != "" {
			t.Fatal("the PC switches off before its verdict is stored")
		}
		if reports := l.said(); len(reports) == 0 || reports[0].State != protocol.Done {
			t.Errorf("reports %+v, want the verdict", reports)
		}
		l.down <- protocol.Message{Settled: &protocol.Settled{ID: "a"}}
		time.Sleep(time.Second)
		if got := r.outcome(); got != protocol.PowerOff {
			t.Errorf("outcome %q, want %q", got, protocol.PowerOff)
		}
	})
}

func TestTroubleInWords(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err   error
		phase screen.Phase
	}{
		"another server's key": {errStranger, screen.Trouble},
		"denied":               {&wire.CloseError{Code: protocol.CloseDenied, Reason: "no"}, screen.Denied},
		"a second PC":          {&wire.CloseError{Code: protocol.CloseDuplicate, Reason: "no"}, screen.Denied},
		"a restart":            {&wire.CloseError{Code: protocol.CloseRestarting, Reason: "wait"}, screen.Connecting},
		"anything else":        {errors.New("x"), screen.Connecting},
	}
	for name, test := range tests {
		got := troubleOf("10.77.0.1:7443", test.err)
		if got.phase != test.phase || got.problem == "" {
			t.Errorf("%s: %+v, want phase %q and a problem", name, got, test.phase)
		}
	}
}
