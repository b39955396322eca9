package multicast

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// A reception is what a receiver has of a content, and what it lacks. It is told what came, and does nothing itself.
type reception struct {
	limit   int // blocks in memory
	content Content
	total   int64  // blocks; maxBlocks while it is unknown
	have    Blocks // blocks that are complete: written, or on their way to the sink
	written int64  // blocks
	resumed int64  // blocks of an earlier session
	partial map[int64]*assembly
	newest  int64     // block that came in this pass, -1 before the first: partial ones behind it are of earlier passes
	held    *assembly // the last complete block, while it is not known whether it is the content's last
	queued  int       // complete blocks that are not written
	extra   int       // bytes of repair symbols, besides the blocks' own
	spare   []*assembly

	highestBlock int64 // that is complete, or -1

	command    command   // the last
	goneBefore uint32    // as the command before said
	commands   uint32    // the number of the last
	highest    uint32    // sequence of symbols that came or was told of
	received   uint32    // symbols that came
	lastAt     time.Time // when the sender was last heard
	symbolAt   time.Time // when a symbol came
	groupAt    time.Time // when the group was last heard

	symbols, useless, repaired int64
	lost                       int64 // of earlier sessions
}

// slack is by how many packets the network may change their order.
const slack = 32

// groupLasts is for how long a packet of the group shows that the group reaches this machine.
const groupLasts = 2 * time.Second

// begin takes a session's content up: have are the blocks that are here already.
func (r *reception) begin(c Content, have *Blocks) {
	r.have = *have.clone() // the sink goes on with its own
	r.highestBlock = r.have.last()
	r.written, r.resumed = r.have.Len(), r.have.Len()
	r.partial, r.newest = map[int64]*assembly{}, -1
	r.learn(c)
}

// learn takes in what a content is said to be now: its size may have become known.
func (r *reception) learn(c Content) {
	r.content, r.total = c, maxBlocks
	if c.Size != Unknown {
		r.total = blocks(c.Size)
	}
}

// another prepares for another session of the same content: what has come stays.
func (r *reception) another() {
	r.lost += int64(r.highest - min(r.received, r.highest))
	r.commands, r.highest, r.received = 0, 0, 0
	r.newest = -1
	r.goneBefore = 0
	r.groupAt = time.Time{}
}

// hear notes a symbol of that sequence.
func (r *reception) hear(now time.Time, sequence uint32, group bool) {
	r.received++
	r.symbolAt = now
	if int64(sequence) >= int64(r.highest)-window { // an older one may be replayed: it shows nothing of the sender's being there
		r.heard(now, sequence, group)
	}
}

// heard notes that the sender is there, and has sent symbols up to that sequence.
func (r *reception) heard(now time.Time, sequence uint32, group bool) {
	r.highest = max(r.highest, sequence)
	r.lastAt = now
	if group {
		r.groupAt = now
	}
}

// assembly returns the block that a symbol is of, or nil when the symbol is of no use: it is there already, or there is no room.
func (r *reception) assembly(id symbolID) *assembly {
	block := int64(id.block)
	if !r.possible(block, int(id.sources)) || r.have.Has(block) {
		return nil
	}
	a := r.partial[block]
	if a == nil {
		if r.admits(block) {
			a = r.memory()
			a.begin(block, int(id.sources))
		}
		return a
	}
	if a.sources != int(id.sources) || a.has(int(id.symbol)) {
		return nil
	}
	return a
}

// leap is how many blocks of a stream, whose end is not known, may pass a receiver by: 11 GiB. It bounds what a wrong number costs.
const leap = 1 << 16

// possible tells whether the content can have that block, of so many source symbols.
func (r *reception) possible(block int64, sources int) bool {
	if r.total == maxBlocks {
		return block < min(r.highestBlock+leap, maxBlocks)
	}
	if block >= r.total {
		return false
	}
	want, _ := sourcesOf(r.content.Size, block)
	return sources == want
}

// admits tells whether there is room for another block, or one of an earlier pass behind it, which this pass brings again.
func (r *reception) admits(block int64) bool {
	return r.taken() < r.limit || r.last() > max(block, r.newest)
}

// taken counts the blocks' worth of memory in use.
func (r *reception) taken() int { return len(r.partial) + r.queued + r.extra/blockBuffer }

// last returns the last block that is incomplete, or -1.
func (r *reception) last() int64 {
	return slices.Max(slices.AppendSeq([]int64{-1}, maps.Keys(r.partial)))
}

// memory returns that of a block that is no longer needed, or new one.
func (r *reception) memory() *assembly {
	n := len(r.spare)
	if n == 0 {
		return new(assembly)
	}
	a := r.spare[n-1]
	r.spare = r.spare[:n-1]
	return a
}

