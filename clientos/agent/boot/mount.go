package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"
)

// A mount is a filesystem that the kernel makes.
type mount struct {
	kind, dir string
	flags     uintptr
	data      string
}

func mounts() []mount {
	const safe = unix.MS_NOSUID | unix.MS_NOEXEC | unix.MS_NODEV
	return []mount{
		{"proc", "/proc", safe, ""},
		{"sysfs", "/sys", safe, ""},
		{"devtmpfs", "/dev", unix.MS_NOSUID, "mode=0755"},
		{"tmpfs", "/run", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"},
		{"tmpfs", "/tmp", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	}
}

// mountAll mounts them all, also when one fails.
func mountAll() error {
	var all error
	for _, m := range mounts() {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			all = errors.Join(all, err)
			continue
		}
		// EBUSY: the kernel has mounted /dev already.
		if err := unix.Mount(m.kind, m.dir, m.kind, m.flags, m.data); err != nil && !errors.Is(err, unix.EBUSY) {
			all = errors.Join(all, fmt.Errorf("mount %s on %s: %w", m.kind, m.dir, err))
		}
	}
	return all
}

// mountFirmwareVariables makes UEFI's variables visible (Secure Boot, boot entries), on a PC that has them, and answers in which folder; empty
// for none.
func mountFirmwareVariables(ctx context.Context, modules *modules, log *slog.Logger) string {
	if _, err := os.Stat("/sys/firmware/efi"); err != nil {
		return ""
	}
	if err := modules.load(ctx, []string{"efivarfs"}); err != nil { // may be built in
		return ""
	}
	const dir = "/sys/firmware/efi/efivars"
	if err := unix.Mount("efivarfs", dir, "efivarfs", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV, ""); err != nil && !errors.Is(err, unix.EBUSY) {
		log.Warn("firmware variables not mounted", "error", err)
		return ""
	}
	return dir
}
