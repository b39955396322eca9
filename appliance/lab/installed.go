package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"aula/netboot/loader"
)

// An installed disk for UEFI: one EFI system partition.
const (
	espAt    = 1 << 20
	espBytes = 40 << 20 // FAT32 wants 65525 clusters, here of one sector
	espEnd   = 1 << 20  // behind it, for the copy of the partition table
)

// InstalledDisk makes a disk at path on which a system is installed that only says a line on the serial console when it is booted, and then
// waits. For UEFI it is shim and GRUB, which Secure Boot lets pass.
func InstalledDisk(path string, f Firmware, line string) error {
	if strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' || r == '\'' }) {
		return fmt.Errorf("installed disk: line %q is not plain ASCII without quotes", line)
	}
	if f == BIOS {
		return os.WriteFile(path, bootSector(line), 0o600)
	}
	return installUEFI(path, line)
}

// bootSector is a disk whose boot sector writes a line to the serial port.
func bootSector(line string) []byte {
	code := []byte{
		0x31, 0xc0, // xor ax, ax
		0x8e, 0xd8, // mov ds, ax
		0xbe, 0x15, 0x7c, // mov si, 0x7c15: the line
		0xac,       // next: lodsb
		0x08, 0xc0, // or al, al
		0x74, 0x06, // jz end
		0xba, 0xf8, 0x03, // mov dx, 0x3f8: COM1
		0xee,       // out dx, al
		0xeb, 0xf5, // jmp next
		0xf4,       // end: hlt
		0xeb, 0xfd, // jmp end
	}
	disk := make([]byte, 1<<20)
	copy(disk, append(code, line+"\r\n"...))
	copy(disk[510:], []byte{0x55, 0xaa})
	return disk
}

func installUEFI(path, line string) (err error) {
	work, err := os.MkdirTemp(filepath.Dir(path), "esp-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	// GRUB's prefix is /grub, as it is made for the network.
	files := map[string]string{"EFI/BOOT/BOOTX64.EFI": loader.ShimEFI, "EFI/BOOT/grubx64.efi": loader.GRUBEFI}
	for name, from := range files {
		data, err := fs.ReadFile(loader.Files(), from)
		if err != nil {
			return fmt.Errorf("installed disk: %w", err)
		}
		if err := writeBelow(work, name, data); err != nil {
			return err
		}
	}
	if err := writeBelow(work, "grub/grub.cfg", []byte("echo '"+line+"'\nsleep 100000\n")); err != nil {
		return err
	}
	esp := path + ".esp"
	defer func() { err = errors.Join(err, os.Remove(esp)) }()
	if err := (DiskSpec{Bytes: espBytes}).create(esp); err != nil {
		return err
	}
	if err := command("mkfs.fat", "-F", "32", "-s", "1", esp); err != nil {
		return fmt.Errorf("installed disk: %w", err)
	}
	if err := command("mcopy", "-s", "-i", esp, filepath.Join(work, "EFI"), filepath.Join(work, "grub"), "::/"); err != nil {
		return fmt.Errorf("installed disk: %w", err)
	}
	return partitionUEFI(path, esp)
}

func writeBelow(dir, name string, data []byte) error {
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// partitionUEFI makes the disk with the file system as its only partition.
func partitionUEFI(path, esp string) error {
	if err := (DiskSpec{Bytes: espAt + espBytes + espEnd}).create(path); err != nil {
		return err
	}
	const sector = 512
	cmd := exec.Command("sfdisk", "--quiet", path)
	cmd.Stdin = strings.NewReader(fmt.Sprintf("label: gpt\nstart=%d, size=%d, type=uefi\n", espAt/sector, espBytes/sector))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("installed disk: sfdisk: %w: %s", err, out)
	}
	data, err := os.ReadFile(esp)
	if err != nil {
		return err
	}
	disk, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = disk.WriteAt(data, espAt)
	return errors.Join(err, disk.Close())
}
