// Package disk knows the disks of the PC on which the agent runs: it takes their inventory, reads and
// applies their layouts (partition table and boot code), and opens a partition for reading or writing
// after making sure that it is the one that was meant.
//
// It is not about what is inside a partition: images are written and read by clientos/clone.
//
// Disks and partitions are numbered from 1, as OpenGnsys does (disk 1, partition 2). A number never
// suffices to write: a Ref also carries what the server saw of the disk, and a disk that differs from it, or that
// is not the only one of the PC that agrees with it, is refused.
package disk

// A Disk is one whole disk of a PC.
type Disk struct {
	Number     int         `json:"number"`           // from 1, in the order of the kernel's major:minor numbers
	Path       string      `json:"path"`             // device node, /dev/sda
	Model      string      `json:"model,omitempty"`  // as the disk reports it
	Serial     string      `json:"serial,omitempty"` // empty on disks that report none
	WWN        string      `json:"wwn,omitempty"`    // world wide name, when there is one
	Bytes      int64       `json:"bytes"`            // whole size
	SectorSize int         `json:"sectorSize"`       // logical sector, 512 or 4096
	Table      string      `json:"table"`            // "dos", "gpt" or "" for none
	TableID    string      `json:"tableID,omitempty"`
	Removable  bool        `json:"removable,omitempty"` // a USB stick, a memory card
	Partitions []Partition `json:"partitions"`
}

// A Partition is one partition of a Disk.
type Partition struct {
	Number     int    `json:"number"` // as in the partition table, from 1; logical partitions from 5
	Path       string `json:"path"`   // device node, /dev/sda1
	Start      int64  `json:"start"`  // byte offset on the disk
	Bytes      int64  `json:"bytes"`
	Type       string `json:"type"`                 // MBR id in hexadecimal ("83") or GPT type GUID in capitals
	Name       string `json:"name,omitempty"`       // in a GPT; an MBR has none
	Filesystem string `json:"filesystem,omitempty"` // OpenGnsys' names: EXT4, NTFS, FAT32, LINUX-SWAP ...; empty when unknown
	Label      string `json:"label,omitempty"`
	UUID       string `json:"uuid,omitempty"`
	Used       int64  `json:"used"`               // bytes that hold data, -1 when it cannot be told
	Bootable   bool   `json:"bootable,omitempty"` // the MBR active flag
}

// A Layout is all of a disk that is in no partition's filesystem and that a PC needs in order to boot:
// the partition table, the boot code, the gap before the first partition. It is kept as JSON beside an
// image captured from that disk.
type Layout struct {
	Version    int    `json:"version"` // 1
	Table      string `json:"table"`   // "dos" or "gpt"
	SectorSize int    `json:"sectorSize"`
	DiskBytes  int64  `json:"diskBytes"` // size of the disk it was read from
	Dump       string `json:"dump"`      // the text of `sfdisk --dump`
	BootCode   []byte `json:"bootCode"`  // bytes 0..445 of the disk
	Gap        []byte `json:"gap,omitempty"`
	GapStart   int64  `json:"gapStart,omitempty"` // byte offset of Gap: after the MBR, or after the GPT entries
	// Swaps are the swap areas, which are in no image and are made anew under the same identity,
	// because /etc/fstab refers to it.
	Swaps []Swap `json:"swaps,omitempty"`
	// BootAreas are the contents of BIOS boot partitions (GPT), which have no filesystem and so are in no image.
	BootAreas []BootArea `json:"bootAreas,omitempty"`
	// Boots are the entries of the firmware's boot menu (UEFI) that start what is on the disk, in the order in which the firmware tries them.
	Boots []BootEntry `json:"boots,omitempty"`
}

// A BootEntry is what the firmware of a PC with UEFI shows and starts.
type BootEntry struct {
	Label     string `json:"label"`     // as the firmware shows it
	Loader    string `json:"loader"`    // from the root of the partition, with backslashes: \EFI\debian\shimx64.efi
	Partition int    `json:"partition"` // where the loader is
}

// A BootArea is the boot loader's code in a partition of its own.
type BootArea struct {
	Partition int    `json:"partition"`
	Data      []byte `json:"data"`
}

// A Swap is the identity of a swap partition.
type Swap struct {
	Partition int    `json:"partition"`
	UUID      string `json:"uuid"`
	Label     string `json:"label,omitempty"`
}
