package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

// tool runs a tool of the client OS and returns what it printed, at most limit bytes. Its messages are in English, because some are read here.
func tool(ctx context.Context, limit int, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = 5 * time.Second
	stdout, stderr := bounded{limit: limit}, tail{}
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	switch {
	case err == nil && stdout.over:
		return nil, &trouble{problem: fmt.Sprintf("%s printed more than %d bytes", name, limit), advice: "the filesystem may be damaged: restore the image again"}
	case err == nil:
		return stdout.Bytes(), nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("%s: %w", name, context.Cause(ctx))
	case errors.Is(err, exec.ErrNotFound):
		return nil, &trouble{problem: name + " is not in the client OS", advice: "build the client OS again with the package that holds it", cause: err}
	}
	return nil, &trouble{
		problem: name + " failed", advice: "read the tool's own words; if they speak of I/O errors the disk is failing",
		detail: strings.TrimSpace(stderr.String()), cause: err,
	}
}

// A bounded keeps what a tool prints up to a limit, so that a damaged filesystem does not fill the memory.
type bounded struct {
	bytes.Buffer
	limit int
	over  bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > b.limit {
		b.over = true
		return len(p), nil
	}
	return b.Buffer.Write(p)
}

// A tail keeps the last 4 KiB of what is written to it.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p[max(0, len(p)-maxDetail):]...)
	if extra := len(t.kept) - maxDetail; extra > 0 {
		t.kept = append(t.kept[:0], t.kept[extra:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return strings.ToValidUTF8(string(t.kept), "\uFFFD") }
