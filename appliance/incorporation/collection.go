package incorporation

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"aula/imagestore"
	"aula/imagestore/format"
)

// This file is about folders of image files side by side: an images directory of OpenGnsys, with its organisational units (one level of
// directories), or any other collection.

// sidecar are the files that OpenGnsys, Aula and other systems keep beside an image.
var sidecar = regexp.MustCompile(`\.(?:sum|full\.sum|torrent|torrent\.bf|torrent\.bfog|info|lock|json|chunks|layout|log|txt|md5)(?:\.ant)?$|SUMS$`)

// imageFile are the names of files of a directory that are taken for images.
var imageFile = regexp.MustCompile(`(?i)\.(?:img|pgz|dsk|qcow2|raw|dd|ptcl|partclone|ntfsclone|partimage)(?:\.(?:gz|zst|lzo|lz4|xz|bz2))?(?:\.ant)?$`)

// collection plans the images of a directory and of the directories in it.
func (x *examiner) collection(f *folder) error {
	if f.has("ogimg.info") {
		return fmt.Errorf("%s is a synchronised image of OpenGnsys: files, not a partition; restore it with OpenGnsys and capture the partition again", f.dir)
	}
	if err := x.imagesOf(f, ""); err != nil {
		return err
	}
	for _, name := range f.dirs {
		if name[0] == '.' || !printable(name) {
			continue
		}
		sub, err := readFolder(x.ctx, filepath.Join(f.dir, name))
		if err != nil {
			return err
		}
		if err := x.subdirectory(sub, name); err != nil {
			if x.ctx.Err() != nil {
				return err
			}
			x.warnf("%s is left out: %v", name, err)
		}
	}
	return nil
}

// subdirectory plans what is in a directory of a collection.
func (x *examiner) subdirectory(f *folder, name string) error {
	if f.has("ogimg.info") {
		x.warnf("%s is left out: it is a synchronised image of OpenGnsys (files, not a partition): restore it with OpenGnsys and capture the partition again", name)
		return nil
	}
	if found, err := x.imageDirectory(f); found {
		return err
	}
	return x.imagesOf(f, name)
}

// imagesOf plans the image files of one directory. unit is the name of a directory in a collection.
func (x *examiner) imagesOf(f *folder, unit string) error {
	groups, err := imageGroups(f)
	if err != nil {
		return err
	}
	for _, v := range groups {
		if err := x.file(f, v, unit); err != nil {
			if x.ctx.Err() != nil {
				return err
			}
			x.warnf("%s is left out: %v", filepath.Join(unit, v.words()), err)
		}
	}
	return nil
}

// imageGroups are the files of a directory that may be images, previous versions before the current ones.
func imageGroups(f *folder) ([]volumes, error) {
	var files, old []piece
	for name, p := range f.files {
		stem, suffix := cutVolume(name)
		switch {
		case name[0] == '.' || sidecar.MatchString(name):
		case strings.HasSuffix(name, backup) && imageFile.MatchString(name):
			old = append(old, p)
		case imageFile.MatchString(name), suffix != "" && imageFile.MatchString(stem),
			name == filepath.Base(f.dir) || suffix != "" && stem == filepath.Base(f.dir): // a whole disk saved by FOG
			files = append(files, p)
		}
	}
	groups, err := group(files)
	if err != nil {
		return nil, err
	}
	before, err := group(old)
	return append(before, groups...), err
}

// named plans files that were named one by one: each is meant, and what cannot be taken is an error.
func (x *examiner) named(f *folder) error {
	var files []piece
	for name, p := range f.files {
		if len(f.files) == 1 || !sidecar.MatchString(name) {
			files = append(files, p)
		}
	}
	groups, err := group(files)
	if err != nil {
		return err
	}
	for _, v := range groups {
		if err := x.refuseStray(v); err != nil {
			return err
		}
		if err := x.fileOrArchive(f, v, len(groups) == 1); err != nil {
			return err
		}
	}
	return nil
}

