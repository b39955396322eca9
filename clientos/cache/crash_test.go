package cache

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"aula/clientos/protocol"
)

// A cutter copies the folder of the images after every step of what is done to it: as it is found after a crash of the agent there, and as after a
// power cut, with files empty that were not brought to the disk.
type cutter struct {
	t      *testing.T
	dir    string // of the shelf
	synced []os.FileInfo
	cuts   map[string]string // folder of a copy, by what was done last
}

func (c *cutter) watch(s *shelf) {
	c.dir, c.cuts = s.dir, map[string]string{}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, e := range entries {
		if comingPattern.MatchString(e.Name()) {
			continue // what the test has put there is not on the disk yet
		}
		c.durable(s.path(e.Name()))
	}
	s.after = func(step, path string) {
		if step == "sync" && path != s.dir {
			c.durable(path)
		}
		c.take(step + " " + filepath.Base(path))
	}
	c.take("start")
}

func (c *cutter) durable(path string) {
	info, err := os.Lstat(path)
	if err != nil {
		c.t.Fatal(err)
	}
	c.synced = append(c.synced, info)
}

func (c *cutter) take(step string) {
	crash, power := c.t.TempDir(), c.t.TempDir()
	entries, err := os.ReadDir(c.dir)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, dir := range []string{crash, power} {
		if err := os.MkdirAll(filepath.Join(dir, imagesFolder), 0o755); err != nil {
			c.t.Fatal(err)
		}
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			c.t.Fatal(err)
		}
		data := read(c.t, filepath.Join(c.dir, e.Name()))
		c.copy(filepath.Join(crash, imagesFolder, e.Name()), data, info)
		safe := false
		for _, s := range c.synced {
			safe = safe || os.SameFile(s, info)
		}
		if !safe {
			data = nil
		}
		c.copy(filepath.Join(power, imagesFolder, e.Name()), data, info)
	}
	c.cuts["crash after "+step] = crash
	c.cuts["power cut after "+step] = power
}

func (c *cutter) copy(path string, data []byte, like os.FileInfo) {
	write(c.t, path, data)
	if err := os.Chtimes(path, like.ModTime(), like.ModTime()); err != nil {
		c.t.Fatal(err)
	}
}

// TestKeepCutAnywhere cuts Keep at each of its steps, and the mending of each of these again at each of its own.
func TestKeepCutAnywhere(t *testing.T) {
	t.Parallel()
	o := bare(t, t.TempDir())
	old, data := file(1, 3000), file(2, 3000)
	oldImage, image := imageOf("linux", 1, old), imageOf("linux", 2, data)
	keep(t, o, oldImage, old)
	write(t, o.shelf.path("linux.img.torrent"), []byte("of the old one"))
	path := reserve(t, o, image)
	write(t, path, data)
	cut := cutter{t: t}
	cut.watch(&o.shelf)
	if _, err := o.Keep(t.Context(), image, nil); err != nil {
		t.Fatal(err)
	}
	o.shelf.after = nil
	if len(cut.cuts) < 30 {
		t.Errorf("there were %d cuts, want more", len(cut.cuts))
	}
	states := map[string]int{}
	for step, dir := range cut.cuts {
		again := cutter{t: t}
		o := bare(t, dir)
		again.watch(&o.shelf)
		// What a process before this one has left is on the disk.
		for _, name := range names(t, o) {
			again.durable(o.shelf.path(name))
		}
		if err := o.shelf.mend(); err != nil {
			t.Errorf("%s: %v", step, err)
		}
		o.shelf.after = nil
		states[wantOneOf(t, step, o, oldImage, old, image, data)]++
		for step2, dir := range again.cuts {
			o := bare(t, dir)
			if err := o.shelf.mend(); err != nil {
				t.Errorf("%s, %s: %v", step, step2, err)
			}
			wantOneOf(t, step+", "+step2, o, oldImage, old, image, data)
		}
	}
	if states["old"] == 0 || states["new"] == 0 {
		t.Errorf("got the states %v, want the old image after the first cuts, and the new one after the last", states)
	}
	t.Logf("%d cuts: %v", len(cut.cuts), states)
}

// wantOneOf makes sure that at most one of the images is there, with the right bytes and sums, and that the new one can come all the same.
func wantOneOf(t *testing.T, step string, o *Open, oldImage protocol.Image, old []byte, image protocol.Image, data []byte) string {
	t.Helper()
	state := "none"
	for name, want := range map[string]struct {
		image protocol.Image
		data  []byte
	}{"old": {oldImage, old}, "new": {image, data}} {
		path, found := o.Find(want.image)
		if !found {
			continue
		}
		if state != "none" {
			t.Errorf("%s: both images are found", step)
		}
		state = name
		if !bytes.Equal(read(t, path), want.data) || string(read(t, path+".full.sum")) != md5Line(want.data) || string(read(t, path+".sum")) != md5Line(want.data) {
			t.Errorf("%s: the %s image is found, and its bytes or sums are not those", step, name)
		}
		if name == "new" && exists(path+".torrent") {
			t.Errorf("%s: the new image has the torrent of the old one", step)
		}
	}
	if state != "new" {
		keep(t, o, image, data)
	}
	if path, found := o.Find(image); !found || !bytes.Equal(read(t, path), data) {
		t.Errorf("%s: the new image cannot come any more", step)
	}
	if err := o.shelf.mend(); err != nil || len(names(t, o)) != 4 {
		t.Errorf("%s: in the end there are %v (%v)", step, names(t, o), err)
	}
	return state
}