// giveBack takes an assembly back whose first symbol was forged.
func (r *reception) giveBack(a *assembly) {
	if a != nil && r.partial[a.block] != a {
		r.spare = append(r.spare, a)
	}
}

// put notes that a symbol was put into its assembly. It returns the block when that completes it.
func (r *reception) put(a *assembly, symbol int) *assembly {
	if r.partial[a.block] == nil && r.taken() >= r.limit {
		last := r.last() // now that the symbol is known not to be forged
		r.recycle(r.partial[last])
		delete(r.partial, last)
	}
	r.partial[a.block] = a
	r.newest = max(r.newest, a.block)
	if symbol >= a.sources {
		r.extra += symbolSize
	}
	if a.put(symbol); a.lacks > 0 {
		return nil
	}
	delete(r.partial, a.block)
	r.have.Add(a.block)
	r.highestBlock = max(r.highestBlock, a.block)
	r.queued++
	if len(a.ids) > 0 {
		r.repaired++
	}
	if r.total != maxBlocks {
		return a
	}
	// Of a stream, the highest block waits until it is known where the content ends.
	if r.held == nil || a.block > r.held.block {
		a, r.held = r.held, a
	}
	return a
}

// release returns the block that was held back, once the size is known.
func (r *reception) release() *assembly {
	a := r.held
	if a == nil || r.total == maxBlocks {
		return nil
	}
	r.held = nil
	return a
}

// wrote notes that the sink has a block.
func (r *reception) wrote(a *assembly) {
	r.written++
	r.queued--
	r.recycle(a)
}

// spoiled forgets a block that turned out to be wrong.
func (r *reception) spoiled(a *assembly) {
	r.have.Remove(a.block)
	r.queued--
	r.recycle(a)
}

// recycle keeps a block's memory for another one.
func (r *reception) recycle(a *assembly) {
	r.extra -= len(a.repairs)
	if cap(a.repairs) > usualRepairs*symbolSize {
		a.repairs = nil
	}
	r.spare = append(r.spare, a)
}

// usualRepairs is how many repair symbols of a block there is memory kept for.
const usualRepairs = 16

// full tells whether the sink has every block.
func (r *reception) full() bool { return r.queued == 0 && r.have.missing(0) >= r.total }

// lostBlock returns the first block that is missing and can no longer be had. It is to be asked once after each command: of a block
// that is begun, symbols may still be on their way when the first command says that it is gone.
func (r *reception) lostBlock() (block int64, lost bool) {
	gone := r.command.gone
	block = r.have.missing(0)
	if r.partial[block] != nil {
		gone = min(gone, r.goneBefore)
	}
	r.goneBefore = r.command.gone
	return block, block < min(int64(gone), r.total)
}

// report tells what is here and what is missing.
func (r *reception) report(now time.Time) report {
	heard := r.highest
	if !r.command.half && now.Sub(r.symbolAt) < 3*time.Millisecond {
		heard -= min(heard, slack) // of the newest, some may still come
	}
	from := min(int64(r.command.base), r.total)
	missing, upTo := r.missing(from)
	return report{
		heard: heard, received: r.received,
		room:   uint32(r.free()),
		queued: uint32(r.queued), done: uint32(r.written),
		poll: r.command.poll, pass: r.command.pass,
		from: uint32(from), upTo: uint32(upTo), missing: missing,
		group: now.Sub(r.groupAt) < groupLasts,
	}
}

// free counts the blocks that there is room for.
func (r *reception) free() int {
	n := r.limit - r.queued - r.extra/blockBuffer
	for block := range r.partial {
		if block <= r.newest {
			n--
		}
	}
	return max(n, 0)
}

// deficits is how many runs of missing blocks a report has at most: as many as may fit.
const deficits = packetLimit / 3

// missing lists what is missing of the blocks from there on, and tells how far the list goes.
func (r *reception) missing(from int64) (list []deficit, upTo int64) {
	begun := slices.DeleteFunc(slices.Sorted(maps.Keys(r.partial)), func(b int64) bool { return b < from })
	for block := r.have.missing(from); block < r.total; block = r.have.missing(block) {
		if len(list) == deficits {
			return list, block
		}
		next := r.total
		if b := r.have.next(block); b >= 0 {
			next = min(next, b)
		}
		need := sourceSymbols
		for len(begun) > 0 && begun[0] < block {
			begun = begun[1:]
		}
		if len(begun) > 0 && begun[0] == block {
			next, need = block+1, r.partial[block].lacks
		} else if len(begun) > 0 {
			next = min(next, begun[0])
		}
		list = append(list, deficit{uint32(block), uint32(next - block), uint8(need)})
		block = next
	}
	return list, r.total
}

// String names a content for people.
func (c Content) String() string {
	if c.Size == Unknown {
		return fmt.Sprintf("%q", c.Name)
	}
	return fmt.Sprintf("%q (%d bytes)", c.Name, c.Size)
}
