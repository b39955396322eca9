package netboot_test

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"aula/netboot"
)

// Software emulation on a busy machine takes its time.
const emulated = 5 * time.Minute

const (
	testUUID = "12345678-1234-4321-8765-123456789abc"
	ownDisk  = "booted from its own disk"
)

// Each of the two boots twice: first it is to boot the client OS, of which the initramfs is missing, so that it must say so and ask
// again; then it is to boot its own disk, and does.

func TestBIOSPCBootsThroughPXE(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	const mac = "52:54:00:00:00:b1"
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, bootSector(ownDisk), 0o600); err != nil {
		t.Fatal(err)
	}
	c, console := virtualClassroom(t, 0,
		"-machine", "pc,graphics=off" /* text on the serial port */, "-drive", "format=raw,file="+disk,
		"-device", "virtio-net-pci,netdev=lan,mac="+mac+",bootindex=0")
	c.await(t, mac, netboot.StepDHCP, "script.ipxe", emulated)
	c.await(t, mac, netboot.StepScript, "client OS", emulated)
	c.setBoot(netboot.Boot{Target: netboot.BootDisk})
	c.await(t, mac, netboot.StepKernel, "sent", emulated)
	c.await(t, mac, netboot.StepInitramfs, "cannot be served", emulated)
	console.await(t, "could not be loaded", emulated)
	c.await(t, mac, netboot.StepScript, "own disk", emulated)
	console.await(t, ownDisk, emulated)
	checkClients(t, c, mac, netboot.BIOS, testUUID, "")
}

// bootSector returns a disk that writes a line to the serial port.
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

func TestUEFIPCBootsThroughPXE(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	const mac = "52:54:00:00:00:e1"
	vars := filepath.Join(t.TempDir(), "vars.fd")
	template, err := os.ReadFile("/usr/share/OVMF/OVMF_VARS_4M.fd")
	if err != nil {
		t.Skipf("SKIPPED: no OVMF firmware: %v", err)
	}
	if err := os.WriteFile(vars, template, 0o600); err != nil {
		t.Fatal(err)
	}
	// Another port than 80 must come through all of GRUB's texts. The disk has a bootindex because OVMF, like real firmware in a hurry,
	// otherwise leaves it out, and GRUB does not see it.
	c, console := virtualClassroom(t, 8080,
		"-machine", "q35", "-drive", "id=d,if=none,format=raw,file=fat:rw:"+systemPartition(t, ownDisk), "-device", "virtio-blk-pci,drive=d,bootindex=1",
		"-drive", "if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.fd",
		"-drive", "if=pflash,format=raw,unit=1,file="+vars,
		"-device", "virtio-net-pci,netdev=lan,mac="+mac+",bootindex=0,romfile=")
	c.await(t, mac, netboot.StepDHCP, "shimx64.efi", emulated)
	c.await(t, mac, netboot.StepLoader, "shimx64.efi", emulated)
	c.await(t, mac, netboot.StepLoader, "grubx64.efi", emulated)
	c.await(t, mac, netboot.StepScript, "client OS", emulated)
	c.setBoot(netboot.Boot{Target: netboot.BootDisk})
	c.await(t, mac, netboot.StepKernel, "sent", emulated)
	console.await(t, "could not be loaded", emulated)
	c.await(t, mac, netboot.StepScript, "own disk", emulated)
	console.await(t, ownDisk, emulated)
	checkClients(t, c, mac, netboot.UEFIx64, testUUID, testUUID)
}

// systemPartition makes the folder of an EFI system partition whose loader writes a line.
func systemPartition(t *testing.T, line string) string {
	t.Helper()
	dir := t.TempDir()
	boot, config := filepath.Join(dir, "EFI", "BOOT"), filepath.Join(t.TempDir(), "grub.cfg")
	if err := os.MkdirAll(boot, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte("echo "+line+"\nsleep 1000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	command(t, "grub-mkimage", "--format=x86_64-efi", "--output="+filepath.Join(boot, "BOOTX64.EFI"), "--prefix=/none", "--config="+config, "echo", "sleep")
	return dir
}

// checkClients looks at who asked: once for each boot.
func checkClients(t *testing.T, c *classroom, mac string, f netboot.Firmware, uuids ...string) {
	t.Helper()
	all := c.decisions()
	if len(all) != len(uuids) {
		t.Errorf("Decide was called %d times, want %d: %+v", len(all), len(uuids), all)
	}
	for i, got := range all {
		if got.MAC != mac || got.Firmware != f || i < len(uuids) && got.UUID != uuids[i] || got.Address.String() != "10.20.30.128" {
			t.Errorf("Decide was asked about %+v, want PC %s at 10.20.30.128 with %s and UUID %v", got, mac, f, uuids)
		}
	}
}

// virtualClassroom starts a server and one virtual PC.
func virtualClassroom(t *testing.T, port int, hardware ...string) (*classroom, *console) {
	t.Helper()
	needLoaders(t)
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("SKIPPED: this machine has no qemu-system-x86_64")
	}
	newBridge(t)
	command(t, "ip", "tuntap", "add", "dev", "tap0", "mode", "tap")
	command(t, "ip", "link", "set", "tap0", "master", "br0", "up")
	c := open(t, func(cfg *netboot.Config) {
		cfg.HTTPPort = port
		cfg.Files = part{kernel: "kernel"}
	})
	args := append([]string{
		"-accel", "tcg", "-m", "512", "-display", "none", "-nodefaults", "-no-reboot", "-uuid", testUUID,
		"-serial", "stdio", "-netdev", "tap,id=lan,ifname=tap0,script=no,downscript=no",
	}, hardware...)
	pc := exec.CommandContext(t.Context(), "qemu-system-x86_64", args...)
	pc.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out := &console{news: make(chan struct{})}
	pc.Stdout, pc.Stderr = out, out
	var err error
	if out.keys, err = pc.StdinPipe(); err != nil { // open until the end: at an end of file QEMU would close the port
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
	return c, out
}

// console is what a PC wrote to its serial port.
type console struct {
	mu   sync.Mutex
	all  bytes.Buffer
	news chan struct{} // closed and made anew at each write
	keys io.Writer     // what is typed at the port
}

func (c *console) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.news)
	c.news = make(chan struct{})
	return c.all.Write(b)
}

func (c *console) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all.String()
}

func (c *console) await(t *testing.T, words string, limit time.Duration) {
	t.Helper()
	deadline := time.After(limit)
	for {
		c.mu.Lock()
		news := c.news
		c.mu.Unlock()
		if strings.Contains(c.text(), words) {
			return
		}
		select {
		case <-news:
		case <-deadline:
			t.Fatalf("the PC did not write %q within %s", words, limit)
		}
	}
}
