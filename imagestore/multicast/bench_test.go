package multicast_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"aula/imagestore/rig"
)

// What the tables measure, in a room of network namespaces on this machine: the time from the first datagram of data on the bridge, which
// both engines send when every receiver has joined, to the last write to the last receiver's file. Source and files are in a
// tmpfs; what came is compared with the source afterwards. "sent x" is how many times the bare file's bytes of Ethernet the sender sent;
// of segments that cross the bridge whole, the headers count once. Rows are sub-benchmarks: -bench 'LossTable/N=8/loss=1%' makes
// a part of the table. AULA_BENCH_PROFILES=folder writes a CPU profile of each of our processes there.

// An engine is one that the tables compare.
type engine struct {
	name    string
	receive func(tb testing.TB, r *room, m *machine) *process // returns once it listens
	send    func(tb testing.TB, r *room, source string) *process
}

var (
	aula = engine{
		name:    "aula",
		receive: func(tb testing.TB, r *room, m *machine) *process { return r.receive(tb, m, nil) },
		send:    func(tb testing.TB, r *room, source string) *process { return r.send(tb, source, nil) },
	}
	udpcastFull = udpcast("--full-duplex")
	udpcastHalf = udpcast("--half-duplex")
)

// udpcast is Debian's, with the options that FOG and OpenGnsys give it.
func udpcast(duplex string) engine {
	return engine{
		name: "udpcast" + strings.TrimPrefix(duplex, "-"),
		receive: func(tb testing.TB, r *room, m *machine) *process {
			p := m.start(tb, nil, "udp-receiver", "--nokbd", "--portbase", "9000", "--interface", "eth0", "--file", r.file(m.Name))
			p.Await(tb, "listening", 10*time.Second, func(line string) bool { return strings.Contains(line, "UDP receiver for") })
			return p
		},
		send: func(tb testing.TB, r *room, source string) *process {
			return r.sender.start(tb, nil, "udp-sender", "--nokbd", "--portbase", "9000", duplex, "--interface", "eth0",
				"--min-receivers", fmt.Sprint(r.wiring.receivers), "--max-wait", "30", "--file", source)
		},
	}
}

// A trial is one transfer to a room.
type trial struct {
	wiring
	engine  engine
	size    int64
	limit   time.Duration
	halfway interference // or nil
}

// An interference is called at half the time that the bare file takes. It returns the receivers whose time counts, and those that it
// added: the others are not waited for, and the sender is not.
type interference func(tb testing.TB, t trial, r *room, receivers []*process) (counted, late []*process)

// bareBytes is what tc counts of the file in full packets, with nothing else in them: the bytes of Ethernet without preamble and checksum.
func (t trial) bareBytes() int64 { return (t.size + 1471) / 1472 * 1514 }

// bare is how long a link of 100 Mbit/s takes for those.
func (t trial) bare() time.Duration { return time.Duration(t.bareBytes()) * 8 * time.Second / 100e6 }

// An outcome is how a trial went.
type outcome struct {
	trial
	done     int           // receivers that have the file
	of       int           // of so many that count
	time     time.Duration // from the first data to the last write to the last of those
	late     time.Duration // as time, of one that joined half-way; 0 when it has not the file
	whole    time.Duration // from the sender's start to the end of the last program that was waited for
	packets  int64         // that the sender sent to the bridge
	wire     int64         // bytes of Ethernet in them
	sender   time.Duration // of processor
	receiver time.Duration // of processor, for one, on average
	peak     int64         // the most memory of a process, in bytes; only ours tells
}

func (o *outcome) complete() bool { return o != nil && o.done == o.of }

