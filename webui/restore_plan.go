package webui

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aula/appliance/operation"
	"aula/imagestore"
)

// What a form that names an image and a place means.

// A planned is a restore as the form asks for it.
type planned struct {
	Request operation.RestoreRequest
	Title   string // of what is restored, for people
	Images  []imagestore.Image
}

// restoreRequest makes of the form what is asked of the operations.
func (s *Server) restoreRequest(f restoreForm) (planned, error) {
	switch {
	case len(f.PCs) == 0:
		return planned{}, invalid("choose at least one PC")
	case f.Image == "":
		return planned{}, invalid("choose an image")
	}
	source := f.source()
	p := planned{Request: operation.RestoreRequest{ComputerIDs: f.PCs, Repository: source.Repository, Image: source.Name, SetDisk: source.SetDisk}}
	d, part, _ := strings.Cut(f.Target, "/")
	p.Request.Disk, _ = strconv.Atoi(d)
	if p.Request.Partition, _ = strconv.Atoi(part); p.Request.Disk < 1 {
		p.Request.Disk, p.Request.Partition = 0, 0
	}
	var err error
	if source.Set {
		err = s.planSet(&p)
	} else {
		err = s.planImage(&p, f)
	}
	return p, err
}

// planSet completes a plan to restore all images of a set.
func (s *Server) planSet(p *planned) (err error) {
	if p.Images, err = s.cfg.Images.Set(p.Request.Repository, p.Request.Image); err != nil {
		return err
	}
	p.Images = slices.DeleteFunc(p.Images, func(img imagestore.Image) bool {
		return p.Request.SetDisk > 0 && img.Source.Disk != p.Request.SetDisk
	})
	if len(p.Images) == 0 {
		return invalid("set %.140q has no images of disk %d", p.Request.Image, p.Request.SetDisk)
	}
	p.Title = fmt.Sprintf("%s, %s", p.Request.Image, count(len(p.Images), "partition", "partitions"))
	p.Request.Whole, p.Request.Partition = true, 0
	p.Request.Disk = cmp.Or(p.Request.Disk, p.Images[0].Source.Disk, 1)
	return nil
}

// planImage completes a plan to restore one image.
func (s *Server) planImage(p *planned, f restoreForm) error {
	r, img, err := s.home(p.Request.Repository, p.Request.Image)
	if err != nil {
		return err
	}
	if f.Revision != "" {
		n, err := strconv.Atoi(f.Revision)
		if err != nil || n < 1 {
			return invalid("the revision is a number such as 1, and %.40q is none", f.Revision)
		}
		if img.Image, err = r.Revision(img.Name, n); err != nil {
			return err
		}
		p.Request.Revision = n
	}
	v := s.viewImage(img)
	p.Images, p.Title = []imagestore.Image{img.Image}, fmt.Sprintf("%s revision %d", v.Display, img.Revision)
	if v.WholeDisk() {
		p.Request.Whole, p.Request.Partition = true, 0
		p.Request.Disk = cmp.Or(p.Request.Disk, img.Source.Disk, 1)
		return nil
	}
	p.Request.Layout = f.Layout
	p.Request.Disk = cmp.Or(p.Request.Disk, img.Source.Disk)
	if p.Request.Partition == 0 {
		p.Request.Partition = img.Installed()
	}
	if p.Request.Disk == 0 && img.Said.Partition > 0 {
		p.Request.Disk = 1
	}
	switch {
	case p.Request.Disk < 1 || p.Request.Partition < 1:
		return invalid("choose the disk and partition: this image does not say where it comes from")
	case f.Layout && !img.HasLayout:
		return invalid("image %s has no disk layout beside it; untick the layout and restore to a partition that exists", img.Name)
	}
	return nil
}
