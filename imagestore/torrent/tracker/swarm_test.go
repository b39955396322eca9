package tracker

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"aula/imagestore/torrent/metainfo"
	"aula/imagestore/torrent/wire"
)

// says announces the peer of that number from its address in the room.
func says(t *testing.T, s *Server, n int, left int64, e Event) answer {
	t.Helper()
	r := request(n, left)
	r.Event = e
	a, err := s.announce(asker{addr: roomAddr(n)}, r, -1)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func addresses(s *Server) []netip.AddrPort {
	var all []netip.AddrPort
	for _, w := range s.Swarms() {
		for _, p := range w.Peers {
			all = append(all, p.Address)
		}
	}
	return all
}

func TestSilentPeersAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(Config{Lookup: library})
		says(t, s, 1, 0, Started)
		says(t, s, 2, 5, Started)
		time.Sleep(3 * DefaultInterval)
		says(t, s, 1, 0, None)
		if n := len(addresses(s)); n != 2 {
			t.Errorf("%d peers after three intervals, want 2", n)
		}
		time.Sleep(time.Second)
		if a := says(t, s, 3, 5, Started); !slices.Equal(a.peers, []netip.AddrPort{netip.AddrPortFrom(roomAddr(1), 7001)}) || a.leechers != 1 {
			t.Errorf("a newcomer is told %+v, want of the one who still speaks", a)
		}
		time.Sleep(4 * DefaultInterval)
		if all := addresses(s); len(all) != 0 || s.peers != 0 {
			t.Errorf("%v are there though all are silent (%d counted)", all, s.peers)
		}
		time.Sleep(forget + DefaultInterval)
		s.announce(asker{addr: roomAddr(4)}, Request{Hash: linux, Port: 1}, -1)
		if len(s.swarms) != 1 {
			t.Errorf("%d torrents are kept, want the one that somebody asks for", len(s.swarms))
		}
	})
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(Config{Lookup: library})
		r := request(1, 1000)
		at := func(up, down int64, wantUp, wantDown int64) {
			t.Helper()
			r.Uploaded, r.Downloaded = up, down
			if _, err := s.announce(asker{addr: roomAddr(1)}, r, -1); err != nil {
				t.Fatal(err)
			}
			if p := s.Swarms()[0].Peers[0]; p.UpRate != wantUp || p.DownRate != wantDown {
				t.Errorf("rates are %d up, %d down; want %d, %d", p.UpRate, p.DownRate, wantUp, wantDown)
			}
		}
		at(100, 0, 0, 0) // what it did before it came says nothing of now
		time.Sleep(10 * time.Second)
		at(600, 2000, 50, 200)
		time.Sleep(100 * time.Millisecond)
		at(610, 2400, 50, 200) // too soon to tell
		time.Sleep(9900 * time.Millisecond)
		at(700, 2500, 10, 50)
		time.Sleep(10 * time.Second)
		at(0, 100, 0, 0) // counts anew
		time.Sleep(10 * time.Second)
		at(0, 200, 0, 10)
	})
}

func TestCompletionsAreCountedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		s := NewServer(Config{Lookup: library})
		says(t, s, 1, 5, Started)
		says(t, s, 1, 0, Completed)
		says(t, s, 1, 0, Completed)
		says(t, s, 2, 0, Completed)
		says(t, s, 2, 0, Stopped)
		says(t, s, 3, 0, Started) // had it before
		says(t, s, 4, 5, Started)
		says(t, s, 4, 0, None)
		says(t, s, 4, 0, Completed)
		says(t, s, 5, 5, Started)
		says(t, s, 5, 0, Stopped) // shares nothing, and so tells it as it leaves
		says(t, s, 5, 0, Stopped)
		says(t, s, 6, 5, Started)
		says(t, s, 6, 3, Stopped) // gave up
		says(t, s, 7, 0, Stopped) // was never here
		if c, ok := s.scrape(windows); !ok || c != (count{seeders: 3, completed: 4}) {
			t.Errorf("scrape = %+v, %v; want three seeders and four completions", c, ok)
		}
		if c, ok := s.scrape(linux); !ok || c != (count{}) {
			t.Errorf("scrape of a torrent without peers = %+v, %v", c, ok)
		}
		if _, ok := s.scrape(unknown); ok {
			t.Error("an unknown torrent is scraped")
		}
	})
}

func TestSeedersAreToldOfNoSeeders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		s := NewServer(Config{Lookup: library})
		says(t, s, 1, 0, Started)
		says(t, s, 2, 5, Started)
		if a := says(t, s, 3, 0, Started); len(a.peers) != 1 || a.peers[0].Port() != 7002 {
			t.Errorf("a seeder is told of %v, want the leecher only", a.peers)
		}
		if a := says(t, s, 4, 5, Started); len(a.peers) != 3 {
			t.Errorf("a leecher is told of %v, want all three", a.peers)
		}
	})
}

