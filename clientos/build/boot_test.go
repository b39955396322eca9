package build

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aula/clientos/build/cpio"
)

// TestClientOSBoots boots the client OS of this tree on a virtual PC of 512 MiB with several kinds of NIC and disk, where
// testdata/selftest tries the drivers and the programs that the agent relies on.
func TestClientOSBoots(t *testing.T) {
	const image = "../image"
	if _, err := ReadManifest(os.DirFS(image)); errors.Is(err, fs.ErrNotExist) {
		t.Skip("SKIPPED: this tree has no client OS: run make")
	} else if err != nil {
		t.Fatal(err)
	}
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		t.Skip("SKIPPED: needs qemu-system-x86_64 (apt-get install qemu-system-x86)")
	}
	t.Parallel()
	dir := t.TempDir()

	program := filepath.Join(dir, "selftest")
	compile := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", program, "./testdata/selftest")
	compile.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("compile the self-test: %v\n%s", err, out)
	}
	initramfs := filepath.Join(dir, "initramfs")
	appendArchive(t, filepath.Join(image, InitramfsFile), program, initramfs)

	args := []string{
		"-machine", "q35", "-cpu", "max", "-smp", "2", "-m", "512", "-nodefaults", "-no-reboot", "-display", "none",
		"-serial", "stdio",
		"-kernel", filepath.Join(image, KernelFile), "-initrd", initramfs,
		"-append", "console=ttyS0 rdinit=/selftest panic=-1",
		"-device", "e1000e", "-device", "virtio-net-pci", "-device", "rtl8139",
		"-drive", "id=sata,if=none,format=raw,file=" + blankDisk(t, dir, "sata"), "-device", "ide-hd,drive=sata",
		"-drive", "id=virtio,if=none,format=raw,file=" + blankDisk(t, dir, "virtio"), "-device", "virtio-blk-pci,drive=virtio",
		"-drive", "id=nvme,if=none,format=raw,file=" + blankDisk(t, dir, "nvme"), "-device", "nvme,drive=nvme,serial=1",
		"-drive", "id=usb,if=none,format=raw,file=" + blankDisk(t, dir, "usb"),
		"-device", "qemu-xhci", "-device", "usb-storage,drive=usb", "-device", "usb-kbd",
	}
	watch(t, qemu, args)
}

// appendArchive writes the initramfs followed by an uncompressed archive with the self-test, the way in which
// netboot adds the server's pin.
func appendArchive(t *testing.T, initramfs, program, to string) {
	t.Helper()
	entry, err := cpio.DiskFile("selftest", 0o755, program)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := copyFile(f, initramfs); err != nil {
		t.Fatal(err)
	}
	if at, err := f.Seek(0, io.SeekCurrent); err != nil || at%cpio.Alignment != 0 {
		t.Fatalf("the initramfs has %d bytes (%v), not a multiple of %d", at, err, cpio.Alignment)
	}
	if err := cpio.Write(f, []cpio.Entry{entry}); err != nil {
		t.Fatal(err)
	}
}

func blankDisk(t *testing.T, dir, name string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 512<<20); err != nil {
		t.Fatal(err)
	}
	return path
}

// watch runs the virtual PC and turns what the self-test writes on the serial console into results.
func watch(t *testing.T, qemu string, args []string) {
	t.Helper()
	// An emulated PC on a busy machine is slow; a healthy one ends by itself.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	var stderr bytes.Buffer
	pc := exec.CommandContext(ctx, qemu, args...)
	pc.Stderr = &stderr
	serial, err := pc.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.Start(); err != nil {
		t.Fatal(err)
	}
	var console strings.Builder
	ok, done := 0, false
	for s := bufio.NewScanner(serial); s.Scan(); {
		line := strings.TrimRight(s.Text(), "\r")
		console.WriteString(line + "\n")
		// The kernel may have written on the same line before.
		_, result, found := strings.Cut(line, "selftest: ")
		switch {
		case !found:
		case strings.HasPrefix(result, "FAILED "):
			t.Error(result)
		case strings.HasPrefix(result, "ok "):
			ok++
		case result == "done":
			done = true
		default:
			t.Log(result)
		}
	}
	err = pc.Wait()
	if !done || err != nil || t.Failed() {
		t.Fatalf("the self-test did not pass: done %v, %d trials ok, qemu: %v %s\nserial console:\n%s",
			done, ok, err, stderr.String(), console.String())
	}
	t.Logf("%d trials ok", ok)
}
