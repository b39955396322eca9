package multicast

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"
)

// What a schedule goes by.
const (
	// window is how many datagrams may be under way to a receiver that gates the flow: less than what its kernel keeps for it.
	window = 6144
	// span is how many blocks may lie between the first that is not settled and the newest.
	span = 4096

	announceEvery = 250 * time.Millisecond // commands, while it waits for receivers
	commandEvery  = 50 * time.Millisecond  // while it sends
	idleEvery     = 10 * time.Millisecond  // while it waits for reports
	probeTime     = 1500 * time.Millisecond
	stoodStill    = time.Second // between two steps: far more than any of them takes

	// hopeless is how many times a block is sent in a pass before a receiver that still lacks a part of it is left behind.
	hopeless = 6
)

// A schedule decides what a sender sends next. It is pure: it is told of reports and of the time, and sends nothing itself.
//
// The content is sent in passes. A pass goes over the blocks once, in ascending order, skips those that no active receiver wants, and
// mends what is lost on the way. What receivers miss that came late, were slow, or fell silent, is left to the next pass.
type schedule struct {
	computers int
	patience  time.Duration // for the computers to come
	linger    time.Duration // for the silent to come back
	sources   func(block int64) int

	phase     Phase
	reason    string // why it ended, when not well
	startNow  bool
	startedAt time.Time // when enough had come
	beganAt   time.Time // when the first pass began
	sequence  int64     // of the last symbol
	size      int64     // bytes
	total     int64     // blocks; maxBlocks while a stream has not ended
	readable  int64     // blocks that are there to be sent: as many as total, but of a stream
	gone      int64     // blocks before it can no longer be had
	anew      bool      // the pass has to be begun anew, for one that came late
	commandAt time.Time // when the next command is due
	nextAt    time.Time // when it was last asked what is next

	audience audience
	pass     pass
	question question

	repaired []uint8 // of each block, how many symbols after its source symbols were sent, round and round
	once     Blocks  // blocks of which the source symbols were sent
	symbols  int64   // datagrams of symbols
	repairs  int64   // of them, those that are not the first of a source symbol
}

// A pass goes over the blocks once.
type pass struct {
	number uint16
	target *listener           // the only receiver it is for, whom the group does not reach; nil for the group
	at     time.Time           // when it began
	base   int64               // blocks before it are settled
	cursor int64               // next block to look at
	log    map[int64]*sendings // of the blocks from base to cursor that were sent
	open   *sendings           // the block whose source symbols are being sent; nil between blocks
	queue  []int64             // blocks of which repairs are wanted
	last   int64               // sequence of its last symbol
}

// sendings is what was sent of one block in this pass.
type sendings struct {
	block  int64
	spans  []burst
	sent   int  // symbols
	source int  // source symbols that are still to be sent: the last ones
	wanted int  // repair symbols that are still to be sent
	queued bool // in the pass's queue
}

// A burst is symbols of a block that were sent one after another.
type burst struct{ first, count int64 } // sequence, datagrams

// underWay counts the symbols of the block that were sent after a receiver heard that sequence, or are still to be.
func (s *sendings) underWay(heard int64) int {
	n := int64(s.source + s.wanted)
	for _, b := range s.spans {
		n += min(max(b.first+b.count-1-heard, 0), b.count)
	}
	return int(n)
}

// A step is what to do next.
type step struct {
	do       action
	until    time.Time      // wait
	sequence int64          // symbols: of the first
	to       netip.AddrPort // invalid for the group
	block    int64
	first    int // symbol
	count    int
}

type action int

const (
	wait action = iota
	sendSymbols
	sendCommand
	end
)

// next decides what to do at that time; most is how many symbols may leave at once.
func (s *schedule) next(now time.Time, most int) step {
	if s.phase == Ended {
		return step{do: end}
	}
	s.awake(now)
	s.audience.observe(now, s.sequence, s.pass.target == nil && s.phase != Waiting)
	switch {
	case !now.Before(s.commandAt):
		return s.command(now)
	case s.phase == Waiting:
		return s.await(now)
	case s.question.open(now, &s.audience):
		return s.idle(now)
	default:
		return s.advance(now, most)
	}
}

