package webui

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"aula/imagestore"
	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
	"aula/imagestore/torrent/tracker"
)

// Torrents tells how images move by BitTorrent now; the appliance gives one.
type Torrents interface {
	// Swarms is what peers announced to the tracker, by name; nil without a tracker.
	Swarms() []tracker.Swarm
	// Seeding is what the appliance itself gives, and to whom, by name; nil when it gives nothing.
	Seeding() []torrent.Status
	// Image returns the image of a torrent; its repository is named in it.
	Image(metainfo.Hash) (imagestore.Image, bool)
	// Offer says where it takes peers.
	Offer() TorrentOffer
}

// A TorrentOffer is where peers find the appliance.
type TorrentOffer struct {
	Tracker     string // URL to announce to; empty when there is no tracker
	Port        int    // TCP, of the seeder; 0 when it gives nothing
	UploadLimit int64  // bytes a second that it gives at most; 0 for no limit
}

// silentAfter is how long a peer says nothing before it is shown as silent: it has missed an announce. A tracker forgets it after three.
const silentAfter = 15 * time.Second

// What a peer does.
const (
	peerFetching = "fetching"
	peerSharing  = "sharing"
	peerSilent   = "silent"
	peerLeft     = "left"
)

// A swarm is a torrent and who is there for it: what peers told the tracker, and what the seeder sees of them.
type swarm struct {
	Hash     metainfo.Hash
	Name     string // of the file
	Image    imagestore.Image
	Known    bool // Image is the appliance's
	Size     int64
	Seeding  bool  // the appliance has it open
	Err      error // why it gives it no more
	Uploaded int64 // bytes that the appliance gave
	UpRate   int64 // bytes a second
	Peers    []swarmPeer

	open bool // the appliance tells of it
	over bool // it is remembered only
}

// Title is the image's name, or the file's.
func (w swarm) Title() string {
	if w.Known {
		return w.Image.Name
	}
	return w.Name
}

// Copies is how many times over the appliance has given the file.
func (w swarm) Copies() float64 { return ratio(w.Uploaded, w.Size) }

// Present is how many peers there are, those that left not counted, and Complete how many of them have all of it.
func (w swarm) Present() int { return w.countPeers(func(swarmPeer) bool { return true }) }

// Complete is documented with Present.
func (w swarm) Complete() int {
	return w.countPeers(func(p swarmPeer) bool { return p.Have >= w.Size })
}

func (w swarm) countPeers(is func(swarmPeer) bool) int {
	n := 0
	for _, p := range w.Peers {
		if p.State != peerLeft && is(p) {
			n++
		}
	}
	return n
}

// A swarmPeer is one program on one PC.
type swarmPeer struct {
	Address    netip.AddrPort
	ComputerID string // empty when the address is of no PC that is known
	Computer   string // its name
	Client     string
	State      string
	Have       int64 // bytes
	Downloaded int64
	Uploaded   int64
	DownRate   int64 // bytes a second
	UpRate     int64
	Since      time.Time
	Seen       time.Time // when it was last heard
	Gone       time.Time // when it left
}

// Name is the PC's, or the address of one that nobody knows.
func (p swarmPeer) Name() string { return cmp.Or(p.Computer, p.Address.Addr().String()) }

// Ratio is what it gave for what it got; of who had all of it from the start, for the whole file.
func (p swarmPeer) Ratio() float64 {
	if p.Downloaded > 0 {
		return ratio(p.Uploaded, p.Downloaded)
	}
	return ratio(p.Uploaded, p.Have)
}

func ratio(n, of int64) float64 {
	if of <= 0 {
		return 0
	}
	return float64(n) / float64(of)
}

// swarms returns those that there are now, by name.
func (s *Server) swarms() ([]swarm, error) {
	if s.cfg.Torrents == nil {
		return nil, nil
	}
	byHash := map[metainfo.Hash]*swarm{}
	var order []*swarm
	at := func(hash metainfo.Hash, name string, size int64) *swarm {
		w := byHash[hash]
		if w == nil {
			w = &swarm{Hash: hash, Name: name, Size: size}
			w.Image, w.Known = s.cfg.Torrents.Image(hash)
			byHash[hash] = w
			order = append(order, w)
		}
		return w
	}
	for _, told := range s.cfg.Torrents.Swarms() {
		w := at(told.Hash, told.Name, told.Size)
		for _, p := range told.Peers {
			w.Peers = append(w.Peers, swarmPeer{
				Address: unmapped(p.Address), Client: p.Client, Have: max(0, told.Size-max(0, p.Left)), Downloaded: p.Downloaded, Uploaded: p.Uploaded,
				DownRate: p.DownRate, UpRate: p.UpRate, Since: p.Since, Seen: p.Seen,
			})
		}
	}
	now := s.now()
	for _, status := range s.cfg.Torrents.Seeding() {
		at(status.Hash, status.Name, status.Size).seen(status, now)
	}
	for _, w := range s.leavers.over(func(h metainfo.Hash) bool { return byHash[h] != nil }, now) {
		past := at(w.Hash, w.Name, w.Size)
		past.Err, past.over = w.Err, true
	}
	if len(order) == 0 {
		return nil, nil
	}
	names, err := s.computersByAddress()
	if err != nil {
		return nil, err
	}
	all := make([]swarm, len(order))
	for i, w := range order {
		s.leavers.look(w, now)
		w.settle(names, now)
		all[i] = *w
	}
	slices.SortFunc(all, func(a, b swarm) int {
		return cmp.Or(strings.Compare(a.Title(), b.Title()), strings.Compare(a.Hash.String(), b.Hash.String()))
	})
	return all, nil
}

