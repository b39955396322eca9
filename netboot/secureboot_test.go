package netboot_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"aula/netboot"
)

// debianKernel is the kernel of the client OS, which Debian has signed.
const debianKernel = "../clientos/image/vmlinuz"

// With Secure Boot a kernel of which one bit is not as Debian signed it is refused. People read why, nothing of it runs, and the PC asks again, so that it
// boots when the server's files are in order again.
func TestSecureBootRefusesModifiedKernel(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	needLoaders(t)
	kernel, err := os.ReadFile(debianKernel)
	if err != nil {
		t.Skipf("SKIPPED: there is no client OS: %v: run make first", err)
	}
	kernel[len(kernel)/2] ^= 1
	const mac = "52:54:00:00:00:5b"
	newBridge(t)
	command(t, "ip", "tuntap", "add", "dev", "tap0", "mode", "tap")
	command(t, "ip", "link", "set", "tap0", "master", "br0", "up")
	c := open(t, func(cfg *netboot.Config) { cfg.Files = part{kernel: string(kernel), initramfs: "initramfs"} })
	console := secureBootPC(t, mac)

	c.await(t, mac, netboot.StepScript, "client OS", emulated)
	c.await(t, mac, netboot.StepKernel, "sent", emulated)
	console.await(t, "bad shim signature", emulated)
	console.await(t, "could not be loaded", emulated)
	console.await(t, "Asking again", emulated)
	c.setBoot(netboot.Boot{Target: netboot.BootDisk})
	c.await(t, mac, netboot.StepScript, "own disk", emulated)
	if all := c.decisions(); len(all) != 2 {
		t.Errorf("Decide was called %d times, want once and once more: %+v", len(all), all)
	}
}

// secureBootPC switches on a PC without a disk whose firmware has Microsoft's keys and Secure Boot on.
func secureBootPC(t *testing.T, mac string) *console {
	t.Helper()
	const firmware = "/usr/share/OVMF/"
	vars := filepath.Join(t.TempDir(), "vars.fd")
	template, err := os.ReadFile(firmware + "OVMF_VARS_4M.ms.fd")
	if err != nil {
		t.Skipf("SKIPPED: no OVMF firmware: %v", err)
	}
	if err := os.WriteFile(vars, template, 0o600); err != nil {
		t.Fatal(err)
	}
	pc := exec.CommandContext(t.Context(), "qemu-system-x86_64",
		"-accel", "tcg", "-m", "512", "-display", "none", "-nodefaults", "-no-reboot", "-serial", "stdio",
		"-machine", "q35,smm=on", "-global", "driver=cfi.pflash01,property=secure,value=on", "-global", "ICH9-LPC.disable_s3=1",
		"-drive", "if=pflash,format=raw,unit=0,readonly=on,file="+firmware+"OVMF_CODE_4M.ms.fd",
		"-drive", "if=pflash,format=raw,unit=1,file="+vars,
		"-netdev", "tap,id=lan,ifname=tap0,script=no,downscript=no",
		"-device", "virtio-net-pci,netdev=lan,mac="+mac+",bootindex=0,romfile=")
	pc.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out := &console{news: make(chan struct{})}
	pc.Stdout, pc.Stderr = out, out
	if _, err := pc.StdinPipe(); err != nil { // open until the end: at an end of file QEMU would close the port
		t.Fatal(err)
	}
	if err := pc.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = pc.Process.Kill()
		_ = pc.Wait()
		if t.Failed() {
			t.Logf("the PC's serial console:\n%s", out.text())
		}
	})
	return out
}
