package imagestore

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"aula/imagestore/torrent/metainfo"
)

// spaceCheck is how many bytes are written between two looks at the free space.
const spaceCheck = 8 << 20

var errEnded = errors.New("staging has ended")

// A Staging is an image that is being written. It must be ended by Publish, Commit or Abort; it is used by one goroutine at a time.
type Staging struct {
	repo    *Repository
	name    string
	source  Source
	dir     string // .staging/ID
	file    *os.File
	written int64
	room    int64 // bytes that may be written before the next look at the free space
	layout  []byte
	taken   string // path of the file that Take has taken, removed after Publish
	linked  bool   // the staged file is another name of a file that somebody else wrote
	digest  string // BLAKE3 of what Take has copied
	// What the repository knows of it meanwhile.
	activity *activity
	release  func()
	// amend, when not nil, sees the record before it becomes a revision, when the index is written: a copy keeps its date, a conversion
	// compares the indexes.
	amend func(*Image) error
	// check, when not nil, has the last word, when nobody else can commit anything in between.
	check    func() error
	prepared *Image // by Prepare
	ended    bool
}

// Stage begins an image. Nothing of it is visible until Publish, except that it is arriving; meanwhile no image of that name
// can be removed.
func (r *Repository) Stage(name string, source Source) (*Staging, error) {
	return r.stageFor(name, source, source.holder())
}

// stageFor is Stage on behalf of holder.
func (r *Repository) stageFor(name string, source Source, holder string) (*Staging, error) {
	if err := CheckName(name); err != nil {
		return nil, err
	}
	r.commit.Lock()
	foreign, err := r.foreign(name)
	r.commit.Unlock()
	if err == nil && foreign {
		err = errForeign
	}
	if err == nil {
		var free int64
		if free, err = r.Free(); err == nil && free < 1 {
			err = r.noSpace()
		}
	}
	var s *Staging
	if err == nil {
		s, err = r.stage(name, source, holder)
	}
	if err != nil {
		return nil, fmt.Errorf("image %s cannot be taken in: %w", name, r.explain(err))
	}
	return s, nil
}

// holder says for people what is under way with an image that comes from there.
func (s Source) holder() string {
	switch {
	case s.System != "":
		return "import from " + s.System
	case s.Computer != "":
		return "capture of " + s.Computer
	}
	return "import"
}

// stage begins an image on behalf of holder.
func (r *Repository) stage(name string, source Source, holder string) (*Staging, error) {
	s := &Staging{repo: r, name: name, source: source, dir: path.Join(stagingDir, rand.Text())}
	if err := r.folder.mkdir(s.dir); err != nil {
		return nil, err
	}
	var err error
	s.file, err = r.folder.create(s.path(imageSuffix))
	if err != nil {
		return nil, errors.Join(err, r.folder.removeAll(s.dir))
	}
	if s.release, err = r.hold(name, 0, holder); err != nil {
		return nil, errors.Join(err, s.file.Close(), r.folder.removeAll(s.dir))
	}
	s.activity = r.begin(name, Arriving)
	return s, nil
}

// path is the name of one of the staged files.
func (s *Staging) path(suffix string) string { return path.Join(s.dir, s.name+suffix) }

// Size is the number of bytes written so far.
func (s *Staging) Size() int64 { return s.written }

// Write appends to the image file. Before the volume falls below the reserve it answers ErrNoSpace.
func (s *Staging) Write(p []byte) (int, error) {
	if s.ended || s.prepared != nil {
		return 0, errEnded
	}
	if err := s.reserve(int64(len(p))); err != nil {
		return 0, err
	}
	n, err := s.file.Write(p)
	s.written += int64(n)
	s.room -= int64(n)
	s.activity.progress(s.written, 0)
	if err != nil {
		return n, fmt.Errorf("staging image %s: %w", s.name, s.repo.explain(err))
	}
	return n, nil
}

// reserve makes sure that n more bytes leave the reserve alone.
func (s *Staging) reserve(n int64) error {
	if n <= s.room {
		return nil
	}
	free, err := s.repo.Free()
	if err != nil {
		return err
	}
	if free < n {
		return s.repo.noSpace()
	}
	s.room = min(free, max(n, spaceCheck))
	return nil
}

