package torrent

import (
	"context"
	"slices"
	"time"

	"aula/imagestore/torrent/tracker"
)

const (
	announceTime = 10 * time.Second // for an answer
	leaveTime    = 2 * time.Second  // for that of the last announce, which is a courtesy
	soonest      = 2 * time.Second  // between announces, whatever the tracker says
	retryMost    = time.Minute
)

// An announcer tells one tracker of the swarm's progress and learns of peers from it.
type announcer struct {
	swarm *swarm
	url   string
	now   chan struct{} // holds one when it should announce before its time

	// Guarded by the swarm's mutex.
	err  error
	next time.Time
}

// announcers makes one for each tracker.
func (s *swarm) announcers() []*announcer {
	urls := s.task.Trackers
	if urls == nil {
		urls = s.meta.Announce
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, url := range urls {
		if slices.Contains(urls[:i], url) {
			continue
		}
		s.trackers = append(s.trackers, &announcer{swarm: s, url: url, now: make(chan struct{}, 1)})
	}
	return s.trackers
}

// hurry makes it announce now.
func (a *announcer) hurry() {
	select {
	case a.now <- struct{}{}:
	default:
	}
}

// run announces until the context ends, and then that the peer leaves.
func (a *announcer) run(ctx context.Context) error {
	event, complete := tracker.Started, a.swarm.complete()
	failures := 0
	for ctx.Err() == nil {
		pause := a.announce(ctx, event, &failures)
		if failures == 0 {
			event = tracker.None
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
		case <-a.now:
		case <-timer.C:
		}
		timer.Stop()
		if !complete && a.swarm.complete() {
			event, complete = tracker.Completed, true
		}
	}
	if event == tracker.Started {
		return nil // it was never told
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	_, _ = tracker.Announce(ctx, a.url, a.request(tracker.Stopped))
	return nil
}

// announce announces once and answers when to do so again.
func (a *announcer) announce(ctx context.Context, event tracker.Event, failures *int) time.Duration {
	ctx, cancel := context.WithTimeout(ctx, announceTime)
	defer cancel()
	answer, err := tracker.Announce(ctx, a.url, a.request(event))
	pause := max(answer.Interval, soonest)
	if err != nil {
		if *failures == 0 && ctx.Err() == nil {
			a.swarm.log.Warn("the tracker does not answer; peers that are known go on", "tracker", tracker.PublicURL(a.url), "err", err)
		}
		pause = min(soonest<<min(*failures, 5), retryMost)
		*failures++
	} else {
		*failures = 0
	}
	a.swarm.mu.Lock()
	a.err, a.next = err, time.Now().Add(pause)
	a.swarm.mu.Unlock()
	a.swarm.contacts.learn(answer.Peers)
	return pause
}

func (a *announcer) request(event tracker.Event) tracker.Request {
	s := a.swarm
	s.mu.Lock()
	defer s.mu.Unlock()
	return tracker.Request{
		Hash: s.meta.Hash, Peer: s.client.id, Port: s.client.Port(), Event: event, From: s.client.from,
		Uploaded: s.up.total, Downloaded: s.down.total, Left: s.meta.Length - s.haveBytes(),
	}
}
