package format

import "testing"

func TestCompatRoundsAsOpenGnsysDoes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		info Info
		want string
	}{
		{"the wiki's example", Info{Tool: Partclone, Compressor: Lzop, Filesystem: "NTFS", RequiredBytes: 72_100_012_032}, "PARTCLONE:LZOP:NTFS:72100000"},
		{"below a GB it counts in KiB", Info{Tool: Partclone, Compressor: Gzip, Filesystem: "EXT4", RequiredBytes: 150 << 20}, "PARTCLONE:GZIP:EXTFS:161075"},
		{"from 1 TB on it is far off", Info{Tool: Partclone, Compressor: Gzip, Filesystem: "XFS", RequiredBytes: 2e12}, "PARTCLONE:GZIP:XFS:2048"},
		{"EXFAT is not EXTFS", Info{Tool: Partclone, Compressor: None, Filesystem: "EXFAT", RequiredBytes: 1e9}, "PARTCLONE:NONE:EXFAT:1000000"},
		{"ntfsclone", Info{Tool: Ntfsclone, Compressor: Gzip, Filesystem: "NTFS", RequiredBytes: 50 << 30}, "NTFSCLONE:GZIP:NTFS:53687091"},
		{"partimage in GiB", Info{Tool: Partimage, Compressor: Gzip, Filesystem: "EXT3", RequiredBytes: 1500 << 20}, "PARTIMAGE:GZIP:EXT3:1530921"},
		{"partimage in MiB is taken for GiB", Info{Tool: Partimage, Compressor: Gzip, Filesystem: "EXT3", RequiredBytes: 60 << 20}, "PARTIMAGE:GZIP:EXT3:62914560"},
		{"raw", Info{Tool: Raw, Compressor: Gzip, Filesystem: Disk, RequiredBytes: 1 << 30}, "partclone.dd:GZIP::"},
	}
	for _, test := range tests {
		if got := test.info.Compat(); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}
