package incorporation

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"aula/clientos/disk"
)

const (
	maxGap      = 1 << 20 // clientos/disk keeps that much of the gap before the first partition
	maxBootArea = 2 << 20 // and of a BIOS boot partition
)

// A record is what another system keeps of a disk beside its partitions, each as the bytes of a file. Any of it may be missing.
type record struct {
	dumps [][]byte // of sfdisk, the best first
	gpts  [][]byte // copies of a GUID partition table, see parseGPT
	head  []byte   // the disk from byte 0 on: the boot sector, and perhaps the gap after it
	after []byte   // the disk from byte 512 on, when it is in a file of its own
	bytes int64    // size of the disk, 0 when not known
	swaps []disk.Swap
}

// layout makes a layout of all that is known. warnings tell what of it could not be used. A layout that it returns
// without an error has passed Check.
func (r record) layout() (l disk.Layout, warnings []string, err error) {
	l, err = r.table()
	if err != nil {
		return disk.Layout{}, nil, err
	}
	if len(r.head) >= bootCodeLen {
		l.BootCode = r.head[:bootCodeLen]
	} else {
		warnings = append(warnings, "the boot code of the disk (its MBR) is not there: a PC that starts by BIOS will not start from a disk that is rebuilt")
	}
	partitions, err := l.Partitions()
	if err != nil {
		return disk.Layout{}, nil, err
	}
	l.Gap, l.GapStart = r.gap(l, partitions)
	for _, s := range r.swaps {
		with := l
		with.Swaps = append(with.Swaps, s)
		if err := with.Check(); err != nil {
			warnings = append(warnings, fmt.Sprintf("swap area in partition %d is not made anew: %v", s.Partition, cause(err)))
			continue
		}
		l = with
	}
	if l.DiskBytes == 0 {
		for _, p := range partitions {
			l.DiskBytes = max(l.DiskBytes, p.Start+p.Bytes)
		}
	}
	return l, warnings, l.Check()
}

// table makes the layout's table and sizes from the first record of them that holds.
func (r record) table() (disk.Layout, error) {
	var errs []error
	for _, text := range r.dumps {
		l, err := r.fromDump(string(text))
		if err == nil {
			return l, nil
		}
		errs = append(errs, err)
	}
	for _, data := range r.gpts {
		t, err := parseGPT(data)
		if err == nil {
			l := disk.Layout{Version: 1, Table: "gpt", SectorSize: t.sectorSize, Dump: t.dump(), DiskBytes: r.bytes}
			if l.DiskBytes == 0 && t.diskSectors < 1<<50 {
				l.DiskBytes = int64(t.diskSectors) * int64(t.sectorSize)
			}
			if err = usable(l); err == nil {
				return l, nil
			}
		}
		errs = append(errs, err)
	}
	if dump := dumpOfMBR(r.head); dump != "" {
		l := disk.Layout{Version: 1, Table: "dos", SectorSize: 512, Dump: dump, DiskBytes: r.bytes}
		err := usable(l)
		if err == nil {
			return l, nil
		}
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		errs = append(errs, errors.New("there is no partition table"))
	}
	return disk.Layout{}, errors.Join(errs...)
}

// fromDump makes the layout's table of a dump of any version of sfdisk. Those before 2.26 say neither the kind of the table nor
// the disk's identifier, those before 2.35 not the sector size.
func (r record) fromDump(text string) (disk.Layout, error) {
	h := readDumpHead(text)
	if h.label == "" {
		if h.protective {
			return disk.Layout{}, errors.New("the dump shows only the protective table of a disk with a GPT")
		}
		h.label = "dos"
		text = "label: dos\n" + text
	}
	if h.label == "dos" && !h.identified {
		if !isMBR(r.head) {
			return disk.Layout{}, errors.New("the dump does not say the disk's identifier, and there is no copy of the MBR")
		}
		text = "label-id: " + dosID(r.head) + "\n" + text
	}
	if h.label == "gpt" && h.unnamed && len(r.gpts) > 0 {
		return disk.Layout{}, errors.New("the dump does not say the partitions' identifiers")
	}
	if h.sectorSize == 0 {
		h.sectorSize = 512
		for _, data := range r.gpts {
			if t, err := parseGPT(data); err == nil {
				h.sectorSize = t.sectorSize
			}
		}
	}
	l := disk.Layout{Version: 1, Table: h.label, SectorSize: h.sectorSize, Dump: text, DiskBytes: r.bytes}
	if l.DiskBytes == 0 {
		l.DiskBytes = r.gptBytes(h)
	}
	return l, usable(l)
}

