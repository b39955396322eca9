package main

import (
	"bytes"
	"context"
	"encoding/json"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aula/imagestore/torrent/metainfo"
	"aula/webui/api"
)

// A torrentProgram is an aula torrent that runs.
type torrentProgram struct {
	*program
	printed *text
}

// torrentStart starts one on the loopback interface.
func torrentStart(t *testing.T, args ...string) torrentProgram {
	t.Helper()
	args = append([]string{"torrent", args[0], "--interface", "lo"}, args[1:]...)
	p := torrentProgram{&program{t: t, cmd: exec.CommandContext(t.Context(), os.Args[0], args...), said: newText()}, newText()}
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	p.cmd.Stdout, p.cmd.Stderr = p.printed, p.said
	p.begin()
	return p
}

// until waits until what was printed is right.
func (p torrentProgram) until(right func(printed string) bool) {
	p.t.Helper()
	for !right(p.printed.String()) {
		select {
		case <-p.printed.grown:
		case <-p.t.Context().Done():
			p.t.Fatalf("it only printed %q and said %q", p.printed, p.said)
		}
	}
}

// reports reads the lines of --json; the last one may be half there yet.
func reports(printed string) (all []finalReport) {
	for line := range strings.Lines(printed) {
		var r finalReport
		if json.Unmarshal([]byte(line), &r) == nil {
			all = append(all, r)
		}
	}
	return all
}

// A finalReport is a line of --json; the last has a result.
type finalReport struct {
	torrentReport
	Path   string
	Result string
	Error  string
}

func (p torrentProgram) final() finalReport {
	p.t.Helper()
	all := reports(p.printed.String())
	if len(all) == 0 || all[len(all)-1].Result == "" {
		p.t.Fatalf("no report at the end: %q, %q", p.printed, p.said)
	}
	return all[len(all)-1]
}

// torrentFile makes a file, and its .torrent in a folder of its own, which names a tracker at that port of the loopback.
func torrentFile(t *testing.T, size, port int) (image, dotTorrent string, content []byte) {
	t.Helper()
	image, content = randomFile(t, size)
	meta, err := metainfo.MakeFile(t.Context(), image, nil)
	if err != nil {
		t.Fatal(err)
	}
	meta.Announce = []string{announceURL(netip.MustParseAddr("127.0.0.1"), uint16(port))}
	return image, write(t, filepath.Join(t.TempDir(), "win.img.torrent"), meta.Encode()), content
}

// onPC is a folder with a copy of the .torrent, as a PC has it.
func onPC(t *testing.T, dotTorrent string) string {
	t.Helper()
	b, err := os.ReadFile(dotTorrent)
	if err != nil {
		t.Fatal(err)
	}
	return write(t, filepath.Join(t.TempDir(), filepath.Base(dotTorrent)), b)
}

func fileOf(dotTorrent string) string { return strings.TrimSuffix(dotTorrent, torrentSuffix) }

