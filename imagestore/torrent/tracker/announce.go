package tracker

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"aula/imagestore/torrent/bencoded"
)

// Bounds of what is taken from a tracker.
const (
	announceTimeout = 30 * time.Second // of one Announce; the context may end it sooner
	maxAnswer       = 1 << 20          // bytes
	maxHeard        = 2000             // peers
	minInterval     = time.Second
	maxInterval     = time.Hour
	usualInterval   = time.Minute // of a tracker that says none
)

// A RefusedError is a tracker's answer that it takes no such announce: asking again soon changes nothing.
type RefusedError struct {
	Tracker string // its URL, without what may be secret in it
	Reason  string // its words
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("tracker %s refuses: %s", e.Tracker, e.Reason)
}

// Announce tells the tracker of a peer. The URL is http://, https:// or udp://. A tracker's refusal is a RefusedError that has its words.
// It takes at most 30 s.
func Announce(ctx context.Context, tracker string, r Request) (Response, error) {
	u, err := url.Parse(tracker)
	if err != nil || u.Hostname() == "" {
		return Response{}, fmt.Errorf("tracker %q: this is no URL such as http://10.0.0.1:6969/announce", tracker)
	}
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	var a Response
	switch u.Scheme {
	case "http", "https":
		a, err = announceHTTP(ctx, u, r)
	case "udp":
		a, err = announceUDP(ctx, u, r)
	default:
		return Response{}, fmt.Errorf("tracker %s: %q trackers are not spoken to, only http, https and udp", nameOf(u), u.Scheme)
	}
	if err != nil {
		return Response{}, err
	}
	a.Warning = bencoded.Printable(a.Warning, maxWords)
	a.Peers = reachable(a.Peers)
	return a, nil
}

// PublicURL is what may be logged and shown of a tracker's URL: neither path nor query, which hold the passkeys of some, nor a password.
func PublicURL(tracker string) string {
	u, err := url.Parse(tracker)
	if err != nil || u.Host == "" {
		return "of a URL that is none"
	}
	return nameOf(u)
}

// nameOf is PublicURL of a URL that was parsed.
func nameOf(u *url.URL) string { return u.Scheme + "://" + u.Host }

// interval makes of a tracker's seconds an interval that serves both sides.
func interval(s int64) time.Duration {
	if s <= 0 {
		return usualInterval
	}
	return max(time.Duration(min(s, int64(maxInterval/time.Second)))*time.Second, minInterval)
}

// reachable leaves out what is no address of a peer.
func reachable(peers []netip.AddrPort) []netip.AddrPort {
	var good []netip.AddrPort
	for _, p := range peers {
		a := p.Addr().Unmap()
		if p.Port() == 0 || !a.IsValid() || a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
			continue
		}
		if len(good) == maxHeard {
			break
		}
		good = append(good, netip.AddrPortFrom(a, p.Port()))
	}
	return good
}
