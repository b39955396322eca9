package cache_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"aula/clientos/cache"
	"aula/clientos/disk/disktest"
	"aula/clientos/protocol"
)

// sized names an image of so many bytes, whose file is never made.
func sized(name string, bytes int64) protocol.Image {
	image := imageOf(name, 1, []byte(name))
	image.FileBytes = bytes
	return image
}

func TestNoRoom(t *testing.T) {
	t.Parallel()
	p := withExt4(t, dosTable)
	o := open(t, p)
	defer closed(t, o)
	if _, _, err := o.Reserve(sized("huge", 200*mib)); err != nil {
		wantFailure(t, err, protocol.ErrCacheSize, "cache of 62.9 MB is smaller than image huge of 209.7 MB")
	} else {
		t.Error("200 MiB fit in 60")
	}
	old := file(1, 20*mib)
	oldImage := imageOf("windows11", 1, old)
	bring(t, o, oldImage, old)
	// Less than what is free, and more: nothing else is removed for it.
	_, _, err := o.Reserve(sized("linux", 40*mib))
	wantFailure(t, err, protocol.ErrCacheSize, "image linux of 41.9 MB does not fit", "free", "missing", "it holds windows11 (21.0 MB)", "delete")
	if _, found := o.Find(oldImage); !found {
		t.Fatal("an image of another name was removed")
	}

	// Of the same name, and there is room for both: the old one stays until the new one has come.
	small := file(2, mib)
	if note := bring(t, o, imageOf("small", 1, small), small); note != "" {
		t.Errorf("got note %q", note)
	}
	if note := bring(t, o, imageOf("small", 2, small[1:]), small[1:]); note != "" {
		t.Errorf("got note %q", note)
	}
	// There is not: it goes first, and somebody is told.
	data := file(3, 36*mib)
	image := imageOf("windows11", 2, data)
	path, note, err := o.Reserve(image)
	if err != nil || !strings.Contains(note, "windows11") || !strings.Contains(note, "removed") {
		t.Fatalf("got note %q, error %v, want to be told of the old one's removal", note, err)
	}
	if _, found := o.Find(oldImage); found {
		t.Error("the old one is still there")
	}
	write(t, path+".partial", data[:30*mib]) // what comes is counted as had
	if _, note, err := o.Reserve(image); err != nil || note != "" {
		t.Errorf("reserving the rest: note %q, error %v", note, err)
	}
	if err := os.Rename(path+".partial", path); err != nil {
		t.Fatal(err)
	}
	_, err = o.Keep(t.Context(), image, nil)
	wantFailure(t, err, protocol.ErrUpdate, image.Digest)
	if s := state(t, p); len(s.Images) != 1 || s.Images[0].Name != "small" || s.Images[0].Revision != 2 {
		t.Errorf("got %+v, want the small one alone", s.Images)
	}
}

// TestSetIsReservedBeforeItComes has two images that fit alone, and not together.
func TestSetIsReservedBeforeItComes(t *testing.T) {
	t.Parallel()
	p := withExt4(t, dosTable)
	o := open(t, p)
	defer closed(t, o)
	one, two := sized("one", 30*mib), sized("two", 25*mib)
	path, _, err := o.Reserve(one)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = o.Reserve(two)
	wantFailure(t, err, protocol.ErrCacheSize, "two", "missing")
	// Half of it comes: what is missing of it is still promised.
	write(t, path+".partial", make([]byte, 15*mib))
	_, _, err = o.Reserve(two)
	wantFailure(t, err, protocol.ErrCacheSize, "two", "not complete")
	if err := os.Remove(path + ".partial"); err != nil {
		t.Fatal(err)
	}
	second := open(t, p)
	closed(t, o)
	defer closed(t, second)
	if _, _, err := second.Reserve(two); err != nil {
		t.Errorf("the promise outlives its Open: %v", err)
	}
}

func TestFullAndReadOnlyDisk(t *testing.T) {
	t.Parallel()
	p := withExt4(t, dosTable)
	o := open(t, p)
	defer closed(t, o)
	data := file(1, mib)
	kept, image := imageOf("kept", 1, data), imageOf("linux", 1, data[1:])
	bring(t, o, kept, data)
	path, _, err := o.Reserve(image)
	if err != nil {
		t.Fatal(err)
	}
	write(t, path, data[1:])
	fill(t, p.folder)
	_, err = o.Keep(t.Context(), image, nil)
	wantFailure(t, err, protocol.ErrCacheSize, "linux", "full", "delete")
	wantIntact(t, o, kept, image)
	if err := os.Remove(filepath.Join(p.folder, "filling")); err != nil {
		t.Fatal(err)
	}
	if !o.Arrived(image) {
		t.Error("what had come was thrown away because the disk was full")
	}

	disktest.Run(t, "mount", "-o", "remount,ro", p.folder)
	_, err = o.Keep(t.Context(), image, nil)
	wantFailure(t, err, protocol.ErrFilesystem, "read, but not written")
	_, _, err = o.Reserve(image)
	wantFailure(t, err, protocol.ErrFilesystem, "read, but not written")
	wantFailure(t, o.Remove("kept"), protocol.ErrFilesystem, "kept")
	wantIntact(t, o, kept, image)
	if s := state(t, p); !s.Has(kept) || s.Has(image) || s.Free != 0 || !strings.Contains(s.Problem, "not written") {
		t.Errorf("got %+v, want the image that can still be restored, and the problem", s)
	}

	disktest.Run(t, "mount", "-o", "remount,rw", p.folder)
	if _, err := o.Keep(t.Context(), image, nil); err != nil {
		t.Error(err)
	}
	if _, found := o.Find(image); !found {
		t.Error("not found")
	}
}

func wantIntact(t *testing.T, o *cache.Open, kept, image protocol.Image) {
	t.Helper()
	if _, found := o.Find(kept); !found {
		t.Error("an image that was there is gone")
	}
	if _, found := o.Find(image); found {
		t.Error("an image is found that was not kept")
	}
}

// fill leaves no block free, also of those that are kept for root.
func fill(t *testing.T, folder string) {
	t.Helper()
	f, err := os.Create(filepath.Join(folder, "filling"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for piece := make([]byte, mib); len(piece) > 0; {
		if _, err = f.Write(piece); err != nil {
			piece = piece[:len(piece)/2]
		}
	}
	if err := f.Sync(); err != nil && err != unix.ENOSPC {
		t.Fatal(err)
	}
}