// Those who give on demand are told first to all who lack something, and counted once.
func TestSeedersOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		here := netip.MustParseAddrPort("0.0.0.0:6881")
		there := netip.MustParseAddrPort("10.0.0.9:6881")
		s := NewServer(Config{Lookup: func(h metainfo.Hash) (Torrent, bool) {
			return Torrent{Name: "w", Size: 100, Seeders: []netip.AddrPort{here, there}}, true
		}})
		for n := range 60 {
			says(t, s, 20+n, 5, Started)
		}
		from := asker{addr: roomAddr(1), local: netip.MustParseAddr("10.0.0.254")}
		a, err := s.announce(from, request(1, 5), 4)
		if err != nil {
			t.Fatal(err)
		}
		if want := []netip.AddrPort{netip.MustParseAddrPort("10.0.0.254:6881"), there}; len(a.peers) != 4 || !slices.Equal(a.peers[:2], want) {
			t.Errorf("told of %v, want %v and two others", a.peers, want)
		}
		if a.seeders != 2 || a.leechers != 61 {
			t.Errorf("%d seeders and %d leechers, want 2 and 61", a.seeders, a.leechers)
		}
		if a, _ = s.announce(from, request(1, 5), 1); len(a.peers) != 1 {
			t.Errorf("told of %v though it wants one", a.peers)
		}
		if a, _ = s.announce(from, request(1, 0), 0); len(a.peers) != 0 {
			t.Errorf("told of %v though it wants none", a.peers)
		}
		if a = says(t, s, 2, 0, Started); slices.Contains(a.peers, there) {
			t.Error("a seeder is told of seeders")
		}
	})
}

// A peer on the tracker's machine that found it by loopback is told to the room by the address that the room knows.
func TestPeerBesideTheTracker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		s := NewServer(Config{Lookup: library})
		loopback := netip.MustParseAddr("127.0.0.1")
		if _, err := s.announce(asker{addr: loopback, local: loopback}, request(1, 0), -1); err != nil {
			t.Fatal(err)
		}
		a, err := s.announce(asker{addr: roomAddr(2), local: netip.MustParseAddr("10.0.0.254")}, request(2, 5), -1)
		if err != nil || len(a.peers) != 1 || a.peers[0] != netip.MustParseAddrPort("10.0.0.254:7001") {
			t.Errorf("the room is told of %v, %v; want 10.0.0.254:7001", a.peers, err)
		}
		a, err = s.announce(asker{addr: loopback, local: loopback}, request(3, 5), -1)
		if err != nil || !slices.Contains(a.peers, netip.MustParseAddrPort("127.0.0.1:7001")) {
			t.Errorf("who is on the machine is told of %v, %v; want 127.0.0.1:7001", a.peers, err)
		}
	})
}

// A PC that lost power comes back with another peer ID at the same port; what its former self says late does not count.
func TestPeerStartsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		s := NewServer(Config{Lookup: library})
		from := asker{addr: roomAddr(1)}
		before, after := request(1, 5), request(1, 3)
		after.Peer = peerID(99)
		moved := after
		moved.Port = 9999
		for _, r := range []Request{before, after} {
			if _, err := s.announce(from, r, -1); err != nil {
				t.Fatal(err)
			}
		}
		before.Event = Stopped
		if _, err := s.announce(from, before, -1); err != nil {
			t.Fatal(err)
		}
		if p := s.Swarms()[0].Peers; len(p) != 1 || p[0].Left != 3 {
			t.Fatalf("peers are %+v, want the one that came last", p)
		}
		if _, err := s.announce(from, moved, -1); err != nil {
			t.Fatal(err)
		}
		if all := addresses(s); len(all) != 1 || all[0].Port() != 9999 {
			t.Errorf("peers are at %v, want the new port only", all)
		}
		moved.Event = Stopped
		if _, err := s.announce(from, moved, -1); err != nil || s.peers != 0 || len(s.Swarms()) != 0 {
			t.Errorf("%d peers after the last has gone (%v)", s.peers, err)
		}
	})
}

func TestOneMachineEvictsNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		s := NewServer(Config{Lookup: library})
		for n := range 30 {
			says(t, s, n, 5, Started)
		}
		evil := asker{addr: netip.MustParseAddr("10.9.9.9")}
		for n := range 500 {
			r := request(0, 5)
			r.Peer, r.Port = peerID(1000+n), uint16(1+n)
			if _, err := s.announce(evil, r, -1); err != nil {
				t.Fatal(err)
			}
		}
		counts := map[netip.Addr]int{}
		for _, a := range addresses(s) {
			counts[a.Addr()]++
		}
		if len(counts) != 31 || counts[evil.addr] != maxPeersAddress || s.peers != 30+maxPeersAddress {
			t.Errorf("%d machines, of which the hostile is there %d times, and %d peers; want 31, %d and %d", len(counts), counts[evil.addr], s.peers,
				maxPeersAddress, 30+maxPeersAddress)
		}
	})
}

func TestFullTorrentTakesNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		s := NewServer(Config{Lookup: library})
		says(t, s, 1, 5, Started)
		w := s.swarms[windows]
		for n := 2; n <= maxPeersTorrent; n++ {
			at := netip.AddrPortFrom(roomAddr(n), 1)
			w.peers[at] = &member{id: peerID(n), Peer: Peer{Address: at, Left: 5, Seen: time.Now()}}
		}
		_, err := s.announce(asker{addr: netip.MustParseAddr("10.9.9.9")}, request(1, 5), -1)
		if r, ok := errors.AsType[refused](err); !ok || r.kind != "full" {
			t.Errorf("announce = %v, want that the tracker is full", err)
		}
		if a := says(t, s, 1, 5, None); len(a.peers) != maxTold {
			t.Errorf("who is known is told of %d peers, want %d", len(a.peers), maxTold)
		}
	})
}

// In a room where each is told of no more than 12, everybody is reached from everybody else over few others, and nobody has a crowd of
// connections: after the first announces, which come one after the other, as well as later on.
func TestRoomIsOneWeb(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		const peers, want = 300, 12
		s := NewServer(Config{Lookup: library})
		known := make([]map[int]bool, peers)
		for n := range known {
			known[n] = map[int]bool{}
		}
		round := func() {
			for n := range peers {
				a, err := s.announce(asker{addr: roomAddr(n)}, request(n, 5), want)
				if err != nil {
					t.Fatal(err)
				}
				if len(a.peers) > want {
					t.Fatalf("told of %d peers, want %d at most", len(a.peers), want)
				}
				for _, p := range a.peers {
					o := int(p.Port()) - 7000
					if known[n][o] || len(known[n]) < want { // a client opens no more of its own than it wants
						known[n][o], known[o][n] = true, true
					}
				}
			}
		}
		check := func(when string) {
			t.Helper()
			reached, diameter, fewest, most := spread(known)
			t.Logf("%s: diameter %d, %d to %d connections", when, diameter, fewest, most)
			if reached != peers {
				t.Fatalf("%s: a peer reaches %d of %d", when, reached, peers)
			}
			if diameter > 5 || most > 4*want {
				t.Errorf("%s: diameter is %d and a peer has %d connections, want at most 5 and %d", when, diameter, most, 4*want)
			}
		}
		round()
		check("first announces")
		round()
		check("second announces")
	})
}

// spread returns how many the first reaches, the longest of all shortest ways, and the fewest and most that anyone knows.
func spread(known []map[int]bool) (reached, diameter, fewest, most int) {
	fewest = len(known)
	for start := range known {
		fewest, most = min(fewest, len(known[start])), max(most, len(known[start]))
		far := map[int]int{start: 0}
		for queue := []int{start}; len(queue) > 0; queue = queue[1:] {
			for o := range known[queue[0]] {
				if _, ok := far[o]; !ok {
					far[o] = far[queue[0]] + 1
					diameter = max(diameter, far[o])
					queue = append(queue, o)
				}
			}
		}
		if start == 0 {
			reached = len(far)
		}
	}
	return reached, diameter, fewest, most
}

func TestClientNames(t *testing.T) {
	for _, c := range []struct{ id, agent, want string }{
		{"-AR1360-abcdefghijkl", "", "aria2 1.3.6"},
		{"A2-1-36-0-abcdefghij", "", "aria2 1.36.0"},
		{"A2-1-3x-0-abcdefghij", "", "aria2"},
		{"-TR3000-abcdefghijkl", "Transmission/3.00", "Transmission 3.0"},
		{"-AU0100-abcdefghijkl", "Aula", "Aula 0.1"},
		{"-ZZ0100-abcdefghijkl", "Zz/1 \x1b[31m", "Zz/1 [31m"},
		{"-ZZ0100-abcdefghijkl", "", "ZZ0100"},
		{"T03I-----abcdefghijk", "BitTornado/T-0.3.18", "BitTornado/T-0.3.18"},
		{"\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13", "", ""},
	} {
		if got := clientName(wire.PeerID([]byte(c.id)), c.agent); got != c.want {
			t.Errorf("clientName(%q, %q) = %q, want %q", c.id, c.agent, got, c.want)
		}
	}
}
