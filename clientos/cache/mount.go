package cache

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// A place is where the cache is.
type place struct {
	disk      disk.Disk
	partition disk.Partition
	shelf     shelf
}

// find returns where the cache is, or a *protocol.Failure of code ErrNotCache.
func find(ctx context.Context, disks disk.System) (*place, error) {
	all, err := disks.Disks(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, &protocol.Failure{Code: protocol.ErrNotFound, Problem: "the disks of this computer cannot be read: " + err.Error(),
			Advice: "restart the computer and try again"}
	}
	if d, p, ok := disk.FindCache(all); ok {
		return &place{disk: d, partition: p}, nil
	}
	return nil, &protocol.Failure{Code: protocol.ErrNotCache, Problem: "this computer has no cache partition",
		Advice: "make one (initCache), or have the image restored directly (UNICAST-DIRECT)"}
}

func (at *place) String() string {
	return fmt.Sprintf("the cache partition (disk %d, partition %d)", at.disk.Number, at.partition.Number)
}

// state is the cache of which nothing but a problem is known.
func (at *place) state(problem string) *protocol.CacheState {
	return &protocol.CacheState{Disk: at.disk.Number, Partition: at.partition.Number, Bytes: at.partition.Bytes, Problem: problem}
}

// look tells what the cache holds, which is mounted.
func (at *place) look() *protocol.CacheState {
	state := at.state("")
	room, err := at.shelf.space()
	if err == nil {
		state.Bytes, state.Free = room.total, room.free
		state.Images, err = at.shelf.list()
	}
	switch {
	case err != nil:
		state.Problem = at.String() + " cannot be read: " + err.Error() + " (format it: initCache; when that does not help the disk is failing)"
	case room.readOnly:
		state.Free, state.Problem = 0, readOnly
	}
	return state
}

const readOnly = "the cache partition can be read, but not written: the kernel protects it after an error of the disk or of the filesystem " +
	"(restart the computer; when that does not help, format it: initCache)"

// kernelNames are the filesystems that a cache may have. OpenGnsys makes EXT4.
var kernelNames = map[string]string{
	"EXT2": "ext4", "EXT3": "ext4", "EXT4": "ext4", "XFS": "xfs", "BTRFS": "btrfs", "F2FS": "f2fs", "EXFAT": "exfat", "FAT16": "vfat", "FAT32": "vfat",
}

// mount mounts the cache at folder. When that fails it is repaired once, as OpenGnsys does, which never asks and never guesses (e2fsck -p).
func (at *place) mount(ctx context.Context, folder string, log *slog.Logger) error {
	kind, ok := kernelNames[at.partition.Filesystem]
	switch {
	case at.partition.Filesystem == "":
		return &protocol.Failure{Code: protocol.ErrFilesystem, Problem: at.String() + " has no filesystem that can be recognised",
			Advice: "format it: initCache"}
	case !ok:
		return &protocol.Failure{Code: protocol.ErrFilesystem, Advice: "format it: initCache",
			Problem: fmt.Sprintf("%s has the filesystem %s, which cannot hold a cache", at, at.partition.Filesystem)}
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return &protocol.Failure{Code: protocol.ErrGeneric, Problem: "there is no folder to mount the cache partition at: " + err.Error(),
			Advice: "restart the computer"}
	}
	here, err := mountedAt(folder, at.partition.Path)
	if err != nil || here {
		return err // what an agent that was killed has left is taken over
	}
	// Opening it makes the kernel know the partition where the table has it, and refuses one that is in use.
	err = whenFree(func() error {
		f, err := at.disk.Open(ctx, at.partition.Number, true)
		if err != nil {
			return err
		}
		return f.Close()
	})
	if err != nil {
		return at.cannotOpen(ctx, err)
	}
	node := at.partition.Path
	err = tryMount(node, folder, kind)
	if err == nil {
		return nil
	}
	switch {
	case errors.Is(err, unix.ENODEV):
		return &protocol.Failure{Code: protocol.ErrFilesystem, Advice: "format it: initCache",
			Problem: fmt.Sprintf("%s has the filesystem %s, which this kernel does not know", at, at.partition.Filesystem)}
	case errors.Is(err, unix.EBUSY):
		return &protocol.Failure{Code: protocol.ErrLocked, Problem: at.String() + " is in use: " + err.Error(), Advice: "restart the computer and try again"}
	case kind != "ext4":
		return at.damaged(err, "")
	}
	log.Warn("cache cannot be mounted and is repaired", "partition", node, "err", err)
	words, err := repair(ctx, node)
	if err == nil {
		err = tryMount(node, folder, kind)
	}
	if ctx.Err() != nil {
		return fmt.Errorf("repairing %s: %w", node, context.Cause(ctx))
	}
	if err != nil {
		return at.damaged(err, words)
	}
	return nil
}

