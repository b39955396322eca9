package tracker

import (
	"bytes"
	"context"
	"crypto/sha1"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anacrolix/torrent/bencode"

	"aula/imagestore/torrent/metainfo"
)

// The address of the namespace in which other clients meet: transmission dials no peer at 127.0.0.1.
const meeting = "10.99.0.1"

// inNamespace runs the test once more, alone, in a network of its own that has only a loopback, and in which no process outlives it. It
// tells whether this is that run.
func inNamespace(t *testing.T) bool {
	t.Helper()
	const mark = "AULA_TEST_IN_NAMESPACE"
	if os.Getenv(mark) != "" {
		for _, args := range [][]string{{"address", "add", meeting + "/24", "dev", "lo"}, {"link", "set", "lo", "up"}} {
			if out, err := exec.CommandContext(t.Context(), "ip", args...).CombinedOutput(); err != nil {
				t.Fatalf("ip %v: %v: %s", args, err, out)
			}
		}
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to make a network namespace")
	}
	for _, tool := range []string{"unshare", "ip", "aria2c", "transmission-cli"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: needs %s", tool)
		}
	}
	c := exec.CommandContext(t.Context(), "unshare", "--net", "--pid", "--fork", "--kill-child", os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	c.Env = append(os.Environ(), mark+"=1")
	out, err := c.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Fatalf("in the namespace: %v\n%s", err, out)
	}
	t.Logf("in the namespace:\n%s", out)
	return false
}

// aria2 and transmission announce themselves, by HTTP and by UDP, and find each other by it: the one downloads from the other.
func TestOtherClients(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	for i, c := range []struct{ scheme, seeder, leecher string }{
		{"http", "aria2", "Transmission"},
		{"http", "Transmission", "aria2"},
		{"udp", "aria2", "Transmission"},
		{"udp", "Transmission", "aria2"},
	} {
		t.Run(c.scheme+", "+c.seeder+" to "+c.leecher, func(t *testing.T) {
			t.Parallel()
			meet(t, c.scheme, c.seeder, c.leecher, 7001+10*i)
		})
	}
}

func meet(t *testing.T, scheme, seeder, leecher string, port int) {
	address := fmt.Sprintf("%s:%d", meeting, port+2)
	url := scheme + "://" + address + "/announce"
	data := make([]byte, 600_000)
	rand.NewChaCha8([32]byte{5}).Read(data)
	file, hash := metainfoOf(t, url, "room.img", data)
	s := NewServer(Config{Interval: 2 * time.Second, Lookup: func(h metainfo.Hash) (Torrent, bool) {
		return Torrent{Name: "room.img", Size: int64(len(data))}, h == hash
	}})
	run(t, s, address)

	from, to := t.TempDir(), t.TempDir()
	for _, dir := range []string{from, to} {
		if err := os.WriteFile(filepath.Join(dir, "room.torrent"), file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(from, "room.img"), data, 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, seeder, from, port)
	start(t, leecher, to, port+1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	until(ctx, t, s, func(peers []Peer) bool {
		return len(peers) == 2 && peers[0].Left == 0 && peers[1].Left == 0 && peers[0].Address == netip.AddrPortFrom(netip.MustParseAddr(meeting), uint16(port)) &&
			strings.HasPrefix(peers[0].Client, seeder) && strings.HasPrefix(peers[1].Client, leecher)
	})
	if got, err := os.ReadFile(filepath.Join(to, "room.img")); err != nil || !bytes.Equal(got, data) {
		t.Errorf("what was downloaded is not the file (%v)", err)
	}
	if c, _ := s.scrape(hash); c.completed == 0 {
		t.Error("nobody told that he completed")
	}
	r := Request{Hash: hash, Peer: peerID(1), Port: 1, Left: 1}
	if a, err := Announce(ctx, url, r); err != nil || !slices.Contains(a.Peers, netip.MustParseAddrPort(fmt.Sprintf("%s:%d", meeting, port))) {
		t.Errorf("Announce = %+v, %v; want the seeder among the peers", a, err)
	}
}

// until waits until the peers of the one swarm are as they should be.
func until(ctx context.Context, t *testing.T, s *Server, good func([]Peer) bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		all := s.Swarms()
		if len(all) == 1 && good(all[0].Peers) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("the tracker knows %+v", all)
		}
	}
}

// start starts the client on room.torrent in the folder; it runs until the test ends.
func start(t *testing.T, client, dir string, port int) {
	t.Helper()
	args := []string{"transmission-cli", "--config-dir", filepath.Join(dir, "config"), "--download-dir", dir, "--no-portmap", "--port", fmt.Sprint(port)}
	if client == "aria2" {
		args = []string{"aria2c", "--no-conf", "--dir", dir, "--listen-port", fmt.Sprint(port), "--seed-ratio=0", "--check-integrity",
			"--enable-dht", "--dht-listen-port", fmt.Sprint(port), "--dht-file-path", filepath.Join(dir, "dht.dat"), // it has no UDP tracker without
			"--disable-ipv6", "--enable-peer-exchange=false", "--summary-interval=0"}
	}
	args = append(args, filepath.Join(dir, "room.torrent"))
	c := exec.Command(args[0], args[1:]...)
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
		if t.Failed() {
			b := out.Bytes()
			t.Logf("%s said: %s", client, b[max(0, len(b)-2000):])
		}
	})
}

// metainfoOf returns a .torrent of the file, and its info-hash.
func metainfoOf(t *testing.T, url, name string, data []byte) ([]byte, metainfo.Hash) {
	t.Helper()
	const pieceLength = 64 << 10
	var sums []byte
	for piece := range slices.Chunk(data, pieceLength) {
		sum := sha1.Sum(piece)
		sums = append(sums, sum[:]...)
	}
	info, err := bencode.Marshal(map[string]any{"name": name, "length": len(data), "piece length": pieceLength, "pieces": sums, "private": 1})
	if err != nil {
		t.Fatal(err)
	}
	file, err := bencode.Marshal(map[string]any{"announce": url, "info": bencode.Bytes(info)})
	if err != nil {
		t.Fatal(err)
	}
	return file, sha1.Sum(info)
}
