package chain

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"aula/appliance/lab"
	"aula/netboot/loader"
	"aula/webui/api"
)

func TestMain(m *testing.M) {
	flag.Parse()
	in, status, err := lab.Isolate(nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, "chain:", err)
	}
	if in == nil {
		os.Exit(status)
	}
	os.Exit(m.Run())
}

// Software emulation on a busy machine takes its time.
const emulated = 5 * time.Minute

// program is the appliance that is tested: what make builds.
func program(t testing.TB) string {
	t.Helper()
	path := os.Getenv("AULA_PROGRAM")
	if path == "" {
		path = "../../../bin/aula"
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: there is no %s: run make first", path)
	}
	if err := loader.Check(loader.Files()); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: %v", err)
	}
	return path
}

// A classroom is a Lab for one test, with a recorder on its switch.
type classroom struct {
	*lab.Lab
	t    testing.TB
	room api.Classroom
	tape *recorder
}

func startClassroom(t testing.TB, cfg lab.Config) *classroom {
	t.Helper()
	cfg.Aula = program(t)
	cfg.Temp = t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l, err := lab.Start(ctx, cfg)
	if err != nil {
		t.Fatal(err)
	}
	c := &classroom{Lab: l, t: t}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(l.LastWords())
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	c.tape = record(t, "br0")
	centre, err := l.API().AddCentre(ctx, "School")
	if err != nil {
		t.Fatal(err)
	}
	if c.room, err = l.API().AddClassroom(ctx, centre.ID, "Room 1"); err != nil {
		t.Fatal(err)
	}
	return c
}

// A pc is a virtual PC with a system on its disk.
type pc struct {
	*lab.QEMUPC
	c    *classroom
	on   time.Time // when it was switched on last
	line string    // that its system says
}

// add adds a PC with a system on its disk.
func (c *classroom) add(spec lab.QEMUSpec) *pc {
	c.t.Helper()
	line := fmt.Sprintf("the %s system has started", spec.Firmware)
	disk := filepath.Join(c.t.TempDir(), "disk")
	if err := lab.InstalledDisk(disk, spec.Firmware, line); err != nil {
		c.t.Fatal(err)
	}
	spec.Disk.From = disk
	q, err := c.AddQEMU(spec)
	if err != nil {
		c.t.Fatal(err)
	}
	return &pc{QEMUPC: q, c: c, line: line}
}

func (p *pc) powerOn() {
	p.c.t.Helper()
	p.on = time.Now()
	if err := p.PowerOn(); err != nil {
		p.c.t.Fatal(err)
	}
}

// arrive waits until the PC's agent is connected, and accepts it. It tells when the agent was seen.
func (p *pc) arrive() (api.Computer, time.Time) {
	t := p.c.t
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), emulated, fmt.Errorf("no agent after %s", emulated))
	defer cancel()
	computer, err := p.c.AwaitComputer(ctx, p, "waiting for its agent", func(c api.Computer) bool { return c.Connected })
	ready := time.Now()
	if err != nil {
		t.Fatal(err)
	}
	if computer, err = p.c.Enrol(ctx, p, p.c.room.ID); err != nil {
		t.Fatal(err)
	}
	return computer, ready
}

// awaitSystem waits until the PC's own system has started, and tells when that was seen.
func (p *pc) awaitSystem() time.Time {
	t := p.c.t
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), emulated, fmt.Errorf("not within %s", emulated))
	defer cancel()
	if _, err := p.Serial().WaitFor(ctx, regexp.MustCompile(regexp.QuoteMeta(p.line))); err != nil {
		t.Fatalf("%s boots its own disk: %v", p.Name(), err)
	}
	return time.Now()
}
