// Package hive reads and changes hives, the files in which Windows keeps its registry, while Windows does not run.
//
// It changes strings, and nothing else: every other byte of the hive stays where it is, apart from the sequence numbers and the checksum in its head. It
// creates no keys, and it applies no transaction logs: a hive that needs them is refused as dirty.
//
// The format has no specification of Microsoft's; what is said of it here is after "Windows registry file format specification" of M. Suhanov, and what
// hivex 1.3 (libguestfs) reads and writes.
package hive

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Errors that callers tell apart.
var (
	// ErrNotHive says that the file is no hive, or a damaged one.
	ErrNotHive = errors.New("not a sound registry hive")
	// ErrDirty says that changes of the hive are still in its transaction logs: Windows was not shut down.
	ErrDirty = errors.New("the registry was not written to the end")
	// ErrNotFound says that there is no such key or value.
	ErrNotFound = errors.New("not in the registry")
)

// The head of a hive (its base block) is one page; offsets in a hive count from its end. All numbers are little-endian.
const (
	headSize    = 4096
	binSize     = 4096 // bins are multiples of it
	binHeadSize = 32

	atSequence1 = 4  // grows before the hive is written
	atSequence2 = 8  // and after it: they differ when a write did not come to its end
	atMajor     = 20 // 1
	atMinor     = 24 // 3 to 6
	atRoot      = 36 // offset of the root key
	atBins      = 40 // bytes of all bins
	atChecksum  = 508
)

// none is the offset of what is not there.
const none = 0xFFFFFFFF

var le = binary.LittleEndian

// A Hive is one file of the registry.
type Hive struct {
	data  []byte // head and bins
	root  uint32
	cells []bool // for each eight bytes of the bins, whether a cell begins there: no two cells share a byte
}

// Parse reads a hive. It keeps data, which the caller must not change.
func Parse(data []byte) (*Hive, error) {
	if len(data) < headSize+binSize || string(data[:4]) != "regf" {
		return nil, fmt.Errorf("%w: it has no head", ErrNotHive)
	}
	if le.Uint32(data[atChecksum:]) != checksum(data) || le.Uint32(data[atSequence1:]) != le.Uint32(data[atSequence2:]) {
		return nil, ErrDirty
	}
	if major, minor := le.Uint32(data[atMajor:]), le.Uint32(data[atMinor:]); major != 1 || minor < 3 || minor > 6 {
		return nil, fmt.Errorf("%w: version %d.%d is not known", ErrNotHive, major, minor)
	}
	bins := int64(le.Uint32(data[atBins:]))
	if bins%binSize != 0 || bins == 0 || bins > int64(len(data)-headSize) {
		return nil, fmt.Errorf("%w: its bins are said to take %d bytes of a file of %d", ErrNotHive, bins, len(data))
	}
	h := &Hive{data: slices.Clone(data[:headSize+bins]), root: le.Uint32(data[atRoot:])}
	if err := h.checkBins(); err != nil {
		return nil, err
	}
	_, err := h.Key()
	return h, err
}

// checkBins walks over all bins and notes where their cells begin, so that an offset of the file is believed only when it is one of those.
func (h *Hive) checkBins() error {
	h.cells = make([]bool, (len(h.data)-headSize)/8)
	for off := headSize; off < len(h.data); {
		size := int64(le.Uint32(h.data[off+8:]))
		if string(h.data[off:off+4]) != "hbin" || size == 0 || size%binSize != 0 || size > int64(len(h.data)-off) {
			return fmt.Errorf("%w: no bin at %d", ErrNotHive, off)
		}
		end := off + int(size)
		for at := off + binHeadSize; at < end; {
			n := cellSize(h.data[at:])
			if n < 8 || n%8 != 0 || n > int64(end-at) {
				return fmt.Errorf("%w: a cell of %d bytes at %d", ErrNotHive, n, at)
			}
			h.cells[(at-headSize)/8] = true
			at += int(n)
		}
		off = end
	}
	return nil
}

// cellSize is the size of a cell with the four bytes that say so; free cells say it as a positive number, used ones as a negative.
func cellSize(cell []byte) int64 {
	n := int64(int32(le.Uint32(cell)))
	if n < 0 {
		n = -n
	}
	return n
}

// checksum is the exclusive or of the first 127 words of the head, of which 0 and -1 are not used.
func checksum(head []byte) uint32 {
	var sum uint32
	for i := 0; i < atChecksum; i += 4 {
		sum ^= le.Uint32(head[i:])
	}
	switch sum {
	case 0:
		return 1
	case none:
		return none - 1
	}
	return sum
}

