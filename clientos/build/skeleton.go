package build

import (
	"io/fs"

	"aula/clientos/build/cpio"
)

// skeleton is what the kernel, the C library and the programs expect to find.
func skeleton() []cpio.Entry {
	entries := []cpio.Entry{
		cpio.Dir("tmp", 0o777|fs.ModeSticky),
		cpio.Dir("root", 0o700),
		// The kernel opens the console for /init before anything is mounted.
		cpio.CharDevice("dev/console", 0o600, 5, 1),
		cpio.CharDevice("dev/null", 0o666, 1, 3),
		cpio.File("etc/passwd", 0o644, []byte("root:x:0:0:root:/root:/bin/sh\n")),
		cpio.File("etc/group", 0o644, []byte("root:x:0:\n")),
		cpio.File("etc/hosts", 0o644, []byte("127.0.0.1 localhost\n")),
		cpio.Symlink("etc/mtab", "/proc/self/mounts"),
		// Partclone does nothing without the folder of its log.
		cpio.Dir("var/log", 0o755),
	}
	for _, dir := range []string{"dev", "etc", "etc/aula", "mnt", "proc", "run", "sys", "var", "var/tmp"} {
		entries = append(entries, cpio.Dir(dir, 0o755))
	}
	for _, name := range mergedUsr {
		entries = append(entries, cpio.Symlink(name, "usr/"+name))
	}
	return entries
}
