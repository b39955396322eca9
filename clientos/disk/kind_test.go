package disk

import "testing"

func TestKindsOfPartitions(t *testing.T) {
	t.Parallel()
	kinds := map[string]func(Partition) bool{
		"extended": Partition.Extended, "swap": Partition.Swap, "LVM": Partition.LVM,
		"ESP": Partition.ESP, "reserved": Partition.Reserved, "BIOS boot": Partition.BIOSBoot,
	}
	for typ, want := range map[string]string{
		"05": "extended", "0F": "extended", "85": "extended",
		"82": "swap", "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F": "swap",
		"8E": "LVM", "E6D6D379-F507-44C2-A23C-238F2A3DF928": "LVM",
		"EF": "ESP", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B": "ESP",
		"E3C9E316-0B5C-4DB8-817D-F92DF00215AE": "reserved",
		"21686148-6449-6E6F-744E-656564454649": "BIOS boot",
		"07":                                   "", "83": "", "0FC63DAF-8483-4772-8E79-3D69D8477DE4": "", "": "",
	} {
		for kind, is := range kinds {
			if got := is(Partition{Type: typ}); got != (kind == want) {
				t.Errorf("type %q is %s: got %v", typ, kind, got)
			}
		}
	}
}
