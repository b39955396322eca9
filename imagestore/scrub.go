package imagestore

import (
	"cmp"
	"context"
	"slices"
	"time"

	"golang.org/x/time/rate"
)

// The scrub reads a thirtieth of all bytes again every night, those first that were verified longest ago, so that every byte is
// read once a month. What was done is known by when each revision was verified: a restart goes on where it stopped. A
// revision that is begun is read to its end.
const (
	scrubNights = 30
	scrubFrom   = 2 // o'clock, local time
	scrubUntil  = 6
	scrubRate   = 64 << 20  // bytes a second: a fraction of what a disk gives
	scrubLook   = time.Hour // at most between two looks at the clock, which somebody may set
)

// A night is when images may be read again without being in the way.
type night struct{ from, until time.Time }

// nightOf returns the night that has begun, or else the next one.
func nightOf(now time.Time) night {
	at := func(day, hour int) time.Time {
		return time.Date(now.Year(), now.Month(), now.Day()+day, hour, 0, 0, 0, now.Location())
	}
	if now.Before(at(0, scrubUntil)) {
		return night{at(0, scrubFrom), at(0, scrubUntil)}
	}
	return night{at(1, scrubFrom), at(1, scrubUntil)}
}

// A verified revision is one of those among which the scrub chooses.
type verified struct {
	key
	bytes int64
	at    time.Time
}

// dueTonight returns the revision that is to be read next in a night, if the night's share is not read yet.
func dueTonight(all []verified, night night) (key, bool) {
	var total, read int64
	for _, v := range all {
		total += v.bytes
		if !v.at.Before(night.from) {
			read += v.bytes
		}
	}
	all = slices.DeleteFunc(slices.Clone(all), func(v verified) bool { return !v.at.Before(night.from) })
	if len(all) == 0 || read*scrubNights >= total {
		return key{}, false
	}
	return slices.MinFunc(all, func(a, b verified) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.name, b.name), cmp.Compare(a.revision, b.revision))
	}).key, true
}

// verifications returns all revisions and when they were last read again. One that is damaged has its turn like the others: what
// made it so may be over.
func (r *Repository) verifications() []verified {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []verified
	for _, revisions := range r.images {
		for _, img := range revisions {
			at := r.verifiedAt(img)
			if found := r.health[img.key()].Found; found.After(at) {
				at = found
			}
			list = append(list, verified{img.key(), img.FileBytes, at})
		}
	}
	return list
}

// scrub verifies a share of the images every night until ctx ends.
func (r *Repository) scrub(ctx context.Context) error {
	limit := rate.NewLimiter(scrubRate, teeBlockLen)
	slow := func(n int) error { return limit.WaitN(ctx, n) }
	failed := make(map[key]bool) // which are not tried again in the same night
	for {
		now := r.now()
		night := nightOf(now)
		k, due := key{}, false
		if !now.Before(night.from) {
			k, due = dueTonight(slices.DeleteFunc(r.verifications(), func(v verified) bool { return failed[v.key] }), night)
		}
		if !due {
			if !now.Before(night.from) {
				night = nightOf(night.until)
				clear(failed)
			}
			select {
			case <-time.After(min(night.from.Sub(now), scrubLook)):
				continue
			case <-ctx.Done():
				return nil
			}
		}
		if err := r.verify(ctx, k, "nightly check", nil, slow); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			failed[k] = true
			r.log.Warn("nightly check", "image", k.name, "revision", k.revision, "err", err)
		}
	}
}
