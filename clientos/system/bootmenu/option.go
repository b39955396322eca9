// Package bootmenu reads and writes the boot menu of a PC with UEFI: the variables Boot0000 to BootFFFF, which say what can be started, and BootOrder, which says
// in which order the firmware tries them (UEFI 2.10, chapter 3).
//
// It goes through the files of Linux' efivarfs itself rather than through efibootmgr, whose output differs between versions; the bytes are those that
// the specification gives. It decides nothing: which entries there should be is said by clientos/system.
package bootmenu

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
)

// Active is the attribute of an option that the firmware tries (LOAD_OPTION_ACTIVE).
const Active = 1

// An Option is one entry of the menu.
type Option struct {
	Attributes uint32
	Label      string
	// Disk and Loader are set when it starts a file of a partition.
	Disk   Place
	Loader string // from the root of the partition, with backslashes
	// Network tells whether it starts the PC from the network.
	Network bool
}

// A Place is a partition, as a device path names it.
type Place struct {
	Number  uint32
	Start   uint64 // in sectors of the disk
	Sectors uint64
	// ID is the GUID of a partition of a GPT, in capitals, or "DISK SIGNATURE/NUMBER" of an MBR, such as "0xdeadbeef/1". It alone says which partition
	// is meant: the rest changes when a partition is moved or resized.
	ID string
}

// ErrOption says that a variable holds no boot option.
var ErrOption = errors.New("not a boot option")

// Types and subtypes of the nodes of a device path (UEFI 2.10, 10.3).
const (
	typeMessaging = 3
	typeMedia     = 4
	typeEnd       = 0x7F

	mediaDisk = 1
	mediaFile = 4

	messagingMAC  = 11
	messagingIPv4 = 12
	messagingIPv6 = 13
	messagingURI  = 24

	diskNodeSize  = 42
	signatureDOS  = 1
	signatureGUID = 2
)

var le = binary.LittleEndian

// Parse reads an option: attributes, length of the device path, label, device path, and what is handed to the loader, which is not kept.
func Parse(b []byte) (Option, error) {
	if len(b) < 8 {
		return Option{}, fmt.Errorf("%w: it has %d bytes", ErrOption, len(b))
	}
	o := Option{Attributes: le.Uint32(b)}
	length := int(le.Uint16(b[4:]))
	label, rest, ok := cutText(b[6:])
	if !ok || length > len(rest) {
		return Option{}, fmt.Errorf("%w: its label or its path does not end", ErrOption)
	}
	o.Label = label
	return o, o.readPath(rest[:length])
}

// cutText reads UTF-16 up to its NUL.
func cutText(b []byte) (text string, rest []byte, ok bool) {
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		if le.Uint16(b) == 0 {
			return string(utf16.Decode(units)), b[2:], true
		}
		units = append(units, le.Uint16(b))
	}
	return "", nil, false
}

// readPath reads the first of the device paths, which may be several: nodes of type, subtype, length and content.
func (o *Option) readPath(path []byte) error {
	for len(path) > 0 {
		if len(path) < 4 || int(le.Uint16(path[2:])) < 4 || int(le.Uint16(path[2:])) > len(path) {
			return fmt.Errorf("%w: its path has a node that does not end", ErrOption)
		}
		kind, subtype := path[0], path[1]
		node := path[4:le.Uint16(path[2:])]
		path = path[4+len(node):]
		switch {
		case kind == typeEnd:
			return nil
		case kind == typeMedia && subtype == mediaDisk && len(node) == diskNodeSize-4:
			o.Disk = readPlace(node)
		case kind == typeMedia && subtype == mediaFile:
			name, _, ok := cutText(node)
			if !ok {
				return fmt.Errorf("%w: its loader's name does not end", ErrOption)
			}
			o.Loader += name
		case kind == typeMessaging && (subtype == messagingMAC || subtype == messagingIPv4 || subtype == messagingIPv6 || subtype == messagingURI):
			o.Network = true
		}
	}
	return nil
}

func readPlace(node []byte) Place {
	p := Place{Number: le.Uint32(node), Start: le.Uint64(node[4:]), Sectors: le.Uint64(node[12:])}
	switch signature := node[20:36]; node[37] {
	case signatureGUID:
		p.ID = formatGUID(signature)
	case signatureDOS:
		p.ID = DOS(le.Uint32(signature), int(p.Number))
	}
	return p
}

// DOS is the ID of a partition of an MBR.
func DOS(signature uint32, number int) string { return fmt.Sprintf("0x%08x/%d", signature, number) }

// formatGUID writes a GUID: its first three fields are little-endian.
func formatGUID(b []byte) string {
	return fmt.Sprintf("%08X-%04X-%04X-%X-%X", le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:]), b[8:10], b[10:16])
}

func parseGUID(s string) ([]byte, error) {
	parts := strings.Split(s, "-")
	b := make([]byte, 16)
	for i, want := range []int{8, 4, 4, 4, 12} {
		if len(parts) != 5 || len(parts[i]) != want {
			return nil, fmt.Errorf("%q is not a GUID", s)
		}
		n, err := strconv.ParseUint(parts[i], 16, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is not a GUID", s)
		}
		switch i {
		case 0:
			le.PutUint32(b, uint32(n))
		case 1, 2:
			le.PutUint16(b[2+2*i:], uint16(n))
		case 3:
			binary.BigEndian.PutUint16(b[8:], uint16(n))
		case 4:
			binary.BigEndian.PutUint16(b[10:], uint16(n>>32))
			binary.BigEndian.PutUint32(b[12:], uint32(n))
		}
	}
	return b, nil
}

// Bytes returns the option as the firmware takes it, for a loader on a partition.
func (o Option) Bytes() ([]byte, error) {
	node := make([]byte, diskNodeSize)
	node[0], node[1] = typeMedia, mediaDisk
	le.PutUint16(node[2:], diskNodeSize)
	le.PutUint32(node[4:], o.Disk.Number)
	le.PutUint64(node[8:], o.Disk.Start)
	le.PutUint64(node[16:], o.Disk.Sectors)
	if signature, _, dos := strings.Cut(o.Disk.ID, "/"); dos {
		n, err := strconv.ParseUint(signature, 0, 32)
		if err != nil {
			return nil, fmt.Errorf("%q is no disk signature", signature)
		}
		le.PutUint32(node[24:], uint32(n))
		node[40], node[41] = 1, signatureDOS
	} else {
		guid, err := parseGUID(o.Disk.ID)
		if err != nil {
			return nil, err
		}
		copy(node[24:], guid)
		node[40], node[41] = 2, signatureGUID
	}
	loader := text(o.Loader)
	path := append(node, typeMedia, mediaFile)
	path = le.AppendUint16(path, uint16(4+len(loader)))
	path = append(path, loader...)
	path = append(path, typeEnd, 0xFF, 4, 0)

	b := le.AppendUint32(nil, o.Attributes)
	b = le.AppendUint16(b, uint16(len(path)))
	return bytes.Join([][]byte{b, text(o.Label), path}, nil), nil
}

func text(s string) []byte {
	var b []byte
	for _, unit := range utf16.Encode([]rune(s + "\x00")) {
		b = le.AppendUint16(b, unit)
	}
	return b
}
