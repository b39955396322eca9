package lease

import (
	"encoding/hex"
	"net/netip"
)

// A Client is who asks for an address, and where it stands.
//
// The PXE ROM, iPXE, the client OS and Windows of one PC send different client identifiers and would take an address each, so the appliance's own
// PCs are known by their MAC alone. Of strangers the client identifier counts as well (RFC 2131 4.2), but never alone: PCs whose disks
// were cloned send the same.
type Client struct {
	MAC      MAC
	ID       string       // of a stranger, from IDFrom; else empty
	Network  netip.Prefix // one that the Book serves
	Stranger bool         // not one of the appliance's own: it gets no address of the share that is kept for those
}

// IDFrom makes the ID of a Client from the bytes of its client identifier (option 61): none when it says nothing but the MAC.
func IDFrom(option []byte, mac MAC) string {
	if len(option) == 1+len(mac) && option[0] == 1 && MAC(option[1:]) == mac {
		return ""
	}
	return hex.EncodeToString(option)
}

// key is what tells clients apart.
type key struct {
	mac MAC
	id  string
}

func (c Client) key() key { return key{c.MAC, c.ID} }

func (l Lease) key() key { return key{l.MAC, l.ID} }