// torrentStatus is what the status tells.
func torrentStatus(t *testing.T, args ...string) (all []api.Torrent) {
	t.Helper()
	stdout, stderr, status := aula(t, append([]string{"torrent", "status", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(stdout), &all); err != nil || status != 0 {
		t.Fatalf("status: exit %d, %v: %s%s", status, err, stdout, stderr)
	}
	return all
}

func TestTorrentRoom(t *testing.T) {
	t.Parallel()
	alone(t)
	image, content := randomFile(t, 9<<20+17)
	seed := torrentStart(t, "seed", "--json", image)
	seed.said.wait(t, "aula torrent get win.img.torrent")
	var room []torrentProgram
	for _, mode := range []string{"peer:600", "leecher:600", "seeder:600"} {
		room = append(room, torrentStart(t, "get", "--json", "--port", "0", "--mode", mode, onPC(t, image+".torrent")))
	}
	for _, pc := range room {
		pc.said.wait(t, "sharing for 600 s")
		checkReceived(t, fileOf(pc.cmd.Args[len(pc.cmd.Args)-1]), content)
	}
	var all []api.Torrent
	for { // until the tracker has heard of it
		if all = torrentStatus(t); len(all) == 1 && all[0].Complete == 4 {
			break
		}
	}
	seed.said.wait(t, "has all of win.img") // it looks once a second
	for _, p := range all[0].Peers {
		if p.State != "sharing" || p.Have != int64(len(content)) || !strings.HasPrefix(p.Client, "Aula") {
			t.Errorf("a peer of the room: %+v", p)
		}
	}
	stdout, _, _ := aula(t, "torrent", "status", "--tracker", "127.0.0.1:6969")
	for _, part := range []string{"TORRENT", "win.img  9.4 MB  4      4", "127.0.0.1:6881", "100 %", "RATIO"} {
		if !strings.Contains(stdout, part) {
			t.Errorf("the table does not have %q:\n%s", part, stdout)
		}
	}
	for _, pc := range room {
		pc.signal(syscall.SIGINT)
		pc.end(0) // the file is complete
		if r := pc.final(); r.Result != "complete" || r.Have != r.Size || r.Downloaded < r.Size || r.State != "complete" || r.Path == "" {
			t.Errorf("at its end a PC reports %+v", r)
		}
	}
	seed.signal(syscall.SIGINT)
	seed.end(0)
	var end struct {
		Result   string
		Torrents []torrentReport
	}
	lines := strings.Split(strings.TrimSpace(seed.printed.String()), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &end); err != nil || end.Result != "ended" || len(end.Torrents) != 1 || end.Torrents[0].Uploaded == 0 {
		t.Errorf("at its end the seeder reports %+v, %v", end, err)
	}
}

func TestTorrentGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	alone(t)
	image, content := randomFile(t, 10<<20)
	seed := torrentStart(t, "seed", "--upload-limit", "16", image)
	seed.said.wait(t, "aula torrent get")
	there := onPC(t, image+".torrent")
	begun := int64(0)
	for _, stop := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		pc := torrentStart(t, "get", "--json", "--port", "0", there)
		pc.until(func(printed string) bool {
			all := reports(printed)
			return len(all) > 0 && all[len(all)-1].Have > begun
		})
		pc.signal(stop)
		if stop == syscall.SIGKILL {
			pc.end(-1)
			break
		}
		pc.end(1)
		if r := pc.final(); !strings.Contains(pc.said.String(), "interrupted: the same command goes on where it was") || r.Result != "interrupted" {
			t.Errorf("interrupted, it says %q and reports %+v", pc.said, r)
		}
		all := reports(pc.printed.String())
		begun = all[len(all)-1].Have
	}
	pc := torrentStart(t, "get", "--json", "--port", "0", "--mode", "peer:0", there)
	pc.end(0)
	checkReceived(t, fileOf(there), content)
	if r := pc.final(); r.Resumed < begun || r.Resumed == 0 || !strings.Contains(pc.said.String(), "are here from an earlier time") {
		t.Errorf("it did not go on: %q, %+v, begun with %d", pc.said, r, begun)
	}
	seed.signal(syscall.SIGINT)
	seed.end(0)
}

func TestTorrentMasterWithoutATracker(t *testing.T) {
	t.Parallel()
	alone(t)
	_, there, content := torrentFile(t, 3<<20, 6969)
	write(t, fileOf(there), content)
	master := torrentStart(t, "get", "--mode", "seeder:600", there)
	master.said.wait(t, "is complete already")
	master.said.wait(t, "sharing for 600 s")
	pc := onPC(t, there)
	other := torrentStart(t, "get", "--port", "0", "--mode", "leecher:", "--encrypt", "--peer", "127.0.0.1", pc)
	other.end(0)
	checkReceived(t, fileOf(pc), content)
	if !strings.Contains(other.printed.String(), fileOf(pc)+": 3.1 MB in ") {
		t.Errorf("at its end it prints %q", other.printed)
	}
	master.signal(syscall.SIGTERM)
	master.end(0)
	// With the other modes there is nothing to do.
	again := torrentStart(t, "get", there)
	again.end(0)
	if !strings.Contains(again.printed.String(), "complete already") {
		t.Errorf("of a complete file it prints %q", again.printed)
	}
}

func TestTorrentReplacesOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	alone(t)
	_, there, content := torrentFile(t, 1<<20, 6969)
	master := write(t, filepath.Join(filepath.Dir(onPC(t, there)), "win.img"), content)
	torrentStart(t, "get", "--mode", "seeder:600", master+".torrent").said.wait(t, "sharing for")
	for name, other := range map[string][]byte{"another size": []byte("notes"), "other bytes": make([]byte, len(content))} {
		write(t, fileOf(there), other)
		refused := torrentStart(t, "get", "--json", "--port", "0", there)
		refused.end(1)
		if !strings.Contains(refused.said.String(), "--replace") || !strings.Contains(refused.said.String(), fileOf(there)) || refused.final().Result != "failed" {
			t.Errorf("%s: it says %q and prints %q", name, refused.said, refused.printed)
		}
		checkReceived(t, fileOf(there), other)
	}
	elsewhere := t.TempDir()
	torrentStart(t, "get", "--port", "0", "--mode", "peer:", "--peer", "127.0.0.1:6881", "--output", elsewhere, there).end(0)
	checkReceived(t, filepath.Join(elsewhere, "win.img"), content)
	torrentStart(t, "get", "--port", "0", "--mode", "peer:", "--peer", "127.0.0.1:6881", "--replace", there).end(0)
	checkReceived(t, fileOf(there), content)
}

func TestTorrentWithoutAnybodySaysWhatToLookAt(t *testing.T) {
	t.Parallel()
	alone(t)
	_, there, _ := torrentFile(t, 1<<20, 6969)
	pc := torrentStart(t, "get", "--json", "--timeout", "1s", there)
	pc.end(60)
	for _, part := range []string{"http://127.0.0.1:6969", "refused", "firewall", "nothing comes", "goes on where it was"} {
		if !strings.Contains(pc.said.String(), part) {
			t.Errorf("it does not say %q, but %q", part, pc.said)
		}
	}
	if r := pc.final(); r.Result != "nothing came" || len(r.Trackers) != 1 || r.Trackers[0].Error == "" {
		t.Errorf("it reports %+v", r)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(there), "*.partial")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
	if _, stderr, status := aula(t, "torrent", "status"); status != 1 || !strings.Contains(stderr, "aula torrent seed FILE") || !strings.Contains(stderr, "aula serve") {
		t.Errorf("status without a tracker: %d, %q", status, stderr)
	}
}

func TestTorrentPortsThatAreTaken(t *testing.T) {
	t.Parallel()
	alone(t)
	image, there, content := torrentFile(t, 1<<20, 6969)
	for _, address := range []string{"127.0.0.1:6881", "127.0.0.1:6969"} {
		l, err := net.Listen("tcp", address) // on this thread, and so in its network
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	pc := torrentStart(t, "get", "--port", "6881", there)
	pc.end(1)
	if !strings.Contains(pc.said.String(), "port 6881 is taken") || !strings.Contains(pc.said.String(), "--port") {
		t.Errorf("get says %q", pc.said)
	}
	seed := torrentStart(t, "seed", image)
	seed.end(1)
	if !strings.Contains(seed.said.String(), "port 6969 is taken") || !strings.Contains(seed.said.String(), "--tracker-port") {
		t.Errorf("seed says %q", seed.said)
	}
	// The .torrent that is there names another tracker: it stays as it is.
	before, err := os.ReadFile(there)
	if err != nil {
		t.Fatal(err)
	}
	write(t, image+".torrent", before)
	seed = torrentStart(t, "seed", "--tracker-port", "7000", image)
	seed.said.wait(t, "peers connect at port")
	seed.said.wait(t, "aula torrent get win.img.torrent --tracker http://127.0.0.1:7000/announce")
	checkReceived(t, image+".torrent", before)
	torrentStart(t, "get", "--mode", "peer:", "--tracker", "http://127.0.0.1:7000/announce", there).end(0)
	checkReceived(t, fileOf(there), content)
	if all := torrentStatus(t, "--tracker", "http://127.0.0.1:7000/announce"); len(all) != 1 || all[0].Name != "win.img" {
		t.Errorf("status at another port: %+v", all)
	}
}

func TestTorrentOnAFullDisk(t *testing.T) {
	t.Parallel()
	alone(t)
	_, there, _ := torrentFile(t, 3<<20, 6969)
	small := mountTmpfs(t, "size=1m")
	pc := torrentStart(t, "get", "--output", small, there)
	pc.end(16)
	if said := pc.said.String(); !strings.Contains(said, "no room for "+small) {
		t.Errorf("it says %q", said)
	}
}

func mountTmpfs(t *testing.T, data string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, data); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func TestTorrentSeedOfAFolderThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	alone(t)
	dir := mountTmpfs(t, "size=4m")
	image := write(t, filepath.Join(dir, "win.img"), bytes.Repeat([]byte("image "), 1000))
	second := write(t, filepath.Join(t.TempDir(), "second.img"), bytes.Repeat([]byte("other "), 1000))
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	seed := torrentStart(t, "seed", image)
	seed.end(1)
	if !strings.Contains(seed.said.String(), "--torrent-dir") {
		t.Errorf("it says %q", seed.said)
	}
	torrents := t.TempDir()
	seed = torrentStart(t, "seed", "--torrent-dir", torrents, image, second, image)
	for _, name := range []string{"win.img", "second.img"} {
		seed.said.wait(t, "aula torrent get "+name+".torrent")
		there := filepath.Join(torrents, name+".torrent")
		torrentStart(t, "get", "--port", "0", "--mode", "peer:", there).end(0)
	}
	checkReceived(t, filepath.Join(torrents, "second.img"), bytes.Repeat([]byte("other "), 1000))
	seed.signal(syscall.SIGINT)
	seed.end(0)
	if lines := strings.Count(seed.printed.String(), "\n"); lines != 2 || !strings.Contains(seed.printed.String(), "win.img: gave ") {
		t.Errorf("at its end it prints %q", seed.printed)
	}
}

