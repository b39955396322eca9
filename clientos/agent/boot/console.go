package boot

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"aula/clientos/agent/screen"
)

// screenConsole is what the kernel calls the PC's own screen, and screenDevice is the terminal that is on it.
const (
	screenConsole = "tty0"
	screenDevice  = "/dev/tty1"
)

// openConsoles shows the board on the PC's own screen and, as lines, on every serial console that the kernel uses.
func openConsoles(ctx context.Context, board *screen.Board, log *slog.Logger, group *errgroup.Group) {
	text, err := os.ReadFile("/sys/class/tty/console/active")
	if err != nil {
		log.Warn("consoles", "error", err)
	}
	shown := false
	open := func(device string) *os.File {
		f, err := os.OpenFile(device, os.O_WRONLY|unix.O_NOCTTY, 0)
		if err != nil {
			log.Warn("console", "device", device, "error", err)
			return nil
		}
		shown = true
		return f
	}
	// Painted even if the kernel writes elsewhere only: people look at it.
	if f := open(screenDevice); f != nil {
		group.Go(func() error {
			defer f.Close()
			width, height := size(f)
			return board.Paint(ctx, screen.NewPainter(f, width, height))
		})
	}
	for _, name := range strings.Fields(string(text)) {
		if name == screenConsole {
			continue
		}
		if f := open("/dev/" + name); f != nil {
			group.Go(func() error {
				defer f.Close()
				return board.Journal(ctx, f)
			})
		}
	}
	if !shown {
		group.Go(func() error { return board.Journal(ctx, os.Stdout) })
	}
}

// size asks a console for its columns and rows.
func size(f *os.File) (width, height int) {
	w, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || w.Col == 0 || w.Row == 0 {
		return screen.MinWidth, screen.MinHeight
	}
	return int(w.Col), int(w.Row)
}

// kernelLog is the log of the client OS: the kernel's own, which a technician reads with dmesg.
func kernelLog() io.Writer {
	f, err := os.OpenFile("/dev/kmsg", os.O_WRONLY, 0)
	if err != nil {
		return os.Stderr
	}
	return kmsg{f}
}

// kmsg writes each record as one entry of the kernel's log.
type kmsg struct{ to io.Writer }

// maxEntry is what the kernel takes at once (LOG_LINE_MAX less its own prefix).
const maxEntry = 900

func (k kmsg) Write(p []byte) (int, error) {
	entry := "<6>aula-agent: " + strings.TrimSpace(string(p))
	if len(entry) > maxEntry {
		entry = entry[:maxEntry]
	}
	if _, err := io.WriteString(k.to, entry+"\n"); err != nil {
		return 0, err
	}
	return len(p), nil
}