// seen adds what the appliance's own seeder sees. A connection comes from another port than the one that a peer announced, so that a
// peer is found by its address and, where several run on one PC, by its program.
func (w *swarm) seen(status torrent.Status, now time.Time) {
	w.open, w.Seeding, w.Err = true, status.State != torrent.Failed, status.Err
	w.Uploaded, w.UpRate = status.Uploaded, status.UpRate
	announced := len(w.Peers)
	met := make([]bool, announced)
	for _, p := range status.Peers {
		address := unmapped(p.Address)
		best := -1
		for i := range announced {
			if met[i] || w.Peers[i].Address.Addr() != address.Addr() {
				continue
			}
			if best < 0 || w.Peers[i].Address == address || w.Peers[i].Client == p.Client && w.Peers[best].Client != p.Client {
				best = i
			}
		}
		if best < 0 {
			w.Peers = append(w.Peers, swarmPeer{Address: address, Since: p.Since})
			best = len(w.Peers) - 1
		} else {
			met[best] = true
		}
		w.Peers[best].meet(p, status, now)
	}
}

// meet takes up what a connection shows, which is later than what was announced.
func (p *swarmPeer) meet(seen torrent.PeerStatus, of torrent.Status, now time.Time) {
	p.Client = cmp.Or(seen.Client, p.Client)
	if of.Pieces > 0 {
		p.Have = max(p.Have, int64(float64(of.Size)*(float64(seen.Have)/float64(of.Pieces))))
	}
	p.Downloaded, p.Uploaded = max(p.Downloaded, seen.Uploaded), max(p.Uploaded, seen.Downloaded)
	p.DownRate, p.UpRate = max(p.DownRate, seen.UpRate), max(p.UpRate, seen.DownRate)
	p.Seen = now
}

// settle names the peers, tells what they do, and puts them in the order of the catalog.
func (w *swarm) settle(names map[netip.Addr]pcName, now time.Time) {
	for i := range w.Peers {
		p := &w.Peers[i]
		name := names[p.Address.Addr()]
		p.ComputerID, p.Computer = name.ID, name.Name
		switch {
		case p.State == peerLeft:
			p.DownRate, p.UpRate = 0, 0
		case now.Sub(p.Seen) > silentAfter:
			p.State, p.DownRate, p.UpRate = peerSilent, 0, 0
		case p.Have >= w.Size:
			p.State, p.DownRate = peerSharing, 0
		default:
			p.State = peerFetching
		}
	}
	slices.SortStableFunc(w.Peers, func(a, b swarmPeer) int {
		first, second := names[a.Address.Addr()].Place, names[b.Address.Addr()].Place
		if (first == 0) != (second == 0) { // those that nobody knows come last
			return cmp.Compare(second, first)
		}
		return cmp.Or(cmp.Compare(first, second), a.Address.Compare(b.Address))
	})
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

// A pcName is a PC of the catalog, and its place there.
type pcName struct {
	ID, Name string
	Place    int // from 1
}

// computersByAddress finds PCs by where they are now, or were when they were last connected.
func (s *Server) computersByAddress() (map[netip.Addr]pcName, error) {
	computers, err := s.cfg.Catalog.Computers()
	if err != nil {
		return nil, err
	}
	names := make(map[netip.Addr]pcName, len(computers))
	seen := make(map[netip.Addr]time.Time, len(computers))
	for i, pc := range computers {
		address, connected := s.addressOf(pc.ID, pc.Address)
		last := pc.LastSeen
		if connected {
			last = s.now()
		}
		if _, taken := names[address]; !address.IsValid() || taken && !last.After(seen[address]) {
			continue
		}
		name := pcName{pc.ID, pc.Name, i + 1}
		if pc.Name == "" { // pending: after those that have one
			name.Place += len(computers)
		}
		names[address], seen[address] = name, last
	}
	return names, nil
}

// addressOf is where a PC is.
func (s *Server) addressOf(id, last string) (address netip.Addr, connected bool) {
	if session, ok := s.cfg.Roster.Session(id); ok {
		return session.Address.Unmap(), true
	}
	address, _ = netip.ParseAddr(last)
	return address.Unmap(), false
}
