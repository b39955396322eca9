package screen

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// repaintAll is how often the whole screen is painted anew, in case something else (the kernel) wrote on it.
const repaintAll = time.Minute

// A Painter keeps a terminal in step with a State. It is used by one goroutine.
type Painter struct {
	out           io.Writer
	width, height int
	lines         []string
	tone          string
	at            time.Time
}

// NewPainter paints on a Linux console of the given size, in characters.
func NewPainter(out io.Writer, width, height int) *Painter {
	return &Painter{out: out, width: width, height: height}
}

// Paint writes what differs from what was painted before.
func (p *Painter) Paint(s State, now time.Time) error {
	var b strings.Builder
	tone := toneOf(s.Phase)
	lines := Render(s, p.width, p.height)
	if p.lines == nil || tone != p.tone || now.Sub(p.at) >= repaintAll {
		// Cursor off, no blanking of the screen after minutes (console_codes(4)), colour, clear.
		b.WriteString("\x1b[?25l\x1b[9;0]" + tone + "\x1b[2J")
		p.lines, p.at = make([]string, len(lines)), now
	}
	for i, l := range lines {
		if l != p.lines[i] {
			fmt.Fprintf(&b, "\x1b[%d;1H%s\x1b[K", i+1, l)
		}
	}
	p.lines, p.tone = lines, tone
	if b.Len() == 0 {
		return nil
	}
	_, err := io.WriteString(p.out, b.String())
	return err
}

// toneOf is the colour of a phase. Nothing is told by colour alone: the large word says the same.
func toneOf(p Phase) string {
	switch p {
	case Done:
		return "\x1b[0;1;32m"
	case Failed, Denied, Trouble:
		return "\x1b[0;1;31m"
	case Pending, Connecting, Cancelled:
		return "\x1b[0;1;33m"
	default:
		return "\x1b[0;1;37m"
	}
}
