package multicast

import (
	"context"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"
	"time"
)

func newReception(limit int, size int64, have *Blocks) *reception {
	r := &reception{limit: limit}
	r.begin(Content{Name: "image", Size: size}, have)
	return r
}

func setOf(blocks ...int64) *Blocks {
	s := new(Blocks)
	for _, b := range blocks {
		s.Add(b)
	}
	return s
}

// comes lets symbols of a block come, whatever is in them. It returns the block that they complete.
func comes(r *reception, block int64, sources, first, count int) *assembly {
	for i := first; i < first+count; i++ {
		a := r.assembly(symbolID{block: uint32(block), symbol: uint16(i), sources: uint8(sources)})
		if a == nil {
			continue
		}
		a.place(i)
		if whole := r.put(a, i); whole != nil {
			return whole
		}
	}
	return nil
}

// whole lets a whole block come.
func whole(r *reception, block int64) *assembly {
	return comes(r, block, sourceSymbols, 0, sourceSymbols)
}

// needs spreads a list of missing blocks out.
func needs(t *testing.T, list []deficit, from, upTo int64) map[int64]int {
	t.Helper()
	all := map[int64]int{}
	next := from
	for _, m := range list {
		if int64(m.block) < next || m.count == 0 {
			t.Fatalf("run %+v does not come after block %d", m, next)
		}
		next = int64(m.block) + int64(m.count)
		for b := int64(m.block); b < next; b++ {
			all[b] = int(m.need)
		}
	}
	if next > upTo {
		t.Fatalf("the list goes to block %d, and says %d", next, upTo)
	}
	return all
}

// The list of what is missing is compared with a model that has a number for each block.
func TestMissingAgreesWithAModel(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(5, seed))
		total := 1 + rng.Int64N(300)
		r := newReception(40, total*BlockSize-7, nil)
		model := map[int64]int{}
		for b := range total {
			model[b] = sourceSymbols
		}
		symbols := map[int64]map[int]bool{}
		var unwritten []*assembly
		for range 3000 {
			block, symbol := rng.Int64N(total), rng.IntN(maxSymbols)
			if rng.IntN(4) > 0 { // mostly near the begin, so that some are completed
				block = rng.Int64N(min(total, 8))
			}
			a := r.assembly(symbolID{block: uint32(block), symbol: uint16(symbol), sources: sourceSymbols})
			wanted := model[block] > 0 && !symbols[block][symbol] && (symbols[block] != nil || r.room() > 0)
			if (a != nil) != wanted {
				t.Fatalf("seed %d: symbol %d of block %d: wanted %t, want %t", seed, symbol, block, a != nil, wanted)
			}
			if a == nil {
				continue
			}
			a.place(symbol)
			if symbols[block] == nil {
				symbols[block] = map[int]bool{}
			}
			symbols[block][symbol] = true
			model[block]--
			if w := r.put(a, symbol); w != nil {
				if model[block] != 0 || w.block != block {
					t.Fatalf("seed %d: block %d is complete, and lacks %d symbols", seed, block, model[block])
				}
				unwritten = append(unwritten, w)
			}
			if len(unwritten) > 0 && rng.IntN(3) == 0 {
				if w := unwritten[0]; rng.IntN(5) == 0 {
					r.spoiled(w)
					model[w.block] = sourceSymbols
					delete(symbols, w.block)
				} else {
					r.wrote(w)
				}
				unwritten = unwritten[1:]
			}
		}
		from := rng.Int64N(total + 1)
		list, upTo := r.missing(from)
		maps.DeleteFunc(model, func(b int64, need int) bool { return b < from || need == 0 })
		if got := needs(t, list, from, upTo); upTo != total || !maps.Equal(got, model) {
			t.Errorf("seed %d: missing of %d blocks from %d: got %v to %d, want %v", seed, total, from, got, upTo, model)
		}
	}
}

// room is what the next report says.
func (r *reception) room() int { return int(r.report(time.Now()).room) }

