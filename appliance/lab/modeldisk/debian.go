package modeldisk

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Identities are fixed, so that the disk does not differ from one making to the next in what boots it.
const (
	rootUUID = "a01a0000-1ab0-4000-8000-000000000002"
	espID    = "A01A0001"
	diskID   = "0xa01a1ab0"
)

// packages are what there is on the disk beside Debian's essential packages.
var packages = []string{
	"linux-image-cloud-amd64", // has virtio, AHCI and NVMe, and a quarter of the size of the general one
	"initramfs-tools", "busybox",
	"sysvinit-core", // boots in a small part of the time of systemd under emulation
	"udev", "e2fsprogs", "login", "passwd",
}

// excluded is left out of the packages: nobody reads it on this disk.
var excluded = []string{
	"/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*",
	"/usr/share/zoneinfo/*", "/usr/share/i18n/*", "/usr/lib/udev/hwdb.d/*",
}

// A file is one that differs from what the packages install.
type file struct {
	path    string
	early   bool        // has to be there before the packages are configured
	mode    os.FileMode // 0o644 when zero
	content string
}

var files = []file{
	{path: "etc/initramfs-tools/conf.d/model", early: true, content: "MODULES=list\nCOMPRESS=gzip\nRESUME=none\n"},
	{path: "usr/share/initramfs-tools/modules.d/model", early: true, content: `virtio_pci
virtio_blk
ahci
nvme
sd_mod
ext4
`},
	{path: "etc/hostname", content: Hostname + "\n"},
	{path: "etc/hosts", content: "127.0.0.1 localhost " + Hostname + "\n"},
	{path: "etc/fstab", content: "UUID=" + rootUUID + " / ext4 errors=remount-ro 0 1\n"},
	{path: "etc/inittab", content: `id:2:initdefault:
si::sysinit:/etc/rc.model
l0:0:wait:/sbin/halt -d -f -p
l6:6:wait:/sbin/reboot -d -f
ca:12345:ctrlaltdel:/sbin/shutdown -r now
T0:2:respawn:/sbin/agetty --local-line ttyS0 115200 vt100
`},
	// What Debian's boot scripts do, as far as this installation needs it: they take minutes under emulation.
	{path: "etc/rc.model", mode: 0o755, content: `#!/bin/sh
mount -n -o remount,rw /
mount -a
hostname -F /etc/hostname
`},
	{path: "boot/grub/grub.cfg", content: grubConfig},
}

// installDebian fills root with an installation.
func installDebian(ctx context.Context, mirror, root, overlay string) error {
	for _, f := range files {
		if f.early {
			if err := writeFile(overlay, f); err != nil {
				return err
			}
		}
	}
	args := []string{
		"--mode=root", "--variant=essential", "--architectures=amd64", "--format=directory", "--quiet",
		"--include=" + strings.Join(packages, ","),
		`--aptopt=Apt::Install-Recommends "false"`,
		"--essential-hook=sync-in " + overlay + " /",
	}
	for _, pattern := range excluded {
		args = append(args, "--dpkgopt=path-exclude="+pattern)
	}
	args = append(args, Suite, root, mirror)
	if err := run(ctx, "", "mmdebstrap", args...); err != nil {
		return err
	}
	for _, f := range files {
		if !f.early {
			if err := writeFile(root, f); err != nil {
				return err
			}
		}
	}
	return run(ctx, "", "chroot", root, "passwd", "--delete", "root")
}

func writeFile(root string, f file) error {
	path := filepath.Join(root, f.path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(f.content), cmp.Or(f.mode, 0o644))
}

// makeRoot makes the root filesystem. It has a small journal and few inodes, for they are in every image of it.
func makeRoot(ctx context.Context, from, path string) error {
	return run(ctx, "", "mkfs.ext4", "-q", "-L", "aula-model", "-U", rootUUID,
		"-N", "20000", "-J", "size=4", "-d", from, path, fmt.Sprintf("%dK", rootSize>>10))
}

// run runs a tool to its end with the given standard input; the end of its own words is in the error.
func run(ctx context.Context, stdin, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		const most = 2000
		out = bytes.TrimSpace(out)
		return fmt.Errorf("%s: %w: %s", name, err, out[max(0, len(out)-most):])
	}
	return nil
}
