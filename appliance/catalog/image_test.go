package catalog

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestImageObjects(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	if err := c.PutImageObject(ImageObject{Name: "ubuntu", Comments: " with LibreOffice\n"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AddImageObject(ImageObject{Name: "ubuntu"}); !errors.Is(err, ErrExists) {
		t.Errorf("added twice: got %v, want ErrExists", err)
	}
	if err := c.PutImageObject(ImageObject{Name: "ubuntu", DisplayName: "Ubuntu 24.04 ", Profile: " Ubuntu, LibreOffice ", Partition: 2, PartitionType: "linux",
		Repository: "second", Comments: "two\nlines"}); err != nil {
		t.Fatal(err)
	}
	want := ImageObject{Name: "ubuntu", DisplayName: "Ubuntu 24.04", Profile: "Ubuntu, LibreOffice", Partition: 2, PartitionType: "LINUX",
		Repository: "second", Comments: "two\nlines"}
	if got := must(c.ImageObjects())(t); len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := must(c.ImageObject("ubuntu"))(t); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := c.RemoveImageObject("ubuntu"); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveImageObject("ubuntu"); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: got %v, want ErrNotFound", err)
	}
	if _, err := c.ImageObject("ubuntu"); !errors.Is(err, ErrNotFound) {
		t.Errorf("read when removed: got %v, want ErrNotFound", err)
	}
	added := must(c.AddImageObject(ImageObject{Name: "debian", Partition: maxPartition}))(t)
	if added.DisplayName != "debian" {
		t.Errorf("added without a name for people: got %q, want debian", added.DisplayName)
	}
}

func TestImageObjectsThatAreRefused(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	for name, o := range map[string]struct {
		object ImageObject
		says   string
	}{
		"a name with a space":               {ImageObject{Name: "win 11"}, `"win_11" would do`},
		"a name that leaves the folder":     {ImageObject{Name: "../passwd"}, "begins with a dot"},
		"partition 129":                     {ImageObject{Name: "x", Partition: 129}, "give 1 to 128"},
		"partition -1":                      {ImageObject{Name: "x", Partition: -1}, "give 1 to 128"},
		"a partition type of free text":     {ImageObject{Name: "x", PartitionType: "the big one"}, "NTFS"},
		"a repository that cannot be":       {ImageObject{Name: "x", Repository: "a/b"}, "repository of image x"},
		"a profile of two lines":            {ImageObject{Name: "x", Profile: "a\nb"}, "in one line"},
		"an endless profile":                {ImageObject{Name: "x", Profile: strings.Repeat("p", maxProfile+1)}, "at most 256"},
		"endless comments":                  {ImageObject{Name: "x", Comments: strings.Repeat("x", maxComments+1)}, "at most 4096"},
		"comments that are no text":         {ImageObject{Name: "x", Comments: "\xff"}, "UTF-8"},
		"a display name that hides letters": {ImageObject{Name: "x", DisplayName: "a\u202eb"}, "cannot be seen"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.PutImageObject(o.object)
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), o.says) {
				t.Errorf("got %v, want ErrInvalid that says %q", err, o.says)
			}
			if _, err := c.AddImageObject(o.object); !errors.Is(err, ErrInvalid) {
				t.Errorf("added: got %v, want ErrInvalid", err)
			}
		})
	}
	if got := must(c.ImageObjects())(t); len(got) != 0 {
		t.Errorf("refused objects were kept: %+v", got)
	}
}

func TestPartitionTypesAreAListForPeople(t *testing.T) {
	t.Parallel()
	types := PartitionTypes()
	if !slices.IsSorted(types) || len(slices.Compact(slices.Clone(types))) != len(types) {
		t.Errorf("not sorted or twice the same: %q", types)
	}
	for _, name := range []string{"NTFS", "LINUX", "EFI", "WINDOWS", "LINUX-SWAP", "LVM-LV", "ZFS-VOL"} {
		if !slices.Contains(types, name) {
			t.Errorf("lacks %s", name)
		}
	}
}