func TestRoom(t *testing.T) {
	r := newReception(4, 100*BlockSize, nil)
	if got := r.room(); got != 4 {
		t.Fatalf("room for %d blocks, want 4", got)
	}
	comes(r, 0, sourceSymbols, 0, 1)
	comes(r, 1, sourceSymbols, 0, 1)
	a, b := whole(r, 2), whole(r, 3)
	if got := r.room(); got != 0 {
		t.Errorf("two begun and two unwritten blocks: room for %d, want 0", got)
	}
	if r.assembly(symbolID{block: 4, sources: sourceSymbols}) != nil {
		t.Error("a block was begun that there is no room for")
	}
	if r.assembly(symbolID{block: 1, symbol: 1, sources: sourceSymbols}) == nil {
		t.Error("a block that was begun gets no more symbols")
	}
	r.wrote(a)
	if got := r.room(); got != 1 {
		t.Errorf("a block was written: room for %d, want 1", got)
	}
	r.spoiled(b)
	if got := r.room(); got != 2 || r.have.Has(3) {
		t.Errorf("a block was wrong: room for %d, want 2; have it: %t, want false", got, r.have.Has(3))
	}
	if again := whole(r, 3); again == nil {
		t.Error("the block that was wrong does not come again")
	}
}

// Whatever comes, no more blocks are in memory than there may be.
func TestMemoryIsReused(t *testing.T) {
	r := newReception(4, 1000*BlockSize, nil)
	buffers := map[*assembly]bool{}
	for block := range int64(1000) {
		forged := r.assembly(symbolID{block: uint32(block), symbol: 200, sources: sourceSymbols})
		forged.place(200)
		r.giveBack(forged)
		if r.partial[block] != nil {
			t.Fatal("a forged symbol began a block")
		}
		a := whole(r, block)
		buffers[a] = true
		r.giveBack(a) // of a repeated symbol
		r.wrote(a)
	}
	if len(buffers) > 4 || !r.full() {
		t.Errorf("%d buffers for 1000 blocks, one after another; full: %t", len(buffers), r.full())
	}
}

// In a later pass, a block makes room for one before it: but only for a symbol of which the seal was right.
func TestLaterPassMakesRoom(t *testing.T) {
	r := newReception(2, 10*BlockSize, nil)
	comes(r, 5, sourceSymbols, 0, 1)
	comes(r, 7, sourceSymbols, 0, 1)
	if r.assembly(symbolID{block: 1, sources: sourceSymbols}) != nil {
		t.Error("a block of this pass made room")
	}
	r.newest = -1 // another pass
	if got := r.room(); got != 2 {
		t.Errorf("room for %d blocks, want 2", got)
	}
	if r.assembly(symbolID{block: 8, sources: sourceSymbols}) != nil {
		t.Error("a block made room for one behind it")
	}
	forged := r.assembly(symbolID{block: 1, sources: sourceSymbols})
	if forged == nil {
		t.Fatal("no block made room")
	}
	r.giveBack(forged)
	if got, want := slices.Sorted(maps.Keys(r.partial)), []int64{5, 7}; !slices.Equal(got, want) {
		t.Errorf("a forged symbol came: blocks %v are left, want %v", got, want)
	}
	comes(r, 1, sourceSymbols, 0, 1)
	if got, want := slices.Sorted(maps.Keys(r.partial)), []int64{1, 5}; !slices.Equal(got, want) {
		t.Errorf("a symbol of block 1 came: incomplete are %v, want %v", got, want)
	}
}

func TestGiveBackLeavesWhatHasCome(t *testing.T) {
	r := newReception(4, 10*BlockSize, nil)
	comes(r, 0, sourceSymbols, 0, 3)
	r.giveBack(nil)
	r.giveBack(r.assembly(symbolID{block: 0, symbol: 3, sources: sourceSymbols}))
	if a := r.partial[0]; a == nil || a.lacks != sourceSymbols-3 || len(r.spare) != 0 {
		t.Error("a forged symbol took a begun block away")
	}
}

