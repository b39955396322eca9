package catalog

import (
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

const goodProgram = "updateCache REPO windows11 UNICAST"

// nightly makes a room with a PC, a procedure, and a schedule that is not stored yet.
func nightly(t *testing.T, c *Catalog) (Schedule, Computer) {
	t.Helper()
	centre := must(c.AddCentre("Faculty"))(t)
	room := must(c.AddClassroom(centre.ID, "Room 1"))(t)
	pc := observe(t, c, testMAC(1), board("", ""))
	pc = must(c.AcceptComputer(pc.ID, room.ID, "pc-01"))(t)
	p := must(c.PutProcedure(Procedure{Name: "Night", Text: goodProgram}, t0))(t)
	return Schedule{Name: "Nightly", ProcedureID: p.ID, ClassroomIDs: []string{room.ID}, ComputerIDs: []string{pc.ID},
		Days: []time.Weekday{time.Friday, time.Monday, time.Friday}, At: "22:30", Zone: "Europe/Madrid", Missed: time.Hour, Actor: "marta"}, pc
}

func TestProcedures(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	told := 0
	defer c.Watch(func() { told++ })()
	p := must(c.PutProcedure(Procedure{Name: " Night ", Text: goodProgram + "\r\n", Comment: " each night "}, t0))(t)
	if p.ID == "" || p.Name != "Night" || p.Text != goodProgram+"\n" || p.Comment != "each night" || !p.Changed.Equal(t0) {
		t.Errorf("made: got %+v", p)
	}
	if _, err := c.PutProcedure(Procedure{Name: "NIGHT", Text: goodProgram}, t0); !errors.Is(err, ErrExists) {
		t.Errorf("a name twice: got %v, want ErrExists", err)
	}
	p.Name = "Late night"
	p = must(c.PutProcedure(p, t0.Add(time.Hour)))(t)
	if got := must(c.Procedure(p.ID))(t); got != p || !got.Changed.Equal(t0.Add(time.Hour)) {
		t.Errorf("changed: got %+v, want %+v", got, p)
	}
	if _, err := c.PutProcedure(Procedure{ID: "gone", Name: "x", Text: goodProgram}, t0); !errors.Is(err, ErrNotFound) {
		t.Errorf("changed when removed: got %v, want ErrNotFound", err)
	}
	for name, text := range map[string]string{"nothing": " \n", "no instruction": "makeCoffee 1 2", "endless": strings.Repeat(goodProgram+"\n", 3000)} {
		if _, err := c.PutProcedure(Procedure{Name: "x", Text: text}, t0); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if err := c.RemoveProcedure(p.ID); err != nil {
		t.Error(err)
	}
	if err := c.RemoveProcedure(p.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: got %v, want ErrNotFound", err)
	}
	if told != 3 {
		t.Errorf("watchers were told %d times of 3 changes", told)
	}
}

func TestScheduleIsKeptWithWhatBecameOfItsRuns(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	s, _ := nightly(t, c)
	s = must(c.PutSchedule(s, t0))(t)
	if want := []time.Weekday{time.Monday, time.Friday}; !reflect.DeepEqual(s.Days, want) {
		t.Errorf("days: got %v, want %v", s.Days, want)
	}
	due, next := t0.Add(time.Hour), t0.Add(48*time.Hour)
	if err := c.NoteRun(s.ID, Run{Due: due, Result: "busy", Underway: RunWaiting}, next); err != nil {
		t.Fatal(err)
	}
	got := must(c.Schedule(s.ID))(t)
	if !got.Next.Equal(next) || !got.LastRun.Equal(due) || !got.Ran.Equal(due) || got.Underway != RunWaiting || got.Failed {
		t.Errorf("a run that waits: got %+v", got)
	}
	// Whoever changes it ends the wait; a form that does not know of the runs does not lose them.
	changed := s
	changed.At = "23:00"
	got = must(c.PutSchedule(changed, due.Add(time.Minute)))(t)
	if !got.Next.IsZero() || !got.LastRun.Equal(due) || !got.Ran.Equal(due) || got.Underway != "" || !got.Failed || !strings.Contains(got.Result, "changed") {
		t.Errorf("changed while it waited: got %+v", got)
	}
	if err := c.NoteRun(s.ID, Run{Due: next, Result: "missed", Failed: true, Missed: true}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	if got = must(c.Schedule(s.ID))(t); !got.LastRun.Equal(next) || !got.Ran.Equal(due) || !got.Next.IsZero() || !got.Failed {
		t.Errorf("a run that was missed: got %+v, want the guard at %v", got, due)
	}
	// A clock that was ahead must not stop it for ever.
	if got = must(c.PutSchedule(s, t0))(t); !got.Ran.IsZero() {
		t.Errorf("saved with the clock set back: the guard is %v, want none", got.Ran)
	}
	if err := c.SetNext(s.ID, next); err != nil || !must(c.Schedule(s.ID))(t).Next.Equal(next) {
		t.Errorf("next: %v", err)
	}
	if err := c.RemoveProcedure(s.ProcedureID); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), `"Nightly"`) {
		t.Errorf("its procedure: got %v, want ErrInUse that names the schedule", err)
	}
	if err := c.RemoveSchedule(s.ID); err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{c.RemoveSchedule(s.ID), c.NoteRun(s.ID, Run{}, next), c.SetNext(s.ID, next)} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("after removal: got %v, want ErrNotFound", err)
		}
	}
	if err := c.RemoveProcedure(s.ProcedureID); err != nil {
		t.Errorf("its procedure, when it is gone: %v", err)
	}
}

