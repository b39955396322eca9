package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The three stages of a program that isolates itself are told apart by the variable stageVar: none outside,
// stageInit in the process that is PID 1 of the new namespaces, stageInside in the program proper.
const (
	stageVar    = "AULA_LAB_STAGE" // STAGE:NUMBER OF INHERITED FILES
	stageInit   = "init"
	stageInside = "inside"
)

// An Inside is what a program finds on the inside of Isolate.
type Inside struct {
	// Files are those that were opened outside, in the same order. Sockets among them belong to the
	// machine's own network.
	Files []*os.File
}

// Isolate gives the program network, mount and process namespaces of its own by executing it again in them, with the
// same arguments, environment and standard files. It must be called early, before anything that should not be
// done twice: main runs up to this call three times.
//
// Inside it returns a non-nil Inside, and the program goes on. Everywhere else it returns nil, with the exit status with
// which the program must end at once; outside that is when the inside has ended.
//
// However the inside or the outside ends, kill -9 included, the kernel then ends every process started inside and
// takes down interfaces, namespaces and mounts made there, and loop devices attached there with Attach. Inside,
// /run is empty, /proc and /sys are those of the new namespaces, and the only interface is lo. Signals that ask
// a program to end (SIGINT, SIGTERM, SIGHUP, SIGQUIT) are handed through to the inside.
//
// outside, which may be nil, is called once, before there is an inside: it does what needs the machine's own
// network, and the files that it returns are inherited.
func Isolate(outside func() ([]*os.File, error)) (in *Inside, status int, err error) {
	stage, count, err := readStage(os.Getenv(stageVar))
	if err != nil {
		return nil, 1, err
	}
	switch stage {
	case stageInit:
		status, err = runInit(inheritedFiles(count))
		return nil, status, err
	case stageInside:
		// The program's own children are not stages of it.
		os.Unsetenv(stageVar)
		return &Inside{Files: inheritedFiles(count)}, 0, nil
	}
	if os.Geteuid() != 0 {
		return nil, 1, errors.New("the virtual classroom needs root for its network and loop devices: run it with sudo")
	}
	var files []*os.File
	if outside != nil {
		if files, err = outside(); err != nil {
			return nil, 1, err
		}
	}
	status, err = runOutside(files)
	return nil, status, err
}

func readStage(value string) (stage string, files int, err error) {
	if value == "" {
		return "", 0, nil
	}
	stage, number, _ := strings.Cut(value, ":")
	files, err = strconv.Atoi(number)
	if err != nil || files < 0 || (stage != stageInit && stage != stageInside) {
		return "", 0, fmt.Errorf("unset the environment variable %s: %q is not for people to set", stageVar, value)
	}
	return stage, files, nil
}

// inheritedFiles returns the files that exec.Cmd.ExtraFiles placed after the standard ones.
func inheritedFiles(count int) []*os.File {
	files := make([]*os.File, count)
	for i := range files {
		syscall.CloseOnExec(3 + i)
		files[i] = os.NewFile(uintptr(3+i), "inherited")
	}
	return files
}

// runOutside starts PID 1 of the new namespaces and waits for it.
func runOutside(files []*os.File) (int, error) {
	// The kernel sends Pdeathsig when the thread ends that made the child, not the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := again(stageInit, files)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
		// Ctrl-C reaches only this process, which hands it through once.
		Setpgid: true,
	}
	return runStage(cmd)
}

// runInit is PID 1: it prepares the mounts, starts the program proper and reaps what is orphaned.
func runInit(files []*os.File) (int, error) {
	if err := prepareMounts(); err != nil {
		return 1, err
	}
	return runStage(again(stageInside, files))
}

// prepareMounts makes the mounts private and shows the new namespaces in them.
func prepareMounts() error {
	mounts := []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"none", "/", "", unix.MS_REC | unix.MS_PRIVATE},
		{"proc", "/proc", "proc", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{"sysfs", "/sys", "sysfs", unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		// Named network namespaces live in /run/netns.
		{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV},
	}
	for _, m := range mounts {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("mount %s for the virtual classroom: %w", m.target, err)
		}
	}
	return command("ip", "link", "set", "lo", "up")
}

// again is this program once more, as another stage.
func again(stage string, files []*os.File) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s:%d", stageVar, stage, len(files)))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = files
	return cmd
}

// runStage runs cmd to its end, handing signals through, and returns its exit status. It reaps every child of the
// process, not only cmd, for PID 1 must.
func runStage(cmd *exec.Cmd) (int, error) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("start the virtual classroom in namespaces of its own: %w", err)
	}
	done := make(chan struct{})
	defer close(done)
	go func() {
		for {
			select {
			case s := <-signals:
				// A process that has just ended needs no signal.
				_ = cmd.Process.Signal(s)
			case <-done:
				return
			}
		}
	}()
	for _, f := range cmd.ExtraFiles {
		f.Close()
	}
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, 0, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 1, fmt.Errorf("wait for the virtual classroom: %w", err)
		case pid != cmd.Process.Pid:
		case ws.Signaled():
			return 128 + int(ws.Signal()), nil
		default:
			return ws.ExitStatus(), nil
		}
	}
}
