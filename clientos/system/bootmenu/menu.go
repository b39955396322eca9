package bootmenu

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	// global is the vendor of the variables that the specification names.
	global = "8be4df61-93ca-11d2-aa0d-00e098032b8c"
	// attributes of a boot variable: kept without power, seen by boot and by runtime services.
	attributes = 7
	// maxVariable is the most that is read of a variable, in bytes.
	maxVariable = 64 << 10
)

// A Menu is the boot menu of a PC.
type Menu struct {
	folder  string
	Options map[uint16]Option // by their number, without those that cannot be read
	Order   []uint16
	Current uint16 // the option by which the PC was started, when HasCurrent
	// HasCurrent is false with a firmware that does not tell.
	HasCurrent bool
	taken      map[uint16]bool // also by what cannot be read
}

// Read reads the menu from a folder of efivarfs.
func Read(folder string) (*Menu, error) {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, fmt.Errorf("the firmware's variables: %w", err)
	}
	m := &Menu{folder: folder, Options: map[uint16]Option{}, taken: map[uint16]bool{}}
	for _, e := range entries {
		name, ours := strings.CutSuffix(e.Name(), "-"+global)
		digits, boot := strings.CutPrefix(name, "Boot")
		if !ours || !boot || len(digits) != 4 || strings.ToUpper(digits) != digits {
			continue
		}
		number, err := strconv.ParseUint(digits, 16, 16)
		if err != nil {
			continue // BootNext
		}
		m.taken[uint16(number)] = true
		data, err := m.read(name)
		if err != nil {
			return nil, err
		}
		if o, err := Parse(data); err == nil {
			m.Options[uint16(number)] = o
		}
	}
	if m.Order, err = m.numbers("BootOrder"); err != nil {
		return nil, err
	}
	current, err := m.numbers("BootCurrent")
	if len(current) == 1 {
		m.Current, m.HasCurrent = current[0], true
	}
	return m, err
}

func (m *Menu) file(name string) string { return filepath.Join(m.folder, name+"-"+global) }

// read returns a variable, without the four bytes of attributes that efivarfs puts before it; nothing when there is none.
func (m *Menu) read(name string) ([]byte, error) {
	b, err := os.ReadFile(m.file(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("the firmware's variable %s: %w", name, err)
	case len(b) < 4 || len(b) > maxVariable:
		return nil, nil
	}
	return b[4:], nil
}

func (m *Menu) numbers(name string) ([]uint16, error) {
	b, err := m.read(name)
	var list []uint16
	for ; len(b) >= 2; b = b[2:] {
		list = append(list, le.Uint16(b))
	}
	return list, err
}

// write sets a variable, in one call of write, which efivarfs asks for.
func (m *Menu) write(name string, value []byte) error {
	f, err := os.OpenFile(m.file(name), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return fmt.Errorf("the firmware's variable %s: %w", name, err)
	}
	_, err = f.Write(append(le.AppendUint32(nil, attributes), value...))
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("the firmware did not take the variable %s: %w", name, err)
	}
	return nil
}

// Add puts an option under the lowest number that is free.
func (m *Menu) Add(o Option) (uint16, error) {
	data, err := o.Bytes()
	if err != nil {
		return 0, err
	}
	for n := range uint16(0xFFFF) {
		if m.taken[n] {
			continue
		}
		if err := m.write(variable(n), data); err != nil {
			return 0, err
		}
		m.taken[n], m.Options[n] = true, o
		return n, nil
	}
	return 0, errors.New("the firmware's boot menu is full")
}

// Activate makes the firmware try an option. What else the option says stays, byte for byte.
func (m *Menu) Activate(number uint16) error {
	data, err := m.read(variable(number))
	if err != nil || len(data) < 4 || data[0]&Active != 0 {
		return err
	}
	data[0] |= Active
	return m.write(variable(number), data)
}

// Remove removes an option, from the order as well.
func (m *Menu) Remove(number uint16) error {
	if err := os.Remove(m.file(variable(number))); err != nil {
		return fmt.Errorf("removing the firmware's %s: %w", variable(number), err)
	}
	delete(m.Options, number)
	delete(m.taken, number)
	if slices.Contains(m.Order, number) {
		return m.SetOrder(slices.DeleteFunc(slices.Clone(m.Order), func(n uint16) bool { return n == number }))
	}
	return nil
}

// SetOrder sets the order in which the firmware tries the options. An order that is there already is not written again: the memory of firmware wears out.
func (m *Menu) SetOrder(order []uint16) error {
	if slices.Equal(order, m.Order) {
		return nil
	}
	var b []byte
	for _, n := range order {
		b = le.AppendUint16(b, n)
	}
	if err := m.write("BootOrder", b); err != nil {
		return err
	}
	m.Order = slices.Clone(order)
	return nil
}

// Numbers returns the numbers of the options: those of the order first, then the others.
func (m *Menu) Numbers() []uint16 {
	var list []uint16
	for _, n := range append(slices.Clone(m.Order), slices.Sorted(maps.Keys(m.Options))...) {
		if _, ok := m.Options[n]; ok && !slices.Contains(list, n) {
			list = append(list, n)
		}
	}
	return list
}

func variable(number uint16) string { return fmt.Sprintf("Boot%04X", number) }
