package webui

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aula/appliance/catalog"
	"aula/imagestore"
	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
	"aula/imagestore/torrent/tracker"
	"aula/webui/client"
)

// fakeSwarms is BitTorrent as a test says that it is.
type fakeSwarms struct {
	mu      sync.Mutex
	swarms  []tracker.Swarm
	seeding []torrent.Status
	images  map[metainfo.Hash]imagestore.Image
	offer   *TorrentOffer
}

func (f *fakeSwarms) Swarms() []tracker.Swarm {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.swarms
}

func (f *fakeSwarms) Seeding() []torrent.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.seeding
}

func (f *fakeSwarms) Image(hash metainfo.Hash) (imagestore.Image, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	img, ok := f.images[hash]
	return img, ok
}

func (f *fakeSwarms) Offer() TorrentOffer {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.offer != nil {
		return *f.offer
	}
	return TorrentOffer{Tracker: "http://10.77.0.1:6969/announce", Port: 6881, UploadLimit: 62_500_000}
}

// set changes it as a whole.
func (f *fakeSwarms) set(swarms []tracker.Swarm, seeding []torrent.Status, images map[metainfo.Hash]imagestore.Image) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.swarms, f.seeding, f.images = swarms, seeding, images
}

var (
	winHash = metainfo.Hash{0xc0, 0xff, 0xee}
	oldHash = metainfo.Hash{0xde, 0xad}
)

const winSize = 24 * gigabyte

// peerOf is where the n-th PC of arrive takes peers.
func peerOf(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 77, 0, byte(100 + n)}), 6881)
}

// share puts a room into the middle of a swarm: six PCs that are known, one that fell silent, one that nobody knows, and an
// image that is gone.
func (b *bed) share(img imagestore.Image) {
	b.t.Helper()
	now := b.clock.Now()
	peer := func(n int, had float64, down, up int64) tracker.Peer {
		have := int64(had * winSize)
		return tracker.Peer{
			Address: peerOf(n), Client: "Aula 0.1", Left: winSize - have, Downloaded: have, Uploaded: have * int64(3*n%7) / 5, DownRate: down, UpRate: up,
			Since: now.Add(-4*time.Minute - time.Duration(n)*time.Second), Seen: now.Add(-time.Duration(n) * time.Second),
		}
	}
	peers := []tracker.Peer{
		peer(1, 0.43, 98_000_000, 61_000_000), peer(2, 0.41, 95_000_000, 88_000_000), peer(3, 1, 0, 104_000_000), peer(4, 0.07, 12_000_000, 300_000),
		peer(5, 0.445, 97_000_000, 0), peer(6, 1, 0, 0), peer(7, 0.2, 40_000_000, 0), peer(90, 0.31, 52_000_000, 8_000_000),
	}
	peers[6].Seen = now.Add(-22 * time.Second)
	peers[7].Client, peers[7].Seen = "Transmission 3.00", now
	swarms := []tracker.Swarm{{Hash: winHash, Name: "win11-office.img", Size: winSize, Peers: peers}}
	seeding := []torrent.Status{{
		Hash: winHash, Name: "win11-office.img", Mode: torrent.Seeder, State: torrent.Sharing, Size: winSize, Pieces: 6000, Have: winSize,
		Uploaded: 31_200_000_000, UpRate: 112_000_000,
		Peers: []torrent.PeerStatus{
			{Address: netip.AddrPortFrom(peerOf(1).Addr(), 43112), Client: "Aula 0.1", Have: 2700, Uploaded: 900_000_000, UpRate: 40_000_000, Since: now.Add(-4 * time.Minute)},
			{Address: netip.MustParseAddrPort("[::ffff:10.77.0.111]:50000"), Client: "libtorrent 2.0.8", Have: 120, Uploaded: 480_000_000, UpRate: 11_000_000, Since: now.Add(-time.Minute)},
		},
	}, {
		Hash: oldHash, Name: "debian12_before-the-summer_with-cad-and-statistics.img", State: torrent.Failed, Size: 8 * gigabyte, Pieces: 2000, Have: 8 * gigabyte,
		Err: errors.New("its image was removed"),
	}}
	b.swarms.set(swarms, seeding, map[metainfo.Hash]imagestore.Image{winHash: img})
}

