package operation

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/imagestore"
	"aula/imagestore/format"
)

// wholeSet asks for the set "lab" on the whole of disk 1.
func wholeSet(ids ...string) RestoreRequest {
	return RestoreRequest{ComputerIDs: ids, Disk: 1, Image: "lab", Whole: true}
}

func TestRestoresThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		images  func(i *fakeImages)
		request func(r *RestoreRequest)
		want    string
	}{
		"whole disk and a partition":      {nil, func(r *RestoreRequest) { r.Partition = 2 }, "partition 2 of it as well"},
		"neither disk nor partition":      {nil, func(r *RestoreRequest) { r.Whole = false }, "no partition was chosen"},
		"negative revision":               {nil, func(r *RestoreRequest) { r.Revision = -1 }, "numbered from 1"},
		"neither image nor set":           {nil, func(r *RestoreRequest) { r.Image = "nope" }, "no such image"},
		"whole disk from one partition":   {nil, func(r *RestoreRequest) { r.Image = "windows11" }, "is of a partition (NTFS), not of a disk"},
		"partition from a whole disk":     {nil, func(r *RestoreRequest) { r.Image, r.Whole, r.Partition = "kiosk", false, 1 }, "restore it to the whole disk"},
		"revision of a set":               {nil, func(r *RestoreRequest) { r.Revision = 1 }, "revisions of their own"},
		"revision that is gone":           {nil, func(r *RestoreRequest) { r.Image, r.Whole, r.Partition, r.Revision = "windows11", false, 1, 2 }, "revision 2 of image windows11"},
		"set of two disks":                {func(i *fakeImages) { i.more[1].Source.Disk = 2 }, nil, "has images of disks 1, 2"},
		"disk that the set has not":       {nil, func(r *RestoreRequest) { r.SetDisk = 3 }, "no images of disk 3 (it has those of disk 1)"},
		"two images for one partition":    {convertedUnderAnotherName, nil, "images lab-p1 and lab-p1-gzip of set lab are both of partition 1 (remove one"},
		"set with a missing image":        {func(i *fakeImages) { i.more = i.more[:1] }, nil, "set lab has no image of partition 5 (type 83, 20.0 GB)"},
		"set without a layout":            {func(i *fakeImages) { i.more[0].HasLayout = false }, nil, "layout of image lab-p1"},
		"image without its partition":     {func(i *fakeImages) { i.more[0].Source.Partition = 0 }, nil, "which partition it is of"},
		"damaged image of a set":          {func(i *fakeImages) { i.damaged["lab-p5 2"] = true }, nil, "image is damaged: revision 2 of lab-p5: byte 7 differs (restore an earlier revision"},
		"damaged image":                   {func(i *fakeImages) { i.damaged["kiosk 1"] = true }, func(r *RestoreRequest) { r.Image = "kiosk" }, "damaged: revision 1 of kiosk"},
		"image that is still read":        {stands("new", imagestore.Processing, ""), func(r *RestoreRequest) { r.Image = "new" }, "image new is not ready yet: it is processing"},
		"image that is still put there":   {stands("new", imagestore.Arriving, ""), func(r *RestoreRequest) { r.Image = "new" }, "it is arriving"},
		"file that is no image":           {stands("new", imagestore.Damaged, "it is a song"), func(r *RestoreRequest) { r.Image = "new" }, "image new is damaged: it is a song"},
		"repository that is not there":    {nil, func(r *RestoreRequest) { r.Repository = "attic" }, "no such repository"},
		"layouts of different disks":      {func(i *fakeImages) { i.more[1].Name = i.image.Name; i.more[1].Revision = 3 }, nil, "different layouts"},
		"layout that cannot be used":      {func(i *fakeImages) { i.moreHave = []byte("{}") }, nil, "layout"},
		"image of a disk inside of a set": {func(i *fakeImages) { i.more[0].Info.Filesystem = format.Disk }, nil, "which partition it is of"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(c *Config) { c.Locate = locate })
			if test.images != nil {
				test.images(b.images)
			}
			r := wholeSet("pc1")
			if test.request != nil {
				test.request(&r)
			}
			_, err := b.m.Restore(t.Context(), "marta", r)
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("restore: got %v, want a refusal that says %q", err, test.want)
			}
			if _, preErr := b.m.PreflightRestore(t.Context(), r); preErr == nil || preErr.Error() != err.Error() {
				t.Errorf("preflight: got %v, want what the restore says: %v", preErr, err)
			}
			if b.work(); len(b.agents.heard()) > 0 || len(b.images.holders()) > 0 {
				t.Error("something was begun")
			}
		})
	}
}

