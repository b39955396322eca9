package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
	"aula/imagestore/torrent/tracker"
)

// bencodedTorrent is a .torrent with that info dictionary's beginning, of 20 bytes in one piece.
func bencodedTorrent(info string) []byte {
	return fmt.Appendf(nil, "d8:announce31:http://127.0.0.1:6969/announce/4:infod%s12:piece lengthi262144e6:pieces20:%see", info, strings.Repeat("x", 20))
}

func TestTorrentMistakesAreOneLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	image := write(t, at("win.img"), smallImage())
	empty := write(t, at("empty.img"), nil)
	good := write(t, at("good.torrent"), bencodedTorrent("6:lengthi20e4:name8:good.img"))
	hostile := func(name, info string) []string {
		return []string{"get", write(t, at(name+".torrent"), bencodedTorrent(info))}
	}
	alone := write(t, at("alone.torrent"), []byte("d4:infod6:lengthi20e4:name9:alone.img12:piece lengthi262144e6:pieces20:"+strings.Repeat("x", 20)+"ee"))
	for _, c := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"no .torrent", []string{"get", at("gone.torrent")}, 2, "there is no file"},
		{"a folder", []string{"get", dir}, 1, "is a directory"},
		{"no torrent at all", []string{"get", image}, 5, "win.img"},
		{"a name that leaves the folder", hostile("up", "6:lengthi20e4:name9:../passwd"), 5, "is a path"},
		{"a hidden name", hostile("hidden", "6:lengthi20e4:name7:.bashrc"), 5, "begins with a dot"},
		{"a size that does not add up", hostile("sum", "6:lengthi900000000000e4:name7:big.img"), 5, "sums of 1 pieces"},
		{"a negative size", hostile("negative", "6:lengthi-20e4:name7:big.img"), 5, "negative.torrent"},
		{"many files", hostile("files", "5:filesld6:lengthi20e4:pathl1:aeee4:name3:dir"), 5, "files.torrent"},
		{"no tracker", []string{"get", alone}, 2, "--tracker"},
		{"no mode", []string{"get", "--mode", "superseeder:60", good}, 2, "peer, leecher or seeder"},
		{"seconds that are none", []string{"get", "--mode", "peer:soon", good}, 2, "--mode"},
		{"a tracker that is none", []string{"get", "--tracker", "ftp://10.0.0.1", good}, 2, "http://172.17.36.1:6969/announce"},
		{"a peer that is none", []string{"get", "--peer", "master", good}, 2, "172.17.36.11:6881"},
		{"a limit that is none", []string{"get", "--upload-limit", "0", good}, 2, "from 0.1 to"},
		{"a port that is none", []string{"get", "--port", "66666", good}, 2, "--port"},
		{"an interface that is not there", []string{"get", "--interface", "nonic0", good}, 2, "nonic0"},
		{"a .torrent to be seeded", []string{"seed", good}, 2, "is a .torrent: name the file that it is of, as in 'aula torrent seed good'"},
		{"no file to be seeded", []string{"seed", image, at("gone.img")}, 2, "there is no file"},
		{"a folder to be seeded", []string{"seed", dir}, 2, "is a folder"},
		{"nothing to be seeded", []string{"seed", empty}, 2, "is empty"},
		{"a tracker at no port", []string{"seed", "--tracker-port", "0", image}, 2, "--tracker-port"},
		{"an interface that is not there, to the seeder", []string{"seed", "--interface", "nonic0", image}, 2, "nonic0"},
		{"two to be asked", []string{"status", "--tracker", "10.0.0.1:6969", "--data", dir}, 2, "one of them"},
		{"a tracker of UDP, which has no status", []string{"status", "--tracker", "udp://127.0.0.1:6969"}, 2, "http://127.0.0.1:6969"},
		{"no appliance", []string{"status", "--data", dir}, 1, "aula serve"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, status := aula(t, append([]string{"torrent"}, c.args...)...)
			// Before a flag is found wrong it may have been told what is fetched.
			said := strings.Split(strings.TrimSpace(stderr), "\n")
			if status != c.status || stdout != "" || !strings.Contains(said[len(said)-1], c.says) || len(said) > 2 {
				t.Errorf("got status %d, %q and %q; want %d and a line that says %s", status, stdout, stderr, c.status, c.says)
			}
		})
	}
	t.Cleanup(func() { // after the parallel ones
		for _, pattern := range []string{"*.partial*", ".*", "*.bf"} {
			if left, err := filepath.Glob(filepath.Join(dir, pattern)); err != nil || len(left) > 0 {
				t.Errorf("left behind: %q, %v", left, err)
			}
		}
	})
}

