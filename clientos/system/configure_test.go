package system_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aula/clientos/disk"
	"aula/clientos/disk/disktest"
	"aula/clientos/protocol"
	"aula/clientos/system"
	"aula/clientos/system/hive"
	"aula/clientos/system/hive/hivetest"
)

const mib = 1 << 20

// A pc is a disk with filesystems on it, and a folder to mount them on.
type pc struct {
	loop   disktest.Disk
	config system.Config
}

func newPC(t *testing.T, serial, script string) *pc {
	t.Helper()
	loop := disktest.New(t, serial, 300*mib, 512)
	loop.Partition(t, script)
	return &pc{loop, system.Config{Disks: disk.System{Devices: []string{loop.Path}}, Folder: filepath.Join(t.TempDir(), "mnt")}}
}

func (p *pc) disk(t *testing.T) disk.Disk {
	t.Helper()
	disks, err := p.config.Disks.Disks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return disks[0]
}

// node makes the kernel see a partition and returns its node.
func (p *pc) node(t *testing.T, number int) string {
	t.Helper()
	f, err := p.disk(t).Open(t.Context(), number, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return f.Name()
}

// mounted calls do with the folder on which a partition is mounted meanwhile.
func (p *pc) mounted(t *testing.T, number int, do func(folder string)) {
	t.Helper()
	folder, node := t.TempDir(), p.node(t, number)
	disktest.Run(t, "mount", node, folder)
	defer func() {
		disktest.Unmount(t, folder)
		for { // ntfs-3g lets go of the partition when it ends
			f, err := os.OpenFile(node, os.O_RDONLY|unix.O_EXCL, 0)
			if err == nil {
				f.Close()
				return
			}
			if t.Context().Err() != nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	}()
	do(folder)
}

func (p *pc) configure(t *testing.T, c protocol.Configuration, partitions ...int) system.Result {
	t.Helper()
	in := protocol.Instruct{ID: "a", Kind: protocol.ConfigureOS, Disk: p.disk(t).Ref(), Configuration: &c, Computer: "pc-01", Classroom: "Lab 3"}
	for _, n := range partitions {
		in.Parts = append(in.Parts, protocol.Part{Partition: n})
	}
	r := system.Configure(t.Context(), p.config, in, nil)
	if left, _ := os.ReadDir(p.config.Folder); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
	for _, w := range r.Warnings {
		if w.Code == 0 || w.Stage != protocol.StageConfiguring || w.Problem == "" || w.Advice == "" {
			t.Errorf("a warning that does not say everything: %+v", w)
		}
	}
	return r
}

func wantNoWarnings(t *testing.T, r system.Result) {
	t.Helper()
	for _, w := range r.Warnings {
		t.Errorf("warning: %+v", w)
	}
}

func write(t *testing.T, folder, name, text string) {
	t.Helper()
	file := filepath.Join(folder, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func wantFile(t *testing.T, folder, name, want string) {
	t.Helper()
	if got, err := os.ReadFile(filepath.Join(folder, name)); err != nil || string(got) != want {
		t.Errorf("%s: got %q, %v, want %q", name, got, err, want)
	}
}

const oneLinux = "label: dos\nlabel-id: 0x12345678\n1 : start=2048, size=400000, type=83\n"

func TestLinux(t *testing.T) {
	t.Parallel()
	p := newPC(t, "LINUX", oneLinux)
	disktest.Run(t, "mkfs.ext4", "-q", p.node(t, 1), "64M")
	p.mounted(t, 1, func(folder string) {
		write(t, folder, "etc/hostname", "model\n")
		write(t, folder, "etc/hosts", "127.0.0.1 localhost\n127.0.1.1 model\n")
		write(t, folder, "etc/machine-id", strings.Repeat("a", 32)+"\n")
		write(t, folder, "var/lib/dbus/machine-id", strings.Repeat("a", 32)+"\n")
		write(t, folder, "etc/ssh/ssh_host_rsa_key", "key")
		if err := os.Chmod(filepath.Join(folder, "etc/machine-id"), 0o444); err != nil {
			t.Fatal(err)
		}
	})
	script := protocol.Script{Name: "hello", Text: `echo "$AULA_COMPUTER $AULA_CLASSROOM $AULA_DISK $AULA_PARTITION $AULA_DEVICE"
cat "$AULA_ROOT/etc/hostname"; echo script > "$AULA_ROOT/root.txt"; mkdir "$AULA_ROOT/left"; mount -t tmpfs none "$AULA_ROOT/left"; exit 3`}
	r := p.configure(t, protocol.Configuration{Extend: true, Hostname: "pc-01", Boot: true, Scripts: []protocol.Script{script}}, 1)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0].Problem, "status 3") {
		t.Errorf("got warnings %+v, want the script's status alone", r.Warnings)
	}
	want := "pc-01 Lab 3 1 1 " + p.loop.Path + "p1\npc-01\n"
	if len(r.Scripts) != 1 || r.Scripts[0].Exit != 3 || r.Scripts[0].Output != want || r.Scripts[0].Name != "hello" {
		t.Errorf("got %+v, want status 3 and %q", r.Scripts, want)
	}
	if d := p.disk(t); !d.Partitions[0].Bootable {
		t.Error("no partition is active")
	}
	p.mounted(t, 1, func(folder string) {
		wantFile(t, folder, "etc/hostname", "pc-01\n")
		wantFile(t, folder, "etc/hosts", "127.0.0.1 localhost\n127.0.1.1 pc-01\n")
		wantFile(t, folder, "etc/machine-id", "")
		wantFile(t, folder, "etc/ssh/ssh_host_rsa_key", "key")
		wantFile(t, folder, "root.txt", "script\n")
		if to, err := os.Readlink(filepath.Join(folder, "var/lib/dbus/machine-id")); to != "/etc/machine-id" {
			t.Errorf("D-Bus' machine-id: got %q, %v", to, err)
		}
		if info, err := os.Stat(filepath.Join(folder, "etc/machine-id")); err != nil || info.Mode() != 0o444 {
			t.Errorf("machine-id: got %v, %v, want its mode kept", info, err)
		}
		var s unix.Statfs_t
		if err := unix.Statfs(folder, &s); err != nil || int64(s.Blocks)*s.Bsize < 150*mib {
			t.Errorf("the filesystem has %d blocks, %v, want it to fill 195 MiB", s.Blocks, err)
		}
		if err := os.Remove(filepath.Join(folder, "etc/machine-id")); err != nil {
			t.Fatal(err)
		}
		write(t, folder, "etc/machine-id", "of now\n")
	})
	wantNoWarnings(t, p.configure(t, protocol.Configuration{Hostname: "pc-01"}, 1))
	p.mounted(t, 1, func(folder string) { wantFile(t, folder, "etc/machine-id", "of now\n") })
}

// A link in the restored system leads nowhere else.
func TestLinksAreNotFollowed(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "outside")
	write(t, filepath.Dir(outside), "outside", "mine\n")
	p := newPC(t, "LINKS", oneLinux)
	disktest.Run(t, "mkfs.ext4", "-q", p.node(t, 1))
	p.mounted(t, 1, func(folder string) {
		write(t, folder, "etc/x", "")
		if err := os.Symlink(outside, filepath.Join(folder, "etc/hostname")); err != nil {
			t.Fatal(err)
		}
	})
	r := p.configure(t, protocol.Configuration{Hostname: "pc-01"}, 1)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0].Problem, "not a regular file") {
		t.Errorf("got %+v, want a warning that the file is none", r.Warnings)
	}
	wantFile(t, filepath.Dir(outside), "outside", "mine\n")
}

