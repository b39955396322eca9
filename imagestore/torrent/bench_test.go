package torrent_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"aula/imagestore/rig"
	"aula/imagestore/torrent/metainfo"
)

// What the tables measure, in a room of network namespaces on this computer: the time from the first peer's start, all of them at once, to
// when the last one says that it has the file. Each peer has a machine of its own, and so have the server's seeder and tracker together; each
// machine's cable has 100 Mbit/s to both sides (rig.Room.Cable), of which TCP can use 95.6 %. The floor is the file's bytes at link rate. Files are
// in a tmpfs, and are compared with the source afterwards. Copies are how often the file would have been in what the server's machine sent,
// of Ethernet, headers and acknowledgements included. CPU is of a peer's process and the kernel's work for it, to the end of the last peer.
//
// All of a room runs on this computer: programs that take more processor than it has are slower for that, too (24 peers on 2 cores that are to
// be at the floor may take 7 s for a GB each).
//
// Rows are sub-benchmarks: -bench 'Swarm/aula/16$' makes one. AULA_BENCH_PROFILES=folder writes a CPU profile of each of our processes there.
// -tags anacrolix,nosqlite,noboltdb adds a comparator.

const (
	linkRate  = "100mbit"
	linkBytes = 100e6 / 8 // a second
	swarmSize = 256 << 20
)

// A swarm is one transfer of a file to a room.
type swarm struct {
	engine  engine
	peers   int
	room    *rig.Room
	torrent string // a .torrent file
}

// An outcome is how a transfer went.
type outcome struct {
	done   int             // peers that have the file
	times  []time.Duration // of those, in order of the machines
	last   time.Duration
	copies float64       // that the server's machine sent
	cpu    time.Duration // of a peer, on average
	seeder time.Duration // of the seeder
	peak   int64         // the most memory of a peer, in bytes
}

// floor is how long the file's bytes take at link rate.
func floor() time.Duration { return time.Duration(swarmSize * float64(time.Second) / linkBytes) }

// BenchmarkSwarm tells how long a room takes for a file, against what its cables can do and against other programs.
func BenchmarkSwarm(b *testing.B) {
	t := rig.Table{
		Title: fmt.Sprintf("%d MiB, cables of 100 Mbit/s to both sides; x: times the floor of %.1f s", swarmSize>>20, floor().Seconds()),
		Head:  []string{"peers", "engine", "last peer", "x", "first peer", "server's copies", "CPU s/GB: a peer", "seeder", "MiB at most"},
	}
	for _, e := range engines {
		b.Run(e.name, func(b *testing.B) {
			for _, peers := range []int{1, 4, 8, 16, 24} {
				var o *outcome
				b.Run(fmt.Sprint(peers), func(b *testing.B) {
					if o == nil {
						o = swarm{engine: e, peers: peers}.run(b)
					}
					o.report(b, peers)
				})
				if o != nil {
					t.Add(o.row(e, peers)...)
				}
			}
		})
	}
	t.Print()
}

const gb = swarmSize / 1e9

func (o *outcome) report(b *testing.B, peers int) {
	b.ReportMetric(0, "ns/op")
	if o.done < peers {
		b.Errorf("%d of %d peers have the file within %s", o.done, peers, limit())
		return
	}
	b.ReportMetric(o.last.Seconds(), "s")
	b.ReportMetric(o.last.Seconds()/floor().Seconds(), "x-floor")
	b.ReportMetric(o.copies, "copies")
	b.ReportMetric(o.cpu.Seconds()/gb, "CPU-s/GB")
	b.ReportMetric(float64(o.peak>>20), "MiB")
}

func (o *outcome) row(e engine, peers int) []string {
	cells := []string{fmt.Sprint(peers), e.name, fmt.Sprintf("%d of %d in %.0f s", o.done, peers, limit().Seconds()), "", ""}
	if o.done == peers {
		first := o.last
		for _, t := range o.times {
			first = min(first, t)
		}
		cells = []string{
			fmt.Sprint(peers), e.name, fmt.Sprintf("%.1f s", o.last.Seconds()), fmt.Sprintf("%.2f", o.last.Seconds()/floor().Seconds()),
			fmt.Sprintf("%.1f s", first.Seconds()),
		}
	}
	return append(cells, fmt.Sprintf("%.2f", o.copies), fmt.Sprintf("%.1f", o.cpu.Seconds()/gb), fmt.Sprintf("%.1f", o.seeder.Seconds()/gb),
		fmt.Sprint(o.peak>>20))
}

