package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// resizeTime bounds how long a tool may take to check a filesystem, or to let it grow. It is not stopped when the operation is cancelled, because a
// filesystem that is half mended or half resized is lost.
const resizeTime = 30 * time.Minute

// Extend lets the filesystem of a partition of d fill it, and tells whether it grew: EXT2 to EXT4, NTFS, BTRFS, XFS and F2FS. Others stay as they are,
// which is no error (OpenGnsys, ogExtendFs). The filesystem is checked first, and one with faults that cannot be put right by
// themselves is left as it is, with an *Error of kind Tool. A partition in use is refused with one of kind InUse. After ntfsresize Windows checks the
// volume when it starts next.
//
// BTRFS and XFS grow while they are mounted, in a folder below the one for temporary files.
func Extend(ctx context.Context, d Disk, number int) (grown bool, err error) {
	f, err := d.Open(ctx, number, true)
	if err != nil {
		return false, err
	}
	p, _ := d.Partition(number)
	node := f.Name()
	name, before, err := sizeNow(ctx, p, f)
	if err := errors.Join(err, letGo(ctx, f)); err != nil {
		return false, err
	}
	extend, ok := extenders[name]
	if !ok || before > 0 && p.Bytes-before < minGrowth {
		return false, nil
	}
	if err := extend(ctx, node); err != nil {
		return false, err
	}
	if f, err = os.Open(node); err != nil {
		return false, fmt.Errorf("reading %s back: %w", node, err)
	}
	defer f.Close()
	if err := DropCache(f); err != nil {
		return false, err
	}
	_, after, err := sizeNow(ctx, p, f)
	if err == nil && (after < before || after <= 0) {
		err = &Error{Kind: Access, Problem: fmt.Sprintf("%s cannot be read any more after it was to grow", node), Advice: "restore the image again"}
	}
	return after > before, err
}

// minGrowth is how much a filesystem must lack of its partition to be extended: less than it the tools would not use.
const minGrowth = 64 << 10

// extenders let the filesystems grow.
var extenders = map[string]func(ctx context.Context, node string) error{
	"EXT2": extendExt, "EXT3": extendExt, "EXT4": extendExt,
	"NTFS": extendNTFS, "BTRFS": extendBtrfs, "XFS": extendXFS, "F2FS": extendF2FS,
}

// sizeNow tells which filesystem is in a partition now and how large it is, 0 when it does not tell.
func sizeNow(ctx context.Context, p Partition, f *os.File) (name string, size int64, err error) {
	now := Partition{}
	if err := now.probe(ctx, view{path: f.Name(), length: p.Bytes}); err != nil {
		return "", 0, err
	}
	return now.Filesystem, max(filesystemBytes(now.Filesystem, f), 0), nil
}

// whole runs a tool that writes to a filesystem and must not be stopped half-way; once ctx has ended it is not begun.
func whole(ctx context.Context, tool string, args ...string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), resizeTime, errors.New("it took too long"))
	defer cancel()
	_, err := run(ctx, "", tool, args...)
	return err
}

// extendExt checks before it resizes, because resize2fs refuses a filesystem that was not checked since it was last mounted. e2fsck ends with 1 or 2 when it
// corrected something (e2fsck(8); 2 asks for a restart, which is of no meaning to what is not mounted).
func extendExt(ctx context.Context, node string) error {
	if err := whole(ctx, "e2fsck", "-f", "-p", node); err != nil && exitCode(err) != 1 && exitCode(err) != 2 {
		return err
	}
	return whole(ctx, "resize2fs", node)
}

// extendNTFS has ntfsresize try without writing first. --force twice: not to be stopped by the mark that Windows is to check the volume, and not to
// ask.
func extendNTFS(ctx context.Context, node string) error {
	if _, err := run(ctx, "", "ntfsresize", "--no-action", "--force", "--force", "--no-progress-bar", node); err != nil {
		return err
	}
	return whole(ctx, "ntfsresize", "--force", "--force", "--no-progress-bar", node)
}

// extendF2FS has fsck.f2fs correct what it can, which resize.f2fs wants; it ends with 1 when it did.
func extendF2FS(ctx context.Context, node string) error {
	if err := whole(ctx, "fsck.f2fs", "-a", node); err != nil && exitCode(err) != 1 {
		return err
	}
	return whole(ctx, "resize.f2fs", node)
}

func extendBtrfs(ctx context.Context, node string) error {
	return mounted(node, "btrfs", func(folder string) error {
		return whole(ctx, "btrfs", "filesystem", "resize", "max", folder)
	})
}

func extendXFS(ctx context.Context, node string) error {
	return mounted(node, "xfs", func(folder string) error { return whole(ctx, "xfs_growfs", folder) })
}

// mounted calls do with the folder on which the filesystem is mounted meanwhile.
func mounted(node, kind string, do func(folder string) error) (err error) {
	folder, err := os.MkdirTemp("", "extend-"+filepath.Base(node)+"-")
	if err != nil {
		return fmt.Errorf("a folder to mount %s on: %w", node, err)
	}
	defer os.Remove(folder)
	options := ""
	if kind == "xfs" {
		options = "nouuid" // another disk of this PC may have been restored from the same image
	}
	if err := unix.Mount(node, folder, kind, unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC, options); err != nil {
		return &Error{Kind: Access, Problem: fmt.Sprintf("%s cannot be mounted", node), Advice: "restore the image again; if it stays so, the image is damaged", Err: err}
	}
	defer func() {
		if unmounting := unix.Unmount(folder, 0); unmounting != nil {
			err = errors.Join(err, fmt.Errorf("taking down the mount of %s: %w", node, unmounting))
		}
	}()
	return do(folder)
}
