package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"aula/imagestore/format/formattest"
)

// A lie is a change of an image's headers and what reading it must answer.
type lie struct {
	name   string
	change func([]byte)
	want   error
}

func put16(at int, v uint16) func([]byte) {
	return func(b []byte) { binary.LittleEndian.PutUint16(b[at:], v) }
}

func put32(at int, v uint32) func([]byte) {
	return func(b []byte) { binary.LittleEndian.PutUint32(b[at:], v) }
}

func put64(at int, v uint64) func([]byte) {
	return func(b []byte) { binary.LittleEndian.PutUint64(b[at:], v) }
}

func putAll(changes ...func([]byte)) func([]byte) {
	return func(b []byte) {
		for _, change := range changes {
			change(b)
		}
	}
}

// checkLies makes sure that each lie is answered in little memory. Tests that call it must not be parallel.
func checkLies(t *testing.T, file []byte, lies []lie, seal func([]byte)) {
	t.Helper()
	if _, _, err := restore(bytes.NewReader(file)); err != nil {
		t.Fatalf("the honest image: %v", err)
	}
	for _, l := range lies {
		lying := bytes.Clone(file)
		l.change(lying)
		if seal != nil {
			seal(lying)
		}
		for form, data := range map[string][]byte{"plain": lying, "zstd": packFrames(t, lying, 1)} {
			var err error
			used := memory(func() { _, _, err = restore(bytes.NewReader(data)) })
			if !errors.Is(err, l.want) {
				t.Errorf("%s, %s: got error %v, want one wrapping %q", l.name, form, err, l.want)
			}
			if used > 48<<20 {
				t.Errorf("%s, %s: allocated %d MiB", l.name, form, used>>20)
			}
		}
	}
}

func TestHostilePartclone1(t *testing.T) {
	checkLies(t, smallImage(formattest.ChecksumNone).Encode1(false), []lie{
		{"block size 0", put32(36, 0), ErrCorrupt},
		{"block size 511", put32(36, 511), ErrCorrupt},
		{"block size 1024 of 512", put32(36, 1024), ErrCorrupt},
		{"block size 2^31", put32(36, 1<<31), ErrCorrupt},
		{"block size 2 MiB of 512", putAll(put32(36, 2<<20), put64(40, 1<<40)), ErrCorrupt},
		{"device of 0 bytes", put64(40, 0), ErrCorrupt},
		{"device of 2^63 bytes", put64(40, 1<<63), ErrCorrupt},
		{"no blocks", put64(48, 0), ErrCorrupt},
		{"2^64-7 blocks", put64(48, 1<<64-7), ErrCorrupt},
		{"blocks times block size is 2^64", put64(48, 1<<55), ErrCorrupt},
		{"16 TiB in a small file", putAll(put64(40, 16<<40), put32(36, 4096), put64(48, 4<<30)), ErrCorrupt},
		{"2^40 blocks", putAll(put64(40, 1<<62), put64(48, 1<<40)), ErrUnsupported},
		{"one block more", putAll(put64(40, 1<<40), put64(48, 61)), ErrCorrupt},
		{"one block less", put64(48, 59), ErrCorrupt},
		{"no mark after the bitmap", put64(4160+60, 0), ErrCorrupt},
		{"all blocks used", func(b []byte) {
			for i := range 60 {
				b[4160+i] = 1
			}
		}, ErrCorrupt},
		{"no filesystem", func(b []byte) { clear(b[15:30]) }, ErrCorrupt},
		{"control characters in the filesystem", func(b []byte) { copy(b[15:], "\x1B[2J") }, ErrCorrupt},
	}, nil)
}

