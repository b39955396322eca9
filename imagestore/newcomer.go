package imagestore

import (
	"cmp"
	"io/fs"
	"strings"
	"syscall"
	"time"
)

// A newcomer is a file that somebody has put into the folder, or one of ours that somebody has changed there.
type newcomer struct {
	path     string // in the folder
	name     string // of the image that it is to become a revision of; not canonical in one that is damaged for it
	revision int    // whose file was changed; 0: a new file
	stamp    stamp
	since    time.Time // when it was first seen as it is
	state    State     // Arriving, Processing or Damaged
	problem  string    // why it is damaged
	again    time.Time // when a damaged one is tried again although it has not changed; zero for never
	// Of the file of a revision:
	lost       bool // its record cannot be read
	superseded bool // a newer revision is good
}

// key is the revision whose file was changed.
func (n newcomer) key() key { return key{n.name, n.revision} }

// compare orders newcomers as they are taken in: of what is left of several revisions of one image, the newest first, because the
// older ones are not published above it.
func (n newcomer) compare(m newcomer) int {
	if n.revision != 0 && m.revision != 0 && n.name == m.name {
		return cmp.Compare(m.revision, n.revision)
	}
	return cmp.Compare(n.path, m.path)
}

// retryAfter is the time after which a file is tried again for which there was no room.
const retryAfter = 5 * time.Minute

// A stamp is what changes when a file does.
type stamp struct {
	device, inode uint64
	size          int64
	modified      int64 // nanoseconds
}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), modified: info.ModTime().UnixNano()}
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		s.device, s.inode = uint64(sys.Dev), sys.Ino
	}
	return s
}

// A sighting is what one scan sees of a newcomer.
type sighting struct {
	path     string
	name     string
	revision int
	stamp    stamp
	problem  string // why it cannot be an image, whatever is in it
	// As those of a newcomer.
	lost, superseded bool
}

// observe is what becomes of a newcomer when it is seen again. known is false when it was not there before.
func (n newcomer) observe(s sighting, known bool, now time.Time) newcomer {
	retry := n.state == Damaged && !n.again.IsZero() && !now.Before(n.again)
	if known && n.stamp == s.stamp && n.superseded == s.superseded && !retry || n.state == Processing {
		return n // whoever reads it notices itself that it changes
	}
	n = newcomer{
		path: s.path, name: s.name, revision: s.revision, stamp: s.stamp, since: now, state: Arriving,
		lost: s.lost, superseded: s.superseded,
	}
	if s.problem != "" {
		n.state, n.problem = Damaged, s.problem
	}
	return n
}

// settled tells whether a newcomer may be taken in: it has not changed for as long as settle.
func (n newcomer) settled(now time.Time, settle time.Duration) bool {
	return n.state == Arriving && now.Sub(n.since) >= settle
}

// droppedName returns the image name that a file in the folder has, if its extension is that of an image. What begins with a
// dot is ours, or not complete: rsync and the like write so.
func droppedName(file string) (name string, ok bool) {
	if strings.HasPrefix(file, ".") {
		return "", false
	}
	for _, suffix := range []string{imageSuffix, ".dsk", ".pgz"} {
		if name, ok := strings.CutSuffix(file, suffix); ok {
			return name, true
		}
	}
	return "", false
}
