package lab

import (
	"os"
	"path/filepath"
	"testing"

	"aula/appliance/lab/modeldisk"
)

// modelCache is where make keeps the model disk.
func modelCache() string {
	cache := os.Getenv("AULA_CACHE")
	if cache == "" {
		cache = "../../.cache"
	}
	return filepath.Join(cache, "modeldisk")
}

// TestDemoWithBothFirmwares plays the demonstration: the disk of a BIOS model PC goes to a BIOS and to a UEFI PC, which then boot
// from it.
func TestDemoWithBothFirmwares(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED, NOT TESTED: virtual PCs take minutes, and -short was asked for")
	}
	need(t, "qemu-system-x86_64", "udhcpc")
	if _, err := modeldisk.Cached(modelCache()); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: no model disk in %s: %v", modelCache(), err)
	}
	err := Demo(t.Context(), DemoConfig{
		Lab:     Config{Aula: program(t), Temp: t.TempDir()},
		Cache:   modelCache(),
		Targets: []Firmware{BIOS, UEFI},
	}, testWriter{t})
	if err != nil {
		t.Error(err)
	}
}

// testWriter shows what is written as it comes.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}
