package webui

import (
	"slices"
	"testing"

	"aula/appliance/catalog"
	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// TestRestoreTargetsOfImpossibleNumbers: what a record says of a PC may come from an agent that is not ours.
func TestRestoreTargetsOfImpossibleNumbers(t *testing.T) {
	t.Parallel()
	parts := func(numbers ...int) []disk.Partition {
		var list []disk.Partition
		for _, n := range numbers {
			list = append(list, disk.Partition{Number: n, Filesystem: "NTFS", Bytes: 1 << 30})
		}
		return list
	}
	tests := map[string]struct {
		disks []disk.Disk
		want  []string
	}{
		"as they should be":         {[]disk.Disk{{Number: 2, Partitions: parts(3)}, {Number: 1, Partitions: parts(2, 1)}}, []string{"1/0", "1/1", "1/2", "2/0", "2/3"}},
		"partition -1":              {[]disk.Disk{{Number: 1, Partitions: parts(-1, 1)}}, []string{"1/0", "1/1"}},
		"partition 0":               {[]disk.Disk{{Number: 1, Partitions: parts(0)}}, []string{"1/0"}},
		"disks -7 and 0":            {[]disk.Disk{{Number: -7, Partitions: parts(1)}, {Number: 0, Partitions: parts(1)}}, nil},
		"numbers that overflow":     {[]disk.Disk{{Number: 1 << 62, Partitions: parts(1<<62, -1<<62)}, {Number: 1}}, []string{"1/0", "4611686018427387904/0", "4611686018427387904/4611686018427387904"}},
		"partition 20001 of disk 1": {[]disk.Disk{{Number: 1, Partitions: parts(20001)}, {Number: 2, Partitions: parts(1)}}, []string{"1/0", "1/20001", "2/0", "2/1"}},
		"the same disk twice":       {[]disk.Disk{{Number: 1, Partitions: parts(1)}, {Number: 1, Partitions: parts(1)}}, []string{"1/0", "1/1"}},
		"no disk":                   {nil, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, g := range targetChoices([]catalog.Computer{{Inventory: protocol.Inventory{Disks: test.disks}}}) {
				for _, c := range g.Choices {
					got = append(got, c.Value)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("choices %q, want %q", got, test.want)
			}
		})
	}
}
