// Package neighbour finds the other DHCP servers of a network: those that lease, those that only say what to boot (ProxyDHCP), and other
// Aulas.
//
// It asks as a PC would, from an address of its own that no PC has, and takes nothing that it is offered; and it listens to what servers and PCs say
// to everybody. It decides nothing: what follows from another server is netboot's. Nothing that it hears is proven: whoever is on the network can
// pretend to be a server.
package neighbour

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// A Server is another DHCP server.
type Server struct {
	Address netip.Addr // its server identifier (option 54), else where its packets came from
	MAC     string     // of the NIC that its packets came from; of a relay when it is in another network; empty when only PCs spoke of it
	Leases  bool       // it offers addresses
	Boots   bool       // it names a boot file, or is a ProxyDHCP server
	Offered netip.Addr // the last address that it offered; zero without
	Next    netip.Addr // where it says that the boot file is; zero without
	File    string     // the boot file that it names, as far as it is printable ASCII
	// Aula is the name of another Aula, empty for any other server.
	Aula        string
	Answers     bool      // it answered the last Probe; otherwise it was only heard
	First, Last time.Time // heard of
}

// A Config says where to look.
type Config struct {
	NIC *net.Interface
	// Own are addresses of this machine: servers at them are this Aula, and are not told of. The first is told to other Aulas.
	Own func() []netip.Addr
	// Name tells other Aulas who asks: 1 to 64 letters, digits, dots and hyphens.
	Name string
	// Leasing tells whether this Aula leases addresses now, for other Aulas. Nil: never.
	Leasing func() bool
	// Heard is called when a server is heard of for the first time, or again after it was gone, and when what is known of it changes, but for Offered,
	// Answers and Last. It must not block. May be nil.
	Heard func(Server)
	// Uses is called with the address that a PC has got from another server, as far as that is said to everybody. It must not block. May be nil.
	Uses func(mac net.HardwareAddr, a netip.Addr)
	Log  *slog.Logger
}

// remembered is how long a server is known that says nothing.
const remembered = 15 * time.Minute

// most bounds the servers that are known at once, so that somebody who makes them up takes no more memory than that.
const most = 64

// A Lookout knows the other servers of one network. Its methods are safe for concurrent use.
type Lookout struct {
	cfg   Config
	conn  conn
	mac   net.HardwareAddr // from which it asks
	turn  chan struct{}    // holds one token: whoever has it probes
	also  bool             // the NIC takes what is sent to mac; of who has the token
	slots slots            // answers to other Aulas
	nic   net.HardwareAddr // the NIC's MAC, as it was at nicAt; of Run alone
	nicAt time.Time

	mu       sync.Mutex
	servers  map[netip.Addr]*Server
	probe    *probe // nil when none is under way
	overflow bool   // said so
}

// New opens the raw socket that asks and listens. It fails when the process may not (CAP_NET_RAW).
func New(cfg Config) (*Lookout, error) {
	if !plainName(cfg.Name) {
		return nil, fmt.Errorf("%q cannot be told to other Aulas as a name: it must have 1 to %d letters, digits, dots and hyphens", cfg.Name, longestName)
	}
	s, err := listen(cfg.NIC, probeMAC(cfg.NIC.HardwareAddr))
	if err != nil {
		return nil, err
	}
	return newLookout(cfg, s), nil
}

func newLookout(cfg Config, c conn) *Lookout {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Lookout{cfg: cfg, conn: c, mac: probeMAC(cfg.NIC.HardwareAddr), turn: make(chan struct{}, 1), servers: map[netip.Addr]*Server{}}
}

// frameSize is more than an Ethernet frame has.
const frameSize = 2048

// Pauses of Run after an error: a NIC that is down can come back.
const (
	errorPause = time.Second
	mostErrors = 10 // in a row, until it is said
)

// Run listens until ctx ends, then closes the socket and returns nil.
func (l *Lookout) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = l.conn.Close() })
	defer stop()
	buf := make([]byte, frameSize)
	failed := 0
	for {
		n, err := l.conn.Read(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, os.ErrClosed):
			return fmt.Errorf("other DHCP servers are not heard any more: %w", err)
		case err != nil:
			if failed++; failed == mostErrors {
				l.cfg.Log.Warn("other DHCP servers are not heard", "interface", l.cfg.NIC.Name, "error", err)
			}
			select {
			case <-time.After(errorPause):
			case <-ctx.Done():
			}
			continue
		}
		failed = 0
		p, err := parse(buf[:n])
		if err != nil {
			l.cfg.Log.Debug("frame not understood", "reason", err)
			continue
		}
		l.hear(p)
	}
}

// Close closes what New opened, of a Lookout that is not run.
func (l *Lookout) Close() error {
	if err := l.conn.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

// MAC is that from which Probe asks: no PC has it.
func (l *Lookout) MAC() net.HardwareAddr { return l.mac }
