package cache

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/zeebo/blake3"
	"golang.org/x/sys/unix"

	"aula/clientos/protocol"
)

// Keep takes the file that was made at the path that Reserve told: it reads it back from the disk, and gives it its name, in place of another of that
// name, when its digest is right. What is wrong is removed, with an error of code ErrUpdate. progress, when not nil, is told the bytes that were read
// back. When ctx ends first the file stays, for the next Keep; the error then wraps its cause, and is a *protocol.Failure otherwise.
//
// A file that is open, as that of a torrent that is still given, stays the same under its new name.
func (o *Open) Keep(ctx context.Context, image protocol.Image, progress func(done int64)) (path string, err error) {
	if err := checkImage(image); err != nil {
		return "", err
	}
	s := o.shelf
	from := s.coming(image)
	r, err := s.examine(ctx, image, from, progress)
	if err != nil && ctx.Err() != nil {
		return "", fmt.Errorf("reading image %s back from the cache: %w", image.Name, context.Cause(ctx))
	}
	o.cache.files.Lock()
	defer o.cache.files.Unlock()
	switch {
	case err != nil: // the blocks that cannot be read are not to be gone on with
		return "", failed("image "+image.Name+" cannot be read back from the cache", errors.Join(err, o.discard(from)))
	case r.Digest != image.Digest:
		wrong := &protocol.Failure{Code: protocol.ErrUpdate,
			Problem: fmt.Sprintf("image %s did not come right: its file in the cache has the digest %s, and revision %d has %s",
				image.Name, r.Digest, image.Revision, image.Digest),
			Advice: "the file was removed: start again; if it happens again, test the memory and the disk of this computer"}
		if err := o.discard(from); err != nil {
			wrong.Advice = "the file could not be removed: " + err.Error()
		}
		return "", wrong
	}
	if err := s.vouch(r, from); err != nil {
		return "", failed("the sums of image "+image.Name+" cannot be written to the cache", err)
	}
	if err := s.settle(r, from); err != nil {
		return "", failed("image "+image.Name+" cannot take its name in the cache", err)
	}
	delete(o.cache.promised, from)
	return s.path(image.Name + imageSuffix), nil
}

// discard removes what has come of an image.
func (o *Open) discard(from string) error {
	delete(o.cache.promised, from)
	return o.shelf.tidy(from)
}

// examine reads the file of an image from the disk, and says what it is.
func (s shelf) examine(ctx context.Context, image protocol.Image, path string, progress func(done int64)) (record, error) {
	r := record{Repository: image.Repository, Name: image.Name, Revision: image.Revision}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return r, err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return r, err
	}
	s.did("sync", path)
	// What is clean leaves the page cache, so that the disk is asked what it has.
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return r, err
	}
	info, err := f.Stat()
	if err != nil {
		return r, err
	}
	if !info.Mode().IsRegular() {
		return r, fmt.Errorf("%s is not a file", path)
	}
	r.Modified = info.ModTime().UTC()
	if err := r.hash(ctx, f, progress); err != nil {
		return r, err
	}
	if r.Sum, err = tailSum(f, r.Size); err != nil {
		return r, err
	}
	r.Proved = time.Now().UTC()
	if !r.agrees(path) {
		return r, fmt.Errorf("%s was written to while it was read", path)
	}
	return r, nil
}

// hash reads all of a file once. The MD5, which is slower than most disks, is made of one piece while the next is read.
func (r *record) hash(ctx context.Context, f io.Reader, progress func(done int64)) error {
	const pieces = 3
	spare, filled, full := make(chan []byte, pieces), make(chan []byte, pieces), make(chan string)
	for range pieces {
		spare <- make([]byte, 1<<20)
	}
	go func() {
		sum := md5.New()
		for piece := range filled {
			sum.Write(piece)
			spare <- piece[:cap(piece)]
		}
		full <- hex.EncodeToString(sum.Sum(nil))
	}()
	digest := blake3.New()
	err := func() error {
		defer close(filled)
		for {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			piece := <-spare
			n, err := io.ReadFull(f, piece)
			_, _ = digest.Write(piece[:n]) // never fails
			filled <- piece[:n]
			r.Size += int64(n)
			if progress != nil {
				progress(r.Size)
			}
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			if err != nil {
				return err
			}
		}
	}()
	r.FullSum = <-full
	r.Digest = hex.EncodeToString(digest.Sum(nil))
	return err
}

