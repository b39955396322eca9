package incorporation

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"aula/clientos/disk"
)

// isClonezilla tells whether a folder is an image of Clonezilla.
func isClonezilla(f *folder) bool {
	if f.has("clonezilla-img") || f.has("ecryptfs.info") || f.has("gocryptfs.info") {
		return true
	}
	for name := range f.files {
		if f.has("parts") && (strings.HasSuffix(name, "-pt.sf") || strings.Contains(name, "-ptcl-img") || strings.HasSuffix(name, "-mbr")) {
			return true
		}
	}
	return false
}

// clonezilla plans the images of a directory of Clonezilla.
func (x *examiner) clonezilla(f *folder) error {
	if f.has("ecryptfs.info") || f.has("gocryptfs.info") || f.has("gocryptfs.conf") {
		return fmt.Errorf("Clonezilla image %s is encrypted: restore it with Clonezilla, and save it again without encryption", f.baseName())
	}
	z, err := readClonezilla(f)
	if err != nil {
		return fmt.Errorf("Clonezilla image %s: %w", f.baseName(), err)
	}
	if len(z.volumes) > 0 {
		x.warnf("%s: logical volumes (LVM) do not come along: %s", f.baseName(), strings.Join(z.volumes, ", "))
	}
	if entries := efiEntries(z.nvram); len(entries) > 0 {
		x.warnf("%s: the PC's firmware had these start entries, which no image holds: %s", f.baseName(), strings.Join(entries, ", "))
	}
	return x.set("Clonezilla", f.baseName(), z.disks)
}

// A cloned is what a directory of Clonezilla holds.
type cloned struct {
	disks   []foreignDisk
	volumes []string // names of logical volumes
	nvram   []byte   // what efibootmgr said
}

var (
	deviceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`)
	// clonedFile is what follows the name of a partition: .ext4-ptcl-img.zst, .ntfs-img.aa, .dd-img, or for old partimage .aa and .000.
	clonedFile = regexp.MustCompile(`^\.(?:[A-Za-z0-9+_-]+-img(?:\.[a-z0-9]+)*|[a-z]{2,4}|\d{2,4})$`)
)

// readClonezilla finds the disks and partitions of a directory.
func readClonezilla(f *folder) (cloned, error) {
	var z cloned
	names, err := readDevices(f, "disk")
	if err != nil {
		return z, err
	}
	for _, name := range names {
		z.disks = append(z.disks, foreignDisk{name: name})
	}
	parts, err := readDevices(f, "parts")
	if err != nil {
		return z, err
	}
	for _, part := range parts {
		if err := z.addPart(f, part); err != nil {
			return z, err
		}
	}
	for i := range z.disks {
		d := &z.disks[i]
		d.number = i + 1
		if d.record, err = readClonedRecord(f, d.name); err != nil {
			return z, err
		}
	}
	z.nvram, err = f.small("efi-nvram.dat")
	return z, err
}

// addPart finds the files of a partition.
func (z *cloned) addPart(f *folder, part string) error {
	v, err := clonedVolumes(f, part)
	if err != nil {
		return err
	}
	var known []string
	for _, d := range z.disks {
		known = append(known, d.name)
	}
	name, number := splitDevice(part, known)
	if number == 0 {
		z.volumes = append(z.volumes, part)
		return nil
	}
	i := slices.Index(known, name)
	if i < 0 {
		i = len(z.disks)
		z.disks = append(z.disks, foreignDisk{name: name})
	}
	physical, err := f.small("lvm_vg_dev.list")
	switch {
	case err != nil:
		return err
	case v != nil:
		z.disks[i].parts = append(z.disks[i].parts, foreignPart{number, *v})
	case f.has("swappt-" + part + ".info"): // in no image, but made anew
	case slices.Contains(strings.Fields(string(physical)), "/dev/"+part):
		z.volumes = append(z.volumes, part)
	default:
		return fmt.Errorf("partition %s has no image file: the directory was not copied whole; copy it again", part)
	}
	return nil
}

// readDevices reads the file parts or disk: names of devices, which in file names have - for /.
func readDevices(f *folder, file string) ([]string, error) {
	data, err := f.small(file)
	if err != nil {
		return nil, err
	}
	names := strings.Fields(string(data))
	for i, name := range names {
		names[i] = strings.ReplaceAll(strings.TrimPrefix(name, "/dev/"), "/", "-")
		if !deviceName.MatchString(names[i]) || i >= 1000 {
			return nil, fmt.Errorf("its file %s names no devices: %.80q", file, name)
		}
		if slices.Contains(names[:i], names[i]) {
			return nil, fmt.Errorf("its file %s names %s twice", file, name)
		}
	}
	return names, nil
}

// clonedVolumes finds the files of a partition, nil for none.
func clonedVolumes(f *folder, part string) (*volumes, error) {
	var files []piece
	for name, p := range f.files {
		if rest, ok := strings.CutPrefix(name, part); ok && clonedFile.MatchString(rest) && !strings.HasSuffix(rest, ".info") {
			files = append(files, p)
		}
	}
	groups, err := group(files)
	switch {
	case err != nil || len(groups) == 0:
		return nil, err
	case len(groups) > 1:
		return nil, fmt.Errorf("partition %s is there twice, as %s and as %s: remove the one that is not wanted", part, groups[0].words(), groups[1].words())
	}
	return &groups[0], nil
}

// splitDevice cuts the name of a partition into its disk's and its number: sda1, nvme0n1p1, mmcblk0p2, cciss-c0d0p1. The number
// is 0 for what is no partition, such as a logical volume. disks are the names that are known.
func splitDevice(part string, disks []string) (name string, number int) {
	for _, d := range disks {
		if rest, ok := strings.CutPrefix(part, d); ok && isDigits(strings.TrimPrefix(rest, "p")) {
			if n := trailingNumber(rest); n > 0 && n <= 128 {
				return d, n
			}
		}
	}
	stem := strings.TrimRight(part, "0123456789")
	number = trailingNumber(part)
	if number == 0 || number > 128 || stem == "" {
		return part, 0
	}
	if cut, ok := strings.CutSuffix(stem, "p"); ok && cut != "" && cut[len(cut)-1] >= '0' && cut[len(cut)-1] <= '9' {
		return cut, number
	}
	if wholeDisk.MatchString(stem) {
		return stem, number
	}
	return part, 0
}

// wholeDisk are the disks whose partitions are numbered without a p between.
var wholeDisk = regexp.MustCompile(`^(?:[hsv]d|xvd|ub)[a-z]{1,3}$`)

// readClonedRecord reads what Clonezilla keeps of a disk beside its partitions.
func readClonedRecord(f *folder, name string) (record, error) {
	var r record
	var errs []error
	read := func(suffix string) []byte {
		data, err := f.small(name + suffix)
		errs = append(errs, err)
		return data
	}
	if dump := read("-pt.sf"); len(dump) > 0 {
		r.dumps = append(r.dumps, dump)
	}
	for _, suffix := range []string{"-gpt-1st", "-gpt.gdisk"} {
		if data := read(suffix); len(data) > 0 {
			r.gpts = append(r.gpts, data)
		}
	}
	r.head, r.after = read("-mbr"), read("-hidden-data-after-mbr")
	r.bytes = partedBytes(read("-pt.parted"))
	for file := range f.files {
		part, isSwap := strings.CutPrefix(file, "swappt-")
		part, isInfo := strings.CutSuffix(part, ".info")
		if !isSwap || !isInfo {
			continue
		}
		if d, number := splitDevice(part, []string{name}); d == name && number > 0 {
			data, err := f.small(file)
			errs = append(errs, err)
			s := parseSwapInfo(data)
			s.Partition = number
			r.swaps = append(r.swaps, s)
		}
	}
	slices.SortFunc(r.swaps, func(a, b disk.Swap) int { return a.Partition - b.Partition })
	return r, errors.Join(errs...)
}

var swapField = regexp.MustCompile(`(?m)^\s*(UUID|LABEL)="?([^"\n]*)"?\s*$`)

