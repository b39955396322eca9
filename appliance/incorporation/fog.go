package incorporation

import (
	"bufio"
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"aula/clientos/disk"
)

// The files of an image directory of FOG: for disk N and partition M dNpM.img, perhaps split into dNpM.img.000 and so on;
// dN.mbr (the boot sector and the gap, or the backup of a GPT by sgdisk); dN.partitions and its like (dumps of sfdisk).
// Before version 1, Windows was in sys.img.000 and rec.img.000.
var (
	fogPart = regexp.MustCompile(`^d([1-9]\d?)p([1-9]\d{0,2})\.img(?:\.\d{3})?$`)
	fogDisk = regexp.MustCompile(`^d([1-9]\d?)\.(?:mbr|grub\.mbr|partitions|original\.partitions|minimum\.partitions)$`)
	fogLVM  = regexp.MustCompile(`^d\d+p\d+\.(?:lvm|lvm\..*|.+\.img)$`)
	fogOld  = regexp.MustCompile(`^(sys|rec)\.img\.(\d{3})$`)
)

// isFOG tells whether a folder is an image of FOG.
func isFOG(f *folder) bool {
	for name := range f.files {
		if fogPart.MatchString(name) || fogDisk.MatchString(name) || fogOld.MatchString(name) {
			return true
		}
	}
	return false
}

// fog plans the images of a directory of FOG.
func (x *examiner) fog(f *folder) error {
	disks, err := readFOG(f)
	if err != nil {
		return fmt.Errorf("FOG image %s: %w", f.baseName(), err)
	}
	for _, name := range f.names() {
		if fogLVM.MatchString(name) && !fogPart.MatchString(name) {
			x.warnf("%s: logical volumes (LVM) do not come along: %s and its like are left out", f.baseName(), name)
			break
		}
	}
	for name := range f.files {
		if strings.HasSuffix(name, ".minimum.partitions") {
			x.warnf("%s: FOG made the filesystems as small as it could, and they stay so after a restore: enlarge them with the tools of the system that is in them",
				f.baseName())
			break
		}
	}
	return x.set("FOG", f.baseName(), disks)
}

// readFOG finds the disks and partitions of a directory.
func readFOG(f *folder) ([]foreignDisk, error) {
	disks := make(map[int]*foreignDisk)
	at := func(number string) *foreignDisk {
		n, _ := strconv.Atoi(number)
		if disks[n] == nil {
			disks[n] = &foreignDisk{number: n}
		}
		return disks[n]
	}
	var files []piece
	for name, p := range f.files {
		if fogPart.MatchString(name) {
			files = append(files, p)
		} else if m := fogDisk.FindStringSubmatch(name); m != nil {
			at(m[1])
		}
	}
	groups, err := group(files)
	if err != nil {
		return nil, err
	}
	for _, v := range groups {
		m := fogPart.FindStringSubmatch(v.pieces[0].name)
		d := at(m[1])
		number, _ := strconv.Atoi(m[2])
		if slices.ContainsFunc(d.parts, func(p foreignPart) bool { return p.number == number }) {
			return nil, fmt.Errorf("partition %d of disk %d is there twice, as one file and as volumes (%s): remove the one that is not wanted", number, d.number, v.words())
		}
		d.parts = append(d.parts, foreignPart{number, v})
	}
	if len(files) == 0 {
		old, err := readOldFOG(f)
		if err != nil {
			return nil, err
		}
		if len(old) > 0 {
			at("1").parts = old
		}
	}
	var list []foreignDisk
	for _, d := range disks {
		if d.record, err = readFOGRecord(f, d.number); err != nil {
			return nil, err
		}
		list = append(list, *d)
	}
	slices.SortFunc(list, func(a, b foreignDisk) int { return a.number - b.number })
	return list, nil
}

// readOldFOG finds the partitions of old Windows images: the files rec.img.NNN are a partition each, in order, and the volumes
// sys.img.NNN are the one after them.
func readOldFOG(f *folder) ([]foreignPart, error) {
	var parts []foreignPart
	var system []piece
	for _, name := range f.names() {
		switch m := fogOld.FindStringSubmatch(name); {
		case m == nil:
		case m[1] == "rec":
			parts = append(parts, foreignPart{len(parts) + 1, volumes{name, []piece{f.files[name]}}})
		default:
			system = append(system, f.files[name])
		}
	}
	groups, err := group(system)
	for _, v := range groups {
		parts = append(parts, foreignPart{len(parts) + 1, v})
	}
	return parts, err
}

// readFOGRecord reads what FOG keeps of a disk beside its partitions.
func readFOGRecord(f *folder, number int) (record, error) {
	var r record
	prefix := fmt.Sprintf("d%d.", number)
	for _, name := range []string{"partitions", "original.partitions", "minimum.partitions", "shrunken.partitions"} {
		dump, err := f.small(prefix + name)
		if err != nil {
			return record{}, err
		}
		if len(dump) > 0 {
			r.dumps = append(r.dumps, dump)
		}
	}
	mbr, err := f.small(prefix + "mbr")
	if err != nil {
		return record{}, err
	}
	grub, err := f.small(prefix + "grub.mbr")
	if err != nil {
		return record{}, err
	}
	r.head = mbr
	if t, err := parseGPT(mbr); err == nil {
		r.gpts, r.head = [][]byte{mbr}, t.head
	}
	if len(grub) >= mbrLen {
		r.head = grub
	}
	size, err := f.small(prefix + "size")
	if err != nil {
		return record{}, err
	}
	if _, bytes, ok := strings.Cut(strings.TrimSpace(string(size)), ":"); ok {
		if n, err := strconv.ParseInt(bytes, 10, 64); err == nil && n > 0 {
			r.bytes = n
		}
	}
	swaps, err := f.small(prefix + "original.swapuuids")
	r.swaps = parseSwapUUIDs(swaps)
	return r, err
}

// parseSwapUUIDs reads lines of a partition, as a device or its number alone, and the UUID of the swap area in it.
func parseSwapUUIDs(data []byte) []disk.Swap {
	var swaps []disk.Swap
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() && len(swaps) < 128 {
		fields := strings.Fields(lines.Text())
		if len(fields) < 2 {
			continue
		}
		if n := trailingNumber(fields[0]); n > 0 {
			swaps = append(swaps, disk.Swap{Partition: n, UUID: fields[1]})
		}
	}
	return swaps
}

// trailingNumber is the partition number at the end of a device's name, 0 for none.
func trailingNumber(device string) int {
	digits := device[len(strings.TrimRight(device, "0123456789")):]
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}