func TestSwarmsJoinWhatIsAnnouncedAndWhatIsSeen(t *testing.T) {
	b := newBed(t)
	room := b.hall("Faculty", "Room-1")
	var pcs []catalog.Computer
	for n := range 7 {
		pcs = append(pcs, b.enrol(room, n+1))
	}
	b.share(b.publish("win11-office", pcs[0], true))
	all, err := b.server.swarms()
	if err != nil || len(all) != 2 {
		t.Fatalf("got %d swarms, %v; want 2", len(all), err)
	}
	w := all[1]
	if w.Title() != "win11-office" || !w.Seeding || w.Complete() != 2 || fmt.Sprintf("%.1f", w.Copies()) != "1.3" || len(w.Peers) != 9 {
		t.Fatalf("got %s, seeding %v, %d complete, %.1f copies, %d peers", w.Title(), w.Seeding, w.Complete(), w.Copies(), len(w.Peers))
	}
	one := w.Peers[0]
	if one.Name() != "pc-01" || one.Address != peerOf(1) || one.Have != winSize*2700/6000 || one.DownRate != 98_000_000 || one.State != peerFetching {
		t.Errorf("pc-01, which announced 43 %% and shows 45 %%: got %+v", one)
	}
	if three := w.Peers[2]; three.Name() != "pc-03" || three.State != peerSharing || three.ComputerID != pcs[2].ID {
		t.Errorf("pc-03, which has all: got %+v", three)
	}
	if seven := w.Peers[6]; seven.Name() != "pc-07" || seven.State != peerSilent || seven.DownRate != 0 {
		t.Errorf("pc-07, not heard for 22 s: got %+v", seven)
	}
	if last := w.Peers[8]; last.Name() != "10.77.0.190" || last.ComputerID != "" {
		t.Errorf("the PC that nobody knows: got %+v", last)
	}
	if direct := w.Peers[7]; direct.Name() != "10.77.0.111" || direct.Client != "libtorrent 2.0.8" || direct.Have != winSize*120/6000 || direct.State != peerFetching {
		t.Errorf("a peer that announced nothing: got %+v", direct)
	}
}

// Two programs on one PC are two peers, each with its own numbers, whatever the ports that they connect from.
func TestTwoProgramsOnOnePCAreToldApart(t *testing.T) {
	b := newBed(t)
	now := b.clock.Now()
	at := func(port uint16) netip.AddrPort { return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port) }
	b.swarms.set([]tracker.Swarm{{Hash: winHash, Name: "a.img", Size: 1000, Peers: []tracker.Peer{
		{Address: at(6881), Client: "aria2 1.36.0", Left: 900, Seen: now}, {Address: at(6882), Client: "Transmission 3.00", Left: 500, Seen: now},
	}}}, []torrent.Status{{Hash: winHash, Name: "a.img", Size: 1000, Pieces: 10, State: torrent.Sharing, Peers: []torrent.PeerStatus{
		{Address: at(40001), Client: "Transmission 3.00", Have: 6}, {Address: at(40002), Client: "aria2 1.36.0", Have: 2},
	}}}, nil)
	all, err := b.server.swarms()
	if err != nil || len(all) != 1 || len(all[0].Peers) != 2 {
		t.Fatalf("got %+v, %v", all, err)
	}
	if a, tr := all[0].Peers[0], all[0].Peers[1]; a.Have != 200 || a.Client != "aria2 1.36.0" || tr.Have != 600 || tr.Client != "Transmission 3.00" {
		t.Errorf("got %s with %d and %s with %d bytes, want aria2 with 200 and Transmission with 600", a.Client, a.Have, tr.Client, tr.Have)
	}
}

