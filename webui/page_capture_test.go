package webui

import (
	"testing"

	"aula/clientos/disk"
)

func TestCaptureIsOfferedWhereThereIsSomethingToCapture(t *testing.T) {
	t.Parallel()
	swap := disk.Partition{Number: 1, Filesystem: "LINUX-SWAP"}
	unknown := disk.Partition{Number: 2}
	root := disk.Partition{Number: 3, Filesystem: "EXT4"}
	for name, c := range map[string]struct {
		disks []disk.Disk
		want  bool
	}{
		"no disk":                        {nil, false},
		"a blank disk":                   {[]disk.Disk{{Number: 1}}, false},
		"swap and something unknown":     {[]disk.Disk{{Number: 1, Partitions: []disk.Partition{swap, unknown}}}, false},
		"a filesystem on the other disk": {[]disk.Disk{{Number: 1}, {Number: 2, Partitions: []disk.Partition{swap, root}}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var page capturePage
			for _, d := range c.disks {
				page.Disks = append(page.Disks, captureChoices(d, ""))
			}
			if got := page.Capturable(); got != c.want {
				t.Errorf("offered: got %v, want %v", got, c.want)
			}
		})
	}
}
