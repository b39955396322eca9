package webui

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"aula/appliance/catalog"
	"aula/clientos/disk"
	"aula/clientos/instruction"
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

// enrolWithCache brings a PC with a cache behind its systems, accepted. Its systems are small: their images must have room where the test runs.
func (b *bed) enrolWithCache(n int) catalog.Computer {
	b.t.Helper()
	inv := inventory(n)
	inv.Disks[0].Partitions = append(inv.Disks[0].Partitions, disk.Partition{Number: 5, Path: "/dev/nvme0n1p5", Start: 400 * gigabyte, Bytes: 100 * gigabyte,
		Type: "0FC63DAF-8483-4772-8E79-3D69D8477DE4", Filesystem: "EXT4", Label: "CACHE", Used: 70 * gigabyte})
	for i := range 4 {
		inv.Disks[0].Partitions[i].Used = 30_000_000
	}
	pc, err := b.cat.AcceptComputer(b.arriveWith(n, inv).ID, b.hall("Faculty", "Room 1").ID, "model")
	b.check(err)
	return pc
}

// TestAWholeDiskIsCaptured follows a set from the form to the PC, which is told of those partitions that the form named.
func TestAWholeDiskIsCaptured(t *testing.T) {
	b := newBed(t)
	pc := b.enrolWithCache(1)
	b.publish("room4-p2", pc, true)
	br := b.login(b.serve())
	golden(t, "capture-disk", mainOf(t, b.calm(br.get("/capture?part=1/disk&image=room4&pc="+pc.ID).want(http.StatusOK).body)))
	says := "/capture/name?part=1/disk&pc=" + pc.ID + "&image="
	br.get(says + "room4").want(http.StatusOK).has("The set has room4-p1, room4-p2 and room4-p4. room4-p2 exists and gets a new revision;")
	br.get(says + "room5").want(http.StatusOK).has("A new set: room5-p1, room5-p2 and room5-p4.")
	br.get(says+strings.Repeat("x", 127)).want(http.StatusOK).has("bad", "longer than")
	form := func(part, image string) url.Values {
		return url.Values{"pc": {pc.ID}, "part": {part}, "image": {image}, "compressor": {"LZOP"}}
	}
	br.post("/capture", form("2/disk", "room4")).want(http.StatusUnprocessableEntity).has("has no disk 2")
	br.post("/capture", form("1/", "room4")).want(http.StatusUnprocessableEntity).has("Choose the partition or the disk")
	br.post("/capture", form("1/disk", "room 4")).want(http.StatusUnprocessableEntity).has("room_4", `value="1/disk" required checked`)

	path := br.post("/capture", form("1/disk", "room4")).want(http.StatusSeeOther).Header.Get("Location")
	op, err := b.ops.Operation(strings.TrimPrefix(path, "/operations/"))
	b.check(err)
	if strings.TrimSpace(op.Text) != "createDiskImage 1 REPO room4 LZOP" || op.Steps[0].Statement.Word != instruction.CreateDiskImage {
		t.Errorf("begun: %q, want the capture of the disk", op.Text)
	}
	in := b.instruction(pc)
	if in.Capture == nil || !slices.Equal(in.Capture.Partitions, []int{1, 2, 4}) || in.Capture.Name != "room4" {
		t.Errorf("the PC was told %+v, want images of the partitions 1, 2 and 4 of the set room4", in.Capture)
	}
	br.post("/capture", form("1/disk", "room5")).want(http.StatusUnprocessableEntity).has("model")
}

func TestAWholeDiskIsOfferedWhenTheSetWouldLackNothing(t *testing.T) {
	t.Parallel()
	root, swap, unknown := disk.Partition{Number: 1, Filesystem: "EXT4", Used: -1}, disk.Partition{Number: 2, Filesystem: "LINUX-SWAP"}, disk.Partition{Number: 3}
	if w := wholeOf(disk.Disk{Number: 1, Partitions: []disk.Partition{swap, unknown}}, ""); w != nil {
		t.Errorf("offered with nothing to capture: %+v", w)
	}
	w := wholeOf(disk.Disk{Number: 2, Partitions: []disk.Partition{root, swap}}, "2/disk")
	if w == nil || !w.Checked || w.Contains != "partition 1" || w.Without != "swap" || w.Used != 0 {
		t.Errorf("a system with swap: %+v", w)
	}
	if w := wholeOf(disk.Disk{Number: 1, Partitions: []disk.Partition{root, unknown}}, "1/disk"); w == nil || w.Checked || w.WhyNot == "" {
		t.Errorf("something unknown beside the system: %+v, want why it cannot be", w)
	}
}

func TestAWholeDiskIsCapturedInTheBrowser(t *testing.T) {
	b := newBed(t)
	c := openChrome(t, b.serve().URL)
	c.logIn(b)
	pc := b.enrolWithCache(1)
	c.visit("capture-disk", "/capture?part=1/disk&image=room4&pc="+pc.ID)
	c.open("/capture?pc=" + pc.ID)
	c.fill("#image-name", "room4")
	c.sees("#image-says", "A new image.")
	c.click("input[value='1/disk']")
	c.sees("#image-says", "A new set: room4-p1, room4-p2 and room4-p4.")
	c.click("input[value='1/2']")
	c.sees("#image-says", "A new image.")
	c.click("input[value='1/disk']")
	c.click("form button.primary")
	c.at("/operations/")
	c.clean()
}
