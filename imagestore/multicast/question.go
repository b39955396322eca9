package multicast

import (
	"time"
)

// A question is what keeps half-duplex apart: the sender asks, and sends nothing until the active receivers have answered.
type question struct {
	half   bool
	casual bool // every command asks, and no answer is waited for
	number uint16
	first  uint16    // the number when it was asked the first time
	sent   int       // datagrams of symbols since it was asked
	asked  time.Time // when it was
	until  time.Time // when it is asked again; zero when it is answered
	tried  int
}

const (
	answerTime  = 100 * time.Millisecond
	answerTries = 3
	askAtLeast  = time.Second // how often
)

// next makes a new question that nobody waits for.
func (q *question) next() {
	if q.half {
		q.number++
		q.sent = 0
	}
}

// ask makes a question that is waited for.
func (q *question) ask(now time.Time, a *audience) {
	if q.half {
		q.next()
		q.first, q.tried = q.number, 1
		q.asked = now
		q.until = now.Add(answerTime + a.interval())
	}
}

// due tells whether that many datagrams, or the last for long, were sent since the last question.
func (q *question) due(now time.Time, datagrams int) bool {
	return q.half && (q.sent >= datagrams || q.sent > 0 && now.Sub(q.asked) >= askAtLeast)
}

// open tells whether active receivers still have to answer. Those that do not after several times are silent.
func (q *question) open(now time.Time, a *audience) bool {
	if q.until.IsZero() {
		return false
	}
	missing := a.unanswered(q.first)
	switch {
	case len(missing) == 0:
		q.until = time.Time{}
	case now.Before(q.until):
	case q.tried < answerTries:
		q.tried++
		q.number++
		q.until = now.Add(answerTime + a.interval())
	default:
		for _, l := range missing {
			l.demote(reasonSilent)
		}
		q.until = time.Time{}
	}
	return !q.until.IsZero()
}
