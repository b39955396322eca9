package boot

import (
	"cmp"
	"fmt"
	"regexp"
	"strconv"

	"aula/appliance/catalog"
	"aula/clientos/disk"
	"aula/netboot"
	"aula/netboot/script"
)

// entryClient is the id of the menu's entry for the client OS.
const entryClient = "client"

// maxSystems bounds the entries for installed systems: a screen of firmware has 25 lines.
const maxSystems = 8

// menuOf makes the menu of a PC. On BIOS it has an entry for each partition that may hold a system, when there are several: the client OS then starts
// it, for a boot loader that comes by network can start whole disks only. On UEFI the loader finds the systems itself.
func menuOf(pc catalog.Computer, classroom string, f netboot.Firmware, systems bool) script.Menu {
	m := script.Menu{Title: script.Sanitize(cmp.Or(pc.Name, "unknown PC"))}
	if classroom != "" {
		m.Title += script.Sanitize(", " + classroom)
	}
	m.Entries = []script.Entry{{ID: script.EntryDisk, Label: "Own disk"}}
	if systems && f == netboot.BIOS && pc.State == catalog.Accepted {
		if found := systemEntries(pc); len(found) > 1 {
			m.Entries = append(m.Entries, found...)
		}
	}
	m.Entries = append(m.Entries, script.Entry{ID: entryClient, Label: "Client OS, for technicians", Admin: true})
	return m
}

// systemNames are what people call systems by their filesystems.
var systemNames = map[string]string{
	"NTFS": "Windows", "EXT2": "Linux", "EXT3": "Linux", "EXT4": "Linux", "BTRFS": "Linux", "XFS": "Linux", "F2FS": "Linux", "HFSPLUS": "macOS",
}

// smallestSystem is what a partition must hold to be taken for a system: a recovery partition of Windows has less.
const smallestSystem = 2 << 30

func systemEntries(pc catalog.Computer) []script.Entry {
	var all []script.Entry
	for i, d := range pc.Inventory.Disks {
		for _, p := range d.Partitions {
			name := systemNames[p.Filesystem]
			if name == "" || p.Bytes < smallestSystem || len(all) == maxSystems {
				continue
			}
			label := fmt.Sprintf("%s on disk %d, partition %d (%s)", cmp.Or(p.Label, name), i+1, p.Number, disk.FormatSize(p.Bytes))
			all = append(all, script.Entry{ID: fmt.Sprintf("system-%d-%d", i+1, p.Number), Label: script.Sanitize(label)})
		}
	}
	return all
}

var systemID = regexp.MustCompile(`^system-([1-9][0-9]?)-([1-9][0-9]{0,2})$`)

// systemOf reads the id of an entry of systemEntries.
func systemOf(id string) (disk, partition int, ok bool) {
	found := systemID.FindStringSubmatch(id)
	if found == nil {
		return 0, 0, false
	}
	disk, _ = strconv.Atoi(found[1])
	partition, _ = strconv.Atoi(found[2])
	return disk, partition, true
}
