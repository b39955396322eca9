package boot

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"time"

	"aula/netboot"
)

// A Notice is a netboot.Notice with its time.
type Notice struct {
	netboot.Notice
	Since time.Time
	Times int // it was told
}

// heldNotice is a Notice and whether the operator has taken it away.
type heldNotice struct {
	Notice
	dismissed bool
}

// maxNotices bounds what spoofed packets can make the console show.
const maxNotices = 200

var logLevels = map[string]slog.Level{netboot.Info: slog.LevelInfo, netboot.Warning: slog.LevelWarn, netboot.Alarm: slog.LevelError}

// Notify implements netboot.Observer. A notice that was dismissed comes back when its text is another one.
func (s *Service) Notify(n netboot.Notice) {
	s.mu.Lock()
	held, known := s.notices[n.Key]
	switch {
	case n.Gone:
		delete(s.notices, n.Key)
	case known:
		held.dismissed = held.dismissed && held.Text == n.Text
		fresh := held.Text != n.Text
		held.Notice.Notice = n
		held.Times++
		known = !fresh
	case s.haveRoom(n):
		s.notices[n.Key] = &heldNotice{Notice: Notice{Notice: n, Since: s.cfg.Now(), Times: 1}}
	}
	s.mu.Unlock()
	switch {
	case n.Gone && held != nil:
		s.cfg.Log.Info("over: "+held.Text, "notice", n.Key)
	case !n.Gone && !known:
		s.cfg.Log.Log(context.Background(), logLevels[n.Level], n.Text, "notice", n.Key)
	}
	s.cfg.Changed("")
}

// haveRoom makes room for a notice, in place of the oldest of those that matter less. mu is held.
func (s *Service) haveRoom(n netboot.Notice) bool {
	if len(s.notices) < maxNotices {
		return true
	}
	var oldest *heldNotice
	for _, held := range s.notices {
		if rank(held.Level) > rank(n.Level) && (oldest == nil || held.Since.Before(oldest.Since)) {
			oldest = held
		}
	}
	if oldest == nil {
		return false
	}
	delete(s.notices, oldest.Key)
	return true
}

// rank is 0 for what matters most.
func rank(level string) int {
	switch level {
	case netboot.Alarm:
		return 0
	case netboot.Warning:
		return 1
	}
	return 2
}

// Notices returns what the operator should know now, alarms first and then the latest first.
func (s *Service) Notices() []Notice {
	s.mu.Lock()
	var all []Notice
	for _, n := range s.notices {
		if !n.dismissed {
			all = append(all, n.Notice)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b Notice) int {
		return cmp.Or(cmp.Compare(rank(a.Level), rank(b.Level)), b.Since.Compare(a.Since), cmp.Compare(a.Key, b.Key))
	})
	return all
}

// Dismiss takes a notice away until it tells something else.
func (s *Service) Dismiss(key string) {
	s.mu.Lock()
	if n, ok := s.notices[key]; ok {
		n.dismissed = true
	}
	s.mu.Unlock()
	s.cfg.Changed("")
}
