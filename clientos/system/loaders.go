package system

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aula/clientos/disk"
)

// wantedBoots are the entries that the menu should have: those of the layout, as far as their loaders are on the disk, or else one for each loader that is
// found on its EFI system partitions.
func (j *job) wantedBoots(ctx context.Context) ([]disk.BootEntry, error) {
	var wanted []disk.BootEntry
	layout := j.layout()
	for _, p := range j.disk.Partitions {
		if !p.ESP() || kinds[p.Filesystem].name != "vfat" {
			continue
		}
		err := j.readESP(ctx, p, func(folder string) {
			found := findLoaders(folder, p.Number)
			if layout == nil || len(layout.Boots) == 0 {
				wanted = append(wanted, found...)
				return
			}
			for _, b := range layout.Boots {
				if b.Partition == p.Number && hasLoader(folder, b.Loader) {
					wanted = append(wanted, b)
				}
			}
			if !slices.ContainsFunc(wanted, func(b disk.BootEntry) bool { return b.Partition == p.Number }) {
				wanted = append(wanted, found...)
			}
		})
		if err != nil {
			return nil, err
		}
	}
	if layout != nil { // in the order of the layout, also over several partitions
		slices.SortStableFunc(wanted, func(a, b disk.BootEntry) int { return rank(layout.Boots, a) - rank(layout.Boots, b) })
	}
	return wanted, nil
}

func rank(boots []disk.BootEntry, b disk.BootEntry) int {
	if i := slices.Index(boots, b); i >= 0 {
		return i
	}
	return len(boots)
}

// readESP calls read with the folder in which an EFI system partition is mounted, read-only.
func (j *job) readESP(ctx context.Context, p disk.Partition, read func(folder string)) (err error) {
	m, err := mountPartition(ctx, j.cfg.Folder, j.disk, p, toRead)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	read(m.folder)
	return nil
}

// hasLoader tells whether the file is there; Linux, as the firmware, does not mind the case of letters on FAT.
func hasLoader(folder, loader string) bool {
	info, err := os.Stat(filepath.Join(folder, filepath.Clean(strings.ReplaceAll(loader, `\`, "/"))))
	return err == nil && info.Mode().IsRegular()
}

// findLoaders finds the loaders of an EFI system partition: Windows', then one of each other system, of which shim is the one that Secure Boot starts; when there is
// none, the one that every firmware starts without being told.
func findLoaders(folder string, partition int) []disk.BootEntry {
	const windows = `\EFI\Microsoft\Boot\bootmgfw.efi`
	var found []disk.BootEntry
	if hasLoader(folder, windows) {
		found = append(found, disk.BootEntry{Label: "Windows Boot Manager", Loader: windows, Partition: partition})
	}
	vendors, _ := os.ReadDir(filepath.Join(folder, "EFI"))
	for _, v := range vendors {
		if strings.EqualFold(v.Name(), "BOOT") || strings.EqualFold(v.Name(), "Microsoft") || !plainName(v.Name()) {
			continue
		}
		for _, file := range []string{"shimx64.efi", "grubx64.efi"} {
			if loader := `\EFI\` + v.Name() + `\` + file; hasLoader(folder, loader) {
				found = append(found, disk.BootEntry{Label: v.Name(), Loader: loader, Partition: partition})
				break
			}
		}
	}
	if fallback := `\EFI\BOOT\BOOTX64.EFI`; len(found) == 0 && hasLoader(folder, fallback) {
		found = append(found, disk.BootEntry{Label: "UEFI OS", Loader: fallback, Partition: partition})
	}
	return found
}

// plainName keeps names out of the firmware's menu that it could not show.
func plainName(name string) bool {
	return len(name) <= 64 && !strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' || r == '\\' })
}
