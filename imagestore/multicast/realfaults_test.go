package multicast_test

import (
	"bytes"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aula/imagestore/multicast"
	"aula/imagestore/rig"
)

// What goes wrong in a classroom, each with processes of their own over the kernel's sockets. Nothing is said of how long it takes: a test
// waits for what has to happen, and its limit is only there to end one in which it never does.

const (
	realLimit = 2 * time.Minute
	realSize  = 8<<20 + 4321 // bytes: 47 blocks, the last one short
)

// slowly lets a process tell how far it is, and a sender take so long over realSize (1.8 s) that there is a half-way.
func slowly(r *role) {
	r.Verbose = true
	r.Session.Rate = 40_000_000
}

// both makes one change of a role of several.
func both(changes ...func(*role)) func(*role) {
	return func(r *role) {
		for _, change := range changes {
			change(r)
		}
	}
}

// receiveAll starts a receiver on each of the receivers' machines.
func (r *room) receiveAll(tb testing.TB, change func(*role)) (all []*process) {
	tb.Helper()
	for _, m := range r.receivers {
		all = append(all, r.receive(tb, m, change))
	}
	return all
}

// has tells of a receiver that it has more than a part of the content.
func has(part float64) func(report) bool {
	return func(r report) bool {
		return r.Reception != nil && float64(r.Reception.Done) > part*float64(r.Reception.Size)
	}
}

// of finds what a sender's report says of a receiver.
func (r report) of(name string) multicast.ReceiverStatus {
	if r.Sender != nil {
		for _, v := range r.Sender.Receivers {
			if v.Name == name {
				return v
			}
		}
	}
	return multicast.ReceiverStatus{}
}

// whole checks that the machines' files are what was sent, and that a sender, unless it is nil, knows.
func (r *room) whole(tb testing.TB, source string, sender *process, machines ...*machine) {
	tb.Helper()
	for _, m := range machines {
		if err := rig.Compare(source, r.file(m.Name)); err != nil {
			tb.Error(err)
		}
		if sender == nil {
			continue
		}
		if got := sender.last(tb, realLimit).of(m.Name); got.State != multicast.Complete {
			tb.Errorf("the sender says that %s is %q (%s), want %q", m.Name, got.State, got.Reason, multicast.Complete)
		}
	}
}

// fails waits for the end of a process of the engine, which has to be a failure whose message has the words.
func (p *process) fails(tb testing.TB, words ...string) report {
	tb.Helper()
	last := p.last(tb, realLimit)
	if <-p.Ended; p.Err == nil {
		tb.Errorf("%s exits as if all were well", p.Name)
	}
	for _, word := range words {
		if !strings.Contains(last.Error, word) {
			tb.Errorf("%s says %q, which has no %q in it", p.Name, last.Error, word)
		}
	}
	return last
}

func TestRealReceiverKilledGoesOnLater(t *testing.T) {
	t.Parallel()
	r := newRoom(t, wiring{receivers: 3})
	source := r.Source(t, 2*realSize)
	victim := r.receivers[1]
	receivers := r.receiveAll(t, slowly)
	sender := r.send(t, source, both(slowly, func(r *role) {
		r.Session.Rate = 25_000_000 // the journal is written after two seconds
		r.Linger = time.Second
	}))
	appears(t, r.file(victim.Name)+".partial.blocks")
	receivers[1].Kill()
	succeed(t, realLimit, receivers[0], receivers[2])
	last := sender.fails(t, "not complete: ", victim.Name)
	if got := last.of(victim.Name); got.State != multicast.Failed || got.Reason == "" {
		t.Errorf("the sender says that %s is %q (%s), want %q and why", victim.Name, got.State, got.Reason, multicast.Failed)
	}
	r.whole(t, source, sender, r.receivers[0], r.receivers[2])
	if err := rig.Compare(source, r.file(victim.Name)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s has its file already: %v", victim.Name, err)
	}

	again := r.receive(t, victim, nil)
	second := r.send(t, source, func(r *role) { r.Session.Computers = 1 })
	succeed(t, realLimit, again, second)
	r.whole(t, source, second, victim)
	got := again.last(t, realLimit).Reception
	if got.Resumed <= 0 || got.Done != 2*realSize {
		t.Errorf("%s went on with %d bytes and has %d, want more than none and %d", victim.Name, got.Resumed, got.Done, int64(2*realSize))
	}
	if first := last.Sender.Datagrams; second.last(t, realLimit).Sender.Datagrams >= first {
		t.Errorf("the second sender sent as much as the first")
	}
}

