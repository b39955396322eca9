package build

import (
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// moduleInfo is what a kernel module says of itself (modinfo shows it).
type moduleInfo struct {
	depends  []string // names of modules that it cannot do without
	softdeps []string // names or aliases of modules that it works better with
	firmware []string // files below the firmware folder that it may ask for
}

// readModuleInfo reads the .modinfo section of a module: key=value strings, each ended by a zero byte.
func readModuleInfo(file string) (moduleInfo, error) {
	f, err := elf.Open(file)
	if err != nil {
		return moduleInfo{}, fmt.Errorf("module %s: %w", file, err)
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return moduleInfo{}, fmt.Errorf("module %s has no .modinfo section", file)
	}
	data, err := section.Data()
	if err != nil {
		return moduleInfo{}, fmt.Errorf("module %s: %w", file, err)
	}
	return parseModuleInfo(data), nil
}

func parseModuleInfo(section []byte) moduleInfo {
	var info moduleInfo
	for pair := range bytes.SplitSeq(section, []byte{0}) {
		key, value, _ := strings.Cut(string(pair), "=")
		switch key {
		case "depends":
			for name := range strings.SplitSeq(value, ",") {
				if name != "" {
					info.depends = append(info.depends, name)
				}
			}
		case "softdep":
			for _, word := range strings.Fields(value) {
				if word != "pre:" && word != "post:" {
					info.softdeps = append(info.softdeps, word)
				}
			}
		case "firmware":
			info.firmware = append(info.firmware, value)
		}
	}
	return info
}

// A moduleSet is the kernel modules of a sysroot, and those of them that were chosen, in a folder of their own. They are packed as Debian ships
// them: the kernel unpacks what it loads, which is little of what there is, and checks the signature, which Secure Boot wants, of what is inside.
type moduleSet struct {
	root    sysroot
	release string                // of the kernel, such as 6.12.117+deb13-amd64
	packed  map[string]string     // path below kernel/ without suffix -> path in the sysroot
	byName  map[string]string     // module name with underscores -> path below kernel/ without suffix
	dir     string                // root of the chosen ones, which are unpacked there while they are being chosen
	chosen  map[string]moduleInfo // by path below kernel/ without suffix
}

const packedSuffix = ".ko.xz"

// findModules lists the modules of the one kernel in the sysroot.
func findModules(root sysroot, dir string) (*moduleSet, error) {
	found, err := root.glob("usr/lib/modules/*/kernel")
	if err != nil {
		return nil, err
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("packages have modules of %d kernels, want one: %v", len(found), found)
	}
	m := &moduleSet{
		root:    root,
		release: path.Base(path.Dir(found[0])),
		packed:  make(map[string]string),
		byName:  make(map[string]string),
		dir:     dir,
		chosen:  make(map[string]moduleInfo),
	}
	kernel := os.DirFS(root.path(found[0]))
	err = fs.WalkDir(kernel, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		module, ok := strings.CutSuffix(name, packedSuffix)
		if !ok {
			return fmt.Errorf("%s is not packed as %s", name, packedSuffix)
		}
		m.packed[module] = path.Join(found[0], name)
		m.byName[moduleName(module)] = module
		return nil
	})
	return m, err
}

// moduleName is the name that modules know each other by.
func moduleName(module string) string { return strings.ReplaceAll(path.Base(module), "-", "_") }

// choose finds the modules that the recipe asks for and all that they depend on, puts them into dir, and writes the indexes of modprobe.
func (m *moduleSet) choose(ctx context.Context, r recipe) error {
	first, err := matchModules(r, m.packed)
	if err != nil {
		return err
	}
	err = m.closure(first, func(modules []string) error { return m.unpack(ctx, modules) })
	if err != nil {
		return err
	}
	if err := m.pack(); err != nil {
		return err
	}
	return m.index(ctx)
}

// pack puts the modules as they came in the place of the unpacked ones.
func (m *moduleSet) pack() error {
	for module := range m.chosen {
		data, err := os.ReadFile(m.root.path(m.packed[module]))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(m.dir, m.folder(), "kernel", module+packedSuffix), data, 0o644); err != nil {
			return err
		}
		if err := os.Remove(m.unpacked(module)); err != nil {
			return err
		}
	}
	return nil
}

// closure fills chosen with the first modules, with what those depend on, and so on. It has each module unpacked once, to read
// what it depends on.
func (m *moduleSet) closure(first []string, unpack func(modules []string) error) error {
	for next := first; len(next) > 0; {
		if err := unpack(next); err != nil {
			return err
		}
		var wanted []string
		for _, module := range next {
			info, err := readModuleInfo(m.unpacked(module))
			if err != nil {
				return err
			}
			m.chosen[module] = info
			needed, err := m.dependencies(module, info)
			if err != nil {
				return err
			}
			wanted = append(wanted, needed...)
		}
		slices.Sort(wanted)
		next = slices.DeleteFunc(slices.Compact(wanted), func(module string) bool {
			_, have := m.chosen[module]
			return have
		})
	}
	return nil
}

