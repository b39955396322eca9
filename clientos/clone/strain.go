package clone

import (
	"io"
	"sync/atomic"
	"time"

	"aula/clientos/protocol"
)

// A strain measures what the stage of writing waits for: the bytes of the images, the disk, or, for what is left of the time, their decoding. Its methods
// may be called on nil, and from any goroutine.
type strain struct {
	bytes, disk atomic.Int64 // nanoseconds that were waited, so far
	left        atomic.Int64 // when the last block was taken in, in nanoseconds since start; 0: before the first
	local       bool         // the bytes come from a disk of this PC

	start time.Time
	last  reading // of slow
}

// A reading is what a strain had measured at a time.
type reading struct {
	at          time.Time
	bytes, disk int64
}

// strainWindow is over what time it is told what is waited for.
const strainWindow = 3 * time.Second

func newStrain(local bool, now time.Time) *strain {
	return &strain{local: local, start: now, last: reading{at: now}}
}

// waitForBytes begins to count what is waited for bytes, until the answer is called.
func (s *strain) waitForBytes() (done func()) { return s.count(s.counter(false), 1) }

// waitForDisk begins to count what one of so many goroutines, which share the work, waits for the disk.
func (s *strain) waitForDisk(workers int) (done func()) { return s.count(s.counter(true), workers) }

func (s *strain) counter(disk bool) *atomic.Int64 {
	switch {
	case s == nil:
		return nil
	case disk:
		return &s.disk
	}
	return &s.bytes
}

func (s *strain) count(c *atomic.Int64, workers int) func() {
	if s == nil {
		return func() {}
	}
	began := time.Now()
	return func() { c.Add(int64(time.Since(began)) / int64(workers)) }
}

// take is called when a block has come, and the answer when it has been taken in: between them and the next block, bytes are waited for. Blocks of
// one restore come from one goroutine at a time.
func (s *strain) take() (taken func()) {
	if s == nil {
		return func() {}
	}
	if left := s.left.Load(); left > 0 {
		s.bytes.Add(int64(time.Since(s.start)) - left)
	}
	return func() { s.left.Store(max(1, int64(time.Since(s.start)))) }
}

// slow tells what took more than half of the time since it last knew; it is asked from one goroutine at a time, and knows after every strainWindow.
// Empty: nothing did.
func (s *strain) slow(now time.Time) (what string, known bool) {
	elapsed := now.Sub(s.last.at)
	if elapsed < strainWindow {
		return "", false
	}
	r := reading{now, s.bytes.Load(), s.disk.Load()}
	bytes, disk := r.bytes-s.last.bytes, r.disk-s.last.disk
	s.last = r
	decoding := int64(elapsed) - bytes - disk
	half := int64(elapsed) / 2
	switch {
	case bytes > half && bytes >= disk && s.local:
		return protocol.SlowDisk, true
	case bytes > half && bytes >= disk:
		return protocol.SlowNetwork, true
	case disk > half:
		return protocol.SlowDisk, true
	case decoding > half:
		return protocol.SlowDecoding, true
	}
	return "", true
}

// A strained reader counts what is waited for its bytes.
type strained struct {
	io.Reader
	strain *strain
}

// Read implements io.Reader.
func (r strained) Read(p []byte) (int, error) {
	defer r.strain.waitForBytes()()
	return r.Reader.Read(p)
}