func TestSchedulesThatAreRefused(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	good, _ := nightly(t, c)
	must(c.PutSchedule(good, t0))(t)
	pending := observe(t, c, testMAC(2), board("", ""))
	for name, r := range map[string]struct {
		spoil func(s *Schedule)
		is    error
		says  string
	}{
		"a name twice":                 {func(s *Schedule) { s.Name = "nightly" }, ErrExists, "another name"},
		"no name":                      {func(s *Schedule) { s.Name = " " }, ErrInvalid, "empty"},
		"nowhere":                      {func(s *Schedule) { s.ClassroomIDs, s.ComputerIDs = nil, nil }, ErrInvalid, "nowhere"},
		"never":                        {func(s *Schedule) { s.Days = nil }, ErrInvalid, "either"},
		"once and weekly":              {func(s *Schedule) { s.Once = t0.Add(time.Hour) }, ErrInvalid, "either"},
		"once with a time of day":      {func(s *Schedule) { s.Once, s.Days = t0.Add(time.Hour), nil }, ErrInvalid, "leave it out"},
		"once and over":                {func(s *Schedule) { s.Once, s.Days, s.At = t0, nil, "" }, ErrInvalid, "time to come"},
		"an eighth day":                {func(s *Schedule) { s.Days = []time.Weekday{1, 7} }, ErrInvalid, "day of the week"},
		"a negative day":               {func(s *Schedule) { s.Days = []time.Weekday{-1} }, ErrInvalid, "day of the week"},
		"no time of day":               {func(s *Schedule) { s.At = "" }, ErrInvalid, "07:30"},
		"an hour of one digit":         {func(s *Schedule) { s.At = "7:30" }, ErrInvalid, "07:30"},
		"a twenty-fifth hour":          {func(s *Schedule) { s.At = "24:00" }, ErrInvalid, "07:30"},
		"a zone that is none":          {func(s *Schedule) { s.Zone = "Europe/Madird" }, ErrInvalid, "Europe/Madrid"},
		"the zone of this machine":     {func(s *Schedule) { s.Zone = "Local" }, ErrInvalid, "Europe/Madrid"},
		"made up for ever":             {func(s *Schedule) { s.Missed = maxMissed + 1 }, ErrInvalid, "7 days"},
		"a procedure that is gone":     {func(s *Schedule) { s.ProcedureID = "gone" }, ErrNotFound, "choose a procedure"},
		"a classroom that is gone":     {func(s *Schedule) { s.ClassroomIDs = []string{"gone"} }, ErrNotFound, "choose classrooms"},
		"a computer that is gone":      {func(s *Schedule) { s.ComputerIDs = []string{"gone"} }, ErrNotFound, "choose computers"},
		"a computer that nobody knows": {func(s *Schedule) { s.ComputerIDs = []string{pending.ID} }, ErrInvalid, "pending"},
	} {
		t.Run(name, func(t *testing.T) {
			s := good
			s.Name = "Other"
			r.spoil(&s)
			if _, err := c.PutSchedule(s, t0); !errors.Is(err, r.is) || !strings.Contains(err.Error(), r.says) {
				t.Errorf("got %v, want %v that says %q", err, r.is, r.says)
			}
		})
	}
	if got := must(c.Schedules())(t); len(got) != 1 {
		t.Errorf("refused schedules were kept: %+v", got)
	}
}

