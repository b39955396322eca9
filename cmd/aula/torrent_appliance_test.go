package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"aula/imagestore"
	"aula/imagestore/torrent/metainfo"
	"aula/webui/api"
)

// classroomNIC gives this thread's network a NIC of that name and address, to which nothing is plugged.
func classroomNIC(t *testing.T, name, address string) {
	t.Helper()
	nic := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: name + "-plug"}
	if err := netlink.LinkAdd(nic); err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(nic); err != nil {
		t.Fatal(err)
	}
	addAddress(t, name, address)
}

func addAddress(t *testing.T, name, address string) {
	t.Helper()
	nic, err := netlink.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	prefix, err := netlink.ParseAddr(address)
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.AddrAdd(nic, prefix); err != nil {
		t.Fatal(err)
	}
}

// serveRoom starts the appliance with one image, "lab", and settings; it answers.
func serveRoom(t *testing.T, settings string) (p torrentProgram, data string) {
	t.Helper()
	data = t.TempDir()
	images, err := imagestore.Open(filepath.Join(data, "images"), imagestore.Options{Name: "main", Keep: 5, Trash: 24 * time.Hour, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, images, "lab")
	images.Close()
	config := write(t, filepath.Join(t.TempDir(), "aula.toml"), fmt.Appendf(nil, "data = %q\n[repository]\nreserve-mib = 0\n%s", data, settings))
	p = torrentProgram{&program{t: t, cmd: exec.CommandContext(t.Context(), os.Args[0], "serve", "--config", config), said: newText()}, newText()}
	p.cmd.Env = append(os.Environ(), asProgram+"=1")
	p.cmd.Stdout, p.cmd.Stderr = p.printed, p.said
	p.begin()
	p.until(func(printed string) bool { return strings.Contains(printed, "serves the classroom on") })
	return p, data
}

// scrapeFrom asks the tracker at the address for the torrent, from an address of this thread's network.
func scrapeFrom(t *testing.T, from, tracker string, hash metainfo.Hash) string {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := dialer.Dial("tcp", tracker) // on this thread
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /scrape?info_hash=%s HTTP/1.0\r\n\r\n", url.QueryEscape(string(hash[:])))
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	_, body, _ := strings.Cut(string(answer), "\r\n\r\n")
	return body
}

// TestTorrentSettingsReachTheAppliance runs a whole appliance with ports and networks of its own.
func TestTorrentSettingsReachTheAppliance(t *testing.T) {
	t.Parallel()
	alone(t)
	classroomNIC(t, "room0", "10.77.0.1/24")
	for _, pc := range []string{"10.5.0.9/32", "10.6.0.9/32"} {
		addAddress(t, "lo", pc)
	}
	appliance, data := serveRoom(t, `[torrent]
tracker = ":7969"
port = 7881
networks = ["10.5.0.0/16"]
`)
	const announce = "http://10.77.0.1:7969/announce"
	sidecar := filepath.Join(data, "images", ".revisions", "lab", "1", "lab.img.torrent") // which is replaced in one step
	var meta *metainfo.Torrent
	for { // until the .torrents name the tracker of the settings
		var err error
		if meta, err = metainfo.ReadFile(sidecar); err != nil {
			t.Fatal(err)
		}
		if len(meta.Announce) == 1 && meta.Announce[0] == announce {
			break
		}
		if time.Sleep(5 * time.Millisecond); t.Context().Err() != nil {
			t.Fatalf("the .torrent names %q, want %s", meta.Announce, announce)
		}
	}
	for from, want := range map[string]string{"10.5.0.9": "8:completei1e", "127.0.0.1": "8:completei1e", "10.6.0.9": "does not serve the address 10.6.0.9"} {
		if got := scrapeFrom(t, from, "10.77.0.1:7969", meta.Hash); !strings.Contains(got, want) {
			t.Errorf("from %s a scrape is answered with %q, want %s", from, got, want)
		}
	}
	if got := scrapeFrom(t, "127.0.0.1", "10.77.0.1:7969", metainfo.Hash{1}); got != "d5:filesdee" {
		t.Errorf("a scrape of a torrent that is not here is answered with %q", got)
	}
	image, err := os.ReadFile(strings.TrimSuffix(sidecar, torrentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	there := onPC(t, sidecar)
	pc := torrentStart(t, "get", "--json", "--mode", "leecher:600", there)
	pc.said.wait(t, "sharing for 600 s")
	checkReceived(t, fileOf(there), image)
	var all []api.Torrent
	for len(all) != 1 || all[0].Complete < 1 { // until the tracker has heard of it
		all = torrentStatus(t, "--data", data)
	}
	if all[0].Name != "lab.img" && all[0].Name != "lab" || len(all[0].Peers) != 1 || !strings.HasPrefix(all[0].Peers[0].Client, "Aula") {
		t.Errorf("the appliance tells of %+v", all)
	}
	pc.signal(syscall.SIGINT)
	pc.end(0)
	if said := appliance.said.String(); strings.Contains(said, meta.Hash.String()) {
		t.Errorf("the info-hash is in the log: %s", said)
	}
	appliance.signal(syscall.SIGINT)
	appliance.end(0)
}

// TestHostileTorrentsWriteNothing fetches by .torrents that somebody made to do harm.
func TestHostileTorrentsWriteNothing(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	if err := os.Mkdir(filepath.Join(outside, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(outside, "folder", "image.torrent")
	named := func(name string) []byte {
		return bencodedTorrent(fmt.Sprintf("6:lengthi20e4:name%d:%s", len(name), name))
	}
	good := string(named("image"))
	for name, hostile := range map[string][]byte{
		"the folder above":                named(".."),
		"a path up":                       named("../image"),
		"an absolute path":                named(filepath.Join(outside, "image")),
		"a path of Windows":               named(`..\image`),
		"a name with a NUL":               named("image\x00.txt"),
		"a name that moves the cursor":    named("\x1b[2J\x1b[Himage"),
		"a name that reads backwards":     named("image\u202egpj.exe"),
		"a name too long":                 named(strings.Repeat("x", 1000)),
		"no name":                         named(""),
		"two names":                       []byte(strings.Replace(good, "4:name5:image", "4:name5:image4:name5:other", 1)),
		"half of it":                      []byte(good[:len(good)/2]),
		"something after it":              []byte(good + good),
		"deep lists":                      []byte(strings.Repeat("l", 8<<20)),
		"deep dictionaries":               []byte("d1:a" + strings.Repeat("d1:a", 2<<20)),
		"a length that is a lie":          []byte("d4:infod6:pieces9223372036854775807:xee"),
		"a size beyond all disks":         bencodedTorrent("6:lengthi9223372036854775807e4:name5:image"),
		"pieces of no bytes":              []byte(strings.Replace(good, "i262144e", "i0e", 1)),
		"pieces of more than a memory":    []byte(strings.Replace(good, "i262144e", "i4611686018427387904e", 1)),
		"sums that are cut":               []byte(strings.Replace(good, "6:pieces20:x", "6:pieces19:", 1)),
		"a magnet":                        []byte("magnet:?xt=urn:btih:" + strings.Repeat("a", 40)),
		"more than any torrent":           append([]byte(good), make([]byte, metainfo.MaxFile)...),
		"a torrent of version 2 (BEP 52)": []byte("d4:infod9:file treede12:meta versioni2e4:name5:imageee"),
	} {
		write(t, there, hostile)
		stdout, stderr, status := aula(t, "torrent", "get", "--mode", "seeder:60", "--replace", there)
		if status != exitNoTorrent || stdout != "" || strings.Count(stderr, "\n") != 1 || len(stderr) > 1000 {
			t.Errorf("%s: status %d, %q and %.1000q; want %d and one line", name, status, stdout, stderr, exitNoTorrent)
		}
		if strings.ContainsFunc(strings.TrimSpace(stderr), func(c rune) bool { return c < ' ' || c == '\u202e' }) {
			t.Errorf("%s: the terminal is written to with %q", name, stderr)
		}
		for _, dir := range []string{outside, filepath.Dir(there)} {
			if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
				t.Fatalf("%s: in %s are %v, %v", name, dir, left, err)
			}
		}
	}
}
