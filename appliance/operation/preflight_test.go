package operation

import (
	"strings"
	"testing"

	"aula/appliance/catalog"
	"aula/clientos/disk"
	"aula/clientos/protocol"
)

func TestRestorePreflight(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pc      func(pc *catalog.Computer, d *disk.Disk)
		request func(r *RestoreRequest)
		offline bool
		code    int // 0: it passes
		says    string
		advice  string
	}{
		"partition of the exact size":       {},
		"partition one byte too small":      {pc: func(_ *catalog.Computer, d *disk.Disk) { d.Partitions[0].Bytes-- }, code: protocol.ErrSize, says: "1 bytes are missing", advice: "layout"},
		"PC not accepted":                   {pc: func(pc *catalog.Computer, _ *disk.Disk) { pc.State = catalog.Pending }, code: protocol.ErrGeneric, says: "waits to be accepted", advice: "accept"},
		"PC switched off":                   {offline: true, code: protocol.ErrGeneric, says: "pc-01 is not connected", advice: "switch it on"},
		"PC without a disk":                 {pc: func(pc *catalog.Computer, _ *disk.Disk) { pc.Inventory.Disks = nil }, code: protocol.ErrNotFound, says: "it has no disk", advice: "connected"},
		"second disk of a PC that has one":  {request: func(r *RestoreRequest) { r.Disk = 2 }, code: protocol.ErrNotFound, says: "no disk 2: it has 1 disk"},
		"empty card reader":                 {pc: func(_ *catalog.Computer, d *disk.Disk) { d.Bytes = 0 }, code: protocol.ErrNotFound, says: "card reader"},
		"partition that does not exist":     {request: func(r *RestoreRequest) { r.Partition = 3 }, code: protocol.ErrNotFound, says: "no partition 3", advice: "choose one of 1, 2"},
		"blank disk, no layout":             {pc: func(_ *catalog.Computer, d *disk.Disk) { d.Partitions = nil }, code: protocol.ErrNotFound, says: "no partitions", advice: "apply the layout"},
		"extended partition":                {pc: func(_ *catalog.Computer, d *disk.Disk) { d.Table, d.Partitions[0].Type = "dos", "05" }, code: protocol.ErrPartition, says: "container"},
		"disk with sectors of 4096":         {pc: func(_ *catalog.Computer, d *disk.Disk) { d.SectorSize = 4096 }, code: protocol.ErrPartition, says: "sectors of 4096 bytes"},
		"blank disk, with layout":           {pc: func(_ *catalog.Computer, d *disk.Disk) { d.Table, d.Partitions = "", nil }, request: withLayout},
		"disk too small for the layout":     {pc: func(_ *catalog.Computer, d *disk.Disk) { d.Bytes = 50 * gb }, request: withLayout, code: protocol.ErrSize, says: "are missing"},
		"layout for other sectors":          {pc: func(_ *catalog.Computer, d *disk.Disk) { d.SectorSize = 4096 }, request: withLayout, code: protocol.ErrPartition, says: "sectors of 4096 bytes"},
		"partition that the layout has not": {request: func(r *RestoreRequest) { withLayout(r); r.Partition = 2 }, code: protocol.ErrNotFound, says: "no partition 2", advice: "choose one of 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pc := testPC("pc1", "pc-01")
			if test.pc != nil {
				test.pc(&pc, &pc.Inventory.Disks[0])
			}
			plan := restorePlan{request: RestoreRequest{Disk: 1, Partition: 1, Image: "windows11"}}
			if test.request != nil {
				test.request(&plan.request)
			}
			plan.parts = []protocol.Part{partOf(plan.request.Partition, testImage())}
			if plan.request.Layout {
				layout := testLayout()
				var err error
				if plan.partitions, err = layout.Partitions(); err != nil {
					t.Fatal(err)
				}
				plan.layout = &layout
			}
			got, in := plan.check(pc, !test.offline)
			ref := in.Disk
			checkFailure(t, got.Failure, test.code, test.says, test.advice)
			if test.code == 0 && ref != (disk.Ref{Number: 1, Model: "Samsung SSD 870", Serial: "S5Y1", Bytes: 500 * gb, SectorSize: 512}) {
				t.Errorf("it would write to %+v", ref)
			}
			if test.code != 0 && len(got.Loses) > 0 {
				t.Errorf("it fails and yet loses %q", got.Loses)
			}
		})
	}
}