func TestResume(t *testing.T) {
	have := setOf(0, 1, 2, 5)
	r := newReception(4, 6*BlockSize, have)
	if r.written != 4 || r.resumed != 4 || r.full() {
		t.Errorf("written %d, resumed %d, full %t; want 4, 4, false", r.written, r.resumed, r.full())
	}
	if whole(r, 1) != nil {
		t.Error("a block came that was here")
	}
	list, _ := r.missing(0)
	if want := []deficit{{3, 2, sourceSymbols}}; !reflect.DeepEqual(list, want) {
		t.Errorf("missing %v, want %v", list, want)
	}
	for b := range int64(2) {
		r.wrote(whole(r, 3+b))
	}
	if !r.full() {
		t.Error("not full with all blocks")
	}
	if have.Has(3) || have.Has(4) {
		t.Error("the sink's own set was changed")
	}
}

// Blocks that the content does not have make up for none that it has.
func TestResumeWithBlocksThatAreNone(t *testing.T) {
	r := newReception(4, 2*BlockSize, setOf(0, 2, 3))
	if r.full() {
		t.Error("full without block 1")
	}
	if r.wrote(whole(r, 1)); !r.full() {
		t.Error("not full with all blocks")
	}
}

func TestFull(t *testing.T) {
	if !newReception(4, 0, nil).full() {
		t.Error("not full of nothing")
	}
	if newReception(4, Unknown, nil).full() {
		t.Error("full of a stream that has not begun")
	}
	r := newReception(4, 1, nil)
	if a := comes(r, 0, 1, 0, 1); r.full() {
		t.Error("full before the block was written")
	} else if r.wrote(a); !r.full() {
		t.Error("not full")
	}
}

// Of a stream, the highest block waits: it could be the last, of which only the size tells how long it is.
func TestStreamHoldsTheLastBlockBack(t *testing.T) {
	r := newReception(8, Unknown, nil)
	if a := whole(r, 0); a != nil {
		t.Fatalf("block %d goes to the sink before it is known how long it is", a.block)
	}
	if a := whole(r, 2); a == nil || a.block != 0 {
		t.Errorf("block 2 came: got %v, want block 0", a)
	}
	if a := whole(r, 1); a == nil || a.block != 1 {
		t.Errorf("block 1 came: got %v, want block 1", a)
	}
	if a := comes(r, 3, 2, 0, 2); a == nil || a.block != 2 {
		t.Errorf("block 3 came: got %v, want block 2", a)
	}
	if a := r.release(); a != nil {
		t.Errorf("block %d is released before the size is known", a.block)
	}
	if got := r.report(time.Now()).queued; got != 4 {
		t.Errorf("%d blocks wait for the sink, want 4", got)
	}
	r.learn(Content{Name: "image", Size: 3*BlockSize + 2000})
	if a := r.release(); a == nil || a.block != 3 {
		t.Errorf("the size is known: got %v, want block 3", a)
	}
	if a := r.release(); a != nil {
		t.Errorf("block %d is released again", a.block)
	}
}

func TestBlocksBeyondTheEnd(t *testing.T) {
	r := newReception(8, 3*BlockSize+1, nil)
	for _, block := range []uint32{4, 5, 1 << 20, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		if r.assembly(symbolID{block: block, sources: sourceSymbols}) != nil {
			t.Errorf("block %d of 4 was begun", block)
		}
	}
}

// A stream's end is not known, but no block can be very far from those that have come.
func TestWrongNumberCostsLittle(t *testing.T) {
	r := newReception(8, Unknown, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, block := range []int64{1<<31 - 1, 1<<31 - 2, 1 << 30, 1 << 24} {
		whole(r, block)
	}
	r.missing(0)
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("wrong numbers of blocks took %d MiB", grown>>20)
	}
	if whole(r, 1000); !r.have.Has(1000) {
		t.Error("block 1000 of a stream was refused")
	}
}