func TestHostileNtfsclone(t *testing.T) {
	image := formattest.Ntfsclone{Partclone: smallImage(formattest.ChecksumNone), Major: 10, Minor: 1, Tail: make([]byte, 100)}
	const records = 0x38 // 4 clusters, a gap of 5, and so on
	gap := records + 4*513
	checkLies(t, image.Encode(), []lie{
		{"version 11.0", func(b []byte) { b[0x10] = 11 }, ErrUnsupported},
		{"version 10.2", func(b []byte) { b[0x11] = 2 }, ErrUnsupported},
		{"version 255.255", put16(0x10, 0xFFFF), ErrUnsupported},
		{"an old version, whose records are elsewhere", func(b []byte) { b[0x10] = 3 }, ErrCorrupt},
		{"cluster size 0", put32(0x12, 0), ErrCorrupt},
		{"cluster size 513", put32(0x12, 513), ErrCorrupt},
		{"cluster size 2^31", put32(0x12, 1<<31), ErrCorrupt},
		{"cluster size 4 MiB", putAll(put32(0x12, 4<<20), put64(0x16, 1<<40)), ErrCorrupt},
		{"cluster size 2 MiB of 512", putAll(put32(0x12, 2<<20), put64(0x16, 1<<40)), ErrCorrupt},
		{"device of 0 bytes", put64(0x16, 0), ErrCorrupt},
		{"device of 2^63 bytes", put64(0x16, 1<<63), ErrCorrupt},
		{"device of 17 TiB", put64(0x16, 17<<40), ErrUnsupported},
		{"device smaller than its clusters", put64(0x16, 60*512-1), ErrCorrupt},
		{"device that is all clusters, and no copy of the boot sector", put64(0x16, 60*512), ErrCorrupt},
		{"16 TiB in a small file", putAll(put64(0x16, 16<<40), put64(0x1E, 16<<40/512)), ErrCorrupt},
		{"no clusters", put64(0x1E, 0), ErrCorrupt},
		{"-1 clusters", put64(0x1E, 1<<64-1), ErrCorrupt},
		{"clusters times their size is 2^64", put64(0x1E, 1<<55), ErrCorrupt},
		{"more clusters in use than there are", put64(0x26, 61), ErrCorrupt},
		{"more clusters in use than come", put64(0x26, 29), ErrCorrupt},
		{"fewer clusters in use than come", put64(0x26, 27), ErrCorrupt},
		{"2^63 clusters in use", put64(0x26, 1<<63), ErrCorrupt},
		{"data at byte 0", put32(0x2E, 0), ErrCorrupt},
		{"data at byte 0x39", put32(0x2E, 0x39), ErrCorrupt},
		{"data at byte 2^32-1", put32(0x2E, 1<<32-1), ErrCorrupt},
		{"gap of no clusters", put64(gap+1, 0), ErrCorrupt},
		{"gap beyond the end", put64(gap+1, 57), ErrCorrupt},
		{"gap of 2^63-1 clusters", put64(gap+1, 1<<63-1), ErrCorrupt},
		{"gap backwards", put64(gap+1, 1<<64-3), ErrUnsupported},
		{"gap of -2^63 clusters", put64(gap+1, 1<<63), ErrUnsupported},
		{"unknown record", func(b []byte) { b[records] = 2 }, ErrCorrupt},
		{"gap in place of data", func(b []byte) { b[records] = 0 }, ErrCorrupt},
	}, nil)
}

