package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A tenancy is what a tenant has, as it tells its test.
type tenancy struct {
	Folder, Loop, Network string
	Inside                int // pid, as the tenant's init sees it
}

// runTenant makes one of each thing that a classroom takes from the machine, says so on standard output, and waits to be ended.
func runTenant(dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	f, err := makeFolder(dir)
	if err != nil {
		return err
	}
	disk := filepath.Join(f.path, "disk")
	if err := (DiskSpec{Bytes: 8 << 20}).create(disk); err != nil {
		return err
	}
	loop, err := attachLoop(disk, 512)
	if err != nil {
		return err
	}
	if err := partition(loop.path); err != nil {
		return err
	}
	if err := errors.Join(makeBridge(), plugNamespace("pc1", macOf(1))); err != nil {
		return err
	}
	// Something that outlives its parent unless somebody sees to it.
	orphan := inNamespace("pc1", "sleep", "1h")
	orphan.Env = append(os.Environ(), "TENANT="+dir)
	if err := orphan.Start(); err != nil {
		return err
	}
	network, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(tenancy{f.path, loop.path, network, os.Getpid()}); err != nil {
		return err
	}
	<-ctx.Done()
	return errors.Join(loop.close(), f.remove())
}

// partition makes a partition on the device, known to the kernel.
func partition(device string) error {
	cmd := exec.Command("sfdisk", "--quiet", "--no-reread", device)
	cmd.Stdin = strings.NewReader("label: dos\nstart=2048, type=83\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("sfdisk: %w: %s", err, out)
	}
	return command("partx", "--add", device)
}

// startTenant starts a tenant and waits until it has everything.
func startTenant(t *testing.T, dir string) (*exec.Cmd, tenancy) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), tenantVar+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("tenant said %q: %v", line, err)
	}
	var has tenancy
	if err := json.Unmarshal(line, &has); err != nil {
		t.Fatalf("tenant said %q: %v", line, err)
	}
	return cmd, has
}

func TestNothingIsLeftOfAClassroom(t *testing.T) {
	for _, end := range []struct {
		name   string
		signal func(t *testing.T, outside *os.Process, dir string)
		swept  bool // the folder goes with the next classroom
	}{
		{"ended by Ctrl-C", func(t *testing.T, outside *os.Process, _ string) {
			send(t, outside.Pid, syscall.SIGINT)
		}, false},
		{"outside killed", func(t *testing.T, outside *os.Process, _ string) {
			send(t, outside.Pid, syscall.SIGKILL)
		}, true},
		{"PID 1 killed", func(t *testing.T, outside *os.Process, _ string) {
			send(t, onlyChild(t, outside.Pid), syscall.SIGKILL)
		}, true},
		{"inside killed", func(t *testing.T, outside *os.Process, _ string) {
			send(t, onlyChild(t, onlyChild(t, outside.Pid)), syscall.SIGKILL)
		}, true},
	} {
		t.Run(end.name, func(t *testing.T) {
			dir := t.TempDir()
			cmd, has := startTenant(t, dir)
			if len(processesOf(t, dir)) < 3 {
				t.Fatalf("processes of the tenant: %v; want its stages and its orphan", processesOf(t, dir))
			}
			end.signal(t, cmd.Process, dir)
			_ = cmd.Wait()

			eventually(t, "processes end", func() error {
				if left := processesOf(t, dir); len(left) > 0 {
					return fmt.Errorf("left: %v", left)
				}
				return nil
			})
			eventually(t, "loop device is free", func() error { return freeLoop(has.Loop, dir) })
			if left := usersOf(t, has.Network); len(left) > 0 {
				t.Errorf("network namespace %s is still in use by %v", has.Network, left)
			}
			if end.swept {
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

func TestSweepSparesLivingClassrooms(t *testing.T) {
	dir := t.TempDir()
	_, has := startTenant(t, dir)
	if err := sweepFolders(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(has.Folder); err != nil {
		t.Errorf("folder of a living classroom: %v", err)
	}
}

func TestInsideIsPrivate(t *testing.T) {
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagLoopback == 0 && i.Name != bridge && !strings.HasPrefix(i.Name, "pc") {
			t.Errorf("there is an interface of the machine's: %s", i.Name)
		}
	}
	if os.Getenv(stageVar) != "" {
		t.Errorf("%s is passed on to children", stageVar)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("loopback is not up: %v", err)
	}
	l.Close()
}

func TestReadStage(t *testing.T) {
	for _, c := range []struct {
		value, stage string
		files        int
		bad          bool
	}{
		{value: ""},
		{value: "init:0", stage: stageInit},
		{value: "inside:2", stage: stageInside, files: 2},
		{value: "inside", bad: true},
		{value: "inside:-1", bad: true},
		{value: "elsewhere:0", bad: true},
	} {
		stage, files, err := readStage(c.value)
		if stage != c.stage || files != c.files || (err != nil) != c.bad {
			t.Errorf("readStage(%q) = %q, %d, %v", c.value, stage, files, err)
		}
	}
}

func send(t *testing.T, pid int, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, s); err != nil {
		t.Fatal(err)
	}
}

// onlyChild is the child of a process that has one.
func onlyChild(t *testing.T, pid int) int {
	t.Helper()
	for _, p := range processes(t) {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
		if err != nil {
			continue
		}
		// After the name in parentheses: state, parent.
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if fields[1] == fmt.Sprint(pid) {
			return p
		}
	}
	t.Fatalf("process %d has no child", pid)
	return 0
}

func processes(t *testing.T) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		var pid int
		if n, _ := fmt.Sscanf(e.Name(), "%d", &pid); n == 1 && pid != os.Getpid() {
			pids = append(pids, pid)
		}
	}
	return pids
}

// processesOf are those with the tenant's folder in their environment.
func processesOf(t *testing.T, dir string) []int {
	t.Helper()
	var of []int
	for _, pid := range processes(t) {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err == nil && bytes.Contains(env, []byte(dir+"\x00")) {
			of = append(of, pid)
		}
	}
	return of
}

// usersOf are the processes in a network namespace.
func usersOf(t *testing.T, network string) []int {
	t.Helper()
	var of []int
	for _, pid := range processes(t) {
		if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid)); err == nil && ns == network {
			of = append(of, pid)
		}
	}
	return of
}

// freeLoop checks that a loop device shows nothing of a folder, and that the kernel has forgotten its partitions. Another
// program may have taken the device since.
func freeLoop(device, dir string) error {
	block := filepath.Join("/sys/block", filepath.Base(device))
	shown, err := os.ReadFile(filepath.Join(block, "loop/backing_file"))
	if err == nil && strings.HasPrefix(string(shown), dir) {
		return fmt.Errorf("%s still shows %s", device, bytes.TrimSpace(shown))
	}
	partitions, _ := filepath.Glob(filepath.Join(block, filepath.Base(device)+"p*"))
	if err != nil && len(partitions) > 0 {
		return fmt.Errorf("%s still has partitions: %v", device, partitions)
	}
	return nil
}

// eventually waits for what the kernel does by itself after a process has ended.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	limit := time.NewTimer(20 * time.Second)
	defer limit.Stop()
	pause := time.NewTicker(20 * time.Millisecond)
	defer pause.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-pause.C:
		case <-limit.C:
			t.Fatalf("%s: %v", what, err)
		}
	}
}
