package format

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"aula/imagestore/format/formattest"
)

// plainSeeds are the real images whose names contain part, decompressed, if small.
func plainSeeds(f *testing.F, part string) [][]byte {
	f.Helper()
	var all [][]byte
	for name, seed := range allSeeds(f) {
		if plain := plainOf(f, seed); strings.Contains(name, part) && len(plain) < 200<<10 {
			all = append(all, plain)
		}
	}
	return all
}

// FuzzPartclone1 gives header, bitmap and data of format 0001 apart.
func FuzzPartclone1(f *testing.F) {
	const end = formattest.Partclone1HeaderLen
	for _, wide := range []bool{false, true} {
		file := smallImage(formattest.ChecksumNone).Encode1(wide)
		f.Add(file[:64], file[end:end+60], file[end+68:])
	}
	f.Fuzz(func(t *testing.T, header, flags, data []byte) {
		file := make([]byte, end)
		copy(file, header[:min(64, len(header))])
		copy(file, "partclone-image")
		copy(file[30:], "0001")
		file = append(file, flags...)
		file = append(file, "BiTmAgIc"...)
		fuzzRestore(t, append(file, data...))
	})
}

// FuzzNtfsclone reads whatever comes behind the magic.
func FuzzNtfsclone(f *testing.F) {
	body := smallImage(formattest.ChecksumNone)
	f.Add(formattest.Ntfsclone{Partclone: body, Major: 10}.Encode())
	f.Add(formattest.Ntfsclone{Partclone: body, Major: 3}.Encode())
	f.Add(formattest.Ntfsclone{Partclone: body, Major: 10, Minor: 1, Tail: []byte("tail")}.Encode())
	f.Fuzz(func(t *testing.T, file []byte) {
		fuzzRestore(t, append([]byte(ntfscloneMagic), file[min(len(file), len(ntfscloneMagic)):]...))
	})
}

// FuzzPartimage is FuzzReader behind the sums of partimage's headers and of the whole.
func FuzzPartimage(f *testing.F) {
	f.Add(formattest.Partimage{Partclone: smallImage(formattest.ChecksumNone)}.Encode())
	f.Add(formattest.Partimage{Partclone: formattest.Partclone{Blocks: 20}, Surplus: 5}.Encode())
	f.Add(formattest.Partimage{Partclone: formattest.Partclone{Blocks: 20}, BootRecords: 1}.Encode())
	for _, seed := range plainSeeds(f, "partimage") {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		copy(file, partimageMagic)
		formattest.SealPartimage(file)
		if end := len(file) - partimageRecordLen; end > partimageVolumeLen {
			binary.LittleEndian.PutUint64(file[end:], byteSum(file[partimageVolumeLen:end]))
		}
		fuzzRestore(t, file)
	})
}

// FuzzContent looks for a filesystem or partition table in whatever comes. What it says is within bounds and can be printed.
func FuzzContent(f *testing.F) {
	for _, seed := range plainSeeds(f, "raw") {
		f.Add(seed[:min(len(seed), sniffLen)], byte(0))
	}
	all := slices.Concat(bootSectors(), superblocks())
	for i := range all {
		f.Add([]byte("FAT     NTFS    EXFAT   XFSB"), byte(i))
	}
	f.Fuzz(func(t *testing.T, head []byte, which byte) {
		found := []content{}
		if c, ok := findContent(head); ok {
			found = append(found, c)
		}
		s := all[int(which)%len(all)]
		block := make([]byte, s.length)
		copy(block, head)
		if c, ok := s.parse(block); ok {
			found = append(found, c)
		}
		for _, c := range found {
			unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
			if c.filesystem == "" || c.bytes < 0 || !utf8.ValidString(c.label) || strings.ContainsFunc(c.label+c.uuid, unprintable) {
				t.Errorf("found %+v", c)
			}
		}
		for _, filesystem := range []string{"EXTFS", "NTFS", "FAT16", Disk} {
			info := Info{Tool: Partclone, Filesystem: filesystem, RequiredBytes: 1 << 20, BlockSize: 4096}
			refine(&info, 0, head)
			if info.RequiredBytes < 1<<20-4096 || info.RequiredBytes > 1<<20+4096 {
				t.Errorf("%s: refined to %d bytes", filesystem, info.RequiredBytes)
			}
		}
	})
}

// FuzzJoinPartimage joins whatever comes as volumes; what is joined is as long as its parts.
func FuzzJoinPartimage(f *testing.F) {
	for _, seed := range append(plainSeeds(f, "partimage"), formattest.Partimage{Partclone: smallImage(formattest.ChecksumNone)}.Encode()) {
		v := splitPartimage(seed, len(seed)*2/3)
		f.Add(v[0], v[1])
		f.Add(packFrames(f, v[0], 1), v[1])
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		for _, number := range []uint32{0, 1} {
			volume := [][]byte{first, second}[number]
			if len(volume) >= partimageVolumeLen && bytes.HasPrefix(volume, []byte(partimageMagic)) {
				binary.LittleEndian.PutUint32(volume[96:], number)
			}
		}
		var joined bytes.Buffer
		if err := JoinPartimage(&joined, readersOf(first, second)); err != nil {
			return
		}
		a, b := plainOf(t, first), plainOf(t, second)
		if joined.Len() != len(a)+len(b)-partimageVolumeLen {
			t.Errorf("volumes of %d and %d bytes became %d", len(a), len(b), joined.Len())
		}
		if r, err := NewReader(&joined); err == nil {
			for err == nil {
				_, _, err = r.Next()
			}
			if err == io.EOF && r.Info().Tool != Partimage {
				t.Errorf("volumes became %s", r.Info())
			}
			r.Close()
		}
	})
}
