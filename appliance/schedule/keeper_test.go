package schedule

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"aula/appliance/catalog"
	"aula/clientos/instruction"
	"aula/clientos/protocol"
)

// A bench is a catalog with a room of one PC and a procedure, and a Keeper that can be stopped and begun anew. The clock is the bubble's, plus skew.
type bench struct {
	t      *testing.T
	c      *catalog.Catalog
	room   catalog.Classroom
	pc     catalog.Computer
	proc   catalog.Procedure
	skew   time.Duration
	begun  []start
	answer func() error // of Start; nil: begun
	stop   func()
	missed ledger
}

// A ledger counts the runs that the log says were missed, by schedule.
type ledger map[string]int

func (l ledger) Enabled(context.Context, slog.Level) bool { return true }
func (l ledger) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l ledger) WithGroup(string) slog.Handler            { return l }

func (l ledger) Handle(_ context.Context, r slog.Record) error {
	name, runs := "", 0
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "name":
			name = a.Value.String()
		case "runs":
			runs = int(a.Value.Int64())
		}
		return true
	})
	l[name] += runs
	return nil
}

type start struct {
	at          time.Time
	actor, note string
	pcs         []string
	words       int
}

func (b *bench) now() time.Time { return time.Now().Add(b.skew) }

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// bubble runs f in the first minute of 2000 with a catalog.
func bubble(t *testing.T, f func(t *testing.T, b *bench)) {
	t.Helper()
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	synctest.Test(t, func(t *testing.T) {
		b := &bench{t: t, missed: ledger{}, c: must(catalog.Open(path))(t)}
		centre := must(b.c.AddCentre("Faculty"))(t)
		b.room = must(b.c.AddClassroom(centre.ID, "Room 1"))(t)
		seen := must(b.c.Observe("52:54:00:00:00:01", "10.0.0.1", protocol.Inventory{}, time.Now()))(t)
		b.pc = must(b.c.AcceptComputer(seen.ID, b.room.ID, "pc-01"))(t)
		b.proc = must(b.c.PutProcedure(catalog.Procedure{Name: "Deploy", Text: "updateCache REPO windows11 UNICAST"}, time.Now()))(t)
		defer b.c.Close()
		defer func() { b.halt() }()
		f(t, b)
	})
}

func (b *bench) run() {
	b.t.Helper()
	k := must(New(Config{Catalog: b.c, Start: b.start, Log: slog.New(b.missed), Now: b.now, Zone: time.UTC}))(b.t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Errorf("Run: %v", err)
		}
	}
	synctest.Wait()
}

func (b *bench) halt() {
	if b.stop != nil {
		b.stop()
		b.stop = nil
	}
}

func (b *bench) start(_ context.Context, actor string, pcs []string, program instruction.Program, note string) (string, error) {
	if b.answer != nil {
		if err := b.answer(); err != nil {
			return "", err
		}
	}
	b.begun = append(b.begun, start{b.now().Round(0), actor, note, pcs, len(program.Statements)})
	return fmt.Sprintf("op-%d", len(b.begun)), nil
}

func (b *bench) daily(at string, missed time.Duration) catalog.Schedule {
	b.t.Helper()
	return must(b.c.PutSchedule(catalog.Schedule{Name: "Seven", ProcedureID: b.proc.ID, ClassroomIDs: []string{b.room.ID}, Days: everyDay, At: at,
		Zone: "UTC", Missed: missed, Actor: "marta"}, b.now()))(b.t)
}

func (b *bench) sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (b *bench) begunAt(want ...string) {
	b.t.Helper()
	var got []string
	for _, s := range b.begun {
		got = append(got, s.at.UTC().Format("2006-01-02 15:04"))
	}
	if !slices.Equal(got, want) {
		b.t.Errorf("begun at %q, want %q", got, want)
	}
}

func (b *bench) says(s catalog.Schedule, failed bool, words string) {
	b.t.Helper()
	got := must(b.c.Schedule(s.ID))(b.t)
	if got.Failed != failed || !strings.Contains(got.Result, words) {
		b.t.Errorf("failed %v, result %q; want %v, %q", got.Failed, got.Result, failed, words)
	}
}

