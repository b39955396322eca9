package lab

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"unicode/utf16"
)

// Places on the PCI bus, which UEFI's variables name.
const (
	slotNIC  = 3
	slotDisk = 4
)

// setBootOrder writes into the file of a UEFI firmware's variables that it boots from the network by IPv4, by PXE or HTTP, and then from its disk, as a
// technician sets it up. QEMU's own boot order cannot tell IPv4 from IPv6, for which the firmware waits a minute each.
func setBootOrder(path string, spec QEMUSpec, mac string) error {
	address, err := net.ParseMAC(mac)
	if err != nil {
		return err
	}
	store, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	network := append(pciDevice(slotNIC), macAddress(address)...)
	network = append(network, ipv4ByDHCP...)
	name := "UEFI PXEv4"
	if spec.Netboot == HTTPBoot {
		network, name = append(network, anyURI...), "UEFI HTTPv4"
	}
	disk := pciDevice(slotDisk)
	if spec.AHCI {
		disk = append(disk, firstSATA...)
	}
	store, err = setVariables(store, []variable{
		{"Boot0000", loadOption(name, network)},
		{"Boot0001", loadOption("Disk", disk)},
		{"BootOrder", []byte{0, 0, 1, 0}},
	})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return os.WriteFile(path, store, 0o600)
}

// Nodes of device paths: type, subtype, length in two bytes (UEFI specification 2.10, section 10.3).
var (
	pciRoot    = []byte{2, 1, 12, 0, 0xd0, 0x41, 0x03, 0x0a, 0, 0, 0, 0}
	ipv4ByDHCP = append([]byte{3, 12, 27, 0}, make([]byte, 23)...)
	anyURI     = []byte{3, 24, 4, 0}
	firstSATA  = []byte{3, 18, 10, 0, 0, 0, 0xff, 0xff, 0, 0} // at port 0, without a port multiplier
	pathEnd    = []byte{0x7f, 0xff, 4, 0}
)

func pciDevice(slot byte) []byte { return append(bytes.Clone(pciRoot), 1, 1, 6, 0, 0, slot) }

func macAddress(a net.HardwareAddr) []byte {
	node := make([]byte, 37)
	copy(node, []byte{3, 11, 37, 0})
	copy(node[4:], a)
	node[36] = 1 // Ethernet
	return node
}

// loadOption is an EFI_LOAD_OPTION (UEFI specification 2.10, section 3.1.3).
func loadOption(name string, path []byte) []byte {
	const active = 1
	path = append(bytes.Clone(path), pathEnd...)
	option := binary.LittleEndian.AppendUint32(nil, active)
	option = binary.LittleEndian.AppendUint16(option, uint16(len(path)))
	return append(append(option, wide(name)...), path...)
}

// wide is UTF-16 with its end.
func wide(text string) (b []byte) {
	for _, c := range append(utf16.Encode([]rune(text)), 0) {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	return b
}

type variable struct {
	name  string
	value []byte
}

// The file of variables as EDK2 lays it out: the header of a firmware volume, the header of the store of variables, and then one variable after the
// other, each with a header and at a multiple of four bytes (MdeModulePkg/Include/Guid/VariableFormat.h).
const (
	volumeLength   = 48 // of the volume's header, in two bytes
	storeHeader    = 28
	storeSize      = 16 // of the store, in its header
	variableHeader = 60
	variableName   = 36 // length of the name, then that of the value
	variableGUID   = 44
	variableStart  = 0x55aa
	variableAdded  = 0x3f
	notDeleted     = 0xfd // mask of the state
	bootVariable   = 7    // kept, readable by boot services and by the operating system
)

// globalVariable is the GUID of variables that the specification names, 8BE4DF61-93CA-11D2-AA0D-00E098032B8C.
var globalVariable = []byte{0x61, 0xdf, 0xe4, 0x8b, 0xca, 0x93, 0xd2, 0x11, 0xaa, 0x0d, 0x00, 0xe0, 0x98, 0x03, 0x2b, 0x8c}

// setVariables writes variables behind those that there are, of which it marks the former ones of the same names as deleted.
func setVariables(file []byte, all []variable) ([]byte, error) {
	if len(file) < volumeLength+2 {
		return nil, errors.New("the file of UEFI's variables is too short")
	}
	at := int(binary.LittleEndian.Uint16(file[volumeLength:]))
	if len(file) < at+storeHeader {
		return nil, errors.New("the file of UEFI's variables has no store")
	}
	end := at + int(binary.LittleEndian.Uint32(file[at+storeSize:]))
	if end > len(file) {
		return nil, errors.New("the file of UEFI's variables is shorter than its store")
	}
	file = bytes.Clone(file)
	at += storeHeader
	for at+variableHeader <= end && binary.LittleEndian.Uint16(file[at:]) == variableStart {
		header := file[at : at+variableHeader]
		nameSize := int(binary.LittleEndian.Uint32(header[variableName:]))
		next := at + variableHeader + nameSize + int(binary.LittleEndian.Uint32(header[variableName+4:]))
		if nameSize < 0 || next < at || next > end {
			return nil, errors.New("the file of UEFI's variables is damaged")
		}
		for _, v := range all {
			if bytes.Equal(header[variableGUID:], globalVariable) && bytes.Equal(file[at+variableHeader:at+variableHeader+nameSize], wide(v.name)) {
				header[2] &= notDeleted
			}
		}
		at = (next + 3) &^ 3
	}
	for _, v := range all {
		record := v.record()
		if at+len(record) > end {
			return nil, errors.New("the file of UEFI's variables is full")
		}
		copy(file[at:], record)
		at = (at + len(record) + 3) &^ 3
	}
	return file, nil
}

// record is the variable with its header; counter, time and key are those of a variable that needs no signature.
func (v variable) record() []byte {
	name := wide(v.name)
	header := make([]byte, variableHeader)
	binary.LittleEndian.PutUint16(header, variableStart)
	header[2] = variableAdded
	binary.LittleEndian.PutUint32(header[4:], bootVariable)
	binary.LittleEndian.PutUint32(header[variableName:], uint32(len(name)))
	binary.LittleEndian.PutUint32(header[variableName+4:], uint32(len(v.value)))
	copy(header[variableGUID:], globalVariable)
	return append(append(header, name...), v.value...)
}