// convertedUnderAnotherName puts a second image of partition 1 into the set.
func convertedUnderAnotherName(i *fakeImages) {
	second := i.more[0]
	second.Name = "lab-p1-gzip"
	i.more = append(i.more, second)
}

func stands(name string, state imagestore.State, problem string) func(i *fakeImages) {
	return func(i *fakeImages) {
		i.standings = []imagestore.Standing{{Repository: "main", Name: name, State: state, Problem: problem}}
	}
}

// locate knows the repository main, whose images are at an address of their own.
func locate(repository string) (name, address string, err error) {
	if repository != "" && repository != "main" {
		return "", "", fmt.Errorf("%w: %q", imagestore.ErrNoRepository, repository)
	}
	return "main", "10.0.9.1", nil
}

func TestSetIsRestoredToTheWholeDisk(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Locate = locate })
	got, err := b.m.PreflightRestore(t.Context(), wholeSet("pc1"))
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Failure != nil || len(got[0].Loses) != 2 {
		t.Errorf("preflight: %+v, want that it passes and loses both partitions", got[0])
	}
	op, err := b.m.Restore(t.Context(), "marta", wholeSet("pc1", "pc2"))
	if err != nil {
		t.Fatal(err)
	}
	b.work()
	if op.Image != "lab" || op.Revision != 0 || op.Repository != "main" || !op.Whole || !op.Layout {
		t.Errorf("the operation is %+v", op)
	}
	want := []protocol.Part{
		{Partition: 1, Image: protocol.Image{
			Repository: "main", Server: "10.0.9.1", Name: "lab-p1", Revision: 2, FileBytes: 15 * gb, UsedBytes: 30 * gb,
			RequiredBytes: 60 * gb, Filesystem: "NTFS", SectorSize: 512,
		}},
		{Partition: 5, Image: protocol.Image{
			Repository: "main", Server: "10.0.9.1", Name: "lab-p5", Revision: 2, FileBytes: 7 * gb / 2, UsedBytes: 7 * gb,
			RequiredBytes: 20 * gb, Filesystem: "EXT4", SectorSize: 512,
		}},
	}
	if got := b.agents.sent["pc1"]; !slices.Equal(got.Parts, want) || string(got.Layout) != string(b.images.moreHave) {
		t.Errorf("the PC got %+v and a layout of %d bytes", got.Parts, len(got.Layout))
	}
	if got := len(b.images.holders()); got != 2 {
		t.Errorf("%d images are held, want both", got)
	}
	for _, name := range []string{"lab-p1", "lab-p5"} {
		if !b.m.Reading("pc2", "main", name, 2) {
			t.Errorf("pc-02 may not read %s", name)
		}
	}
	b.reports(op, "pc1", protocol.Report{Seq: 9, State: protocol.Done, Verified: 37 * gb, Dirty: true})
	b.wantTarget(op, "pc1", Done)
	b.reports(op, "pc2", protocol.Report{Seq: 9, State: protocol.Done, Verified: 30 * gb, Dirty: true})
	if got := b.wantTarget(op, "pc2", Failed); !strings.Contains(got.Failure.Problem, "30000000000 of 37000000000") {
		t.Errorf("a PC that verified one image of two: %v", got.Failure)
	}
	if got := b.images.holders(); len(got) > 0 {
		t.Errorf("images still held by %q", got)
	}
}

func TestSetOutlivesTheServer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.agents.hook = func(string) { b.agents.offline["pc1"] = true } // gone at the moment of sending
	op, err := b.m.Restore(t.Context(), "marta", wholeSet("pc1"))
	if err != nil {
		t.Fatal(err)
	}
	b.work()
	b.agents.hook, b.agents.offline["pc1"] = nil, false
	b.restart()
	if got := len(b.images.holders()); got != 2 {
		t.Errorf("%d images are held after the restart, want both", got)
	}
	b.m.Connected("pc1", nil)
	b.work()
	if got := b.agents.sent["pc1"]; len(got.Parts) != 2 || string(got.Layout) != string(b.images.moreHave) {
		t.Errorf("after the restart the PC got %+v and a layout of %d bytes", got.Parts, len(got.Layout))
	}
	if got, err := b.m.Operation(op.ID); err != nil || got.Repository != "main" || !got.Whole {
		t.Errorf("the record says %+v, %v", got, err)
	}
}

