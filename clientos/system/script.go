package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// scriptTime is how long a script may take that does not say.
const scriptTime = 300 * time.Second

// scripts runs the scripts, one after the other, for each partition that holds an operating system; or once, for the first of the instruction, when none
// does.
func (j *job) scripts(ctx context.Context) {
	systems := slices.DeleteFunc(slices.Clone(j.targets), func(p disk.Partition) bool { return !j.holdsSystem(ctx, p) })
	if len(systems) == 0 && len(j.targets) > 0 {
		systems = j.targets[:1]
	}
	for _, p := range systems {
		if ctx.Err() != nil {
			return
		}
		if err := j.scriptsOn(ctx, p, len(systems) > 1); err != nil {
			j.warn(protocol.ErrPartition, fmt.Sprintf("after the scripts for partition %d", p.Number), err)
		}
	}
}

// holdsSystem tells whether a partition has the root of a Linux or of a Windows.
func (j *job) holdsSystem(ctx context.Context, p disk.Partition) bool {
	if p.Filesystem == ntfs {
		node, err := claimable(ctx, j.disk, p, false)
		if err != nil {
			return false
		}
		_, _, err = readHive(ctx, node)
		return !errors.Is(err, errNoSystem)
	}
	if !linuxFilesystem(p) {
		return false
	}
	m, err := mountPartition(ctx, j.cfg.Folder, j.disk, p, toRead)
	if err != nil {
		return false
	}
	holds := isFolder(m.root, "etc")
	return m.close() == nil && holds
}

// scriptsOn runs the scripts for a partition, with its filesystem mounted meanwhile when it can be.
func (j *job) scriptsOn(ctx context.Context, p disk.Partition, several bool) (err error) {
	root := ""
	if mountable(p) {
		m, mounting := mountPartition(ctx, j.cfg.Folder, j.disk, p, toRun)
		if mounting != nil {
			j.warn(protocol.ErrPartition, fmt.Sprintf("the scripts find no AULA_ROOT for partition %d", p.Number), mounting)
		} else {
			defer func() { err = errors.Join(err, m.close()) }()
			root = m.root
			if m.readOnly() {
				j.note("the scripts can only read partition %d: its filesystem was not shut down cleanly when the image was captured", p.Number)
			}
		}
	} else {
		j.note("the scripts find no AULA_ROOT: the filesystem of partition %d (%s) cannot be mounted here", p.Number, p.Filesystem)
	}
	for _, s := range j.in.Configuration.Scripts {
		if ctx.Err() != nil {
			return nil
		}
		j.doing("running the script %s for partition %d", s.Name, p.Number)
		result, err := j.run(ctx, s, p, root)
		if several {
			result.Name += fmt.Sprintf(" (partition %d)", p.Number)
		}
		j.result.Scripts = append(j.result.Scripts, result)
		if err != nil {
			j.warn(protocol.ErrGeneric, fmt.Sprintf("the script %s failed on partition %d", s.Name, p.Number), err)
		}
	}
	return nil
}

// run runs a script in namespaces of its own of processes and mounts: when the shell ends or is killed the kernel ends all that it started, however they
// detached themselves, and takes down what they mounted.
func (j *job) run(ctx context.Context, s protocol.Script, p disk.Partition, root string) (protocol.ScriptResult, error) {
	result := protocol.ScriptResult{Name: s.Name, Exit: -1}
	if err := os.MkdirAll(j.cfg.Folder, 0o700); err != nil {
		return result, fmt.Errorf("a folder for the script: %w", err)
	}
	folder, err := os.MkdirTemp(j.cfg.Folder, "script-")
	if err != nil {
		return result, fmt.Errorf("a folder for the script: %w", err)
	}
	defer os.RemoveAll(folder)
	file := filepath.Join(folder, "script")
	if err := os.WriteFile(file, []byte(s.Text), 0o600); err != nil {
		return result, fmt.Errorf("a file for the script: %w", err)
	}
	allowed := scriptTime
	if s.Seconds > 0 {
		allowed = time.Duration(s.Seconds) * time.Second
	}
	late := fmt.Errorf("it was killed after %v", allowed)
	running, cancel := context.WithTimeoutCause(ctx, allowed, late)
	defer cancel()

	shell := []string{"/bin/sh", file}
	if _, err := os.Stat("/bin/busybox"); err == nil {
		shell = []string{"/bin/busybox", "sh", file}
	}
	cmd := exec.CommandContext(running, shell[0], shell[1:]...)
	cmd.Dir, cmd.Env = folder, j.environment(p, root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS}
	cmd.WaitDelay = 5 * time.Second
	output := tail{}
	cmd.Stdout, cmd.Stderr = &output, &output
	err = cmd.Run()
	result.Output = output.String()
	if cmd.ProcessState != nil {
		result.Exit = cmd.ProcessState.ExitCode()
	}
	switch {
	case ctx.Err() != nil:
		return result, nil // the operation was cancelled, which is said elsewhere
	case errors.Is(context.Cause(running), late):
		return result, &trouble{problem: late.Error(), detail: result.Output,
			advice: "allow the script more time, or look in its output for what it waits for: it has no input"}
	case result.Exit > 0:
		return result, &trouble{problem: fmt.Sprintf("it ended with status %d", result.Exit), detail: result.Output,
			advice: "read its output, correct the script, and start the configuration alone"}
	case err != nil:
		return result, &trouble{problem: "it did not run to its end", cause: err, detail: result.Output,
			advice: "read its output, correct the script, and start the configuration alone"}
	}
	return result, nil
}

func (j *job) environment(p disk.Partition, root string) []string {
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8",
		"AULA_COMPUTER=" + j.in.Computer, "AULA_CLASSROOM=" + j.in.Classroom,
		"AULA_DISK=" + strconv.Itoa(j.disk.Number), "AULA_PARTITION=" + strconv.Itoa(p.Number), "AULA_DEVICE=" + p.Path,
	}
	if root != "" {
		env = append(env, "AULA_ROOT="+root)
	}
	return env
}
