// Package torrent moves a file to many computers by BitTorrent: each passes on what it has.
//
// A Client seeds and fetches any number of torrents, with other Aulas and with any BitTorrent client. docs/torrent.md says how a room shares, and
// what was measured.
//
// It moves named bytes between peers and knows nothing of computers, classrooms or images.
package torrent

import (
	"iter"
	"log/slog"
	"net/netip"
	"time"

	"aula/imagestore/torrent/metainfo"
)

// DefaultPort is where a Client takes connections, unless it is told otherwise.
const DefaultPort = 6881

// A Config says how a Client behaves to all of its torrents.
type Config struct {
	// Listen is the TCP address to take connections at: "10.0.0.5:6881", ":6881"; port 0 for any that is free.
	Listen string
	// Serves tells whether to talk to a peer of that address; nil for every one.
	Serves func(netip.Addr) bool
	// Open is asked for a torrent that a peer wants and that was not added: a seeder adds it on demand. It is closed when nobody has wanted
	// it for Idle. nil: only those added.
	Open func(metainfo.Hash) (*Task, error)
	Idle time.Duration // 0 for a minute
	// Known yields the torrents that Open opens, which those must be tried with who hide what they ask for (MSE); nil: such peers get only what is open.
	Known iter.Seq[metainfo.Hash]
	// UploadLimit is bytes a second of all torrents together; 0 for none.
	UploadLimit int64
	// Encrypt asks peers for the obfuscated handshake and RC4 of MSE; without it, it is spoken only to those who ask.
	Encrypt bool
	Log     *slog.Logger
}

// A Task is a torrent to be fetched, seeded, or both.
type Task struct {
	Torrent *metainfo.Torrent
	Storage Storage
	Mode    Mode
	// Linger is how long to go on sharing after the torrent is complete; negative for until it is ended.
	Linger time.Duration
	// Peers are known without a tracker.
	Peers []netip.AddrPort
	// Trackers are asked besides; nil for those that the torrent names.
	Trackers []string
}

// A State is what a torrent is doing.
type State string

// The states.
const (
	Fetching State = "fetching" // pieces are missing
	Sharing  State = "sharing"  // complete, and given to others
	Failed   State = "failed"   // Err says why
)

// A Status is a torrent as it stands.
type Status struct {
	Hash       metainfo.Hash
	Name       string
	Mode       Mode
	State      State
	Err        error
	Size       int64 // bytes of the file
	Pieces     int   // that it has in all
	Have       int64 // bytes that are verified and stored
	Downloaded int64 // bytes of blocks, since it was opened; wasted ones included
	Uploaded   int64
	Wasted     int64 // bytes downloaded twice, or found wrong
	DownRate   int64 // bytes a second, over the last seconds
	UpRate     int64
	Banned     []netip.Addr  // of peers that sent wrong bytes
	Left       time.Duration // until it ends, when Sharing for a time; 0 otherwise
	Trackers   []TrackerStatus
	Peers      []PeerStatus // by address
}

// A TrackerStatus is what a tracker said last.
type TrackerStatus struct {
	URL  string
	Err  error // nil when it answered
	Next time.Time
}

// A PeerStatus is a peer as it is seen.
type PeerStatus struct {
	Address    netip.AddrPort // of the connection
	Client     string
	Have       int   // pieces
	Downloaded int64 // bytes from it
	Uploaded   int64 // bytes to it
	DownRate   int64 // bytes a second
	UpRate     int64
	Since      time.Time
}
