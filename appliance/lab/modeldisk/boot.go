package modeldisk

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// Places on the disk, in bytes.
const (
	sector    = 512
	espStart  = 1 << 20
	espSize   = 64 << 20
	rootStart = espStart + espSize
	rootSize  = 1 << 30
)

// layout is the partition table, for sfdisk. The type is dos because its boot loader lies in a gap that belongs to
// no partition, so that layout and images together are the whole of the disk; UEFI reads it as well.
var layout = fmt.Sprintf(`label: dos
label-id: %s
unit: sectors

1 : start=%d, size=%d, type=ef
2 : start=%d, size=%d, type=83, bootable
`, diskID, espStart/sector, espSize/sector, rootStart/sector, rootSize/sector)

// earlyConfig is embedded in both boot loaders: it finds the root partition on whichever disk it is.
const earlyConfig = "search.fs_uuid " + rootUUID + ` root
set prefix=($root)/boot/grub
configfile $prefix/grub.cfg
`

// grubConfig is the boot loader's configuration in the root partition.
const grubConfig = `serial --unit=0 --speed=115200
terminal_input serial
terminal_output serial
set gfxpayload=text
echo "aula-model: GRUB on $grub_platform starts Linux from its own disk"
linux /vmlinuz root=UUID=` + rootUUID + ` ro console=tty0 console=ttyS0,115200 quiet
initrd /initrd.img
boot
`

// grubFolder is where Debian's packages grub-pc-bin and grub-efi-amd64-bin put GRUB.
const grubFolder = "/usr/lib/grub"

// modules are those of GRUB that both boot loaders have.
var modules = []string{
	"part_msdos", "ext2", "search_fs_uuid", "normal", "configfile",
	"serial", "terminal", "echo", "linux", "boot",
}

// loaders are GRUB for BIOS, with a driver for disks, and for UEFI, which brings that and wants one for the screen.
var loaders = []struct{ format, output, driver string }{
	{"i386-pc", "core.img", "biosdisk"},
	{"x86_64-efi", "bootx64.efi", "efi_gop"},
}

// makeLoaders makes core.img for BIOS and bootx64.efi for UEFI in the folder work.
func makeLoaders(ctx context.Context, work string) error {
	config := filepath.Join(work, "early.cfg")
	if err := os.WriteFile(config, []byte(earlyConfig), 0o644); err != nil {
		return err
	}
	for _, l := range loaders {
		args := []string{
			"--format=" + l.format, "--output=" + filepath.Join(work, l.output),
			"--config=" + config, "--prefix=/boot/grub", l.driver,
		}
		if err := run(ctx, "", "grub-mkimage", append(args, modules...)...); err != nil {
			return err
		}
	}
	return nil
}

// makeESP makes the EFI system partition with the loader where firmware looks when it was told of nothing else.
func makeESP(ctx context.Context, loader, path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(espSize); err != nil {
		return err
	}
	// One sector per cluster: FAT32 wants more than 65524 clusters.
	if err := run(ctx, "", "mkfs.fat", "-F", "32", "-s", "1", "-i", espID, "-n", "AULA-ESP", path); err != nil {
		return err
	}
	if err := run(ctx, "", "mmd", "-i", path, "::/EFI", "::/EFI/BOOT"); err != nil {
		return err
	}
	return run(ctx, "", "mcopy", "-i", path, loader, "::/EFI/BOOT/BOOTX64.EFI")
}

// installBIOSLoader writes GRUB's boot code and its core image. The two are made to find each other when the core
// image begins in sector 1: boot.img says so in its kernel_sector (offset 0x5c), and the block list at the end of the
// core's first sector goes on in sector 2.
func installBIOSLoader(disk *os.File, corePath string) error {
	const bootCode = 440 // bytes; what follows is the disk's identity and the partition table
	boot, err := os.ReadFile(filepath.Join(grubFolder, "i386-pc", "boot.img"))
	if err != nil {
		return fmt.Errorf("GRUB for BIOS (package grub-pc-bin): %w", err)
	}
	core, err := os.ReadFile(corePath)
	if err != nil {
		return err
	}
	if len(boot) != sector || len(core) > espStart-sector {
		return fmt.Errorf("GRUB for BIOS does not fit: boot code %d bytes, core %d bytes", len(boot), len(core))
	}
	if _, err := disk.WriteAt(boot[:bootCode], 0); err != nil {
		return err
	}
	_, err = disk.WriteAt(core, sector)
	return err
}