// run makes the room and the transfer.
func (t trial) run(tb testing.TB) *outcome {
	tb.Helper()
	r := newRoom(tb, t.wiring)
	source := r.Source(tb, t.size)
	rig.Warm(tb, t.size*int64(t.receivers+1)+256<<20)
	machines := []*rig.Machine{r.sender.Machine}
	for _, m := range r.receivers {
		machines = append(machines, m.Machine)
	}
	rig.Hurry(tb, machines...)
	var receivers []*process
	for _, m := range r.receivers {
		receivers = append(receivers, t.engine.receive(tb, r, m))
	}
	data := r.firstData(tb)
	o := &outcome{trial: t, of: len(receivers)}
	start := time.Now()
	sender := t.engine.send(tb, r, source)
	deadline := start.Add(t.limit)
	var first time.Time
	select {
	case first = <-data:
	case <-time.After(t.limit):
		tb.Logf("%s sent nothing within %s; it said:\n%s", t.engine.name, t.limit, sender.History(3))
		return o
	}
	counted, late, awaited := receivers, []*process(nil), []*process{sender}
	if t.halfway != nil {
		time.Sleep(time.Until(first.Add(t.bare() / 2)))
		counted, late = t.halfway(tb, t, r, receivers)
		awaited = nil
	}
	for _, p := range slices.Concat(awaited, counted, late) {
		if !p.Wait(deadline) {
			tb.Logf("%s of %s has not ended within %s; it said:\n%s", p.Name, t.engine.name, t.limit, p.History(3))
		}
	}
	o.whole = time.Since(start)
	sent := r.Sent(tb, r.sender.Machine)
	o.packets, o.wire = sent.Packets, sent.Bytes
	for _, p := range slices.Concat(receivers, late, []*process{sender}) {
		p.Kill()
		<-p.Ended
		o.peak = max(o.peak, p.peak())
	}
	o.sender = sender.CPU()
	o.of = len(counted)
	for _, p := range counted {
		o.receiver += p.CPU() / time.Duration(o.of)
		if took := r.took(tb, source, p, first); took > 0 {
			o.done++
			o.time = max(o.time, took)
		}
	}
	for _, p := range late {
		o.late = r.took(tb, source, p, first)
	}
	return o
}

// took is from the first data to the last write to a receiver's file; 0 when that is not what was sent.
func (r *room) took(tb testing.TB, source string, p *process, first time.Time) time.Duration {
	tb.Helper()
	info, err := os.Stat(r.file(p.Name))
	if err == nil {
		err = rig.Compare(source, r.file(p.Name))
	}
	if err != nil {
		tb.Logf("%s: %v; it said:\n%s", p.Name, err, p.History(3))
		return 0
	}
	return info.ModTime().Sub(first.Round(0))
}

// peak is the most memory that a process of ours had, and 0 for another one.
func (p *process) peak() int64 {
	var last report
	_ = json.Unmarshal([]byte(p.History(1)), &last) // a program that is not ours says nothing of the kind
	return last.Peak
}

// seconds is the cell of a table for how long a trial took.
func (o *outcome) seconds() string {
	switch {
	case o == nil:
		return ""
	case !o.complete():
		return fmt.Sprintf("%d of %d in %.0f s", o.done, o.of, o.limit.Seconds())
	}
	return fmt.Sprintf("%.2f s", o.time.Seconds())
}

// over is the cell for how many times the time of another trial that is.
func (o *outcome) over(other *outcome) string {
	if !o.complete() || !other.complete() {
		return ""
	}
	return fmt.Sprintf("%.3f", float64(o.time)/float64(other.time))
}

// overBare is the cell for how many times the bare file's time that is.
func (o *outcome) overBare() string {
	if !o.complete() {
		return ""
	}
	return fmt.Sprintf("%.3f", float64(o.time)/float64(o.bare()))
}

// overhead is the cell for how many times the bytes of the bare file were sent.
func (o *outcome) overhead() string {
	if o == nil {
		return ""
	}
	return fmt.Sprintf("%.3f", float64(o.wire)/float64(o.bareBytes()))
}

