// Package hivetest makes registry hives for tests, from nothing: a head, bins, and in them keys with their values.
package hivetest

import (
	"encoding/binary"
	"slices"
	"unicode/utf16"
)

// A Key is a key of a hive to be made.
type Key struct {
	Name   string
	Values []Value
	Keys   []Key
}

// A Value is a value of a Key.
type Value struct {
	Name string
	Type uint32
	Data []byte
}

// Text returns a REG_SZ.
func Text(name, text string) Value {
	var data []byte
	for _, unit := range utf16.Encode([]rune(text + "\x00")) {
		data = binary.LittleEndian.AppendUint16(data, unit)
	}
	return Value{name, 1, data}
}

// Number returns a REG_DWORD.
func Number(name string, n uint32) Value {
	return Value{name, 4, binary.LittleEndian.AppendUint32(nil, n)}
}

// Windows returns what the hive SYSTEM of a Windows named name has where names are kept, with two control sets of which the first is current.
func Windows(name string) Key {
	set := func(set string) Key {
		return Key{Name: set, Keys: []Key{
			{Name: "Control", Keys: []Key{{Name: "ComputerName", Keys: []Key{
				{Name: "ComputerName", Values: []Value{Text("", "mnmsrvc"), Text("ComputerName", name)}},
			}}}},
			{Name: "Services", Keys: []Key{{Name: "Tcpip", Keys: []Key{{Name: "Parameters", Values: []Value{
				Text("DataBasePath", `%SystemRoot%\System32\drivers\etc`), Text("Domain", ""), Number("ForwardBroadcasts", 0),
				Text("Hostname", name), Text("NV Hostname", name), Text("ICSDomain", "mshome.net"),
			}}}}}},
		}}
	}
	return Key{Name: "ROOT", Keys: []Key{
		set("ControlSet001"), set("ControlSet002"),
		{Name: "Select", Values: []Value{Number("Current", 1), Number("Default", 1), Number("Failed", 0), Number("LastKnownGood", 2)}},
		{Name: "Setup", Values: []Value{Number("SystemSetupInProgress", 0)}},
	}}
}

const (
	page = 4096
	none = 0xFFFFFFFF
)

var le = binary.LittleEndian

// A maker puts cells one after the other, in one bin.
type maker struct{ bin []byte }

// Make returns the file of a hive with the root, as Windows 7 and later write it.
func Make(root Key) []byte {
	m := maker{bin: make([]byte, 32)}
	// The security descriptor that all keys share: empty, and next and previous of itself (offset 32).
	descriptor := []byte{1, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	sk := append([]byte("sk\x00\x00"), le32(32, 32, 1, uint32(len(descriptor)))...)
	m.cell(append(sk, descriptor...))
	at := m.key(root, none)

	size := (len(m.bin) + page - 1 + 16) &^ (page - 1)
	free := size - len(m.bin)
	m.bin = append(m.bin, make([]byte, free)...)
	le.PutUint32(m.bin[size-free:], uint32(free))
	copy(m.bin, "hbin")
	le.PutUint32(m.bin[8:], uint32(size))

	head := make([]byte, page)
	copy(head, "regf")
	copy(head[4:], le32(7, 7)) // the two sequence numbers
	copy(head[20:], le32(1, 5, 0, 1, at, uint32(size), 1))
	var sum uint32
	for i := 0; i < 508; i += 4 {
		sum ^= le.Uint32(head[i:])
	}
	le.PutUint32(head[508:], sum)
	return append(head, m.bin...)
}

func le32(numbers ...uint32) []byte {
	var b []byte
	for _, n := range numbers {
		b = le.AppendUint32(b, n)
	}
	return b
}

// cell adds a used cell and returns its offset.
func (m *maker) cell(content []byte) uint32 {
	off := len(m.bin)
	size := (len(content) + 4 + 7) &^ 7
	m.bin = le.AppendUint32(m.bin, uint32(int32(-size)))
	m.bin = append(m.bin, content...)
	m.bin = append(m.bin, make([]byte, size-4-len(content))...)
	return uint32(off)
}

// key adds a key, its values, and then the keys below it, each of which has the offset of its parent.
func (m *maker) key(k Key, parent uint32) uint32 {
	nk := make([]byte, 76)
	copy(nk, "nk")
	flags := uint16(0x20)
	if parent == none {
		flags |= 0x0C // root, and not to be deleted
	}
	le.PutUint16(nk[2:], flags)
	copy(nk[16:], le32(parent, uint32(len(k.Keys)), 0, none, none, 0, none, 32, none))
	le.PutUint16(nk[72:], uint16(len(k.Name)))
	at := m.cell(append(nk, k.Name...))

	if len(k.Values) > 0 {
		var list []byte
		var name, data uint32 // the longest
		for _, v := range k.Values {
			list = le.AppendUint32(list, m.value(v))
			name, data = max(name, uint32(2*len(v.Name))), max(data, uint32(len(v.Data)))
		}
		copy(m.bin[at+4+60:], le32(name, data))
		where := m.cell(list)
		copy(m.bin[at+4+36:], le32(uint32(len(k.Values)), where))
	}
	if len(k.Keys) > 0 {
		keys := slices.Clone(k.Keys)
		slices.SortFunc(keys, func(a, b Key) int { return compare(a.Name, b.Name) })
		list := append([]byte("lh"), 0, 0)
		le.PutUint16(list[2:], uint16(len(keys)))
		for _, sub := range keys {
			list = append(list, le32(m.key(sub, at), hash(sub.Name))...)
		}
		where := m.cell(list)
		copy(m.bin[at+4+28:], le32(where))
	}
	return at
}

func (m *maker) value(v Value) uint32 {
	vk := append([]byte("vk"), make([]byte, 18)...)
	le.PutUint16(vk[2:], uint16(len(v.Name)))
	le.PutUint32(vk[4:], uint32(len(v.Data)))
	if len(v.Data) <= 4 {
		le.PutUint32(vk[4:], uint32(len(v.Data))|1<<31)
		copy(vk[8:], v.Data)
	} else {
		le.PutUint32(vk[8:], m.cell(v.Data))
	}
	le.PutUint32(vk[12:], v.Type)
	le.PutUint16(vk[16:], 1)
	return m.cell(append(vk, v.Name...))
}

// hash is that of the lists "lh", over the name in capitals.
func hash(name string) uint32 {
	var h uint32
	for _, c := range []byte(name) {
		h = h*37 + uint32(upper(c))
	}
	return h
}

func upper(c byte) byte {
	if c >= 'a' && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

func compare(a, b string) int {
	return slices.CompareFunc([]byte(a), []byte(b), func(x, y byte) int { return int(upper(x)) - int(upper(y)) })
}
