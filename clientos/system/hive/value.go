package hive

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
)

// Types of values.
const (
	String = 1 // REG_SZ: UTF-16 with a NUL at its end
	Number = 4 // REG_DWORD
)

// What a value's cell holds.
const (
	valueNameLength = 2
	valueSize       = 4 // of the data; with inline set these are at most four bytes, in the place of the offset
	valueData       = 8
	valueType       = 12
	valueFlags      = 16
	valueName       = 20

	inline = 1 << 31
	// maxData is the most that one cell holds of a value; longer ones are in several, and never names.
	maxData = 16344
)

// A Value is one value of a key.
type Value struct {
	Type uint32
	Data []byte
}

// Text returns the text of a String.
func (v Value) Text() (string, error) {
	if v.Type != String {
		return "", fmt.Errorf("%w: a value of type %d where a text is expected", ErrNotHive, v.Type)
	}
	text, _, _ := strings.Cut(decode(v.Data, false), "\x00")
	return text, nil
}

// Uint32 returns a Number.
func (v Value) Uint32() (uint32, error) {
	if v.Type != Number || len(v.Data) != 4 {
		return 0, fmt.Errorf("%w: %d bytes of type %d where a number is expected", ErrNotHive, len(v.Data), v.Type)
	}
	return le.Uint32(v.Data), nil
}

// decode reads a name or a text: Latin-1 when it is compressed, else UTF-16.
func decode(b []byte, compressed bool) string {
	if compressed {
		runes := make([]rune, len(b))
		for i, c := range b {
			runes[i] = rune(c)
		}
		return string(runes)
	}
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = le.Uint16(b[2*i:])
	}
	return string(utf16.Decode(units))
}

func encode(text string) []byte {
	var b []byte
	for _, unit := range utf16.Encode([]rune(text + "\x00")) {
		b = le.AppendUint16(b, unit)
	}
	return b
}

// Value returns a value of k, whatever the case of its name, or ErrNotFound.
func (k Key) Value(name string) (Value, error) {
	v, err := k.value(name)
	if err != nil {
		return Value{}, err
	}
	size := le.Uint32(v[valueSize:])
	if size&inline != 0 {
		return Value{le.Uint32(v[valueType:]), slices.Clone(v[valueData : valueData+min(size&^inline, 4)])}, nil
	}
	if size > maxData {
		return Value{}, fmt.Errorf("%w: value %s of %s has %d bytes", ErrNotHive, name, k.Path, size)
	}
	var data []byte
	if size > 0 {
		if data, err = k.hive.cell(le.Uint32(v[valueData:]), int(size)); err != nil {
			return Value{}, err
		}
	}
	return Value{le.Uint32(v[valueType:]), slices.Clone(data[:size])}, nil
}

// value finds the cell of a value.
func (k Key) value(name string) ([]byte, error) {
	c, err := k.cell()
	if err != nil {
		return nil, err
	}
	list, err := k.valueList(c)
	if err != nil {
		return nil, err
	}
	for i := 0; i < len(list); i += 4 {
		v, err := k.hive.cell(le.Uint32(list[i:]), valueName)
		if err != nil {
			return nil, err
		}
		n := int(le.Uint16(v[valueNameLength:]))
		if string(v[:2]) != "vk" || valueName+n > len(v) {
			return nil, fmt.Errorf("%w: no value where %s has one", ErrNotHive, k.Path)
		}
		if strings.EqualFold(decode(v[valueName:valueName+n], le.Uint16(v[valueFlags:])&compressedValueName != 0), name) {
			return v, nil
		}
	}
	return nil, fmt.Errorf("value %s of %s: %w", name, k.Path, ErrNotFound)
}

// valueList returns the offsets of the values of the key whose cell is c, four bytes each.
func (k Key) valueList(c []byte) ([]byte, error) {
	n := le.Uint32(c[keyValues:])
	if n == 0 {
		return nil, nil
	}
	if int64(n)*4 > int64(len(k.hive.data)) {
		return nil, fmt.Errorf("%w: %s has %d values", ErrNotHive, k.Path, n)
	}
	list, err := k.hive.cell(le.Uint32(c[keyValueList:]), int(n)*4)
	if err != nil {
		return nil, err
	}
	return list[:n*4], nil
}

// SetString makes a value of k the text, and makes the value when there is none. The name must be plain ASCII.
func (k Key) SetString(name, text string) error {
	data := encode(text)
	if len(data) > maxData {
		return fmt.Errorf("a text of %d bytes is too long for value %s of %s", len(data), name, k.Path)
	}
	if _, err := k.value(name); err != nil {
		if !errors.Is(err, ErrNotFound) {
			return err
		}
		if err := k.addValue(name); err != nil {
			return err
		}
	}
	where, err := k.room(name, len(data))
	if err != nil {
		return err
	}
	// Making room may have moved the bytes of the hive: the cells are looked up again.
	v, err := k.value(name)
	if err != nil {
		return err
	}
	c, err := k.cell()
	if err != nil {
		return err
	}
	place, err := k.hive.cell(where, len(data))
	if err != nil {
		return err
	}
	clear(place)
	copy(place, data)
	le.PutUint32(v[valueSize:], uint32(len(data)))
	le.PutUint32(v[valueData:], where)
	le.PutUint32(v[valueType:], String)
	le.PutUint32(c[keyMaxName:], max(le.Uint32(c[keyMaxName:]), uint32(2*len(name))))
	le.PutUint32(c[keyMaxData:], max(le.Uint32(c[keyMaxData:]), uint32(len(data))))
	return nil
}

// room returns the offset of a cell for n bytes of data of a value: that which it has when it is large enough, else a new one.
func (k Key) room(name string, n int) (uint32, error) {
	v, err := k.value(name)
	if err != nil {
		return 0, err
	}
	old, size := le.Uint32(v[valueData:]), le.Uint32(v[valueSize:])
	has := size&inline == 0 && size > 0 && size <= maxData
	if has {
		if _, err := k.hive.cell(old, int(size)); err != nil {
			return 0, err
		}
		if _, err := k.hive.cell(old, n); err == nil {
			return old, nil
		}
	}
	fresh, err := k.hive.allocate(n)
	if err == nil && has {
		k.hive.free(old)
	}
	return fresh, err
}

// addValue gives k an empty value.
func (k Key) addValue(name string) error {
	c, err := k.cell()
	if err != nil {
		return err
	}
	old, err := k.valueList(c)
	if err != nil {
		return err
	}
	old = slices.Clone(old)
	at, err := k.hive.allocate(valueName + len(name))
	if err != nil {
		return err
	}
	list, err := k.hive.allocate(len(old) + 4)
	if err != nil {
		return err
	}
	v, err := k.hive.cell(at, valueName+len(name))
	if err != nil {
		return err
	}
	copy(v, "vk")
	le.PutUint16(v[valueNameLength:], uint16(len(name)))
	le.PutUint32(v[valueSize:], inline)
	le.PutUint32(v[valueType:], String)
	le.PutUint16(v[valueFlags:], compressedValueName)
	copy(v[valueName:], name)
	l, err := k.hive.cell(list, len(old)+4)
	if err != nil {
		return err
	}
	le.PutUint32(l[copy(l, old):], at)
	if c, err = k.cell(); err != nil {
		return err
	}
	if len(old) > 0 {
		k.hive.free(le.Uint32(c[keyValueList:]))
	}
	le.PutUint32(c[keyValues:], uint32(len(old)/4+1))
	le.PutUint32(c[keyValueList:], list)
	return nil
}