func TestTorrentSeedTellsOfAFileThatChanges(t *testing.T) {
	t.Parallel()
	alone(t)
	image, content := randomFile(t, 2<<20)
	seed := torrentStart(t, "seed", image)
	seed.said.wait(t, "aula torrent get")
	there := onPC(t, image+".torrent")
	rand.NewChaCha8([32]byte{2}).Read(content)
	write(t, image, content)
	if err := os.Chtimes(image, time.Time{}, time.Now().Add(time.Hour)); err != nil { // whatever the clock's steps
		t.Fatal(err)
	}
	pc := torrentStart(t, "get", "--port", "0", there)
	seed.said.wait(t, "win.img is not given any more")
	seed.end(1)
	pc.signal(syscall.SIGINT)
	pc.end(1)
	again := torrentStart(t, "seed", image)
	again.said.wait(t, "it is older than the file")
	again.said.wait(t, "aula torrent get")
	again.signal(syscall.SIGINT)
	again.end(0)
}

// foreign starts another program.
func foreign(t *testing.T, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED: %v (make test installs it)", err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s: %s", name, out.Bytes())
		}
	})
}

var aria2 = []string{"--no-conf", "--enable-dht=false", "--enable-dht6=false", "--bt-enable-lpd=false", "--enable-peer-exchange=false", "--file-allocation=none",
	"--interface=127.0.0.1", "--console-log-level=notice"}

func TestTorrentIsFetchedByAria2(t *testing.T) {
	t.Parallel()
	alone(t)
	image, content := randomFile(t, 5<<20+3)
	seed := torrentStart(t, "seed", image)
	seed.said.wait(t, "aula torrent get")
	dir := t.TempDir()
	pipe(t, append(append([]string{"aria2c"}, aria2...), "--seed-time=0", "--dir="+dir, image+".torrent"))
	checkReceived(t, filepath.Join(dir, "win.img"), content)
	seed.said.wait(t, "aria2")
	seed.signal(syscall.SIGINT)
	seed.end(0)
}

func TestTorrentIsFetchedFromAria2(t *testing.T) {
	t.Parallel()
	alone(t)
	image, there, content := torrentFile(t, 5<<20+3, 6969)
	tracker, err := newOwnTracker("lo", 6969) // on this thread, and so in its network
	if err != nil {
		t.Fatal(err)
	}
	runUntilTheEnd(t, func(ctx context.Context) error { return tracker.serve(ctx) })
	meta, err := metainfo.ReadFile(there)
	if err != nil {
		t.Fatal(err)
	}
	tracker.add(meta)
	foreign(t, "aria2c", append(append([]string{}, aria2...), "--check-integrity=true", "--seed-ratio=0.0", "--dir="+filepath.Dir(image), there)...)
	for looked := time.NewTicker(20 * time.Millisecond); ; <-looked.C {
		if all := tracker.Swarms(); len(all) == 1 && len(all[0].Peers) == 1 && all[0].Peers[0].Left == 0 {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("aria2c does not seed")
		}
	}
	pc := onPC(t, there)
	get := torrentStart(t, "get", "--mode", "peer:", pc)
	get.end(0)
	checkReceived(t, fileOf(pc), content)
	if !strings.Contains(get.printed.String(), fileOf(pc)+": 5.2 MB in ") {
		t.Errorf("at its end it prints %q", get.printed)
	}
}