func (at *place) cannotOpen(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("mounting the cache: %w", context.Cause(ctx))
	}
	failure := &protocol.Failure{Code: protocol.ErrFilesystem, Problem: at.String() + " cannot be opened: " + err.Error()}
	var e *disk.Error
	if errors.As(err, &e) {
		failure.Advice, failure.Detail = e.Advice, e.Detail
		if e.Kind == disk.InUse {
			failure.Code = protocol.ErrLocked
		}
	}
	return failure
}

func (at *place) damaged(err error, words string) *protocol.Failure {
	return &protocol.Failure{Code: protocol.ErrFilesystem, Problem: fmt.Sprintf("the filesystem of %s is damaged: %v", at, err),
		Advice: "format it: initCache; when that does not help the disk is failing", Detail: words}
}

func tryMount(node, folder, kind string) error {
	options := ""
	if kind == "ext4" {
		options = "errors=remount-ro" // mkfs.ext4 has it write on
	}
	err := whenFree(func() error {
		return unix.Mount(node, folder, kind, unix.MS_NOATIME|unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, options)
	})
	if err != nil {
		return fmt.Errorf("mounting %s: %w", node, err)
	}
	return nil
}

// mountedAt tells whether the partition of that node is mounted at folder, and refuses a folder that something else is mounted at.
func mountedAt(folder, node string) (bool, error) {
	var inside, outside, device unix.Stat_t
	if err := errors.Join(unix.Stat(folder, &inside), unix.Stat(filepath.Dir(folder), &outside)); err != nil {
		return false, fmt.Errorf("looking at %s: %w", folder, err)
	}
	if inside.Dev == outside.Dev {
		return false, nil
	}
	if err := unix.Stat(node, &device); err == nil && device.Rdev == inside.Dev {
		return true, nil
	}
	return false, &protocol.Failure{Code: protocol.ErrLocked, Problem: "something else is mounted at " + folder + ", where the cache partition is to be",
		Advice: "restart the computer and try again"}
}

// maxWords bounds what is kept of a tool's own words.
const maxWords = 4 << 10

// repair has e2fsck mend what can be mended without asking. It returns the tool's words.
func repair(ctx context.Context, node string) (words string, err error) {
	cmd := exec.CommandContext(ctx, "e2fsck", "-p", node)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	cmd.Cancel = func() error { return cmd.Process.Signal(unix.SIGTERM) } // at which it leaves the filesystem in order
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	words = strings.TrimSpace(string(out[max(0, len(out)-maxWords):]))
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 && exit.ExitCode() < 4 { // 1 and 2: it was mended (e2fsck(8))
		return words, nil
	}
	if err != nil {
		return words, fmt.Errorf("e2fsck: %w", err)
	}
	return words, nil
}

// unmount takes the mount down, and everything that was written is on the disk. It never does so lazily: who opens the partition next must be alone with it.
func unmount(folder string) error {
	err := whenFree(func() error { return unix.Unmount(folder, 0) })
	if errors.Is(err, unix.EBUSY) {
		unix.Sync()
		return fmt.Errorf("the cache stays mounted at %s, because a file in it is open: %w", folder, err)
	}
	if err != nil {
		return fmt.Errorf("unmounting the cache at %s: %w", folder, err)
	}
	return nil
}

// whenFree repeats what is refused as busy, for five seconds: a tool that is being started elsewhere in the agent has, between fork and exec, all files open
// that the agent had; a script that has mounts of its own holds the cache's until it ends; a udev may be looking at the partition.
func whenFree(do func() error) error {
	err := do()
	for try := 0; try < 200 && errors.Is(err, unix.EBUSY); try++ {
		time.Sleep(25 * time.Millisecond)
		err = do()
	}
	return err
}