// awake makes up for a time in which the sender stood still, as when its machine was suspended: in it nobody could be heard.
func (s *schedule) awake(now time.Time) {
	if gap := now.Sub(s.nextAt); gap > stoodStill && !s.nextAt.IsZero() {
		for _, l := range s.audience.list {
			l.last = l.last.Add(gap)
		}
		if !s.question.until.IsZero() {
			s.question.until = s.question.until.Add(gap)
		}
	}
	s.nextAt = now
}

// command says when the next one is due.
func (s *schedule) command(now time.Time) step {
	s.commandAt = now.Add(commandEvery)
	if s.phase == Waiting && s.startedAt.IsZero() {
		s.commandAt = now.Add(announceEvery)
	}
	if s.question.casual {
		s.question.next()
	}
	return step{do: sendCommand}
}

// idle waits for reports.
func (s *schedule) idle(now time.Time) step {
	if soon := now.Add(idleEvery); s.commandAt.After(soon) {
		s.commandAt = soon
	}
	return step{do: wait, until: s.commandAt}
}

// await starts when enough receivers have come, and those have said whether the group reaches them.
func (s *schedule) await(now time.Time) step {
	if s.startedAt.IsZero() {
		here, first := s.audience.here(now)
		full := s.computers > 0 && here >= s.computers
		late := (s.patience > 0 || s.computers == 0) && !now.Before(first.Add(s.patience))
		if here == 0 || !full && !late && !s.startNow {
			return step{do: wait, until: s.commandAt}
		}
		s.startedAt = now
		return s.command(now)
	}
	if now.Before(s.startedAt.Add(probeTime)) && !s.audience.reached() {
		return s.idle(now)
	}
	s.beganAt = now
	s.phase = Sending
	return s.begin(now)
}

// begin starts the next pass: for all whom the group reaches, else for one whom it does not.
func (s *schedule) begin(now time.Time) step {
	if s.pass.number > 0 && s.total < maxBlocks {
		s.phase = CatchingUp
	}
	s.anew = false
	s.pass = pass{
		number: s.pass.number + 1,
		target: s.audience.summon(now, s.sequence),
		at:     now,
		last:   s.sequence,
		base:   s.gone,
		cursor: s.gone,
		log:    map[int64]*sendings{},
	}
	s.question.casual = false
	s.question.ask(now, &s.audience)
	return s.command(now)
}

// advance sends what is due in this pass, or begins the next one.
func (s *schedule) advance(now time.Time, most int) step {
	if s.anew || s.pass.target != nil && s.audience.groupWaits(now, s.total) {
		return s.begin(now) // many before one
	}
	s.settle()
	if s.pass.over(&s.audience, s.total) {
		return s.turn(now)
	}
	if !s.question.due(now, window/2) {
		if st, ok := s.symbolsDue(now, most); ok {
			return st
		}
	}
	if !s.question.half {
		s.audience.impatient(now, s.pass.at)
		return s.idle(now)
	}
	if again := s.question.asked.Add(idleEvery); now.Before(again) {
		return step{do: wait, until: again}
	}
	s.question.ask(now, &s.audience)
	return s.command(now)
}

// settle moves the base over the blocks that no active receiver lacks.
func (s *schedule) settle() {
	p := &s.pass
	for base := s.audience.low(p.base, p.cursor); p.base < base; p.base++ {
		delete(p.log, p.base)
	}
}

// over tells whether all that the active receivers wanted of the pass has come to them, or none is active any more.
func (p *pass) over(a *audience, total int64) bool {
	return a.gating() == 0 || p.cursor >= total && p.open == nil && p.base >= p.cursor && a.caughtUp(p.last)
}

// turn begins the next pass when somebody needs one, waits for those who still write or fell silent, and else ends.
func (s *schedule) turn(now time.Time) step {
	switch s.audience.left(now, s.total, s.linger) {
	case needsPass:
		return s.begin(now)
	case needsTime:
		s.phase = CatchingUp
		s.question.casual = true
		return step{do: wait, until: s.commandAt}
	default:
		s.finish("")
		return s.command(now)
	}
}

