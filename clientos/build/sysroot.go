package build

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sync/errgroup"
)

// mergedUsr are the links that every Debian system has and that no package of ours brings.
var mergedUsr = []string{"bin", "sbin", "lib", "lib64"}

// libraryDirs are where Debian's dynamic loader looks for libraries, relative to the root.
var libraryDirs = []string{"usr/lib/x86_64-linux-gnu", "usr/lib"}

// A sysroot is the packages unpacked into a folder. Nothing of it was configured, no script of it ran.
type sysroot struct{ dir string }

// unpack puts the packages into dir, which appears when it is complete.
func unpack(ctx context.Context, debs string, packages []Package, dir string) (sysroot, error) {
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return sysroot{}, err
	}
	if err := os.MkdirAll(filepath.Join(partial, "usr"), 0o755); err != nil {
		return sysroot{}, err
	}
	for _, name := range mergedUsr {
		if err := os.Symlink("usr/"+name, filepath.Join(partial, name)); err != nil {
			return sysroot{}, err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(runtime.NumCPU())
	for _, p := range packages {
		group.Go(func() error {
			_, err := output(exec.CommandContext(ctx, "dpkg-deb", "--extract", filepath.Join(debs, p.File), partial))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return sysroot{}, fmt.Errorf("unpack packages: %w", err)
	}
	return sysroot{dir}, os.Rename(partial, dir)
}

// path is where the file of that name in the sysroot is on this machine.
func (s sysroot) path(name string) string { return filepath.Join(s.dir, name) }

// command prepares a program of the sysroot to run on this machine with the sysroot's own libraries, so that what it
// makes does not depend on which version this machine has.
func (s sysroot) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	loader := s.path("usr/lib64/ld-linux-x86-64.so.2")
	all := []string{"--argv0", path.Base(program), "--library-path", s.path(libraryDirs[0]), s.path(program)}
	return exec.CommandContext(ctx, loader, append(all, args...)...)
}

// glob returns the names that match a pattern; none is an error.
func (s sysroot) glob(pattern string) ([]string, error) {
	names, err := fs.Glob(os.DirFS(s.dir), pattern)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", pattern, err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no package has %s", pattern)
	}
	return names, nil
}

// resolve follows one step of links: it returns the name with merged directories spelled out, and what it
// links to when it is a symbolic link.
func (s sysroot) resolve(name string) (real, target string, err error) {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	for _, dir := range mergedUsr {
		if strings.HasPrefix(name, dir+"/") {
			name = "usr/" + name
		}
	}
	target, err = os.Readlink(s.path(name))
	if errors.Is(err, os.ErrNotExist) {
		return "", "", err
	}
	if err != nil {
		return name, "", nil // not a link
	}
	return name, target, nil
}

// needs returns the names of the libraries and of the loader that an ELF file asks for; none when it is no ELF file.
func needs(file string) ([]string, error) {
	r, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	magic := make([]byte, len(elf.ELFMAG))
	if n, err := r.ReadAt(magic, 0); err != nil && err != io.EOF {
		return nil, err
	} else if string(magic[:n]) != elf.ELFMAG {
		return nil, nil // a script or data
	}
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("libraries of %s: %w", file, err)
	}
	libraries, err := f.ImportedLibraries()
	if err != nil {
		return nil, fmt.Errorf("libraries of %s: %w", file, err)
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		name := make([]byte, p.Filesz)
		if _, err := p.ReadAt(name, 0); err != nil {
			return nil, fmt.Errorf("loader of %s: %w", file, err)
		}
		libraries = append(libraries, strings.TrimRight(string(name), "\x00"))
	}
	return libraries, nil
}

// findLibrary finds the file of a library by the name that programs ask for it with.
func (s sysroot) findLibrary(name string) (string, error) {
	if path.IsAbs(name) {
		real, _, err := s.resolve(name)
		return real, err
	}
	for _, dir := range libraryDirs {
		if _, err := os.Lstat(s.path(path.Join(dir, name))); err == nil {
			return path.Join(dir, name), nil
		}
	}
	return "", fmt.Errorf("no package has the library %s", name)
}
