package multicast_test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/pprof"
	"testing"
	"time"

	"aula/imagestore/multicast"
	"aula/imagestore/rig"
)

// Environment variables: the role that a process of this binary has in a room, and the folder for CPU profiles of those.
const (
	roleVariable    = "AULA_TEST_MULTICAST_ROLE"
	profileVariable = "AULA_BENCH_PROFILES"
)

// TestMain makes this binary the programs of a room, too: one process is one sender or one receiver.
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

// A role is what a process of the engine does.
type role struct {
	Send           bool // or receive
	Session        multicast.Session
	Key            multicast.Key
	File           string
	Name           string
	Interface      string
	Server         netip.Addr
	Linger         time.Duration
	StartTimeout   time.Duration
	ReceiveTimeout time.Duration
	Verbose        bool // log, and report five times a second
}

// A report is a line that such a process prints. The first is printed when its sockets are open; the last has Ended.
type report struct {
	Ended     bool                       `json:",omitempty"`
	Error     string                     `json:",omitempty"`
	Peak      int64                      `json:",omitempty"` // bytes of memory
	Sender    *multicast.SenderStatus    `json:",omitempty"`
	Reception *multicast.ReceptionStatus `json:",omitempty"`
}

func (r role) play() error {
	ctx := context.Background()
	if folder := os.Getenv(profileVariable); folder != "" {
		f, err := os.Create(filepath.Join(folder, r.Name+".pprof"))
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	log := slog.New(slog.DiscardHandler)
	if r.Verbose {
		log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	run, status, err := r.engine(ctx, log)
	if err != nil {
		return err
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(status()); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- run(ctx) }()
	var ticks <-chan time.Time
	if r.Verbose {
		ticks = time.Tick(200 * time.Millisecond)
	}
	for {
		select {
		case <-ticks:
			err = out.Encode(status())
		case err = <-ended:
			last := status()
			last.Ended, last.Peak = true, rig.Peak()
			if err != nil {
				last.Error = err.Error()
			}
			return errors.Join(out.Encode(last), err)
		}
	}
}

// engine makes the sender or the receiver, and returns how it runs and tells its state.
func (r role) engine(ctx context.Context, log *slog.Logger) (run func(context.Context) error, status func() report, err error) {
	if r.Send {
		f, err := os.Open(r.File)
		if err != nil {
			return nil, nil, err
		}
		s, err := multicast.NewSender(ctx, multicast.SenderConfig{
			Session: r.Session, Key: r.Key, Source: fileSource{f}, Interface: r.Interface, Linger: r.Linger, Log: log,
		})
		return s.Run, func() report { status := s.Status(); return report{Sender: &status} }, err
	}
	sink, err := multicast.OpenFileSink(r.File, true)
	if err != nil {
		return nil, nil, err
	}
	v, err := multicast.NewReceiver(multicast.ReceiverConfig{
		Port: r.Session.Port, Group: r.Session.Group, Key: r.Key, Sink: sink, Name: r.Name, Interface: r.Interface,
		Server: r.Server, StartTimeout: r.StartTimeout, ReceiveTimeout: r.ReceiveTimeout, Log: log,
	})
	run = func(ctx context.Context) error { return errors.Join(v.Run(ctx), sink.Close()) }
	return run, func() report { status := v.Status(); return report{Reception: &status} }, err
}

// A fileSource sends a file, which the tests never change.
type fileSource struct{ *os.File }

func (f fileSource) Content() multicast.Content {
	info, err := f.Stat()
	if err != nil {
		return multicast.Content{}
	}
	return multicast.Content{ID: sha256.Sum256([]byte(f.Name())), Name: filepath.Base(f.Name()), Size: info.Size()}
}
