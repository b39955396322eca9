package tracker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"aula/imagestore/torrent/metainfo"
)

// DefaultInterval is between a peer's announces, as with OpenGnsys: a PC that was switched on is found by the room within it.
const DefaultInterval = 10 * time.Second

// A Server is a tracker. It keeps nothing on disk: peers tell it again.
type Server struct {
	serves   func(netip.Addr) bool
	lookup   func(metainfo.Hash) (Torrent, bool)
	interval time.Duration
	log      *slog.Logger
	refusals *refusals
	key      [32]byte // of the connection ids of BEP 15

	mu     sync.Mutex
	swarms map[metainfo.Hash]*swarm
	peers  int // of all swarms
	swept  time.Time
}

// NewServer makes one; Run makes it answer.
func NewServer(c Config) *Server {
	s := &Server{
		serves:   c.Serves,
		lookup:   c.Lookup,
		interval: c.Interval,
		log:      c.Log,
		swarms:   map[metainfo.Hash]*swarm{},
	}
	if s.serves == nil {
		s.serves = func(netip.Addr) bool { return true }
	}
	if s.lookup == nil {
		s.lookup = func(metainfo.Hash) (Torrent, bool) { return Torrent{}, false }
	}
	if s.interval <= 0 {
		s.interval = DefaultInterval
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.refusals = newRefusals(s.log)
	rand.Read(s.key[:]) // never fails
	return s
}

// Run answers on that port of that address ("10.0.0.1:6969", ":6969"), TCP and UDP, until the context ends.
func (s *Server) Run(ctx context.Context, listen string) error {
	l, pc, err := open(ctx, listen)
	if err != nil {
		return err
	}
	return s.Serve(ctx, l, pc)
}

// open takes the same port for TCP and UDP; port 0 is for one that is free for both.
func open(ctx context.Context, listen string) (net.Listener, net.PacketConn, error) {
	var lc net.ListenConfig
	for try := 1; ; try++ {
		l, err := lc.Listen(ctx, "tcp", listen)
		if err != nil {
			return nil, nil, fmt.Errorf("tracker: %w: end the other tracker that listens there, or choose another port", err)
		}
		pc, err := lc.ListenPacket(ctx, "udp", l.Addr().String())
		if err == nil {
			return l, pc, nil
		}
		l.Close()
		if _, port, _ := net.SplitHostPort(listen); port == "0" && try < 10 {
			continue
		}
		return nil, nil, fmt.Errorf("tracker: %w: end the other program that listens there, or choose another port", err)
	}
}

// Serve answers HTTP on l and UDP on pc until the context ends, and closes both. It needs no UDP: pc may be nil.
func (s *Server) Serve(ctx context.Context, l net.Listener, pc net.PacketConn) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.serveHTTP(ctx, l) })
	if pc != nil {
		group.Go(func() error { return s.serveUDP(ctx, pc) })
	}
	return group.Wait()
}

// serveHTTP ends its connections with the context: an announce takes no time, so that none is worth waiting for longer than a second.
func (s *Server) serveHTTP(ctx context.Context, l net.Listener) error {
	h := &http.Server{
		Handler:           s.handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      10 * time.Second,
		IdleTimeout:       30 * time.Second, // a client that keeps its connection announces on it again
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(ended)
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if h.Shutdown(grace) != nil {
			h.Close()
		}
	})
	err := h.Serve(newLimited(l))
	if stop() {
		return fmt.Errorf("tracker on %s: %w", l.Addr(), errors.Join(err, h.Close()))
	}
	<-ended
	return nil
}
