package igmp

import (
	"log/slog"
	"net/netip"
	"time"
)

// oldVersionPause is how long nothing more is said of an IGMPv1 querier (RFC 2236 section 4 wants the warning rate-limited).
const oldVersionPause = time.Hour

// A reporter tells the log who asks, each time that changes.
type reporter struct {
	log    *slog.Logger
	told   bool
	other  netip.Addr
	warned time.Time
}

func (r *reporter) turn(s Status) {
	if r.told && r.other == s.Other {
		return
	}
	r.told, r.other = true, s.Other
	if s.Active {
		r.log.Info("IGMP querier asks")
		return
	}
	r.log.Info("IGMP querier is silent: another one with a lower address asks", "other", s.Other)
}

func (r *reporter) version(m message, now time.Time) {
	if m.kind != queryV1 || !r.warned.IsZero() && now.Sub(r.warned) < oldVersionPause {
		return
	}
	r.warned = now
	r.log.Warn("a querier on this network speaks IGMPv1, which knows no election: set it to IGMPv2 or switch it off", "querier", m.from)
}
