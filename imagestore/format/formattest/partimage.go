package formattest

import (
	"encoding/binary"
	"hash/crc32"
)

// Places in a partimage image without boot records.
const (
	PartimageMain  = 512   // main header
	PartimageLocal = 17164 // local header
	PartimageLen   = 16384 // of each, followed by the sum of its bytes
)

// A Partimage describes an image of partimage 0.6.9 in one volume. DeviceSize is the size of the partition; checksums do
// not count. The zero value of Filesystem stands for ext2fs.
type Partimage struct {
	Partclone
	BootRecords int // of 2048 bytes each
	Surplus     int // bytes of bitmap behind the last block, with all bits set
}

// Encode returns the image file.
func (p Partimage) Encode() []byte {
	le := binary.LittleEndian
	volume := make([]byte, 512)
	copy(volume, "PaRtImAgE-VoLuMe")
	copy(volume[32:], "0.6.1")
	le.PutUint64(volume[100:], 0x1234567)
	out := append(volume, withSum(p.main())...)
	out = append(out, "MAGIC-BEGIN-MBRBACKUP"...)
	out = append(out, make([]byte, 2048*p.BootRecords)...)
	for i := range 10 {
		out = append(out, "MAGIC-BEGIN-EXT00"...)
		out = append(out, byte('0'+i), 0, 0, 0, 0)
	}
	out = append(out, "MAGIC-BEGIN-LOCALHEADER"...)
	out = append(out, withSum(p.local())...)
	out = append(out, "MAGIC-BEGIN-BITMAP"...)
	out = append(out, p.bits()...)
	out = append(out, "MAGIC-BEGIN-INFO"...)
	out = append(out, withSum(make([]byte, PartimageLen))...)
	out = append(out, "MAGIC-BEGIN-DATABLOCKS"...)
	out = append(p.data(out), "MAGIC-BEGIN-TAIL"...)
	tail := make([]byte, PartimageLen)
	var sum uint64
	for _, b := range out[512:] {
		sum += uint64(b)
	}
	le.PutUint64(tail, sum)
	return append(out, tail...)
}

func (p Partimage) main() []byte {
	le := binary.LittleEndian
	b := make([]byte, PartimageLen)
	filesystem := p.Filesystem
	if filesystem == "" {
		filesystem = "ext2fs"
	}
	copy(b, filesystem)
	copy(b[512:], "No description")
	copy(b[9592:], p.Header()[52:60]) // device size
	copy(b[9728:], "0.6.1")
	le.PutUint32(b[9792:], uint32(p.BootRecords))
	le.PutUint32(b[9796:], 2048)
	return b
}

func (p Partimage) local() []byte {
	le := binary.LittleEndian
	b := make([]byte, PartimageLen)
	v2 := p.Header()
	le.PutUint64(b, uint64(p.blockSize()))
	copy(b[8:16], v2[76:84]) // used blocks
	le.PutUint64(b[16:], uint64(p.Blocks))
	le.PutUint64(b[24:], uint64(len(p.bits())))
	copy(b[40:], "label")
	return b
}

func (p Partimage) bits() []byte {
	b := make([]byte, (p.Blocks+7)/8+p.Surplus)
	for i := range 8 * len(b) {
		if i < p.Blocks && p.used(i) || i >= p.Blocks && p.Surplus > 0 {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return b
}

// data appends the used blocks with a check after each 64 KiB.
func (p Partimage) data(out []byte) []byte {
	var strip []byte
	for i := range p.Blocks {
		if !p.used(i) {
			continue
		}
		for _, b := range p.Block(i) {
			if strip = append(strip, b); len(strip) < 64<<10 {
				continue
			}
			out = append(append(out, strip...), "CHK\x00"...)
			out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(strip))
			out = binary.LittleEndian.AppendUint64(out, uint64(i))
			strip = strip[:0]
		}
	}
	return append(out, strip...)
}

// withSum appends the sum of b's bytes, taken as signed numbers.
func withSum(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, signedSum(b)) }

func signedSum(b []byte) uint32 {
	var sum uint32
	for _, c := range b {
		sum += uint32(int8(c))
	}
	return sum
}

// SealPartimage puts the right sums behind main and local header of an image without boot records.
func SealPartimage(file []byte) {
	for _, at := range []int{PartimageMain, PartimageLocal} {
		if end := at + PartimageLen; len(file) >= end+4 {
			binary.LittleEndian.PutUint32(file[end:], signedSum(file[at:end]))
		}
	}
}
