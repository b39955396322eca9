package webui

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Pace and size of the live stream.
const (
	batchEvery   = 250 * time.Millisecond // at most four batches a second
	changedEvery = time.Second            // pages fetch a part of themselves again at most so often
	history      = 256                    // batches that a page may have missed
)

// live gathers what changed, and several times a second tells every open page what concerns it. Whoever reports a
// change is never kept waiting, and a slow page holds nobody up: each reads the history at its own pace, and one that fell
// behind it fetches itself again.
type live struct {
	observe func(dirt) observation
	epoch   string // of this run of the server; ids of another one mean nothing

	mu      sync.Mutex
	dirt    dirt
	batches []batch       // ascending, at most history of them
	seq     uint64        // of the last batch
	news    chan struct{} // closed at the next batch
	wake    chan struct{}
}

// dirt is what changed since the last batch.
type dirt struct {
	computers, operations, tasks map[string]bool
	boots                        map[string]bool // by MAC; "" for the notices
	catalog, images              bool
	torrents, sessions, network  bool // it is time to look at them: their rooms tell nothing
}

// An observation is what the dirt looks like to pages.
type observation struct {
	items   []item
	changed []string // parts of pages that must be fetched again: "catalog", "images", "operations", "tasks", "torrents", "network"
}

// An item is a piece of a page in its new state. Pages that subscribed to one of its topics get it.
type item struct {
	topics []string
	patch  patch
}

// A patch replaces the element with data-live=Key by HTML, or only writes numbers into it.
type patch struct {
	Key     string            `json:"key"`
	HTML    string            `json:"html,omitempty"`
	Percent *int              `json:"percent,omitempty"` // -1 when not known
	Fields  map[string]string `json:"fields,omitempty"`  // text by data-field
	Into    string            `json:"into,omitempty"`    // data-list to which HTML belongs, wherever the element was before
	Fetch   string            `json:"fetch,omitempty"`   // part of the page that must be fetched again
}

type batch struct {
	seq     uint64
	items   []encodedItem
	changed []string
}

type encodedItem struct {
	topics []string
	patch  json.RawMessage
}

func newLive(observe func(dirt) observation) *live {
	return &live{
		observe: observe,
		epoch:   strings.ToLower(rand.Text()[:8]),
		dirt:    newDirt(),
		news:    make(chan struct{}),
		wake:    make(chan struct{}, 1),
	}
}

func newDirt() dirt {
	return dirt{computers: map[string]bool{}, operations: map[string]bool{}, tasks: map[string]bool{}, boots: map[string]bool{}}
}

// note adds dirt.
func (l *live) note(add func(*dirt)) {
	l.mu.Lock()
	add(&l.dirt)
	l.mu.Unlock()
	l.signal()
}

func (l *live) signal() {
	select {
	case l.wake <- struct{}{}:
	default: // awake already
	}
}

// run makes the batches until ctx ends.
func (l *live) run(ctx context.Context) {
	var held []string
	var told time.Time
	pace := time.NewTimer(0)
	defer pace.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-pace.C:
		}
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		seen := l.observe(l.take())
		held = append(held, seen.changed...)
		seen.changed = nil
		if now := time.Now(); len(held) > 0 && now.Sub(told) >= changedEvery {
			slices.Sort(held)
			seen.changed, held, told = slices.Compact(held), nil, now
		}
		l.publish(seen)
		if len(held) > 0 {
			l.signal()
		}
		pace.Reset(batchEvery)
	}
}

func (l *live) take() dirt {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := l.dirt
	l.dirt = newDirt()
	return d
}

// publish adds a batch to the history and wakes the streams.
func (l *live) publish(o observation) {
	if len(o.items) == 0 && len(o.changed) == 0 {
		return
	}
	b := batch{changed: o.changed}
	for _, it := range o.items {
		data, err := json.Marshal(it.patch)
		if err != nil {
			continue // strings and numbers only: cannot happen
		}
		b.items = append(b.items, encodedItem{it.topics, data})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seq++
	b.seq = l.seq
	l.batches = append(l.batches, b)
	if len(l.batches) > history {
		l.batches = slices.Delete(l.batches, 0, len(l.batches)-history)
	}
	close(l.news)
	l.news = make(chan struct{})
}

// last is the id of the newest batch: a page rendered after it was read misses nothing that follows it.
func (l *live) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.id(l.seq)
}

func (l *live) id(seq uint64) string { return fmt.Sprintf("%s-%d", l.epoch, seq) }

// position is the batch that an id names. It is not ok when the id is none of this run.
func (l *live) position(id string) (seq uint64, ok bool) {
	epoch, number, _ := strings.Cut(id, "-")
	seq, err := strconv.ParseUint(number, 10, 64)
	l.mu.Lock()
	defer l.mu.Unlock()
	return seq, err == nil && epoch == l.epoch && seq <= l.seq
}

// after returns the batches that follow seq, and a channel that is closed when there are more. complete is false when some
// that follow it are forgotten already.
func (l *live) after(seq uint64) (following []batch, complete bool, more <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	oldest := l.seq + 1 - uint64(len(l.batches))
	if seq+1 < oldest {
		return nil, false, l.news
	}
	return slices.Clone(l.batches[seq+1-oldest:]), true, l.news
}
