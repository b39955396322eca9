package roster_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aula/appliance/catalog"
	"aula/appliance/roster"
	"aula/clientos/agent"
	"aula/clientos/agent/screen"
	"aula/clientos/deployment"
	"aula/clientos/disk"
	"aula/clientos/protocol"
)

const (
	mac1 = "52:54:00:00:00:01"
	mac2 = "52:54:00:00:00:02"
)

// restore is an instruction that the stand-ins for clone carry out.
func restore(id string) protocol.Instruct {
	return protocol.Instruct{
		ID: id, Kind: protocol.RestoreImage, Disk: disk.Ref{Number: 1, Bytes: 1 << 30, SectorSize: 512},
		Parts: []protocol.Part{{Partition: 1, Image: protocol.Image{Name: "debian", Revision: 1}}},
	}
}

func TestNewPCIsPendingThenAccepted(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p := s.boot(mac1, nil)
	shown := p.waitFor(t, screen.Pending)
	c, err := s.catalog.ComputerByMAC(mac1)
	check(t, err)
	if c.State != catalog.Pending {
		t.Errorf("state in the catalog is %q, want pending", c.State)
	}
	session, ok := s.Session(c.ID)
	if !ok || session.State != protocol.Pending || session.Version != "test" {
		t.Fatalf("session of the PC is %+v, %v", session, ok)
	}
	if len(shown.Code) != 6 || session.Code != shown.Code {
		t.Errorf("the PC shows code %q and the console %q, want six equal symbols", shown.Code, session.Code)
	}
	if err := s.Instruct(c.ID, restore("i1")); !errors.Is(err, roster.ErrPending) {
		t.Errorf("Instruct of a pending PC: %v, want ErrPending", err)
	}
	if s.work.called("connected " + c.ID)() {
		t.Error("the operations were told of a PC that is pending")
	}

	s.accept(mac1, "pc-07")
	shown = p.waitFor(t, screen.Ready)
	if shown.Computer != "pc-07" || shown.Classroom != "Room 3" {
		t.Errorf("the screen shows %q in %q, want pc-07 in Room 3", shown.Computer, shown.Classroom)
	}
	s.work.until(t, "connected", s.work.called("connected "+c.ID))
}

func TestAgentRefusesAnotherServersKey(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	ticket := s.ticket(mac1)
	p := s.bootWith(agent.Config{MAC: mac1, Ticket: ticket, Pin: strings.Repeat("5a", 32)})
	shown := p.waitFor(t, screen.Trouble)
	if !strings.Contains(shown.Problem, "not the one that started this PC") {
		t.Errorf("the screen says %q", shown.Problem)
	}
	if _, err := s.catalog.ComputerByMAC(mac1); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("the server heard of the PC: %v", err)
	}
	// The ticket was never shown to the other server.
	if _, _, err := newStranger(t).hello(s, mac1, ticket); err != nil {
		t.Errorf("ticket is spent: %v", err)
	}
}

func TestTicketsOpenOnce(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var shift atomic.Int64
	s.now = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }

	if why := newStranger(t).denied(s, mac1, "", protocol.CloseDenied); !strings.Contains(why, "no ticket") {
		t.Errorf("without a ticket: %q", why)
	}
	if why := newStranger(t).denied(s, mac1, strings.Repeat("0", 32), protocol.CloseDenied); !strings.Contains(why, "unknown") {
		t.Errorf("with an invented ticket: %q", why)
	}
	ticket := s.ticket(mac1)
	if why := newStranger(t).denied(s, mac2, ticket, protocol.CloseDenied); !strings.Contains(why, "another PC") {
		t.Errorf("with another PC's ticket: %q", why)
	}
	owner := newStranger(t)
	conn, m, err := owner.hello(s, mac1, ticket)
	if err != nil || m.Welcome == nil {
		t.Fatalf("the ticket's owner was answered by %+v, %v", m, err)
	}
	conn.Close(1000, "")
	if why := newStranger(t).denied(s, mac1, ticket, protocol.CloseDenied); !strings.Contains(why, "already used") {
		t.Errorf("with a used ticket: %q", why)
	}
	if _, _, err := owner.hello(s, mac1, ""); err != nil {
		t.Errorf("the known key without a ticket: %v", err)
	}
	late := s.ticket(mac2)
	shift.Store(int64(10 * time.Minute))
	if why := newStranger(t).denied(s, mac2, late, protocol.CloseDenied); !strings.Contains(why, "older than") {
		t.Errorf("with an old ticket: %q", why)
	}
}

func TestKeyOutlivesTheServer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, c := s.accepted(mac1, "pc-01", nil)
	unused := s.ticket(mac2)
	s.stop()
	p.waitFor(t, screen.Connecting)
	s.work.until(t, "disconnected", s.work.called("disconnected "+c.ID))
	s.start()
	p.waitFor(t, screen.Ready)
	if again, ok := s.Session(c.ID); !ok || again.State != protocol.Accepted {
		t.Errorf("after the restart the session is %+v, %v", again, ok)
	}
	newStranger(t).denied(s, mac2, unused, protocol.CloseDenied) // no ticket outlives the server
}

