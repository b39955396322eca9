// Package lease decides which PC has which address, and remembers it on disk.
//
// A Book holds the rules: it is a value in memory that takes events and the time and changes itself; it does no input or output. A
// Store keeps what the Book settled in a bbolt file. The caller saves the Book's changes before it tells a PC of them:
//
//	l, err := book.Bind(now, client, address, time.Hour)
//	err = store.Save(book.Changes(), now)
//	book.Saved()
//	// only now may the DHCPACK leave
//
// The rules guarantee that no two PCs hold one address at the same time, whatever crashes between those lines. How PCs are told
// apart stands at Client.
//
// It is not about packets: see netboot/dhcp.
package lease

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// A MAC is the hardware address of an Ethernet NIC.
type MAC [6]byte

// ParseMAC reads the usual notations (52:54:00:12:34:56, 52-54-00-12-34-56, 5254.0012.3456) and takes only what can be the
// address of one NIC.
func ParseMAC(s string) (MAC, error) {
	hw, err := net.ParseMAC(s)
	if err != nil {
		return MAC{}, fmt.Errorf("%q is not a MAC address", s)
	}
	return MACFrom(hw)
}

// MACFrom takes the bytes of a hardware address. It refuses what is no single NIC's: another length, all zeros, a group address.
func MACFrom(hw []byte) (MAC, error) {
	var m MAC
	switch {
	case len(hw) != len(m):
		return MAC{}, fmt.Errorf("hardware address of %d bytes: a MAC has 6", len(hw))
	case copy(m[:], hw) == 6 && m == MAC{}:
		return MAC{}, errors.New("hardware address is all zeros")
	case m[0]&1 != 0:
		return MAC{}, fmt.Errorf("hardware address %s is a group's, not one NIC's", m)
	}
	return m, nil
}

// String returns m in lower case with colons.
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// MarshalText implements encoding.TextMarshaler.
func (m MAC) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *MAC) UnmarshalText(text []byte) (err error) {
	*m, err = ParseMAC(string(text))
	return err
}

// A State says what the record of an address means.
type State string

// States of an address. An address without a record has never been leased.
const (
	Bound       State = "bound"       // the PC has it until Expires, and is offered it again after
	Released    State = "released"    // the PC gave it back; it is still the PC's first choice
	Quarantined State = "quarantined" // something else answers at it: nobody gets it before Expires
)

// A Lease is the record of one address.
type Lease struct {
	Address netip.Addr `json:"address"`
	MAC     MAC        `json:"mac"` // whose it is; of a quarantined address, what was found there, or when that is not known who complained
	State   State      `json:"state"`
	Expires time.Time  `json:"expires"` // by the Clock, not by the wall
	// ID and Stranger are those of the Client whose it is.
	ID       string `json:"id,omitempty"`
	Stranger bool   `json:"stranger,omitempty"`
}
