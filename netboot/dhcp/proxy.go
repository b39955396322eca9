package dhcp

import "time"

// A ProxyResponder decides what ProxyDHCP answers (PXE 2.1, 2.2.3): it says what to boot to PCs that get their address from another server. It keeps in
// memory what each PC was last told, and does no input or output.
type ProxyResponder struct {
	net Network
	reg Register
}

// NewProxyResponder makes one.
func NewProxyResponder(n Network, reg Register) *ProxyResponder {
	return &ProxyResponder{net: n, reg: reg}
}

// Decide answers a request that came to port 67 or 4011.
func (p *ProxyResponder) Decide(now time.Time, r Request) Decision { return Decision{} }