// appears waits for a file.
func appears(tb testing.TB, path string) {
	tb.Helper()
	timeout := time.After(realLimit)
	for looks := time.Tick(5 * time.Millisecond); ; {
		if _, err := os.Stat(path); err == nil {
			return
		}
		select {
		case <-looks:
		case <-timeout:
			tb.Fatalf("%s does not appear", path)
		}
	}
}

func TestRealReceiverPaused(t *testing.T) {
	t.Parallel()
	r := newRoom(t, wiring{receivers: 3})
	source := r.Source(t, realSize)
	receivers := r.receiveAll(t, slowly)
	sender := r.send(t, source, slowly)
	receivers[1].reported(t, "half-way", realLimit, has(0.5))
	receivers[1].Pause()
	succeed(t, realLimit, receivers[0], receivers[2])
	sender.reported(t, "rid of the others, and aware that one is silent", realLimit, func(v report) bool {
		return v.of("r1").State == multicast.Complete && v.of("r3").State == multicast.Complete && v.of("r2").State == multicast.Silent
	})
	receivers[1].Resume()
	succeed(t, realLimit, receivers[1], sender)
	r.whole(t, source, sender, r.receivers...)
}

func TestRealFullDisks(t *testing.T) {
	t.Parallel()
	r := newRoom(t, wiring{receivers: 3})
	source := r.Source(t, realSize)
	// One disk is too small from the start, and the other is filled by somebody else on the way.
	small, tight := r.Disk(t, realSize/2), r.Disk(t, realSize+1<<20)
	tooSmall := r.receive(t, r.receivers[0], both(slowly, func(r *role) { r.File = filepath.Join(small, "image") }))
	filled := r.receive(t, r.receivers[1], both(slowly, func(r *role) { r.File = filepath.Join(tight, "image") }))
	well := r.receive(t, r.receivers[2], slowly)
	// Of those who have failed already, the sender waits for none.
	sender := r.send(t, source, both(slowly, func(r *role) { r.Session.Computers = 2 }))
	filled.reported(t, "begun", realLimit, has(0.2))
	if err := os.WriteFile(filepath.Join(tight, "ballast"), make([]byte, 2*realSize), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk does not become full: %v", err)
	}

	succeed(t, realLimit, well)
	last := sender.fails(t, "not complete: ", "r1 at", "r2 at", "no room")
	for _, p := range []*process{tooSmall, filled} {
		p.fails(t, "no room")
		if got := last.of(p.Name); got.State != multicast.Failed || !strings.Contains(got.Reason, "no room") {
			t.Errorf("the sender says that %s is %q (%s), want %q and that it has no room", p.Name, got.State, got.Reason, multicast.Failed)
		}
	}
	r.whole(t, source, sender, r.receivers[2])
}

func TestRealSenderKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	r := newRoom(t, wiring{receivers: 3})
	source := r.Source(t, realSize)
	receivers := r.receiveAll(t, slowly)
	first := r.send(t, source, slowly)
	receivers[0].reported(t, "half-way", realLimit, has(0.5))
	first.Kill()
	<-first.Ended
	missing := r.missing(t, source)
	if all := blocksOf(2 * realSize); missing == 0 || missing >= all {
		t.Fatalf("%d of %d blocks are missing when the first sender is dead: that is not half-way", missing, all)
	}
	second := r.send(t, source, slowly)
	succeed(t, realLimit, append(receivers, second)...)
	r.whole(t, source, second, r.receivers...)
	if got, most := second.last(t, realLimit).Sender.Datagrams, missing*128*110/100; got > most {
		t.Errorf("the second sender sent %d datagrams for %d missing blocks, want %d at most", got, missing, most)
	}
}

