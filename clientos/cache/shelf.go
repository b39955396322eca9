package cache

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"aula/clientos/protocol"
)

// A shelf is the folder of the images in a cache that is mounted.
//
// An image is, as for OpenGnsys, NAME.img with NAME.img.sum, the MD5 of its last MiB, and NAME.img.full.sum, the MD5 of all, each of 32 hexadecimal
// digits and a newline. Aula's own NAME.img.aula is the record of what was verified: the file is that image only while its size and its time of
// modification are those of the record.
//
// A file that comes is .NAME.img.DIGEST.new, of the first twelve digits of its digest, and what the engines make of that name (.partial and journals): no
// image has a name that begins with a dot. Its sums and its record are made under that name too. When the record is there, all is verified and on
// the disk, and whoever finds it after a power cut goes on giving the files their names.
type shelf struct {
	dir string
	// after, when not nil, is told each step that has been done; tests cut the power there.
	after func(step, path string)
}

// imagesFolder is where OpenGnsys has images, below the mount.
const imagesFolder = "opt/opengnsys/images"

const (
	imageSuffix   = ".img"
	sumSuffix     = ".sum"
	fullSumSuffix = ".full.sum"
	recordSuffix  = ".aula"
	bfSuffix      = ".torrent.bf" // beside an image it says that it is not complete

	digestDigits = 12 // of the digest in a name
	maxRecord    = 64 << 10
	maxListed    = 500 // images: what is told of a PC must stay a message
)

// besides are the suffixes to NAME.img of what belongs to an image. What says that it is one comes first, so that it goes first.
var besides = []string{
	recordSuffix, recordSuffix + ".new", fullSumSuffix, sumSuffix, ".torrent", bfSuffix, bfSuffix + ".new", ".partial", ".partial.blocks", ".partial.blocks.new", ".info", ".lock",
}

var comingPattern = regexp.MustCompile(`^\.(.+)\.img\.([0-9a-f]{12})\.new(\.[a-z.]+)?$`)

// A record is what is known of an image's file.
type record struct {
	Repository string    `json:"repository,omitempty"`
	Name       string    `json:"name"`
	Revision   int       `json:"revision"`
	Digest     string    `json:"digest"` // BLAKE3, hexadecimal
	Size       int64     `json:"size"`
	Modified   time.Time `json:"modified"`
	Sum        string    `json:"sum"`             // MD5 of the last MiB, hexadecimal
	FullSum    string    `json:"fullSum"`         // MD5 of all
	Proved     time.Time `json:"proved,omitzero"` // when the file was last read back
}

// checkName refuses what is no name of an image, or would leave the folder.
func checkName(name string) error {
	if name == "" || len(name) > 200 || strings.HasPrefix(name, ".") || strings.ContainsAny(name, "/\\\x00") {
		return fmt.Errorf("%.40q is not the name of an image", name)
	}
	return nil
}

func (s shelf) path(name string) string { return filepath.Join(s.dir, name) }

// coming is the path at which the file of an image is made.
func (s shelf) coming(image protocol.Image) string {
	return s.path("." + image.Name + imageSuffix + "." + image.Digest[:digestDigits] + ".new")
}

func (s shelf) did(step, path string) {
	if s.after != nil {
		s.after(step, path)
	}
}

// make makes the folder, durably.
func (s shelf) make() error {
	if _, err := os.Stat(s.dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return failed("the folder for images cannot be made in the cache", err)
	}
	dir := s.dir
	for range strings.Split(imagesFolder, "/") {
		dir = filepath.Dir(dir)
		if err := syncFolder(dir); err != nil {
			return failed("the folder for images cannot be made in the cache", err)
		}
	}
	return nil
}

// entries lists the folder; one that is not there holds nothing.
func (s shelf) entries() ([]fs.DirEntry, error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return entries, err
}

// list tells which images are there, and what is there of others, by name.
func (s shelf) list() ([]protocol.CachedImage, error) {
	entries, err := s.entries()
	if err != nil {
		return nil, err
	}
	there := map[string]bool{} // names of images that have a file
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), imageSuffix); ok && e.Type().IsRegular() && checkName(name) == nil {
			there[name] = true
		}
	}
	whole, partial := map[string]int64{}, map[string]int64{} // bytes
	for _, e := range entries {
		name, own := s.owner(e.Name())
		switch taken := allocated(s.path(e.Name())); {
		case !e.Type().IsRegular() || name == "":
		case own && there[name]:
			whole[name] += taken
		default:
			partial[name] += taken
		}
	}
	var list []protocol.CachedImage
	for name, bytes := range whole {
		image := protocol.CachedImage{Name: name, Bytes: bytes}
		if r, ok := s.recorded(name); ok {
			image.Digest, image.Repository, image.Revision = r.Digest, r.Repository, r.Revision
		} else {
			image.Partial = exists(s.path(name + imageSuffix + bfSuffix))
		}
		list = append(list, image)
	}
	for name, bytes := range partial {
		list = append(list, protocol.CachedImage{Name: name, Bytes: bytes, Partial: true})
	}
	slices.SortFunc(list, func(a, b protocol.CachedImage) int {
		if c := strings.Compare(a.Name, b.Name); c != 0 {
			return c
		}
		return strings.Compare(fmt.Sprint(a.Partial), fmt.Sprint(b.Partial))
	})
	return list[:min(len(list), maxListed)], nil
}

