package lab

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestCommandLeavesNothing runs `aula lab` and ends it in two ways.
func TestCommandLeavesNothing(t *testing.T) {
	need(t, "qemu-system-x86_64", "udhcpc")
	for name, end := range map[string]syscall.Signal{"Ctrl-C": syscall.SIGINT, "kill -9": syscall.SIGKILL} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cmd := exec.CommandContext(t.Context(), program(t), "lab", "--native", "2", "--bios", "1", "--disk", "16")
			// The classroom's folder and the mark of its processes.
			cmd.Env = append(os.Environ(), "TMPDIR="+dir)
			cmd.Stderr = os.Stderr
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = cmd.Process.Kill() })
			visit(t, consoleOf(t, out))
			if got := loopsOf(t, dir); len(got) != 2 {
				t.Errorf("loop devices %v are attached, want two", got)
			}

			send(t, cmd.Process.Pid, end)
			if _, err := io.Copy(io.Discard, out); err != nil {
				t.Error(err)
			}
			err = cmd.Wait()
			if end == syscall.SIGINT && err != nil {
				t.Errorf("Ctrl-C ends it with %v", err)
			}
			eventually(t, "processes end", func() error {
				if left := processesOf(t, dir); len(left) > 0 {
					return fmt.Errorf("left: %v", left)
				}
				return nil
			})
			eventually(t, "loop devices are free", func() error {
				if left := loopsOf(t, dir); len(left) > 0 {
					return fmt.Errorf("still attached: %v", left)
				}
				return nil
			})
			if end == syscall.SIGKILL {
				if err := sweepFolders(dir); err != nil {
					t.Error(err)
				}
			}
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("left in the temporary folder: %v, %v", left, err)
			}
		})
	}
}

// consoleOf waits until the command says that the classroom is up, and where its console is.
func consoleOf(t *testing.T, out io.Reader) string {
	t.Helper()
	address := regexp.MustCompile(`https://127\.0\.0\.1:\d+/`)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if url := address.FindString(lines.Text()); url != "" {
			return url
		}
	}
	t.Fatal("the command ended without an address of its console")
	return ""
}

// visit opens the console from the network of the machine that the command was started on.
func visit(t *testing.T, url string) {
	t.Helper()
	browser := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer browser.CloseIdleConnections()
	answer, err := browser.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		t.Errorf("the console answers %s", answer.Status)
	}
}

// loopsOf are the loop devices that show files in a folder.
func loopsOf(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(all, func(attribute string) bool {
		shown, err := os.ReadFile(attribute)
		return err != nil || !strings.HasPrefix(string(shown), dir)
	})
}
