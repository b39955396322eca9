package netboot_test

import (
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aula/netboot"
	"aula/netboot/dhcp"
)

// secondVariable makes the test's program another Aula: it holds its folder.
const secondVariable = "AULA_TEST_SECOND"

// beSecond is another Aula in the namespace of this process. It tells what it sees on its standard output.
func beSecond(folder string) int {
	err := serveUntilTold(netboot.Config{
		Interface: "eth0", Mode: netboot.ModeFull, Name: "second", Leases: filepath.Join(folder, "leases.db"), AgentPort: 4430,
		Files: part{kernel: "kernel", initramfs: "initramfs"}, Decider: strangers{}, Log: slog.New(slog.NewTextHandler(os.Stdout, nil)),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// Two Aulas that lease addresses on one network each tell of the other, by its name.
func TestTwoAulasNoticeEachOther(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	newBridge(t)
	plugForeign(t)
	c := prepare(t, func(cfg *netboot.Config) { cfg.Name = "first" })
	c.server.SetIntervals(time.Hour, 2*time.Second) // in place of 45 s
	c.start(t)
	c.awaitRole(t, dhcp.Full, false)

	folder := t.TempDir()
	said := filepath.Join(folder, "log")
	out, err := os.Create(said)
	if err != nil {
		t.Fatal(err)
	}
	second := exec.CommandContext(t.Context(), "ip", "netns", "exec", "foreign", os.Args[0])
	second.Env = append(os.Environ(), secondVariable+"="+folder)
	second.Stdout, second.Stderr = out, out
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = second.Process.Kill()
		_ = second.Wait()
		_ = out.Close()
	})
	n := c.awaitNotice(t, soon, "the other Aula", func(n netboot.Notice) bool { return n.Key == foreignKey && strings.Contains(n.Text, "second") })
	if n.Level != netboot.Alarm || !strings.Contains(n.Text, "Another Aula") || !strings.Contains(n.Text, foreignHost) {
		t.Errorf("notice %+v, want an alarm that names the other Aula and its address", n)
	}
	for deadline := time.Now().Add(soon); ; time.Sleep(50 * time.Millisecond) {
		text, err := os.ReadFile(said)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(text), "aula=first") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the other Aula does not tell of this one:\n%s", text)
		}
	}
}
