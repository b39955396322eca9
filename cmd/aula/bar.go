package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"aula/clientos/disk"
)

// A bar shows progress on one line of a terminal. It is used by one goroutine at a time.
type bar struct {
	w     io.Writer // nil when nobody watches
	now   func() time.Time
	begun time.Time
	shown time.Time
	width int
}

// barEvery is the least time between two pictures.
const barEvery = 200 * time.Millisecond

// newBar makes a bar on stderr, which shows nothing unless that is a terminal.
func newBar() *bar {
	b := &bar{now: time.Now, begun: time.Now()}
	if _, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS); err == nil {
		b.w = os.Stderr
	}
	return b
}

// show draws; total is 0 when it is not known.
func (b *bar) show(stage string, done, total int64) {
	now := b.now()
	if b.w == nil || now.Sub(b.shown) < barEvery {
		return
	}
	b.shown = now
	b.draw(picture(stage, done, total, now.Sub(b.begun)))
}

// draw puts a line in the place of the one before.
func (b *bar) draw(line string) {
	if b.w == nil {
		return
	}
	fmt.Fprintf(b.w, "\r%-*s", b.width, line)
	b.width = len([]rune(line))
}

// end wipes the line.
func (b *bar) end() {
	if b.w != nil && b.width > 0 {
		fmt.Fprintf(b.w, "\r%*s\r", b.width, "")
		b.width = 0
	}
}

// picture is one line: a bar, how far, how fast since the beginning, how long yet.
func picture(stage string, done, total int64, since time.Duration) string {
	if total > 0 {
		done = min(done, total)
	}
	if since < time.Second {
		return gauge(stage, done, total, 0)
	}
	return gauge(stage, done, total, float64(done)/since.Seconds())
}

// gauge is one line: a bar, how far, how fast in byte/s, how long yet. What is 0 is not known.
func gauge(stage string, done, total int64, rate float64) string {
	const cells = 24
	var b strings.Builder
	if total > 0 {
		done = min(done, total)
		full := int(cells * done / total)
		fmt.Fprintf(&b, "[%s%s] %3d %%  ", strings.Repeat("#", full), strings.Repeat(".", cells-full), 100*done/total)
	}
	b.WriteString(disk.FormatSize(done))
	if total > 0 {
		b.WriteString(" of " + disk.FormatSize(total))
	}
	if rate > 0 {
		fmt.Fprintf(&b, ", %s/s", disk.FormatSize(int64(rate)))
		if total > done {
			left := time.Duration(float64(total-done) / rate * float64(time.Second))
			fmt.Fprintf(&b, ", %s left", left.Round(time.Second))
		}
	}
	if stage != "" {
		b.WriteString("  " + stage)
	}
	return b.String()
}