func TestTorrentHelpTellsTheExitStatuses(t *testing.T) {
	t.Parallel()
	for _, c := range []string{"get", "seed"} {
		stdout, _, status := aula(t, "torrent", c, "--help")
		if status != 0 || !strings.Contains(stdout, "Exit status: 0") {
			t.Errorf("%s --help: status %d, %s", c, status, stdout)
		}
	}
}

func TestTorrentStatusAsksTheAppliance(t *testing.T) {
	t.Parallel()
	data := serveAPI(t)
	stdout, stderr, status := aula(t, "torrent", "status", "--json", "--data", data)
	var all []any
	if err := json.Unmarshal([]byte(stdout), &all); err != nil || status != 0 || len(all) != 0 {
		t.Errorf("status %d, %v: %q, %q", status, err, stdout, stderr)
	}
	if stdout, _, _ := aula(t, "torrent", "status", "--data", data); !strings.Contains(stdout, "aula torrent seed FILE") {
		t.Errorf("of nothing it says %q", stdout)
	}
}

func TestPeerAddress(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"172.17.36.11": "172.17.36.11:6881", "172.17.36.11:7000": "172.17.36.11:7000", "fd00::1": "[fd00::1]:6881"} {
		var p peerAddress
		if err := p.UnmarshalText([]byte(text)); err != nil || p.String() != want {
			t.Errorf("%s: got %v, %v; want %s", text, p, err, want)
		}
	}
	for _, text := range []string{"", "pc01", "172.17.36.11:0", "172.17.36.11:99999", "0.0.0.0", "239.194.17.36:6881"} {
		var p peerAddress
		if p.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is taken as %v", text, p)
		}
	}
}

func TestMegabitRate(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"90": 11250000, "90M": 11250000, "0.8": 100000} {
		var r megabitRate
		if err := r.UnmarshalText([]byte(text)); err != nil || r.bytes() != want {
			t.Errorf("%s: got %d bytes a second, %v; want %d", text, r.bytes(), err, want)
		}
	}
	for _, text := range []string{"", "0", "-1", "NaN", "Inf", "1e9", "fast", "90G"} {
		if r := megabitRate(0); r.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is taken as %v", text, r)
		}
	}
}