// Who left is shown for ten minutes, with how far it was.
func TestPeersThatLeftAreRememberedForAWhile(t *testing.T) {
	b := newBed(t)
	now := b.clock.Now()
	say := func(peers ...tracker.Peer) []swarmPeer {
		t.Helper()
		var swarms []tracker.Swarm
		if len(peers) > 0 {
			swarms = []tracker.Swarm{{Hash: winHash, Name: "a.img", Size: 1000, Peers: peers}}
		}
		b.swarms.set(swarms, nil, nil)
		all, err := b.server.swarms()
		if err != nil {
			t.Fatal(err)
		}
		if len(all) == 0 {
			return nil
		}
		return all[0].Peers
	}
	one := tracker.Peer{Address: peerOf(1), Left: 600, DownRate: 5, Seen: now}
	two := tracker.Peer{Address: peerOf(2), Seen: now}
	say(one, two)
	got := say(two)
	if len(got) != 2 || got[0].State != peerLeft || got[0].Have != 400 || got[0].DownRate != 0 || got[1].State != peerSharing {
		t.Fatalf("after one has left: %+v", got)
	}
	b.clock.move(time.Minute)
	if got := say(); len(got) != 2 || got[0].State != peerLeft || got[1].State != peerLeft {
		t.Errorf("after all have left: %+v", got)
	}
	one.Address = netip.AddrPortFrom(one.Address.Addr(), 7000) // the program was started anew
	one.Seen = b.clock.Now()
	if got := say(one); len(got) != 2 || got[0].State != peerFetching || got[0].Address != one.Address || got[1].State != peerLeft {
		t.Errorf("after one came back: %+v", got)
	}
	b.clock.move(leftFor + time.Second)
	if got := say(); got != nil {
		t.Errorf("after ten minutes: %+v", got)
	}
}

// The appliance closes a torrent that nobody wants and opens it again; what it gave is told in all.
func TestWhatWasGivenIsToldInAll(t *testing.T) {
	b := newBed(t)
	for _, c := range []struct {
		name    string
		open    bool
		given   int64
		want    int64
		seeding bool
	}{{"open", true, 700, 700, true}, {"closed", false, 0, 700, false}, {"opened again", true, 100, 800, true}, {"going on", true, 150, 850, true}, {"closed again", false, 0, 850, false}} {
		var seeding []torrent.Status
		if c.open {
			seeding = []torrent.Status{{Hash: winHash, Name: "a.img", Size: 1000, State: torrent.Sharing, Uploaded: c.given}}
		}
		b.swarms.set(nil, seeding, nil)
		all, err := b.server.swarms()
		if err != nil || len(all) != 1 || all[0].Uploaded != c.want || all[0].Seeding != c.seeding {
			t.Errorf("%s: got %+v, %v; want %d bytes given", c.name, all, err, c.want)
		}
	}
}

func TestTorrentsAreToldAsTheyMove(t *testing.T) {
	b := newBed(t)
	room := b.hall("Faculty", "Room-1")
	pc := b.enrol(room, 1)
	br := b.login(b.serve())
	l := br.listen("topic=torrents&topic=room:"+room.ID+"&last="+b.server.live.last(), "")
	lists := br.listen("last="+b.server.live.last(), "")
	say := func(left int64) {
		b.swarms.set([]tracker.Swarm{{Hash: winHash, Name: "<a>.img", Size: 1000, Peers: []tracker.Peer{
			{Address: peerOf(1), Client: "Aula", Left: left, DownRate: 7, Seen: b.clock.Now()},
		}}}, nil, nil)
	}
	row := func(p patch) bool { return strings.HasPrefix(p.Key, "peer-"+winHash.String()) }
	say(900)
	l.until("the tile says that the PC fetches", func(p patch) bool { return p.Key == "pc-"+pc.ID && strings.Contains(p.HTML, "Fetching") })
	for {
		ev, ok := lists.next("patch")
		if !ok {
			t.Fatal("stream ended before the page was told that there is a torrent")
		}
		if slices.Contains(ev.Changed, "torrents") {
			break
		}
	}
	say(580)
	l.until("the peer's numbers, without HTML", func(p patch) bool { return row(p) && p.HTML == "" && *p.Percent == 42 && p.Fields["down"] == "7 B/s" })
	say(0)
	l.until("that it shares", func(p patch) bool { return row(p) && strings.Contains(p.HTML, "Sharing") })
	b.swarms.set(nil, nil, nil)
	l.until("that it left", func(p patch) bool { return row(p) && strings.Contains(p.HTML, "Left") })
}