// finish ends the session. The last command tells why.
func (s *schedule) finish(reason string) { s.phase, s.reason = Ended, reason }

// symbolsDue goes on with the block that is being sent, else with repairs, else opens the next block, as the receivers can take it.
func (s *schedule) symbolsDue(now time.Time, most int) (step, bool) {
	p := &s.pass
	p.drop()
	if p.open == nil && len(p.queue) == 0 {
		need, found := s.choose()
		if !found || !s.audience.admits(now, s.sequence, true) {
			return step{}, false
		}
		s.take(need)
	} else if !s.audience.admits(now, s.sequence, false) {
		return step{}, false
	}
	if p.open != nil {
		return s.sendSource(most), true
	}
	return s.sendRepair(most), true
}

// drop forgets those at the head of the queue that want no repair any more.
func (p *pass) drop() {
	for len(p.queue) > 0 {
		if b := p.log[p.queue[0]]; b != nil {
			if b.wanted > 0 {
				return
			}
			b.queued = false
		}
		p.queue = p.queue[1:]
	}
}

// choose moves the cursor to the next block that somebody wants, and tells how many of its symbols.
func (s *schedule) choose() (need int, found bool) {
	p := &s.pass
	end := min(s.total, s.readable)
	if p.cursor >= end || p.cursor-p.base >= span {
		return 0, false
	}
	block, need, known := s.audience.wanted(p.cursor, s.total)
	if known {
		p.cursor = min(block, end)
	}
	return need, known && p.cursor < end
}

// take opens the block at the cursor: all of it, or as many repair symbols as are needed.
func (s *schedule) take(need int) {
	p := &s.pass
	b := &sendings{block: p.cursor}
	p.log[b.block] = b
	p.cursor++
	if k := s.sources(b.block); need >= k {
		b.source, p.open = k, b
	} else {
		p.want(b, need)
	}
}

// want puts a block into the queue for that many more repair symbols.
func (p *pass) want(b *sendings, n int) {
	b.wanted += n
	if !b.queued {
		b.queued = true
		p.queue = append(p.queue, b.block)
	}
}

func (s *schedule) sendSource(most int) step {
	b := s.pass.open
	first := s.sources(b.block) - b.source
	n := min(most, b.source)
	if s.once.Has(b.block) {
		s.repairs += int64(n)
	}
	if b.source -= n; b.source == 0 {
		s.once.Add(b.block)
		s.pass.open = nil
	}
	return s.send(b, first, n)
}

func (s *schedule) sendRepair(most int) step {
	b := s.pass.log[s.pass.queue[0]]
	first, n := s.repairSymbols(b.block, min(most, b.wanted))
	b.wanted -= n
	s.repairs += int64(n)
	return s.send(b, first, n)
}

// repairSymbols chooses up to n symbols of a block: those that were never sent, and after them all again from the first.
func (s *schedule) repairSymbols(block int64, n int) (first, count int) {
	for int64(len(s.repaired)) <= block {
		s.repaired = append(s.repaired, 0)
	}
	k := s.sources(block)
	first = (k + int(s.repaired[block])) % maxSymbols
	end := maxSymbols
	if first < k {
		end = k // a step is of source or of repair symbols
	}
	count = min(n, end-first)
	s.repaired[block] = uint8((int(s.repaired[block]) + count) % maxSymbols)
	return first, count
}

// send takes sequences for symbols of a block.
func (s *schedule) send(b *sendings, first, n int) step {
	st := step{do: sendSymbols, sequence: s.sequence + 1, block: b.block, first: first, count: n}
	if s.pass.target != nil {
		st.to = s.pass.target.addr
	}
	b.spans = append(b.spans, burst{st.sequence, int64(n)})
	b.sent += n
	s.sequence += int64(n)
	s.pass.last = s.sequence
	s.symbols += int64(n)
	s.question.sent += n
	return st
}

