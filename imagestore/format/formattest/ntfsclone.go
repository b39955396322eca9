package formattest

import "encoding/binary"

// An Ntfsclone describes an image in ntfsclone's special format. The blocks of its Partclone are the clusters; filesystem
// and checksums do not count.
type Ntfsclone struct {
	Partclone
	Major, Minor byte   // 10 and 1 for what ntfsclone writes today
	Tail         []byte // what lies behind the last cluster, for version 10.1
}

// Encode returns the image file.
func (n Ntfsclone) Encode() []byte {
	le := binary.LittleEndian
	h := make([]byte, 0x38)
	v2 := n.Header()
	copy(h, "\x00ntfsclone-image")
	h[0x10], h[0x11] = n.Major, n.Minor
	le.PutUint32(h[0x12:], uint32(n.blockSize()))
	le.PutUint64(h[0x16:], uint64(n.Blocks*n.blockSize()+len(n.Tail)))
	if n.DeviceSize != 0 {
		le.PutUint64(h[0x16:], uint64(n.DeviceSize))
	}
	le.PutUint64(h[0x1E:], uint64(n.Blocks))
	copy(h[0x26:0x2E], v2[76:84]) // used blocks
	le.PutUint32(h[0x2E:], 0x38)
	if n.Major < 10 {
		h = h[:0x2E]
	}
	out, gap := h, uint64(0)
	for i := range n.Blocks {
		if !n.used(i) {
			gap++
			continue
		}
		if gap > 0 {
			out = le.AppendUint64(append(out, 0), gap)
			gap = 0
		}
		out = append(append(out, 1), n.Block(i)...)
	}
	if gap > 0 {
		out = le.AppendUint64(append(out, 0), gap)
	}
	if n.Major == 10 && n.Minor > 0 {
		out = append(append(out, 1), n.Tail...)
	}
	return out
}
