package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"aula/clientos/disk"
)

// diskFacts are what is known of a folder's volume.
type diskFacts struct {
	what   string // for people
	path   string
	absent bool  // the folder will be made
	err    error // of writing there
	kind   int64 // of the file system, statfs(2)
	free   int64 // bytes
	total  int64
	sync   time.Duration // that it takes to have a small file on the disk, in nine of ten cases
	least  int64         // bytes that must be free
	good   int64         // bytes that should be free
}

// Kinds of file systems that are not on a disk of this machine, or do not keep what they are told.
const (
	tmpfs, ramfs    = 0x01021994, 0x858458f6
	nfs, cifs, smb2 = 0x6969, 0xff534d42, 0xfe534d42
	vfat, exfat     = 0x4d44, 0x2011bab0
	fuse            = 0x65735546
)

var kindNames = map[int64]string{
	tmpfs: "memory", ramfs: "memory", nfs: "a network folder (NFS)", cifs: "a network folder (SMB)", smb2: "a network folder (SMB)",
	vfat: "FAT", exfat: "exFAT", fuse: "a file system of a program (FUSE)", unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "XFS",
	unix.BTRFS_SUPER_MAGIC: "btrfs", unix.OVERLAYFS_SUPER_MAGIC: "an overlay", 0x2fc12fc1: "ZFS", 0xf2f52010: "F2FS",
}

// slow is more than a disk takes that works; each lease and each step of an operation waits so long.
const slow = 100 * time.Millisecond

func testDisks(ctx context.Context, m *machine) []Result {
	data := lookAt(ctx, diskFacts{what: "data folder", path: m.cfg.Data, least: 100 << 20, good: 1 << 30})
	images := lookAt(ctx, diskFacts{what: "image folder", path: m.cfg.ImagesDir(), least: m.cfg.Repository.Reserve << 20, good: 50 << 30})
	return []Result{judgeDisk(data), judgeDisk(images)}
}

// lookAt finds out about a folder, or about the one in which it will be made.
func lookAt(ctx context.Context, f diskFacts) diskFacts {
	dir := f.path
	for {
		_, err := os.Stat(dir)
		if parent := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && parent != dir {
			f.absent, dir = true, parent
			continue
		}
		break
	}
	var s unix.Statfs_t
	if f.err = unix.Statfs(dir, &s); f.err != nil {
		return f
	}
	f.kind, f.free, f.total = int64(s.Type), int64(s.Bavail)*s.Bsize, int64(s.Blocks)*s.Bsize
	f.sync, f.err = measureSync(ctx, dir)
	return f
}

// measureSync writes a small file again and again, and removes it.
func measureSync(ctx context.Context, dir string) (took time.Duration, err error) {
	file, err := os.CreateTemp(dir, ".aula-doctor-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, file.Close(), os.Remove(file.Name())) }()
	var all []time.Duration
	block := make([]byte, 4096)
	for begin := time.Now(); len(all) < 20 && time.Since(begin) < 3*time.Second && ctx.Err() == nil; {
		start := time.Now()
		if _, err := file.WriteAt(block, int64(len(all)*len(block))); err != nil {
			return 0, err
		}
		if err := file.Sync(); err != nil {
			return 0, err
		}
		all = append(all, time.Since(start))
	}
	if len(all) == 0 {
		return 0, ctx.Err()
	}
	slices.Sort(all)
	return all[len(all)*9/10], nil
}

func judgeDisk(f diskFacts) Result {
	kind := kindNames[f.kind]
	if kind == "" {
		kind = fmt.Sprintf("file system %#x", f.kind)
	}
	state := fmt.Sprintf("%s: %s of %s free, on %s", f.path, disk.FormatSize(f.free), disk.FormatSize(f.total), kind)
	if f.absent {
		state = fmt.Sprintf("%s will be made: %s of %s free, on %s", f.path, disk.FormatSize(f.free), disk.FormatSize(f.total), kind)
	}
	another := "put it on another disk of this machine, with " + map[string]string{"data folder": "--data", "image folder": "the setting repository.dir"}[f.what]
	switch {
	case errors.Is(f.err, fs.ErrPermission):
		return Result{f.what, Warning, f.path + ": not allowed to write there", "run this as root (sudo aula doctor), or as the user of the appliance"}
	case errors.Is(f.err, unix.ENOSPC), f.err == nil && f.free < f.least:
		return Result{f.what, Problem, state + ": full", "remove what is not needed there, such as old images, or " + another}
	case errors.Is(f.err, unix.EROFS):
		return Result{f.what, Problem, f.path + ": read-only", "the disk may be failing: look at the end of sudo dmesg; else mount it for writing"}
	case f.err != nil:
		return Result{f.what, Problem, fmt.Sprintf("cannot be used: %v", f.err), another}
	case f.kind == tmpfs || f.kind == ramfs:
		return Result{f.what, Problem, state + ": lost when the machine is switched off", another}
	case slices.Contains([]int64{nfs, cifs, smb2, vfat, exfat, fuse}, f.kind) && f.what == "data folder":
		return Result{f.what, Warning, state + ": records may be lost there with the current", another}
	case f.kind == vfat:
		return Result{f.what, Warning, state + ": no file may be larger than 4 GB there", another}
	case f.free < f.good:
		return Result{f.what, Warning, state, "an image of Windows takes 10 to 30 GB: remove what is not needed, or " + another}
	case f.sync > slow:
		return Result{f.what, Warning, fmt.Sprintf("%s; slow: it takes %d ms to keep a record", state, f.sync.Milliseconds()), "look whether the disk is failing (sudo smartctl -a) or very busy; a solid-state disk is best"}
	default:
		return Result{f.what, OK, fmt.Sprintf("%s; keeps a record in %.1f ms", state, f.sync.Seconds()*1e3), ""}
	}
}
