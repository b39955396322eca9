// Package build makes the client OS, the kernel and initramfs that PCs of a classroom boot, and gathers the boot
// loaders, all from Debian packages.
//
// The packages come from the mirrors that this machine's own apt uses, through a private apt with Debian's signatures
// checked, so that neither the machine's release nor its installed packages matter. recipe.txt lists what is taken
// and why. The kernel and its modules are left as Debian signed them.
//
// The same packages and the same agent give the same bytes on every machine: names are sorted, times are zero, and the
// tools that make something (zstd, depmod) are those of the packages themselves, not this machine's.
//
// Modules stay packed in the initramfs. A PC unpacks all of the initramfs at each boot and loads a dozen of its three hundred modules: this halves what it
// unpacks and takes 43 MB less of its memory, for an initramfs that is 4 % longer.
//
// Nothing here needs root, and nothing of the packages is installed or configured. What was downloaded and compressed is kept in
// a cache; a build with nothing changed takes less than a second.
//
// The initramfs is two compressed archives, one after the other, as the kernel allows: the base with all that comes from Debian,
// which takes a minute to compress and seldom changes, and what is ours, above all the agent. Its length is a multiple of four bytes, so
// that an uncompressed archive may be appended.
package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
)

// Names of the files in the image folder.
const (
	KernelFile    = "vmlinuz"
	InitramfsFile = "initramfs"
	ManifestFile  = "manifest.json"
)

// A Manifest says what a client OS was made of.
type Manifest struct {
	Suite    string    `json:"suite"`    // release of Debian, such as trixie
	Kernel   string    `json:"kernel"`   // release of the kernel, as uname -r says it
	Packages []Package `json:"packages"` // sorted by name; of the boot loaders too
	Parts    []Part    `json:"parts"`    // KernelFile and InitramfsFile
}

