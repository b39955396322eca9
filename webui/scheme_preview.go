package webui

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aula/appliance/catalog"
	"aula/clientos/disk"
)

// What the disks of the chosen PCs would look like, and lose. A room of equal PCs is told once.

// A schemePreview is what the disk of some PCs, all alike, would look like.
type schemePreview struct {
	Title   string // "pc-01", or "6 computers: pc-01 … pc-06"
	Disk    string
	Drawing *drawnDisk
	Loses   []string
	Refusal string
	Advice  string
}

// preview lays the scheme on each PC's disk.
func (v *partitionPage) preview() {
	if v.What == wholeTable && !slices.ContainsFunc(v.Rows, func(r schemeRow) bool { return !r.empty() }) {
		return
	}
	scheme, err := v.scheme()
	if err != nil {
		v.Wrong = sentence(err.Error())
		return
	}
	var shapes []string
	alike := map[string][]int{} // places in Chosen by shape
	for n, pc := range v.Chosen {
		p := schemePreview{Refusal: fmt.Sprintf("there is no disk %.20s", v.Disk)}
		for _, d := range pc.Inventory.Disks {
			if strconv.Itoa(d.Number) == v.Disk {
				p.lay(scheme, d)
			}
		}
		shape := p.shape()
		if alike[shape] == nil {
			shapes, v.Previews = append(shapes, shape), append(v.Previews, p)
		}
		alike[shape] = append(alike[shape], n)
	}
	for i, shape := range shapes {
		v.Previews[i].Title = namesOf(v.Chosen, alike[shape])
	}
}

// shape is all of it that people see.
func (p schemePreview) shape() string {
	shape := fmt.Sprint(p.Disk, p.Refusal, p.Advice, p.Loses)
	if p.Drawing != nil {
		shape += fmt.Sprint(p.Drawing.Pieces)
		for _, part := range p.Drawing.Partitions {
			shape += fmt.Sprint(part.Number, part.Type, part.Filesystem, part.Label, part.Bytes)
		}
	}
	return shape
}

// namesOf writes PCs by their places in a list, in ascending order: those that follow each other by the first and the last of them.
func namesOf(all []catalog.Computer, places []int) string {
	var runs []string
	for i := 0; i < len(places); {
		end := i
		for end+1 < len(places) && places[end+1] == places[end]+1 {
			end++
		}
		if end-i < 2 {
			end = i
		}
		run := all[places[i]].Name
		if end > i {
			run += " … " + all[places[end]].Name
		}
		runs = append(runs, run)
		i = end + 1
	}
	names := strings.Join(runs, ", ")
	if len(places) == 1 {
		return names
	}
	return fmt.Sprintf("%d computers: %s", len(places), names)
}

// lay draws the table that a disk would get.
func (p *schemePreview) lay(s disk.Scheme, d disk.Disk) {
	p.Disk, p.Refusal = diskTitle(d), ""
	layout, err := s.Plan(d)
	if err == nil {
		var parts []disk.Partition
		if parts, err = layout.Partitions(); err == nil {
			p.draw(s, d, layout, parts)
			return
		}
	}
	p.Refusal, p.Advice = refusalOf(err)
}

func (p *schemePreview) draw(s disk.Scheme, d disk.Disk, layout disk.Layout, parts []disk.Partition) {
	for i := range parts {
		for _, planned := range s.Partitions {
			if planned.Number == parts[i].Number {
				parts[i].Filesystem, parts[i].Label = planned.Filesystem, planned.Label
			}
		}
		if kind, ok := parts[i].Kind(); ok && parts[i].Filesystem == "" {
			parts[i].Filesystem = kind.Name
		}
	}
	drawn := drawDisk(disk.Disk{Number: d.Number, Bytes: d.Bytes, SectorSize: d.SectorSize, Table: layout.Table, Partitions: parts})
	p.Drawing = &drawn
	for _, lost := range s.Loses(d) {
		if !lost.Extended() {
			p.Loses = append(p.Loses, fmt.Sprintf("partition %d: %s, %s", lost.Number, partitionTitle(lost), size(lost.Bytes)))
		}
	}
}

// refusalOf is why a disk cannot be partitioned so, and what to do about it.
func refusalOf(err error) (problem, advice string) {
	var e *disk.Error
	if errors.As(err, &e) {
		advice = e.Advice
	}
	return err.Error(), advice
}
