package dhcp

import (
	"aula/netboot/lease"
	"aula/netboot/quirk"
)

// An Action is what a PC that boots from the network is told to do.
type Action string

// Actions.
const (
	// Load is to load the boot loader, or the script when it is iPXE that asks.
	Load Action = "load"
	// LocalDisk is to go on to its own disk at once: option 43 offers a menu of one entry, "local boot".
	LocalDisk Action = "disk"
	// Refuse is LocalDisk for firmware for which there is nothing; people are told.
	Refuse Action = "refuse"
	// Ignore is to give an address at most: nothing of booting is said, and by ProxyDHCP nothing at all.
	Ignore Action = "ignore"
)

// An Advice is what one PC is told when it boots.
type Advice struct {
	Action Action
	Quirks quirk.Set
	Why    string // for people; may be empty
}

// A Register tells what the appliance knows of PCs. Its methods are called from one goroutine for each packet: they must be fast and must not
// block.
type Register interface {
	// Known tells whether the PC is one of the appliance's own, which have long leases; strangers have short ones, of which there are few.
	Known(mac lease.MAC) bool
	// Advise tells what a PC is to do that boots from the network; it may be called any number of times for one boot.
	Advise(r Request) Advice
	// Told says that the answer has left by which the PC goes on: an ACK, or what ProxyDHCP says last.
	Told(r Request, a Advice)
	// Learn says that the PC was found to need a quirk.
	Learn(mac lease.MAC, q quirk.Quirk, why string)
}

// A Role is what the server is on its network.
type Role string

// Roles.
const (
	Full  Role = "full"  // it leases addresses and says what to boot
	Proxy Role = "proxy" // another server leases addresses; it only says what to boot
)
