package disk

import (
	"slices"
	"strings"
)

// A Type is a kind of partition, under OpenGnsys' name for it (engine 1.1, ogTypeToId and ogIdToType).
type Type struct {
	Name string // NTFS, LINUX, CACHE
	// IDs are the bytes of an MBR in hexadecimal, and GUIDs those of a GPT, by which it is recognised; the first one is given to a new partition.
	// A type that a table cannot have has none.
	IDs   []string
	GUIDs []string
	// Clonable says that images can be made of it and restored to it.
	Clonable bool
	// Filesystems are those that can be made on it, the usual one first; empty when none can.
	Filesystems []string
}

// Names of types that are treated apart.
const (
	TypeCache    = "CACHE"
	TypeExtended = "EXTENDED"
)

// guidLinux is Linux filesystem data, which the cache partition of a GPT is too: its name tells it.
const guidLinux = "0FC63DAF-8483-4772-8E79-3D69D8477DE4"

// guidBasic is Microsoft's basic data, for NTFS, FAT and exFAT alike.
const guidBasic = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"

var (
	linuxFilesystems   = []string{"EXT4", "EXT3", "EXT2", "XFS", "BTRFS", "F2FS"}
	windowsFilesystems = []string{"NTFS", "EXFAT", "FAT32", "FAT16"}
)

// types holds Linux before CACHE and WINDOWS before NTFS, so that a GUID alone is called by the plain name.
var types = []Type{
	{Name: "WINDOWS", IDs: []string{"07"}, GUIDs: []string{guidBasic}, Clonable: true, Filesystems: windowsFilesystems},
	{Name: "NTFS", IDs: []string{"07"}, GUIDs: []string{guidBasic}, Clonable: true, Filesystems: windowsFilesystems},
	{Name: "FAT12", IDs: []string{"01"}, GUIDs: []string{guidBasic}, Clonable: true},
	{Name: "FAT16", IDs: []string{"06", "04", "0E"}, GUIDs: []string{guidBasic}, Clonable: true, Filesystems: []string{"FAT16"}},
	{Name: "FAT32", IDs: []string{"0C", "0B"}, GUIDs: []string{guidBasic}, Clonable: true, Filesystems: []string{"FAT32"}},
	{Name: "HFAT12", IDs: []string{"11"}, Clonable: true},
	{Name: "HFAT16", IDs: []string{"16", "14", "1E"}, Clonable: true, Filesystems: []string{"FAT16"}},
	{Name: "HNTFS", IDs: []string{"17"}, Clonable: true, Filesystems: []string{"NTFS", "EXFAT"}},
	{Name: "HFAT32", IDs: []string{"1C", "1B"}, Clonable: true, Filesystems: []string{"FAT32"}},
	{Name: "HNTFS-WINRE", IDs: []string{"27"}, GUIDs: []string{guidRecovery}, Clonable: true, Filesystems: []string{"NTFS"}},
	{Name: "WIN-RECOV", IDs: []string{"27"}, GUIDs: []string{guidRecovery}, Clonable: true, Filesystems: []string{"NTFS"}},
	{Name: "WIN-RESERV", GUIDs: []string{typeReserved}, Clonable: true},
	{Name: TypeExtended, IDs: []string{"05", "0F", "85"}},
	{Name: "EFI", IDs: []string{typeESPMBR}, GUIDs: []string{typeESPGPT}, Clonable: true, Filesystems: []string{"FAT32", "FAT16"}},
	{Name: "LINUX-SWAP", IDs: []string{typeSwapMBR}, GUIDs: []string{typeSwapGPT}, Filesystems: []string{swapArea}},
	// The others are /home and the root filesystem of x86-64 (Discoverable Partitions Specification), gdisk's 8302 and 8304.
	{Name: "LINUX", IDs: []string{"83"}, GUIDs: []string{guidLinux, "933AC7E1-2EB4-4F13-B844-0E14E2AEF915", "4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709"},
		Clonable: true, Filesystems: linuxFilesystems},
	{Name: TypeCache, IDs: []string{"CA", "A7"}, GUIDs: []string{guidLinux}, Filesystems: []string{"EXT4"}},
	{Name: "LINUX-RESERV", GUIDs: []string{"8DA63339-0007-60C0-C436-083AC8230908"}, Clonable: true},
	{Name: "LINUX-LVM", IDs: []string{typeLVMMBR}, GUIDs: []string{typeLVMGPT}, Clonable: true},
	{Name: "LINUX-RAID", IDs: []string{"FD"}, GUIDs: []string{"A19D880F-05FC-4D3B-A006-743F0F84911E"}, Clonable: true},
	{Name: "DATA", IDs: []string{"DA"}, Clonable: true, Filesystems: append(slices.Clone(linuxFilesystems), windowsFilesystems...)},
	{Name: "BIOS-BOOT", GUIDs: []string{typeBIOSBoot}},
	{Name: "MBR", GUIDs: []string{"024DEE41-33E7-11D3-9D69-0008C781F39F"}},
	{Name: "CHROMEOS-KRN", GUIDs: []string{"FE3A2A5D-4F32-41A7-B725-ACCC3285A309"}, Clonable: true},
	{Name: "CHROMEOS", GUIDs: []string{"3CB8E202-3B7E-47DD-8A3C-7FF2A13CFCEC"}, Clonable: true, Filesystems: linuxFilesystems},
	{Name: "CHROMEOS-RESERV", GUIDs: []string{"2E0A753D-9E48-43B0-8337-B15192CB1B5E"}, Clonable: true},
	{Name: "FREEBSD-DISK", GUIDs: []string{"516E7CB4-6ECF-11D6-8FF8-00022D09712B"}},
	{Name: "FREEBSD-BOOT", GUIDs: []string{"83BD6B9D-7F41-11DC-BE0B-001560B84F0F"}, Clonable: true},
	{Name: "FREEBSD-SWAP", GUIDs: []string{"516E7CB5-6ECF-11D6-8FF8-00022D09712B"}},
	{Name: "FREEBSD", IDs: []string{"A5"}, GUIDs: []string{"516E7CB6-6ECF-11D6-8FF8-00022D09712B", "516E7CBA-6ECF-11D6-8FF8-00022D09712B"}, Clonable: true},
	{Name: "OPENBSD", IDs: []string{"A6"}, Clonable: true},
	{Name: "NETBSD-SWAP", GUIDs: []string{"49F48D32-B10E-11DC-B99B-0019D1879648"}},
	{Name: "NETBSD", IDs: []string{"A9"}, GUIDs: []string{"49F48D5A-B10E-11DC-B99B-0019D1879648", "49F48D82-B10E-11DC-B99B-0019D1879648"}, Clonable: true},
	{Name: "NETBSD-RAID", GUIDs: []string{"49F48DAA-B10E-11DC-B99B-0019D1879648"}, Clonable: true},
	{Name: "HFS", IDs: []string{"AF"}, GUIDs: []string{"48465300-0000-11AA-AA11-00306543ECAC"}, Clonable: true},
	{Name: "HFS-BOOT", GUIDs: []string{"426F6F74-0000-11AA-AA11-00306543ECAC"}, Clonable: true},
	{Name: "HFS-RAID", GUIDs: []string{"52414944-0000-11AA-AA11-00306543ECAC"}, Clonable: true},
	{Name: "SOLARIS-BOOT", IDs: []string{"BE"}, GUIDs: []string{"6A82CB45-1DD2-11B2-99A6-080020736631"}, Clonable: true},
	{Name: "SOLARIS", IDs: []string{"BF"}, GUIDs: []string{"6A85CF4D-1DD2-11B2-99A6-080020736631"}, Clonable: true},
	{Name: "VMFS", IDs: []string{"FB"}, GUIDs: []string{"AA31E02A-400F-11DB-9590-000C2911D1B8"}, Clonable: true},
}