// parseSwapInfo reads lines UUID="..." and LABEL="...".
func parseSwapInfo(data []byte) disk.Swap {
	var s disk.Swap
	for _, m := range swapField.FindAllSubmatch(data, 10) {
		if string(m[1]) == "UUID" {
			s.UUID = string(m[2])
		} else {
			s.Label = string(m[2])
		}
	}
	return s
}

var partedDisk = regexp.MustCompile(`(?m)^Disk /dev/\S+: (\d{1,18})s\s*$`)
var partedSector = regexp.MustCompile(`(?m)^Sector size \(logical/physical\): (512|4096)B/`)

// partedBytes is the size of the disk in the output of `parted unit s print`, 0 when it is not there.
func partedBytes(data []byte) int64 {
	m, s := partedDisk.FindSubmatch(data), partedSector.FindSubmatch(data)
	if m == nil || s == nil {
		return 0
	}
	sectors, _ := strconv.ParseInt(string(m[1]), 10, 64)
	sector, _ := strconv.ParseInt(string(s[1]), 10, 64)
	if sectors > 1<<50 {
		return 0
	}
	return sectors * sector
}

var efiEntry = regexp.MustCompile(`^Boot[0-9A-F]{4}\*? +([^\t]+)`)

// efiEntries are the names of the start entries in the output of `efibootmgr -v`, at most 8.
func efiEntries(nvram []byte) []string {
	var names []string
	lines := bufio.NewScanner(bytes.NewReader(nvram))
	for lines.Scan() && len(names) < 8 {
		if m := efiEntry.FindStringSubmatch(lines.Text()); m != nil && printable(m[1]) {
			names = append(names, fmt.Sprintf("%.60s", strings.TrimSpace(m[1])))
		}
	}
	return names
}
