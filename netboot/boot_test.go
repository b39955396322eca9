package netboot_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"aula/netboot"
)

// Software emulation on a busy machine takes its time.
const emulated = 5 * time.Minute

func TestBIOSPCBootsThroughPXE(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	const mac = "52:54:00:00:00:b1"
	c := virtualClassroom(t, mac, "-machine", "pc", "-device", "virtio-net-pci,netdev=lan,mac="+mac+",bootindex=0")
	c.await(t, mac, netboot.StepDHCP, "script.ipxe", emulated)
	c.await(t, mac, netboot.StepScript, "client OS", emulated)
	c.await(t, mac, netboot.StepKernel, "sent", emulated)
	c.await(t, mac, netboot.StepInitramfs, "overlay sent", emulated)
	checkClient(t, c, mac, netboot.BIOS)
}

func TestUEFIPCBootsThroughPXE(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	const mac = "52:54:00:00:00:e1"
	code, vars := "/usr/share/OVMF/OVMF_CODE_4M.fd", filepath.Join(t.TempDir(), "vars.fd")
	template, err := os.ReadFile("/usr/share/OVMF/OVMF_VARS_4M.fd")
	if err != nil {
		t.Skipf("SKIPPED: no OVMF firmware: %v", err)
	}
	if err := os.WriteFile(vars, template, 0o600); err != nil {
		t.Fatal(err)
	}
	c := virtualClassroom(t, mac, "-machine", "q35",
		"-drive", "if=pflash,format=raw,unit=0,readonly=on,file="+code,
		"-drive", "if=pflash,format=raw,unit=1,file="+vars,
		"-device", "virtio-net-pci,netdev=lan,mac="+mac+",bootindex=0,romfile=")
	c.await(t, mac, netboot.StepDHCP, "shimx64.efi", emulated)
	c.await(t, mac, netboot.StepTFTP, "shimx64.efi", emulated)
	c.await(t, mac, netboot.StepTFTP, "grubx64.efi", emulated)
	c.await(t, mac, netboot.StepScript, "client OS", emulated)
	c.await(t, mac, netboot.StepKernel, "asked", emulated)
	checkClient(t, c, mac, netboot.UEFIx64)
}

func checkClient(t *testing.T, c *classroom, mac string, f netboot.Firmware) {
	t.Helper()
	got := c.decisions()[0]
	if got.MAC != mac || got.Firmware != f || got.UUID != testUUID || got.Address.String() != "10.20.30.128" {
		t.Errorf("Decide was asked about %+v, want PC %s at 10.20.30.128 with %s and UUID %s", got, mac, f, testUUID)
	}
}

const testUUID = "12345678-1234-4321-8765-123456789abc"

// virtualClassroom starts a server and one virtual PC without a disk.
func virtualClassroom(t *testing.T, mac string, firmware ...string) *classroom {
	t.Helper()
	needLoaders(t)
	newBridge(t)
	command(t, "ip", "tuntap", "add", "dev", "tap0", "mode", "tap")
	command(t, "ip", "link", "set", "tap0", "master", "br0", "up")
	c := open(t, nil)
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("SKIPPED: this machine has no qemu-system-x86_64")
	}
	console := filepath.Join(t.TempDir(), "console")
	args := append([]string{
		"-accel", "tcg", "-m", "512", "-display", "none", "-nodefaults", "-no-reboot", "-uuid", testUUID,
		"-serial", "file:" + console, "-netdev", "tap,id=lan,ifname=tap0,script=no,downscript=no",
	}, firmware...)
	pc := exec.CommandContext(t.Context(), "qemu-system-x86_64", args...)
	pc.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var complaints strings.Builder
	pc.Stderr = &complaints
	if err := pc.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = pc.Process.Kill()
		_ = pc.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(console)
			t.Logf("QEMU: %s\nthe PC's serial console:\n%s", &complaints, text)
		}
	})
	return c
}
