package incorporation

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// An upload lies in ID/manifest.json and its files in ID/data/NAME or ID/data/FOLDER/NAME. Without a manifest there is no upload:
// it is the last that is written when one begins.

const (
	manifestName = "manifest.json"
	maxManifest  = 8 << 20
)

func (u *Uploads) path(id string) string { return filepath.Join(u.dir, id) }

// filePath is where a file lies. Its name has passed checkFiles.
func (u *Uploads) filePath(s Upload, file int) string {
	return filepath.Join(u.path(s.ID), dataDir, filepath.FromSlash(s.Files[file].Path))
}

// checkFiles refuses names and sizes that an upload cannot have.
func checkFiles(files []File) error {
	if len(files) == 0 || len(files) > maxFiles {
		return fmt.Errorf("an upload of %d files: 1 to %d are taken", len(files), maxFiles)
	}
	seen := make(map[string]bool)
	var total int64
	folder, _, hasFolder := strings.Cut(files[0].Path, "/")
	for _, f := range files {
		own := f.Path
		if hasFolder {
			in, rest, ok := strings.Cut(f.Path, "/")
			if !ok || in != folder {
				return fmt.Errorf("%.200q is not in %q as the others are: upload files, or one folder", f.Path, folder)
			}
			own = rest
		}
		if odd(own) || hasFolder && odd(folder) {
			return fmt.Errorf("%.200q cannot be uploaded: names have no leading dot, no control characters and no folders in folders", f.Path)
		}
		switch {
		case f.Size < 0 || f.Size > math.MaxInt64-total:
			return fmt.Errorf("%.200q cannot have %d bytes", f.Path, f.Size)
		case seen[f.Path]:
			return fmt.Errorf("%.200q is named twice", f.Path)
		}
		seen[f.Path] = true
		total += f.Size
	}
	return nil
}

// odd tells whether a name cannot be that of a file or folder of an upload.
func odd(name string) bool {
	return name == "" || name[0] == '.' || len(name) > 255 || strings.ContainsAny(name, `/\`) || !printable(name)
}

// create makes the files of an upload, empty, and then its manifest.
func (u *Uploads) create(up *upload) error {
	for i := range up.state.Files {
		path := u.filePath(up.state, i)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	for _, dir := range []string{filepath.Dir(u.filePath(up.state, 0)), filepath.Join(u.path(up.state.ID), dataDir), u.path(up.state.ID)} {
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return errors.Join(u.writeManifest(up), syncDir(u.dir))
}

// writeManifest replaces the manifest in one step. up is locked, or nobody else's yet.
func (u *Uploads) writeManifest(up *upload) error {
	s := up.state
	s.Files = slices.Clone(s.Files)
	for i := range s.Files {
		s.Files[i].Have = s.Files[i].synced
	}
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	dir := u.path(s.ID)
	f, err := os.OpenFile(filepath.Join(dir, manifestName+".new"), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), filepath.Join(dir, manifestName)); err != nil {
		return err
	}
	return syncDir(dir)
}

// uploadID is what rand.Text makes.
var uploadID = regexp.MustCompile(`^[A-Z2-7]{26}$`)

// load reads the uploads that are there and removes those that were being begun or discarded when the power went.
func (u *Uploads) load() error {
	if err := os.MkdirAll(u.dir, 0o700); err != nil {
		return err
	}
	entries, err := os.ReadDir(u.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !uploadID.MatchString(e.Name()) {
			continue
		}
		up, err := u.loadOne(e.Name())
		switch {
		case err == nil:
			u.uploads[e.Name()] = up
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, errManifest):
			if err := os.RemoveAll(u.path(e.Name())); err != nil {
				return err
			}
		default:
			return err
		}
	}
	return nil
}

// errManifest is wrapped by errors about a manifest that does not fit the files.
var errManifest = errors.New("manifest of an upload")

// loadOne reads an upload and removes what an import that a crash ended has left beside its files. Of files that are longer than
// the manifest says the rest is written again, because it may not have reached the disk.
func (u *Uploads) loadOne(id string) (*upload, error) {
	f, err := os.Open(filepath.Join(u.path(id), manifestName))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxManifest))
	if err != nil {
		return nil, err
	}
	up, err := u.parseManifest(id, data)
	if err != nil {
		return nil, err
	}
	return up, removeLinks(filepath.Dir(u.filePath(up.state, 0)))
}

// removeLinks removes the second names (secondName) that an import has given to files in dir.
func removeLinks(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// parseManifest reads a manifest and refuses one that does not fit the files.
func (u *Uploads) parseManifest(id string, data []byte) (*upload, error) {
	up := &upload{}
	if err := json.Unmarshal(data, &up.state); err != nil {
		return nil, fmt.Errorf("%w: %w", errManifest, err)
	}
	if up.state.ID != id {
		return nil, fmt.Errorf("%w: that of %.40q is in %s", errManifest, up.state.ID, id)
	}
	if err := checkFiles(up.state.Files); err != nil {
		return nil, fmt.Errorf("%w: %w", errManifest, err)
	}
	for i := range up.state.Files {
		file := &up.state.Files[i]
		info, err := os.Lstat(u.filePath(up.state, i))
		switch {
		case err != nil:
			return nil, err
		case !info.Mode().IsRegular() || file.Have < 0 || file.Have > file.Size || info.Size() < file.Have:
			return nil, fmt.Errorf("%w: %s has %d bytes, and %d of %d were noted", errManifest, file.Path, info.Size(), file.Have, file.Size)
		}
		if info.Size() > file.Have {
			if names(info) > 1 {
				return nil, fmt.Errorf("%w: %s is longer than was noted, and is an image too, which must not change", errManifest, file.Path)
			}
			if err := os.Truncate(u.filePath(up.state, i), file.Have); err != nil {
				return nil, err
			}
		}
		file.synced = file.Have
	}
	return up, nil
}

// names is how many names a file has: more than one when a repository has it too.
func names(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Nlink)
	}
	return 1
}

// syncDir brings the names in a directory to stable storage.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