// vouch writes sums and record of a file that was verified, under the names of what comes; the record last.
func (s shelf) vouch(r record, from string) error {
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	err = s.writeFile(from+sumSuffix, []byte(r.Sum+"\n"))
	if err == nil {
		err = s.writeFile(from+fullSumSuffix, []byte(r.FullSum+"\n"))
	}
	if err == nil {
		err = s.syncDir()
	}
	if err == nil {
		err = s.writeFile(from+recordSuffix, append(data, '\n'))
	}
	if err == nil {
		return s.syncDir()
	}
	// The file stays, for another try; a record that is half written must not.
	return errors.Join(err, s.unlink(from+recordSuffix), s.unlink(from+fullSumSuffix), s.unlink(from+sumSuffix))
}

// settle gives a file that was vouched for its name, and what belongs to it: from the beginning, or from wherever an earlier settle was cut off.
func (s shelf) settle(r record, from string) error {
	name := s.path(r.Name + imageSuffix)
	if exists(from) {
		// What speaks for the old file goes before the new one is in its place.
		for _, suffix := range besides {
			if err := s.unlink(name + suffix); err != nil {
				return err
			}
		}
		if err := s.syncDir(); err != nil {
			return err
		}
		if err := s.rename(from, name); err != nil {
			return err
		}
		if err := s.syncDir(); err != nil {
			return err
		}
	}
	for _, suffix := range []string{sumSuffix, fullSumSuffix, recordSuffix} {
		if exists(from + suffix) {
			if err := s.rename(from+suffix, name+suffix); err != nil {
				return err
			}
		}
	}
	if err := s.syncDir(); err != nil {
		return err
	}
	return s.tidy(from)
}

// tidy removes all that is left at the path of an image that came.
func (s shelf) tidy(from string) error {
	entries, err := s.entries()
	if err != nil {
		return err
	}
	for _, e := range entries {
		if path := s.path(e.Name()); path == from || strings.HasPrefix(path, from+".") {
			if err := s.unlink(path); err != nil {
				return err
			}
		}
	}
	return s.syncDir()
}

// mend goes on with what a Keep was cut off in: a record that vouches for a file lets it take its name, any other record is removed.
func (s shelf) mend() error {
	entries, err := s.entries()
	if err != nil {
		return err
	}
	var all error
	for _, e := range entries {
		m := comingPattern.FindStringSubmatch(e.Name())
		if m == nil || m[3] != recordSuffix {
			continue
		}
		path := s.path(e.Name())
		from := strings.TrimSuffix(path, recordSuffix)
		r, err := readRecord(path)
		switch {
		case err == nil && r.Name == m[1] && (r.agrees(from) || !exists(from) && r.agrees(s.path(r.Name+imageSuffix))):
			all = errors.Join(all, s.settle(r, from))
		default:
			all = errors.Join(all, s.unlink(path))
		}
	}
	return all
}

// failed turns an error of the filesystem into a Failure, of code ErrCacheSize when it is full.
func failed(what string, err error) error {
	f := &protocol.Failure{Code: protocol.ErrUpdate, Problem: what + ": " + err.Error(),
		Advice: "try again; if it happens again, format the cache (initCache); when that does not help the disk is failing"}
	switch {
	case errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT):
		f.Code, f.Advice = protocol.ErrCacheSize, "the cache is full: delete images that are not needed any more from this computer's cache, in the console"
	case errors.Is(err, unix.EROFS):
		f.Code, f.Problem, f.Advice = protocol.ErrFilesystem, what+": "+readOnly, "restart the computer"
	}
	return f
}
