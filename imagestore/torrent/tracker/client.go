package tracker

import (
	"cmp"

	"aula/imagestore/torrent/bencoded"
	"aula/imagestore/torrent/wire"
)

// Bytes of what others say that are shown.
const (
	maxWord  = 64
	maxWords = 400
)

// clientName tells the program and its version: from the peer ID when it is of a known program, from the User-Agent otherwise, and from
// what can be read of the peer ID when there is none.
func clientName(id wire.PeerID, agent string) string {
	own := id[:8]
	if id[0] == '-' && id[7] == '-' {
		own = id[1:7]
	}
	return cmp.Or(id.Client(), bencoded.Printable(agent, maxWord), bencoded.Printable(string(own), maxWord))
}