func TestDiskOfASetIsChosen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	second := b.images.more[0]
	second.Name, second.Source.Disk = "lab-d2-p1", 2
	b.images.more = append(b.images.more, second)
	r := wholeSet("pc1")
	r.SetDisk = 1
	if _, err := b.m.Restore(t.Context(), "marta", r); err != nil {
		t.Fatal(err)
	}
	b.work()
	if got := b.agents.sent["pc1"].Parts; len(got) != 2 || got[0].Image.Name != "lab-p1" {
		t.Errorf("the PC got %+v, want the images of disk 1", got)
	}
}

func TestWholeDiskPreflight(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		image  string
		disk   func(d *disk.Disk)
		images func(i *fakeImages)
		code   int
		says   string
		advice string
		loses  int
	}{
		"image of a disk":                       {image: "kiosk", loses: 2},
		"image of a disk, disk of that size":    {image: "kiosk", disk: func(d *disk.Disk) { d.Bytes = 64 * gb }, loses: 2},
		"image of a disk, disk 1 byte smaller":  {image: "kiosk", disk: func(d *disk.Disk) { d.Bytes = 64*gb - 1 }, code: protocol.ErrSize, says: "1 bytes are missing", advice: "at least as large"},
		"image of a disk, disk of other sector": {image: "kiosk", images: func(i *fakeImages) { i.more[2].Source.SectorSize = 4096 }, code: protocol.ErrPartition, says: "sectors of 512"},
		"image of a disk, blank disk":           {image: "kiosk", disk: func(d *disk.Disk) { d.Table, d.Partitions = "", nil }},
		"set":                                   {image: "lab", loses: 2},
		"set, disk too small":                   {image: "lab", disk: func(d *disk.Disk) { d.Bytes = 80 * gb }, code: protocol.ErrSize, says: "are missing"},
		"set, image larger than its partition":  {image: "lab", images: func(i *fakeImages) { i.more[1].Info.RequiredBytes = 501 * gb }, code: protocol.ErrSize, says: "partition 5 of the layout has"},
		"set, image of a partition too many":    {image: "lab", images: func(i *fakeImages) { i.more = append(i.more, extraPart(i.more[1])) }, code: protocol.ErrNotFound, says: "no partition 7 for data"},
		"set, disk of other sectors":            {image: "lab", disk: func(d *disk.Disk) { d.SectorSize = 4096 }, code: protocol.ErrPartition, says: "sectors of 4096"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			if test.disk != nil {
				test.disk(&b.computers.all["pc1"].Inventory.Disks[0])
			}
			if test.images != nil {
				test.images(b.images)
			}
			got, err := b.m.PreflightRestore(t.Context(), RestoreRequest{ComputerIDs: []string{"pc1"}, Disk: 1, Image: test.image, Whole: true})
			if err != nil {
				t.Fatal(err)
			}
			checkFailure(t, got[0].Failure, test.code, test.says, test.advice)
			if len(got[0].Loses) != test.loses {
				t.Errorf("it loses %q, want %d partitions", got[0].Loses, test.loses)
			}
		})
	}
}

// extraPart is an image for a partition that the set's layout has not.
func extraPart(img imagestore.Image) imagestore.Image {
	img.Name, img.Source.Partition = "lab-p7", 7
	return img
}

func TestRestoreOfADisk(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	op, err := b.m.Restore(t.Context(), "marta", RestoreRequest{ComputerIDs: []string{"pc1"}, Disk: 1, Image: "kiosk", Whole: true, Layout: true})
	if err != nil {
		t.Fatal(err)
	}
	b.work()
	if got := b.agents.sent["pc1"]; len(got.Parts) != 1 || got.Parts[0].Partition != 0 || len(got.Layout) > 0 || op.Layout || op.Revision != 1 {
		t.Errorf("the PC got %+v with a layout of %d bytes, the operation is %+v", got.Parts, len(got.Layout), op)
	}
	b.reports(op, "pc1", protocol.Report{Seq: 5, Stage: protocol.StageWriting, Dirty: true})
	b.m.Connected("pc1", nil)
	if got := b.wantTarget(op, "pc1", Failed); !strings.Contains(got.Failure.Problem, "its disk holds half an image") {
		t.Errorf("a PC that restarted while its disk was written: %v", got.Failure)
	}
}

