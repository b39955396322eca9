package webui

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"aula/appliance/catalog"
	"aula/appliance/operation"
	"aula/clientos/disk"
	"aula/clientos/instruction"
	"aula/clientos/protocol"
	"aula/imagestore"
)

// The capture of a whole disk: a set of images, one of each partition with data.

// A captureForm asks for an image of a partition, or for a set of images of a whole disk.
type captureForm struct {
	operation.CaptureRequest
	Whole bool // the disk; there is no Partition
}

// wholeDisk stands in the form where the number of a partition would.
const wholeDisk = "disk"

func readCaptureForm(v url.Values) captureForm {
	f := captureForm{CaptureRequest: captureOf(v)}
	_, part, _ := strings.Cut(v.Get("part"), "/")
	f.Whole = part == wholeDisk
	return f
}

// part is the choice as the form has it: "1/2" or "1/disk".
func (f captureForm) part() string {
	if f.Whole {
		return fmt.Sprintf("%d/%s", f.Disk, wholeDisk)
	}
	return fmt.Sprintf("%d/%d", f.Disk, f.Partition)
}

// A captureWhole is the choice of a whole disk.
type captureWhole struct {
	Value    string // "1/disk"
	Contains string // "partitions 1, 2 and 4"
	Without  string // "swap", "swap nor the cache", or empty
	Used     int64  // bytes, of the partitions of which it is known
	WhyNot   string // it cannot be captured
	Checked  bool
}

// wholeOf is the choice of the whole of d, or nil when no partition has data.
func wholeOf(d disk.Disk, chosen string) *captureWhole {
	w := captureWhole{Value: fmt.Sprintf("%d/%s", d.Number, wholeDisk)}
	var numbers, without []string
	for _, p := range d.Partitions {
		switch part := setPartOf(d, p); {
		case part == setImage && p.Filesystem == "":
			w.WhyNot = fmt.Sprintf("partition %d holds no known filesystem; the set would lack it", p.Number)
		case part == setImage:
			numbers = append(numbers, strconv.Itoa(p.Number))
			w.Used += max(p.Used, 0)
		case part != "" && !slices.Contains(without, part):
			without = append(without, part)
		}
	}
	if len(numbers) == 0 {
		return nil
	}
	w.Contains, w.Without = "partition "+numbers[0], strings.Join(without, " nor ")
	if len(numbers) > 1 {
		w.Contains = "partitions " + listed(numbers)
	}
	w.Checked = w.WhyNot == "" && w.Value == chosen
	return &w
}

// setImage is what a set has of a partition with data.
const setImage = "image"

// setPartOf is setImage, or what the partition is of which the set has no image ("swap", "the cache"), or "" when it is a mere part of the layout. The
// server decides by the same rule.
func setPartOf(d disk.Disk, p disk.Partition) string {
	_, cache, has := disk.FindCache([]disk.Disk{d})
	switch {
	case p.Swap() || strings.Contains(p.Filesystem, "SWAP"):
		return "swap"
	case has && p.Number == cache.Number:
		return "the cache"
	case p.Reserved() || p.BIOSBoot() || p.Extended():
		return ""
	}
	return setImage
}

// listed writes "1, 2 and 4".
func listed(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// sayCapture tells what the name that is typed will mean.
func (s *Server) sayCapture(f captureForm) (nameSays, error) {
	if !f.Whole {
		return s.sayName(f.Repository, f.Image), nil
	}
	pc, err := s.cfg.Catalog.Computer(f.ComputerID)
	if errors.Is(err, catalog.ErrNotFound) {
		return s.sayName(f.Repository, f.Image), nil
	}
	if err != nil {
		return nameSays{}, err
	}
	var numbers []int
	for _, d := range pc.Inventory.Disks {
		for _, p := range d.Partitions {
			if d.Number == f.Disk && setPartOf(d, p) == setImage {
				numbers = append(numbers, p.Number)
			}
		}
	}
	return s.saySet(f.Repository, f.Image, numbers), nil
}

// saySet tells what the name of a set will mean, which has images of these partitions.
func (s *Server) saySet(repository, name string, partitions []int) nameSays {
	if err := imagestore.CheckName(name); err != nil || len(partitions) == 0 {
		return s.sayName(repository, name)
	}
	if repository == "" {
		repository = s.firstRepository()
	}
	set := protocol.Capture{Name: name, Partitions: partitions}
	var all, exist []string
	for _, number := range partitions {
		image := set.ImageName(number)
		all = append(all, image)
		if says := s.sayName(repository, image); says.Bad {
			return nameSays{image + ": " + says.Text, true}
		}
		if img, err := s.image(repository, image); err == nil && img.HasFile() {
			exist = append(exist, image)
		}
	}
	switch len(exist) {
	case 0:
		return nameSays{"A new set: " + listed(all) + ".", false}
	case 1:
		return nameSays{fmt.Sprintf("The set has %s. %s exists and gets a new revision; the one of now stays as it is.", listed(all), exist[0]), false}
	}
	return nameSays{fmt.Sprintf("The set has %s. %s exist and get new revisions; those of now stay as they are.", listed(all), listed(exist)), false}
}

// captureDisk begins the capture of a whole disk, or says why the PC cannot do it now. Nobody waits for a PC that is not connected, as with the
// capture of a partition.
func (s *Server) captureDisk(ctx context.Context, r operation.CaptureRequest) (operation.Operation, error) {
	request := operation.Request{ComputerIDs: []string{r.ComputerID}, Late: -1, Program: instruction.Program{Statements: []instruction.Statement{{
		Word: instruction.CreateDiskImage, Disk: r.Disk, Repository: r.Repository, Image: r.Image, Compressor: r.Compressor, Level: r.Level,
	}}}}
	checks, err := s.cfg.Operations.Check(ctx, request)
	if err != nil {
		return operation.Operation{}, err
	}
	for _, check := range checks {
		if check.Failure != nil {
			return operation.Operation{}, invalid("%w", check.Failure)
		}
	}
	return s.begin(ctx, request)
}
