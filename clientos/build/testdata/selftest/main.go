// Command selftest runs in place of the agent when TestClientOSBoots boots the client OS on a virtual PC. It tries what the agent relies
// on, writes a line for each trial on the console, and switches the PC off.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a device may take to appear on an emulated PC.
const patience = 90 * time.Second

func main() {
	defer unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	os.Setenv("PATH", "/usr/sbin:/usr/bin")
	os.Setenv("LC_ALL", "C.UTF-8")
	try("mount", mount)
	try("memory", memory)
	try("libraries", libraries)
	try("drivers", drivers)
	for _, module := range []string{
		"igc", "igb", "r8169", "tg3", "bnx2", "sky2", "alx", "atl1c", "forcedeth", "atlantic", "r8152", "ax88179_178a", "cdc_ncm",
		"vmd", "mpt3sas", "sdhci_pci", "mmc_block", "usbhid", "hid_generic", "uas", "loop", "nls_utf8", "efivarfs", "vmxnet3",
	} {
		try("module "+module, func() error { return run("modprobe", module) })
	}
	for _, driver := range []string{"e1000e", "virtio_net", "8139cp"} {
		try("NIC "+driver, func() error { return eventually(func() error { return nic(driver) }) })
	}
	for _, disk := range []string{"sda", "vda", "nvme0n1", "sdb"} {
		try("disk "+disk, func() error { return eventually(func() error { return exists("/dev/" + disk) }) })
	}
	try("partition table", partitionTable)
	for _, f := range filesystems {
		try("filesystem "+f.name, f.try)
	}
	for _, program := range []string{"lzop", "gzip", "zstd", "kexec", "efibootmgr", "mkswap", "blkid", "lsblk", "wipefs"} {
		try("program "+program, func() error { return starts(program, "--version") })
	}
	try("program busybox", func() error { return run("busybox", "true") })
	fmt.Println("selftest: done")
}

func try(name string, trial func() error) {
	if err := trial(); err != nil {
		fmt.Printf("selftest: FAILED %s: %s\n", name, strings.ReplaceAll(err.Error(), "\n", "; "))
		return
	}
	fmt.Printf("selftest: ok %s\n", name)
}

func run(name string, args ...string) error {
	var out bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %v: %w: %s", name, args, err, out.Bytes()[max(0, out.Len()-300):])
	}
	return nil
}

// starts tells whether a program starts; it may well complain of what it was asked.
func starts(name string, args ...string) error {
	err := run(name, args...)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() < 126 {
		return nil
	}
	return err
}

func eventually(condition func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := condition()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func exists(path string) error {
	_, err := os.Stat(path)
	return err
}

func mount() error {
	return errors.Join(
		unix.Mount("proc", "/proc", "proc", 0, ""),
		unix.Mount("sysfs", "/sys", "sysfs", 0, ""),
		unix.Mount("devtmpfs", "/dev", "devtmpfs", 0, ""),
	)
}

func memory() error {
	info, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(info)) {
		if strings.HasPrefix(line, "MemTotal") || strings.HasPrefix(line, "MemAvailable") {
			fmt.Print("selftest: ", line)
		}
	}
	return nil
}

// libraries has the dynamic loader look for every library of every program.
func libraries() error {
	var missing []error
	for _, dir := range []string{"/usr/bin", "/usr/sbin"} {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !e.Type().IsRegular() || e.Name() == "busybox" {
				continue
			}
			cmd := exec.Command(filepath.Join(dir, e.Name()))
			cmd.Env = []string{"LD_TRACE_LOADED_OBJECTS=1"}
			out, err := cmd.CombinedOutput()
			if err != nil || bytes.Contains(out, []byte("not found")) {
				missing = append(missing, fmt.Errorf("%s: %v %s", e.Name(), err, out))
			}
		}
	}
	return errors.Join(missing...)
}

// drivers loads the module of every device, until no new device appears.
func drivers() error {
	seen := make(map[string]bool)
	for {
		var fresh []string
		err := filepath.WalkDir("/sys/devices", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "modalias" {
				return nil // devices come and go
			}
			alias, err := os.ReadFile(path)
			if name := strings.TrimSpace(string(alias)); err == nil && name != "" && !seen[name] {
				seen[name] = true
				fresh = append(fresh, name)
			}
			return nil
		})
		if err != nil || len(fresh) == 0 {
			return err
		}
		// A device without a module is no error.
		if err := starts("modprobe", append([]string{"-a", "-b", "-q", "--"}, fresh...)...); err != nil {
			return err
		}
	}
}

func nic(driver string) error {
	links, err := filepath.Glob("/sys/class/net/*/device/driver")
	if err != nil {
		return err
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && filepath.Base(target) == driver {
			return nil
		}
	}
	return fmt.Errorf("no NIC is driven by %s", driver)
}

func partitionTable() error {
	cmd := exec.Command("sfdisk", "--quiet", "/dev/nvme0n1")
	cmd.Stdin = strings.NewReader("label: gpt\nsize=8MiB, type=uefi\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("sfdisk: %w: %s", err, out)
	}
	return eventually(func() error { return exists("/dev/nvme0n1p1") })
}

// A filesystem is made on the virtio disk, imaged, and mounted.
type filesystem struct {
	name  string
	make  []string
	clone string
	mount []string // nil: the kernel's own driver
}

var filesystems = []filesystem{
	{name: "ext4", make: []string{"mkfs.ext4", "-q", "-F"}, clone: "partclone.ext4"},
	{name: "ntfs", make: []string{"mkntfs", "-q", "-F", "-f"}, clone: "partclone.ntfs", mount: []string{"ntfs-3g", "/dev/vda", "/mnt"}},
	{name: "vfat", make: []string{"mkfs.fat", "-I", "-n", "SELFTEST"}, clone: "partclone.fat"},
	{name: "exfat", make: []string{"mkfs.exfat", "-q"}, clone: "partclone.exfat"},
	{name: "xfs", make: []string{"mkfs.xfs", "-q", "-f"}, clone: "partclone.xfs"},
	{name: "btrfs", make: []string{"mkfs.btrfs", "-q", "-f"}, clone: "partclone.btrfs"},
	{name: "f2fs", make: []string{"mkfs.f2fs", "-q", "-f"}, clone: "partclone.f2fs"},
}

func (f filesystem) try() error {
	if err := run("wipefs", "-q", "-a", "/dev/vda"); err != nil {
		return err
	}
	if err := run(f.make[0], append(f.make[1:], "/dev/vda")...); err != nil {
		return err
	}
	if err := run(f.clone, "--clone", "--source", "/dev/vda", "--overwrite", "/dev/null"); err != nil {
		return err
	}
	if f.name == "ntfs" {
		if err := errors.Join(run("ntfsresize", "--info", "--force", "/dev/vda"), run("ntfsfix", "/dev/vda")); err != nil {
			return err
		}
	}
	if f.mount != nil {
		if err := run(f.mount[0], f.mount[1:]...); err != nil {
			return err
		}
	} else {
		if err := starts("modprobe", "-q", f.name); err != nil {
			return err
		}
		if err := unix.Mount("/dev/vda", "/mnt", f.name, 0, ""); err != nil {
			return fmt.Errorf("mount: %w", err)
		}
	}
	written := os.WriteFile("/mnt/file", []byte("Aula"), 0o644)
	return errors.Join(written, eventually(func() error { return unix.Unmount("/mnt", 0) }))
}
