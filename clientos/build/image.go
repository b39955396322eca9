package build

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"aula/clientos/build/cpio"
)

// image makes the kernel, the initramfs and the manifest.
func (b *builder) image(ctx context.Context, root sysroot, packages []Package) error {
	base, release, err := b.base(ctx, root)
	if err != nil {
		return err
	}
	var archives []string
	for _, entries := range [][]cpio.Entry{base, append(skeleton(), cpio.File("init", 0o755, b.agent))} {
		archive, err := b.compress(ctx, root, packages, entries)
		if err != nil {
			return err
		}
		archives = append(archives, archive)
	}
	if err := removeOthers(filepath.Join(b.Cache, "archives"), b.used); err != nil {
		return err
	}
	kernel, err := b.kernel(root)
	if err != nil {
		return err
	}
	m := Manifest{Suite: b.recipe.suite, Kernel: release, Packages: packages}
	for _, part := range []struct {
		name    string
		sources []string
	}{{KernelFile, []string{kernel}}, {InitramfsFile, archives}} {
		p, err := concatenate(filepath.Join(b.Image, part.name), part.sources)
		if err != nil {
			return err
		}
		b.Log.Info("made", "part", p.Name, "bytes", p.Size)
		m.Parts = append(m.Parts, p)
	}
	data, err := json.MarshalIndent(m, "", "\t")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(b.Image, ManifestFile), data)
}

// kernel is the path of the kernel image in the sysroot.
func (b *builder) kernel(root sysroot) (string, error) {
	for _, g := range b.recipe.groups {
		if g.kernel == "" {
			continue
		}
		found, err := root.glob(g.kernel)
		if err != nil {
			return "", err
		}
		if len(found) != 1 {
			return "", fmt.Errorf("packages have %d kernels, want one: %v", len(found), found)
		}
		return root.path(found[0]), nil
	}
	return "", errors.New("the recipe names no kernel")
}

// base gathers all that the initramfs has of the packages, and tells the release of the kernel.
func (b *builder) base(ctx context.Context, root sysroot) (entries []cpio.Entry, release string, err error) {
	dir := filepath.Join(b.Cache, "modules")
	if err := os.RemoveAll(dir); err != nil {
		return nil, "", err
	}
	modules, err := findModules(root, dir)
	if err != nil {
		return nil, "", err
	}
	if err := modules.choose(ctx, b.recipe); err != nil {
		return nil, "", err
	}
	t := newTree(root)
	if err := t.addFiles(b.recipe); err != nil {
		return nil, "", err
	}
	if err := t.addModules(modules); err != nil {
		return nil, "", err
	}
	if err := t.addBusybox(ctx); err != nil {
		return nil, "", err
	}
	b.Log.Info("gathered", "files", len(t.entries), "modules", len(modules.chosen), "kernel", modules.release)
	return t.list(), modules.release, nil
}

// compression is worth its minute: what it saves is sent to every PC at every boot. The higher levels save 5 % more, but need a
// window of 128 MB of the PC's memory. The bytes do not depend on the number of threads.
var compression = []string{"-19", "--threads=0"}

// compress writes the archive of the entries, compressed, into the cache and returns its path. An archive that was compressed
// before is not compressed again.
func (b *builder) compress(ctx context.Context, root sysroot, packages []Package, entries []cpio.Entry) (string, error) {
	dir := filepath.Join(b.Cache, "archives")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	plain, err := os.CreateTemp(dir, "plain-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(plain.Name())
	defer plain.Close()
	h := sha256.New()
	fmt.Fprintln(h, compression)
	for _, p := range packages {
		if p.Name == "zstd" {
			fmt.Fprintln(h, p.SHA256)
		}
	}
	counter := &counter{}
	if err := cpio.Write(io.MultiWriter(plain, h, counter), entries); err != nil {
		return "", err
	}
	if err := plain.Close(); err != nil {
		return "", err
	}
	name := hex.EncodeToString(h.Sum(nil))[:32] + ".cpio.zst"
	b.used[name] = true
	done := filepath.Join(dir, name)
	if _, err := os.Stat(done); err == nil {
		return done, nil
	}
	b.Log.Info("compressing", "bytes", counter.n)
	partial := done + ".partial"
	args := append(append([]string{}, compression...), "--quiet", "--force", plain.Name(), "-o", partial)
	if _, err := output(root.command(ctx, "usr/bin/zstd", args...)); err != nil {
		return "", fmt.Errorf("compress: %w", err)
	}
	return done, os.Rename(partial, done)
}

// A counter counts the bytes written to it.
type counter struct{ n int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}
