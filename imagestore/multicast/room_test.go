package multicast_test

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aula/imagestore/multicast"
	"aula/imagestore/rig"
)

// roomSession is what the tests' rooms agree upon.
func roomSession(computers int) multicast.Session {
	return multicast.Session{
		Port: 9000, Mode: multicast.FullDuplex, Group: netip.AddrFrom4([4]byte{239, 194, 77, 0}), Computers: computers, Wait: 30 * time.Second,
	}
}

// roomKey is that of the rooms' sessions: the appliance always has one.
var roomKey = multicast.NewKey()

// file is where the receiver on a machine of that name writes.
func (r *room) file(name string) string { return filepath.Join(r.Folder, name) }

// receive starts a receiver, whose role may be changed, and returns once it listens.
func (r *room) receive(tb testing.TB, m *machine, change func(*role)) *process {
	tb.Helper()
	what := role{Session: roomSession(0), Key: roomKey, File: r.file(m.Name), Name: m.Name, Interface: "eth0", StartTimeout: 30 * time.Second}
	if change != nil {
		change(&what)
	}
	return m.play(tb, what)
}

// send starts a sender, whose role may be changed, for as many receivers as the room was made for. It may be killed and started again.
func (r *room) send(tb testing.TB, source string, change func(*role)) *process {
	tb.Helper()
	what := role{Send: true, Session: roomSession(r.wiring.receivers), Key: roomKey, File: source, Name: r.sender.Name, Interface: "eth0"}
	if change != nil {
		change(&what)
	}
	return r.sender.play(tb, what)
}

// succeed waits for processes of the engine, and fails the test for each that does not end well within the limit.
func succeed(tb testing.TB, limit time.Duration, processes ...*process) {
	tb.Helper()
	deadline := time.Now().Add(limit)
	for _, p := range processes {
		if !p.Wait(deadline) {
			tb.Errorf("%s has not ended; it said:\n%s", p.Name, p.History(40))
		} else if p.Err != nil {
			tb.Errorf("%s: %v; it said:\n%s", p.Name, p.Err, p.History(40))
		}
	}
	if tb.Failed() {
		tb.FailNow()
	}
}

// play starts a process of the engine, and waits until its sockets are open.
func (m *machine) play(tb testing.TB, r role) *process {
	tb.Helper()
	p := m.launch(tb, r)
	p.Await(tb, "ready", 2*time.Minute, func(line string) bool { return strings.HasPrefix(line, "{") })
	return p
}

// launch starts a process of the engine, which may refuse to.
func (m *machine) launch(tb testing.TB, r role) *process {
	tb.Helper()
	config, err := json.Marshal(r)
	if err != nil {
		tb.Fatal(err)
	}
	return m.start(tb, []string{roleVariable + "=" + string(config)}, os.Args[0])
}

// reported finds the first of the process's reports that is so, and waits for it.
func (p *process) reported(tb testing.TB, what string, limit time.Duration, is func(report) bool) report {
	tb.Helper()
	var found report
	p.Await(tb, what, limit, func(line string) bool {
		var r report
		if json.Unmarshal([]byte(line), &r) != nil || !is(r) {
			return false
		}
		found = r
		return true
	})
	return found
}

// last is the report with which a process of the engine ends.
func (p *process) last(tb testing.TB, limit time.Duration) report {
	tb.Helper()
	return p.reported(tb, "ended", limit, func(r report) bool { return r.Ended })
}

// The engine as a whole over the kernel's sockets, with a bad cable.
func TestRoomOverRealSockets(t *testing.T) {
	t.Parallel()
	const size = 8 << 20
	r := newRoom(t, wiring{receivers: 3})
	r.receivers[1].lose(t, 10)
	source := r.Source(t, size)
	verbose := func(r *role) { r.Verbose = true }
	var receivers []*process
	for _, m := range r.receivers {
		receivers = append(receivers, r.receive(t, m, verbose))
	}
	sender := r.send(t, source, verbose)
	succeed(t, 30*time.Second, append(receivers, sender)...)
	for i, m := range r.receivers {
		if err := rig.Compare(source, r.file(m.Name)); err != nil {
			t.Error(err)
		}
		if got := receivers[i].last(t, 0).Reception; got == nil || got.Done != size {
			t.Errorf("%s says it has %+v, want %d bytes", m.Name, got, int64(size))
		}
	}
	last := sender.last(t, 0).Sender
	if last == nil || len(last.Receivers) != len(r.receivers) {
		t.Fatalf("the sender knows %+v, want %d receivers", last, len(r.receivers))
	}
	for _, v := range last.Receivers {
		if v.State != multicast.Complete || v.Done != size {
			t.Errorf("the sender says that %s is %s with %d bytes, want %s with %d", v.Name, v.State, v.Done, multicast.Complete, int64(size))
		}
	}
}