func TestNextBootReplacesTheKey(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	first, second := newStranger(t), newStranger(t)
	conn, _, err := first.hello(s, mac1, s.ticket(mac1))
	check(t, err)
	conn.Close(1000, "")
	c, err := s.catalog.ComputerByMAC(mac1)
	check(t, err)
	if _, _, err := second.hello(s, mac1, s.ticket(mac1)); err != nil {
		t.Fatalf("next boot: %v", err)
	}
	again, err := s.catalog.ComputerByMAC(mac1)
	if err != nil || again.ID != c.ID {
		t.Errorf("the next boot is computer %q, %v; want %q", again.ID, err, c.ID)
	}
	first.denied(s, mac1, "", protocol.CloseDenied)
}

func TestSecondPCWithTheSameAddressIsDenied(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, c := s.accepted(mac1, "pc-01", nil)
	intruder := newStranger(t)
	ticket := s.ticket(mac1)
	if why := intruder.denied(s, mac1, ticket, protocol.CloseDuplicate); !strings.Contains(why, mac1) {
		t.Errorf("reason %q does not name the address", why)
	}
	if session, ok := s.Session(c.ID); !ok || session.State != protocol.Accepted {
		t.Errorf("the first PC lost its session: %+v, %v", session, ok)
	}
	p.stop()
	s.work.until(t, "disconnected", s.work.called("disconnected "+c.ID))
	if _, _, err := intruder.hello(s, mac1, ticket); err != nil {
		t.Errorf("when the first PC is gone the ticket must be good: %v", err)
	}
}

func TestDuplicateIsShownOnItsScreen(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.accepted(mac1, "pc-01", nil)
	twin := s.boot(mac1, nil)
	if shown := twin.waitFor(t, screen.Denied); !strings.Contains(shown.Problem, "Another PC with the address "+mac1) {
		t.Errorf("the second PC shows %q", shown.Problem)
	}
}

func TestPCThatLostPowerComesBack(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	// Its connection stays open and nothing comes from it any more: it reads nothing, so it answers no ping.
	_, _, err := newStranger(t).hello(s, mac1, s.ticket(mac1))
	check(t, err)
	if _, m, err := newStranger(t).hello(s, mac1, s.ticket(mac1)); err != nil || m.Welcome == nil {
		t.Errorf("after the loss of power: %+v, %v", m, err)
	}
}

func TestNewerConnectionOfTheSamePCWins(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	x := newStranger(t)
	old, _, err := x.hello(s, mac1, s.ticket(mac1))
	check(t, err)
	ended := make(chan error, 1)
	go func() {
		_, err := old.Receive(context.Background())
		ended <- err
	}()
	if _, m, err := x.hello(s, mac1, ""); err != nil || m.Welcome == nil {
		t.Fatalf("second connection: %+v, %v", m, err)
	}
	if err := <-ended; err == nil {
		t.Error("the first connection is still open")
	}
	if n := len(s.Sessions()); n != 1 {
		t.Errorf("%d sessions, want 1", n)
	}
}

// TestRenameWhileAPCComesBackForgetsNoWork renames a PC between the moment when its new session is found and the moment when the
// old one has ended.
func TestRenameWhileAPCComesBackForgetsNoWork(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	x, other := newStranger(t), newStranger(t)
	old, _, err := x.hello(s, mac1, s.ticket(mac1))
	check(t, err)
	c := s.accept(mac1, "pc-01")
	s.work.until(t, "connected", s.work.called("connected "+c.ID))

	hold := make(chan struct{})
	letGo := sync.OnceFunc(func() { close(hold) })
	t.Cleanup(letGo) // before the server's own, which waits for the sessions
	s.work.note(func() { s.work.hold = hold })
	running := protocol.Report{ID: "i1", Seq: 1, State: protocol.Running, Stage: protocol.StageWriting}
	check(t, old.Send(protocol.Message{Report: &running}))
	s.work.until(t, "the report that is held", func() bool { return len(s.work.reports) == 1 })

	fresh, m, err := x.say(s, protocol.Hello{MAC: mac1, Inventory: inventory(mac1), Running: &running})
	if err != nil || m.Welcome == nil {
		t.Fatalf("second connection: %+v, %v", m, err)
	}
	// PCs are let in one at a time: when the next one is in, the session of the first is found.
	_, _, err = other.hello(s, mac2, s.ticket(mac2))
	check(t, err)
	_, err = s.catalog.UpdateComputer(c.ID, "", "pc-02")
	check(t, err)
	if m, err := fresh.Receive(t.Context()); err != nil || m.Welcome == nil || m.Welcome.Computer != "pc-02" {
		t.Fatalf("after the new name: %+v, %v", m, err)
	}
	s.work.until(t, "connected again", func() bool {
		n := 0
		for _, call := range s.work.calls {
			if call == "connected "+c.ID {
				n++
			}
		}
		return n == 2
	})
	s.work.mu.Lock()
	held := s.work.running[c.ID]
	s.work.mu.Unlock()
	if held == nil || held.ID != "i1" {
		t.Errorf("the operations were told that the PC holds %+v, want i1", held)
	}
	letGo()
}

