package lab

import (
	"errors"
	"fmt"
	"path/filepath"
)

// ovmf is where Debian's package ovmf puts the UEFI firmware.
const ovmf = "/usr/share/OVMF"

func (s QEMUSpec) check() error {
	switch {
	case s.Firmware != BIOS && s.Firmware != UEFI:
		return fmt.Errorf("virtual PC with firmware %q: there are %q and %q", s.Firmware, BIOS, UEFI)
	case s.Netboot != "" && s.Netboot != PXE && s.Netboot != HTTPBoot:
		return fmt.Errorf("virtual PC that boots by %q: there are %q and %q", s.Netboot, PXE, HTTPBoot)
	case s.Firmware == BIOS && (s.SecureBoot || s.Netboot == HTTPBoot):
		return errors.New("virtual PC with BIOS: Secure Boot and HTTP Boot need UEFI")
	}
	return nil
}

// variables names the file with which UEFI's variables begin; Secure Boot is one of them.
func (s QEMUSpec) variables() string {
	if s.SecureBoot {
		return "OVMF_VARS_4M.ms.fd"
	}
	return "OVMF_VARS_4M.fd"
}

// firmware is what QEMU is told for UEFI, with the variables in a file.
func (s QEMUSpec) firmware(vars string) []string {
	machine, code := "q35", "OVMF_CODE_4M.fd"
	var args []string
	if s.SecureBoot {
		// The variables can only be written in system management mode, or anybody could switch Secure Boot off.
		machine, code = "q35,smm=on", "OVMF_CODE_4M.ms.fd"
		args = append(args, "-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1")
	}
	return append(args, "-machine", machine,
		"-drive", "if=pflash,unit=0,format=raw,readonly=on,file="+filepath.Join(ovmf, code),
		"-drive", "if=pflash,unit=1,format=raw,file="+vars)
}
