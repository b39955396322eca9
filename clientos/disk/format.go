package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// Format makes an empty filesystem in a partition of d, whose content is lost: one of Filesystems, with a label or without. A partition that is
// mounted or claimed is refused with an *Error of kind InUse, one that is too small or large for the filesystem with one of kind TooSmall, and it is
// untouched then. When Format returns, the filesystem has been seen in it.
func Format(ctx context.Context, d Disk, number int, name, label string) error {
	f, ok := filesystemNamed(name)
	if !ok {
		return &Error{Kind: BadTable, Problem: fmt.Sprintf("filesystem %.40q cannot be made", name), Advice: "choose one of " + strings.Join(Filesystems(), ", ")}
	}
	if err := f.checkLabel(label); err != nil {
		return &Error{Kind: BadTable, Problem: fmt.Sprintf("partition %d cannot be formatted", number), Advice: "choose another label; nothing was written", Err: err}
	}
	return f.format(ctx, d, number, label)
}

// cacheFilesystem is what OpenGnsys makes of a cache partition, in such a way that GRUB reads it (ogFormatCache). No room is set aside for root.
func cacheFilesystem() filesystem {
	f, _ := filesystemNamed("EXT4")
	f.flags = []string{"-q", "-F", "-m", "0", "-O", "extent,large_file,uninit_bg,^metadata_csum,^metadata_csum_seed,^64bit"}
	return f
}

// FormatCache makes the filesystem of a cache partition: ext4 with the label CACHE. What was in the partition is lost; it is refused as Format does.
func FormatCache(ctx context.Context, d Disk, number int) error {
	return cacheFilesystem().format(ctx, d, number, cacheName)
}

func (f filesystem) format(ctx context.Context, d Disk, number int, label string) error {
	p, _ := d.Partition(number)
	if p.Number != 0 {
		if err := f.checkSize(p.Bytes); err != nil {
			return &Error{Kind: TooSmall, Problem: fmt.Sprintf("partition %d of disk %d cannot be formatted", number, d.Number),
				Advice: "choose another filesystem or size; nothing was written", Err: err}
		}
	}
	if err := haveTool(f.tool); err != nil {
		return err
	}
	part, err := d.Open(ctx, number, true)
	if err != nil {
		return err
	}
	node := part.Name()
	if err := errors.Join(WipeSignatures(ctx, part), letGo(ctx, part)); err != nil {
		return err
	}
	if _, err := run(ctx, "", f.tool, f.args(p, d.sector(), node, label)...); err != nil {
		return err
	}
	return f.checkMade(ctx, d, p, node, label)
}

// args are the arguments of the tool.
func (f filesystem) args(p Partition, sector int, node, label string) []string {
	args := append([]string{}, f.flags...)
	if label != "" {
		args = append(args, f.labelFlag, label)
	}
	// The boot sector says where on the disk the volume begins, and Windows' boot code believes it.
	hidden := p.Start / int64(sector)
	if hidden < 1<<32 {
		switch f.tool {
		case "mkntfs":
			args = append(args, "--partition-start", strconv.FormatInt(hidden, 10), "--heads", "255", "--sectors-per-track", "63")
		case "mkfs.fat":
			args = append(args, "-h", strconv.FormatInt(hidden, 10))
		}
	}
	return append(args, node)
}

// checkMade looks for the filesystem in the partition, past the page cache.
func (f filesystem) checkMade(ctx context.Context, d Disk, p Partition, node, label string) error {
	file, err := os.OpenFile(node, os.O_RDWR, 0)
	if err != nil {
		return &Error{Kind: Access, Problem: fmt.Sprintf("%s cannot be opened", node), Advice: "the disk may be failing: check its SMART state", Err: err}
	}
	err = errors.Join(DropCache(file), file.Close())
	if err != nil {
		return &Error{Kind: Access, Problem: fmt.Sprintf("%s cannot be written", node), Advice: "the disk may be failing: check its SMART state", Err: err}
	}
	made := Partition{Number: p.Number}
	if err := made.probe(ctx, view{path: node, length: p.Bytes}); err != nil {
		return err
	}
	if made.Filesystem != f.name || made.Label != label {
		return &Error{Kind: Access,
			Problem: fmt.Sprintf("partition %d of disk %d was formatted as %s with the label %q and holds %q with the label %q",
				p.Number, d.Number, f.name, label, made.Filesystem, made.Label),
			Advice: "the disk is failing: replace it"}
	}
	return nil
}

// haveTool refuses to begin what a missing tool would leave half done.
func haveTool(name string) error {
	if _, err := exec.LookPath(name); err != nil {
		return toolError(context.Background(), name, []string{""}, "", exec.ErrNotFound)
	}
	return nil
}