func TestHostilePartimage(t *testing.T) {
	const main, local = formattest.PartimageMain, formattest.PartimageLocal
	checkLies(t, formattest.Partimage{Partclone: smallImage(formattest.ChecksumNone)}.Encode(), []lie{
		{"version 0.5", func(b []byte) { copy(b[32:], "0.5.9") }, ErrUnsupported},
		{"version without an end", func(b []byte) { copy(b[32:96], strings.Repeat("9", 64)) }, ErrUnsupported},
		{"volume 1", put32(96, 1), ErrUnsupported},
		{"no filesystem", func(b []byte) { clear(b[main : main+512]) }, ErrCorrupt},
		{"filesystem without an end", func(b []byte) { copy(b[main:main+512], bytes.Repeat([]byte{0xFF}, 512)) }, ErrCorrupt},
		{"partition of 0 bytes", put64(main+9592, 0), ErrCorrupt},
		{"partition of 2^64-1 bytes", put64(main+9592, 1<<64-1), ErrCorrupt},
		{"partition of 17 TiB", put64(main+9592, 17<<40), ErrUnsupported},
		{"2^32-1 boot records", put32(main+9792, 1<<32-1), ErrCorrupt},
		{"boot records of 2^32-1 bytes", putAll(put32(main+9792, 1), put32(main+9796, 1<<32-1)), ErrCorrupt},
		{"boot records that are not there", put32(main+9792, 60), ErrCorrupt},
		{"encrypted", put32(main+9800, 1), ErrUnsupported},
		{"record of 2^32-1 bytes", put32(16900+21+18, 1<<32-1), ErrCorrupt},
		{"record that is not there", put32(16900+21+18, 1<<19), ErrCorrupt},
		{"block size 0", put64(local, 0), ErrCorrupt},
		{"block size 2^63", put64(local, 1<<63), ErrCorrupt},
		{"block size 2 MiB of 512", putAll(put64(main+9592, 1<<40), put64(local, 2<<20)), ErrCorrupt},
		{"no blocks", put64(local+16, 0), ErrCorrupt},
		{"2^64-7 blocks", put64(local+16, 1<<64-7), ErrCorrupt},
		{"blocks times block size is 2^64", put64(local+16, 1<<55), ErrCorrupt},
		{"16 TiB in a small file", putAll(put64(main+9592, 16<<40), put64(local, 4096), put64(local+16, 4<<30), put64(local+24, 512<<20)), ErrCorrupt},
		{"too many blocks", putAll(put64(main+9592, 16<<40), put64(local+16, 16<<40/512)), ErrUnsupported},
		{"bitmap of no bytes", put64(local+24, 0), ErrCorrupt},
		{"bitmap of 2^64-1 bytes", put64(local+24, 1<<64-1), ErrCorrupt},
		{"bitmap longer by 4 MiB", put64(local+24, 8+4<<20), ErrCorrupt},
		{"bitmap longer by a byte", put64(local+24, 9), ErrCorrupt},
		{"all blocks used", func(b []byte) {
			at := local + formattest.PartimageLen + 4 + len("MAGIC-BEGIN-BITMAP")
			copy(b[at:], bytes.Repeat([]byte{0xFF}, 7))
		}, ErrCorrupt},
	}, formattest.SealPartimage)
}

// TestHostileContents claims sizes by which a raw image would be larger than any that is supported, or than it is.
func TestHostileContents(t *testing.T) {
	rest := func(b []byte) []byte { return append(b, make([]byte, sniffLen+512-len(b))...) }
	ext := fileWith(sniffLen, 0x438, "\x53\xEF")
	put32(0x404, 1<<32-1)(ext)
	ext64 := bytes.Clone(ext)
	putAll(put32(0x460, 0x80), put32(0x550, 1<<32-1))(ext64)
	ext64[0x418] = 6
	ntfs := fileWith(sniffLen, 3, "NTFS    \x00\x10")
	put64(0x28, 1<<63-1)(ntfs)
	exfat := fileWith(sniffLen, 3, "EXFAT   ")
	put64(0x48, 1<<64-1)(exfat)
	exfat[0x6C] = 12
	xfs := fileWith(sniffLen, 0, "XFSB\x00\x01\x00\x00\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF")
	btrfs := fileWith(sniffLen, btrfsOffset+0x40, "_BHRfS_M")
	put64(btrfsOffset+0xD1, 1<<64-1)(btrfs)
	f2fs := fileWith(sniffLen, 0x400, "\x10\x20\xF5\xF2")
	putAll(put32(0x410, 16), put64(0x424, 1<<64-1))(f2fs)
	lvm := fileWith(sniffLen, 0x200, "LABELONE")
	copy(lvm[0x218:], "LVM2 001")
	putAll(put32(0x214, 32), put64(0x240, 1<<64-1))(lvm)
	lvmOutside := bytes.Clone(lvm)
	put32(0x214, 1<<32-1)(lvmOutside)
	fat := fileWith(sniffLen, 0x52, "FAT32   ")
	putAll(put16(0x0B, 4096), put16(0x0E, 32), put32(0x20, 1<<32-1), put32(0x24, 1000))(fat)
	fat[0x0D], fat[0x10], fat[0x15] = 8, 2, 0xF8
	tests := []struct {
		name string
		file []byte
		want error
	}{
		{"ext of 4 TiB", ext, ErrCorrupt},
		{"ext of 2^80 bytes", ext64, ErrUnsupported},
		{"NTFS of 2^75 bytes", ntfs, ErrUnsupported},
		{"exFAT of 2^76 bytes", exfat, ErrUnsupported},
		{"XFS of 2^80 bytes", xfs, ErrUnsupported},
		{"btrfs of 2^64-1 bytes", btrfs, ErrUnsupported},
		{"F2FS of 2^80 bytes", f2fs, ErrUnsupported},
		{"LVM of 2^64-1 bytes", lvm, ErrUnsupported},
		{"LVM whose header is outside", lvmOutside, nil},
		{"FAT32 of 16 TiB less a sector", fat, ErrCorrupt},
	}
	for _, test := range tests {
		for form, file := range map[string][]byte{"plain": rest(test.file), "zstd": packFrames(t, rest(test.file), 1)} {
			var err error
			used := memory(func() { _, _, err = restore(bytes.NewReader(file)) })
			if !errors.Is(err, test.want) {
				t.Errorf("%s, %s: got error %v, want %v", test.name, form, err, test.want)
			}
			if used > 48<<20 {
				t.Errorf("%s, %s: allocated %d MiB", test.name, form, used>>20)
			}
		}
	}
}

