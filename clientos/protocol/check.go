package protocol

import (
	"fmt"
	"net"
	"regexp"

	"aula/clientos/disk"
)

// Bounds of what an agent may say of its PC. They are far above any real one and keep a hostile one from filling the catalog.
const (
	maxNICs       = 64
	maxDisks      = 64 // also the highest number of a disk
	maxPartitions = 256
	maxPartition  = 1024 // highest number of a partition; a GPT of the usual size has 128 entries
	maxText       = 256
)

var bootPattern = regexp.MustCompile(`^[0-9A-Za-z_-]{8,64}$`)

// Check refuses a Hello that the server cannot believe: without a boot, with an address that is none, or with more of
// anything than a PC has.
func (h Hello) Check() error {
	if !bootPattern.MatchString(h.Boot) {
		return fmt.Errorf("hello: boot identifier %.80q is not 8 to 64 letters and digits", h.Boot)
	}
	if _, err := NormalizeMAC(h.MAC); err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	if len(h.Ticket) > maxText || len(h.Version) > maxText {
		return fmt.Errorf("hello: ticket or version longer than %d bytes", maxText)
	}
	if h.Running != nil {
		if err := h.Running.Check(); err != nil {
			return fmt.Errorf("hello: %w", err)
		}
	}
	return h.Inventory.Check()
}

// Check refuses an Inventory that is out of all proportion, or whose disks and partitions cannot be told apart by their numbers.
func (v Inventory) Check() error {
	if v.Firmware != "bios" && v.Firmware != "uefi" {
		return fmt.Errorf("inventory: firmware %.80q is neither bios nor uefi", v.Firmware)
	}
	for _, text := range []string{v.Vendor, v.Product, v.Serial, v.UUID, v.Board, v.CPU} {
		if len(text) > maxText {
			return fmt.Errorf("inventory: text of %d bytes, more than %d", len(text), maxText)
		}
	}
	if len(v.NICs) > maxNICs || len(v.Disks) > maxDisks {
		return fmt.Errorf("inventory: %d network cards and %d disks, more than %d and %d", len(v.NICs), len(v.Disks), maxNICs, maxDisks)
	}
	for _, n := range v.NICs {
		if _, err := NormalizeMAC(n.MAC); err != nil {
			return fmt.Errorf("inventory: network card %.80q: %w", n.Name, err)
		}
	}
	return checkDisks(v.Disks)
}

func checkDisks(disks []disk.Disk) error {
	seen := map[int]bool{}
	for _, d := range disks {
		switch {
		case d.Number < 1 || d.Number > maxDisks:
			return fmt.Errorf("inventory: disk number %d is not from 1 to %d", d.Number, maxDisks)
		case seen[d.Number]:
			return fmt.Errorf("inventory: disk %d is listed twice", d.Number)
		case d.Bytes < 0:
			return fmt.Errorf("inventory: disk %d has a negative size", d.Number)
		case len(d.Partitions) > maxPartitions:
			return fmt.Errorf("inventory: disk %d has %d partitions, more than %d", d.Number, len(d.Partitions), maxPartitions)
		}
		seen[d.Number] = true
		if err := checkPartitions(d.Partitions); err != nil {
			return fmt.Errorf("inventory: disk %d: %w", d.Number, err)
		}
	}
	return nil
}

func checkPartitions(partitions []disk.Partition) error {
	seen := map[int]bool{}
	for _, p := range partitions {
		switch {
		case p.Number < 1 || p.Number > maxPartition:
			return fmt.Errorf("partition number %d is not from 1 to %d", p.Number, maxPartition)
		case seen[p.Number]:
			return fmt.Errorf("partition %d is listed twice", p.Number)
		case p.Start < 0 || p.Bytes < 0:
			return fmt.Errorf("partition %d has a negative start or size", p.Number)
		}
		seen[p.Number] = true
	}
	return nil
}

// Check refuses a Report that says nothing that a server can act on.
func (r Report) Check() error {
	if r.ID == "" || len(r.ID) > maxText {
		return fmt.Errorf("report: instruction identifier of %d bytes", len(r.ID))
	}
	switch r.State {
	case Running, Done, Cancelled:
	case Failed:
		if r.Failure == nil {
			return fmt.Errorf("report on %s: failed without a failure", r.ID)
		}
	default:
		return fmt.Errorf("report on %s: unknown state %.80q", r.ID, r.State)
	}
	if r.Bytes < 0 || r.Total < 0 || r.Rate < 0 || r.Verified < 0 {
		return fmt.Errorf("report on %s: negative number of bytes", r.ID)
	}
	return nil
}

// Final tells whether nothing follows the report.
func (r Report) Final() bool { return r.State == Done || r.State == Failed || r.State == Cancelled }

// NormalizeMAC returns an Ethernet address in lower case with colons.
func NormalizeMAC(s string) (string, error) {
	mac, err := net.ParseMAC(s)
	if err != nil || len(mac) != 6 {
		return "", fmt.Errorf("%.80q is not an Ethernet address such as 52:54:00:12:34:56", s)
	}
	return mac.String(), nil
}
