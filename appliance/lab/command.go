package lab

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
)

// command runs a tool to its end; its own words are in the error.
func command(name string, args ...string) error {
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, bytes.TrimSpace(out))
	}
	return nil
}