// measure makes the trial a sub-benchmark, which runs once however often it is called, and returns its outcome: nil when it was not
// asked for. The engine's own rows must be complete.
func (t trial) measure(b *testing.B, name string, metrics func(b *testing.B, o *outcome)) *outcome {
	var o *outcome
	b.Run(name+"/"+t.engine.name, func(b *testing.B) {
		if o == nil {
			o = t.run(b)
		}
		if t.engine.name == aula.name && !o.complete() {
			b.Errorf("%d of %d receivers are complete", o.done, o.of)
		}
		if o.complete() {
			b.ReportMetric(o.time.Seconds(), "s")
			b.ReportMetric(o.whole.Seconds(), "s-with-start-and-end")
			metrics(b, o)
		}
		b.ReportMetric(0, "ns/op")
	})
	return o
}

// BenchmarkLossTable tells whether the room has the time of one PC: how long a file takes through a link of 100 Mbit/s, with receivers that
// lose datagrams each on its own, as a multiple of the time that its bytes alone take.
func BenchmarkLossTable(b *testing.B) {
	const size = 64 << 20
	t := rig.Table{
		Title: "100 Mbit/s, a file of 64 MiB; x: times the bare file at link rate. Loss at each receiver, of packets of wire size: offload is off",
		Head:  []string{"receivers", "loss", "aula", "x", "sent x", "udpcast full-duplex", "x", "sent x", "half-duplex", "x", "sent x"},
	}
	for _, receivers := range []int{1, 4, 8, 16} {
		for _, permille := range []int{0, 1, 10, 30} {
			loss := fmt.Sprintf("%g%%", float64(permille)/10)
			cells, measured := []string{fmt.Sprint(receivers), loss}, false
			for _, e := range []engine{aula, udpcastFull, udpcastHalf} {
				tr := trial{
					wiring: wiring{receivers: receivers, rate: "100mbit", permille: permille},
					engine: e, size: size, limit: time.Minute,
				}
				o := tr.measure(b, fmt.Sprintf("N=%d/loss=%s", receivers, loss), func(b *testing.B, o *outcome) {
					b.ReportMetric(float64(o.time)/float64(tr.bare()), "x-bare")
				})
				measured = measured || o != nil
				cells = append(cells, o.seconds(), o.overBare(), o.overhead())
			}
			if measured {
				t.Add(cells...)
			}
		}
	}
	t.Print()
}

// BenchmarkUnlimited tells how fast the room is when nothing but this machine's processors limits it, and how much of them it takes.
func BenchmarkUnlimited(b *testing.B) {
	engineHead := []string{"MB/s", "sent x", "B/packet", "CPU s/GB: sender", "a receiver"}
	t := rig.Table{
		Title: "No rate limit; MB/s to every receiver; x: times udpcast full-duplex. No loss made. What else this machine does shows",
		Head: slices.Concat([]string{"receivers", "offload", "udpcast"}, engineHead, []string{"aula"}, engineHead,
			[]string{"MiB at most", "MB/s x", "CPU x"}),
	}
	for _, offload := range []bool{true, false} {
		for _, receivers := range []int{1, 4, 8, 16} {
			size := int64(256 << 20)
			if receivers == 16 {
				size /= 2
			}
			state := map[bool]string{true: "on", false: "off"}[offload]
			trialOf := func(e engine) trial {
				return trial{wiring: wiring{receivers: receivers, offload: offload}, engine: e, size: size, limit: 90 * time.Second}
			}
			name := fmt.Sprintf("N=%d/offload=%s", receivers, state)
			theirs := trialOf(udpcastFull).measure(b, name, func(b *testing.B, o *outcome) { b.ReportMetric(o.speed(), "MB/s") })
			ours := trialOf(aula).measure(b, name, func(b *testing.B, o *outcome) {
				b.ReportMetric(o.speed(), "MB/s")
				if theirs.complete() {
					b.ReportMetric(o.speed()/theirs.speed(), "x-udpcast")
					b.ReportMetric(float64(o.receiver)/float64(theirs.receiver), "x-udpcast-CPU")
				}
			})
			if theirs == nil && ours == nil {
				continue
			}
			x := []string{"", "", ""}
			if ours.complete() {
				x[0] = fmt.Sprint(ours.peak >> 20)
			}
			if ours.complete() && theirs.complete() {
				x[1] = fmt.Sprintf("%.2f", ours.speed()/theirs.speed())
				x[2] = fmt.Sprintf("%.2f", float64(ours.receiver)/float64(theirs.receiver))
			}
			t.Add(slices.Concat([]string{fmt.Sprint(receivers), state, theirs.seconds()}, theirs.costs(), []string{ours.seconds()}, ours.costs(), x)...)
		}
	}
	t.Print()
}

