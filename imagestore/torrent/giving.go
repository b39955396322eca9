package torrent

import "time"

// How many pieces the origin has on their way at once: what its uplink carries in this time, and not fewer than the least.
const (
	givingTime  = 500 * time.Millisecond
	leastGiving = 2 // pieces in all, and to one peer
	// A gift to a peer that has taken nothing for so long may be given to another as well.
	givingStalls = 10 * time.Second
	mostTries    = 64 // pieces for which a taker is looked for at once
)

// A giving is how the origin of a file spends its uplink: each piece goes once, to one peer, which passes it on; only then are there second
// copies, of what the fewest have. It is superseeding (BEP 16) that does not wait: the origin says "have" of a piece to the peer
// that shall fetch it. Peers that share nothing, or do not get on, are told of everything.
type giving struct {
	swarm   *swarm
	unheld  bitset // pieces that no peer has and that none is being given
	gifts   map[int]gift
	size    int64         // bytes of the pieces being given
	sole    []*peer       // the only peer that has a piece
	burdens map[*peer]int // how many pieces only that peer has
	second  []int         // pieces that may be given a second time, the rarest first
}

type gift struct {
	peer  *peer
	since time.Time
}

func newGiving(s *swarm) *giving {
	g := &giving{swarm: s, unheld: newBitset(s.meta.Count()), gifts: map[int]gift{}, sole: make([]*peer, s.meta.Count()), burdens: map[*peer]int{}}
	for i := range s.meta.Count() {
		g.unheld.set(i)
	}
	return g
}

// gained notes that a peer has a piece; the caller gives when it has noted all that there are.
func (g *giving) gained(p *peer, index int) {
	p.grew = time.Now()
	g.unheld.clear(index)
	if given, ok := g.gifts[index]; ok && given.peer == p {
		g.end(index)
	}
	switch g.swarm.picker.holders[index] {
	case 1:
		g.sole[index] = p
		g.burdens[p]++
	case 2:
		g.relieve(index)
	}
}

// lost notes that a peer has a piece no longer.
func (g *giving) lost(p *peer, index int) {
	if g.sole[index] == p {
		g.relieve(index)
	}
	g.missed(index)
}

// missed makes a piece be given again if nobody has it.
func (g *giving) missed(index int) {
	if _, given := g.gifts[index]; !given && g.swarm.picker.holders[index] == 0 {
		g.unheld.set(index)
	}
}

func (g *giving) relieve(index int) {
	if p := g.sole[index]; p != nil {
		g.burdens[p]--
		g.sole[index] = nil
	}
}

// left notes that a peer is gone, and what it had with it.
func (g *giving) left(p *peer) {
	for index, given := range g.gifts {
		if given.peer == p {
			g.end(index)
		}
	}
	for i := range p.has.all {
		if g.sole[i] == p {
			g.sole[i] = nil
		}
	}
	delete(g.burdens, p)
	for i := range g.unheld.size {
		g.missed(i)
	}
	g.give()
}

// end ends a gift, taken or not.
func (g *giving) end(index int) {
	given := g.gifts[index]
	given.peer.gifts--
	g.size -= g.swarm.meta.Size(index)
	delete(g.gifts, index)
}

// give gives pieces as long as the uplink is not full with those on their way.
func (g *giving) give() {
	s := g.swarm
	most := max(int64(s.up.rate*givingTime.Seconds()), leastGiving*s.meta.PieceLength)
	for g.size < most {
		index, p := g.next()
		if p == nil {
			return
		}
		g.unheld.clear(index)
		g.gifts[index] = gift{p, time.Now()}
		g.size += s.meta.Size(index)
		p.gifts++
		s.tell(p, index)
	}
}

// next chooses the piece to be given next and who gets it; nobody if there is nothing to give now.
func (g *giving) next() (index int, to *peer) {
	takers := g.takers()
	if len(takers) == 0 {
		return 0, nil
	}
	tries := 0
	for i := range g.unheld.all { // in the order of the file, as disks like it
		if p := g.best(takers, i); p != nil {
			return i, p
		}
		if tries++; tries == mostTries {
			break
		}
	}
	if g.unheld.count > 0 {
		return 0, nil
	}
	for len(g.second) > 0 {
		i := g.second[0]
		g.second = g.second[1:]
		if _, given := g.gifts[i]; given {
			continue
		}
		if p := g.best(takers, i); p != nil {
			return i, p
		}
	}
	return 0, nil
}

// takers are the peers that may be given one more piece.
func (g *giving) takers() (takers []*peer) {
	least := leastGiving * g.swarm.meta.PieceLength
	for p := range g.swarm.peers {
		if p.gifts > 0 && !p.wants {
			continue // it has not taken the first
		}
		if !p.closed && !p.choking && int64(p.gifts)*g.swarm.meta.PieceLength < max(least, int64(p.up.rate*givingTime.Seconds())) {
			takers = append(takers, p)
		}
	}
	return takers
}

// best is the one that should be given a piece: that is being given few, and has few that it has not passed on.
func (g *giving) best(takers []*peer, index int) (best *peer) {
	for _, p := range takers {
		if !p.has.has(index) && !p.told.has(index) && (best == nil || g.load(p) < g.load(best)) {
			best = p
		}
	}
	return best
}

// load is how much a peer has to do for the room.
func (g *giving) load(p *peer) int { return 4*p.gifts + g.burdens[p] }

// look is called at each tick.
func (g *giving) look(now time.Time) {
	for index, given := range g.gifts {
		if now.Sub(given.since) > givingStalls && now.Sub(given.peer.took) > givingStalls {
			g.end(index)
			g.missed(index)
		}
	}
	for p := range g.swarm.peers {
		if p.says.Silent || now.Sub(p.grew) > givingStalls && now.Sub(p.took) > givingStalls && !p.has.full() {
			g.tellAll(p)
		}
	}
	if g.unheld.count == 0 && len(g.second) == 0 {
		g.refill()
	}
	g.give()
}

// refill finds the pieces of which there should be second copies: those that the fewest have.
func (g *giving) refill() {
	fewest := -1
	for i, n := range g.swarm.picker.holders {
		if _, given := g.gifts[i]; given || n >= len(g.swarm.peers) {
			continue
		}
		if fewest < 0 || n < fewest {
			fewest, g.second = n, g.second[:0]
		}
		if n == fewest {
			g.second = append(g.second, i)
		}
	}
}

// tellAll tells a peer of every piece.
func (g *giving) tellAll(p *peer) {
	if p.told.full() {
		return
	}
	for i := range g.swarm.readable.all {
		g.swarm.tell(p, i)
	}
}
