package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aula/appliance/operation"
	"aula/clientos/protocol"
	"aula/imagestore/rig"
	"aula/webui/api"
)

// What BenchmarkRoom measures: the time from asking for a restore until the last PC of so many is done, as somebody who waits for the room has it. The
// appliance and the agents are the real ones, each PC in a network namespace with a loop device for its disk. The appliance's cable and each PC's carry
// benchRate in both directions; disks and repository are in memory.
//
// Sixteen PCs share this machine's processors, and a room's do not. With cables of 100 Mbit/s two processors have most of their time to do while 16 PCs write,
// and all of it while they read back 2 GiB at the end, in 1.5 s, for which one PC alone takes 0.2 s. So the cables are slower: then the network is what
// everybody waits for, but for the pre-flight and the end, a second in all, which counts against the room. How busy the processors were is in the table.
//
// The image is of an ext4 partition with files that do not compress: what is sent is what is written. Every way writes what the model has, which is checked
// after each.
//
//   - aula: one operation, deployImage by MULTICAST-DIRECT, with the pre-flight, a session of the network's own rate, and each used byte read back from the
//     disk and compared by its hash.
//   - FOG: its server's udp-sender of the compressed file, with the options that it gives it, and on each PC its client's udp-receiver | zstdmt -dc |
//     partclone.restore; the partition is then synced. Nothing is read back, and nothing is asked before; PCs are taken to be ready. Of an image of several
//     partitions it would be a session for each.
//   - unicast: an operation by UNICAST-DIRECT for each PC, one after another. As many as the row says were restored.
//
// "written" is until the last PC begins to read back, or to sync, as the PCs tell it five times a second. Rows are sub-benchmarks: -bench 'Room/aula/N=1$'
// makes one of the table.
const (
	benchRate      = 40_000_000 // bit/s
	benchPartition = 112 * mib
	benchFiles     = 64 * mib
	benchImage     = "room"
	benchLimit     = 5 * time.Minute // for one row
)

// A benchRoom has as many PCs as a row has needed so far.
type benchRoom struct {
	*Lab
	room      api.Classroom
	image     reference // what the model has
	pcs       []*NativePC
	computers []api.Computer
}

// spent is the time from the beginning until all is written, and until all is done.
type spent struct{ written, done time.Duration }

// A way restores the image on the PCs of a room.
type way struct {
	name    string
	restore func(r *benchRoom, ctx context.Context, n int) (spent, error)
	rooms   []int // sizes that are measured
}

var ways = []way{
	{"aula", (*benchRoom).byMulticast, []int{1, 4, 8, 16}},
	{"FOG", (*benchRoom).byFOG, []int{1, 16}},
	{"unicast", (*benchRoom).inTurn, []int{1, 16}},
}

// BenchmarkRoom tells whether a room has the time of one PC.
func BenchmarkRoom(b *testing.B) {
	t := rig.Table{
		Title: fmt.Sprintf("%d Mbit/s, an image of %d MiB; until the last PC is done, aula's read back and compared; x: times one PC in the same way",
			benchRate/1_000_000, benchFiles/mib),
		Head: []string{"way", "PCs", "written", "done", "x", "times aula", "processors busy"},
	}
	var r *benchRoom
	aula := make(map[int]time.Duration)
	for _, w := range ways {
		var one time.Duration
		for _, n := range w.rooms {
			var o *roomOutcome
			b.Run(fmt.Sprintf("%s/N=%d", w.name, n), func(inner *testing.B) {
				if r == nil {
					r = newBenchRoom(b, inner)
				}
				if o == nil {
					o = r.measure(inner, w, n)
				}
				if n == 1 {
					one = o.done
				} else if one > 0 {
					inner.ReportMetric(float64(o.done)/float64(one), "x-one-PC")
				}
				inner.ReportMetric(o.done.Seconds(), "s")
				inner.ReportMetric(o.written.Seconds(), "s-written")
				inner.ReportMetric(100*o.busy, "%CPU")
				inner.ReportMetric(0, "ns/op")
			})
			if o == nil {
				continue
			}
			if w.name == ways[0].name {
				aula[n] = o.done
			}
			t.Add(w.name, fmt.Sprint(n), fmt.Sprintf("%.2f s", o.written.Seconds()), fmt.Sprintf("%.2f s", o.done.Seconds()),
				times(o.done, one), times(o.done, aula[n]), fmt.Sprintf("%.0f %%", 100*o.busy))
		}
	}
	t.Print()
}