// report takes in what a receiver says, unless it is older than what it has said already.
func (s *schedule) report(now time.Time, id receiverID, counter uint32, from netip.AddrPort, r report) (news bool) {
	r.heard = uint32(min(int64(r.heard), s.sequence))
	l := s.audience.hear(now, id, counter, from, r)
	if l == nil {
		return false
	}
	back := l.demoted && l.reason == reasonSilent && s.passing()
	if s.phase == Waiting || s.phase == Ended || r.pass != s.pass.number || l.out() || l.demoted && !back {
		return true
	}
	if !l.active {
		if s.pass.target != nil || !l.group || l.finishing(s.total) {
			return true
		}
		l.reason = cmp.Or(l.reason, reasonLate)
		if s.passing() {
			s.anew = true
			return true
		}
		l.activate(s.sequence) // what was sent before is left to the next pass
	}
	s.mend(l, &r)
	return true
}

// passing tells whether blocks are forgotten once the active receivers have them: a stream's. Who comes late needs those that are still
// kept in this pass, not in the next one.
func (s *schedule) passing() bool { return s.total == maxBlocks || s.gone > 0 }

// mend orders the repairs that an active receiver needs, besides those that are under way to it.
func (s *schedule) mend(l *listener, r *report) {
	p := &s.pass
	l.ready = true
	l.low = min(int64(r.upTo), p.cursor)
	for _, m := range r.missing {
		first, last := max(int64(m.block), p.base), min(int64(m.block)+int64(m.count), p.cursor)
		for block := first; block < last; block++ {
			b := p.log[block]
			if b == nil || len(b.spans) > 0 && b.spans[0].first <= l.since {
				continue
			}
			if b.sent > hopeless*sourceSymbols {
				l.hopeless = fmt.Sprintf("block %d does not come right at it, however often it is sent: its memory, or its network card", block)
				if r.received == l.appraised.received {
					l.hopeless = reasonNothing
				}
				l.demote(l.hopeless)
				return
			}
			l.low = min(l.low, block)
			if need := min(int(m.need), s.sources(block)) - b.underWay(l.heard); need > 0 {
				p.want(b, need+s.spareSymbols(need))
			}
		}
	}
}

// spareSymbols tells how many more repairs to send than are needed: some at the end of a pass, when they take less time than to wait for
// another report.
func (s *schedule) spareSymbols(need int) int {
	if s.pass.cursor < s.total {
		return 0
	}
	return 1 + need/16
}

// state tells what is known of a receiver.
func (s *schedule) state(l *listener, now time.Time) ReceiverState {
	switch {
	case l.report.complete:
		return Complete
	case l.report.failed || l.given || l.stuck:
		return Failed
	case l.silent(now, absent) || l.demoted && l.silent(now, s.audience.prompt()):
		return Silent
	case s.phase == Waiting:
		return Joined
	case s.phase == Ended:
		return Failed
	case !l.group:
		return Alone
	case l.demoted || s.phase == CatchingUp:
		return Behind
	default:
		return Receiving
	}
}

// bytes tells how many bytes of the content so many blocks carry.
func (s *schedule) bytes(n int64) int64 {
	if s.size == Unknown {
		return n * BlockSize
	}
	return min(n*BlockSize, s.size)
}

// interval is the time between two reports of a receiver: shorter at the end of a pass, when everybody waits for them.
func (s *schedule) interval() time.Duration {
	interval := s.audience.interval()
	if p := &s.pass; p.cursor >= s.total && p.open == nil && len(p.queue) == 0 && !s.question.half {
		interval = max(interval/4, shortestInterval, min(interval, time.Duration(len(s.audience.list))*200*time.Microsecond))
	}
	return interval
}

// describe makes the command that goes with a sequence.
func (s *schedule) describe() command {
	return command{
		phase: s.phase, reason: s.reason,
		half: s.question.half, poll: s.question.number,
		pass: s.pass.number, sent: uint32(s.sequence), base: uint32(s.pass.base), gone: uint32(s.gone),
		interval: s.interval(),
		joined:   uint16(len(s.audience.all)), wanted: uint16(s.computers),
	}
}
