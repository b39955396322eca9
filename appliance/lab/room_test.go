package lab

import (
	"fmt"
	"strings"
	"testing"

	"aula/appliance/operation"
	"aula/clientos/protocol"
	"aula/webui/api"
)

// A mixedRoom is a dozen PCs, of which some are not as they should be.
type mixedRoom struct {
	*classroom
	image     reference
	pcs       []*NativePC
	computers []api.Computer
}

// Those of the room that are not like the others, which have a cache and room in it.
const (
	small  = 6 + iota // has a cache that is smaller than the image
	none              // has no cache
	has               // has the image in its cache
	narrow            // has a partition that is smaller than the image's
	dies              // loses power in the middle
	late              // is off at first
	dozen             // is how many there are
)

// TestRoomOfTwelve deploys an image by every protocol to a room in which something is the matter with every other PC.
func TestRoomOfTwelve(t *testing.T) {
	room := startMixedRoom(t)
	for _, way := range []string{"MULTICAST", "TORRENT peer:1", "UNICAST"} {
		by, _, _ := strings.Cut(way, " ")
		t.Run(by, func(t *testing.T) {
			r := *room
			r.classroom = room.in(t)
			r.deploy(by, fmt.Sprintf("deployImage REPO %s 1 1 %s plain", extImage, way))
		})
	}
}

func startMixedRoom(t *testing.T) *mixedRoom {
	t.Helper()
	c, _, _ := modelRoom(t)
	r := &mixedRoom{classroom: c, image: c.restoredByPartclone(extImage)}
	r.pcs, r.computers = c.natives(dozen, NativeSpec{Disk: DiskSpec{Bytes: cachedDisk}})
	texts := map[int]string{
		small:  "partitionDisk 1 MSDOS LINUX:48M:EXT4 NTFS:32M:NTFS cache=13M",
		none:   withoutCache,
		has:    withCache + "\nupdateCache REPO " + extImage,
		narrow: "partitionDisk 1 MSDOS LINUX:24M:EXT4 NTFS:32M:NTFS cache=64M",
	}
	var begun []api.Operation
	var others []api.Computer
	for i, computer := range r.computers {
		if text, special := texts[i]; special {
			begun = append(begun, c.begin(text, computer))
		} else {
			others = append(others, computer)
		}
	}
	for _, o := range append(begun, c.begin(withCache, others...)) {
		for _, part := range c.ended(o) {
			wantDone(t, o.Text, part)
		}
	}
	return r
}

// deploy deploys the image to the room while things happen, and then once more to those that were not done.
func (r *mixedRoom) deploy(by, text string) {
	t := r.t
	r.carried("poweroff", r.computers[late])
	r.awaitConnection(r.pcs[late], false)
	<-r.pcs[late].Off()
	for i, pc := range r.pcs {
		if i != narrow {
			wipe(t, pc, extStart, extSize)
		}
		if err := pc.SetRate(slow); err != nil {
			t.Fatal(err)
		}
	}
	r.foresee(by, text)

	o := r.begin(text, r.computers...)
	r.awaitPart(o, r.pcs[dies].Name(), protocol.StageCaching, 0.3)
	r.pcs[dies].PowerOff()
	if err := r.pcs[late].PowerOn(); err != nil {
		t.Fatal(err)
	}
	r.awaitBack(r.pcs[dies])
	r.judge(r.ended(o))

	if err := r.pcs[dies].SetRate(0); err != nil {
		t.Fatal(err)
	}
	again, err := r.API().Retry(t.Context(), o.ID)
	if err != nil {
		t.Fatal(err)
	}
	parts := r.ended(again)
	if len(parts) != 2 {
		t.Errorf("%d PCs are tried again, want the two that were not done", len(parts))
	}
	wantDone(t, "retry", parts[r.pcs[dies].Name()])
	wantFailure(t, parts[r.pcs[narrow].Name()], "", operation.Failed)
	r.compare(dies)
	r.forget()
}

// foresee checks what the pre-flight says of each PC.
func (r *mixedRoom) foresee(by, text string) {
	t := r.t
	t.Helper()
	found, err := r.API().CheckProgram(t.Context(), api.Program{ComputerIDs: ids(r.computers), Text: text})
	if err != nil {
		t.Fatal(err)
	}
	for i, pre := range found {
		way := "through its cache by " + by
		switch i {
		case small, none:
			way = "straight to the disk by UNICAST: "
		case has:
			way = "from its cache"
		}
		code := 0
		if pre.Failure != nil {
			code = pre.Failure.Code
		}
		switch {
		case i == narrow && code != protocol.ErrSize || i != narrow && code != 0:
			t.Errorf("pre-flight of %s: %+v", pre.Name, pre.Failure)
		case i != narrow && !strings.Contains(pre.Way, way):
			t.Errorf("pre-flight of %s: the image comes %q, want %q", pre.Name, pre.Way, way)
		case pre.Online != (i != late):
			t.Errorf("pre-flight of %s: connected is %v", pre.Name, pre.Online)
		}
	}
}

// judge checks how each PC has ended.
func (r *mixedRoom) judge(parts parts) {
	t := r.t
	t.Helper()
	ready := parts[r.pcs[has].Name()]
	for i, pc := range r.pcs {
		part := parts[pc.Name()]
		switch i {
		case narrow:
			wantFailure(t, part, "", operation.Failed)
			if part.Failure.Code != protocol.ErrSize || part.Dirty {
				t.Errorf("%s, whose partition is too small: %+v, dirty is %v", part.Name, part.Failure, part.Dirty)
			}
			continue
		case dies:
			wantFailure(t, part, "restarted", operation.Failed)
			continue
		case small:
			wantNote(t, part, "smaller than image")
		case none:
			wantNote(t, part, "no cache partition")
		case has:
			wantNote(t, part, "the cache had it already")
		default:
			wantNote(t, part, "")
			if !part.Ended.After(ready.Ended) {
				t.Errorf("%s, which had to fetch the image, has ended before %s, which had it in its cache", part.Name, ready.Name)
			}
		}
		wantDone(t, "deployment", part)
		r.compare(i)
	}
}

// compare compares what a PC has with what partclone makes of the image.
func (r *mixedRoom) compare(i int) {
	r.t.Helper()
	if err := r.image.differences(r.pcs[i].Disk(), extStart); err != nil {
		r.t.Errorf("%s: %v", r.pcs[i].Name(), err)
	}
}

// forget removes the image from the caches into which it came.
func (r *mixedRoom) forget() {
	r.t.Helper()
	var with []api.Computer
	for i, computer := range r.computers {
		switch cached := r.cached(r.pcs[i], extImage); {
		case cached == (i == small || i == none || i == narrow):
			r.t.Errorf("%s: the image is in its cache: %v", r.pcs[i].Name(), cached)
		case cached && i != has:
			with = append(with, computer)
		}
	}
	r.carried("deleteCachedImage "+extImage, with...)
}
