package dhcp

import (
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"aula/netboot/lease"
)

// A board remembers what people were told of the network, so that they are told once, and hear when it is over.
type board struct {
	until map[string]time.Time // of each key that was told
	told  map[string]int       // how many there are of each kind
	over  []Decision
}

func newBoard() board { return board{until: map[string]time.Time{}, told: map[string]int{}} }

// Kinds of what is told, with which their keys begin.
const (
	ofExhausted  = "dhcp/exhausted/"
	ofStrangers  = "dhcp/strangers/"
	ofRelay      = "dhcp/relay/"
	ofConflict   = "dhcp/conflict/"
	ofEverywhere = "dhcp/everywhere/"
	ofOther      = "dhcp/other-server/"
	ofNewcomers  = "dhcp/newcomers/"
)

// atOnce is how much of a kind is told at once. It bounds what strangers can make us say, whose packets name relay agents and servers as they please; and as
// each kind has a bound of its own, they mute no other. What concerns a pool needs none: there are as many as are configured.
var atOnce = map[string]int{ofRelay: 16, ofConflict: 64, ofEverywhere: 16, ofOther: 16, ofNewcomers: 16}

// noticeKind returns how a key begins, to its second slash.
func noticeKind(key string) string {
	head, rest, _ := strings.Cut(key, "/")
	kind, _, _ := strings.Cut(rest, "/")
	return head + "/" + kind + "/"
}

// tell says whether people must be told something for which a key stands: it was not told, or is over. It is thought to be over when it is not told again
// for a while.
func (b *board) tell(now time.Time, key string, lasts time.Duration) bool {
	if _, known := b.until[key]; known {
		b.until[key] = now.Add(lasts)
		return false
	}
	kind := noticeKind(key)
	if most, bounded := atOnce[kind]; bounded && b.told[kind] >= most {
		return false
	}
	b.until[key] = now.Add(lasts)
	b.told[kind]++
	return true
}

// end says that something is over, if it was told.
func (b *board) end(key string) {
	if _, ok := b.until[key]; ok {
		delete(b.until, key)
		b.told[noticeKind(key)]--
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
func exhaustedKey(n netip.Prefix) string { return ofExhausted + n.String() }
func strangersKey(n netip.Prefix) string { return ofStrangers + n.String() }
func relayKey(a netip.Addr) string       { return ofRelay + a.String() }
func conflictKey(a netip.Addr) string    { return ofConflict + a.String() }
func otherKey(a netip.Addr) string       { return ofOther + a.String() }
func newcomersKey(port string) string    { return ofNewcomers + port }
func everywhereKey(n netip.Prefix, mac lease.MAC) string {
	return ofEverywhere + n.String() + "/" + mac.String()
}
