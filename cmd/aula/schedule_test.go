package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestDaysOfTheWeekAsTheyAreTyped(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, at string
		days     []int
	}{
		{"mon,wed 07:00", "07:00", []int{1, 3}},
		{" Mon-Fri  7:30 ", "07:30", []int{1, 2, 3, 4, 5}},
		{"fri-mon,monday 23:59", "23:59", []int{0, 1, 5, 6}},
		{"daily 02:00", "02:00", []int{0, 1, 2, 3, 4, 5, 6}},
		{"thurs, sat 00:00", "00:00", []int{4, 6}},
	} {
		days, at, err := parseWeekly(c.text)
		if err != nil || at != c.at || !slices.Equal(days, c.days) {
			t.Errorf("%q: got %v, %q, %v", c.text, days, at, err)
		}
	}
	for _, text := range []string{"", "07:00", "mon", "mon 25:00", "lun 07:00", "mo 07:00", "mon- 07:00", "mon,,tue 07:00", "daily-fri 07:00"} {
		if days, at, err := parseWeekly(text); err == nil {
			t.Errorf("%q was taken for %v at %s", text, days, at)
		}
	}
}

func TestProceduresSchedulesAndHolidays(t *testing.T) {
	b := newBed(t)
	pcs := b.room("North", "Room 1", 1, 2)
	b.connect(pcs[0], restores)
	file := filepath.Join(t.TempDir(), "morning.txt")
	if err := os.WriteFile(file, []byte("# for the day\nrestoreImage REPO lab 1 2 UNICAST\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	year := time.Now().Year() + 1
	for _, c := range []struct {
		name, want string
		status     int
		args       []string
	}{
		{"saved", "procedure Morning is saved", 0, []string{"procedure", "save", "Morning", file, "--comment", "before eight"}},
		{"saved again under the same name", "procedure Morning is saved", 0, []string{"procedure", "save", "morning", file}},
		{"a text that is none", "line 1, column 1", 2, []string{"procedure", "save", "Evening", "-c", "pwoeroff"}},
		{"shown", "# for the day\nrestoreImage REPO lab 1 2 UNICAST\n", 0, []string{"procedure", "show", "MORNING"}},
		{"one that is not there", `there is no procedure "noon"`, 2, []string{"procedure", "show", "noon"}},
		{"run", "1 of 1 verified", 0, []string{"procedure", "run", "Morning", "--on", "pc-01", "--yes"}},
		{"scheduled weekly", "schedule Week runs Morning: mon,tue,wed,thu,fri 07:00 Europe/Madrid", 0,
			[]string{"schedule", "add", "Week", "morning", "--on", "Room 1,pc-02", "--weekly", "mon-fri 07:00", "--zone", "Europe/Madrid", "--missed", "2h"}},
		{"scheduled once", "schedule Fair runs Morning: once", 0,
			[]string{"schedule", "add", "Fair", "Morning", "--on", "pc-02", "--once", time.Date(year, 3, 4, 7, 0, 0, 0, time.UTC).Format("2006-01-02 15:04"), "--zone", "UTC"}},
		{"without a time", "say when", 2, []string{"schedule", "add", "X", "Morning", "--on", "pc-02"}},
		{"in the past", "is over", 1, []string{"schedule", "add", "X", "Morning", "--on", "pc-02", "--once", "2020-01-01 07:00"}},
		{"in no zone", "--zone Mars", 2, []string{"schedule", "add", "X", "Morning", "--on", "pc-02", "--once", "2040-01-01 07:00", "--zone", "Mars"}},
		{"nowhere", `"Room 9"`, 2, []string{"schedule", "add", "X", "Morning", "--on", "Room 9", "--weekly", "mon 07:00"}},
		{"off", "schedule Week is off", 0, []string{"schedule", "off", "week"}},
		{"a procedure that is in use", "still in use by schedule", 1, []string{"procedure", "remove", "Morning"}},
		{"holiday", "Christmas: weekly schedules do not run from 2026-12-24 to 2026-12-26", 0, []string{"holiday", "add", "Christmas", "2026-12-24", "2026-12-26"}},
		{"a day that is none", "2026-13-40", 1, []string{"holiday", "add", "Never", "2026-13-40"}},
	} {
		stdout, stderr, status := aula(t, append(c.args, "--data", b.data)...)
		if status != c.status || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%s: got status %d, %q, %q; want %d, %q", c.name, status, stdout, stderr, c.status, c.want)
		}
	}
	for _, what := range []string{"procedure", "schedule"} {
		stdout, _, _ := aula(t, what, "list", "--data", b.data)
		golden(t, what+"-list", stdout)
	}
	for _, c := range [][]string{
		{"schedule", "on", "Week"}, {"schedule", "remove", "Week"}, {"schedule", "remove", "Fair"}, {"procedure", "remove", "Morning"},
		{"holiday", "remove", "christmas"},
	} {
		if stdout, stderr, status := aula(t, append(c, "--data", b.data)...); status != 0 || strings.Count(stdout, "\n") != 1 {
			t.Errorf("%v: got status %d, %q, %q", c, status, stdout, stderr)
		}
	}
	for _, what := range []string{"procedure", "schedule", "holiday"} {
		if stdout, _, status := aula(t, what, "list", "--json", "--data", b.data); status != 0 || stdout != "[]\n" {
			t.Errorf("%s list when all are removed: got status %d, %q", what, status, stdout)
		}
	}
}