func TestTorrentsOfTheAPI(t *testing.T) {
	b := newBed(t)
	c := b.socketClient()
	if all, err := c.Torrents(t.Context()); err != nil || len(all) != 0 {
		t.Fatalf("before anything is shared: got %v, %v", all, err)
	}
	pc := b.enrol(b.hall("Faculty", "Room-1"), 1)
	b.share(b.publish("win11-office", pc, true))
	all, err := c.Torrents(t.Context())
	if err != nil || len(all) != 2 {
		t.Fatalf("got %d torrents, %v; want 2", len(all), err)
	}
	if all[0].Problem != "its image was removed" || all[0].Seeding {
		t.Errorf("the torrent whose image is gone: got %+v", all[0])
	}
	for _, name := range []string{"win11-office", winHash.String()} {
		got, err := c.Torrent(t.Context(), name)
		if err != nil || got.Image != "win11-office" || got.Repository != "main" || got.Uploaded != 31_200_000_000 || got.Complete != 2 || len(got.Peers) != 9 {
			t.Errorf("%s: got %+v, %v", name, got, err)
			continue
		}
		if p := got.Peers[0]; p.Computer != "pc-01" || p.ComputerID != pc.ID || p.State != "fetching" || p.DownRate != 98_000_000 || p.Address != "10.77.0.101:6881" {
			t.Errorf("%s: first peer %+v", name, p)
		}
	}
	if _, err := c.Torrent(t.Context(), "debian"); !errors.Is(err, client.ErrNotFound) || !strings.Contains(err.Error(), "nobody fetches") {
		t.Errorf("a torrent that is not shared: got %v", err)
	}
}

func TestApplianceWithoutBitTorrentSaysHowToHaveIt(t *testing.T) {
	b := newBed(t)
	b.server.cfg.Torrents = nil
	br := b.login(b.serve())
	br.get("/torrents").want(http.StatusOK).has("BitTorrent is off", "[torrent]")
	b.swarms.offer = &TorrentOffer{Port: 6881}
	b.server.cfg.Torrents = b.swarms
	br.get("/torrents").want(http.StatusOK).has("No tracker", "TCP port 6881")
}

func TestStrangersLearnNoInfoHash(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	b.share(b.publish("win11-office", b.enrol(b.hall("Faculty", "Room-1"), 1), true))
	for _, path := range []string{"/torrents", "/api/v1/torrents", "/api/v1/torrents/win11-office", "/api/v1/torrents/" + winHash.String()} {
		got := b.visit(ts).get(path)
		if got.StatusCode == http.StatusOK || strings.Contains(got.body, winHash.String()) {
			t.Errorf("%s: a stranger gets %s:\n%s", path, got.Status, got.body)
		}
	}
}

// What a PC does by BitTorrent is on its tile and its page, unless an operation has it.
func TestTileOfAPCThatFetches(t *testing.T) {
	b := newBed(t)
	room := b.hall("Faculty", "Room-1")
	one, _, three := b.enrol(room, 1), b.enrol(room, 2), b.enrol(room, 3)
	b.share(b.publish("win11-office", one, true))
	br := b.login(b.serve())
	br.get("/computers/"+one.ID).has("Fetching", "45 %", "98 MB/s", "win11-office by BitTorrent")
	br.get("/computers/"+three.ID).has("Ready", "shares win11-office by BitTorrent")
	br.get("/classrooms/"+room.ID).has("45 %", "2 min left")
}
