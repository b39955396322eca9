package torrent_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"syscall"
	"testing"

	"aula/imagestore/rig"
	"aula/imagestore/torrent/metainfo"
)

// Environment variables: the role that a process of this binary has in a room, and the folder for CPU profiles of those.
const (
	roleVariable    = "AULA_TEST_TORRENT_ROLE"
	profileVariable = "AULA_BENCH_PROFILES"
)

// TestMain makes this binary the programs of a room, too: one process is one peer or one tracker.
func TestMain(m *testing.M) {
	config, ok := os.LookupEnv(roleVariable)
	if !ok {
		os.Exit(m.Run())
	}
	var r role
	err := json.Unmarshal([]byte(config), &r)
	if err == nil {
		err = r.play()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A role is what a process of this binary does, until it is told to end, or killed.
type role struct {
	Program string // one of programs
	Name    string // of the machine
	Address string // to take connections at
	Torrent string // a .torrent file
	Folder  string // where the torrent's file is, or shall be
	Seed    bool   // the file is there

	environment []string
}

// programs are those that this binary has. A peer prints "complete" when it has the file; one may do more.
var programs = map[string]func(context.Context, role) error{
	"aula":    aulaPeer,
	"tracker": trackerProgram,
}

func (r role) play() error {
	program, ok := programs[r.Program]
	if !ok {
		return fmt.Errorf("this binary has no program %q: was it built with its tag?", r.Program)
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer cancel()
	// A profile is of the time until the file is there, or until the process is asked to end.
	if folder := os.Getenv(profileVariable); folder != "" {
		f, err := os.Create(filepath.Join(folder, r.Name+"-"+r.Program+".pprof"))
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	return program(ctx, r)
}

// completed tells the bench that the file is there.
func completed() {
	fmt.Println("complete")
	pprof.StopCPUProfile()
}

// play starts a process of this binary on a machine.
func play(tb testing.TB, m *rig.Machine, r role) *rig.Process {
	tb.Helper()
	r.Name = m.Name
	config, err := json.Marshal(r)
	if err != nil {
		tb.Fatal(err)
	}
	return m.Start(tb, append(r.environment, roleVariable+"="+string(config)), os.Args[0])
}

// says finds lines that are just that.
func says(text string) func(line string) bool {
	return func(line string) bool { return strings.TrimSpace(line) == text }
}

// file is the torrent's file.
func (r role) file(t *metainfo.Torrent) string { return filepath.Join(r.Folder, t.Name) }
