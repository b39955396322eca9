package disk

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

// plain is a virtio disk: it has neither model, serial number nor world wide name.
func plain(number int, path string) Disk {
	return Disk{Number: number, Path: path, Bytes: 500e9, SectorSize: 512}
}

// with returns d after a change.
func with(d Disk, change func(*Disk)) Disk {
	change(&d)
	return d
}

func serial(s string) func(*Disk) { return func(d *Disk) { d.Serial = s } }
func wwn(s string) func(*Disk)    { return func(d *Disk) { d.WWN = s } }
func model(s string) func(*Disk)  { return func(d *Disk) { d.Model = s } }

// swap is what the kernel does when it finds two disks in the other order: number and node change places.
func swap(disks []Disk) []Disk {
	swapped := slices.Clone(disks)
	swapped[0], swapped[1] = disks[1], disks[0]
	for i := range swapped {
		swapped[i].Number, swapped[i].Path = disks[i].Number, disks[i].Path
	}
	return swapped
}

func TestChooseAmongLikeDisks(t *testing.T) {
	t.Parallel()
	a, b := plain(1, "/dev/vda"), plain(2, "/dev/vdb")
	apart := []string{"disk 1 (/dev/vda) and disk 2 (/dev/vdb)", "cannot be told apart", "500.0 GB", "nothing was written"}
	for name, test := range map[string]struct {
		disks   []Disk
		refuses []string // what it says of the disks in the order of the inventory, empty when it chooses
		swapped []string // and after a swap
	}{
		"virtio twins":             {[]Disk{a, b}, apart, apart},
		"RAID volumes":             {[]Disk{with(a, model("VOLUME")), with(b, model("VOLUME"))}, append(apart, "(VOLUME)"), apart},
		"bridges with one serial":  {[]Disk{with(a, serial("0123")), with(b, serial("0123"))}, append(apart, "serial number 0123"), apart},
		"the same WWN":             {[]Disk{with(a, wwn("t10.BRIDGE")), with(b, wwn("t10.BRIDGE"))}, append(apart, "t10.BRIDGE"), apart},
		"serial numbers":           {[]Disk{with(a, serial("A")), with(b, serial("B"))}, nil, []string{"(serial number differs)"}},
		"one of them has a serial": {[]Disk{a, with(b, serial("B"))}, nil, []string{"(serial number differs)"}},
		"world wide names":         {[]Disk{with(a, wwn("naa.1")), with(b, wwn("naa.2"))}, nil, []string{"naa.1", "naa.2", "(world wide name differs)"}},
		"models":                   {[]Disk{with(a, model("ONE")), with(b, model("TWO"))}, nil, []string{"(ONE)", "(TWO)", "(model differs)"}},
		"sizes":                    {[]Disk{a, with(b, func(d *Disk) { d.Bytes += 512 })}, nil, []string{"(size differs)"}},
		"sector sizes":             {[]Disk{a, with(b, func(d *Disk) { d.SectorSize = 4096 })}, nil, []string{"(sector size differs)"}},
		"only one has a WWN":       {[]Disk{a, with(b, wwn("naa.2"))}, apart, apart}, // a Ref without WWN may be an older server's
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ref := test.disks[0].Ref()
			wantChoice(t, test.disks, ref, test.refuses)
			wantChoice(t, swap(test.disks), ref, test.swapped)
		})
	}
}

// wantChoice fails the test unless choose returns the disk with the number of ref, or, when there are words, refuses with them.
func wantChoice(t *testing.T, disks []Disk, ref Ref, words []string) {
	t.Helper()
	got, err := choose(disks, ref)
	if len(words) == 0 {
		if err != nil || got.Path != disks[ref.Number-1].Path {
			t.Errorf("got %s and %v, want disk %d", got.Path, err, ref.Number)
		}
		return
	}
	var e *Error
	if !errors.As(err, &e) || e.Kind != Differs || e.Advice == "" {
		t.Fatalf("got %+v and %#v, want an *Error of kind Differs with advice", got, err)
	}
	for _, w := range words {
		if !strings.Contains(e.Problem, w) {
			t.Errorf("got %q, want it to say %q", e.Problem, w)
		}
	}
}

func TestChooseTheOnlyDiskWithoutSerialNumber(t *testing.T) {
	t.Parallel()
	disk := plain(1, "/dev/vda")
	wantChoice(t, []Disk{disk}, disk.Ref(), nil)
	stick := with(plain(2, "/dev/sda"), func(d *Disk) { d.Bytes, d.Model = 16e9, "STICK" })
	wantChoice(t, []Disk{disk, stick}, disk.Ref(), nil)
}

func TestOlderServersRefIsUnderstood(t *testing.T) {
	t.Parallel()
	var ref Ref
	if err := json.Unmarshal([]byte(`{"number":1,"serial":"A","bytes":500000000000,"sectorSize":512}`), &ref); err != nil {
		t.Fatal(err)
	}
	a := with(with(with(plain(1, "/dev/sda"), serial("A")), model("ONE")), wwn("naa.1"))
	b := with(with(with(plain(2, "/dev/sdb"), serial("B")), model("ONE")), wwn("naa.2"))
	wantChoice(t, []Disk{a, b}, ref, nil)
	wantChoice(t, swap([]Disk{a, b}), ref, []string{"(serial number differs)"})

	data, err := json.Marshal(plain(1, "/dev/vda").Ref())
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(data), `{"number":1,"bytes":500000000000,"sectorSize":512}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
