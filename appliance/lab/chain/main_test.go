package chain

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
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
const emulated = 8 * time.Minute

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
	role string // of the appliance
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

// in is the classroom for a test of its own.
func (c *classroom) in(t testing.TB) *classroom {
	other := *c
	other.t = t
	return &other
}
