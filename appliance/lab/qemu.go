package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
)

// Firmware of a QEMUPC.
type Firmware string

// The firmwares that there are.
const (
	BIOS Firmware = "bios" // SeaBIOS with the network card's iPXE ROM
	UEFI Firmware = "uefi" // OVMF with its own network driver
)

// A Netboot is the way in which UEFI firmware boots from the network.
type Netboot string

// The ways that there are.
const (
	PXE      Netboot = "pxe"
	HTTPBoot Netboot = "http"
)

// A QEMUSpec says what a virtual PC is made of.
type QEMUSpec struct {
	Firmware Firmware
	// SecureBoot is on in UEFI firmware, with Microsoft's keys.
	SecureBoot bool
	// Netboot of UEFI firmware: PXE when empty.
	Netboot Netboot
	Disk    DiskSpec
	// NIC is QEMU's device: virtio-net-pci when empty, or e1000.
	NIC string
	// AHCI makes the disk a SATA disk, in place of a virtio one.
	AHCI bool
	// MiB of memory, 1024 when zero.
	MiB int
}

// A QEMUPC is a virtual PC with real firmware, in software emulation. It boots from the network first and from its
// disk next.
type QEMUPC struct {
	*machine
	spec    QEMUSpec
	vars    string // UEFI's variables, which survive the power
	plugged bool   // there is a tap

	mu     sync.Mutex
	emu    *child
	keys   io.WriteCloser
	off    chan struct{}
	closed bool
}

type bootOrder int

const (
	networkFirst bootOrder = iota
	diskOnly
)

// AddQEMU adds a virtual PC to the classroom. It is off.
func (l *Lab) AddQEMU(spec QEMUSpec) (*QEMUPC, error) {
	if err := spec.check(); err != nil {
		return nil, err
	}
	m, err := l.newMachine(spec.Disk)
	if err != nil {
		return nil, err
	}
	p := &QEMUPC{machine: m, spec: spec, off: closed()}
	l.own(p)
	if spec.Firmware == UEFI {
		p.vars = filepath.Join(l.Dir(), p.name+".vars")
		if err := copyFile(p.vars, filepath.Join(ovmf, spec.variables())); err != nil {
			return nil, fmt.Errorf("UEFI firmware (package ovmf): %w", err)
		}
	}
	if err := plugTap(p.name); err != nil {
		return nil, fmt.Errorf("network of %s: %w", p.name, err)
	}
	p.plugged = true
	return p, nil
}

// cpu is what the PCs have. QEMU's software emulation gets CMPXCHG16B wrong (it corrupts the flags, seen with 7.2), which
// panics kernels that use it, so the CPU has none; AES and AVX are slower there than what programs use without.
const cpu = "qemu64,-cx16,+ssse3,+sse4.1,+sse4.2,+popcnt,+rdrand"

// arguments are QEMU's.
func (p *QEMUPC) arguments(order bootOrder) []string {
	memory, nic := p.spec.MiB, p.spec.NIC
	if memory == 0 {
		memory = 1024
	}
	if nic == "" {
		nic = "virtio-net-pci"
	}
	args := []string{
		"-name", p.name, "-accel", "tcg,tb-size=512", "-cpu", cpu, "-smp", "1", "-m", fmt.Sprint(memory),
		"-display", "none", "-vga", "std", "-monitor", "none", "-serial", "stdio", "-nodefaults",
		"-device", "virtio-rng-pci",
		"-netdev", "tap,id=net,script=no,downscript=no,ifname=" + p.name,
		"-drive", fmt.Sprintf("if=none,id=disk,format=raw,cache=writeback,discard=unmap,file=%s", p.disk),
	}
	card := fmt.Sprintf("%s,netdev=net,mac=%s", nic, p.mac)
	disk := fmt.Sprintf("drive=disk,serial=LAB-%s", p.name)
	switch {
	case order == diskOnly:
		disk += ",bootindex=2"
	case p.spec.Firmware == BIOS: // UEFI has the order in its variables
		card += ",bootindex=1"
		disk += ",bootindex=2"
	}
	if p.spec.Disk.sectorSize() != 512 {
		disk += fmt.Sprintf(",logical_block_size=%d,physical_block_size=%[1]d", p.spec.Disk.sectorSize())
	}
	if p.spec.Firmware == UEFI {
		// Without QEMU's option ROM the firmware's own network driver is the one that boots, as on most PCs.
		card += fmt.Sprintf(",romfile=,addr=%d", slotNIC)
		args = append(args, p.spec.firmware(p.vars)...)
	} else {
		args = append(args, "-machine", "pc")
	}
	args = append(args, "-device", card)
	var slot string
	if p.spec.Firmware == UEFI {
		slot = fmt.Sprintf(",addr=%d", slotDisk)
	}
	if p.spec.AHCI {
		return append(args, "-device", "ahci,id=sata"+slot, "-device", "ide-hd,bus=sata.0,"+disk)
	}
	return append(args, "-device", "virtio-blk-pci,"+disk+slot)
}

// PowerOn implements PC.
func (p *QEMUPC) PowerOn() error { return p.start(networkFirst) }

// PowerOnDisk presses the switch of a PC whose network boot is switched off in its firmware.
func (p *QEMUPC) PowerOnDisk() error { return p.start(diskOnly) }

func (p *QEMUPC) start(order bootOrder) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return fmt.Errorf("%s is no longer in the classroom", p.name)
	}
	if isOpen(p.off) {
		return nil
	}
	if order == networkFirst && p.spec.Firmware == UEFI {
		if err := setBootOrder(p.vars, p.spec, p.mac); err != nil {
			return fmt.Errorf("boot order of %s: %w", p.name, err)
		}
	}
	cmd := exec.Command("qemu-system-x86_64", p.arguments(order)...)
	cmd.Stdout, cmd.Stderr = p.serial, p.serial
	keys, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	p.serial.power(true)
	emu, err := startChild(cmd)
	if err != nil {
		p.serial.power(false)
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	off := make(chan struct{})
	p.emu, p.keys, p.off = emu, keys, off
	go func() {
		<-emu.done
		keys.Close()
		p.serial.power(false)
		close(off)
	}()
	return nil
}

// PowerOff implements PC.
func (p *QEMUPC) PowerOff() {
	p.mu.Lock()
	emu, off := p.emu, p.off
	p.mu.Unlock()
	if emu != nil {
		emu.kill()
	}
	<-off
}

// Off implements PC.
func (p *QEMUPC) Off() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.off
}

// Type types on the serial console.
func (p *QEMUPC) Type(text string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !isOpen(p.off) {
		return fmt.Errorf("%s is off", p.name)
	}
	_, err := io.WriteString(p.keys, text)
	return err
}

func (p *QEMUPC) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.PowerOff()
	var err error
	if p.plugged {
		err = unplug(p.name)
	}
	return errors.Join(err, p.log.Close())
}

func isOpen(c <-chan struct{}) bool {
	select {
	case <-c:
		return false
	default:
		return true
	}
}

func closed() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, data, 0o600)
}
