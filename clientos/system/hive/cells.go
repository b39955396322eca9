package hive

import "fmt"

// maxHive bounds how large a hive is made, in bytes: Windows itself takes none of 2 GiB.
const maxHive = 1 << 30

// allocate returns the offset of a used cell with room for n bytes, all zero: a free one that is large enough, or one in a new bin at the end. The bytes of
// the hive may move.
func (h *Hive) allocate(n int) (uint32, error) {
	need := (n + 4 + 7) &^ 7
	at := h.findFree(need)
	if at < 0 {
		var err error
		if at, err = h.addBin(need); err != nil {
			return 0, err
		}
	}
	have := int(cellSize(h.data[at:]))
	if have-need >= 8 {
		le.PutUint32(h.data[at+need:], uint32(have-need))
		h.cells[(at+need-headSize)/8] = true
		have = need
	}
	le.PutUint32(h.data[at:], uint32(int32(-have)))
	clear(h.data[at+4 : at+have])
	return uint32(at - headSize), nil
}

// findFree returns where in data the first free cell of at least need bytes is, -1 for none.
func (h *Hive) findFree(need int) int {
	for off := headSize; off < len(h.data); {
		end := off + int(le.Uint32(h.data[off+8:]))
		for at := off + binHeadSize; at < end; at += int(cellSize(h.data[at:])) {
			if n := int(int32(le.Uint32(h.data[at:]))); n >= need {
				return at
			}
		}
		off = end
	}
	return -1
}

// addBin appends a bin that is one free cell of at least need bytes, and returns where that is.
func (h *Hive) addBin(need int) (int, error) {
	size := (need + binHeadSize + binSize - 1) &^ (binSize - 1)
	if len(h.data)+size > maxHive {
		return 0, fmt.Errorf("%w: it has %d bytes and no room", ErrNotHive, len(h.data))
	}
	start := len(h.data)
	h.data = append(h.data, make([]byte, size)...)
	h.cells = append(h.cells, make([]bool, size/8)...)
	h.cells[(start+binHeadSize-headSize)/8] = true
	bin := h.data[start:]
	copy(bin, "hbin")
	le.PutUint32(bin[4:], uint32(start-headSize))
	le.PutUint32(bin[8:], uint32(size))
	le.PutUint32(bin[binHeadSize:], uint32(size-binHeadSize))
	return start + binHeadSize, nil
}

// free gives a used cell back. What it held stays until something else is put there, as in Windows.
func (h *Hive) free(off uint32) {
	if c, err := h.cell(off, 4); err == nil {
		le.PutUint32(h.data[int(off)+headSize:], uint32(len(c)+4))
	}
}
