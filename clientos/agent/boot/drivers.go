package boot

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// drivers loads the kernel's modules for the devices that there are, which elsewhere is udev's work: each device names its driver in a
// file modalias, and a driver may bring further devices to light.
type drivers struct {
	devices fs.FS // /sys/devices
	load    func(ctx context.Context, aliases []string) error
	log     *slog.Logger

	mu   sync.Mutex // held while drivers are loaded
	seen map[string]bool
}

func newDrivers(log *slog.Logger) *drivers {
	return &drivers{devices: os.DirFS("/sys/devices"), load: modprobe, log: log, seen: make(map[string]bool)}
}

// modprobe loads the modules for some devices. A device without a module is no error.
func modprobe(ctx context.Context, aliases []string) error {
	// -b obeys the blacklist of the image, -a takes many names, -q is silent about unknown ones.
	cmd := exec.CommandContext(ctx, "modprobe", append([]string{"-b", "-a", "-q", "--"}, aliases...)...)
	err := cmd.Run()
	if _, ended := err.(*exec.ExitError); ended {
		return nil // some alias has no module, which is usual
	}
	return err
}

const (
	// maxRounds bounds settle: host controller, hub, reader, disk is the longest chain of a PC, and every pass may uncover one link.
	maxRounds = 12
	// batch is the number of devices for one call of modprobe.
	batch = 64
	// newcomers is how often keep looks for new devices.
	newcomers = 2 * time.Second
)

// settle loads drivers until nothing new appears.
func (d *drivers) settle(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for range maxRounds {
		fresh := d.fresh()
		if len(fresh) == 0 || ctx.Err() != nil {
			return
		}
		for part := range slices.Chunk(fresh, batch) {
			if err := d.load(ctx, part); err != nil {
				d.log.Error("load drivers", "error", err)
				return
			}
		}
	}
}

// keep loads the drivers of what is plugged in later, until ctx ends.
func (d *drivers) keep(ctx context.Context) {
	ticker := time.NewTicker(newcomers)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			d.settle(ctx)
		}
	}
}

// fresh returns the aliases of devices that were not seen before.
func (d *drivers) fresh() []string {
	var found []string
	// A device that vanishes during the walk is no error.
	_ = fs.WalkDir(d.devices, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Base(name) != "modalias" {
			return nil
		}
		text, err := fs.ReadFile(d.devices, name)
		if err != nil {
			return nil
		}
		alias := strings.TrimSpace(string(text))
		if alias == "" || d.seen[alias] {
			return nil
		}
		d.seen[alias] = true
		found = append(found, alias)
		return nil
	})
	return found
}
