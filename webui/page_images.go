package webui

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"aula/imagestore"
)

type imagesPage struct {
	page
	Sets         []imageSet
	Repositories []volume
	Several      bool // there is more than one repository
	Trashed      int
}

// An imageSet is the images of one disk, under their common name, or one image alone.
type imageSet struct {
	Name       string // empty for an image alone
	Repository string
	Images     []imageView
}

// A setDisk is one disk of a set.
type setDisk struct {
	Number int // 0 when the set has only one
	Images int
	Used   int64 // bytes
	Ready  bool  // all of it can be restored
	Value  string
}

// Disks are the disks that the images of a set are of.
func (s imageSet) Disks() []setDisk {
	var disks []setDisk
	for _, v := range s.Images {
		if len(disks) == 0 || disks[len(disks)-1].Number != v.Source.Disk {
			disks = append(disks, setDisk{Number: v.Source.Disk, Ready: true})
		}
		d := &disks[len(disks)-1]
		d.Images, d.Used, d.Ready = d.Images+1, d.Used+v.Info.UsedBytes, d.Ready && v.Restorable()
	}
	if len(disks) == 1 {
		disks[0].Number = 0
	}
	for i := range disks {
		disks[i].Value = wholeValue(s.Repository, s.Name, disks[i].Number)
	}
	return disks
}

// Says is "3 partitions of a disk".
func (s imageSet) Says() string {
	if n := len(s.Disks()); n > 1 {
		return fmt.Sprintf("%d partitions of %d disks", len(s.Images), n)
	}
	return count(len(s.Images), "partition of a disk", "partitions of a disk")
}

// A volume is a repository as lists of images show it.
type volume struct {
	Name, Free, Problem string
}

// An imageView is one image as pages show it.
type imageView struct {
	describedImage
	mark
	Key     string // data-live
	ID      string // canonical name
	Path    string
	Display string
	From    string // PC, disk and partition, or what it was imported from
	Reason  string // what is wrong and what to do
	Where   string // its repository, when there are several and no set says it
	Percent int    // of arriving or processing, -1 when not known
	Amount  string // "1.2 GB of 8.1 GB"
	Moving  bool   // arriving or processing
	Strange bool   // the name is not canonical: there is no page of it
}

// imageMarks are the states of images.
var imageMarks = map[imagestore.State]mark{
	imagestore.Missing:    {toneIdle, "off", "Missing"},
	imagestore.Arriving:   {toneWork, "down", "Arriving"},
	imagestore.Processing: {toneWork, "search", "Processing"},
	imagestore.Ready:      {toneGood, "check", "Ready"},
	imagestore.Locked:     {toneGood, "lock", "Locked"},
	imagestore.Damaged:    {toneBad, "cross", "Damaged"},
}

func (s *Server) viewImage(img describedImage) imageView {
	v := imageView{
		describedImage: img, mark: imageMarks[img.Standing.State], Key: "image-" + img.Repository + "-" + img.Name,
		ID: img.Name, Path: s.imagePath(img.Repository, img.Name, ""), Display: img.Said.DisplayName,
		Percent: percent(img.Standing.Done, img.Standing.Total), From: fromOf(img.Source),
		Strange: imagestore.CheckName(img.Name) != nil,
	}
	if img.Source.Set == "" && len(s.cfg.Images.Repositories()) > 1 {
		v.Where = img.Repository
	}
	v.Reason = reasonOf(img.Standing.Problem)
	v.Moving = img.Standing.State == imagestore.Arriving || img.Standing.State == imagestore.Processing
	v.Amount = amount(img.Standing.Done, img.Standing.Total)
	if v.Display == "" {
		v.Display = v.ID
	}
	return v
}

// reasonOf is a problem without the words that the state says already.
func reasonOf(problem string) string {
	for {
		rest, ok := strings.CutPrefix(problem, imagestore.ErrDamaged.Error()+": ")
		if !ok {
			return problem
		}
		problem = rest
	}
}

