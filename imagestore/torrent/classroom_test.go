package torrent_test

import (
	"bytes"
	"context"
	"net/netip"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
)

// patience is when a test of the swarm gives up, on a machine that has much else to do: no test waits for it when things are right.
const patience = 3 * time.Minute

// A classroom is a file and the computers that share it, each with an address of the loopback of its own.
type classroom struct {
	tb   testing.TB
	ctx  context.Context // ends when the test must
	b    []byte
	meta *metainfo.Torrent
	udp  bool // its tracker is asked by UDP

	mu   sync.Mutex
	last byte // of the addresses that are taken
}

// newClassroom makes a classroom. At the end of the test all of its computers are shut down, and nothing of them may be left.
func newClassroom(tb testing.TB, seed uint64, size int, pieceLength int64) *classroom {
	tb.Helper()
	running := goleak.IgnoreCurrent()
	tb.Cleanup(func() { goleak.VerifyNone(tb, running) })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	tb.Cleanup(cancel)
	b := content(seed, size)
	return &classroom{tb: tb, ctx: ctx, b: b, meta: torrentOf(tb, b, pieceLength), last: 1}
}

// address is one that nobody has yet.
func (c *classroom) address() netip.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	return netip.AddrFrom4([4]byte{127, 0, 0, c.last})
}

// A computer runs a client with one task.
type computer struct {
	tb      testing.TB
	client  *torrent.Client
	at      netip.AddrPort
	storage torrent.Storage
	ended   chan struct{} // closed when the task has
	err     error         // of the task, once it has ended

	cancel func() // of the task
	off    func() // of the client
}

// start starts a computer. It listens at an address of its own unless the configuration says one; it fetches to memory unless the task says
// where, and goes on sharing until it is ended unless the task says for how long.
func (c *classroom) start(config torrent.Config, task torrent.Task) *computer {
	c.tb.Helper()
	if config.Listen == "" {
		config.Listen = netip.AddrPortFrom(c.address(), 0).String()
	}
	client, err := torrent.NewClient(config)
	if err != nil {
		c.tb.Fatal(err)
	}
	if task.Torrent == nil {
		task.Torrent = c.meta
	}
	if task.Storage == nil {
		task.Storage = newHeap(task.Torrent, nil)
	}
	if task.Mode == "" {
		task.Mode = torrent.Peer
	}
	if task.Linger == 0 {
		task.Linger = -1
	}
	own := netip.MustParseAddrPort(config.Listen).Addr()
	pc := &computer{tb: c.tb, client: client, storage: task.Storage, at: netip.AddrPortFrom(own, client.Port()), ended: make(chan struct{})}
	ctx, cancel := context.WithCancel(c.ctx)
	pc.cancel = cancel
	running, off := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- client.Run(running) }()
	go func() {
		defer close(pc.ended)
		pc.err = client.Do(ctx, &task)
	}()
	pc.off = sync.OnceFunc(func() {
		cancel()
		<-pc.ended
		off()
		if err := <-ran; err != nil {
			c.tb.Errorf("%s: %v", pc.at, err)
		}
	})
	c.tb.Cleanup(pc.off)
	return pc
}

// origin starts one that gives the file to the room.
func (c *classroom) origin(config torrent.Config) *computer {
	c.tb.Helper()
	return c.start(config, torrent.Task{Storage: newHeap(c.meta, c.b), Mode: torrent.Seeder})
}

// seed starts one that has the file as any other peer may.
func (c *classroom) seed(config torrent.Config) *computer {
	c.tb.Helper()
	return c.start(config, torrent.Task{Storage: newHeap(c.meta, c.b)})
}

// status tells how the computer's task stands; its Size is 0 when it has ended.
func (pc *computer) status() torrent.Status {
	for _, s := range pc.client.Status() {
		return s
	}
	return torrent.Status{}
}

// complete waits until each has the file, and looks whether it is the right one.
func (c *classroom) complete(computers ...*computer) {
	c.tb.Helper()
	for _, pc := range computers {
		c.until(func() bool {
			select {
			case <-pc.ended:
				return true
			default:
				return pc.status().State == torrent.Sharing
			}
		}, "a computer has not got the file", pc)
		h, ok := pc.storage.(interface{ contents() []byte })
		if !ok {
			continue
		}
		if !bytes.Equal(h.contents(), c.b) {
			c.tb.Errorf("%s: the file is not what was sent", pc.at)
		}
	}
}

// until waits until something is so; what tells what is not, and of which computers.
func (c *classroom) until(is func() bool, what string, computers ...*computer) {
	c.tb.Helper()
	for !is() {
		select {
		case <-c.ctx.Done():
			for _, pc := range computers {
				c.tb.Logf("%s: %+v", pc.at, pc.status())
			}
			c.tb.Fatal(what)
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// ends waits until a computer's task has ended, and returns its error.
func (c *classroom) ends(pc *computer) error {
	c.tb.Helper()
	select {
	case <-pc.ended:
	case <-c.ctx.Done():
		c.tb.Fatalf("%s: the task does not end: %+v", pc.at, pc.status())
	}
	return pc.err
}

// contents returns a copy of the bytes.
func (h *heap) contents() []byte {
	h.mu.Lock()
	defer h.mu.Unlock()
	return bytes.Clone(h.b)
}

// pieces returns which are there.
func (h *heap) pieces() []bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]bool(nil), h.have...)
}

// count counts those that are there.
func (h *heap) count() int { return countOf(h.pieces()) }

func countOf(pieces []bool) int {
	n := 0
	for _, here := range pieces {
		if here {
			n++
		}
	}
	return n
}

// union is which pieces one of them has at least.
func union(all ...*heap) []bool {
	var u []bool
	for _, h := range all {
		have := h.pieces()
		if u == nil {
			u = make([]bool, len(have))
		}
		for i, here := range have {
			u[i] = u[i] || here
		}
	}
	return u
}