const guidRecovery = "DE94BBA4-06D1-4D40-A16A-BFD50179D6AC"

// Types returns the kinds of partitions that are known by name.
func Types() []Type { return slices.Clone(types) }

// TypeNamed returns the type with OpenGnsys' name, in letters of any case. A filesystem's name stands for the type that it is usually in: EXT3
// for LINUX, as in OpenGnsys' ogCreatePartitions.
func TypeNamed(name string) (Type, bool) {
	name = strings.ToUpper(name)
	for _, t := range types {
		if t.Name == name {
			return t, true
		}
	}
	if f, ok := filesystemNamed(name); ok && f.typ != name {
		return TypeNamed(f.typ)
	}
	return Type{}, false
}

// id returns what stands for t in a table, "" when it can have no such partition.
func (t Type) id(table string) string {
	ids := t.IDs
	if table == labelGPT {
		ids = t.GUIDs
	}
	if len(ids) == 0 {
		return ""
	}
	return ids[0]
}

// In tells whether a table, "dos" or "gpt", can have partitions of this type.
func (t Type) In(table string) bool { return t.id(table) != "" }

// Kind returns the type of p by name; false when OpenGnsys has none for it. What a GUID shares, its name or its filesystem tells: WINDOWS and FAT32,
// LINUX and CACHE.
func (p Partition) Kind() (Type, bool) {
	if p.Cache() {
		return TypeNamed(TypeCache)
	}
	for _, t := range types {
		if slices.Contains(t.IDs, p.Type) || slices.Contains(t.GUIDs, p.Type) {
			return dosName(t, p), true
		}
	}
	return Type{}, false
}

// dosName calls 07 NTFS, as OpenGnsys does in an MBR, and 27 HNTFS-WINRE; t is what was found first.
func dosName(t Type, p Partition) Type {
	if t.Name == "WINDOWS" && p.Type == t.IDs[0] {
		t, _ = TypeNamed("NTFS")
	}
	if t.Name == "HNTFS-WINRE" && p.Type == guidRecovery {
		t, _ = TypeNamed("WIN-RECOV")
	}
	return t
}