// TestTruncatedTools cuts an image of every tool.
func TestTruncatedTools(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t) {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			step := 61
			if len(s.file) < 20_000 {
				step = 7
			}
			for n := 0; n < len(s.file); n++ {
				if n > 160 && n < len(s.file)-130 && n%step != 0 {
					continue
				}
				_, _, err := restore(bytes.NewReader(s.file[:n]))
				known := n >= 16
				if s.info.Tool == Raw {
					known = n >= 512
				}
				if known && !errors.Is(err, ErrCorrupt) || !known && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNotImage) {
					t.Errorf("cut after %d of %d bytes: got error %v, want damage", n, len(s.file), err)
				}
			}
		})
	}
}

// TestTrailingDataOfTools puts something behind an image of every tool.
func TestTrailingDataOfTools(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t) {
		for name, more := range map[string][]byte{"a byte": {0}, "a sector": make([]byte, 512), "itself": s.file} {
			_, _, err := restore(bytes.NewReader(append(slices.Clone(s.file), more...)))
			if s.info.Tool == Raw && len(more)%512 == 0 {
				if err != nil {
					t.Errorf("%s, then %s: %v", s.name, name, err) // a raw image has no end of its own
				}
			} else if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s, then %s: got error %v, want damage", s.name, name, err)
			}
		}
	}
}

// TestBitFlipsOfTools flips bits of the images whose data has checksums. What still restores must restore to the same.
func TestBitFlipsOfTools(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t) {
		if !s.checked {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			file := slices.Clone(s.file)
			for i := 0; i < len(file); i += 1 + i/500*3 {
				bit := byte(1) << (i % 8)
				file[i] ^= bit
				_, disk, err := restore(bytes.NewReader(file))
				file[i] ^= bit
				if err == nil && !sameStart(disk, s.partition) {
					t.Errorf("bit of byte %d flipped: restored another partition without an error", i)
				}
			}
		})
	}
}

// TestVolumesPutTogether reads volumes of partimage that were joined without JoinPartimage.
func TestVolumesPutTogether(t *testing.T) {
	t.Parallel()
	body := formattest.Partclone{Blocks: 100}
	file := formattest.Partimage{Partclone: body}.Encode()
	volumes := splitPartimage(file, 200_000)
	_, _, err := restore(bytes.NewReader(slices.Concat(volumes...)))
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "join them again") {
		t.Errorf("got %v", err)
	}
}