// Bytes returns the file of the hive as it is now, with new sequence numbers.
func (h *Hive) Bytes() []byte {
	data := slices.Clone(h.data)
	sequence := le.Uint32(data[atSequence1:]) + 1
	le.PutUint32(data[atSequence1:], sequence)
	le.PutUint32(data[atSequence2:], sequence)
	le.PutUint32(data[atBins:], uint32(len(data)-headSize))
	le.PutUint32(data[atChecksum:], checksum(data))
	return data
}

// cell returns what the used cell at an offset holds, without the size before it, when it is at least so long.
func (h *Hive) cell(off uint32, least int) ([]byte, error) {
	if off%8 != 0 || int64(off/8) >= int64(len(h.cells)) || !h.cells[off/8] {
		return nil, fmt.Errorf("%w: nothing is at offset %#x", ErrNotHive, off)
	}
	at := int64(off) + headSize
	n := -int64(int32(le.Uint32(h.data[at:])))
	if n < int64(least)+4 {
		return nil, fmt.Errorf("%w: a cell of %d bytes at offset %#x, which must hold %d", ErrNotHive, n, off, least)
	}
	return h.data[at+4 : at+n], nil
}

// A Key is a key of a hive.
type Key struct {
	hive *Hive
	off  uint32
	Path string // from the root, with backslashes
}

// What a key's cell holds.
const (
	keyFlags      = 2
	keySubkeys    = 20
	keySubkeyList = 28
	keyValues     = 36
	keyValueList  = 40
	keyMaxName    = 60 // of the names of its values, bytes in UTF-16
	keyMaxData    = 64 // of its values
	keyNameLength = 72
	keyName       = 76

	compressedKeyName   = 0x20 // the name is Latin-1, not UTF-16
	compressedValueName = 1
)

// Key returns the key at a path from the root, whatever the case of its letters, or ErrNotFound.
func (h *Hive) Key(path ...string) (Key, error) {
	k := Key{hive: h, off: h.root}
	if _, err := k.cell(); err != nil {
		return Key{}, err
	}
	for _, name := range path {
		subkeys, err := k.Subkeys()
		if err != nil {
			return Key{}, err
		}
		i := slices.IndexFunc(subkeys, func(s Key) bool { return strings.EqualFold(s.Name(), name) })
		if i < 0 {
			return Key{}, fmt.Errorf("key %s: %w", strings.Join(path, `\`), ErrNotFound)
		}
		k = subkeys[i]
	}
	return k, nil
}

func (k Key) cell() ([]byte, error) {
	c, err := k.hive.cell(k.off, keyName)
	if err != nil {
		return nil, err
	}
	if string(c[:2]) != "nk" || keyName+int(le.Uint16(c[keyNameLength:])) > len(c) {
		return nil, fmt.Errorf("%w: no key at offset %#x", ErrNotHive, k.off)
	}
	return c, nil
}

// Name is the last part of the key's path.
func (k Key) Name() string {
	return k.Path[strings.LastIndex(k.Path, `\`)+1:]
}

// Subkeys returns the keys below k.
func (k Key) Subkeys() ([]Key, error) {
	c, err := k.cell()
	if err != nil || le.Uint32(c[keySubkeys:]) == 0 {
		return nil, err
	}
	offsets, err := k.hive.list(le.Uint32(c[keySubkeyList:]), true)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", k.Path, err)
	}
	var keys []Key
	for _, off := range offsets {
		sub := Key{hive: k.hive, off: off}
		c, err := sub.cell()
		if err != nil {
			return nil, err
		}
		name := c[keyName : keyName+int(le.Uint16(c[keyNameLength:]))]
		sub.Path = strings.TrimPrefix(k.Path+`\`+decode(name, le.Uint16(c[keyFlags:])&compressedKeyName != 0), `\`)
		keys = append(keys, sub)
	}
	return keys, nil
}

// list reads a list of subkeys: "li" has offsets, "lf" and "lh" have a hash beside each, "ri" is a list of those lists.
func (h *Hive) list(off uint32, nested bool) ([]uint32, error) {
	c, err := h.cell(off, 4)
	if err != nil {
		return nil, err
	}
	kind, step := string(c[:2]), 4
	if kind == "lf" || kind == "lh" {
		step = 8
	}
	n := int(le.Uint16(c[2:]))
	if kind != "li" && kind != "lf" && kind != "lh" && (kind != "ri" || !nested) || 4+n*step > len(c) {
		return nil, fmt.Errorf("%w: no list of keys at offset %#x", ErrNotHive, off)
	}
	var offsets []uint32
	for i := range n {
		entry := le.Uint32(c[4+i*step:])
		if kind != "ri" {
			offsets = append(offsets, entry)
			continue
		}
		below, err := h.list(entry, false)
		if err != nil {
			return nil, err
		}
		if len(offsets)+len(below) > len(h.cells) {
			return nil, fmt.Errorf("%w: more keys than cells at offset %#x", ErrNotHive, off)
		}
		offsets = append(offsets, below...)
	}
	return offsets, nil
}
