// Package incorporation takes in what other systems have left behind: image files, volumes, the image directories of FOG,
// Clonezilla and OpenGnsys, disk files, archives of those, and what a browser uploads. It recognises them by their bytes, works out which
// images they are and how the disk that they come from was laid out, and puts them into a repository.
//
// It changes nothing of what it reads, and believes none of it: names that lead elsewhere, links and devices are left alone,
// and sizes are bounded before anything is read. It keeps no list of what is under way: that is appliance/upkeep.
package incorporation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"aula/imagestore"
	"aula/imagestore/format"
)

// Options are what the caller wishes of an import.
type Options struct {
	Name  string // canonical name for the image, or for the set when there are several; made from the file's name when empty
	Owned bool   // the files are the appliance's own (an upload): they may be linked instead of copied
}

// A Plan is what an import will do. It is made by Examine, which changes nothing, and holds at least one image.
type Plan struct {
	System   string // "FOG", "Clonezilla", "OpenGnsys", "partimage volumes", "disk file", "file" ...: for people
	Images   []PlannedImage
	Warnings []string // what does not come along, and what that means

	opt     Options
	archive *source // what is in it is known when Run has unpacked it; Images then holds one that stands for it
}

// A PlannedImage is one image to be. Two of the same name are revisions of one image, the older one first.
type PlannedImage struct {
	Name   string
	Source imagestore.Source
	Layout []byte      // JSON of disk.Layout, nil for none
	Bytes  int64       // to be read
	Info   format.Info // what the first bytes say; exact sizes may come later

	source source
}

// Progress tells how an import stands.
type Progress struct {
	Image       string // being taken in
	Stage       string // "unpacking", "copying" or "checking"
	Done, Total int64  // bytes, over all images and stages

	Warnings []string // what was found in an archive, once; else nil
}

// Examine tells what paths are: one file, the volumes of one image in any order, several images, or one directory. It reads little
// more than the beginnings of files.
func Examine(ctx context.Context, paths []string, opt Options) (Plan, error) {
	if opt.Name != "" {
		if err := imagestore.CheckName(opt.Name); err != nil {
			return Plan{}, err
		}
	}
	if len(paths) == 0 {
		return Plan{}, errors.New("nothing to import: name files or a directory")
	}
	x := &examiner{ctx: ctx, opt: opt, backups: make(map[string]string)}
	if info, err := os.Stat(paths[0]); err == nil && info.IsDir() && len(paths) == 1 {
		f, err := readFolder(ctx, paths[0])
		if err != nil {
			return Plan{}, err
		}
		if err := x.directory(f); err != nil {
			return Plan{}, err
		}
		return x.finish(f.dir)
	}
	f, err := gather(paths)
	if err != nil {
		return Plan{}, err
	}
	if err := x.files(f); err != nil {
		return Plan{}, err
	}
	return x.finish(strings.Join(paths, ", "))
}

// An examiner makes a plan.
type examiner struct {
	ctx     context.Context // of Examine
	opt     Options
	plan    Plan
	namer   namer
	systems []string          // that the images come from
	units   int               // images and sets that want a name of their own
	backups map[string]string // names of previous versions, by the file of the current one
	efi     bool              // a disk has an EFI system partition
}

func (x *examiner) warnf(text string, args ...any) {
	x.plan.Warnings = append(x.plan.Warnings, fmt.Sprintf(text, args...))
}

// directory plans all that is in a directory: one image directory, or images and image directories side by side.
func (x *examiner) directory(f *folder) error {
	if len(f.odd) > 0 {
		x.warnf("%s holds links or devices, which are left alone: %s", f.dir, some(f.odd))
	}
	if found, err := x.imageDirectory(f); found {
		return err
	}
	return x.collection(f)
}

// imageDirectory plans the images of a directory of FOG or Clonezilla. found is false when it is none.
func (x *examiner) imageDirectory(f *folder) (found bool, err error) {
	plan := x.fog
	if !isFOG(f) {
		if !isClonezilla(f) {
			return false, nil
		}
		plan = x.clonezilla
	}
	if err := f.readSums(); err != nil {
		return true, err
	}
	return true, plan(f)
}

// files plans what was named file by file.
func (x *examiner) files(f *folder) error {
	if f.dir != "" {
		if found, err := x.imageDirectory(f); found {
			return err
		}
	}
	return x.named(f)
}

// finish looks at the plan as a whole. what is what people asked for.
func (x *examiner) finish(what string) (Plan, error) {
	p := &x.plan
	p.opt = x.opt
	p.Warnings = append(p.Warnings, x.namer.warnings...)
	if len(p.Images) == 0 {
		if len(p.Warnings) > 0 {
			return Plan{}, fmt.Errorf("%s: nothing to import: %s", what, strings.Join(p.Warnings, "; "))
		}
		return Plan{}, fmt.Errorf("%s: nothing to import: there is no image in it", what)
	}
	if x.opt.Name != "" && x.units > 1 {
		return Plan{}, fmt.Errorf("%s holds %d images, and the name %s can be given to one: import them one by one, or without a name",
			what, x.units, x.opt.Name)
	}
	if x.efi {
		x.warnf("the start entries of UEFI firmware are in no image: a PC on which the disk is rebuilt starts by \\EFI\\BOOT\\BOOTX64.EFI; " +
			"if the system has no loader there, make its entry again (efibootmgr, bcdboot)")
	}
	slices.Sort(x.systems)
	p.System = strings.Join(slices.Compact(x.systems), ", ")
	return *p, nil
}

// groups are the images that are taken in together, all or none: those of a set.
func (p Plan) groups() [][]PlannedImage {
	var groups [][]PlannedImage
	for i, img := range p.Images {
		if i > 0 && img.Source.Set != "" && img.Source.Set == p.Images[i-1].Source.Set {
			last := len(groups) - 1
			groups[last] = append(groups[last], img)
		} else {
			groups = append(groups, []PlannedImage{img})
		}
	}
	return groups
}

// some names at most five things.
func some(names []string) string {
	if len(names) > 5 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:5], ", "), len(names)-5)
	}
	return strings.Join(names, ", ")
}
