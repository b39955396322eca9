package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"aula/clientos/disk"
)

// kinds are the kernel's names of the filesystems that are mounted here, and the options that they need.
var kinds = map[string]struct{ name, options string }{
	"EXT2": {"ext4", ""}, "EXT3": {"ext4", ""}, "EXT4": {"ext4", ""}, // one driver for all
	"BTRFS": {"btrfs", ""}, "F2FS": {"f2fs", ""},
	"XFS":   {"xfs", "nouuid"}, // another disk of the PC may have been restored from the same image
	"FAT12": {"vfat", ""}, "FAT16": {"vfat", ""}, "FAT32": {"vfat", ""},
}

const (
	ntfs = "NTFS"
	// toChange is how a filesystem is mounted of which files are changed: nothing on it is run or taken for a device.
	toChange = unix.MS_NODEV | unix.MS_NOSUID | unix.MS_NOEXEC
	toRead   = toChange | unix.MS_RDONLY
	// toRun is for scripts, which may change their root to the restored system and run its tools.
	toRun = 0
)

// fuse is by which ntfs-3g mounts.
const fuse = "/dev/fuse"

// A mount is a restored filesystem that is mounted.
type mount struct {
	node   string
	folder string // where
	root   string // the system's root in it: a subvolume of btrfs, else the folder itself
}

// mountable tells whether the filesystem of p can be mounted here.
func mountable(p disk.Partition) bool {
	_, ok := kinds[p.Filesystem]
	if p.Filesystem == ntfs {
		_, err := os.Stat(fuse)
		return err == nil
	}
	return ok
}

// mountPartition mounts a partition of d in a new folder below parent.
func mountPartition(ctx context.Context, parent string, d disk.Disk, p disk.Partition, flags uintptr) (*mount, error) {
	node, err := claimable(ctx, d, p, flags&unix.MS_RDONLY == 0)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return nil, fmt.Errorf("a folder to mount partition %d on: %w", p.Number, err)
	}
	folder, err := os.MkdirTemp(parent, fmt.Sprintf("partition-%d-", p.Number))
	if err != nil {
		return nil, fmt.Errorf("a folder to mount partition %d on: %w", p.Number, err)
	}
	if p.Filesystem == ntfs {
		_, err = tool(ctx, maxDetail, "ntfs-3g", node, folder)
	} else if err = unix.Mount(node, folder, kinds[p.Filesystem].name, flags, kinds[p.Filesystem].options); err != nil {
		err = &trouble{problem: fmt.Sprintf("partition %d (%s) cannot be mounted", p.Number, p.Filesystem), cause: err,
			advice: "restore the image again; if it stays so, the filesystem was damaged when the image was captured"}
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(folder))
	}
	return &mount{node: node, folder: folder, root: systemRoot(folder)}, nil
}

// claimable returns the node of a partition of which it has made sure that the table still has it and that nobody uses it.
func claimable(ctx context.Context, d disk.Disk, p disk.Partition, write bool) (string, error) {
	f, err := d.Open(ctx, p.Number, write)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return f.Name(), nil
}

// systemRoot finds the root of the system in a mounted filesystem: itself, or the subvolume in which Ubuntu and openSUSE, Debian, and Fedora have it.
func systemRoot(folder string) string {
	if isFolder(folder, "etc") {
		return folder
	}
	for _, volume := range []string{"@", "@rootfs", "root"} {
		if isFolder(folder, volume, "etc") {
			return filepath.Join(folder, volume)
		}
	}
	return folder
}

func isFolder(path ...string) bool {
	at := path[0]
	for _, name := range path[1:] {
		at = filepath.Join(at, name)
		if info, err := os.Lstat(at); err != nil || !info.IsDir() {
			return false
		}
	}
	return true
}

// close writes everything to the disk and takes the mount down. What still holds it, such as a namespace that is just ending, is given a few seconds.
func (m *mount) close() error {
	var err error
	for range 50 {
		if err = unix.Unmount(m.folder, unix.UMOUNT_NOFOLLOW); !errors.Is(err, unix.EBUSY) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		return &trouble{problem: "the restored filesystem cannot be taken down from " + m.folder, cause: err,
			advice: "restart the computer from the network before anything else is done with its disk"}
	}
	for range 50 { // ntfs-3g lets go of the partition when it ends, a little later
		f, opening := os.OpenFile(m.node, os.O_RDONLY|unix.O_EXCL, 0)
		if opening == nil {
			f.Close()
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return os.Remove(m.folder)
}

// readOnly tells whether the filesystem refused to be written to.
func (m *mount) readOnly() bool {
	var s unix.Statfs_t
	return unix.Statfs(m.folder, &s) == nil && s.Flags&unix.ST_RDONLY != 0
}

// linuxFilesystem tells whether a Linux may have its root in p.
func linuxFilesystem(p disk.Partition) bool {
	_, ok := kinds[p.Filesystem]
	return ok && !strings.HasPrefix(p.Filesystem, "FAT")
}
