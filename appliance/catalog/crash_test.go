package catalog

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// childVariable makes this test binary a process that writes to the catalog that it names.
const childVariable = "AULA_TEST_CATALOG"

func TestMain(m *testing.M) {
	if path := os.Getenv(childVariable); path != "" {
		if err := writeUntilKilled(path); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// writeUntilKilled stores numbered records and says each number once the catalog said that it is stored.
func writeUntilKilled(path string) error {
	c, err := Open(path)
	if err != nil {
		return err
	}
	schedule, err := scheduleOfWriter(c)
	if err != nil {
		return err
	}
	for n := 0; ; n++ {
		if err := c.NoteRun(schedule.ID, Run{Due: dueOfWriter(n), Result: "op"}, time.Time{}); err != nil {
			return err
		}
		data := make([]byte, 3000) // so that the file grows and its pages are used again
		if err := c.PutRecord(Operations, fmt.Sprintf("%06d", n), data); err != nil {
			return err
		}
		if _, err := c.Observe(testMAC(n%50), "", board("", ""), t0); err != nil {
			return err
		}
		if n%3 == 2 {
			if err := c.DeleteRecord(Operations, fmt.Sprintf("%06d", n-1)); err != nil {
				return err
			}
		}
		fmt.Println(n)
	}
}

func dueOfWriter(n int) time.Time { return t0.Add(time.Duration(n) * time.Minute) }

// scheduleOfWriter finds the schedule whose runs are noted, or makes it.
func scheduleOfWriter(c *Catalog) (Schedule, error) {
	if all, err := c.Schedules(); err != nil || len(all) > 0 {
		return append(all, Schedule{})[0], err
	}
	centre, err := c.AddCentre("Centre")
	if err != nil {
		return Schedule{}, err
	}
	room, err := c.AddClassroom(centre.ID, "Aula")
	if err != nil {
		return Schedule{}, err
	}
	p, err := c.PutProcedure(Procedure{Name: "p", Text: goodProgram}, t0)
	if err != nil {
		return Schedule{}, err
	}
	return c.PutSchedule(Schedule{Name: "s", ProcedureID: p.ID, ClassroomIDs: []string{room.ID}, Days: []time.Weekday{1}, At: "07:00"}, t0)
}

func TestWhatWasAcknowledgedSurvivesKill9(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	for round := range 4 {
		last := killAfter(t, path, 15+20*round)
		c := must(Open(path))(t)
		checkFile(t, c)
		if all := must(c.Schedules())(t); len(all) != 1 || all[0].Ran.Before(dueOfWriter(last)) {
			t.Errorf("round %d: schedules are %+v, want one that has run until %v", round, all, dueOfWriter(last))
		}
		for n := range last + 1 {
			_, err := c.Record(Operations, fmt.Sprintf("%06d", n))
			// The writer deletes every third record with the one after it.
			switch deleted := n%3 == 1; {
			case !deleted && err != nil:
				t.Errorf("round %d: record %d of %d was acknowledged and is lost: %v", round, n, last, err)
			case deleted && n < last && err == nil:
				t.Errorf("round %d: record %d was deleted and is back", round, n)
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killAfter kills a writer, without a word, after it has said n records, and answers the last number that it said.
func killAfter(t *testing.T, path string, n int) (last int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+path)
	cmd.Stderr = os.Stderr
	out := must(cmd.StdoutPipe())(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		last = must(strconv.Atoi(lines.Text()))(t)
		if last == n {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the writer ended by itself: %v", cmd.ProcessState)
	}
	if last < n {
		t.Fatalf("the writer said %d records, want at least %d", last+1, n+1)
	}
	return last
}