// Blocks beyond the end of a stream, of which the end became known afterwards.
func TestStreamIsShorterThanItsBlocks(t *testing.T) {
	r := newReception(8, Unknown, nil)
	whole(r, 5)
	beyond := whole(r, 6)
	r.learn(Content{Name: "image", Size: BlockSize + 1})
	for _, a := range []*assembly{beyond, r.release()} {
		if _, length := sourcesOf(r.content.Size, a.block); length != 0 {
			t.Errorf("block %d of 2 carries %d bytes, want none", a.block, length)
		}
		r.wrote(a)
	}
	if r.full() {
		t.Error("full without blocks 0 and 1")
	}
}

func TestSymbolsOfAnotherShape(t *testing.T) {
	r := newReception(8, BlockSize+symbolSize, nil) // two blocks: 128 and 2 symbols
	comes(r, 0, sourceSymbols, 0, 1)
	for _, id := range []symbolID{
		{block: 0, symbol: 1, sources: 127},
		{block: 0, symbol: 1, sources: 1},
		{block: 1, symbol: 0, sources: 1},
		{block: 1, symbol: 0, sources: 128},
	} {
		if r.assembly(id) != nil {
			t.Errorf("%+v was taken", id)
		}
	}
	if comes(r, 1, 2, 0, 2) == nil {
		t.Error("the last block was not taken")
	}

	stream := newReception(8, Unknown, nil)
	comes(stream, 0, 5, 0, 1)
	if stream.assembly(symbolID{block: 0, symbol: 1, sources: 6}) != nil {
		t.Error("a symbol was taken that does not go with those before it")
	}
}

func TestReportTellsWhatWasHeard(t *testing.T) {
	now := time.Now()
	r := newReception(8, 10*BlockSize, nil)
	r.hear(now, 100, false)
	r.hear(now, 90, true)
	if got := r.report(now); got.heard != 100-slack || got.received != 2 || !got.group {
		t.Errorf("at once: heard %d of %d, group %t; want %d of 2, true: some of the newest may still come", got.heard, got.received, got.group, 100-slack)
	}
	if got := r.report(now.Add(3 * time.Millisecond)).heard; got != 100 {
		t.Errorf("3 ms later: heard %d, want 100", got)
	}
	if r.report(now.Add(groupLasts)).group {
		t.Error("the group reaches it, although it has not been heard for long")
	}
	r.command.half = true
	if got := r.report(now).heard; got != 100 {
		t.Errorf("half-duplex: heard %d, want 100: the sender is silent", got)
	}
	r.another()
	if got := r.report(now); got.heard != 0 || got.received != 0 || got.group || r.lost != 98 {
		t.Errorf("another session: heard %d of %d, group %t, lost before %d; want 0 of 0, false, 98", got.heard, got.received, got.group, r.lost)
	}
}

func TestReportGoesFromTheBase(t *testing.T) {
	r := newReception(8, 10*BlockSize, setOf(4))
	comes(r, 2, sourceSymbols, 0, 28)
	comes(r, 5, sourceSymbols, 0, 1)
	r.command = command{base: 3, pass: 2, poll: 9}
	got := r.report(time.Now())
	want := []deficit{{3, 1, 128}, {5, 1, 127}, {6, 4, 128}}
	if got.from != 3 || got.upTo != 10 || got.pass != 2 || got.poll != 9 || !reflect.DeepEqual(got.missing, want) {
		t.Errorf("got %+v, want the missing %v from 3 to 10", got, want)
	}
	r.command.base = 11
	if got := r.report(time.Now()); got.from != 10 || got.upTo != 10 || len(got.missing) != 0 {
		t.Errorf("base beyond the end: got %+v", got)
	}
	stream := newReception(8, Unknown, setOf(0))
	if got, want := stream.report(time.Now()).missing, []deficit{{1, maxBlocks - 1, 128}}; !reflect.DeepEqual(got, want) {
		t.Errorf("of a stream: got %v, want %v", got, want)
	}
}