// ReadFrom lets io.Copy use large buffers.
func (s *Staging) ReadFrom(r io.Reader) (total int64, err error) {
	buf := make([]byte, 1<<20)
	for {
		var n int
		var readErr error
		for n < len(buf) && readErr == nil {
			var m int
			m, readErr = r.Read(buf[n:])
			n += m
		}
		m, err := s.Write(buf[:n])
		total += int64(m)
		switch {
		case err != nil:
			return total, err
		case readErr == io.EOF:
			return total, nil
		case readErr != nil:
			return total, readErr
		}
	}
}

// SetLayout puts the JSON of the disk's layout beside the image.
func (s *Staging) SetLayout(layout []byte) error {
	switch {
	case s.ended || s.prepared != nil:
		return errEnded
	case len(layout) > maxLayout:
		return fmt.Errorf("disk layout of %d bytes is larger than %d", len(layout), maxLayout)
	case !json.Valid(layout):
		return errors.New("disk layout is not JSON")
	}
	s.layout = append([]byte{}, layout...)
	return nil
}

// Publish is Prepare and Commit.
func (s *Staging) Publish(ctx context.Context, blake3 string, progress func(done, total int64)) (Image, error) {
	if err := s.Prepare(ctx, blake3, progress); err != nil {
		return Image{}, err
	}
	return s.Commit()
}

// Prepare does all of publishing that takes long: it checks that the bytes written have the BLAKE3 digest blake3 (hexadecimal; what
// the sender computed), reads the staged file again, decodes it whole, makes the sidecars and brings everything to stable storage.
// Nothing is visible yet; nothing may be written any more. progress, when not nil, is told the file bytes read. After an error the
// staging is gone.
func (s *Staging) Prepare(ctx context.Context, blake3 string, progress func(done, total int64)) error {
	if s.ended || s.prepared != nil {
		return errEnded
	}
	img, err := s.prepare(ctx, strings.ToLower(blake3), progress)
	if err != nil {
		return s.fail(err)
	}
	s.prepared = &img
	return nil
}

// Commit makes what was prepared the next revision of its name, which takes an instant; then revisions that are not to be kept any
// more go. After an error nothing is visible and the staging is gone.
func (s *Staging) Commit() (Image, error) {
	switch {
	case s.ended:
		return Image{}, errEnded
	case s.prepared == nil:
		return Image{}, s.fail(errors.New("it has not been prepared"))
	}
	img, err := s.repo.commitStaged(s, *s.prepared)
	if err != nil {
		return Image{}, s.fail(err)
	}
	s.end()
	s.repo.log.Info("image published", "image", img.Name, "revision", img.Revision, "bytes", img.FileBytes, "info", img.Info.String())
	if s.taken != "" {
		if err := os.Remove(s.taken); err != nil {
			s.repo.log.Warn("a file that was taken in is left", "file", s.taken, "err", err)
		}
	}
	return img, nil
}

// fail ends a staging that cannot be published and says why.
func (s *Staging) fail(err error) error {
	err = fmt.Errorf("image %s is not published: %w", s.name, s.repo.explain(err))
	return errors.Join(err, s.Abort())
}

// publish is Publish of a file that was found, which says nothing about it and leaves the end to the caller.
func (s *Staging) publish(ctx context.Context, blake3 string, progress func(done, total int64)) (Image, error) {
	img, err := s.prepare(ctx, blake3, progress)
	if err != nil {
		return Image{}, err
	}
	return s.repo.commitStaged(s, img)
}

// prepare makes the record of the staged image and everything beside it.
func (s *Staging) prepare(ctx context.Context, blake3 string, progress func(done, total int64)) (Image, error) {
	if blake3 == "" && (s.linked || s.taken != "") {
		blake3 = s.digest // empty for a link: nothing was copied
	} else if !isHex(blake3, 32) {
		return Image{}, fmt.Errorf("sender's BLAKE3 digest is %.80q: the transfer did not end well", blake3)
	}
	if err := s.repo.folder.syncFile(s.file, s.path(imageSuffix)); err != nil {
		return Image{}, err
	}
	before, err := s.file.Stat()
	if err != nil {
		return Image{}, err
	}
	found, err := s.examine(ctx, progress)
	if err != nil {
		return Image{}, err
	}
	if blake3 != "" && found.blake3 != blake3 {
		return Image{}, fmt.Errorf("its BLAKE3 digest is %s, that of what the sender sent is %s: capture it again", found.blake3, blake3)
	}
	img := Image{
		Name:      s.name,
		Info:      found.info,
		FileBytes: s.written,
		MD5:       found.md5,
		Blake3:    found.blake3,
		Created:   s.repo.now().UTC(),
		Modified:  before.ModTime().UTC(),
		Source:    s.source,
		HasLayout: s.layout != nil,
	}
	if s.amend != nil {
		if err := s.amend(&img); err != nil {
			return Image{}, err
		}
	}
	return img, s.complete(img, found)
}

