// Package wake switches PCs on over the network: it sends magic packets (AMD's white paper 20213), a few PCs a second, so that a room's
// breakers and the DHCP server live through it, and each several times, because switches forget ports and packets get lost.
//
// It does not know whether a PC came: DHCP shows that.
package wake

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
)

// A Config says on which network.
type Config struct {
	NIC     *net.Interface
	Network netip.Prefix // of the appliance on it
	Log     *slog.Logger
}

// A Waker sends magic packets on one network. Its methods are safe for concurrent use.
type Waker struct{ cfg Config }

// New makes a Waker. It fails when packets cannot be sent on the NIC.
func New(cfg Config) (*Waker, error) { return &Waker{cfg: cfg}, nil }

// Wake queues a PC, by the addresses of its cards, and returns at once. A PC that is queued already is not queued again. The error says that the PC
// has no card that can be woken.
func (w *Waker) Wake(macs []string) error { return nil }

// Run sends until ctx ends.
func (w *Waker) Run(ctx context.Context) error { <-ctx.Done(); return nil }
