package torrent

import (
	"errors"
	"time"
)

// A Mode is how a PC behaves while it fetches, as OpenGnsys names it.
type Mode string

// The modes.
const (
	Peer    Mode = "peer"    // shares while it fetches
	Leecher Mode = "leecher" // shares nothing until it has everything
	Seeder  Mode = "seeder"  // is the one who gives the file to the room: each piece once, to whoever passes it on
)

// ParseMode reads a mode and the seconds to go on sharing after the end, as OpenGnsys writes them: peer:60.
func ParseMode(s string) (Mode, time.Duration, error) { return "", 0, errors.ErrUnsupported }