// owner tells which image a file belongs to, "" for none, and whether it is of the image itself or of one that comes.
func (s shelf) owner(file string) (name string, own bool) {
	if m := comingPattern.FindStringSubmatch(file); m != nil {
		return m[1], false
	}
	name, ok := strings.CutSuffix(file, imageSuffix)
	for i := 0; !ok && i < len(besides); i++ {
		name, ok = strings.CutSuffix(file, imageSuffix+besides[i])
	}
	if !ok || checkName(name) != nil {
		return "", false
	}
	return name, true
}

// recorded returns the record of an image when its file is what the record says.
func (s shelf) recorded(name string) (record, bool) {
	r, err := readRecord(s.path(name + imageSuffix + recordSuffix))
	return r, err == nil && r.Name == name && r.agrees(s.path(name+imageSuffix))
}

// agrees tells whether the file at path is what was recorded.
func (r record) agrees(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode().IsRegular() && info.Size() == r.Size && info.ModTime().Equal(r.Modified)
}

func readRecord(path string) (record, error) {
	f, err := os.Open(path)
	if err != nil {
		return record{}, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxRecord))
	if err != nil {
		return record{}, err
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return record{}, fmt.Errorf("%s: %w", path, err)
	}
	if err := checkDigest(r.Digest); err != nil {
		return record{}, fmt.Errorf("%s: %w", path, err)
	}
	return r, checkName(r.Name)
}

func checkDigest(digest string) error {
	if raw, err := hex.DecodeString(digest); err != nil || len(raw) != 32 || strings.ToLower(digest) != digest {
		return fmt.Errorf("%.70q is not a digest", digest)
	}
	return nil
}

// remove removes an image and all that belongs to it, also what has come of others of its name.
func (s shelf) remove(name string) error {
	entries, err := s.entries()
	if err != nil || len(entries) == 0 {
		return err
	}
	if err := s.removeOwn(name); err != nil {
		return err
	}
	for _, e := range entries {
		if of, own := s.owner(e.Name()); of == name && !own {
			if err := s.unlink(s.path(e.Name())); err != nil {
				return err
			}
		}
	}
	return s.syncDir()
}

// removeOwn removes an image, and leaves what has come of others of its name.
func (s shelf) removeOwn(name string) error {
	if err := s.unlink(s.path(name + imageSuffix + recordSuffix)); err != nil {
		return err
	}
	for _, suffix := range append([]string{""}, besides...) {
		if err := s.unlink(s.path(name + imageSuffix + suffix)); err != nil {
			return err
		}
	}
	return nil
}

// writeFile makes a file with data in it, on the disk, whatever it was before.
func (s shelf) writeFile(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	s.did("create", path)
	_, err = f.Write(data)
	if err == nil {
		s.did("write", path)
		err = f.Sync()
	}
	if err == nil {
		s.did("sync", path)
	}
	return errors.Join(err, f.Close())
}

func (s shelf) rename(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	s.did("rename", to)
	return nil
}

// unlink removes a file; a missing one is no error.
func (s shelf) unlink(path string) error {
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	}
	s.did("remove", path)
	return nil
}

func (s shelf) syncDir() error {
	if err := syncFolder(s.dir); err != nil {
		return err
	}
	s.did("sync", s.dir)
	return nil
}

// syncFolder brings the names in a folder to the disk.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// allocated is how many bytes a file takes of the disk, 0 when there is none.
func allocated(path string) int64 {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return 0
	}
	return st.Blocks * 512
}

// tailLen is how much of a file's end OpenGnsys' .sum covers.
const tailLen = 1 << 20

// tailSum is the MD5 of the last MiB of a file.
func tailSum(f io.ReaderAt, size int64) (string, error) {
	sum := md5.New()
	start := max(0, size-tailLen)
	if _, err := io.Copy(sum, io.NewSectionReader(f, start, size-start)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
