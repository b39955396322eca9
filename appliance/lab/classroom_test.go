package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"aula/webui/api"
)

// program is the appliance that the end-to-end tests start: what make builds.
func program(t testing.TB) string {
	t.Helper()
	path := os.Getenv("AULA_PROGRAM")
	if path == "" {
		path = "../../bin/aula"
	}
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: there is no %s: run make first", path)
	}
	return path
}

// A classroom is a Lab for one test.
type classroom struct {
	*Lab
	t    *testing.T
	room api.Classroom
}

func startClassroom(t *testing.T, cfg Config) *classroom {
	t.Helper()
	cfg.Aula = program(t)
	cfg.Temp = t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l, err := Start(ctx, cfg)
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
	centre, err := l.API().AddCentre(ctx, "School")
	if err != nil {
		t.Fatal(err)
	}
	if c.room, err = l.API().AddClassroom(ctx, centre.ID, "Room 1"); err != nil {
		t.Fatal(err)
	}
	return c
}

// natives adds native PCs, switches them on and accepts them.
func (c *classroom) natives(n int, spec NativeSpec) ([]*NativePC, []api.Computer) {
	c.t.Helper()
	var pcs []*NativePC
	for range n {
		pc, err := c.AddNative(spec)
		if err != nil {
			c.t.Fatal(err)
		}
		if err := pc.PowerOn(); err != nil {
			c.t.Fatal(err)
		}
		pcs = append(pcs, pc)
	}
	var computers []api.Computer
	for _, pc := range pcs {
		computers = append(computers, c.enrol(pc))
	}
	return pcs, computers
}

func (c *classroom) enrol(pc PC) api.Computer {
	c.t.Helper()
	ctx, cancel := context.WithTimeoutCause(c.t.Context(), 2*time.Minute, fmt.Errorf("no agent after two minutes"))
	defer cancel()
	computer, err := c.Enrol(ctx, pc, c.room.ID)
	if err != nil {
		c.t.Fatal(err)
	}
	return computer
}
