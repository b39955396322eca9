// Package modeldisk makes the disk of a virtual classroom's model PC: a small but real Debian installation, with
// kernel, boot loader, init and a login prompt on the serial console, that boots on BIOS and on UEFI PCs alike.
//
// It is made from Debian packages once and kept in a cache folder. It is for trying Aula out and for its tests: root
// has no password on it.
//
// # Layout
//
//	MBR        boot code of GRUB, partition table of the type dos
//	gap        GRUB's core image from sector 1
//	partition 1  64 MiB  EFI system partition, FAT32, with \EFI\BOOT\BOOTX64.EFI
//	partition 2  1 GiB   root, ext4
package modeldisk

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Bytes is the size of the disk; most of it is a hole in the file.
const Bytes = 2 << 30

// Partition numbers on the disk.
const (
	ESP  = 1
	Root = 2
)

// Hostname is the name that the installation has.
const Hostname = "aula-model"

// LoginPrompt is what the installation, or a copy of it with another hostname, says on its serial console, first port, 115200 bit/s, when it is up.
func LoginPrompt(hostname string) string { return hostname + " login:" }

// A Config says where the model disk comes from and where it is kept.
type Config struct {
	// Cache is the folder in which it is kept.
	Cache string
	// Mirror is the URI of a Debian mirror that has Suite.
	Mirror string
	Log    *slog.Logger
}

// Suite is the Debian release that is on the disk.
const Suite = "trixie"

// ErrNotMade is what Cached answers when there is no model disk yet.
var ErrNotMade = errors.New("the model disk is not made yet")

// Cached returns the path of the model disk in the folder cache, or ErrNotMade.
func Cached(cache string) (string, error) {
	path := filepath.Join(cache, "model-"+key()+".img")
	switch _, err := os.Stat(path); {
	case errors.Is(err, os.ErrNotExist):
		return "", ErrNotMade
	case err != nil:
		return "", fmt.Errorf("model disk: %w", err)
	}
	return path, nil
}

// Ensure returns the path of the model disk's image file, which nobody may write to, and makes it first if it is not
// in the cache: that takes a minute or two, about 120 MB from the mirror, and root. Two that ask at once wait for one
// making.
func Ensure(ctx context.Context, cfg Config) (string, error) {
	if err := os.MkdirAll(cfg.Cache, 0o755); err != nil {
		return "", fmt.Errorf("cache folder for the model disk: %w", err)
	}
	unlock, err := lock(filepath.Join(cfg.Cache, "model.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	path, err := Cached(cfg.Cache)
	if !errors.Is(err, ErrNotMade) {
		return path, err
	}
	path = filepath.Join(cfg.Cache, "model-"+key()+".img")
	start := time.Now()
	cfg.Log.Info("making the model disk", "suite", Suite, "path", path)
	if err := build(ctx, cfg, path); err != nil {
		return "", fmt.Errorf("make the model disk: %w", err)
	}
	cfg.Log.Info("model disk made", "took", time.Since(start).Round(time.Second))
	return path, nil
}

// key changes with everything in this package that decides what is on the disk.
func key() string {
	h := sha256.New()
	fmt.Fprintln(h, Suite, Bytes, layout, earlyConfig, grubConfig, modules, loaders, packages, excluded)
	for _, f := range files {
		fmt.Fprintln(h, f.path, f.mode, f.content)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:6])
}

// lock waits for an exclusive lock on path.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("lock the model disk: %w", err)
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock the model disk: %w", err), f.Close())
	}
	return func() { f.Close() }, nil
}

// build makes the disk in a folder beside path and moves it there when it is complete.
func build(ctx context.Context, cfg Config, path string) (err error) {
	work, err := os.MkdirTemp(cfg.Cache, "model-build-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	in := func(name string) string { return filepath.Join(work, name) }

	if err := installDebian(ctx, cfg.Mirror, in("root"), in("overlay")); err != nil {
		return err
	}
	if err := makeRoot(ctx, in("root"), in("root.ext4")); err != nil {
		return err
	}
	if err := makeLoaders(ctx, work); err != nil {
		return err
	}
	if err := makeESP(ctx, in("bootx64.efi"), in("esp.fat")); err != nil {
		return err
	}
	disk, err := os.Create(in("disk.img"))
	if err != nil {
		return err
	}
	defer disk.Close()
	if err := disk.Truncate(Bytes); err != nil {
		return err
	}
	if err := run(ctx, layout, "sfdisk", "--quiet", disk.Name()); err != nil {
		return err
	}
	if err := installBIOSLoader(disk, in("core.img")); err != nil {
		return err
	}
	for name, at := range map[string]int64{"esp.fat": espStart, "root.ext4": rootStart} {
		if err := copySparse(disk, at, in(name)); err != nil {
			return err
		}
	}
	if err := errors.Join(disk.Sync(), disk.Chmod(0o444)); err != nil {
		return err
	}
	return os.Rename(disk.Name(), path)
}

// copySparse copies the data of the file at path, and not its holes, to offset at of the disk.
func copySparse(disk *os.File, at int64, path string) error {
	src, err := os.Open(path)
	if err != nil {
		return err
	}
	defer src.Close()
	const (
		seekData = 3 // lseek(2)
		seekHole = 4
	)
	end := int64(0)
	for {
		start, err := src.Seek(end, seekData)
		if errors.Is(err, syscall.ENXIO) {
			return nil // only a hole is left
		}
		if err != nil {
			return err
		}
		if end, err = src.Seek(start, seekHole); err != nil {
			return err
		}
		if _, err := io.Copy(io.NewOffsetWriter(disk, at+start), io.NewSectionReader(src, start, end-start)); err != nil {
			return err
		}
	}
}