func TestScriptIsKilledWithItsChildren(t *testing.T) {
	t.Parallel()
	p := newPC(t, "SCRIPT", oneLinux)
	text := "setsid sleep 1234 &\nsleep 1234 &\necho begun\nwait\n"
	start := time.Now()
	r := p.configure(t, protocol.Configuration{Scripts: []protocol.Script{{Name: "endless", Text: text, Seconds: 2}, {Name: "next", Text: "echo next"}}}, 1)
	if len(r.Scripts) != 2 || r.Scripts[0].Exit != -1 || r.Scripts[0].Output != "begun\n" || r.Scripts[1].Output != "next\n" {
		t.Errorf("got %+v, want the first killed and the next run", r.Scripts)
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0].Problem, "killed after 2s") {
		t.Errorf("got %+v, want one warning", r.Warnings)
	}
	if took := time.Since(start); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	if out, err := exec.CommandContext(t.Context(), "pgrep", "-f", "^sleep 1234$").Output(); err == nil {
		t.Errorf("still there: %s", out)
	}
}

const oneWindows = "label: dos\nlabel-id: 0x12345678\n1 : start=2048, size=400000, type=7\n"

// hive reads the registry of the Windows on partition 1.
func (p *pc) hive(t *testing.T) []byte {
	t.Helper()
	data, err := exec.CommandContext(t.Context(), "ntfscat", "--force", p.node(t, 1), "Windows/System32/config/SYSTEM").Output()
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestWindows(t *testing.T) {
	t.Parallel()
	disktest.Need(t, "ntfs-3g", "ntfscat", "ntfscp")
	p := newPC(t, "WINDOWS", oneWindows)
	disktest.Run(t, "mkntfs", "-q", "-F", p.node(t, 1), "200000")
	put := func(data []byte) {
		p.mounted(t, 1, func(folder string) { write(t, folder, "Windows/System32/config/SYSTEM", string(data)) })
	}
	put(hivetest.Make(hivetest.Windows("MODEL")))
	r := p.configure(t, protocol.Configuration{Extend: true, Hostname: "informatica-0016"}, 1)
	wantNoWarnings(t, r)
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "INFORMATICA0016") {
		t.Errorf("got notes %q, want that the name was cut", r.Notes)
	}
	data := p.hive(t)
	h, err := hive.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{`ControlSet001\Control\ComputerName\ComputerName\ComputerName`, `ControlSet002\Services\Tcpip\Parameters\NV Hostname`,
		`ControlSet001\Services\Tcpip\Parameters\Hostname`} {
		parts := strings.Split(path, `\`)
		k, err := h.Key(parts[:len(parts)-1]...)
		if err != nil {
			t.Fatal(err)
		}
		v, _ := k.Value(parts[len(parts)-1])
		if got, err := v.Text(); got != "INFORMATICA0016" {
			t.Errorf("%s: got %q, %v", path, got, err)
		}
	}

	binary.LittleEndian.PutUint32(data[4:], 99)
	put(data)
	r = p.configure(t, protocol.Configuration{Hostname: "pc-02"}, 1)
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0].Problem, "not shut down cleanly") {
		t.Errorf("a dirty hive: got %+v, want a warning", r.Warnings)
	}
	if !bytes.Equal(p.hive(t), data) {
		t.Error("a dirty hive was changed")
	}
}
