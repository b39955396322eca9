package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// modules are the kernel's modules of the client OS. They are loaded as modprobe does it, by its own indexes, but in this process: starting modprobe
// for a dozen modules takes longer than the modules. The kernel checks their signatures itself.
type modules struct {
	folder  string
	aliases index               // pattern of a device -> name of a module
	depends index               // name of a module -> "FILE: FILE FILE", what it needs, the last of which comes first
	soft    map[string][]string // name of a module -> what it wants to have loaded before, modules or aliases
	insert  func(file string) error
	log     *slog.Logger

	mu   sync.Mutex
	seen map[string]bool // names that were loaded, or tried
}

// openModules reads the indexes of the running kernel's modules.
func openModules(log *slog.Logger) (*modules, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return nil, err
	}
	return newModules(filepath.Join("/usr/lib/modules", unix.ByteSliceToString(name.Release[:])), insertModule, log)
}

func newModules(folder string, insert func(file string) error, log *slog.Logger) (*modules, error) {
	m := &modules{folder: folder, insert: insert, log: log, seen: make(map[string]bool)}
	for file, to := range map[string]*index{"modules.alias.bin": &m.aliases, "modules.dep.bin": &m.depends} {
		data, err := os.ReadFile(filepath.Join(folder, file))
		if err != nil {
			return nil, err
		}
		if *to, err = newIndex(data); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	text, err := os.ReadFile(filepath.Join(folder, "modules.softdep"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	m.soft = parseSoft(string(text))
	return m, nil
}

// parseSoft reads modules.softdep: "softdep NAME pre: NAME... post: NAME..." (modprobe.d(5)).
func parseSoft(text string) map[string][]string {
	soft := make(map[string][]string)
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 3 || words[0] != "softdep" {
			continue
		}
		before := false
		for _, word := range words[2:] {
			switch word {
			case "pre:":
				before = true
			case "post:":
				before = false
			default:
				if before {
					soft[words[1]] = append(soft[words[1]], word)
				}
			}
		}
	}
	return soft
}

// load loads the modules for some devices. A device without a module is no error.
func (m *modules) load(ctx context.Context, aliases []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, alias := range aliases {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		m.find(alias)
	}
	return nil
}

// find loads what a name stands for: a module, or the modules of a device.
func (m *modules) find(name string) {
	name = normalise(name)
	if needs := m.depends.find(name); len(needs) > 0 {
		m.one(name, needs[0])
		return
	}
	for _, module := range m.aliases.find(name) {
		if needs := m.depends.find(module); len(needs) > 0 {
			m.one(module, needs[0])
		}
	}
}

// one loads a module after what it needs.
func (m *modules) one(name, needs string) {
	if m.seen[name] {
		return
	}
	m.seen[name] = true
	for _, before := range m.soft[name] {
		m.find(before)
	}
	own, others, _ := strings.Cut(needs, ":")
	files := strings.Fields(others)
	for i := len(files) - 1; i >= 0; i-- {
		m.file(files[i])
	}
	m.file(own)
}

// file loads one file of a module unless that was done.
func (m *modules) file(name string) {
	if m.seen[name] {
		return
	}
	m.seen[name] = true
	err := m.insert(filepath.Join(m.folder, name))
	switch {
	case err == nil, errors.Is(err, unix.EEXIST):
	case errors.Is(err, unix.ENODEV):
		m.log.Debug("module has nothing to drive", "module", name)
	default:
		m.log.Warn("module not loaded", "module", name, "error", err)
	}
}

// insertModule gives a file to the kernel, which returns when the devices that are there already have been set up.
func insertModule(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	flags := 0
	if strings.HasSuffix(file, ".xz") { // as Debian packs them; the signature is of what is inside
		flags = unix.MODULE_INIT_COMPRESSED_FILE
	}
	return unix.FinitModule(int(f.Fd()), "", flags)
}

// normalise gives a name the form that the indexes have: dashes are underscores, except in sets of characters.
func normalise(name string) string {
	set := false
	return strings.Map(func(r rune) rune {
		switch r {
		case '[':
			set = true
		case ']':
			set = false
		case '-':
			if !set {
				return '_'
			}
		}
		return r
	}, name)
}
