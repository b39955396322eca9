// Package tracker tells BitTorrent peers of each other: a Server that answers announces and scrapes by HTTP (BEP 3, 23, 48) and UDP (BEP 15), and
// Announce, which asks one.
//
// It knows the torrents that it is told of and no others, and moves no bytes of theirs. An info-hash is what one must know to get a torrent: the
// tracker names none to others than who sit at its own machine. A peer is where its packets come from, never where it says it is. What
// is kept in memory is bounded, and no address takes the place of another's peers.
package tracker

import (
	"log/slog"
	"net/netip"
	"time"

	"aula/imagestore/torrent/metainfo"
)

// DefaultPort is where OpenGnsys' tracker listens.
const DefaultPort = 6969

// An Event is why a peer announces itself.
type Event string

// The events of BEP 3. None is an announce at the interval.
const (
	None      Event = ""
	Started   Event = "started"
	Completed Event = "completed"
	Stopped   Event = "stopped"
)

// A Request is what a peer announces.
type Request struct {
	Hash       metainfo.Hash
	Peer       [20]byte // its peer ID
	Port       uint16   // TCP, where it takes connections
	Uploaded   int64    // bytes since it started
	Downloaded int64
	Left       int64 // bytes that it lacks
	Event      Event
	From       netip.Addr // address of this machine to ask from, of several: the tracker tells it to the others; the zero Addr for any
	Want       int        // how many peers it wants to be told of, at most; 0 for the tracker's choice
}

// A Response is what the tracker answers.
type Response struct {
	Interval time.Duration // until the next announce
	Seeders  int           // peers that lack nothing
	Leechers int
	Peers    []netip.AddrPort // others than the asker
	Warning  string
}

// A Config says what a Server answers.
type Config struct {
	// Serves tells whether a peer of that address may announce itself and scrape; nil for every one.
	Serves func(netip.Addr) bool
	// Lookup tells what torrents there are; others are refused.
	Lookup func(metainfo.Hash) (Torrent, bool)
	// Interval between announces; 0 for 10 s, as OpenGnsys'.
	Interval time.Duration
	Log      *slog.Logger
}

// A Torrent is what a tracker knows of one.
type Torrent struct {
	Name string
	Size int64 // bytes
	// Seeders are peers that have it and do not announce themselves: those who give it on demand. Every peer that
	// lacks something is told of them. One at 0.0.0.0 or on loopback is told as being at the address where the peer found the tracker.
	Seeders []netip.AddrPort
}

// A Swarm is a torrent and who is there for it.
type Swarm struct {
	Hash  metainfo.Hash
	Name  string
	Size  int64
	Peers []Peer // by address
}

// A Peer is what it announced, and what follows.
type Peer struct {
	Address    netip.AddrPort
	Client     string // program and version, from its peer ID or its user agent
	Uploaded   int64  // bytes
	Downloaded int64
	Left       int64
	UpRate     int64 // bytes a second, between its last announces
	DownRate   int64
	Since      time.Time
	Seen       time.Time
}
