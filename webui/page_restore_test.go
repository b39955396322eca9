package webui

import (
	"net/http"
	"net/url"
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
		"as they should be": {[]disk.Disk{{Number: 2, Partitions: parts(3)}, {Number: 1, Partitions: parts(2, 1)}}, []string{"1/0", "1/1", "1/2", "2/0", "2/3"}},
		"partition -1":      {[]disk.Disk{{Number: 1, Partitions: parts(-1, 1)}}, []string{"1/0", "1/1"}},
		"partition 0":       {[]disk.Disk{{Number: 1, Partitions: parts(0)}}, []string{"1/0"}},
		"disks -7 and 0":    {[]disk.Disk{{Number: -7, Partitions: parts(1)}, {Number: 0, Partitions: parts(1)}}, nil},
		"numbers that overflow": {[]disk.Disk{{Number: 1 << 62, Partitions: parts(1<<62, -1<<62)}, {Number: 1}},
			[]string{"1/0", "4611686018427387904/0", "4611686018427387904/4611686018427387904"}},
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

// TestASetIsRestoredWhole follows a set from the form to the PC: all its images, and the layout of their disk.
func TestASetIsRestoredWhole(t *testing.T) {
	b := newBed(t)
	pc := b.enrol(b.hall("Faculty", "Room 1"), 1)
	b.set("lab-win10")
	br := b.login(b.serve())
	br.get("/restore?image=main/lab-win10/disk&pc="+pc.ID).want(http.StatusOK).has("whole disk: all 2 partitions", "All that is on the PC's disk is erased.")
	check := "/restore/check?method=UNICAST-DIRECT&pc=" + pc.ID + "&image="
	br.get(check+"main/lab-win10/disk").want(http.StatusOK).has("restoreDiskImage REPO lab-win10 1 UNICAST-DIRECT", "partition 1: FAT32", "partition 4: EXT4")
	b.start("restore", url.Values{"pc": {pc.ID}, "image": {"main/lab-win10/disk"}})
	in := b.instruction(pc)
	if len(in.Parts) != 2 || in.Parts[0].Partition != 1 || in.Parts[1].Partition != 2 || in.Parts[1].Image.Name != "lab-win10-p2" || len(in.Layout) == 0 {
		t.Errorf("the PC was told %+v with a layout of %d bytes, want both partitions and the layout", in.Parts, len(in.Layout))
	}
	br.get(check + "main/nothing/disk").want(http.StatusNotFound)
	br.get("/restore/check?image=main/lab-win10/disk&pc=" + pc.ID).want(http.StatusUnprocessableEntity).has("Choose by what the image comes")
	br.get(check + "main/lab-win10/disk7").want(http.StatusUnprocessableEntity).has("no images of disk 7")
}

func TestWhatTheRestoreFormNames(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]restoreSource{
		"":                       {},
		"win11":                  {Name: "win11"},
		"main/win11":             {Repository: "main", Name: "win11"},
		"main/lab-win10/disk":    {Repository: "main", Name: "lab-win10", Set: true},
		"main/lab-win10/disk2":   {Repository: "main", Name: "lab-win10", Set: true, SetDisk: 2},
		"main/disk":              {Repository: "main", Name: "disk"}, // an image of that name
		"main/lab-win10/disktwo": {Repository: "main", Name: "lab-win10", Set: true},
	} {
		if got := (restoreForm{Image: image}).source(); got != want {
			t.Errorf("%q: got %+v, want %+v", image, got, want)
		}
	}
	if got := (restoreForm{Image: wholeValue("main", "x", 3)}).source(); got.SetDisk != 3 || !got.Set {
		t.Errorf("a value of our own is read as %+v", got)
	}
}
