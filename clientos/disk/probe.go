package disk

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// readTable reads the table of a disk through sfdisk. A disk without a table gives an error of kind BadTable.
func readTable(ctx context.Context, path string) (t table, dump string, err error) {
	out, err := run(ctx, "", "sfdisk", "--dump", path)
	if err != nil {
		if exitCode(err) != 1 {
			return table{}, "", err
		}
		return table{}, "", &Error{
			Kind:    BadTable,
			Problem: fmt.Sprintf("%s has no partition table that can be read", path),
			Advice:  "restore an image together with its disk layout, or partition the disk first",
			Err:     err,
		}
	}
	t, err = parseTable(string(out))
	if err != nil {
		return table{}, "", &Error{
			Kind:    BadTable,
			Problem: fmt.Sprintf("the partition table of %s cannot be used", path),
			Advice:  "repair it with a partitioning tool",
			Err:     err,
		}
	}
	return t, string(out), nil
}

// readPartitions fills in the table of d and what is in its partitions.
func (d *Disk) readPartitions(ctx context.Context, dev device) error {
	t, _, err := readTable(ctx, dev.path)
	if err != nil {
		return err
	}
	d.Table, d.TableID = t.label, t.id
	known, spans := dev.kernelSpans(), t.spans()
	sector := int64(t.sectorBytes())
	for _, e := range t.entries {
		p := Partition{
			Number: e.number, Path: dev.node(e.number), Start: e.start * sector, Bytes: e.sectors * sector,
			Type: e.typ, Name: e.name, Bootable: e.bootable, Used: -1,
		}
		if !p.Extended() {
			view := view{path: p.Path, length: p.Bytes}
			if known[e.number] != spans[e.number] {
				view.path, view.offset = dev.path, p.Start
			}
			if err := p.probe(ctx, view); err != nil {
				return err
			}
		}
		d.Partitions = append(d.Partitions, p)
	}
	return nil
}

// A view is where the bytes of a partition can be read: its own node, or the disk at an offset while the kernel does not know
// the partition.
type view struct {
	path           string
	offset, length int64
}

// probe finds out the filesystem in p. Only the end of ctx is an error: a partition that cannot be read is one
// with an unknown filesystem.
func (p *Partition) probe(ctx context.Context, v view) error {
	out, err := run(ctx, "", "blkid", "-p", "-o", "udev",
		"--offset", strconv.FormatInt(v.offset, 10), "--size", strconv.FormatInt(v.length, 10), v.path)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil { // 2: nothing recognised, 8: two filesystems at once
		return nil
	}
	tags := parseTags(out)
	p.Filesystem = filesystemName(tags["ID_FS_TYPE"], tags["ID_FS_VERSION"])
	p.Label, p.UUID = tags["ID_FS_LABEL_ENC"], tags["ID_FS_UUID_ENC"]
	if p.Filesystem == "NTFS" && v.offset == 0 {
		p.Used = ntfsUsed(ctx, v.path)
		return nil
	}
	f, err := os.Open(v.path)
	if err != nil {
		return nil
	}
	defer f.Close()
	p.Used = usedBytes(p.Filesystem, io.NewSectionReader(f, v.offset, v.length))
	return nil
}

// parseTags reads the NAME=value lines of `blkid -o udev`. In those whose name ends in _ENC it writes awkward characters as \xNN and leaves UTF-8 as it is,
// whatever the locale.
func parseTags(out []byte) map[string]string {
	tags := map[string]string{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), "=")
		if ok {
			tags[name] = unmangle(value)
		}
	}
	return tags
}

// filesystemName translates blkid's TYPE and VERSION to OpenGnsys' names. Types that OpenGnsys does not name keep
// blkid's in capitals.
func filesystemName(typ, version string) string {
	switch typ {
	case "vfat":
		if version == "FAT12" || version == "FAT16" {
			return version
		}
		return "FAT32"
	case "swap", "swsuspend":
		return "LINUX-SWAP"
	case "LVM2_member":
		return "LINUX-LVM"
	case "linux_raid_member":
		return "LINUX-RAID"
	case "crypto_LUKS":
		return "LUKS"
	case "zfs_member":
		return "ZFS"
	}
	return strings.ToUpper(typ)
}

// ntfsUsed asks ntfsinfo how many clusters of a volume are in use, -1 when it does not tell.
func ntfsUsed(ctx context.Context, path string) int64 {
	out, err := run(ctx, "", "ntfsinfo", "--force", "--mft", path)
	if err != nil {
		return -1
	}
	return parseNTFSInfo(out)
}

func parseNTFSInfo(out []byte) int64 {
	figures := map[string]int64{"Cluster Size": -1, "Volume Size in Clusters": -1, "Free Clusters": -1}
	lines := bufio.NewScanner(bytes.NewReader(out))
	for lines.Scan() {
		name, value, _ := strings.Cut(strings.TrimSpace(lines.Text()), ":")
		if _, wanted := figures[name]; !wanted {
			continue
		}
		first, _, _ := strings.Cut(strings.TrimSpace(value), " ")
		if n, err := strconv.ParseInt(first, 10, 64); err == nil {
			figures[name] = n
		}
	}
	for _, n := range figures {
		if n < 0 || n > 1<<40 {
			return -1
		}
	}
	free, all, size := figures["Free Clusters"], figures["Volume Size in Clusters"], figures["Cluster Size"]
	if free > all || size > 2<<20 {
		return -1
	}
	return (all - free) * size
}
