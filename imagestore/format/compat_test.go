package format

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"aula/imagestore/format/formattest"
)

func TestCompatRoundsAsOpenGnsysDoes(t *testing.T) {
	t.Parallel()
	blocks := func(n int64, info Info) Info {
		info.Tool, info.Compressor, info.Blocks, info.BlockSize = Partclone, Gzip, n, 4096
		return info
	}
	tests := []struct {
		name string
		info Info
		want string
	}{
		{"the wiki's example", blocks(17602539, Info{Filesystem: "NTFS", RequiredBytes: 80e9, UsedBytes: 40e9}), "PARTCLONE:GZIP:NTFS:72100000"},
		{"below a GB it counts in KiB", blocks(38400, Info{Filesystem: "EXT4"}), "PARTCLONE:GZIP:EXTFS:161075"},
		{"from 1 TB on it is far off", blocks(488281250, Info{Filesystem: "XFS"}), "PARTCLONE:GZIP:XFS:2048"},
		{"unless something else is in GB", blocks(488281250, Info{Filesystem: "XFS", UsedBytes: 5e9}), "PARTCLONE:GZIP:XFS:2000000"},
		{"EXFAT is not EXTFS", blocks(262144, Info{Filesystem: "EXFAT"}), "PARTCLONE:GZIP:EXFAT:1100000"},
		{"HFS+", blocks(262144, Info{Filesystem: "HFSPLUS"}), "PARTCLONE:GZIP:HFSPLUS:1100000"},
		{"blocks not known", Info{Tool: Partclone, Compressor: Lzop, Filesystem: "FAT32", RequiredBytes: 2e9}, "PARTCLONE:LZOP:FAT32:2000000"},
		{"ntfsclone", Info{Tool: Ntfsclone, Compressor: Gzip, Filesystem: "NTFS", RequiredBytes: 50 << 30}, "NTFSCLONE:GZIP:NTFS:53687091"},
		{"partimage in GiB", Info{Tool: Partimage, Compressor: Gzip, Filesystem: "EXT3", RequiredBytes: 1500 << 20}, "PARTIMAGE:GZIP:EXT3FS:1530920"},
		{"partimage in MiB is taken for GiB", Info{Tool: Partimage, Compressor: Gzip, Filesystem: "NTFS", RequiredBytes: 60 << 20}, "PARTIMAGE:GZIP:NTFS:62914560"},
		{"raw", Info{Tool: Raw, Compressor: Gzip, Filesystem: Disk, RequiredBytes: 1 << 30}, "partclone.dd:GZIP::"},
	}
	for _, test := range tests {
		if got := test.info.Compat(); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

// TestPartcloneFigures compares with what partclone.info prints for images of so many blocks.
func TestPartcloneFigures(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("partclone.info"); err != nil {
		t.Skip("SKIPPED: partclone.info is not installed")
	}
	printed := regexp.MustCompile(`Device size: +([0-9.]+ [A-Za-z]+) =`)
	for _, blocks := range []int64{1, 2, 200, 244140, 244141, 500005, 12345678, 17602539, 268435457} {
		header := formattest.Partclone{Blocks: 1, DeviceSize: 1 << 44}.Header()
		binary.LittleEndian.PutUint64(header[60:], uint64(blocks))
		formattest.Seal(header)
		bitmap := make([]byte, (blocks+7)/8)
		bitmap[0] = 1
		image := append(append(header, bitmap...), crcOf(bitmap)...)
		out, err := exec.CommandContext(t.Context(), "partclone.info", "-L", t.TempDir()+"/log", "-s", writeImage(t, image)).CombinedOutput()
		if err != nil {
			t.Fatalf("partclone.info: %v: %s", err, out)
		}
		got := printed.FindSubmatch(out)
		figure, unit := partcloneFigure(blocks * 4096)
		want := fmt.Sprintf("%.1f %s", figure, unit)
		if got == nil || !bytes.Equal(got[1], []byte(strings.Replace(want, ".0 Byte", " Byte", 1))) {
			t.Errorf("%d blocks: partclone prints %q, this program takes it for %q", blocks, out, want)
		}
	}
}