// missing counts the blocks of the content that one receiver or another does not have in its file, which is partial yet.
func (r *room) missing(tb testing.TB, source string) (n int64) {
	tb.Helper()
	sent, err := os.ReadFile(source)
	if err != nil {
		tb.Fatal(err)
	}
	var got [][]byte
	for _, m := range r.receivers {
		b, err := os.ReadFile(r.file(m.Name) + ".partial")
		if err != nil {
			tb.Fatal(err)
		}
		got = append(got, b)
	}
	for start := 0; start < len(sent); start += multicast.BlockSize {
		end := min(start+multicast.BlockSize, len(sent))
		if slices.ContainsFunc(got, func(b []byte) bool { return len(b) < end || !bytes.Equal(b[start:end], sent[start:end]) }) {
			n++
		}
	}
	return n
}

func blocksOf(size int64) int64 { return (size + multicast.BlockSize - 1) / multicast.BlockSize }

// Of all that the sender says, by multicast and by unicast, each receiver loses its own part.
func TestRealLoss(t *testing.T) {
	for _, loss := range []struct{ name, rule string }{
		{"5 %", "udp sport 9001 numgen random mod 100 < 5 drop"},
		{"20 %", "udp sport 9001 numgen random mod 100 < 20 drop"},
	} {
		t.Run(loss.name, func(t *testing.T) {
			t.Parallel()
			r := newRoom(t, wiring{receivers: 3})
			for _, m := range r.receivers {
				m.Filter(t, loss.rule)
			}
			r.completes(t, nil, nil)
		})
	}
}

// completes sends to all, and checks that all have it in the end. It returns the sender's and the receivers' processes.
func (r *room) completes(tb testing.TB, receive, send func(*role)) (sender *process, receivers []*process) {
	tb.Helper()
	verbose := func(r *role) { r.Verbose = true }
	if receive == nil {
		receive = verbose
	}
	if send == nil {
		send = verbose
	}
	source := r.Source(tb, realSize)
	receivers = r.receiveAll(tb, receive)
	sender = r.send(tb, source, send)
	succeed(tb, realLimit, append(slices.Clone(receivers), sender)...)
	r.whole(tb, source, sender, r.receivers...)
	return sender, receivers
}

func TestRealLossOfReportsOnly(t *testing.T) {
	t.Parallel()
	r := newRoom(t, wiring{receivers: 3})
	r.sender.Filter(t, "udp dport 9001 numgen random mod 2 < 1 drop")
	r.completes(t, nil, nil)
}

func TestRealTwoSendersOnOneGroup(t *testing.T) {
	t.Parallel()
	r := newRoom(t, wiring{receivers: 2})
	source := r.Source(t, realSize)
	other := r.plug(t, "other", netip.AddrFrom4([4]byte{10, 77, 0, 2}))
	refused := func(while string) {
		t.Helper()
		p := other.launch(t, role{Send: true, Session: roomSession(1), Key: roomKey, File: source, Name: other.Name, Interface: "eth0"})
		if !p.Wait(time.Now().Add(realLimit)) {
			t.Fatalf("a second sender goes on while the first %s", while)
		}
		if said := p.History(5); p.Err == nil || !strings.Contains(said, r.sender.Address.String()+" already sends") {
			t.Errorf("a second sender while the first %s: %v, and it said %q, want that %s already sends", while, p.Err, said, r.sender.Address)
		}
	}
	sender := r.send(t, source, slowly)
	one := r.receive(t, r.receivers[0], slowly)
	refused("waits for receivers")
	two := r.receive(t, r.receivers[1], slowly)
	two.reported(t, "half-way", realLimit, has(0.5))
	two.Pause() // so that the session does not end meanwhile
	refused("sends")
	two.Resume()
	succeed(t, realLimit, one, two, sender)
	r.whole(t, source, sender, r.receivers...)
}