// times is the cell for how many times another time that is.
func times(took, other time.Duration) string {
	if other == 0 {
		return ""
	}
	return fmt.Sprintf("%.3f", float64(took)/float64(other))
}

// A roomOutcome is how long a room took, and what share of this machine's processors was busy meanwhile.
type roomOutcome struct {
	spent
	busy float64
}

// measure restores the image on so many PCs, and checks that they have it.
func (r *benchRoom) measure(b *testing.B, w way, n int) *roomOutcome {
	b.Helper()
	r.have(b, n)
	for _, pc := range r.pcs[:n] {
		wipe(b, pc, extStart, benchPartition)
	}
	ctx, cancel := context.WithTimeoutCause(b.Context(), benchLimit, fmt.Errorf("it takes longer than %v", benchLimit))
	defer cancel()
	before := readProcessors(b)
	took, err := w.restore(r, ctx, n)
	if err != nil {
		b.Fatalf("%s, %d PCs: %v\n%s", w.name, n, err, r.LastWords())
	}
	o := &roomOutcome{took, before.busyUntil(readProcessors(b))}
	for _, pc := range r.pcs[:n] {
		if err := r.image.differences(pc.Disk(), extStart); err != nil {
			b.Errorf("%s, %d PCs: %s: %v", w.name, n, pc.Name(), err)
		}
	}
	return o
}

// byMulticast restores by one operation, in one session.
func (r *benchRoom) byMulticast(ctx context.Context, n int) (spent, error) {
	return r.operation(ctx, fmt.Sprintf("deployImage REPO %s 1 1 MULTICAST-DIRECT 9000:full-duplex:239.194.16.133:0M:%d:60 plain", benchImage, n), r.computers[:n])
}

// inTurn restores one PC after another.
func (r *benchRoom) inTurn(ctx context.Context, n int) (sum spent, err error) {
	for i := range n {
		took, err := r.operation(ctx, fmt.Sprintf("deployImage REPO %s 1 1 UNICAST-DIRECT plain", benchImage), r.computers[i:i+1])
		if err != nil {
			return sum, err
		}
		sum.written, sum.done = sum.done+took.written, sum.done+took.done
	}
	return sum, nil
}

// operation has PCs carry out a program, and tells how long that took, by the appliance's clock, which is this machine's.
func (r *benchRoom) operation(ctx context.Context, text string, computers []api.Computer) (took spent, err error) {
	start := time.Now()
	o, err := r.API().Run(ctx, api.Program{ComputerIDs: ids(computers), Text: text})
	if err != nil {
		return took, err
	}
	looks := time.NewTicker(100 * time.Millisecond)
	defer looks.Stop()
	for !o.Over() {
		select {
		case <-looks.C:
		case <-ctx.Done():
			return took, context.Cause(ctx)
		}
		if o, err = r.API().Operation(ctx, o.ID); err != nil {
			return took, err
		}
		if took.written == 0 && !slices.ContainsFunc(o.Targets, stillWrites) {
			took.written = time.Since(start)
		}
	}
	for _, t := range o.Targets {
		if t.State != operation.Done || len(t.Notes) > 0 || len(t.Warnings) > 0 {
			return took, fmt.Errorf("%s is %s: %v %v %v", t.Name, t.State, t.Failure, t.Notes, t.Warnings)
		}
	}
	took.done = o.Ended.Sub(start.Round(0))
	took.written = min(took.written, took.done)
	return took, nil
}

