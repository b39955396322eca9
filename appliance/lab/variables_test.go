package lab

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
)

func firmwareVariables(t testing.TB, name string) []byte {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(ovmf, name))
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: no OVMF firmware: %v", err)
	}
	return file
}

// living are the values of a variable that are not deleted.
func living(t *testing.T, file []byte, name string) (values [][]byte) {
	t.Helper()
	for at := int(binary.LittleEndian.Uint16(file[volumeLength:])) + storeHeader; binary.LittleEndian.Uint16(file[at:]) == variableStart; {
		value := at + variableHeader + int(binary.LittleEndian.Uint32(file[at+variableName:]))
		next := value + int(binary.LittleEndian.Uint32(file[at+variableName+4:]))
		if bytes.Equal(file[at+variableHeader:value], wide(name)) && file[at+2] == variableAdded {
			values = append(values, file[value:next])
		}
		at = (next + 3) &^ 3
	}
	return values
}

func TestSetVariables(t *testing.T) {
	for _, name := range []string{"OVMF_VARS_4M.fd", "OVMF_VARS_4M.ms.fd"} {
		file := firmwareVariables(t, name)
		size := len(file)
		for _, order := range [][]byte{{0, 0, 1, 0}, {1, 0}, {1, 0, 0, 0, 2, 0}} {
			var err error
			if file, err = setVariables(file, []variable{{"BootOrder", order}, {"Boot0001", []byte("odd")}}); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := living(t, file, "BootOrder"); len(got) != 1 || !bytes.Equal(got[0], order) {
				t.Errorf("%s: BootOrder is %v, want once %v", name, got, order)
			}
			if got := living(t, file, "Boot0001"); len(got) != 1 || string(got[0]) != "odd" {
				t.Errorf("%s: Boot0001 is %q", name, got)
			}
		}
		if len(file) != size {
			t.Errorf("%s: %d bytes became %d", name, size, len(file))
		}
		if _, err := setVariables(file, []variable{{"Boot0002", make([]byte, size)}}); err == nil {
			t.Errorf("%s: a variable larger than the store was written", name)
		}
	}
}

func TestSetVariablesOfDamagedFiles(t *testing.T) {
	whole := firmwareVariables(t, "OVMF_VARS_4M.ms.fd")
	for size := range 2048 {
		if _, err := setVariables(whole[:size], []variable{{"BootOrder", []byte{1, 0}}}); err == nil {
			t.Errorf("a file of which only %d bytes are left was taken", size)
		}
	}
	damaged := bytes.Clone(whole)
	first := int(binary.LittleEndian.Uint16(damaged[volumeLength:])) + storeHeader
	binary.LittleEndian.PutUint32(damaged[first+variableName:], 0xfffffff0)
	if _, err := setVariables(damaged, nil); err == nil {
		t.Error("a variable whose name goes beyond the store was taken")
	}
}
