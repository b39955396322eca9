package build

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"

	"aula/clientos/build/cpio"
)

// A tree is what the initramfs has of the packages, as it is gathered.
type tree struct {
	root    sysroot
	entries map[string]cpio.Entry
}

func newTree(root sysroot) *tree {
	return &tree{root: root, entries: make(map[string]cpio.Entry)}
}

// add takes a file of the sysroot, what it links to, and the libraries that it needs.
func (t *tree) add(name string) error {
	name, target, err := t.root.resolve(name)
	if err != nil {
		return err
	}
	if _, have := t.entries[name]; have {
		return nil
	}
	if target != "" {
		t.entries[name] = cpio.Symlink(name, target)
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(name), target)
		}
		if err := t.add(target); err != nil {
			return fmt.Errorf("%s links to %s: %w", name, target, err)
		}
		return nil
	}
	entry, err := cpio.DiskFile(name, permissions(t.root.path(name)), t.root.path(name))
	if err != nil {
		return err
	}
	t.entries[name] = entry
	libraries, err := needs(t.root.path(name))
	if err != nil {
		return err
	}
	for _, library := range libraries {
		file, err := t.root.findLibrary(library)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := t.add(file); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// permissions are 0755 or 0644, whatever the package says: everything is root's, nothing needs a set-user-ID bit.
func permissions(file string) fs.FileMode {
	if info, err := os.Stat(file); err == nil && info.Mode()&0o111 != 0 {
		return 0o755
	}
	return 0o644
}

// addFiles takes the files that the recipe names.
func (t *tree) addFiles(r recipe) error {
	for _, g := range r.groups {
		for _, pattern := range g.files {
			names, err := t.root.glob(pattern)
			if err != nil {
				return fmt.Errorf("group %s: %w", g.name, err)
			}
			for _, name := range names {
				if err := t.add(name); err != nil {
					return fmt.Errorf("group %s: %w", g.name, err)
				}
			}
		}
	}
	return nil
}

// addModules takes the chosen modules, their indexes and their firmware.
func (t *tree) addModules(m *moduleSet) error {
	names := make([]string, 0, len(m.chosen)+len(indexes))
	for module := range m.chosen {
		names = append(names, path.Join("kernel", module+packedSuffix))
	}
	names = append(names, indexes...)
	for _, name := range names {
		name = path.Join(m.folder(), name)
		entry, err := cpio.DiskFile(name, 0o644, filepath.Join(m.dir, name))
		if err != nil {
			return err
		}
		t.entries[name] = entry
	}
	firmware, err := m.firmware()
	if err != nil {
		return err
	}
	for _, name := range firmware {
		if err := t.add(name); err != nil {
			return err
		}
	}
	return nil
}

// addBusybox gives busybox the names of those of its commands that no other program has.
func (t *tree) addBusybox(ctx context.Context) error {
	const busybox = "usr/bin/busybox"
	if _, have := t.entries[busybox]; !have {
		return errors.New("the recipe has no " + busybox)
	}
	list, err := output(exec.CommandContext(ctx, t.root.path(busybox), "--list"))
	if err != nil {
		return err
	}
	for _, command := range strings.Fields(list) {
		_, inBin := t.entries["usr/bin/"+command]
		_, inSbin := t.entries["usr/sbin/"+command]
		if !inBin && !inSbin {
			t.entries["usr/bin/"+command] = cpio.Symlink("usr/bin/"+command, "busybox")
		}
	}
	return nil
}

// list returns what was gathered, in no order.
func (t *tree) list() []cpio.Entry {
	entries := make([]cpio.Entry, 0, len(t.entries))
	for _, e := range t.entries {
		entries = append(entries, e)
	}
	return entries
}
