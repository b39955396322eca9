package disk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// mbrCode is how much of sector 0 is boot code; the disk signature and the table follow.
	mbrCode = 440
	// mbrBeforeTable is how much of sector 0 lies before the table of a dos disk.
	mbrBeforeTable = 446
	// maxGap bounds what is kept of the gap before the first partition: all of it on a disk aligned to 1 MiB.
	maxGap = 1 << 20
	// maxBootArea bounds what is kept of a BIOS boot partition.
	maxBootArea = 2 << 20
	// maxBoots bounds the boot entries that are kept, and maxBootText label and path of each, in bytes.
	maxBoots, maxBootText = 64, 512
)

// ParseLayout reads the JSON of a Layout and checks it, so that what it returns can be applied to a disk of sufficient size.
func ParseLayout(data []byte) (Layout, error) {
	var l Layout
	if err := json.Unmarshal(data, &l); err != nil {
		return Layout{}, &Error{Kind: BadTable, Problem: "the disk layout beside the image cannot be read",
			Advice: "create the image again", Err: err}
	}
	if err := l.Check(); err != nil {
		return Layout{}, err
	}
	return l, nil
}

// Check refuses a layout that contradicts itself or that no disk can have, with an *Error of kind BadTable.
func (l Layout) Check() error {
	_, err := l.table()
	return err
}

// table returns the parsed table of a layout that has passed every check.
func (l Layout) table() (table, error) {
	t, err := parseTable(l.Dump)
	if err == nil {
		err = l.checkAgainst(&t)
	}
	if err != nil {
		return table{}, &Error{Kind: BadTable, Problem: "the disk layout beside the image cannot be used",
			Advice: "create the image again", Err: err}
	}
	return t, nil
}

func (l Layout) checkAgainst(t *table) error {
	if t.sectorSize == 0 {
		t.sectorSize = l.SectorSize
	}
	gapEnd := l.GapStart + int64(len(l.Gap))
	switch {
	case l.Version != 1:
		return fmt.Errorf("layout version %d: this version of Aula knows 1", l.Version)
	case l.Table != t.label:
		return fmt.Errorf("it says %s and holds a %s table", l.Table, t.label)
	case l.SectorSize != t.sectorSize:
		return fmt.Errorf("it says sectors of %d bytes and holds a table for %d", l.SectorSize, t.sectorSize)
	case len(l.BootCode) != 0 && len(l.BootCode) != mbrBeforeTable:
		return fmt.Errorf("boot code of %d bytes instead of %d", len(l.BootCode), mbrBeforeTable)
	case len(l.Gap) > maxGap:
		return fmt.Errorf("gap of %d bytes: at most %d are kept", len(l.Gap), maxGap)
	case len(l.Gap) > 0 && (l.GapStart < t.reservedBytes() || l.GapStart > maxGap):
		return fmt.Errorf("gap at byte %d is inside the partition table", l.GapStart)
	case len(l.Gap) > 0 && len(t.entries) > 0 && gapEnd > t.firstStart():
		return fmt.Errorf("gap up to byte %d is inside the first partition, which starts at %d", gapEnd, t.firstStart())
	}
	for _, s := range l.Swaps {
		if e, ok := t.entry(s.Partition); !ok || e.extended() {
			return fmt.Errorf("swap in partition %d, which does not exist", s.Partition)
		}
		if !uuidPattern.MatchString(s.UUID) {
			return fmt.Errorf("swap identifier %q is not a UUID", s.UUID)
		}
		if len(s.Label) > 15 || bytes.ContainsRune([]byte(s.Label), 0) {
			return fmt.Errorf("swap label %q is too long", s.Label)
		}
	}
	for _, a := range l.BootAreas {
		e, ok := t.entry(a.Partition)
		if !ok || e.typ != typeBIOSBoot {
			return fmt.Errorf("boot code for partition %d, which is no BIOS boot partition", a.Partition)
		}
		if size := e.sectors * int64(t.sectorSize); size > maxBootArea || int64(len(a.Data)) > size {
			return fmt.Errorf("boot code of %d bytes for partition %d of %d", len(a.Data), a.Partition, size)
		}
	}
	return l.checkBoots(t)
}

// checkBoots refuses boot entries that no firmware takes, or that start nothing of this disk.
func (l Layout) checkBoots(t *table) error {
	if len(l.Boots) > maxBoots {
		return fmt.Errorf("%d boot entries: at most %d are kept", len(l.Boots), maxBoots)
	}
	for _, b := range l.Boots {
		if e, ok := t.entry(b.Partition); !ok || e.extended() {
			return fmt.Errorf("boot entry %.40q for partition %d, which does not exist", b.Label, b.Partition)
		}
		if b.Label == "" || len(b.Label) > maxBootText || !plainText(b.Label) {
			return fmt.Errorf("boot entry %.40q is not plain text of 1 to %d bytes", b.Label, maxBootText)
		}
		if len(b.Loader) < 2 || b.Loader[0] != '\\' || len(b.Loader) > maxBootText || !plainText(b.Loader) {
			return fmt.Errorf("boot entry %.40q has the loader %.40q, which is no path from the root", b.Label, b.Loader)
		}
	}
	return nil
}