func TestStatusURL(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"http://127.0.0.1:6969": "http://127.0.0.1:6969/status", "127.0.0.1:6969": "http://127.0.0.1:6969/status",
		"http://127.0.0.1:7000/announce?x=1": "http://127.0.0.1:7000/status",
	} {
		if got, err := statusURL(text); err != nil || got != want {
			t.Errorf("%s: got %s, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "ftp://127.0.0.1", "http://", "http://%zz"} {
		if got, err := statusURL(text); err == nil {
			t.Errorf("%q is taken as %s", text, got)
		}
	}
}

func TestCausesOfSilence(t *testing.T) {
	t.Parallel()
	refused := errors.New("tracker http://10.0.0.1:6969 does not answer: connection refused")
	asked := time.Unix(1e9, 0)
	for _, c := range []struct {
		name   string
		status torrent.Status
		want   []string
	}{
		{"nobody was asked yet", torrent.Status{Trackers: []torrent.TrackerStatus{{}}}, nil},
		{"the tracker is gone", torrent.Status{Trackers: []torrent.TrackerStatus{{Err: refused, Next: asked}}}, []string{"connection refused"}},
		{"the tracker knows nobody", torrent.Status{Trackers: []torrent.TrackerStatus{{Next: asked}}}, []string{"firewalls there and here let TCP port 7000"}},
		{"one tracker is gone, the other knows nobody", torrent.Status{Trackers: []torrent.TrackerStatus{{Err: refused, Next: asked}, {Next: asked}}},
			[]string{"connection refused", "knows nobody"}},
		{"only named peers", torrent.Status{}, []string{"none of the peers that were named"}},
		{"peers with nothing", torrent.Status{Peers: []torrent.PeerStatus{{}, {}}}, []string{"have nothing yet"}},
		{"peers that give nothing", torrent.Status{Peers: []torrent.PeerStatus{{}, {Have: 1}}}, []string{"give nothing that is missing"}},
	} {
		got := causes(c.status, 7000)
		if !slices.EqualFunc(got, c.want, strings.Contains) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestFetchLine(t *testing.T) {
	t.Parallel()
	s := torrent.Status{Name: "win.img", State: torrent.Fetching, Size: 4e9, Have: 2e9, DownRate: 10e6, Uploaded: 1e9, UpRate: 5e6, Peers: make([]torrent.PeerStatus, 3)}
	want := "[############............]  50 %  2.0 GB of 4.0 GB, 10.0 MB/s, 3m20s left  win.img: 3 peers, gave 1.0 GB (0.25 times) at 5.0 MB/s"
	if got := fetchLine(s); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	s.State, s.Left, s.UpRate, s.Peers = torrent.Sharing, 42*time.Second, 0, s.Peers[:1]
	if got, want := fetchLine(s), "sharing win.img: 42s left, 1 peer, gave 1.0 GB (0.25 times)"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFetchNewsAreToldOnce(t *testing.T) {
	t.Parallel()
	meta := &metainfo.Torrent{Name: "win.img", Length: 4e9}
	gone := errors.New("tracker http://10.0.0.1:6969 does not answer")
	s := torrent.Status{Name: "win.img", State: torrent.Fetching, Downloaded: 1, Peers: make([]torrent.PeerStatus, 2),
		Banned: []netip.Addr{netip.MustParseAddr("10.0.0.7")}, Trackers: []torrent.TrackerStatus{{Err: gone}}}
	for terminal, want := range map[bool][]string{
		false: {"win.img comes from 2 peers", "10.0.0.7 sent wrong bytes", "the peers that are known go on"},
		true:  {"10.0.0.7 sent wrong bytes", "the peers that are known go on"},
	} {
		n := newFetchNews(meta, torrent.Peer, false)
		if got := n.changes(s, terminal); !slices.EqualFunc(got, want, strings.Contains) {
			t.Errorf("terminal %v: got %q, want %q", terminal, got, want)
		}
		if got := n.changes(s, terminal); len(got) > 0 {
			t.Errorf("terminal %v: told twice: %q", terminal, got)
		}
	}
}

func TestOnlyBytesOfUseBreakTheSilence(t *testing.T) {
	t.Parallel()
	n := newFetchNews(&metainfo.Torrent{Name: "win.img", Length: 4e9}, torrent.Peer, false)
	long := time.Hour
	for _, c := range []struct {
		name               string
		downloaded, wasted int64
		silent             bool
	}{
		{"nothing comes", 0, 0, true},
		{"what comes is of use", 1000, 0, false},
		{"the same comes again", 2000, 1000, true},
		{"what came is found wrong", 2000, 1500, true},
		{"some of it is of use", 4000, 2000, false},
	} {
		n.came = time.Now().Add(-long)
		if got := n.silent(torrent.Status{Downloaded: c.downloaded, Wasted: c.wasted}); (got >= long) != c.silent {
			t.Errorf("%s: silent for %s", c.name, got)
		}
	}
}

func TestReportsTellNoPasskeys(t *testing.T) {
	t.Parallel()
	var r torrentReport
	r.take(torrent.Status{Trackers: []torrent.TrackerStatus{{URL: "https://tracker.example/secret/announce?key=secret"}}})
	if len(r.Trackers) != 1 || r.Trackers[0].URL != "https://tracker.example" {
		t.Errorf("reported %+v", r.Trackers)
	}
}

// Somebody who comes from a new port each time is no new memory each time, and those who completed are counted all the same.
func TestSeedNewsAreBounded(t *testing.T) {
	t.Parallel()
	n := newSeedNews(false)
	n.begin(&metainfo.Torrent{Name: "win.img"})
	stays := visitor{"win.img", netip.MustParseAddrPort("10.0.0.7:6881"), "", true}
	const passed = 3 * mostKnown
	for i := range passed {
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, 0, byte(i >> 14)}), uint16(1+i))
		n.changes(nil, []visitor{stays, {"win.img", from, "", i%2 == 0}}, false)
		if len(n.known) > mostKnown+1 {
			t.Fatalf("%d peers are remembered", len(n.known))
		}
	}
	if got := n.changes(nil, []visitor{stays}, false); len(got) > 0 {
		t.Errorf("told twice: %q", got)
	}
	if got, want := n.summary(), fmt.Sprintf("%d peers complete", passed/2+1); len(got) != 1 || !strings.Contains(got[0], want) {
		t.Errorf("at the end it says %q, want %s", got, want)
	}
}

func TestSeedNews(t *testing.T) {
	t.Parallel()
	here := []visitor{{"win.img", netip.MustParseAddrPort("10.0.0.7:6881"), "aria2 1.36.0", false}, {"win.img", netip.MustParseAddrPort("10.0.0.8:6881"), "", true}}
	all := []torrent.Status{{Name: "win.img", Size: 4e9, Uploaded: 2e9, UpRate: 100e6}}
	n := newSeedNews(false)
	want := []string{"10.0.0.7:6881 (aria2 1.36.0) fetches win.img", "10.0.0.8:6881 has all of win.img"}
	if got := n.changes(all, here, false); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	here[0].complete = true
	if got, want := n.changes(all, here, false), []string{"10.0.0.7:6881 (aria2 1.36.0) has all of win.img"}; !slices.Equal(got, want) {
		t.Errorf("then got %q, want %q", got, want)
	}
	if got := n.changes(all, here, false); len(got) > 0 {
		t.Errorf("told twice: %q", got)
	}
	if got, want := n.line(all, here), "seeding 1 file: 2 peers here, 2 complete, 100.0 MB/s, gave 2.0 GB"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTorrentsOfATracker(t *testing.T) {
	t.Parallel()
	now := time.Unix(1e9, 0)
	got := torrentsOf([]tracker.Swarm{{Name: "win.img", Size: 100, Peers: []tracker.Peer{
		{Left: 0, Uploaded: 300, Seen: now}, {Left: 40, Downloaded: 60, Uploaded: 30, Seen: now}, {Left: 100, Seen: now.Add(-time.Minute)},
	}}}, now)
	if len(got) != 1 || got[0].Complete != 1 || len(got[0].Peers) != 3 {
		t.Fatalf("got %+v", got)
	}
	for i, want := range []struct {
		state string
		have  int64
		ratio float64
	}{{"sharing", 100, 3}, {"fetching", 60, 0.5}, {"silent", 0, 0}} {
		if p := got[0].Peers[i]; p.State != want.state || p.Have != want.have || p.Ratio != want.ratio {
			t.Errorf("peer %d: got %+v, want %+v", i, p, want)
		}
	}
}

func TestHostsOfThisMachine(t *testing.T) {
	t.Parallel()
	p := netip.MustParsePrefix
	lo := nic{"lo", []netip.Prefix{p("127.0.0.1/8")}}
	room := nic{"eth0", []netip.Prefix{p("172.17.36.40/24")}}
	campus := nic{"eth1", []netip.Prefix{p("10.1.2.3/16"), p("10.7.2.3/24")}}
	for _, c := range []struct {
		name, url, says string
		up              []nic
	}{
		{"one network", "http://172.17.36.40:6969/announce", "", []nic{lo, room}},
		{"no network", "http://127.0.0.1:6969/announce", "", []nic{lo}},
		{"several", "", "one of eth0, eth1 with --interface", []nic{lo, room, campus}},
	} {
		own := &ownTracker{port: 6969}
		own.hosts, own.names = hostsOf(c.up)
		got, err := own.url()
		if got != c.url || (c.says == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %s, %v; want %s%s", c.name, got, err, c.url, c.says)
		}
		if c.url != "" && !own.is(c.url) || own.is("http://172.17.36.41:6969/announce") || own.is("http://172.17.36.40:7000/announce") {
			t.Errorf("%s: it does not know its own URL", c.name)
		}
	}
}

// torrentOf has the maker look after a file, and returns what it said.
func torrentOf(t *testing.T, m torrentMaker, file string) (*metainfo.Torrent, string) {
	t.Helper()
	var said []string
	m.announce = func() (string, error) { return "http://10.0.0.1:6969/announce", nil }
	m.say, m.progress = func(line string) { said = append(said, line) }, &bar{now: time.Now}
	meta, _, err := m.of(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	return meta, strings.Join(said, "\n")
}

func TestTorrentIsMadeAnewOnlyWhenItMust(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "win.img"), []byte("an image"))
	at := func(path string, hours time.Duration) {
		t.Helper()
		when := time.Unix(1e9, 0).Add(hours * time.Hour)
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	at(file, 0)
	meta, said := torrentOf(t, torrentMaker{}, file)
	if meta.Name != "win.img" || meta.Length != 8 || !strings.HasPrefix(said, "making ") || len(meta.Announce) != 1 {
		t.Fatalf("got %+v, said %q", meta, said)
	}
	other := write(t, filepath.Join(t.TempDir(), "other.img"), []byte("an image"))
	foreign, _ := torrentOf(t, torrentMaker{}, other)
	for _, c := range []struct {
		name   string
		change func()
		maker  torrentMaker
		says   string // "" for that it is believed
		same   bool
	}{
		{"as it was", func() {}, torrentMaker{}, "", true},
		{"believed, though the bytes are others", func() { write(t, file, []byte("an IMAGE")); at(file, 0) }, torrentMaker{}, "", true},
		{"checked, and found wrong", func() {}, torrentMaker{check: true}, "is not what its .torrent says", false},
		{"checked, and found right", func() {}, torrentMaker{check: true}, "checking", true},
		{"older than the file", func() { at(file+".torrent", -1) }, torrentMaker{}, "it is older than the file", true},
		{"of another size", func() { write(t, file, []byte("a longer image")); at(file, 0) }, torrentMaker{}, "of 8 bytes, and this one has 14", false},
		{"of another name", func() { write(t, file+".torrent", foreign.Encode()) }, torrentMaker{}, "a file named other.img", true},
		{"no torrent at all", func() { write(t, file+".torrent", []byte("torrent")) }, torrentMaker{}, "making anew", true},
		{"in another folder", func() {}, torrentMaker{dir: t.TempDir()}, "making ", true},
	} {
		before := meta
		c.change()
		meta, said = torrentOf(t, c.maker, file)
		if c.says == "" && said != "" || !strings.Contains(said, c.says) || (meta.Hash == before.Hash) != c.same {
			t.Errorf("%s: said %q, the same torrent: %v; want %q, %v", c.name, said, meta.Hash == before.Hash, c.says, c.same)
		}
		kept, err := metainfo.ReadFile(filepath.Join(cmp.Or(c.maker.dir, filepath.Dir(file)), "win.img.torrent"))
		if err != nil || kept.Hash != meta.Hash {
			t.Errorf("%s: the .torrent there is %v, %v", c.name, kept, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestTorrentMakingIsInterrupted(t *testing.T) {
	t.Parallel()
	file := write(t, filepath.Join(t.TempDir(), "win.img"), make([]byte, 1<<20))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	maker := torrentMaker{announce: func() (string, error) { return "http://10.0.0.1:6969/announce", nil }, say: func(string) {}, progress: &bar{now: time.Now}}
	if _, _, err := maker.of(ctx, file); !errors.Is(err, errInterrupted) {
		t.Errorf("got %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), "*torrent*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