func TestRemovedPCComesBackAsPending(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, c := s.accepted(mac1, "pc-01", nil)
	check(t, s.catalog.RemoveComputer(c.ID))
	p.waitFor(t, screen.Pending)
	again, err := s.catalog.ComputerByMAC(mac1)
	if err != nil || again.State != catalog.Pending || again.ID == c.ID {
		t.Errorf("the PC is %+v, %v; want a new pending one", again, err)
	}
}

func TestMalformedHelloIsRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	newStranger(t).denied(s, "not an address", s.ticket(mac1), protocol.CloseMalformed)
	if all, err := s.catalog.Computers(); err != nil || len(all) > 0 {
		t.Errorf("the catalog holds %v, %v", all, err)
	}
}

func TestInstructionIsCarriedOutOnceAndItsVerdictRepeated(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.work.unwilled = true // nobody stores the verdict at first
	var runs atomic.Int32
	goOn := make(chan struct{})
	p, c := s.accepted(mac1, "pc-01", func(ctx context.Context, _ deployment.Env, in protocol.Instruct, progress func(deployment.Progress)) (deployment.Result, error) {
		runs.Add(1)
		progress(deployment.Progress{Stage: protocol.StageWriting, Bytes: 50, Total: 100, Dirty: true})
		<-goOn
		return deployment.Result{Verified: 100}, nil
	})
	check(t, s.Instruct(c.ID, restore("i1")))
	s.work.until(t, "a report of the writing", func() bool {
		for _, r := range s.work.reports {
			if r.State == protocol.Running && r.Stage == protocol.StageWriting && r.Bytes == 50 && r.Dirty {
				return true
			}
		}
		return false
	})
	check(t, s.Instruct(c.ID, restore("i1"))) // again, as after a doubt

	// The server goes and comes back in the middle: the work goes on, and Hello tells of it.
	s.stop()
	s.work.note(func() { s.work.calls, s.work.running = nil, map[string]*protocol.Report{} })
	s.start()
	s.work.until(t, "the PC to come back", s.work.called("connected "+c.ID))
	s.work.until(t, "what it holds", func() bool {
		r := s.work.running[c.ID]
		return r != nil && r.ID == "i1" && r.State == protocol.Running
	})
	close(goOn)
	verdicts := func(n int) func() bool {
		return func() bool {
			found := 0
			for _, r := range s.work.reports {
				if r.ID == "i1" && r.State == protocol.Done && r.Verified == 100 {
					found++
				}
			}
			return found >= n
		}
	}
	s.work.until(t, "the verdict", verdicts(1))
	s.work.until(t, "the verdict again", verdicts(2))
	check(t, s.Settle(c.ID, "i1"))
	check(t, s.Instruct(c.ID, restore("i1"))) // the verdict is known, nothing is done
	s.work.until(t, "the verdict from memory", verdicts(3))
	if n := runs.Load(); n != 1 {
		t.Errorf("the instruction was carried out %d times, want once", n)
	}
	if shown := p.waitFor(t, screen.Done); shown.Proven != 100 {
		t.Errorf("the screen shows %d bytes verified, want 100", shown.Proven)
	}
}

func TestCancelStopsTheWork(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, c := s.accepted(mac1, "pc-01", func(ctx context.Context, _ deployment.Env, _ protocol.Instruct, _ func(deployment.Progress)) (deployment.Result, error) {
		<-ctx.Done()
		return deployment.Result{}, context.Cause(ctx)
	})
	check(t, s.Instruct(c.ID, restore("i1")))
	p.waitFor(t, screen.Working)
	check(t, s.Cancel(c.ID, "i1"))
	p.waitFor(t, screen.Cancelled)
	s.work.until(t, "the verdict", func() bool {
		n := len(s.work.reports)
		return n > 0 && s.work.reports[n-1].State == protocol.Cancelled
	})
}

func TestRebootEndsTheAgent(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	p, c := s.accepted(mac1, "pc-01", nil)
	check(t, s.Instruct(c.ID, protocol.Instruct{ID: "i1", Kind: protocol.PowerOff}))
	if outcome := <-p.outcome; outcome != protocol.PowerOff {
		t.Errorf("outcome %q, want %q", outcome, protocol.PowerOff)
	}
	s.work.until(t, "disconnected", s.work.called("disconnected "+c.ID))
}

func TestInstructNeedsASession(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	if err := s.Instruct("nobody", restore("i1")); !errors.Is(err, roster.ErrNotConnected) {
		t.Errorf("Instruct: %v, want ErrNotConnected", err)
	}
	if s.Connected("nobody") {
		t.Error("Connected says yes of a PC that is not there")
	}
}