func plainText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func (t *table) entry(number int) (entry, bool) {
	for _, e := range t.entries {
		if e.number == number {
			return e, true
		}
	}
	return entry{}, false
}

// Fits refuses a disk on which l cannot be applied, with an *Error that gives the figures.
func (l Layout) Fits(d Disk) error {
	t, err := l.table()
	if err != nil {
		return err
	}
	if err := l.checkSectors(d); err != nil {
		return err
	}
	if need := t.neededBytes(); need > d.Bytes {
		return &Error{
			Kind: TooSmall,
			Problem: fmt.Sprintf("disk %d has %s and the layout needs %s: %s are missing",
				d.Number, FormatBytes(d.Bytes), FormatBytes(need), FormatBytes(need-d.Bytes)),
			Advice: "shrink the last partition of the model computer and capture it again, or use a larger disk; nothing was written",
		}
	}
	return nil
}

// Partitions returns the partitions that a disk will have once l is applied: number, place and type.
func (l Layout) Partitions() ([]Partition, error) {
	t, err := l.table()
	if err != nil {
		return nil, err
	}
	sector := int64(t.sectorSize)
	partitions := make([]Partition, 0, len(t.entries))
	for _, e := range t.entries {
		partitions = append(partitions, Partition{
			Number: e.number, Start: e.start * sector, Bytes: e.sectors * sector,
			Type: e.typ, Name: e.name, Bootable: e.bootable, Used: -1,
		})
	}
	return partitions, nil
}

// ReadLayout reads the layout of d. It only reads.
func ReadLayout(ctx context.Context, d Disk) (Layout, error) {
	dev, err := deviceAt(d.Path)
	if err != nil {
		return Layout{}, err
	}
	t, dump, err := readTable(ctx, dev.path)
	if err != nil {
		return Layout{}, err
	}
	t.sectorSize = d.SectorSize
	l := Layout{Version: 1, Table: t.label, SectorSize: d.SectorSize, DiskBytes: d.Bytes, Dump: dump}
	fresh := Disk{Path: d.Path}
	if err := fresh.readPartitions(ctx, dev); err != nil {
		return Layout{}, err
	}
	for _, p := range fresh.Partitions {
		if p.Filesystem == "LINUX-SWAP" && p.UUID != "" {
			l.Swaps = append(l.Swaps, Swap{Partition: p.Number, UUID: p.UUID, Label: p.Label})
		}
	}
	f, err := os.Open(dev.path)
	if err != nil {
		return Layout{}, fmt.Errorf("reading the layout of disk %d: %w", d.Number, err)
	}
	defer f.Close()
	if err := l.readCode(f, &t); err != nil {
		return Layout{}, &Error{Kind: Access, Problem: fmt.Sprintf("the boot code of disk %d cannot be read", d.Number),
			Advice: "the disk may be failing: check its SMART state", Err: err}
	}
	return l, l.Check()
}

// readCode reads the parts of the disk that hold code for the BIOS. What is all zeros at the end is left out.
func (l *Layout) readCode(r io.ReaderAt, t *table) error {
	l.BootCode = make([]byte, mbrBeforeTable)
	if _, err := r.ReadAt(l.BootCode, 0); err != nil {
		return err
	}
	start, end := gapOf(t)
	gap := make([]byte, end-start)
	if _, err := r.ReadAt(gap, start); err != nil {
		return err
	}
	if gap = trimZeros(gap); len(gap) > 0 {
		l.Gap, l.GapStart = gap, start
	}
	for _, e := range t.entries {
		if size := e.sectors * int64(t.sectorSize); e.typ == typeBIOSBoot && size <= maxBootArea {
			area := make([]byte, size)
			if _, err := r.ReadAt(area, e.start*int64(t.sectorSize)); err != nil {
				return err
			}
			if area = trimZeros(area); len(area) > 0 {
				l.BootAreas = append(l.BootAreas, BootArea{Partition: e.number, Data: area})
			}
		}
	}
	return nil
}

// gapOf is the range of bytes between the table and the first partition, as far as it is kept.
func gapOf(t *table) (start, end int64) {
	start = t.reservedBytes()
	end = t.firstStart()
	if end == 0 || end > maxGap {
		end = maxGap
	}
	return start, max(start, end)
}

func trimZeros(b []byte) []byte { return bytes.TrimRight(b, "\x00") }