// fromOf says where an image was made.
func fromOf(source imagestore.Source) string {
	var parts []string
	for _, p := range []string{source.Computer, source.System} {
		if p != "" {
			parts = append(parts, p)
		}
	}
	if source.Disk > 0 {
		parts = append(parts, fmt.Sprintf("disk %d", source.Disk))
	}
	if source.Partition > 0 {
		parts = append(parts, fmt.Sprintf("partition %d", source.Partition))
	}
	return strings.Join(parts, ", ")
}

// amount is "1.2 GB of 8.1 GB".
func amount(done, total int64) string {
	switch {
	case total > 0:
		return size(done) + " of " + size(total)
	case done > 0:
		return size(done)
	}
	return ""
}

func (v imageView) shape() string {
	return fmt.Sprint(v.mark, v.Revision, v.Standing.Problem, v.Standing.Holders, v.Standing.Warnings, v.Percent < 0, v.Said)
}

func (v imageView) numbers() string { return fmt.Sprint(v.Percent, v.Amount) }

// PercentText is "42 %", or nothing.
func (v imageView) PercentText() string { return percentText(v.Percent) }

func (v imageView) fields() map[string]string {
	return map[string]string{"percent": v.PercentText(), "amount": v.Amount}
}

// Restorable tells whether the image can be put on a PC.
func (v imageView) Restorable() bool { return v.HasFile() && v.Standing.State != imagestore.Damaged }

// Value is what the restore form calls the image.
func (v imageView) Value() string { return v.Repository + "/" + v.ID }

// WholeDisk tells whether the image is that of a whole disk.
func (v imageView) WholeDisk() bool { return v.HasFile() && isDiskImage(v.Image) }

// InUse names what is using the image.
func (v imageView) InUse() string { return strings.Join(v.Standing.Holders, ", ") }

// imagePath is the page of an image, or of something to do with it. Its repository is named only where it is not the first.
func (s *Server) imagePath(repository, name, what string) string {
	path := "/images/" + url.PathEscape(name)
	if what != "" {
		path += "/" + what
	}
	if repository != s.firstRepository() {
		path += "?repository=" + url.QueryEscape(repository)
	}
	return path
}

func (s *Server) showImages(c echo.Context) error {
	v := imagesPage{page: s.page(c, "images", "Images")}
	v.Topics = []string{allImages}
	images, err := s.images("")
	if err != nil {
		return err
	}
	v.Sets = s.group(images)
	if v.Repositories, err = s.volumes(); err != nil {
		return err
	}
	v.Several = len(v.Repositories) > 1
	trash, err := s.trash("")
	if err != nil {
		return err
	}
	v.Trashed = len(trash)
	return s.render(c, http.StatusOK, "images", v)
}

// group puts the images of one disk together, where the first of them stands.
func (s *Server) group(images []describedImage) []imageSet {
	var sets []imageSet
	for _, img := range images {
		v := s.viewImage(img)
		set := img.Source.Set
		i := slices.IndexFunc(sets, func(g imageSet) bool { return set != "" && g.Name == set && g.Repository == img.Repository })
		if i < 0 {
			sets = append(sets, imageSet{Name: set, Repository: img.Repository})
			i = len(sets) - 1
		}
		sets[i].Images = append(sets[i].Images, v)
	}
	for _, set := range sets {
		slices.SortStableFunc(set.Images, func(a, b imageView) int {
			return byPlace(a.Source, b.Source)
		})
	}
	return sets
}

// volumes are the repositories, the first one first.
func (s *Server) volumes() ([]volume, error) {
	all, err := s.cfg.Upkeep.Repositories()
	if err != nil {
		return nil, err
	}
	list := make([]volume, len(all))
	for i, r := range all {
		list[i] = volume{Name: r.Name, Problem: r.Problem, Free: size(r.Free)}
	}
	return list, nil
}