// speed is what each receiver got, in MB/s.
func (o *outcome) speed() float64 { return float64(o.size) / 1e6 / o.time.Seconds() }

// costs is the cells for speed, and what it took.
func (o *outcome) costs() []string {
	if !o.complete() {
		return make([]string, 5)
	}
	gb := float64(o.size) / 1e9
	return []string{
		fmt.Sprintf("%.0f", o.speed()), o.overhead(), fmt.Sprint(o.wire / max(o.packets, 1)),
		fmt.Sprintf("%.2f", o.sender.Seconds()/gb), fmt.Sprintf("%.2f", o.receiver.Seconds()/gb),
	}
}

// BenchmarkStoppedReceiver tells what a PC that stops half-way costs the others: one of 8 receivers is sent SIGSTOP.
func BenchmarkStoppedReceiver(b *testing.B) {
	t := rig.Table{
		Title: "100 Mbit/s, 8 receivers, a file of 64 MiB; one receiver is stopped half-way: time of the others",
		Head:  []string{"engine", "without", "with", "x"},
	}
	stop := func(_ testing.TB, _ trial, _ *room, receivers []*process) (counted, late []*process) {
		receivers[0].Pause()
		return receivers[1:], nil
	}
	for _, e := range []engine{aula, udpcastFull, udpcastHalf} {
		without, with := disturbed(b, e, "stopped", 90*time.Second, stop)
		if without != nil || with != nil {
			t.Add(e.name, without.seconds(), with.seconds(), with.over(without))
		}
	}
	t.Print()
}

// BenchmarkLateReceiver tells what a PC that comes half-way costs the others, and when it has the file itself.
func BenchmarkLateReceiver(b *testing.B) {
	t := rig.Table{
		Title: "100 Mbit/s, 8 receivers, a file of 64 MiB; a ninth comes half-way: time of the others, and until it has the file, too",
		Head:  []string{"engine", "without", "with", "x", "the ninth"},
	}
	join := func(tb testing.TB, t trial, r *room, receivers []*process) (counted, late []*process) {
		m := r.add(tb)
		return receivers, []*process{t.engine.receive(tb, r, m)}
	}
	for _, e := range []engine{aula, udpcastFull} {
		without, with := disturbed(b, e, "late", 30*time.Second, join)
		if without == nil && with == nil {
			continue
		}
		late := ""
		if with != nil {
			late = fmt.Sprintf("not in %.0f s", with.limit.Seconds())
			if with.late > 0 {
				late = fmt.Sprintf("%.2f s", with.late.Seconds())
			} else if e.name == aula.name {
				b.Errorf("the receiver that came late has not got the file within %s", with.limit)
			}
		}
		t.Add(e.name, without.seconds(), with.seconds(), with.over(without), late)
	}
	t.Print()
}

// disturbed runs a transfer to 8 receivers without and with what happens half-way.
func disturbed(b *testing.B, e engine, name string, limit time.Duration, halfway interference) (without, with *outcome) {
	t := trial{wiring: wiring{receivers: 8, rate: "100mbit"}, engine: e, size: 64 << 20, limit: limit}
	without = t.measure(b, "without", func(*testing.B, *outcome) {})
	t.halfway = halfway
	with = t.measure(b, name, func(b *testing.B, o *outcome) {
		if without.complete() {
			b.ReportMetric(float64(o.time)/float64(without.time), "x-without")
		}
	})
	return without, with
}