func TestRunsAtItsTime(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		b.run()
		s := b.daily("07:00", 0) // while it runs
		b.sleep(49 * time.Hour)
		b.begunAt("2000-01-01 07:00", "2000-01-02 07:00")
		got := b.begun[0]
		if got.actor != "schedule Seven of marta" || !slices.Equal(got.pcs, []string{b.pc.ID}) || got.words != 1 || !strings.Contains(got.note, "Deploy") {
			t.Errorf("begun: %+v", got)
		}
		b.says(s, false, "op-2")
		if next := must(b.c.Schedule(s.ID))(t).Next; !next.Equal(utc(t, "2000-01-03 07:00")) {
			t.Errorf("next: %v", next)
		}
		must(b.c.AddHoliday(catalog.Holiday{Name: "h", First: "2000-01-03", Last: "2000-01-05"}))(t)
		b.sleep(96 * time.Hour)
		b.begunAt("2000-01-01 07:00", "2000-01-02 07:00", "2000-01-06 07:00")
	})
}

func TestMissedRuns(t *testing.T) {
	for name, c := range map[string]struct {
		makeUp  time.Duration
		back    string // when the appliance is on again
		begun   []string
		failed  bool
		written string
	}{
		"skipped":                  {0, "2000-01-04 08:00", nil, true, "missed: the appliance was off at 07:00 on 2000-01-04, as were 3 runs before it"},
		"made up, the latest only": {2 * time.Hour, "2000-01-04 08:00", []string{"2000-01-04 08:00"}, false, "op-1"},
		"too late to be made up":   {time.Hour, "2000-01-01 08:01", nil, true, "the appliance was off at 07:00"},
		"a minute late":            {0, "2000-01-01 07:01", []string{"2000-01-01 07:01"}, false, "op-1"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) {
				b.run()
				s := b.daily("07:00", c.makeUp)
				b.sleep(time.Minute)
				b.halt()
				b.sleep(utc(t, c.back).Sub(b.now()))
				b.run()
				b.begunAt(c.begun...)
				b.says(s, c.failed, c.written)
			})
		})
	}
}

func TestClockThatIsSet(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		s := b.daily("07:00", 0)
		b.run()
		b.sleep(7*time.Hour + time.Minute)
		b.skew = -3 * time.Hour // seven comes again
		b.sleep(4 * time.Hour)
		b.begunAt("2000-01-01 07:00")
		b.skew = 73 * 365 * 24 * time.Hour // a clock that has gone mad
		b.sleep(time.Minute)
		b.says(s, true, "its clock was set")
		b.skew = 0
		b.sleep(24 * time.Hour)
		b.begunAt("2000-01-01 07:00", "2000-01-02 07:00")
	})
}

func TestBusyPCsAreAskedAgain(t *testing.T) {
	busy := fmt.Errorf("%w: pc-01 is captured", ErrBusy)
	bubble(t, func(t *testing.T, b *bench) {
		asked := 0
		b.answer = func() error { asked++; return busy }
		s := b.daily("07:00", 0)
		b.run()
		b.sleep(7*time.Hour + 3*time.Minute + time.Second)
		b.says(s, false, "waiting until 07:10")
		b.halt() // a restart does not end the wait
		b.run()
		b.answer = nil
		b.sleep(time.Minute)
		if len(b.begun) != 1 {
			t.Fatalf("begun %d times, want once they are free", len(b.begun))
		}
		b.says(s, false, "op-1")

		b.answer, asked = func() error { asked++; return busy }, 0
		b.sleep(25 * time.Hour)
		b.says(s, true, "given up after 10 minutes: PCs are busy: pc-01 is captured")
		if asked != 11 {
			t.Errorf("asked %d times, want at 07:00 and each minute until 07:10", asked)
		}
	})
}

func TestReasonsWhyARunIsNotBegun(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		s := b.daily("07:00", 0)
		b.run()
		b.answer = func() error { return errors.New("no image windows11") }
		b.sleep(8 * time.Hour)
		b.says(s, true, "no image windows11")
		b.answer = nil
		if err := b.c.RemoveComputer(b.pc.ID); err != nil {
			t.Fatal(err)
		}
		b.sleep(24 * time.Hour)
		b.says(s, true, "there is no PC to run it on")
		b.begunAt()
	})
}

