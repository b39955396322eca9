package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
)

// A Serial is what a PC says on its serial console, or a native PC's agent on its standard output. It is safe for
// concurrent use.
type Serial struct {
	log io.Writer // everything, also what is forgotten here

	mu    sync.Mutex
	text  []byte
	read  int           // WaitFor has gone past these
	grown chan struct{} // closed and replaced whenever something changes
	off   bool          // the PC is off: nothing more comes
}

// serialKept bounds what a Serial remembers.
const serialKept = 4 << 20

func newSerial(log io.Writer) *Serial {
	return &Serial{log: log, grown: make(chan struct{}), off: true}
}

// Write takes what the PC says.
func (s *Serial) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text = append(s.text, p...)
	if surplus := len(s.text) - serialKept; surplus > 0 {
		s.text = append([]byte(nil), s.text[surplus:]...)
		s.read = max(0, s.read-surplus)
	}
	s.changed()
	return s.log.Write(p)
}

// power says whether the PC is on.
func (s *Serial) power(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.off = !on
	s.changed()
}

func (s *Serial) changed() {
	close(s.grown)
	s.grown = make(chan struct{})
}

// WaitFor waits until the PC says something that matches the expression, after what earlier calls have matched, and
// returns the match. When the PC is powered off first, or ctx ends, the error holds the PC's last words.
func (s *Serial) WaitFor(ctx context.Context, expression *regexp.Regexp) (string, error) {
	for {
		s.mu.Lock()
		text, grown, off := s.text[s.read:], s.grown, s.off
		if at := expression.FindIndex(text); at != nil {
			found := string(text[at[0]:at[1]])
			s.read += at[1]
			s.mu.Unlock()
			return found, nil
		}
		s.mu.Unlock()
		if off {
			return "", fmt.Errorf("the PC went off before it said %q; its last words:\n%s", expression, s.Tail(lastWords))
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return "", fmt.Errorf("the PC did not say %q: %w; its last words:\n%s", expression, context.Cause(ctx), s.Tail(lastWords))
		}
	}
}

// lastWords is how many lines of a PC's console an error shows.
const lastWords = 20

// Tail returns the last n lines that are not empty, without the terminal's control sequences.
func (s *Serial) Tail(n int) string {
	s.mu.Lock()
	text := bytes.Clone(s.text[max(0, len(s.text)-64<<10):])
	s.mu.Unlock()
	return lastLines(text, n)
}

var controlSequence = regexp.MustCompile(`\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][0-9A-B]|[\x00-\x08\x0b-\x1f\x7f]`)

// lastLines returns the last n lines of text that are not empty, each indented, without control sequences.
func lastLines(text []byte, n int) string {
	clean := controlSequence.ReplaceAll(text, nil)
	var lines []string
	for line := range strings.Lines(string(clean)) {
		if line = strings.TrimRight(line, " \n"); line != "" {
			lines = append(lines, "\t"+line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
