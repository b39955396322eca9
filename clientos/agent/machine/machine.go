// Package machine takes stock of a PC: what its firmware says of it, processor, memory, wired network cards and disks. It only
// reads, runs no program of its own (disks are clientos/disk's), and leaves out what it cannot find: an inventory with
// gaps is better than none.
package machine

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// A Source is where the inventory is taken from.
type Source struct {
	// Root holds sys and proc; os.DirFS("/") when nil.
	Root fs.FS
	// Disks are the disks to list.
	Disks disk.System
	// NICs lists the wired network cards; WiredNICs when nil.
	NICs func() ([]protocol.NIC, error)
}

// Devices returns a text that changes when a disk comes or goes. It costs little.
func (s Source) Devices() string {
	if s.Root == nil {
		s.Root = os.DirFS("/")
	}
	entries, err := fs.ReadDir(s.Root, "sys/block")
	if err != nil {
		return ""
	}
	var b strings.Builder
	for _, e := range entries {
		size, err := fs.ReadFile(s.Root, "sys/block/"+e.Name()+"/size")
		if err != nil {
			continue
		}
		b.WriteString(e.Name() + " " + string(size))
	}
	return b.String()
}

// Inventory takes stock. After an error the inventory holds all that could be found nevertheless.
func (s Source) Inventory(ctx context.Context) (protocol.Inventory, error) {
	if s.Root == nil {
		s.Root = os.DirFS("/")
	}
	if s.NICs == nil {
		s.NICs = WiredNICs
	}
	inv := protocol.Inventory{
		Firmware: "bios",
		Vendor:   s.dmi("sys_vendor"), Product: s.dmi("product_name"), Serial: s.dmi("product_serial"),
		UUID: strings.ToLower(s.dmi("product_uuid")), Board: strings.TrimSpace(s.dmi("board_vendor") + " " + s.dmi("board_name")),
		Memory: s.memory(),
		NICs:   []protocol.NIC{}, Disks: []disk.Disk{}, // empty lists, not null, in JSON
	}
	if _, err := fs.Stat(s.Root, "sys/firmware/efi"); err == nil {
		inv.Firmware = "uefi"
		inv.SecureBoot = s.secureBoot()
	}
	inv.CPU, inv.Cores = s.cpu()
	nics, nicErr := s.NICs()
	if nicErr == nil {
		inv.NICs = append(inv.NICs, nics...)
	}
	disks, diskErr := s.Disks.Disks(ctx)
	inv.Disks = append(inv.Disks, disks...)
	if diskErr != nil {
		return inv, diskErr
	}
	return inv, nicErr
}

// dmi reads one of the kernel's SMBIOS files, unless it says what boards say that nobody has filled in.
func (s Source) dmi(name string) string {
	text := s.text("sys/class/dmi/id/" + name)
	if placeholder(text) {
		return ""
	}
	return text
}

// text reads a short file; "" when it cannot be read.
func (s Source) text(name string) string {
	data, err := fs.ReadFile(s.Root, name)
	if err != nil {
		return ""
	}
	return clean(string(data))
}

// maxText is the longest text that the server takes (protocol.Inventory.Check).
const maxText = 256

// clean removes what does not belong in a line of text. Firmware pads with blanks and worse.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	for len(text) > maxText {
		_, size := utf8.DecodeLastRuneInString(text)
		text = strings.TrimSpace(text[:len(text)-size])
	}
	return text
}

// placeholder recognises what SMBIOS holds when the maker of the board left it at the default. Two PCs that share such a value are not
// the same.
func placeholder(text string) bool {
	t := strings.ToLower(strings.Trim(text, " .-_*"))
	switch t {
	case "", "none", "n/a", "na", "unknown", "default string", "default", "not specified", "not applicable", "not available",
		"o.e.m", "oem", "system manufacturer", "system product name", "system serial number", "system version",
		"base board serial number", "chassis serial number", "type2 - board serial number", "serial number", "invalid",
		"to be filled by o.e.m", "to be filled by oem", "empty", "undefined", "123456789", "0123456789", "1234567890", "invalid entry length (16)":
		return true
	}
	if strings.HasPrefix(t, "03000200-0400-0500-0006-0007") { // AMI's default UUID
		return true
	}
	// 00000000-0000-..., FFFFFFFF-FFFF-..., XXXXXXX
	digits := strings.ReplaceAll(t, "-", "")
	return strings.Trim(digits, digits[:1]) == "" && (len(digits) > 3 || digits == "0")
}

// secureBoot reads the variable that says whether the firmware enforces signatures: four bytes of attributes, then 1 for on (UEFI 3.3).
func (s Source) secureBoot() bool {
	data, err := fs.ReadFile(s.Root, "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c")
	return err == nil && len(data) == 5 && data[4] == 1
}

// cpu returns the processor's name and the number of logical processors.
func (s Source) cpu() (model string, cores int) {
	data, err := fs.ReadFile(s.Root, "proc/cpuinfo")
	if err != nil {
		return "", 0
	}
	for line := range bytes.Lines(data) {
		name, value, _ := strings.Cut(string(line), ":")
		switch strings.TrimSpace(name) {
		case "processor":
			cores++
		case "model name":
			model = clean(value)
		}
	}
	return model, cores
}

// memory returns the memory that the kernel has, in bytes.
func (s Source) memory() int64 {
	data, err := fs.ReadFile(s.Root, "proc/meminfo")
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(data) {
		name, value, _ := strings.Cut(string(line), ":")
		if name != "MemTotal" {
			continue
		}
		fields := strings.Fields(value)
		if len(fields) == 0 {
			return 0
		}
		kib, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil || kib < 0 {
			return 0
		}
		return kib << 10
	}
	return 0
}
