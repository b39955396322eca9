package disk

import (
	"context"
	"fmt"
	"slices"
)

// A System is the set of disks that the agent may see. The zero value is every real disk of the PC,
// as the kernel lists them in sysfs; nothing else is ever opened. The tools that it runs (sfdisk, blkid, mkswap,
// ntfsinfo) are looked up in PATH.
type System struct {
	// Devices, when not empty, are the only block devices that exist for this System (loop devices in the
	// virtual classroom), numbered in the order given. No other disk of the machine is looked at.
	Devices []string
}

// Disks takes the inventory: every disk with its table, partitions and filesystems, ordered by number. A disk whose
// table cannot be read is listed without partitions rather than left out, so that numbers do not move.
func (s System) Disks(ctx context.Context) ([]Disk, error) {
	devices, err := s.devices()
	if err != nil {
		return nil, err
	}
	disks := make([]Disk, 0, len(devices))
	for i, dev := range devices {
		d := dev.disk()
		d.Number = i + 1
		if err := d.readPartitions(ctx, dev); err != nil && ctx.Err() != nil {
			return nil, fmt.Errorf("taking the inventory of %s: %w", d.Path, context.Cause(ctx))
		}
		disks = append(disks, d)
	}
	return disks, nil
}

// Find returns the disk that ref names, or an *Error: of kind Missing when no disk has its number; of kind Differs that says in
// which field the disk with that number differs from it, or which disks it cannot tell apart.
func (s System) Find(ctx context.Context, ref Ref) (Disk, error) {
	disks, err := s.Disks(ctx)
	if err != nil {
		return Disk{}, err
	}
	return choose(disks, ref)
}

// FormatSize writes a size as disks are sold, in powers of 1000: "500.1 GB".
func FormatSize(n int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB", "PB", "EB"}
	value, unit := float64(n), 0
	for value >= 1000 && unit < len(units)-1 {
		value /= 1000
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}

// FormatBytes writes a size as FormatSize, followed by the exact figure when that is rounded: for texts that compare sizes, which may
// differ by little.
func FormatBytes(n int64) string {
	if n < 1000 {
		return FormatSize(n)
	}
	return fmt.Sprintf("%s (%d bytes)", FormatSize(n), n)
}

func count(n int, noun string) string {
	switch n {
	case 0:
		return "no " + noun
	case 1:
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// Partition returns the partition of d with the given number.
func (d Disk) Partition(number int) (Partition, bool) {
	i := slices.IndexFunc(d.Partitions, func(p Partition) bool { return p.Number == number })
	if i < 0 {
		return Partition{}, false
	}
	return d.Partitions[i], true
}