// stillWrites tells whether a PC has not come to reading back.
func stillWrites(t api.Target) bool {
	return t.Ended.IsZero() && t.Stage != protocol.StageVerifying && t.Stage != protocol.StageFinishing
}

// fogClient is what a PC does in FOG's writeImage (funcs.sh of its client), without the screen; then the partition is synced.
const fogClient = `set -o pipefail
udp-receiver --nokbd --portbase "$1" --ttl 32 --mcast-rdv-address "$2" 2>/dev/null | zstdmt -dc | partclone.restore --ignore_crc -O "$3" -f 1 -L "$4" -q
touch "$4.written"
sync "$3"`

// byFOG restores as FOG does.
func (r *benchRoom) byFOG(ctx context.Context, n int) (took spent, err error) {
	const port = "63100"
	server, _, _ := strings.Cut(address, "/")
	logs, err := os.MkdirTemp(r.Dir(), "fog")
	if err != nil {
		return took, err
	}
	// As FOG's MulticastTask has it; its wait is ten minutes.
	programs := []*exec.Cmd{exec.Command("udp-sender", "--interface", bridge, "--min-receivers", strconv.Itoa(n), "--max-wait", "600", "--portbase", port,
		"--full-duplex", "--ttl", "32", "--nokbd", "--nopointopoint", "--file", filepath.Join(r.Images(), benchImage+".img"))}
	for _, pc := range r.pcs[:n] {
		programs = append(programs, inNamespace(pc.Name(), "bash", "-c", fogClient, "bash", port, server, pc.Device()+"p1", filepath.Join(logs, pc.Name())))
	}
	start := time.Now()
	if err := together(ctx, programs); err != nil {
		return took, err
	}
	took.done = time.Since(start)
	for _, pc := range r.pcs[:n] {
		written, err := os.Stat(filepath.Join(logs, pc.Name()+".written"))
		if err != nil {
			return took, err
		}
		took.written = max(took.written, written.ModTime().Sub(start.Round(0)))
	}
	return took, nil
}