// A list of very many gaps is cut, and says where.
func TestManyGaps(t *testing.T) {
	have := new(Blocks)
	for b := range int64(2 * deficits) {
		have.Add(2 * b)
	}
	r := newReception(8, 5*deficits*BlockSize, have)
	list, upTo := r.missing(0)
	if len(list) != deficits || upTo != 2*deficits+1 {
		t.Errorf("%d runs up to block %d, want %d up to %d", len(list), upTo, deficits, 2*deficits+1)
	}
	rep := r.report(time.Now())
	got, err := decodeReport(rep.append(nil, symbolSize))
	if err != nil {
		t.Fatal(err)
	}
	model := map[int64]int{}
	for b := range int64(got.upTo) {
		if b%2 == 1 {
			model[b] = sourceSymbols
		}
	}
	if told := needs(t, got.missing, 0, int64(got.upTo)); !maps.Equal(told, model) {
		t.Errorf("told of %v, want %v", slices.Sorted(maps.Keys(told)), slices.Sorted(maps.Keys(model)))
	}
}

func TestLostBlock(t *testing.T) {
	r := newReception(8, 10*BlockSize, setOf(0, 1))
	for gone, want := range map[uint32]bool{0: false, 2: false, 3: true, 10: true} {
		r.command.gone = gone
		if block, lost := r.lostBlock(); lost != want || lost && block != 2 {
			t.Errorf("blocks before %d are gone, and 2 is missing: got block %d, %t; want %t", gone, block, lost, want)
		}
	}
	r = newReception(8, 2*BlockSize, setOf(0, 1))
	r.command.gone = 5
	if _, lost := r.lostBlock(); lost {
		t.Error("all is here, and something is lost")
	}
}

// Symbols of a block may still be on their way when a command says that it is gone, but not when the next one does.
func TestLostBlockThatWasBegun(t *testing.T) {
	r := newReception(8, 10*BlockSize, setOf(0, 1))
	comes(r, 2, sourceSymbols, 0, 100)
	for i, want := range []bool{false, true} {
		r.command.gone = 3
		if block, lost := r.lostBlock(); lost != want || block != 2 {
			t.Errorf("command %d says that the begun block 2 is gone: got block %d, %t; want 2, %t", i+1, block, lost, want)
		}
	}
	r.another()
	if _, lost := r.lostBlock(); lost {
		t.Error("the first command of another session says that a begun block is gone, and it is lost at once")
	}
	comes(r, 2, sourceSymbols, 100, 28)
	if _, lost := r.lostBlock(); lost {
		t.Error("the block has come, and is lost")
	}
}

// One that was away for too long to be given the rest of a stream is told so, and holds nobody.
func TestOneThatFallsTooFarBehindAStream(t *testing.T) {
	bubble(t, func(t *testing.T, r *room, _ *memory) {
		var cancel context.CancelFunc
		r.ctx, cancel = context.WithTimeout(r.ctx, time.Minute)
		defer cancel()
		image := newMemory(7, 12*faultSize)
		r.cfg.Session.Rate = 1000e6
		s := r.send(NewStream(io.NewSectionReader(image, 0, int64(len(image.b))), "partition"), 3)
		seats := r.seats(3, 0.05)
		away := seats[2]
		unplug := func(dead bool) {
			r.net.mu.Lock()
			defer r.net.mu.Unlock()
			away.host.dead = dead
		}
		wait := r.run(s)
		until(t, s, "the middle of a block", func(st SenderStatus) bool { return st.Sent > 2*faultSize })
		unplug(true)
		until(t, s, "blocks that are too far on", func(st SenderStatus) bool { return st.Sent > 10*faultSize })
		unplug(false)
		if <-away.done; !errors.Is(away.err, ErrGone) {
			t.Errorf("the one that was away says %v, want ErrGone", away.err)
		}
		for _, seat := range seats[:2] {
			seat.check(t, image)
		}
		var incomplete *IncompleteError
		if err := wait(); !errors.As(err, &incomplete) || len(incomplete.Receivers) != 1 {
			t.Errorf("the sender says %v, want the one that was away", err)
		}
	})
}
