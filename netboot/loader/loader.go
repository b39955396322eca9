// Package loader holds the boot loaders that firmware fetches first, embedded into the program: iPXE for BIOS, shim and
// GRUB signed by Debian for UEFI, as package clientos/build took them from Debian's packages.
//
// A program that was built in a tree without them, such as a bare clone, works all the same: Check then returns ErrMissing.
package loader

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

// Names of the boot loaders, under which firmware asks for them. Shim asks for GRUB and MokManager by these names itself, in
// the folder that it came from.
const (
	UndionlyKPXE = "undionly.kpxe" // iPXE for BIOS, through the NIC's own PXE stack
	IPXEPXE      = "ipxe.pxe"      // iPXE for BIOS, with drivers of its own: faster on the NICs that it knows
	IPXEEFI      = "ipxe.efi"      // iPXE for UEFI x64, with drivers of its own
	SNPOnlyEFI   = "snponly.efi"   // iPXE for UEFI x64, through the firmware's driver
	ShimEFI      = "shimx64.efi"   // shim for UEFI x64, signed by Microsoft, with or without Secure Boot
	GRUBEFI      = "grubx64.efi"   // GRUB with network, signed by Debian; its prefix is /grub
	MokEFI       = "mmx64.efi"     // MokManager, which shim starts when a signature is refused
)

// Names are all boot loaders, sorted.
func Names() []string {
	return []string{GRUBEFI, IPXEEFI, IPXEPXE, MokEFI, ShimEFI, SNPOnlyEFI, UndionlyKPXE}
}

//go:embed all:files
var embedded embed.FS

// ErrMissing says that this program was built without its boot loaders, and what to do.
var ErrMissing = errors.New("this aula was built without its boot loaders, so no PC can boot from it: run make in the source tree, which makes them")

// Files is the folder of the boot loaders of this program. Opened files can seek.
func Files() fs.FS {
	files, err := fs.Sub(embedded, "files")
	if err != nil {
		panic(err) // the name is a constant and valid
	}
	return files
}

// Check returns an error that wraps ErrMissing when the folder lacks a boot loader.
func Check(files fs.FS) error {
	for _, name := range Names() {
		info, err := fs.Stat(files, name)
		if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
			return fmt.Errorf("%s: %w", name, ErrMissing)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
