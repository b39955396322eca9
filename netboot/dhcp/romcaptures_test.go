package dhcp

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Packets of real firmware, captured in QEMU, and what ProxyDHCP answers. OVMF is UEFI of 2022; iPXE is that of QEMU's ROM (2019) and our own (2025).
func TestFirmwareAsItWasCaptured(t *testing.T) {
	var b bytes.Buffer
	for name, raw := range romPackets(t) {
		r, err := Decode(raw)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if strings.HasSuffix(name, "4011") {
			r = atBootServer(r, "10.0.0.60:4011")
		}
		fmt.Fprintf(&b, "%s\n  %s from %s, firmware %q, HTTP %v, iPXE %v\n", name, r.Kind, r.MAC, r.Firmware, isHTTP(r.packet), r.IPXE)
		for _, a := range []Action{Load, LocalDisk} {
			fmt.Fprintf(&b, "  %s: %s\n", a, said(newProxy(&adviser{advice: Advice{Action: a}}).Decide(now, r)))
		}
	}
	checkGolden(t, "firmware.golden", b.Bytes())
}

// romPackets goes through the packets in testdata/firmware, in the order of their names.
func romPackets(t testing.TB) func(yield func(name string, packet []byte) bool) {
	files, err := filepath.Glob("testdata/firmware/*.hex")
	if err != nil || len(files) == 0 {
		t.Fatalf("no packets of firmware: %v", err)
	}
	return func(yield func(string, []byte) bool) {
		for _, path := range files {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := hex.DecodeString(strings.TrimSpace(string(text)))
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			if !yield(strings.TrimSuffix(filepath.Base(path), ".hex"), raw) {
				return
			}
		}
	}
}
