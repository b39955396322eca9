package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// A PC is a computer of the virtual classroom.
type PC interface {
	// Name is what the classroom calls it, such as pc1. The appliance's catalog may call it otherwise.
	Name() string
	// MAC is the address of its NIC, lower case with colons.
	MAC() string
	// Disk is the path of the file that holds its disk's bytes.
	Disk() string
	// Serial is its serial console.
	Serial() *Serial
	// PowerOn presses the switch. A PC that is on stays on.
	PowerOn() error
	// PowerOff cuts the power: nothing on the PC gets a chance to do anything more.
	PowerOff()
	// Off is closed while the PC is off, also when it has powered itself off.
	Off() <-chan struct{}
}

// A DiskSpec says what disk a PC has.
type DiskSpec struct {
	Bytes int64 // size; that of From when zero
	// From is the path of a file whose bytes the disk has at first; blank when empty.
	From string
	// SectorSize of the disk is 512 when zero, or 4096.
	SectorSize int
}

func (d DiskSpec) sectorSize() int {
	if d.SectorSize == 0 {
		return 512
	}
	return d.SectorSize
}

// create makes the disk's file at path, with holes where it is blank.
func (d DiskSpec) create(path string) error {
	if d.SectorSize != 0 && d.SectorSize != 512 && d.SectorSize != 4096 {
		return fmt.Errorf("disk with sectors of %d bytes: there are only 512 and 4096", d.SectorSize)
	}
	if d.From == "" && d.Bytes <= 0 {
		return errors.New("disk without a size")
	}
	if d.From != "" {
		if out, err := exec.Command("cp", "--sparse=always", "--reflink=auto", "--no-preserve=mode", "--", d.From, path).CombinedOutput(); err != nil {
			return fmt.Errorf("copy %s: %w: %s", d.From, err, out)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	if d.Bytes > 0 {
		if err := f.Truncate(d.Bytes); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return f.Close()
}

// machine is what both kinds of PCs have.
type machine struct {
	name, mac, disk string
	serial          *Serial
	log             *os.File
}

func (m *machine) Name() string    { return m.name }
func (m *machine) MAC() string     { return m.mac }
func (m *machine) Disk() string    { return m.disk }
func (m *machine) Serial() *Serial { return m.serial }

// newMachine numbers a PC from 1 and makes its disk and its log in the classroom's folder.
func (l *Lab) newMachine(spec DiskSpec) (*machine, error) {
	number, err := l.nextNumber()
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("pc%d", number)
	disk := filepath.Join(l.Dir(), name+".img")
	if err := spec.create(disk); err != nil {
		return nil, fmt.Errorf("disk of %s: %w", name, err)
	}
	log, err := os.Create(filepath.Join(l.Dir(), name+".log"))
	if err != nil {
		return nil, err
	}
	return &machine{name: name, mac: macOf(number), disk: disk, serial: newSerial(log), log: log}, nil
}