func TestOnceThatIsOverCanStillBeRenamed(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	s, _ := nightly(t, c)
	s.Days, s.At, s.Once = nil, "", t0.Add(time.Minute)
	s = must(c.PutSchedule(s, t0))(t)
	s.Name = "That night"
	if _, err := c.PutSchedule(s, t0.Add(time.Hour)); err != nil {
		t.Error(err)
	}
}

func TestSchedulesForgetWhatIsRemoved(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	s, pc := nightly(t, c)
	s = must(c.PutSchedule(s, t0))(t)
	if err := c.RemoveComputer(pc.ID); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveClassroom(s.ClassroomIDs[0]); err != nil {
		t.Fatal(err)
	}
	if got := must(c.Schedule(s.ID))(t); len(got.ClassroomIDs)+len(got.ComputerIDs) != 0 || got.Name != s.Name {
		t.Errorf("got %+v, want the schedule with nowhere to run", got)
	}
}

func TestHolidays(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	christmas := must(c.AddHoliday(Holiday{Name: "Christmas ", First: "2026-12-24", Last: "2027-01-06"}))(t)
	pilar := must(c.AddHoliday(Holiday{Name: "Pilar", First: "2026-10-12"}))(t)
	if pilar.Last != pilar.First || christmas.Name != "Christmas" {
		t.Errorf("got %+v and %+v", pilar, christmas)
	}
	if got := must(c.Holidays())(t); !reflect.DeepEqual(got, []Holiday{pilar, christmas}) {
		t.Errorf("got %+v, want both by day", got)
	}
	for name, h := range map[string]Holiday{
		"no name": {First: "2026-10-12"}, "no day": {Name: "x"}, "a day that is none": {Name: "x", First: "2026-02-30"},
		"an end before its beginning": {Name: "x", First: "2026-10-12", Last: "2026-10-11"}, "years": {Name: "x", First: "2026-01-01", Last: "2062-01-01"},
		"a day as people write it": {Name: "x", First: "12/10/2026"},
	} {
		if _, err := c.AddHoliday(h); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if err := c.RemoveHoliday(pilar.ID); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveHoliday(pilar.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: got %v, want ErrNotFound", err)
	}
}

func TestSchemeTemplates(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	scheme := disk.Scheme{Table: "gpt", Cache: disk.KeepCache, Partitions: []disk.Planned{{Number: 1, Type: "LINUX", Filesystem: "EXT4"}}}
	s := must(c.PutSchemeTemplate(SchemeTemplate{Name: "Linux", Scheme: scheme}))(t)
	if _, err := c.PutSchemeTemplate(SchemeTemplate{Name: "linux", Scheme: scheme}); !errors.Is(err, ErrExists) {
		t.Errorf("a name twice: got %v, want ErrExists", err)
	}
	s.Name = "Debian"
	s = must(c.PutSchemeTemplate(s))(t)
	if got := must(c.SchemeTemplate(s.ID))(t); !reflect.DeepEqual(got, s) || !reflect.DeepEqual(got.Scheme, scheme) {
		t.Errorf("got %+v, want %+v", got, s)
	}
	if err := c.RemoveSchemeTemplate(s.ID); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveSchemeTemplate(s.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: got %v, want ErrNotFound", err)
	}
	if got := must(c.SchemeTemplates())(t); len(got) != 0 {
		t.Errorf("got %+v, want none", got)
	}
}

func TestDefaultsOfAClassroom(t *testing.T) {
	t.Parallel()
	c, room := inRoom(t)
	want := Defaults{Protocol: "MULTICAST", Direct: true, Multicast: "9000:full-duplex:239.194.17.36:90M:20:60", Torrent: "peer:60", Fallback: "NONE", Script: "echo one\necho two"}
	said := want
	said.Protocol, said.Multicast, said.Script = " multicast", " "+want.Multicast, "echo one\r\necho two\r\n"
	if err := c.SetDefaults(room.ID, said); err != nil {
		t.Fatal(err)
	}
	if err := c.RenameClassroom(room.ID, "Aula 9"); err != nil {
		t.Fatal(err)
	}
	if got := must(c.Classroom(room.ID))(t); got.Defaults != want || got.Name != "Aula 9" {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := c.SetDefaults("gone", said); !errors.Is(err, ErrNotFound) {
		t.Errorf("a room that is gone: got %v, want ErrNotFound", err)
	}
	for name, d := range map[string]Defaults{
		"protocol": {Protocol: "FLOPPY"}, "multicast": {Multicast: "9001:full-duplex:239.194.17.36:90M:20:60"}, "torrent": {Torrent: "peer"},
		"fallback": {Fallback: "TORRENT"}, "script": {Script: strings.Repeat("x", protocol.MaxScript+1)}, "zero byte": {Script: "a\x00b"},
	} {
		if err := c.SetDefaults(room.ID, d); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
}

func TestScriptOfAnImageStaysWhenItIsDescribed(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	if err := c.SetImageScript("win11", "echo one\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := c.PutImageObject(ImageObject{Name: "win11", DisplayName: "Windows 11", Partition: 2}); err != nil {
		t.Fatal(err)
	}
	want := ImageObject{Name: "win11", DisplayName: "Windows 11", Partition: 2, Script: "echo one"}
	if got := must(c.ImageObject("win11"))(t); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := c.SetImageScript("win11", ""); err != nil {
		t.Fatal(err)
	}
	want.Script = ""
	if got := must(c.ImageObject("win11"))(t); got != want {
		t.Errorf("without it: got %+v, want %+v", got, want)
	}
	if err := c.SetImageScript("a/b", "x"); !errors.Is(err, ErrInvalid) {
		t.Errorf("no image's name: got %v, want ErrInvalid", err)
	}
}

// TestThirdSchemaAddsSchedulesAndLosesNothing opens a file as the version before wrote it.
func TestThirdSchemaAddsSchedulesAndLosesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	old := must(open(path, migrations[:2]))(t)
	centre := must(old.AddCentre("Faculty"))(t)
	room := must(old.AddClassroom(centre.ID, "Room 1"))(t)
	repository := Repository{Name: "second", Dir: "/srv/images2"}
	object := ImageObject{Name: "win11", DisplayName: "Windows 11"}
	for _, err := range []error{old.PutRepository(repository), old.PutImageObject(object)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}

	c := openAt(t, path)
	if got := must(c.Classrooms())(t); !reflect.DeepEqual(got, []Classroom{room}) {
		t.Errorf("classrooms: got %+v, want %+v", got, room)
	}
	if got := must(c.Repositories())(t); !reflect.DeepEqual(got, []Repository{repository}) {
		t.Errorf("repositories: got %+v", got)
	}
	if got := must(c.ImageObject("win11"))(t); got != object {
		t.Errorf("image object: got %+v", got)
	}
	p := must(c.PutProcedure(Procedure{Name: "Night", Text: goodProgram}, t0))(t)
	must(c.PutSchedule(Schedule{Name: "s", ProcedureID: p.ID, ClassroomIDs: []string{room.ID}, Days: []time.Weekday{1}, At: "07:00"}, t0))(t)
	must(c.AddHoliday(Holiday{Name: "h", First: "2026-12-24"}))(t)
	backup := must(open(path+".schema-2", migrations[:2]))(t)
	defer backup.Close()
	if got := must(backup.Repositories())(t); len(got) != 1 {
		t.Errorf("the copy of the older file has repositories %+v", got)
	}
}
