package system

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"aula/clientos/disk"
)

// nameLinux gives the Linux that has its root in p the name.
func (j *job) nameLinux(ctx context.Context, p disk.Partition, name string) (err error) {
	m, err := mountPartition(ctx, j.cfg.Folder, j.disk, p, toChange)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	if !isFolder(m.root, "etc") {
		return errNoSystem
	}
	root, err := os.OpenRoot(m.root)
	if err != nil {
		return fmt.Errorf("opening the restored system: %w", err)
	}
	defer root.Close()
	return renameLinux(root, name)
}

const (
	hostnameFile = "etc/hostname"
	hostsFile    = "etc/hosts"
	machineFile  = "etc/machine-id"
	dbusFile     = "var/lib/dbus/machine-id"
	// maxFile is the most that is read of one of those files.
	maxFile = 1 << 20
)

// renameLinux names the system below root. A system that has the name already keeps its machine-id: it is the one the image was captured from, or was
// configured before. So the name is written last, after all that it stands for.
func renameLinux(root *os.Root, name string) error {
	before, err := readFile(root, hostnameFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	old := firstLine(before)
	if old == name {
		return nil
	}
	hosts, err := readFile(root, hostsFile)
	if err == nil {
		if changed := renameHosts(string(hosts), old, name); changed != string(hosts) {
			err = replaceFile(root, hostsFile, []byte(changed))
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := forgetMachine(root); err != nil {
		return err
	}
	return replaceFile(root, hostnameFile, []byte(name+"\n"))
}

// forgetMachine empties /etc/machine-id, so that systemd makes a new one at the next start (machine-id(5)); two hosts with one get the same address from
// many DHCP servers. D-Bus' own copy, from which systemd would take the old one again, becomes a link to it, as it is in all newer systems.
func forgetMachine(root *os.Root) error {
	id, err := readFile(root, machineFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info, err := root.Lstat(dbusFile); err == nil && info.Mode().IsRegular() {
		if err := root.Remove(dbusFile); err != nil {
			return fmt.Errorf("removing %s: %w", dbusFile, err)
		}
		if err := root.Symlink("/etc/machine-id", dbusFile); err != nil {
			return fmt.Errorf("linking %s: %w", dbusFile, err)
		}
	}
	if len(id) == 0 {
		return nil
	}
	return replaceFile(root, machineFile, nil)
}

func firstLine(text []byte) string {
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			return line
		}
	}
	return ""
}

// readFile reads a regular file; a link, a device or anything else in its place is refused.
func readFile(root *os.Root, name string) ([]byte, error) {
	info, err := root.Lstat(name)
	if err != nil {
		return nil, fmt.Errorf("/%s: %w", name, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxFile {
		return nil, &trouble{problem: fmt.Sprintf("/%s is not a regular file of at most %d bytes, and was left alone", name, maxFile),
			advice: "put a regular file there in the system that the image is captured from, or name the computer with a script"}
	}
	return root.ReadFile(name)
}

// replaceFile gives a file new content: at every instant it has the old or the new one. Its mode, owner and extended attributes (SELinux) stay.
func replaceFile(root *os.Root, name string, content []byte) (err error) {
	temporary := path.Join(path.Dir(name), ".aula-"+path.Base(name))
	_ = root.Remove(temporary) // of a run that was cut
	f, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fmt.Errorf("writing /%s: %w", name, err)
	}
	defer func() {
		if err != nil {
			_ = root.Remove(temporary)
		}
	}()
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(0o644), likeOld(root, name, f), f.Sync(), f.Close())
	if err == nil {
		err = root.Rename(temporary, name)
	}
	if err != nil {
		return fmt.Errorf("writing /%s: %w", name, err)
	}
	return nil
}

// likeOld gives f the mode, owner and extended attributes of the file that it is to replace, if there is one.
func likeOld(root *os.Root, name string, f *os.File) error {
	old, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer old.Close()
	info, err := old.Stat()
	if err != nil {
		return err
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok {
		if err := f.Chown(int(owner.Uid), int(owner.Gid)); err != nil {
			return err
		}
	}
	if err := f.Chmod(info.Mode().Perm()); err != nil {
		return err
	}
	names := make([]byte, 64<<10)
	n, err := unix.Flistxattr(int(old.Fd()), names)
	if err != nil {
		return nil // the filesystem has none
	}
	for attribute := range strings.SplitSeq(string(names[:n]), "\x00") {
		value := make([]byte, 64<<10)
		size, err := unix.Fgetxattr(int(old.Fd()), attribute, value)
		if attribute == "" || err != nil {
			continue
		}
		if err := unix.Fsetxattr(int(f.Fd()), attribute, value[:size], 0); err != nil {
			return fmt.Errorf("attribute %s: %w", attribute, err)
		}
	}
	return nil
}