// together runs programs until all have ended.
func together(ctx context.Context, programs []*exec.Cmd) error {
	var running []*child
	defer func() {
		for _, p := range running {
			p.kill()
		}
	}()
	for _, program := range programs {
		p, err := startChild(program)
		if err != nil {
			return err
		}
		running = append(running, p)
	}
	for _, p := range running {
		select {
		case <-p.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if p.err != nil {
			return fmt.Errorf("%v: %w", p.cmd.Args, p.err)
		}
	}
	return nil
}

// restartGrace is for how long after its start the appliance waits for the PCs of sessions that it may have had before.
const restartGrace = 16 * time.Second

// newBenchRoom makes a room without PCs, whose repository has the image, for as long as the whole benchmark runs. b is the row that needs it.
func newBenchRoom(whole, b *testing.B) *benchRoom {
	b.Helper()
	need(b, "udp-sender", "udp-receiver", "zstdmt", "partclone.restore", "sfdisk", "mkfs.ext4", "tc")
	folder := whole.TempDir()
	if err := unix.Mount("aula-bench", folder, "tmpfs", 0, "size=8G"); err != nil {
		b.Fatalf("disks in memory: %v", err)
	}
	whole.Cleanup(func() {
		if err := unix.Unmount(folder, unix.MNT_DETACH); err != nil {
			whole.Error(err)
		}
	})
	rig.Warm(b, 6<<30) // the disks, and what the kernel keeps of them
	rig.Hurry(b)
	l, err := Start(b.Context(), Config{Aula: program(b), Temp: folder})
	if err != nil {
		b.Fatal(err)
	}
	started := time.Now()
	whole.Cleanup(func() {
		if err := l.Close(); err != nil {
			whole.Error(err)
		}
	})
	r := &benchRoom{Lab: l}
	centre, err := l.API().AddCentre(b.Context(), "School")
	if err == nil {
		r.room, err = l.API().AddClassroom(b.Context(), centre.ID, "Room 1")
	}
	if err != nil {
		b.Fatal(err)
	}
	r.capture(b, folder)
	// The appliance's own cable; PCs get theirs with themselves. The queue is longer than what the kernel lets a socket put into it, and so holds a writer
	// back, as that of a network card does, instead of dropping.
	if err := command("tc", "qdisc", "replace", "dev", bridge, "root", "tbf", "rate", fmt.Sprintf("%dbit", benchRate), "burst", "128k", "limit", "4mb"); err != nil {
		b.Fatal(err)
	}
	time.Sleep(time.Until(started.Add(restartGrace)))
	return r
}

// capture makes the image, of a PC that is then switched off.
func (r *benchRoom) capture(b *testing.B, folder string) {
	b.Helper()
	disk, part, files := filepath.Join(folder, "disk"), filepath.Join(folder, "part"), filepath.Join(folder, "files")
	if err := os.Mkdir(files, 0o755); err != nil {
		b.Fatal(err)
	}
	writeNoise(b, filepath.Join(files, "noise"), benchFiles)
	tool(b, "", "mkfs.ext4", "-q", "-d", files, part, fmt.Sprintf("%dK", benchPartition>>10))
	f, err := os.Create(disk)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(extStart + benchPartition + mib); err != nil {
		b.Fatal(err)
	}
	tool(b, fmt.Sprintf("label: dos\nstart=%d, size=%d, type=83\n", extStart/512, benchPartition/512), "sfdisk", "--quiet", disk)
	place(b, f, extStart, part)

	model, computer := r.add(b, NativeSpec{Disk: DiskSpec{From: disk}})
	if _, err := r.CaptureImage(b.Context(), computer, 1, benchImage, nil); err != nil {
		b.Fatal(err)
	}
	model.PowerOff()
	r.image = reference{path: part, used: usedBy(b, filepath.Join(r.Images(), benchImage+".img"))}
}

// add adds a PC, and accepts it.
func (r *benchRoom) add(b *testing.B, spec NativeSpec) (*NativePC, api.Computer) {
	b.Helper()
	pc, err := r.AddNative(spec)
	if err != nil {
		b.Fatal(err)
	}
	if err := pc.PowerOn(); err != nil {
		b.Fatal(err)
	}
	computer, err := r.Enrol(b.Context(), pc, r.room.ID)
	if err != nil {
		b.Fatal(err)
	}
	return pc, computer
}

// have adds PCs until there are so many, with a partition for the image.
func (r *benchRoom) have(b *testing.B, n int) {
	b.Helper()
	had := len(r.pcs)
	if had >= n {
		return
	}
	for len(r.pcs) < n {
		pc, computer := r.add(b, NativeSpec{Disk: DiskSpec{Bytes: extStart + benchPartition + mib}, Rate: benchRate})
		r.pcs, r.computers = append(r.pcs, pc), append(r.computers, computer)
	}
	text := fmt.Sprintf("partitionDisk 1 MSDOS LINUX:%dM:EXT4 cache=none", benchPartition/mib)
	if _, err := r.operation(b.Context(), text, r.computers[had:]); err != nil {
		b.Fatal(err)
	}
}

// processors is what this machine's processors have done since it started, in ticks.
type processors struct{ busy, all int64 }

func readProcessors(b *testing.B) (p processors) {
	b.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		b.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	// cpu user nice system idle iowait irq softirq steal guest guest_nice; the last two are in the first two (proc_stat(5)).
	for i, field := range strings.Fields(first)[1:9] {
		ticks, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		if p.all += ticks; i != 3 && i != 4 {
			p.busy += ticks
		}
	}
	return p
}

// busyUntil is the share of the time between two readings in which the processors were busy.
func (p processors) busyUntil(later processors) float64 {
	return float64(later.busy-p.busy) / float64(max(later.all-p.all, 1))
}