func withLayout(r *RestoreRequest) { r.Layout = true }

func TestLayoutWithAPartitionSmallerThanTheImage(t *testing.T) {
	t.Parallel()
	layout := testLayout()
	partitions, err := layout.Partitions()
	if err != nil {
		t.Fatal(err)
	}
	plan := restorePlan{parts: []protocol.Part{partOf(1, testImage())}, layout: &layout, partitions: partitions}
	plan.request = RestoreRequest{Disk: 1, Partition: 1, Layout: true}
	plan.parts[0].Image.RequiredBytes = 61 * gb
	got, _ := plan.check(testPC("pc1", "pc-01"), true)
	checkFailure(t, got.Failure, protocol.ErrSize, "partition 1 of the layout has", "captured from")
}

func TestWholeDiskIsListedWhenALayoutIsApplied(t *testing.T) {
	t.Parallel()
	layout := testLayout()
	partitions, err := layout.Partitions()
	if err != nil {
		t.Fatal(err)
	}
	plan := restorePlan{parts: []protocol.Part{partOf(1, testImage())}, layout: &layout, partitions: partitions}
	plan.request = RestoreRequest{Disk: 1, Partition: 1, Layout: true}
	got, _ := plan.check(testPC("pc1", "pc-01"), true)
	if len(got.Loses) != 2 || !strings.Contains(got.Loses[1], "LINUX-SWAP") {
		t.Errorf("it loses %q, want both partitions", got.Loses)
	}
}

func TestCapturePreflight(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pc        func(d *disk.Disk)
		partition int
		free      int64
		code      int
		says      string
		advice    string
	}{
		"enough room":                       {free: 26 * gb},
		"repository one byte short":         {free: 26*gb - 1, code: protocol.ErrCacheSize, says: "will take about 26.0 GB", advice: "remove images"},
		"repository below its reserve":      {free: -5, code: protocol.ErrCacheSize, says: "has room for 0 bytes"},
		"used space not known":              {pc: func(d *disk.Disk) { d.Partitions[0].Used = -1 }, free: 1},
		"no filesystem":                     {pc: func(d *disk.Disk) { d.Partitions[0].Filesystem = "" }, free: 100 * gb, code: protocol.ErrFilesystem, says: "no filesystem that is known"},
		"swap":                              {partition: 2, free: 100 * gb, code: protocol.ErrFilesystem, says: "swap", advice: "layout"},
		"partition that is not there":       {partition: 7, free: 100 * gb, code: protocol.ErrNotFound, says: "no partition 7"},
		"advice when nothing has any files": {pc: func(d *disk.Disk) { d.Partitions[0].Filesystem = "" }, free: 1, code: protocol.ErrFilesystem, advice: "does not have"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pc := testPC("pc1", "pc-01")
			if test.pc != nil {
				test.pc(&pc.Inventory.Disks[0])
			}
			_, f := checkCapture(pc, true, CaptureRequest{Disk: 1, Partition: max(test.partition, 1), Image: "x"}, test.free)
			checkFailure(t, f, test.code, test.says, test.advice)
		})
	}
}

func checkFailure(t *testing.T, f *protocol.Failure, code int, says, advice string) {
	t.Helper()
	switch {
	case code == 0 && f != nil:
		t.Errorf("got %v, want that it passes", f)
	case code != 0 && f == nil:
		t.Errorf("it passes, want code %d", code)
	case code != 0 && (f.Code != code || !strings.Contains(f.Problem, says) || !strings.Contains(f.Advice, advice) || f.Advice == ""):
		t.Errorf("got code %d, %v; want code %d, %q and advice %q", f.Code, f, code, says, advice)
	}
}
