package torrent_test

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
)

// Foreigners are tried in a network namespace, for transmission talks to nobody at 127.0.0.0/8. Each program has an address of its own there. What is sent to
// one of them comes from the same, unless the sender chooses: so each of ours asks the tracker at its own address.

// A foreigner is another BitTorrent client, as it runs. It knows of no peers but by the tracker.
type foreigner struct {
	name   string
	at     string // its address
	folder string
	ended  chan struct{}

	mu  sync.Mutex
	out bytes.Buffer
}

func (f *foreigner) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.out.Write(b)
}

func (f *foreigner) said() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.out.Bytes()
	return string(b[max(0, len(b)-4000):])
}

// run runs a program until it ends or the test does; the function kills it.
func (f *foreigner) run(t *testing.T, name string, args ...string) (kill func()) {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED: this machine has no %s", name)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = f.folder, f, f
	cmd.Env = append(os.Environ(), "HOME="+f.folder)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	f.ended = make(chan struct{})
	go func() {
		defer close(f.ended)
		_ = cmd.Wait()
	}()
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGKILL)
		<-f.ended
	})
	t.Cleanup(kill)
	return kill
}

// torrentFile writes the classroom's torrent, which names a tracker, and returns its path.
func (c *classroom) torrentFile(t *testing.T, announce string) string {
	t.Helper()
	m := *c.meta
	m.Announce = []string{announce}
	path := filepath.Join(t.TempDir(), "image.img.torrent")
	if err := os.WriteFile(path, m.Encode(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// folder is one for a foreigner; the file is there if it shall seed.
func (c *classroom) folder(t *testing.T, seeds bool) string {
	t.Helper()
	folder := t.TempDir()
	if seeds {
		if err := os.WriteFile(filepath.Join(folder, c.meta.Name), c.b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// aria2c starts that program.
func (c *classroom) aria2c(t *testing.T, torrent string, seeds bool, more ...string) *foreigner {
	t.Helper()
	f := &foreigner{name: "aria2c", at: c.foreignAddress().String(), folder: c.folder(t, seeds)}
	args := []string{
		"--no-conf", "--dir=" + f.folder, "--listen-port=6881", "--disable-ipv6", "--async-dns=false",
		"--enable-dht=true", "--dht-listen-port=6881", "--dht-file-path=" + filepath.Join(f.folder, "dht.dat"), // without, it asks no UDP tracker
		"--enable-peer-exchange=false", "--bt-enable-lpd=false", "--bt-tracker-interval=1",
		"--file-allocation=none", "--seed-ratio=0.0", "--summary-interval=0", "--console-log-level=notice",
	}
	if seeds {
		args = append(args, "--check-integrity=true")
	}
	if !c.udp {
		args = append(args, "--interface="+f.at) // with it, it gets no answer of UDP trackers
	}
	f.run(t, "aria2c", append(append(args, more...), torrent)...)
	return f
}

// transmissionCLI starts that program.
func (c *classroom) transmissionCLI(t *testing.T, torrent string, seeds bool) *foreigner {
	t.Helper()
	f := &foreigner{name: "transmission-cli", at: c.foreignAddress().String(), folder: c.folder(t, seeds)}
	settings, err := json.Marshal(map[string]any{
		"utp-enabled": false, "dht-enabled": false, "pex-enabled": false, "lpd-enabled": false, "port-forwarding-enabled": false,
		"bind-address-ipv4": f.at, "rpc-enabled": false, "preallocation": 0, "rename-partial-files": false, "watch-dir-enabled": false,
		"ratio-limit-enabled": false, "idle-seeding-limit-enabled": false, "speed-limit-up-enabled": false, "speed-limit-down-enabled": false,
	})
	if err != nil {
		t.Fatal(err)
	}
	config := t.TempDir()
	if err := os.WriteFile(filepath.Join(config, "settings.json"), settings, 0o600); err != nil {
		t.Fatal(err)
	}
	f.run(t, "transmission-cli", "--config-dir", config, "--download-dir", f.folder, "--port", "6881",
		"--no-portmap", "--encryption-tolerated", "--no-uplimit", "--no-downlimit", torrent)
	return f
}

// got waits until foreigners have the file.
func (c *classroom) got(t *testing.T, all ...*foreigner) {
	t.Helper()
	want := sha256.Sum256(c.b)
	for _, f := range all {
		path := filepath.Join(f.folder, c.meta.Name)
		for {
			if b, err := os.ReadFile(path); err == nil && len(b) == len(c.b) && sha256.Sum256(b) == want {
				break
			}
			select {
			case <-c.ctx.Done():
				t.Fatalf("%s has not got the file; it said:\n%s", f.name, f.said())
			case <-f.ended:
				t.Fatalf("%s ended without the file; it said:\n%s", f.name, f.said())
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}

// ours starts one of our computers at an address of its own. Its uplink is limited unless the limit is 0.
func (c *classroom) ours(tracker string, limit int64, config torrent.Config, task torrent.Task) *computer {
	c.tb.Helper()
	at := c.foreignAddress()
	config.Listen, config.UploadLimit = netip.AddrPortFrom(at, 0).String(), limit
	task.Trackers = []string{strings.Replace(tracker, "10.99.0.1", at.String(), 1)}
	return c.start(config, task)
}

// foreignTracker runs a tracker at all addresses.
func (c *classroom) foreignTracker(scheme string) (url string) {
	c.tb.Helper()
	c.udp = scheme == "udp"
	url, _ = c.runTracker(scheme, "0.0.0.0:0")
	return strings.Replace(url, "0.0.0.0", "10.99.0.1", 1)
}

// giver starts our origin.
func (c *classroom) giver(tracker string, limit int64) *computer {
	c.tb.Helper()
	return c.ours(tracker, limit, torrent.Config{}, torrent.Task{Storage: newHeap(c.meta, c.b), Mode: torrent.Seeder})
}

// foreignAddress is one of the namespace that nobody has yet.
func (c *classroom) foreignAddress() netip.Addr {
	a := c.address().As4()
	return netip.AddrFrom4([4]byte{10, 99, 0, a[3]})
}

// Foreigners fetch from our origin, which gives each piece once, by our tracker.
func TestForeignersFetchFromOurs(t *testing.T) {
	if inNetwork(t) {
		return
	}
	for _, scheme := range []string{"http", "udp"} {
		for _, program := range []string{"aria2c", "transmission-cli"} {
			t.Run(program+" "+scheme, func(t *testing.T) {
				c := newClassroom(t, 40, 8<<20, 256<<10)
				url := c.foreignTracker(scheme)
				origin := c.giver(url, 0)
				c.announced(origin)
				c.got(t, c.foreigner(t, program, c.torrentFile(t, url), false))
			})
		}
	}
}

// foreigner starts one by its name.
func (c *classroom) foreigner(t *testing.T, program, torrent string, seeds bool) *foreigner {
	t.Helper()
	if program == "aria2c" {
		return c.aria2c(t, torrent, seeds)
	}
	return c.transmissionCLI(t, torrent, seeds)
}

// announced waits until a computer's tracker knows it.
func (c *classroom) announced(pc *computer) {
	c.tb.Helper()
	c.until(func() bool {
		s := pc.status()
		return len(s.Trackers) > 0 && !s.Trackers[0].Next.IsZero() && s.Trackers[0].Err == nil
	}, "its tracker does not know it", pc)
}

// Three of them at once pass on to each other what they are given.
func TestForeignersShareWhatOursGives(t *testing.T) {
	if inNetwork(t) {
		return
	}
	c := newClassroom(t, 41, 16<<20, 256<<10)
	url := c.foreignTracker("http")
	file := c.torrentFile(t, url)
	var all []*foreigner
	for range 3 {
		all = append(all, c.aria2c(t, file, false))
	}
	origin := c.giver(url, 2<<20)
	c.until(func() bool { return len(origin.status().Peers) == 3 }, "not all of them come", origin)
	c.got(t, all...)
	copies := float64(origin.status().Uploaded) / float64(c.meta.Length)
	t.Logf("copies uploaded by the origin: %.2f", copies)
	if copies > 2.5 {
		t.Errorf("the origin gave %.2f copies to three that can share", copies)
	}
}

// Ours fetches from a foreign seeder.
func TestOursFetchesFromForeigners(t *testing.T) {
	if inNetwork(t) {
		return
	}
	for _, program := range []string{"aria2c", "transmission-cli"} {
		t.Run(program, func(t *testing.T) {
			c := newClassroom(t, 42, 2<<20, 64<<10)
			url := c.foreignTracker("http")
			c.foreigner(t, program, c.torrentFile(t, url), true)
			c.complete(c.ours(url, 0, torrent.Config{}, torrent.Task{}))
		})
	}
}

// A room of all three.
func TestMixedRoom(t *testing.T) {
	if inNetwork(t) {
		return
	}
	c := newClassroom(t, 43, 16<<20, 256<<10)
	url := c.foreignTracker("http")
	file := c.torrentFile(t, url)
	foreigners := []*foreigner{c.aria2c(t, file, false), c.aria2c(t, file, false), c.transmissionCLI(t, file, false)}
	origin := c.giver(url, 2<<20)
	ours := []*computer{c.ours(url, 0, torrent.Config{}, torrent.Task{}), c.ours(url, 0, torrent.Config{}, torrent.Task{})}
	c.complete(ours...)
	c.got(t, foreigners...)
	t.Logf("copies uploaded by the origin: %.2f", float64(origin.status().Uploaded)/float64(c.meta.Length))
}

// One that takes no connection without RC4 fetches from ours, and ours from it when told to ask for it.
func TestObfuscatedForeigners(t *testing.T) {
	if inNetwork(t) {
		return
	}
	crypto := []string{"--bt-require-crypto=true", "--bt-min-crypto-level=arc4"}
	t.Run("from ours", func(t *testing.T) {
		c := newClassroom(t, 44, 4<<20, 256<<10)
		url := c.foreignTracker("http")
		origin := c.giver(url, 0)
		c.announced(origin)
		c.got(t, c.aria2c(t, c.torrentFile(t, url), false, crypto...))
	})
	t.Run("to ours", func(t *testing.T) {
		c := newClassroom(t, 45, 4<<20, 256<<10)
		url := c.foreignTracker("http")
		c.aria2c(t, c.torrentFile(t, url), true, crypto...)
		c.complete(c.ours(url, 0, torrent.Config{Encrypt: true}, torrent.Task{}))
	})
}

// A torrent as OpenGnsys makes them: pieces of 4 MiB, the MD5 as a comment, not private, keys that nobody else has.
func TestTorrentOfOpenGnsys(t *testing.T) {
	if inNetwork(t) {
		return
	}
	c := newClassroom(t, 46, 9<<20+77, 4<<20)
	url := c.foreignTracker("http")
	var sums []byte
	for rest := c.b; len(rest) > 0; {
		n := min(len(rest), 4<<20)
		sum := sha1.Sum(rest[:n])
		sums, rest = append(sums, sum[:]...), rest[n:]
	}
	info := fmt.Sprintf("d6:lengthi%de4:name9:image.img12:piece lengthi4194304e6:pieces%d:%se", len(c.b), len(sums), sums)
	text := fmt.Sprintf("d8:announce%d:%s7:comment32:%s13:creation datei1700000000e4:info%se", len(url), url, strings.Repeat("0f", 16), info)
	meta, err := metainfo.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if meta.Hash != sha1.Sum([]byte(info)) {
		t.Fatalf("its info-hash is read as %s", meta.Hash)
	}
	c.meta = meta
	path := filepath.Join(t.TempDir(), "image.img.torrent")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	origin := c.giver(url, 0)
	c.announced(origin)
	foreign := c.aria2c(t, path, false)
	c.complete(c.ours(url, 0, torrent.Config{}, torrent.Task{}))
	c.got(t, foreign)
}