// limit is when a swarm is given up.
func limit() time.Duration { return 6 * floor() }

// run makes the room and the transfer.
func (s swarm) run(tb testing.TB) *outcome {
	tb.Helper()
	s.room = rig.NewRoom(tb)
	server := s.plug(tb, "server", netip.AddrFrom4([4]byte{10, 77, 0, 1}))
	source := s.room.Source(tb, swarmSize)
	var err error
	if s.torrent, err = writeTorrent(tb.Context(), source, "http://10.77.0.1:6969/announce"); err != nil {
		tb.Fatal(err)
	}
	var machines []*rig.Machine
	for i := range s.peers {
		machines = append(machines, s.plug(tb, fmt.Sprintf("p%d", i+1), netip.AddrFrom4([4]byte{10, 77, 1, byte(i + 1)})))
	}
	rig.Warm(tb, swarmSize*int64(s.peers+1)+512<<20)
	rig.Hurry(tb, append(machines, server)...)

	tracker := play(tb, server, role{Program: "tracker", Address: "10.77.0.1:6969", Torrent: s.torrent})
	tracker.Await(tb, "ready", 10*time.Second, says("ready"))
	seeder := s.engine.start(tb, s, server, s.room.Folder, true)
	if _, ok := tracker.Heard(time.Now().Add(time.Minute), says("peer 10.77.0.1 left 0")); !ok {
		tb.Fatalf("the seeder does not announce itself; it said:\n%s\nand the tracker:\n%s", seeder.History(10), tracker.History(10))
	}

	before, start := server.Carried(tb), time.Now()
	var peers []*rig.Process
	for _, m := range machines {
		peers = append(peers, s.engine.start(tb, s, m, s.folder(tb, m), false))
	}
	o := &outcome{}
	for _, p := range peers {
		if at, ok := p.Heard(start.Add(limit()), s.engine.complete); ok {
			o.times = append(o.times, at.Sub(start))
			o.last = max(o.last, at.Sub(start))
			o.done++
		}
	}
	const packet, content = 1514, 1448
	o.copies = float64(server.Carried(tb).Bytes-before.Bytes) / (float64(swarmSize) * packet / content)
	for i, p := range peers {
		o.peak = max(o.peak, p.Peak())
		p.Kill()
		<-p.Ended
		o.cpu += p.CPU() / time.Duration(s.peers)
		if err := rig.Compare(source, filepath.Join(s.folder(tb, machines[i]), filepath.Base(source))); err != nil {
			tb.Logf("%s: %v; it said:\n%s", p.Name, err, p.History(5))
			o.done = min(o.done, len(peers)-1)
		}
	}
	if os.Getenv(profileVariable) != "" {
		seeder.Terminate()
		seeder.Wait(time.Now().Add(5 * time.Second))
	}
	seeder.Kill()
	<-seeder.Ended
	o.seeder = seeder.CPU()
	return o
}

func (s swarm) plug(tb testing.TB, name string, address netip.Addr) *rig.Machine {
	tb.Helper()
	m := s.room.Plug(tb, name, address)
	s.room.Cable(tb, m, linkRate)
	return m
}

// folder is where the peer on a machine writes.
func (s swarm) folder(tb testing.TB, m *rig.Machine) string {
	tb.Helper()
	path := filepath.Join(s.room.Folder, m.Name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		tb.Fatal(err)
	}
	return path
}

// writeTorrent writes a torrent of the file beside it.
func writeTorrent(ctx context.Context, path, announce string) (torrent string, err error) {
	meta, err := metainfo.MakeFile(ctx, path, nil)
	if err != nil {
		return "", err
	}
	meta.Announce = []string{announce}
	return path + ".torrent", os.WriteFile(path+".torrent", meta.Encode(), 0o600)
}
