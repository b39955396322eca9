package disk

import (
	"context"
	"errors"
)

// A System is the set of disks that the agent may see. The zero value is every real disk of the PC,
// as the kernel lists them in sysfs; nothing else is ever opened.
type System struct {
	// Devices, when not empty, are the only block devices that exist for this System (loop devices in the
	// virtual classroom), numbered in the order given. No other disk of the machine is looked at.
	Devices []string
}

// Disks takes the inventory: every disk with its table, partitions and filesystems, ordered by number. A disk that
// cannot be read is listed without partitions rather than left out, so that numbers do not move.
func (s System) Disks(ctx context.Context) ([]Disk, error) {
	return nil, errors.New("not yet written")
}

// Find returns the disk that ref names, or a *MismatchError that says in which field what is
// in the PC now differs from it.
func (s System) Find(ctx context.Context, ref Ref) (Disk, error) {
	return Disk{}, errors.New("not yet written")
}

// ReadLayout reads the layout of d.
func ReadLayout(ctx context.Context, d Disk) (Layout, error) {
	return Layout{}, errors.New("not yet written")
}

// ApplyLayout makes the layout of d what l says. It destroys what is on d.
func ApplyLayout(ctx context.Context, d Disk, l Layout) error {
	return errors.New("not yet written")
}

// Partition returns the partition of d with the given number.
func (d Disk) Partition(number int) (Partition, bool) {
	for _, p := range d.Partitions {
		if p.Number == number {
			return p, true
		}
	}
	return Partition{}, false
}
