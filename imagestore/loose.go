package imagestore

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"aula/imagestore/format"
	"aula/imagestore/torrent/metainfo"
)

// A LooseFile is an image file outside of any repository that is being written. It appears under its name whole and with its sums,
// as OpenGnsys writes them, or not at all. It must be ended by Commit or Abort.
type LooseFile struct {
	path    string
	replace bool     // what there is of that name
	file    *os.File // of another name in the same folder
	sum     hash.Hash
	size    int64
	sums    map[string]string // by suffix, the other names of the sums, once they are written
}

// CreateLoose begins a file. It answers an error wrapping fs.ErrExist when there is one of that name, unless it may be replaced.
func CreateLoose(path string, replace bool) (*LooseFile, error) {
	if _, err := os.Lstat(path); err == nil && !replace {
		return nil, fmt.Errorf("%s: %w: choose another name, or replace it", path, fs.ErrExist)
	}
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".part-")
	if err != nil {
		return nil, err
	}
	return &LooseFile{path: path, replace: replace, file: file, sum: md5.New()}, nil
}

// Write appends.
func (f *LooseFile) Write(p []byte) (int, error) {
	n, err := f.file.Write(p)
	f.sum.Write(p[:n])
	f.size += int64(n)
	return n, err
}

// Commit makes what was written the file, and its sums those beside it.
func (f *LooseFile) Commit() (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("%s is not written: %w", f.path, err), f.Abort())
		}
	}()
	tail, err := tailMD5(f.file, f.size)
	if err != nil {
		return err
	}
	// CreateTemp's mode is for secrets.
	if err := errors.Join(f.file.Chmod(0o644), f.file.Sync(), f.file.Close()); err != nil {
		return err
	}
	f.sums = map[string]string{}
	for suffix, sum := range map[string]string{".sum": tail, ".full.sum": hex.EncodeToString(f.sum.Sum(nil))} {
		if err := f.writeSum(suffix, sum); err != nil {
			return err
		}
	}
	if err := f.appear(); err != nil {
		return err
	}
	for suffix, name := range f.sums {
		if err := os.Rename(name, f.path+suffix); err != nil {
			return fmt.Errorf("the file is there, but not its sum: %w", err)
		}
	}
	return syncFolder(filepath.Dir(f.path))
}

// writeSum writes a sum, under another name for now.
func (f *LooseFile) writeSum(suffix, sum string) error {
	file, err := os.CreateTemp(filepath.Dir(f.path), "."+filepath.Base(f.path)+suffix+".part-")
	if err != nil {
		return err
	}
	f.sums[suffix] = file.Name()
	_, err = file.WriteString(sum + "\n")
	return errors.Join(err, file.Chmod(0o644), file.Sync(), file.Close())
}

// appear gives the file its name.
func (f *LooseFile) appear() error {
	if !f.replace {
		// Unlike a rename, it never replaces what somebody has put there meanwhile.
		if err := os.Link(f.file.Name(), f.path); err == nil || errors.Is(err, fs.ErrExist) {
			return errors.Join(err, os.Remove(f.file.Name()))
		}
		// A volume without links.
		place, err := os.OpenFile(f.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		place.Close()
		return os.Rename(f.file.Name(), f.path)
	}
	// Sums of the file that is replaced must not stand beside the new one for an instant.
	for suffix := range f.sums {
		if err := os.Remove(f.path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Rename(f.file.Name(), f.path)
}

// syncFolder brings the names in a folder to stable storage.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Abort throws away what was written. It is harmless after Commit.
func (f *LooseFile) Abort() error {
	f.file.Close()
	var errs []error
	for _, name := range append(slices.Collect(maps.Values(f.sums)), f.file.Name()) {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// VerifyLoose reads an image file that is in no repository, decodes it whole with all its checksums, and compares it with the sums
// beside it, if there are any. It answers the sums that it found good.
func VerifyLoose(ctx context.Context, path string, progress func(done, total int64)) (info format.Info, sums []string, err error) {
	found, _, err := examineLoose(ctx, path, progress)
	if err != nil {
		return format.Info{}, nil, err
	}
	// OpenGnsys before 1.0.4 wrote the MD5 of the whole file into .sum.
	for _, beside := range []struct {
		suffix string
		good   []string
	}{{".sum", []string{found.tailMD5, found.md5}}, {".full.sum", []string{found.md5}}} {
		sum, err := readSum(path + beside.suffix)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return found.info, nil, err
		case !slices.Contains(beside.good, sum):
			return found.info, nil, fmt.Errorf("%w: %s%s says %.40q, the file has %s: the file was changed, or the sum is an old one; the image decodes without an error",
				ErrDamaged, filepath.Base(path), beside.suffix, sum, beside.good[0])
		default:
			sums = append(sums, beside.suffix)
		}
	}
	return found.info, sums, nil
}

// readSum reads the sum in a file: the first word, in lower case.
func readSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, 4096))
	if err != nil {
		return "", err
	}
	word, _, _ := strings.Cut(strings.TrimSpace(string(data)), " ")
	return strings.ToLower(word), nil
}

// examineLoose reads a file once and returns what it is, with its chunk index.
func examineLoose(ctx context.Context, path string, progress func(done, total int64)) (findings, *format.Index, error) {
	file, size, err := openRegular(path)
	if err != nil {
		return findings{}, nil, err
	}
	defer file.Close()
	var chunks bytes.Buffer
	found, err := examine(ctx, file, size, metainfo.PieceLengthFor(size), &chunks, progress)
	if err != nil {
		return findings{}, nil, err
	}
	index, err := format.ReadIndex(&chunks)
	return found, index, err
}

// openRegular opens an ordinary file.
func openRegular(path string) (*os.File, int64, error) {
	// A name that is a pipe would block.
	stat, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if !stat.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%w: %s is no ordinary file", format.ErrNotImage, path)
	}
	file, err := os.Open(path)
	return file, stat.Size(), err
}

// ConvertLoose packs the image in the file from anew into the file to, with its sums. The result is read again and compared with the
// original: it restores the same bytes, or there is no file. progress is told bytes of three passes.
func ConvertLoose(ctx context.Context, from string, to *LooseFile, c Conversion, progress func(done, total int64)) (format.Info, error) {
	file, size, err := openRegular(from)
	if err != nil {
		return format.Info{}, err
	}
	defer file.Close()
	passes := stages{progress, 0, 3 * size}
	_, before, err := examineLoose(ctx, from, passes.publishing(size))
	if err != nil {
		return format.Info{}, err
	}
	passes = passes.after(size)
	if err := repack(ctx, to, passes.meter(ctx, file), before.Info, before, c); err != nil {
		return format.Info{}, err
	}
	_, after, err := examineLoose(ctx, to.file.Name(), passes.after(size).publishing(size))
	if err != nil {
		return format.Info{}, err
	}
	if err := lossless(before, after); err != nil {
		return format.Info{}, err
	}
	return after.Info, to.Commit()
}
