package boot

import (
	"context"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// drivers loads the kernel's modules for the devices that there are, which elsewhere is udev's work: each device names its driver in a
// file modalias, and a driver may bring further devices to light.
type drivers struct {
	sys  fs.FS // /sys
	load func(ctx context.Context, aliases []string) error
	log  *slog.Logger

	mu   sync.Mutex // held while drivers are loaded
	seen map[string]bool
}

func newDrivers(load func(ctx context.Context, aliases []string) error, log *slog.Logger) *drivers {
	return &drivers{sys: os.DirFS("/sys"), load: load, log: log, seen: make(map[string]bool)}
}

const (
	// maxRounds bounds settle: host controller, hub, reader, disk is the longest chain of a PC, and every pass may uncover one link. Those of
	// network cards are passes of their own.
	maxRounds = 24
	// newcomers is how often keep looks for new devices.
	newcomers = 2 * time.Second
)

// settle loads drivers until nothing new appears. Network cards come first: a link takes seconds to come up, in which the rest is done.
func (d *drivers) settle(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var others []string
	for range maxRounds {
		var cards []string
		for _, alias := range d.fresh() {
			if leadsToNetwork(alias) {
				cards = append(cards, alias)
			} else {
				others = append(others, alias)
			}
		}
		next := cards
		if len(cards) == 0 {
			next, others = others, nil
		}
		if len(next) == 0 || ctx.Err() != nil {
			return
		}
		if err := d.load(ctx, next); err != nil {
			d.log.Error("load drivers", "error", err)
			return
		}
	}
}

// leadsToNetwork tells whether a device is a network card: of the PCI class for them (02), or of virtio with that number (1).
func leadsToNetwork(alias string) bool {
	return strings.HasPrefix(alias, "virtio:d00000001v") || strings.HasPrefix(alias, "pci:") && strings.Contains(alias, "bc02sc")
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

// fresh returns the aliases of devices that were not seen before, sorted. Every device is on a bus, whose folder lists them; the tree of all
// devices has ten times as many files, and this is done every few seconds. The firmware's tables are on none. What the processor could drive, which
// is faster checksums, is loaded by whatever asks for them.
func (d *drivers) fresh() []string {
	files := []string{"class/dmi/id/modalias"}
	buses, _ := fs.ReadDir(d.sys, "bus") // none: then there is nothing to load
	for _, bus := range buses {
		if bus.Name() == "cpu" {
			continue
		}
		folder := path.Join("bus", bus.Name(), "devices")
		devices, _ := fs.ReadDir(d.sys, folder) // a bus without devices, or one that has just gone
		for _, device := range devices {
			files = append(files, path.Join(folder, device.Name(), "modalias"))
		}
	}
	var found []string
	for _, file := range files {
		text, err := fs.ReadFile(d.sys, file)
		if err != nil {
			continue // most devices have none, and others have just gone
		}
		alias := strings.TrimSpace(string(text))
		if alias == "" || d.seen[alias] {
			continue
		}
		d.seen[alias] = true
		found = append(found, alias)
	}
	slices.Sort(found)
	return found
}
