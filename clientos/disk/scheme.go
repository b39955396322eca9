package disk

// A Scheme says how a disk is to be partitioned and formatted.
type Scheme struct {
	// Table is "dos" or "gpt". When it is empty the table stays, apart from the cache: Partitions are then those to be formatted.
	Table      string    `json:"table,omitempty"`
	Partitions []Planned `json:"partitions,omitempty"` // by number
	// Cache is how large the cache partition at the end of the disk is to be, in bytes: KeepCache to leave one that is there in its place and as it is, 0 for none.
	Cache int64 `json:"cache"`
}

// KeepCache leaves the cache partition alone, if there is one.
const KeepCache = -1

// A Planned is one partition of a Scheme.
type Planned struct {
	Number     int    `json:"number"`               // as in Partition: of a dos table 1 to 4, and logical ones from 5 on
	Type       string `json:"type,omitempty"`       // OpenGnsys' name: NTFS, LINUX, EFI, LINUX-SWAP, EXTENDED ...; what Filesystem suggests when empty
	Filesystem string `json:"filesystem,omitempty"` // to make: EXT4, NTFS, FAT32, LINUX-SWAP ...; empty to leave it without
	Label      string `json:"label,omitempty"`
	Bytes      int64  `json:"bytes"` // 0: what the others leave, in equal shares
	Bootable   bool   `json:"bootable,omitempty"`
}

// Check refuses a scheme that contradicts itself or that no disk can have, with an *Error of kind BadTable.
func (s Scheme) Check() error { return nil }