func TestRealFloodOfAForeignMachine(t *testing.T) {
	t.Parallel()
	r := newRoom(t, wiring{receivers: 2})
	source := r.Source(t, realSize)
	foreign := r.plug(t, "foreign", netip.AddrFrom4([4]byte{10, 77, 2, 1}))
	flood := r.flood(t, foreign)
	sender := r.send(t, source, slowly)
	receivers := r.receiveAll(t, slowly)
	succeed(t, realLimit, append(receivers, sender)...)
	r.whole(t, source, sender, r.receivers...)
	random, replayed := flood()
	for kind, name := range map[byte]string{0x11: "symbols", 0x12: "commands", 0x13: "reports"} { // their first byte
		if random == 0 || replayed[kind] == 0 {
			t.Errorf("%d random datagrams were sent, and %d replayed %s, want some of both", random, replayed[kind], name)
		}
	}
	for _, p := range receivers {
		if got := p.last(t, realLimit).Reception; got.Refused == 0 {
			t.Errorf("%s counts no refused datagram, of %d", p.Name, random)
		}
	}
}

func TestRealMachineThatTheGroupDoesNotReach(t *testing.T) {
	t.Parallel()
	r := newRoom(t, wiring{receivers: 3})
	r.receivers[1].Filter(t, "ip daddr 239.0.0.0/8 drop")
	sender, receivers := r.completes(t, slowly, slowly)
	receivers[1].reported(t, "alone", realLimit, func(v report) bool { return v.Reception != nil && v.Reception.Alone })
	sender.reported(t, "serving one alone", realLimit, func(v report) bool {
		one := v.of("r2")
		return one.State == multicast.Alone && strings.Contains(one.Reason, "port of the switch")
	})
	for _, name := range []string{"r1", "r3"} {
		if got := sender.last(t, realLimit).of(name); got.State == multicast.Alone {
			t.Errorf("%s is served alone, too", name)
		}
	}
}

func TestRealHalfDuplex(t *testing.T) {
	t.Parallel()
	r := newRoom(t, wiring{receivers: 3})
	r.receivers[1].lose(t, 10)
	r.completes(t, nil, func(r *role) { r.Session.Mode, r.Verbose = multicast.HalfDuplex, true })
}

// Where multicast does not pass at all.
func TestRealBroadcast(t *testing.T) {
	t.Parallel()
	r := newRoom(t, wiring{receivers: 3})
	for _, m := range r.receivers {
		m.Filter(t, "ip daddr 224.0.0.0/4 drop")
	}
	sender, _ := r.completes(t, nil, func(r *role) { r.Session.Mode, r.Verbose = multicast.Broadcast, true })
	if got, most := sender.last(t, realLimit).Sender.Datagrams, 2*128*blocksOf(realSize); got > most {
		t.Errorf("the sender sent %d datagrams: to each receiver alone, instead of broadcasts", got)
	}
}

// A machine whose other network card leads elsewhere, and has the default route.
func TestRealReceiverWithSeveralNICs(t *testing.T) {
	t.Parallel()
	r := newRoom(t, wiring{receivers: 2})
	m := r.receivers[1]
	r.Bridge.Command(t, "ip", "link", "add", "br1", "type", "bridge", "forward_delay", "0")
	r.Bridge.Command(t, "ip", "link", "set", "br1", "up")
	r.Bridge.Command(t, "ip", "link", "add", "elsewhere", "type", "veth", "peer", "name", "eth1", "netns", m.Proc("ns/net"))
	r.Bridge.Command(t, "ip", "link", "set", "elsewhere", "master", "br1", "up")
	m.Command(t, "ip", "addr", "add", "192.0.2.7/24", "broadcast", "+", "dev", "eth1")
	m.Command(t, "ip", "link", "set", "eth1", "up")
	m.Command(t, "ip", "route", "add", "default", "via", "192.0.2.1", "dev", "eth1")
	sender, _ := r.completes(t, func(r *role) { r.Verbose, r.Interface = true, "" }, slowly)
	if got := sender.last(t, realLimit).of(m.Name).Address; got != m.Address {
		t.Errorf("%s speaks from %s, want %s", m.Name, got, m.Address)
	}
	sending := func(v report) bool { return v.Sender != nil && v.Sender.Phase == multicast.Sending }
	if got := sender.reported(t, "sending", realLimit, sending).of(m.Name); got.State == multicast.Alone {
		t.Errorf("the group does not reach %s: %s", m.Name, got.Reason)
	}
}