// usable refuses a table that clientos/disk refuses, and one without partitions, such as a file that is no dump is taken for.
func usable(l disk.Layout) error {
	partitions, err := l.Partitions()
	if err == nil && len(partitions) == 0 {
		err = errors.New("there are no partitions in it")
	}
	return cause(err)
}

// gptBytes is the size of a disk with a GPT: its backup is in the last sectors.
func (r record) gptBytes(h dumpHead) int64 {
	for _, data := range r.gpts {
		if t, err := parseGPT(data); err == nil && t.diskSectors < 1<<50 {
			return int64(t.diskSectors) * int64(t.sectorSize)
		}
	}
	if h.label == "gpt" && h.lastLBA > 0 && h.lastLBA < 1<<50 {
		sector := int64(h.sectorSize)
		return (h.lastLBA + 1 + 128*gptEntryLen/sector + 1) * sector
	}
	return 0
}

// gap returns what is between the table and the first partition, and where it begins.
func (r record) gap(l disk.Layout, partitions []disk.Partition) (data []byte, start int64) {
	first := int64(maxGap)
	for _, p := range partitions {
		first = min(first, p.Start)
	}
	start = int64(l.SectorSize)
	if l.Table == "gpt" {
		start = int64(2*l.SectorSize) + tableBytes(l)
	}
	space := append(bytes.Clone(r.head[:min(len(r.head), mbrLen)]), r.after...)
	if len(r.head) > mbrLen {
		space = r.head
	}
	end := min(first, int64(len(space)))
	if start >= end {
		return nil, 0
	}
	if data = bytes.TrimRight(space[start:end], "\x00"); len(data) == 0 {
		return nil, 0
	}
	return data, start
}

// tableBytes is the length of the entries of a GPT.
func tableBytes(l disk.Layout) int64 {
	length := int64(128)
	if m := regexp.MustCompile(`(?m)^table-length:\s*(\d{1,4})\s*$`).FindStringSubmatch(l.Dump); m != nil {
		length, _ = strconv.ParseInt(m[1], 10, 64)
	}
	sector := int64(l.SectorSize)
	return (length*gptEntryLen + sector - 1) / sector * sector
}

// A dumpHead is what a dump says before its partitions, and what kind of partitions they are.
type dumpHead struct {
	label      string
	identified bool // it has a label-id
	sectorSize int
	lastLBA    int64
	protective bool // its only partition is of type EE
	unnamed    bool // a partition has no uuid
}

var (
	oldType  = regexp.MustCompile(`(?i)\b(?:id|type)=\s*([0-9a-f]{1,2})\b(?:[ ,]|$)`)
	hasUUID  = regexp.MustCompile(`(?i)\buuid=\s*[0-9a-f]`)
	sizeZero = regexp.MustCompile(`(?i)\bsize=\s*0\b`)
)

func readDumpHead(text string) dumpHead {
	var h dumpHead
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if device, fields, ok := strings.Cut(line, " : "); ok && device != "" && line[0] != '#' {
			if m := oldType.FindStringSubmatch(fields); m != nil && strings.EqualFold(m[1], "ee") {
				h.protective = true
			}
			if !sizeZero.MatchString(fields) && !hasUUID.MatchString(fields) {
				h.unnamed = true
			}
			continue
		}
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch key {
		case "label":
			h.label = value
		case "label-id":
			h.identified = true
		case "sector-size":
			h.sectorSize, _ = strconv.Atoi(value)
		case "last-lba":
			h.lastLBA, _ = strconv.ParseInt(value, 10, 64)
		}
	}
	return h
}

// cause is what ails a layout, without the advice for one that was captured here.
func cause(err error) error {
	var e *disk.Error
	if errors.As(err, &e) && e.Err != nil {
		return e.Err
	}
	return err
}

// keepsBoot tells whether p is a BIOS boot partition, of which the layout keeps the content.
func keepsBoot(p disk.Partition) bool { return p.BIOSBoot() && p.Bytes <= maxBootArea }
