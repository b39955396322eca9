package lzop

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/adler32"
	"hash/crc32"
	"io"
	"os/exec"
	"testing"
)

// file is an lzop file to be, with one stored block.
type file struct {
	version, needed uint16
	method          byte
	flags           uint32
	name, extra     string
	plain           string
}

// sample is a file as lzop makes it of its standard input.
func sample() file {
	return file{version: 0x1040, needed: 0x0940, method: 1, flags: flagUnix | flagPlainAdler, plain: "partclone"}
}

func (f file) sum(p []byte) uint32 {
	if f.flags&flagHeaderCRC != 0 {
		return crc32.ChecksumIEEE(p)
	}
	return adler32.Checksum(p)
}

func (f file) encode() []byte {
	be := binary.BigEndian
	out := []byte(Magic)
	out = be.AppendUint16(out, f.version)
	out = be.AppendUint16(out, 0x20a0)
	if f.version >= 0x0940 {
		out = be.AppendUint16(out, f.needed)
	}
	out = append(out, f.method)
	if f.version >= 0x0940 {
		out = append(out, 5)
	}
	out = be.AppendUint32(out, f.flags)
	if f.flags&flagFilter != 0 {
		out = be.AppendUint32(out, 1)
	}
	out = append(out, 0, 0, 0x81, 0xa4, 0x63, 0, 0, 0)
	if f.version >= 0x0940 {
		out = append(out, 0, 0, 0, 0)
	}
	out = append(append(out, byte(len(f.name))), f.name...)
	out = be.AppendUint32(out, f.sum(out[len(Magic):]))
	if f.flags&flagExtra != 0 {
		at := len(out)
		out = append(be.AppendUint32(out, uint32(len(f.extra))), f.extra...)
		out = be.AppendUint32(out, f.sum(out[at:]))
	}
	out = be.AppendUint32(out, uint32(len(f.plain)))
	out = be.AppendUint32(out, uint32(len(f.plain)))
	if f.flags&flagPlainAdler != 0 {
		out = be.AppendUint32(out, adler32.Checksum([]byte(f.plain)))
	}
	if f.flags&flagPlainCRC != 0 {
		out = be.AppendUint32(out, crc32.ChecksumIEEE([]byte(f.plain)))
	}
	out = append(out, f.plain...)
	return append(out, 0, 0, 0, 0)
}

// TestHeaders reads headers that few lzop files have, and asks the tool whether it reads them too.
func TestHeaders(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		change func(*file)
		want   error
	}{
		{"as lzop makes it", func(f *file) {}, nil},
		{"oldest version", func(f *file) { f.version = 0x0900 }, nil},
		{"older than that", func(f *file) { f.version = 0x08ff }, ErrUnsupported},
		{"last version without a level", func(f *file) { f.version = 0x093f }, nil},
		{"first version with a level", func(f *file) { f.version = 0x0940 }, nil},
		{"newer version that old ones can read", func(f *file) { f.version = 0x1050 }, nil},
		{"newer version that old ones cannot read", func(f *file) { f.version, f.needed = 0x1050, 0x1050 }, ErrUnsupported},
		{"LZO1X-1(15)", func(f *file) { f.method = 2 }, nil},
		{"LZO1X-999", func(f *file) { f.method = 3 }, nil},
		{"no method", func(f *file) { f.method = 0 }, ErrUnsupported},
		{"unknown method", func(f *file) { f.method = 4 }, ErrUnsupported},
		{"longest name", func(f *file) { f.name = string(bytes.Repeat([]byte("n"), 255)) }, nil},
		{"no checksums", func(f *file) { f.flags &^= flagPlainAdler }, nil},
		{"both checksums of plain bytes", func(f *file) { f.flags |= flagPlainCRC }, nil},
		{"all checksums", func(f *file) { f.flags |= flagPlainCRC | flagPackedAdler | flagPackedCRC }, nil},
		{"header with CRC-32", func(f *file) { f.flags |= flagHeaderCRC }, nil},
		{"extra field", func(f *file) { f.flags |= flagExtra; f.extra = "something" }, nil},
		{"extra field under CRC-32", func(f *file) { f.flags |= flagExtra | flagHeaderCRC; f.extra = "something" }, nil},
		{"empty extra field", func(f *file) { f.flags |= flagExtra }, nil},
		{"made on another system", func(f *file) { f.flags ^= 0x08100000 }, nil},
		{"path in the name", func(f *file) { f.flags |= 0x2000; f.name = "a/b" }, nil},
		{"filter", func(f *file) { f.flags |= flagFilter }, ErrUnsupported},
		{"part of a split file", func(f *file) { f.flags |= flagMultipart }, ErrUnsupported},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			f := sample()
			test.change(&f)
			got, err := unpack(f.encode())
			if !errors.Is(err, test.want) || err == nil && string(got) != f.plain {
				t.Errorf("got %q, %v, want %q, %v", got, err, f.plain, test.want)
			}
			cmd := exec.CommandContext(t.Context(), "lzop", "-t")
			cmd.Stdin = bytes.NewReader(f.encode())
			out, err := cmd.CombinedOutput()
			if (err == nil) != (test.want == nil) {
				t.Errorf("lzop -t: %v %s", err, out)
			}
		})
	}
}

func TestDamagedHeaders(t *testing.T) {
	t.Parallel()
	for _, flags := range []uint32{flagExtra, flagExtra | flagHeaderCRC} {
		f := sample()
		f.flags |= flags
		f.name, f.extra = "name", "extra"
		whole := f.encode()
		end := len(whole) - 4 - len(f.plain) - 4 - 4 - 4
		for i := range 8 * end {
			damaged := bytes.Clone(whole)
			damaged[i/8] ^= 1 << (i % 8)
			if _, err := unpack(damaged); !isBad(err) {
				t.Errorf("bit %d of byte %d changed: got %v, want an error about it", i%8, i/8, err)
			}
		}
	}
}

// isBad tells whether err is one of those that a bad file has.
func isBad(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnsupported) || errors.Is(err, io.ErrUnexpectedEOF)
}
