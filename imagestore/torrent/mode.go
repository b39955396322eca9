package torrent

import (
	"fmt"
	"strconv"
	"strings"
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

// MaxLinger is the longest that ParseMode takes for the time to go on sharing: a PC that is to share for longer than 30 days is a seconds field
// in which something else was typed.
const MaxLinger = 30 * 24 * time.Hour

// modeDigits is how many digits OpenGnsys takes for the seconds.
const modeDigits = 10

// ParseMode reads a mode and the seconds to go on sharing after the end, as OpenGnsys writes them: peer:60, in upper or lower case.
// Without seconds ("peer:") they are 0.
func ParseMode(s string) (Mode, time.Duration, error) {
	name, seconds, ok := strings.Cut(s, ":")
	if !ok {
		return "", 0, fmt.Errorf("torrent mode %.40q: write MODE:SECONDS, such as peer:60", s)
	}
	mode := Mode(strings.ToLower(name))
	switch mode {
	case Peer, Leecher, Seeder:
	default:
		return "", 0, fmt.Errorf("torrent mode %.40q: MODE is %.20q: it must be peer, leecher or seeder", s, name)
	}
	linger, err := parseLinger(seconds)
	if err != nil {
		return "", 0, fmt.Errorf("torrent mode %.40q: SECONDS is %.20q: %w", s, seconds, err)
	}
	return mode, linger, nil
}

// parseLinger reads seconds.
func parseLinger(s string) (time.Duration, error) {
	const most = int64(MaxLinger / time.Second)
	outside := fmt.Errorf("it must be a whole number from 0 to %d, which is %d days", most, MaxLinger/(24*time.Hour))
	if s == "" {
		return 0, nil
	}
	if len(s) > modeDigits || strings.Trim(s, "0123456789") != "" {
		return 0, outside
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n > most {
		return 0, outside
	}
	return time.Duration(n) * time.Second, nil
}

// FormatMode writes what ParseMode reads; what is left of a second is rounded up.
func FormatMode(m Mode, linger time.Duration) string {
	return fmt.Sprintf("%s:%d", m, (max(0, min(linger, MaxLinger))+time.Second-1)/time.Second)
}
