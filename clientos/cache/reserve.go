package cache

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// A room is what the filesystem of the cache has, in bytes.
type room struct {
	total, free int64
	readOnly    bool
}

func (s shelf) space() (room, error) {
	var fs unix.Statfs_t
	err := unix.Statfs(s.dir, &fs)
	for dir := s.dir; err == unix.ENOENT && len(dir) > 1; {
		dir = parent(dir)
		err = unix.Statfs(dir, &fs)
	}
	if err != nil {
		return room{}, fmt.Errorf("free space in the cache: %w", err)
	}
	return room{total: int64(fs.Blocks) * fs.Bsize, free: int64(fs.Bavail) * fs.Bsize, readOnly: fs.Flags&unix.ST_RDONLY != 0}, nil
}

func parent(dir string) string { return dir[:max(1, strings.LastIndexByte(dir, '/'))] }

// Reserve makes sure that the image fits, in all and beside what is there, and returns the path at which it is to be made: a file and its leftovers of
// an interrupted download may be there, and the room that they take is counted as had. What has come of another revision of the image is removed. The
// room stays reserved until Keep, or until the Open is closed, so that the images of a set are reserved one after the other before the first comes.
//
// When there is no room for the image beside the one of the same name that it replaces, that one is removed before the new one comes, and note says so.
// No other image is. The error is a *protocol.Failure of code ErrCacheSize with the figures.
func (o *Open) Reserve(image protocol.Image) (path, note string, err error) {
	if err := checkImage(image); err != nil {
		return "", "", err
	}
	c, s := o.cache, o.shelf
	c.files.Lock()
	defer c.files.Unlock()
	if image.FileBytes >= o.partition {
		return "", "", &protocol.Failure{Code: protocol.ErrCacheSize, Problem: fmt.Sprintf("the cache of %s is smaller than image %s of %s",
			disk.FormatSize(o.partition), image.Name, disk.FormatSize(image.FileBytes)),
			Advice: "make the cache larger (initCache), or restore the image directly (UNICAST-DIRECT)"}
	}
	if err := s.make(); err != nil {
		return "", "", err
	}
	path = s.coming(image)
	if err := o.clear(image, path); err != nil {
		return "", "", failed("what had come of another revision of image "+image.Name+" cannot be removed from the cache", err)
	}
	if note, err = o.fit(image, path); err != nil {
		return "", "", err
	}
	c.promised[path] = promise{o, image.FileBytes}
	return path, note, nil
}

// Arrived tells whether the file at the path that Reserve told has come whole already, before a power cut perhaps, so that Keep can take it at once.
func (o *Open) Arrived(image protocol.Image) bool {
	if checkImage(image) != nil {
		return false
	}
	info, err := os.Lstat(o.shelf.coming(image))
	return err == nil && info.Mode().IsRegular() && info.Size() == image.FileBytes
}

// checkImage refuses an image that cannot be kept.
func checkImage(image protocol.Image) error {
	err := checkName(image.Name)
	if err == nil {
		err = checkDigest(image.Digest)
	}
	if err != nil {
		return &protocol.Failure{Code: protocol.ErrFormat, Problem: "the image cannot be kept in the cache: " + err.Error(),
			Advice: "verify the image in its repository, or restore it directly (UNICAST-DIRECT)"}
	}
	return nil
}

// clear removes what has come of other images of the name, unless it is still to be kept, and a file at path that is not whole.
func (o *Open) clear(image protocol.Image, path string) error {
	if exists(path) && !o.Arrived(image) {
		if err := o.shelf.unlink(path); err != nil {
			return err
		}
	}
	entries, err := o.shelf.entries()
	if err != nil {
		return err
	}
	for _, e := range entries {
		m := comingPattern.FindStringSubmatch(e.Name())
		if m == nil || m[1] != image.Name {
			continue
		}
		base := o.shelf.path(strings.TrimSuffix(e.Name(), m[3]))
		if _, wanted := o.cache.promised[base]; wanted || base == path {
			continue
		}
		if err := o.shelf.unlink(o.shelf.path(e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// fit makes sure that there is room for the image, beside what was promised to others.
func (o *Open) fit(image protocol.Image, path string) (note string, err error) {
	s := o.shelf
	has, err := s.space()
	if err != nil {
		return "", failed("the room in the cache is not known", err)
	}
	if has.readOnly {
		return "", &protocol.Failure{Code: protocol.ErrFilesystem, Problem: readOnly}
	}
	free := has.free
	for other, p := range o.cache.promised {
		if other != path {
			free -= missing(other, p.bytes)
		}
	}
	lacks := missing(path, image.FileBytes) - free
	if lacks <= 0 {
		return "", nil
	}
	old, freed := s.path(image.Name+imageSuffix), int64(0)
	for _, suffix := range append([]string{""}, besides...) {
		freed += allocated(old + suffix)
	}
	if freed < lacks {
		return "", o.noRoom(image, free, lacks-freed)
	}
	if err := s.removeOwn(image.Name); err != nil {
		return "", failed("the old image "+image.Name+" cannot be removed from the cache", err)
	}
	if err := s.syncDir(); err != nil {
		return "", failed("the old image "+image.Name+" cannot be removed from the cache", err)
	}
	return fmt.Sprintf("there was no room in the cache for image %s beside the one of %s that it replaces: that one was removed before the new one came",
		image.Name, disk.FormatSize(freed)), nil
}

// missing is what a file of so many bytes, and what belongs to it, still takes of the disk. Blocks that have come are those of one file: the engines
// make the file under another name, and rename it.
func missing(path string, bytes int64) int64 {
	had := max(allocated(path), allocated(path+".partial"))
	rest := max(0, bytes-had)
	// Journals, sums and the folder take less than 1 MiB, and the maps of blocks of ext2 a thousandth.
	return rest + rest>>10 + 1<<20
}

// noRoom says what the cache holds, so that somebody can choose what to delete.
func (o *Open) noRoom(image protocol.Image, free, lacks int64) *protocol.Failure {
	const named = 10
	held := "it holds no other image"
	if list, err := o.shelf.list(); err == nil && len(list) > 0 {
		slices.SortStableFunc(list, func(a, b protocol.CachedImage) int { return cmp.Compare(b.Bytes, a.Bytes) })
		var words []string
		for _, i := range list[:min(len(list), named)] {
			part := ""
			if i.Partial {
				part = ", not complete"
			}
			words = append(words, fmt.Sprintf("%s (%s%s)", i.Name, disk.FormatSize(i.Bytes), part))
		}
		if more := len(list) - len(words); more > 0 {
			words = append(words, fmt.Sprintf("%d more", more))
		}
		held = "it holds " + strings.Join(words, ", ")
	}
	return &protocol.Failure{Code: protocol.ErrCacheSize, Problem: fmt.Sprintf("image %s of %s does not fit in the cache, which has %s free: %s are missing; %s",
		image.Name, disk.FormatSize(image.FileBytes), disk.FormatSize(max(0, free)), disk.FormatSize(lacks), held),
		Advice: "delete images that are not needed any more from this computer's cache, in the console"}
}
