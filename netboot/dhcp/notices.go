package dhcp

import (
	"log/slog"
	"net/netip"
	"time"
)

// A board remembers what people were told of the network, so that they are told once, and hear when it is over.
type board struct {
	until map[string]time.Time // of each key that was told
	over  []Decision
}

// noticesAtOnce bounds the board: what strangers make us say must not fill memory. More is not told before something is over.
const noticesAtOnce = 200

// tell says whether people must be told something for which a key stands: it was not told, or is over. It is thought to be over when it is not told again
// for a while.
func (b *board) tell(now time.Time, key string, lasts time.Duration) bool {
	_, known := b.until[key]
	if !known && len(b.until) >= noticesAtOnce {
		return false
	}
	b.until[key] = now.Add(lasts)
	return !known
}

// end says that something is over, if it was told.
func (b *board) end(key string) {
	if _, ok := b.until[key]; ok {
		delete(b.until, key)
		b.over = append(b.over, Decision{Key: key, Gone: true, Note: "it is over", Level: slog.LevelInfo})
	}
}

// take returns what is over since it was called last.
func (b *board) take(now time.Time) []Decision {
	for key, t := range b.until {
		if !now.Before(t) {
			b.end(key)
		}
	}
	over := b.over
	b.over = nil
	return over
}

// Keys of what is told of the network.
func exhaustedKey(n netip.Prefix) string { return "dhcp/exhausted/" + n.String() }
func strangersKey(n netip.Prefix) string { return "dhcp/strangers/" + n.String() }
func relayKey(a netip.Addr) string       { return "dhcp/relay/" + a.String() }
func conflictKey(a netip.Addr) string    { return "dhcp/conflict/" + a.String() }
func otherKey(a netip.Addr) string       { return "dhcp/other-server/" + a.String() }
func newcomersKey(port string) string    { return "dhcp/newcomers/" + port }