// TestKilledWhileItStarts: nobody knows whether the operation was begun, and it is not begun twice.
func TestKilledWhileItStarts(t *testing.T) {
	bubble(t, func(t *testing.T, b *bench) {
		s := b.daily("07:00", 24*time.Hour)
		b.sleep(7 * time.Hour)
		due := b.now()
		err := b.c.NoteRun(s.ID, catalog.Run{Due: due, Result: "starting", Underway: catalog.RunStarting}, due.Add(24*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		b.run()
		b.sleep(time.Hour)
		b.begunAt()
		b.says(s, true, "stopped while it began the run of 07:00")
		b.sleep(24 * time.Hour)
		b.begunAt("2000-01-02 07:00")
	})
}

// TestAYearInMadrid goes through changes of the clocks, holidays, restarts and nights that the appliance is off: each due time of each schedule is run
// once, when it came or within the time to make it up, or it was missed.
func TestAYearInMadrid(t *testing.T) {
	for seed := range uint64(2) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T, b *bench) { aYear(t, b, rand.New(rand.NewPCG(seed, 7))) })
		})
	}
}

func aYear(t *testing.T, b *bench, random *rand.Rand) {
	holidays := []catalog.Holiday{must(b.c.AddHoliday(catalog.Holiday{Name: "Easter", First: "2000-04-17", Last: "2000-04-24"}))(t),
		must(b.c.AddHoliday(catalog.Holiday{Name: "August", First: "2000-08-01", Last: "2000-08-31"}))(t)}
	var schedules []catalog.Schedule
	for at, makeUp := range map[string]time.Duration{"02:30": 0, "07:00": time.Hour, "22:15": 5 * time.Hour} {
		schedules = append(schedules, must(b.c.PutSchedule(catalog.Schedule{Name: at, ProcedureID: b.proc.ID, ComputerIDs: []string{b.pc.ID},
			Days: everyDay, At: at, Zone: "Europe/Madrid", Missed: makeUp}, b.now()))(t))
	}
	type span struct{ from, to time.Time }
	var off []span // the appliance was
	b.run()
	for b.now().Before(utc(t, "2001-01-10 00:00")) {
		b.sleep(time.Duration(random.Int64N(int64(6 * 24 * time.Hour))))
		from := b.now()
		b.halt()
		if random.IntN(3) > 0 {
			b.sleep(time.Duration(random.Int64N(int64(40 * time.Hour))))
		}
		off = append(off, span{from, b.now()})
		b.run()
	}
	for _, s := range schedules {
		var got, want []time.Time
		for _, run := range b.begun {
			if strings.HasPrefix(run.note, "schedule "+s.Name+",") {
				got = append(got, run.at)
			}
		}
		due, _ := Next(s, holidays, utc(t, "2000-01-01 00:00"), time.UTC)
		dues := 0
		for ; !due.After(b.now()); due, _ = Next(s, holidays, due, time.UTC) {
			dues++
			at := due
			for _, o := range off {
				if !due.Before(o.from) && due.Before(o.to) {
					at = o.to
				}
			}
			if at.Equal(due) || at.Sub(due) <= max(s.Missed, lateness) {
				if later, _ := Next(s, holidays, due, time.UTC); at.Equal(due) || later.After(at) {
					want = append(want, at.Round(0))
				}
			}
		}
		if dues != len(got)+b.missed[s.Name] {
			t.Errorf("%s was due %d times, run %d times and missed %d times", s.Name, dues, len(got), b.missed[s.Name])
		}
		if len(want) < 200 || !slices.EqualFunc(got, want, time.Time.Equal) {
			t.Errorf("%s was run %d times, want %d: first difference at %v", s.Name, len(got), len(want), difference(got, want))
		}
	}
}

func difference(got, want []time.Time) [2]time.Time {
	for i := range max(len(got), len(want)) {
		var d [2]time.Time
		if i < len(got) {
			d[0] = got[i]
		}
		if i < len(want) {
			d[1] = want[i]
		}
		if !d[0].Equal(d[1]) {
			return d
		}
	}
	return [2]time.Time{}
}