func TestEarlierRevisionIsRestored(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	old := testImage()
	old.Revision, old.Info.UsedBytes = 3, 35*gb
	b.images.more = append(b.images.more, old)
	r := RestoreRequest{ComputerIDs: []string{"pc1"}, Disk: 1, Partition: 1, Image: "windows11", Revision: 3}
	op, err := b.m.Restore(t.Context(), "marta", r)
	if err != nil {
		t.Fatal(err)
	}
	b.work()
	if got := b.agents.sent["pc1"].Parts; op.Revision != 3 || got[0].Image.Revision != 3 || got[0].Image.UsedBytes != 35*gb {
		t.Errorf("operation of revision %d, the PC got %+v", op.Revision, got)
	}
	// The damage of the current revision is none of its business, and the other way round.
	b.images.damaged["windows11 4"] = true
	r.ComputerIDs = []string{"pc2"}
	if _, err := b.m.Restore(t.Context(), "marta", r); err != nil {
		t.Errorf("beside a damaged current revision: %v", err)
	}
	b.images.damaged["windows11 3"] = true
	r.ComputerIDs = []string{"pc3"}
	if _, err := b.m.Restore(t.Context(), "marta", r); !errors.Is(err, imagestore.ErrDamaged) {
		t.Errorf("damaged earlier revision: got %v, want ErrDamaged", err)
	}
}

func TestCaptureNamesItsRepositoryAndCompressor(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Locate = locate })
	r := CaptureRequest{ComputerID: "pc1", Disk: 1, Partition: 1, Image: "ubuntu", Compressor: format.Lzop, Level: 3}
	op, err := b.m.Capture(t.Context(), "marta", r)
	if err != nil {
		t.Fatal(err)
	}
	b.work()
	want := protocol.Capture{Repository: "main", Name: "ubuntu", Compressor: format.Lzop, Level: 3}
	if got := b.agents.sent["pc1"].Capture; got == nil || !reflect.DeepEqual(*got, want) || op.Repository != "main" {
		t.Errorf("the PC got %+v in an operation of repository %q, want %+v", got, op.Repository, want)
	}
	for name, test := range map[string]struct {
		change func(r *CaptureRequest)
		want   string
	}{
		"unknown compressor":           {func(r *CaptureRequest) { r.Compressor = "ARJ" }, `"ARJ"`},
		"compressor that is only read": {func(r *CaptureRequest) { r.Compressor = format.XZ }, "choose ZSTD, LZOP or GZIP"},
		"level out of range":           {func(r *CaptureRequest) { r.Compressor, r.Level = format.Gzip, 12 }, "level 12"},
		"repository that is not there": {func(r *CaptureRequest) { r.Repository = "attic" }, "no such repository"},
	} {
		r := CaptureRequest{ComputerID: "pc2", Disk: 1, Partition: 1, Image: "debian"}
		test.change(&r)
		if _, err := b.m.Capture(t.Context(), "marta", r); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want a refusal that says %q", name, err, test.want)
		}
	}
}

// TestRecordOfAnOlderVersion reads what was written when a PC could be given one image only.
func TestRecordOfAnOlderVersion(t *testing.T) {
	t.Parallel()
	const id = "20261122T090000000-4f2a"
	plan := map[string]any{
		"id": id, "kind": RestoreImage, "actor": "marta", "created": t0, "state": Running, "image": "windows11", "revision": 4,
		"targets": []any{map[string]any{
			"computerID": "pc1", "name": "pc-01", "state": Waiting,
			"instruct": map[string]any{
				"id": instructionID(id, "pc1"), "kind": RestoreImage, "disk": disk.Ref{Number: 1, Bytes: 500 * gb, SectorSize: 512},
				"partition": 1, "image": map[string]any{"name": "windows11", "revision": 4, "usedBytes": 40 * gb, "requiredBytes": 60 * gb},
			},
		}},
	}
	data, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	b.store.records[id] = data
	b.restart()
	b.m.Connected("pc1", nil)
	b.work()
	if got := b.agents.sent["pc1"].Parts; len(got) != 1 || got[0].Partition != 1 || got[0].Image.Name != "windows11" {
		t.Fatalf("the PC got %+v", got)
	}
	b.finishes(Operation{ID: id}, "pc1")
	b.wantTarget(Operation{ID: id}, "pc1", Done)
}
