package imagestore

import (
	"strings"
	"testing"

	"aula/imagestore/format"
)

// publishMember publishes an image of the set fog.
func publishMember(t *testing.T, r *Repository, name string, partition int, id string) {
	t.Helper()
	file := imageFile(t, partition)
	s, err := r.Stage(name, Source{Disk: 1, Partition: partition, Set: "fog", Import: id})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Write(file); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Publish(t.Context(), digest(file), nil); err != nil {
		t.Fatal(err)
	}
}

// A set that is imported again with fewer partitions is not mixed with what the first import has left.
func TestSetIsThatOfItsNewestImport(t *testing.T) {
	t.Parallel()
	l, repos := openLibrary(t, "main")
	set := func(want string) {
		t.Helper()
		images, err := l.Set("", "fog")
		var names []string
		for _, i := range images {
			names = append(names, i.Name)
		}
		if got := strings.Join(names, " "); err != nil || got != want {
			t.Errorf("the set is %q, %v, want %q", got, err, want)
		}
	}
	publishMember(t, repos[0], "fog-p2", 2, "")
	publishMember(t, repos[0], "fog-p1", 1, "")
	set("fog-p1 fog-p2") // of before there were ids
	for _, member := range []struct {
		name      string
		partition int
	}{{"fog-p1", 1}, {"fog-p2", 2}, {"fog-p3", 3}} {
		publishMember(t, repos[0], member.name, member.partition, "FIRST")
	}
	set("fog-p1 fog-p2 fog-p3")
	publishMember(t, repos[0], "fog-p2", 2, "SECOND")
	publishMember(t, repos[0], "fog-p1", 1, "SECOND")
	set("fog-p1 fog-p2")
}

// A set has one image of each partition, also after one of them was converted under another name.
func TestConversionUnderAnotherNameLeavesTheSet(t *testing.T) {
	t.Parallel()
	l, repos := openLibrary(t, "main")
	publishMember(t, repos[0], "fog-p1", 1, "")
	made, err := l.Convert(t.Context(), "", "fog-p1", 0, Conversion{Compressor: format.Gzip, Name: "other"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if made.Source.Set != "" || made.Source.Partition != 1 {
		t.Errorf("the new image comes from %+v, want partition 1 of no set", made.Source)
	}
	if made, err = l.Convert(t.Context(), "", "fog-p1", 0, Conversion{Compressor: format.Gzip}, nil); err != nil {
		t.Fatal(err)
	}
	if images, err := l.Set("", "fog"); err != nil || len(images) != 1 || images[0].Name != "fog-p1" || images[0].Revision != made.Revision {
		t.Errorf("the set is %+v, %v; want revision %d of fog-p1", images, err, made.Revision)
	}
}
