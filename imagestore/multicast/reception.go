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
	spare   []*assembly

	command  command // the last
	sequence uint32  // of the last command
	highest  uint32  // sequence that came
	received uint32  // packets that came
	lastAt   time.Time
	groupAt  time.Time // when the group was last heard

	symbols, useless, repaired int64
	lost                       int64 // of earlier sessions
}

// slack is by how many packets the network may change their order.
const slack = 32

// groupLasts is for how long a packet of the group shows that the group reaches this machine.
const groupLasts = 2 * time.Second

// begin takes a session's content up: have are the blocks that are here already.
func (r *reception) begin(c Content, have *Blocks) {
	if have != nil {
		r.have = *have
	}
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
	r.sequence, r.highest, r.received = 0, 0, 0
	r.newest = -1
	r.groupAt = time.Time{}
}

// hear notes a packet of the sender.
func (r *reception) hear(now time.Time, sequence uint32, group bool) {
	r.highest = max(r.highest, sequence)
	r.received++
	r.lastAt = now
	if group {
		r.groupAt = now
	}
}

// assembly returns the block that a symbol is of, or nil when the symbol is of no use: it is there already, or there is no room.
func (r *reception) assembly(id symbolID) *assembly {
	block := int64(id.block)
	if block >= r.total || r.have.Has(block) {
		return nil
	}
	a := r.partial[block]
	if a == nil {
		if a = r.makeRoom(block); a != nil {
			a.begin(block, int(id.sources))
		}
		return a
	}
	if a.sources != int(id.sources) || a.has(int(id.symbol)) {
		return nil
	}
	return a
}

// makeRoom returns memory for another block: when there is none left, that of the last block of an earlier pass, which this one brings again.
func (r *reception) makeRoom(block int64) (a *assembly) {
	if len(r.partial)+r.queued >= r.limit {
		last := slices.Max(slices.AppendSeq([]int64{-1}, maps.Keys(r.partial)))
		if last <= max(block, r.newest) {
			return nil
		}
		r.spare = append(r.spare, r.partial[last])
		delete(r.partial, last)
	}
	if n := len(r.spare); n > 0 {
		a, r.spare = r.spare[n-1], r.spare[:n-1]
		return a
	}
	return new(assembly)
}

// giveBack takes an assembly back whose first symbol was forged.
func (r *reception) giveBack(a *assembly) {
	if a != nil && r.partial[a.block] != a {
		r.spare = append(r.spare, a)
	}
}

// put notes that a symbol was put into its assembly. It returns the block when that completes it.
func (r *reception) put(a *assembly, symbol int) *assembly {
	r.partial[a.block] = a
	r.newest = max(r.newest, a.block)
	if a.put(symbol); a.lacks > 0 {
		return nil
	}
	delete(r.partial, a.block)
	r.have.Add(a.block)
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
	r.spare = append(r.spare, a)
}

// spoiled forgets a block that turned out to be wrong.
func (r *reception) spoiled(a *assembly) {
	r.have.Remove(a.block)
	r.queued--
	r.spare = append(r.spare, a)
}

// full tells whether the sink has every block.
func (r *reception) full() bool { return r.written >= r.total }

// lostBlock returns the first block that is missing and can no longer be had.
func (r *reception) lostBlock() (block int64, lost bool) {
	block = r.have.missing(0)
	return block, block < min(int64(r.command.gone), r.total) && r.partial[block] == nil
}

// report tells what is here and what is missing.
func (r *reception) report(now time.Time) report {
	heard := r.highest
	if !r.command.half && now.Sub(r.lastAt) < 3*time.Millisecond {
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
	n := r.limit - r.queued
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
