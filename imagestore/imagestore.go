// Package imagestore keeps the repository: a folder of images, each published whole or not at all and never changed
// afterwards. It is not about the computers that images go to, nor about what is in a catalog.
//
// # On disk
//
// Images lie where OpenGnsys puts them, so that a technician finds them by name:
//
//	NAME.img           the current revision's image
//	NAME.img.sum       MD5 of the image's last MiB, as OpenGnsys 1.1 writes it: 32 hexadecimal digits and a newline
//	NAME.img.full.sum  MD5 of the whole image, written likewise
//	NAME.img.torrent   its torrent: private, announced to this appliance's tracker; pieces as metainfo.PieceLengthFor says
//	NAME.img.info      OpenGnsys' info line TOOL:COMPRESSOR:FS:KIB:HOSTNAME
//	NAME.img.json      Aula's record of the image (Image)
//	NAME.img.chunks    the chunk index (imagestore/format)
//	NAME.img.layout    the layout of the disk that it comes from, when there is one
//
// They are hard links into .revisions/NAME/N/, where the revisions live, complete and read-only:
//
//	.revisions/NAME/N/            the files above, of revision N, and health.json: when it was verified, why it is damaged
//	.revisions/NAME/ledger.json   which numbers were given, and up to which revisions are removed
//	.trash/ID/                    a removed image: its revisions, and trashed.json: its name and when it was removed
//	.staging/ID/                  what is being captured, imported or made anew, and what is being removed
//	.staging/NAME.link, .health, .ledger, .img.json, .img.torrent
//	                              a link or a small file that is about to replace another in one step
//	.uploads/ID/                  what is being uploaded (appliance/incorporation); it survives a restart
//	.unpacking/ID/                archives that are being unpacked (appliance/incorporation)
//	.lock                         belongs to the process that has the repository open; there is only one
//
// A capture is written to .staging/ID/ and becomes a revision by one rename of its folder, after everything in it is on
// stable storage and was read again. What is in .staging when a repository is opened is left over from a crash and removed; nobody's
// only copy is ever there.
//
// Removing an image begins with its ledger: revisions up to the number that it says are gone from then on, whatever of them is
// still on the disk, and their numbers are not given again. They move to the trash, and come back by the same steps in reverse.
//
// # Files that people put there
//
// Run looks at the folder again and again. NAME.img, NAME.dsk or NAME.pgz that somebody has put there is arriving until it
// has not changed for a while (Options.Settle) and nobody has it open for writing; then it is read, and becomes the next revision of
// NAME where it lies, without a copy. What is no image, or has a name that no image can have, is damaged: it stays as it is, its
// Standing says what to do, and it is looked at again when it changes. Sub-folders and other names are left alone.
//
//   - A file that replaces the link NAME.img becomes the next revision; the one before is kept (Options.Keep).
//   - A file written over the link changes the revision itself, which is therefore no longer handed out, and becomes the next
//     revision when it is an image; what it was is lost. Copy under another name first and rename, as OpenGnsys teaches.
//   - What is left of an old revision, above which a newer one is good, is never published: it stays where it is, with a warning.
//   - A link that is removed comes back, since the revision is safe, and so does that of a sidecar which is replaced; images are
//     removed with Remove.
//   - A file that replaces another while that is read is left alone and is the next newcomer.
//   - Sums and torrents are made anew. Sums that come with a file, are not older than it and differ are a warning of the image.
//
// # Holds
//
// What is captured, imported, taken in, restored, sent, copied, converted or verified is held: it can be neither removed nor
// pruned, and the error names the holder. Holds are the process's and end with it. There are no files NAME.img.lock as OpenGnsys has
// them: a program that is killed leaves them behind, and only the one process that has the repository open would heed them.
package imagestore

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("no such image")
	ErrBusy     = errors.New("image is in use")
	ErrNoSpace  = errors.New("repository disk is full")
	ErrBadName  = errors.New("not a canonical image name")
	ErrLocked   = errors.New("repository is open in another process")
	ErrDamaged  = errors.New("image is damaged")
	ErrExists   = errors.New("an image of that name exists")
)

const (
	stagingDir   = ".staging"
	revisionsDir = ".revisions"
)

// A Repository is one folder of images. Its methods are safe for concurrent use.
type Repository struct {
	dir    string
	opt    Options
	log    *slog.Logger
	folder *folder
	lock   *os.File
	now    func() time.Time

	// commit is held while revisions appear and disappear on the disk; it is taken before mu.
	commit sync.Mutex
	absent map[string]time.Time // since when the files NAME.img and so on are not the current revision's; belongs to commit

	mu     sync.Mutex
	images map[string][]Image // revisions, ascending; never empty
	last   map[string]int     // highest revision number ever given
	holds  map[hold]string
	health map[key]health
	trash  map[string]Trashed
	hashes map[key]infoHash // of torrents, as far as they are known
	// What Run has to do.
	stale     map[key]bool        // revisions whose sidecars are not as this version makes them
	lost      map[key]string      // revisions that cannot be read, and why; they are not among the images
	newcomers map[string]newcomer // files that people put into the folder or changed there, by path
	// What is under way.
	activities map[*activity]bool
	wake       chan struct{} // there is work for Run
}

// Options are how a repository is kept.
type Options struct {
	Name     string            // by which people and instructions call it; canonical like an image's
	Existing bool              // the folder must be a repository already: an empty one is a volume that is not mounted
	Reserve  int64             // bytes that captures and imports must leave free on the volume
	Keep     int               // how many revisions before the current one are kept
	Trash    time.Duration     // how long a removed image can be brought back; 0 removes at once
	Settle   time.Duration     // how long a file that somebody puts into the folder must not have changed before it is taken in
	Announce string            // URL of the tracker, for .torrent sidecars
	Address  string            // address of this machine at which PCs fetch from it; empty for the appliance's own
	Changed  func(name string) // called when an image's standing changes; must not block; may be nil
	Log      *slog.Logger      // discarded when nil
	Now      func() time.Time  // time.Now when nil
}