// complete makes everything that stands beside the image, except the record.
func (s *Staging) complete(img Image, found findings) error {
	if err := s.repo.writeSidecars(s.dir, img, found); err != nil {
		return err
	}
	if img.HasLayout {
		if err := s.repo.folder.writeFile(s.path(layoutSuffix), s.layout); err != nil {
			return err
		}
	}
	if !s.linked {
		return nil
	}
	// Somebody else wrote it: it must be what was read, and from now on nobody is to write it.
	after, err := s.file.Stat()
	if err == nil && img.changed(after) {
		err = errChanged
	}
	if err != nil {
		return err
	}
	if err := s.file.Chmod(fileMode); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

var errChanged = errors.New("the file was changed while it was read")

// examine reads the staged file as it is on the disk and writes the chunk index.
func (s *Staging) examine(ctx context.Context, progress func(done, total int64)) (findings, error) {
	s.activity.become(Processing)
	if err := forgetCached(s.file); err != nil {
		return findings{}, err
	}
	chunks, err := s.repo.folder.create(s.path(chunksSuffix))
	if err != nil {
		return findings{}, err
	}
	found, err := examine(ctx, s.file, s.written, metainfo.PieceLengthFor(s.written), chunks, func(done, total int64) {
		s.activity.progress(done, total)
		if progress != nil {
			progress(done, total)
		}
	})
	if err == nil {
		err = s.repo.folder.syncFile(chunks, s.path(chunksSuffix))
	}
	return found, errors.Join(err, chunks.Close())
}

// commitStaged makes the staged folder the next revision.
func (r *Repository) commitStaged(s *Staging, img Image) (Image, error) {
	r.commit.Lock()
	img, err := r.place(s, img)
	var rubbish []string
	if err == nil {
		rubbish = r.prune(img.Name)
	}
	r.commit.Unlock()
	r.sweep(rubbish)
	return img, err
}

// place does what commitStaged says. The rename is the instant at which the image exists. commit is held.
func (r *Repository) place(s *Staging, img Image) (Image, error) {
	if s.check != nil {
		if err := s.check(); err != nil {
			return Image{}, err
		}
	}
	r.mu.Lock()
	img.Revision = r.last[img.Name] + 1
	img.Repository = r.opt.Name
	r.mu.Unlock()
	if err := r.writeRecord(s.dir, img); err != nil {
		return Image{}, err
	}
	if err := r.folder.syncDir(s.dir); err != nil {
		return Image{}, err
	}
	home := path.Join(revisionsDir, img.Name)
	if err := r.folder.mkdir(home); err != nil {
		return Image{}, err
	}
	if err := r.folder.syncDir(revisionsDir); err != nil {
		return Image{}, err
	}
	target := revisionPath(img.Name, img.Revision)
	if err := r.folder.rename(s.dir, target); err != nil {
		return Image{}, err
	}
	if err := r.folder.syncDir(home); err != nil {
		// Whether it lasts is not known, so it must not be seen.
		return Image{}, errors.Join(err, r.folder.rename(target, s.dir))
	}
	r.mu.Lock()
	r.last[img.Name] = img.Revision
	r.images[img.Name] = append(r.images[img.Name], img)
	r.mu.Unlock()
	if err := r.link(img.Name); err != nil {
		r.log.Warn("image is published, but its files in the repository's folder are not renewed",
			"image", img.Name, "revision", img.Revision, "err", err)
	}
	return img, nil
}

// Abort throws the staging away. It is harmless after Publish.
func (s *Staging) Abort() error {
	if s.ended {
		return nil
	}
	s.end()
	if err := s.repo.folder.removeAll(s.dir); err != nil {
		return fmt.Errorf("removing staged image %s: %w", s.name, err)
	}
	return nil
}

// end closes the file. What was to be kept of it is on stable storage.
func (s *Staging) end() {
	s.ended = true
	s.file.Close()
	s.activity.end()
	s.release()
}
