package disk

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// kernelSector is the unit of sizes and offsets in sysfs, whatever the sectors of the disk.
const kernelSector = 512

// A device is a whole disk as the kernel shows it in sysfs.
type device struct {
	path  string // the node to open
	name  string // the kernel's name, which is also the stem of its partitions' names
	sys   string // its folder in sysfs
	major int
	minor int
}

// devices lists the disks of s in the order of their numbers.
func (s System) devices() ([]device, error) {
	if len(s.Devices) > 0 {
		var list []device
		for _, path := range s.Devices {
			dev, err := deviceAt(path)
			if err != nil {
				return nil, err
			}
			list = append(list, dev)
		}
		return list, nil
	}
	const class = "/sys/class/block"
	entries, err := os.ReadDir(class)
	if err != nil {
		return nil, fmt.Errorf("listing disks: %w", err)
	}
	var list []device
	for _, entry := range entries {
		sys := filepath.Join(class, entry.Name())
		if !isRealDisk(entry.Name(), sys) {
			continue
		}
		dev := device{path: "/dev/" + entry.Name(), name: entry.Name(), sys: sys}
		if _, err := fmt.Sscanf(attribute(sys, "dev"), "%d:%d", &dev.major, &dev.minor); err != nil {
			continue
		}
		list = append(list, dev)
	}
	slices.SortFunc(list, func(a, b device) int {
		return cmp.Or(cmp.Compare(a.major, b.major), cmp.Compare(a.minor, b.minor))
	})
	return list, nil
}

// isRealDisk leaves out partitions, what no hardware is behind (loop, ram, zram, md, dm), optical and floppy drives, the
// boot areas of eMMC, and card readers without a card.
func isRealDisk(name, sys string) bool {
	for _, prefix := range []string{"sr", "fd", "nbd"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok && strings.Trim(rest, "0123456789") == "" {
			return false
		}
	}
	if strings.HasPrefix(name, "mmcblk") && (strings.Contains(name, "boot") || strings.Contains(name, "rpmb")) {
		return false
	}
	if _, err := os.Stat(filepath.Join(sys, "device")); err != nil {
		return false
	}
	if _, err := os.Stat(filepath.Join(sys, "partition")); err == nil {
		return false
	}
	return attribute(sys, "hidden") != "1" && number(sys, "size") > 0
}

// deviceAt returns the device at a node's path.
func deviceAt(path string) (device, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return device{}, fmt.Errorf("disk %s: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFBLK {
		return device{}, fmt.Errorf("disk %s is not a block device", path)
	}
	dev := device{path: path, major: int(unix.Major(st.Rdev)), minor: int(unix.Minor(st.Rdev))}
	sys, err := filepath.EvalSymlinks(fmt.Sprintf("/sys/dev/block/%d:%d", dev.major, dev.minor))
	if err != nil {
		return device{}, fmt.Errorf("disk %s: the kernel does not list it: %w", path, err)
	}
	dev.sys, dev.name = sys, filepath.Base(sys)
	return dev, nil
}

// disk reads what the kernel knows of the disk as a whole.
func (dev device) disk() Disk {
	d := Disk{
		Path:       dev.path,
		Bytes:      number(dev.sys, "size") * kernelSector,
		SectorSize: int(number(dev.sys, "queue/logical_block_size")),
		Removable:  attribute(dev.sys, "removable") == "1" || dev.usb() != "",
		Partitions: []Partition{},
	}
	d.Model, d.Serial, d.WWN = dev.identity()
	return d
}

// identity finds model, serial number and world wide name, which each kind of disk keeps elsewhere.
func (dev device) identity() (model, serial, wwn string) {
	if file := attribute(dev.sys, "loop/backing_file"); file != "" {
		return "loop device", strings.TrimSuffix(filepath.Base(file), " (deleted)"), ""
	}
	model = cmp.Or(attribute(dev.sys, "device/model"), attribute(dev.sys, "device/name"))
	if vendor := attribute(dev.sys, "device/vendor"); model != "" && vendor != "" &&
		vendor != "ATA" && !strings.HasPrefix(vendor, "0x") {
		model = vendor + " " + model
	}
	serial = cmp.Or(
		attribute(dev.sys, "serial"),          // virtio
		attribute(dev.sys, "device/serial"),   // NVMe, eMMC
		vpdSerial(dev.sys+"/device/vpd_pg80"), // SATA, SAS
		attribute(dev.usb(), "serial"),        // USB sticks
	)
	return model, serial, cmp.Or(attribute(dev.sys, "wwid"), attribute(dev.sys, "device/wwid"))
}

// vpdSerial reads the Unit Serial Number page of a SCSI device (SPC-4, 7.8.15): four bytes of header, then the number.
func vpdSerial(path string) string {
	page, err := os.ReadFile(path)
	if err != nil || len(page) < 4 {
		return ""
	}
	return printable(page[4:])
}

// usb returns the sysfs folder of the USB device that the disk hangs on, or "".
func (dev device) usb() string {
	folder, err := filepath.EvalSymlinks(filepath.Join(dev.sys, "device"))
	if err != nil {
		return ""
	}
	for ; len(folder) > len("/sys/devices"); folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "idVendor")); err == nil {
			return folder
		}
	}
	return ""
}

// attribute reads a file of sysfs as one line of text, "" when there is none.
func attribute(folder, name string) string {
	if folder == "" {
		return ""
	}
	data, err := os.ReadFile(filepath.Join(folder, name))
	if err != nil {
		return ""
	}
	return printable(data)
}

// printable keeps the printable ASCII of what a disk's firmware says of itself, which may be anything.
func printable(data []byte) string {
	return strings.TrimSpace(string(bytes.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, data)))
}

func number(folder, name string) int64 {
	n, err := strconv.ParseInt(attribute(folder, name), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
