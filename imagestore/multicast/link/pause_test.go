package link

import (
	"testing"
	"time"
)

func TestPauseFollowsTheRate(t *testing.T) {
	for _, c := range []struct {
		what  string
		pause time.Duration // the last
		taken int           // datagrams since
		want  time.Duration
	}{
		{"nothing came", 4 * time.Millisecond, 0, 8 * time.Millisecond},
		{"nothing came for long", idlePause, 0, idlePause},
		{"the first after a silence", idlePause, 1, joinedPause},
		{"some few", 2 * time.Millisecond, fewDatagrams - 1, 4 * time.Millisecond},
		{"some few, at the longest pause", joinedPause, fewDatagrams - 1, joinedPause},
		{"enough", 2 * time.Millisecond, fewDatagrams, 2 * time.Millisecond},
		{"enough after a silence", idlePause, manyDatagrams, joinedPause},
		{"many", 4 * time.Millisecond, manyDatagrams + 1, 2 * time.Millisecond},
		{"many after a silence", idlePause, manyDatagrams + 1, joinedPause / 2},
		{"many, at the shortest pause", shortestPause, manyDatagrams + 1, shortestPause},
	} {
		r := receiveBatch{pause: c.pause, taken: c.taken, longest: joinedPause}
		if r.adapt(); r.pause != c.want {
			t.Errorf("%s: after %s and %d datagrams the pause is %s, want %s", c.what, c.pause, c.taken, r.pause, c.want)
		}
	}
}