// matchModules returns the modules that the patterns of the recipe take, sorted. A pattern that takes none is an
// error: the kernel has changed and the recipe has not.
func matchModules[T any](r recipe, modules map[string]T) ([]string, error) {
	matches := func(pattern string) []string {
		var names []string
		for name := range modules {
			inFolder := strings.HasSuffix(pattern, "/") && strings.HasPrefix(name, pattern)
			if exact, _ := path.Match(pattern, name); exact || inFolder {
				names = append(names, name)
			}
		}
		return names
	}
	taken := make(map[string]bool)
	for _, g := range r.groups {
		group := make(map[string]bool)
		for _, pattern := range g.modules {
			names := matches(pattern)
			if len(names) == 0 {
				return nil, fmt.Errorf("group %s: the kernel has no module %s", g.name, pattern)
			}
			for _, name := range names {
				group[name] = true
			}
		}
		for _, pattern := range g.without {
			names := matches(pattern)
			if len(names) == 0 {
				return nil, fmt.Errorf("group %s: the kernel has no module %s to leave out", g.name, pattern)
			}
			for _, name := range names {
				delete(group, name)
			}
		}
		for name := range group {
			taken[name] = true
		}
	}
	names := make([]string, 0, len(taken))
	for name := range taken {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, nil
}

// dependencies returns the modules that a module asks for. A soft dependency that is an alias or built in is passed over.
func (m *moduleSet) dependencies(module string, info moduleInfo) ([]string, error) {
	var modules []string
	for _, name := range info.depends {
		found, ok := m.byName[moduleName(name)]
		if !ok {
			return nil, fmt.Errorf("module %s depends on %s, which the kernel does not have", module, name)
		}
		modules = append(modules, found)
	}
	for _, name := range info.softdeps {
		if found, ok := m.byName[moduleName(name)]; ok {
			modules = append(modules, found)
		}
	}
	return modules, nil
}

func (m *moduleSet) folder() string { return path.Join("usr/lib/modules", m.release) }

func (m *moduleSet) unpacked(module string) string {
	return filepath.Join(m.dir, m.folder(), "kernel", module+".ko")
}

// unpack decompresses modules, those of one folder at a time.
func (m *moduleSet) unpack(ctx context.Context, modules []string) error {
	folders := make(map[string][]string)
	for _, module := range modules {
		folder := filepath.Dir(m.unpacked(module))
		folders[folder] = append(folders[folder], m.root.path(m.packed[module]))
	}
	for folder, files := range folders {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		args := append([]string{"--decompress", "--quiet", "--force", "--output-dir-flat", folder}, files...)
		if _, err := output(m.root.command(ctx, "usr/bin/zstd", args...)); err != nil {
			return fmt.Errorf("unpack modules: %w", err)
		}
	}
	return nil
}

// indexes are what modprobe reads of depmod's files.
var indexes = []string{
	"modules.dep.bin", "modules.alias.bin", "modules.builtin.bin", "modules.builtin.alias.bin", "modules.softdep",
}

// index runs depmod over the chosen modules.
func (m *moduleSet) index(ctx context.Context) error {
	for _, name := range []string{"modules.order", "modules.builtin", "modules.builtin.modinfo"} {
		data, err := os.ReadFile(m.root.path(path.Join(m.folder(), name)))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(m.dir, m.folder(), name), data, 0o644); err != nil {
			return err
		}
	}
	// depmod looks for lib/modules below its base.
	if err := os.Symlink("usr/lib", filepath.Join(m.dir, "lib")); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	// depmod is kmod under another name.
	cmd := m.root.command(ctx, "usr/sbin/depmod", "--basedir", m.dir, m.release)
	if _, err := output(cmd); err != nil {
		return fmt.Errorf("index modules: %w", err)
	}
	return nil
}

// firmware returns the firmware files in the sysroot that the chosen modules name, sorted. Modules name many files that
// only some cards or newer drivers ask for; those that no package of the recipe has are passed over.
func (m *moduleSet) firmware() ([]string, error) {
	const folder = "usr/lib/firmware"
	var files []string
	for _, info := range m.chosen {
		for _, pattern := range info.firmware {
			found, err := fs.Glob(os.DirFS(m.root.dir), path.Join(folder, pattern))
			if err != nil {
				return nil, fmt.Errorf("firmware %s: %w", pattern, err)
			}
			files = append(files, found...)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}