// Open takes the folder dir, making it if it is missing, removes what a crash left in staging and repairs the
// links of current revisions.
// It answers an error wrapping ErrLocked when another process has the repository open. A revision that cannot be
// read is left where it is, logged, and not among the images.
func Open(dir string, opt Options) (*Repository, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	r, err := open(dir, opt)
	if err != nil {
		return nil, fmt.Errorf("opening repository %s: %w", dir, err)
	}
	return r, nil
}

func open(dir string, opt Options) (*Repository, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if opt.Existing {
		if _, err := os.Stat(filepath.Join(dir, revisionsDir)); err != nil {
			return nil, fmt.Errorf("%w: is its volume mounted?", ErrNoRepository)
		}
	}
	if err := os.MkdirAll(dir, dirMode); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	lock, err := lockFolder(root)
	if err != nil {
		root.Close()
		return nil, err
	}
	r := &Repository{
		dir:    dir,
		opt:    opt,
		log:    opt.Log,
		folder: &folder{root: root},
		lock:   lock,
		now:    opt.Now,
		images: make(map[string][]Image),
		last:   make(map[string]int),
		holds:  make(map[hold]string),
		health: make(map[key]health),
		trash:  make(map[string]Trashed),
		hashes: make(map[key]infoHash),

		absent:     make(map[string]time.Time),
		stale:      make(map[key]bool),
		lost:       make(map[key]string),
		newcomers:  make(map[string]newcomer),
		activities: make(map[*activity]bool),
		wake:       make(chan struct{}, 1),
	}
	if err := r.recover(); err != nil {
		r.Close()
		return nil, err
	}
	r.expire()
	return r, nil
}

// Close lets another process open the repository. Nothing may be staged any more.
func (r *Repository) Close() error {
	return errors.Join(r.lock.Close(), r.folder.root.Close())
}

// Dir returns the folder.
func (r *Repository) Dir() string { return r.dir }

// Images returns the current revision of every image, by name.
func (r *Repository) Images() ([]Image, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]Image, 0, len(r.images))
	for _, name := range slices.Sorted(maps.Keys(r.images)) {
		revisions := r.images[name]
		list = append(list, revisions[len(revisions)-1])
	}
	return list, nil
}

// Image returns the current revision of one image, or ErrNotFound.
func (r *Repository) Image(name string) (Image, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	revisions := r.images[name]
	if len(revisions) == 0 {
		return Image{}, fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	return revisions[len(revisions)-1], nil
}

// Revisions returns all revisions of an image, the oldest first, or ErrNotFound.
func (r *Repository) Revisions(name string) ([]Image, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.images[name]) == 0 {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	return slices.Clone(r.images[name]), nil
}

// Revision returns one revision of an image, or ErrNotFound.
func (r *Repository) Revision(name string, revision int) (Image, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.revision(name, revision)
}

// revision is Revision with mu held.
func (r *Repository) revision(name string, revision int) (Image, error) {
	for _, img := range r.images[name] {
		if img.Revision == revision {
			return img, nil
		}
	}
	return Image{}, fmt.Errorf("%w: revision %d of %q", ErrNotFound, revision, name)
}

// OpenFile opens the image file of a revision for reading, or answers an error wrapping ErrDamaged. The file stays readable
// while the image is removed.
func (r *Repository) OpenFile(name string, revision int) (*os.File, error) {
	return r.openPart(name, revision, imageSuffix)
}

// OpenChunks opens the chunk index of a revision, or answers an error wrapping ErrDamaged.
func (r *Repository) OpenChunks(name string, revision int) (*os.File, error) {
	r.mu.Lock()
	stale := r.stale[key{name, revision}]
	r.mu.Unlock()
	if stale && !r.folder.exists(revisionFile(name, revision, chunksSuffix)) {
		return nil, fmt.Errorf("%w: the chunk index of revision %d of %s is being made anew: try again in a while", ErrBusy, revision, name)
	}
	return r.openPart(name, revision, chunksSuffix)
}

// OpenTorrent opens the torrent of a revision, or answers an error wrapping ErrDamaged.
func (r *Repository) OpenTorrent(name string, revision int) (*os.File, error) {
	return r.openPart(name, revision, torrentSuffix)
}

// Layout returns the JSON of the disk layout beside a revision, or ErrNotFound, or an error wrapping ErrDamaged when it is not the
// one that was published.
func (r *Repository) Layout(name string, revision int) ([]byte, error) {
	img, err := r.Revision(name, revision)
	if err != nil {
		return nil, err
	}
	if !img.HasLayout {
		return nil, fmt.Errorf("%w with a disk layout: revision %d of %q has none", ErrNotFound, revision, name)
	}
	layout, err := r.folder.readFile(revisionFile(name, revision, layoutSuffix), maxLayout)
	if err != nil {
		return nil, err
	}
	if sum := r.layoutSum(img); sum != "" && sum != blake3Of(layout) {
		return nil, fmt.Errorf("revision %d of %s: %w", revision, name, errLayout)
	}
	return layout, nil
}

// openPart opens one of the files of a revision.
func (r *Repository) openPart(name string, revision int, suffix string) (*os.File, error) {
	if _, err := r.usable(name, revision); err != nil {
		return nil, err
	}
	return r.folder.root.Open(revisionFile(name, revision, suffix))
}
