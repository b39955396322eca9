package disk

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

// maxDetail bounds what is kept of a tool's own words.
const maxDetail = 4 << 10

// run runs a tool of the client OS with input on its standard input and returns its output. The tool's messages are in
// English whatever the locale, because some are read by the caller.
func run(ctx context.Context, input string, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.WaitDelay = 5 * time.Second
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), toolError(ctx, name, args, stderr.String(), err)
	}
	return stdout.Bytes(), nil
}

func toolError(ctx context.Context, name string, args []string, stderr string, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", name, context.Cause(ctx))
	}
	if len(stderr) > maxDetail {
		stderr = stderr[len(stderr)-maxDetail:]
	}
	e := &Error{
		Kind:    Tool,
		Problem: fmt.Sprintf("%s failed on %s", name, args[len(args)-1]),
		Advice:  "read the tool's own words; if they speak of I/O errors the disk is failing",
		Detail:  strings.TrimSpace(stderr),
		Err:     err,
	}
	if errors.Is(err, exec.ErrNotFound) {
		e.Problem = name + " is not in the client OS"
		e.Advice = "build the client OS again with the package that holds it"
	}
	return e
}

// exitCode returns the exit status in err, or -1.
func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return -1
}