// refuseStray refuses volumes that have further ones beside them which were not named.
func (x *examiner) refuseStray(v volumes) error {
	last := v.pieces[len(v.pieces)-1]
	stem, suffix := cutVolume(last.name)
	if suffix == "" || stem != v.stem && len(v.pieces) == 1 {
		return nil
	}
	next := piece{dir: last.dir, name: stem + "." + suffixLike(suffix, ordinal(suffix)+1)}
	if exists(next.path()) {
		return fmt.Errorf("%s lies beside %s: name all volumes", next.name, last.name)
	}
	return nil
}

// fileOrArchive plans an image file, or one archive.
func (x *examiner) fileOrArchive(f *folder, v volumes, alone bool) error {
	src := source{volumes: v}
	isTar, err := isArchive(x.ctx, src)
	if err != nil {
		return err
	}
	if !isTar {
		return x.file(f, v, "")
	}
	if !alone {
		return fmt.Errorf("%s is an archive: import it by itself", v.words())
	}
	name := x.opt.Name
	if name == "" {
		name = x.namer.name(stripImageSuffixes(v.stem))
	}
	x.plan.archive = &src
	x.plan.Images = append(x.plan.Images, PlannedImage{Name: name, Bytes: src.bytes(), Source: imagestore.Source{System: v.stem}, source: src})
	x.systems = append(x.systems, "archive")
	return nil
}

// file plans one image file, or the volumes of one.
func (x *examiner) file(f *folder, v volumes, unit string) error {
	if strings.HasSuffix(v.stem, ".diff") {
		return errors.New("it holds only what an OpenGnsys image has more than another one")
	}
	src, info, err := x.recognise(v)
	if err != nil {
		return err
	}
	if src.how == packed && (info.Filesystem == "BTRFS" || strings.HasPrefix(info.Filesystem, "EXT")) {
		if looksLikeOpenGnsys(f, v.stem) {
			return errors.New("it is a synchronised image of OpenGnsys (a filesystem that is kept up to date by rsync, not a partition): " +
				"restore it with OpenGnsys and capture the partition again")
		}
		x.warnf("%s is the plain content of a partition; if it is a synchronised image of OpenGnsys it will not start a PC", v.words())
	}
	if odd := v.uneven(); odd != "" && src.how == asIs {
		x.warnf("%s is not as long as the other volumes: if the import fails, copy it again", odd)
	}
	img := PlannedImage{Bytes: src.bytes(), Info: info, Source: imagestore.Source{System: v.stem}}
	if info.Filesystem == format.Disk {
		img.Source.Disk = 1
	}
	if looksLikeOpenGnsys(f, v.stem) {
		img.Source.System = openGnsys
		img.Source.Computer = hostname(f, v.stem)
		if len(src.pieces) == 1 {
			if err := x.checkOpenGnsys(f, &src.pieces[0]); err != nil {
				return err
			}
		}
	}
	img.source = src
	img.Name = x.nameOf(v, unit)
	x.systems = append(x.systems, systemOf(img))
	x.plan.Images = append(x.plan.Images, img)
	x.reorder()
	return nil
}

// systemOf says for people what an image comes from.
func systemOf(img PlannedImage) string {
	switch {
	case img.Source.System == openGnsys:
		return openGnsys
	case img.source.how == joined:
		return "partimage volumes"
	case img.Info.Filesystem == format.Disk:
		return "disk file"
	case len(img.source.pieces) > 1:
		return "volumes"
	}
	return "file"
}

// nameOf gives an image its name: a previous version has that of the current one.
func (x *examiner) nameOf(v volumes, unit string) string {
	called := stripImageSuffixes(v.stem)
	old := strings.HasSuffix(v.stem, backup)
	if !old {
		x.units++
	}
	if x.opt.Name != "" {
		return x.opt.Name
	}
	if old {
		name := x.namer.nameIn(called, unit)
		x.backups[filepath.Join(unit, strings.TrimSuffix(v.stem, backup))] = name
		return name
	}
	if name, ok := x.backups[filepath.Join(unit, v.stem)]; ok {
		return name
	}
	return x.namer.nameIn(called, unit)
}

// reorder puts the image that was added last behind a previous version of it.
func (x *examiner) reorder() {
	last := len(x.plan.Images) - 1
	img := x.plan.Images[last]
	for i := range last {
		if x.plan.Images[i].Name == img.Name {
			copy(x.plan.Images[i+2:], x.plan.Images[i+1:last])
			x.plan.Images[i+1] = img
			return
		}
	}
}