// A Part is one file of the client OS.
type Part struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`   // bytes
	SHA256 string `json:"sha256"` // hexadecimal
}

// A Config says where a build finds and puts things. Every path is required.
type Config struct {
	Cache   string  // folder for downloads and intermediate results
	Agent   string  // the agent's static binary, which becomes /init
	Image   string  // folder for the kernel, the initramfs and the manifest
	Loaders string  // folder for the boot loaders
	Mirrors Mirrors // of Debian; the machine's own where empty
	Update  bool    // ask the mirror for newer packages also when a complete set was downloaded before
	Log     *slog.Logger
}

// A builder is one run.
type builder struct {
	Config
	recipe recipe
	agent  []byte          // the program, read once: it may be built anew meanwhile
	used   map[string]bool // names of compressed archives in the cache that this run used
}

// Run makes what is missing or out of date.
func Run(ctx context.Context, cfg Config) error {
	r, err := parseRecipe(recipeText)
	if err != nil {
		return err
	}
	if cfg.Cache, err = filepath.Abs(cfg.Cache); err != nil {
		return err
	}
	for _, dir := range []string{cfg.Cache, cfg.Image, cfg.Loaders} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	unlock, err := lock(filepath.Join(cfg.Cache, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	b := &builder{Config: cfg, recipe: r, used: make(map[string]bool)}
	if b.agent, err = os.ReadFile(cfg.Agent); err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	return b.run(ctx)
}

// lock waits until no other build uses the cache.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

func (b *builder) run(ctx context.Context) error {
	packages, err := b.packages(ctx)
	if err != nil {
		return err
	}
	inputs, err := b.inputs(packages)
	if err != nil {
		return err
	}
	stamp := filepath.Join(b.Cache, "done")
	if done, err := os.ReadFile(stamp); err == nil && string(done) == inputs && b.complete(packages) {
		b.Log.Info("client OS is up to date")
		return nil
	}
	if err := os.Remove(stamp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	root, err := b.sysroot(ctx, packages)
	if err != nil {
		return err
	}
	if err := b.loaders(root); err != nil {
		return err
	}
	if err := b.image(ctx, root, packages); err != nil {
		return err
	}
	return os.WriteFile(stamp, []byte(inputs), 0o644)
}

// packages returns the downloaded packages: those of the last build when the recipe wants the same, otherwise fresh ones.
func (b *builder) packages(ctx context.Context) ([]Package, error) {
	type locked struct {
		Wanted   string // what of the recipe decides on the packages
		Packages []Package
	}
	file := filepath.Join(b.Cache, "packages.json")
	wanted := fmt.Sprint(b.recipe.suite, b.recipe.components, b.recipe.follow, b.recipe.leave, b.recipe.packages())
	a := &archive{dir: filepath.Join(b.Cache, "apt"), mirrors: b.Mirrors}

	if data, err := os.ReadFile(file); err == nil && !b.Update {
		var last locked
		if err := json.Unmarshal(data, &last); err == nil && last.Wanted == wanted && a.have(last.Packages) {
			return last.Packages, nil
		}
	}
	if a.mirrors.Main == "" {
		mirrors, err := MachineMirrors(ctx)
		if err != nil {
			return nil, err
		}
		a.mirrors = mirrors
	}
	if a.mirrors.Security == "" {
		b.Log.Warn("apt on this machine has no source of security updates: the client OS goes without them")
	}
	if err := a.setUp(b.recipe); err != nil {
		return nil, err
	}
	b.Log.Info("fetching package lists", "suite", b.recipe.suite)
	packages, err := a.resolve(ctx, b.recipe)
	if err != nil {
		return nil, err
	}
	b.Log.Info("downloading packages", "count", len(packages))
	if err := a.download(ctx, packages); err != nil {
		return nil, err
	}
	data, err := json.MarshalIndent(locked{wanted, packages}, "", "\t")
	if err != nil {
		return nil, err
	}
	return packages, writeFile(file, data)
}

// inputs is a digest of all that decides the outcome: the packages, the agent, and this program itself.
func (b *builder) inputs(packages []Package) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	program, err := fileSHA256(self)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s %x\n", program, sha256.Sum256(b.agent))
	if err := json.NewEncoder(h).Encode(packages); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// complete tells whether all that a build makes is there.
func (b *builder) complete(packages []Package) bool {
	m, err := ReadManifest(os.DirFS(b.Image))
	if err != nil || len(m.Packages) != len(packages) || len(m.Parts) == 0 {
		return false
	}
	for _, part := range m.Parts {
		if info, err := os.Stat(filepath.Join(b.Image, part.Name)); err != nil || info.Size() != part.Size {
			return false
		}
	}
	for _, g := range b.recipe.groups {
		for _, l := range g.loaders {
			if _, err := os.Stat(filepath.Join(b.Loaders, l.name)); err != nil {
				return false
			}
		}
	}
	return true
}

// ReadManifest reads the manifest of the client OS in an image folder.
func ReadManifest(image fs.FS) (Manifest, error) {
	data, err := fs.ReadFile(image, ManifestFile)
	if err != nil {
		return Manifest{}, err
	}
	var m Manifest
	if err := json.Unmarshal(data, &m); err != nil {
		return Manifest{}, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	return m, nil
}

// sysroot returns the packages unpacked, from the cache when they are there.
func (b *builder) sysroot(ctx context.Context, packages []Package) (sysroot, error) {
	h := sha256.New()
	if err := json.NewEncoder(h).Encode(packages); err != nil {
		return sysroot{}, err
	}
	roots := filepath.Join(b.Cache, "roots")
	name := hex.EncodeToString(h.Sum(nil))[:16]
	if _, err := os.Stat(filepath.Join(roots, name)); err == nil {
		return sysroot{filepath.Join(roots, name)}, nil
	}
	b.Log.Info("unpacking packages", "count", len(packages))
	if err := os.MkdirAll(roots, 0o755); err != nil {
		return sysroot{}, err
	}
	if err := removeOthers(roots, nil); err != nil {
		return sysroot{}, err
	}
	return unpack(ctx, filepath.Join(b.Cache, "apt/debs"), packages, filepath.Join(roots, name))
}

// loaders copies the boot loaders to their folder.
func (b *builder) loaders(root sysroot) error {
	for _, g := range b.recipe.groups {
		for _, l := range g.loaders {
			data, err := os.ReadFile(root.path(l.path))
			if err != nil {
				return fmt.Errorf("boot loader %s: %w", l.name, err)
			}
			if err := writeFile(filepath.Join(b.Loaders, l.name), data); err != nil {
				return err
			}
		}
	}
	return nil
}
