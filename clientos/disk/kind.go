package disk

import "slices"

// Types of partitions that hold no image, or need something besides: the byte of an MBR in hexadecimal, the GUID of a GPT in capitals
// (UEFI 2.10, 5.2.2 and 5.3.3; Discoverable Partitions Specification; Microsoft's PARTITION_INFORMATION_GPT).
const (
	typeSwapMBR  = "82"
	typeSwapGPT  = "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"
	typeLVMMBR   = "8E"
	typeLVMGPT   = "E6D6D379-F507-44C2-A23C-238F2A3DF928"
	typeESPMBR   = "EF"
	typeESPGPT   = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
	typeReserved = "E3C9E316-0B5C-4DB8-817D-F92DF00215AE"
	typeBIOSBoot = "21686148-6449-6E6F-744E-656564454649"
)

// Extended tells whether p only holds the logical partitions of a dos table.
func (p Partition) Extended() bool { return isExtended(p.Type) }

// Swap tells whether p is for a swap area, by its type; whether there is one in it, its filesystem tells.
func (p Partition) Swap() bool { return p.Type == typeSwapMBR || p.Type == typeSwapGPT }

// LVM tells whether p is for logical volumes of Linux.
func (p Partition) LVM() bool { return p.Type == typeLVMMBR || p.Type == typeLVMGPT }

// ESP tells whether p is an EFI system partition, from which a PC with UEFI starts.
func (p Partition) ESP() bool { return p.Type == typeESPMBR || p.Type == typeESPGPT }

// Reserved tells whether p is one that Windows reserves on a disk with a GPT and keeps nothing in.
func (p Partition) Reserved() bool { return p.Type == typeReserved }

// BIOSBoot tells whether p is where GRUB keeps its core on a disk with a GPT, for a PC with BIOS. Its content is in the Layout.
func (p Partition) BIOSBoot() bool { return p.Type == typeBIOSBoot }

func isExtended(typ string) bool { return typ == "05" || typ == "0F" || typ == "85" }

// Holds tells whether a filesystem belongs into a partition of this type, as far as the type says; a filesystem without a name belongs everywhere.
func (p Partition) Holds(filesystem string) bool {
	kind, known := p.Kind()
	return !known || len(kind.Filesystems) == 0 || filesystem == "" || slices.Contains(kind.Filesystems, filesystem)
}
