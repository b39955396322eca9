package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"aula/appliance/operation"
	"aula/clientos/protocol"
	"aula/webui/api"
)

// cachedDisk is the size of a disk that has the partitions of the model and a cache.
const cachedDisk = diskSize + 72*mib

// Programs that make the model's partitions, without and with a cache behind them.
const (
	withoutCache = "partitionDisk 1 MSDOS LINUX:48M:EXT4 NTFS:32M:NTFS cache=none"
	withCache    = "partitionDisk 1 MSDOS LINUX:48M:EXT4 NTFS:32M:NTFS cache=64M"
)

// begin has PCs carry out a program.
func (c *classroom) begin(text string, computers ...api.Computer) api.Operation {
	c.t.Helper()
	o, err := c.API().Run(c.t.Context(), api.Program{ComputerIDs: ids(computers), Text: text})
	if err != nil {
		c.t.Fatal(err)
	}
	return o
}

func ids(computers []api.Computer) []string {
	var ids []string
	for _, computer := range computers {
		ids = append(ids, computer.ID)
	}
	return ids
}

// parts are the targets of an operation by the names of their PCs.
type parts map[string]api.Target

func partsOf(o api.Operation) parts {
	all := make(parts)
	for _, t := range o.Targets {
		all[t.Name] = t
	}
	return all
}

// ended waits until an operation is over and returns each PC's part.
func (c *classroom) ended(o api.Operation) parts {
	c.t.Helper()
	ctx, cancel := context.WithTimeoutCause(c.t.Context(), faultLimit, fmt.Errorf("it takes longer than %v", faultLimit))
	defer cancel()
	o, err := c.API().Wait(ctx, o.ID, nil)
	if err != nil {
		now, _ := c.API().Operation(c.t.Context(), o.ID)
		c.t.Fatalf("%v; %s; %+v", err, now.Summary, now.Targets)
	}
	return partsOf(o)
}

// carried has PCs carry out a program, and wants it done on all.
func (c *classroom) carried(text string, computers ...api.Computer) parts {
	c.t.Helper()
	all := c.ended(c.begin(text, computers...))
	for _, part := range all {
		wantDone(c.t, text, part)
	}
	if c.t.Failed() {
		c.t.FailNow()
	}
	return all
}

// wantDone checks that a part is done without a warning.
func wantDone(t *testing.T, what string, part api.Target) {
	t.Helper()
	switch {
	case part.State != operation.Done:
		t.Errorf("%s: %s ended as %s at stage %s: %v", what, part.Name, part.State, part.Stage, part.Failure)
	case len(part.Warnings) > 0:
		t.Errorf("%s: %s is done with warnings: %v", what, part.Name, part.Warnings)
	}
}

// wantNote checks that a part says what was done otherwise than asked; nothing when words is empty.
func wantNote(t *testing.T, part api.Target, words string) {
	t.Helper()
	said := strings.Join(part.Notes, "\n")
	if words == "" && said != "" || !strings.Contains(said, words) {
		t.Errorf("%s says %q, want something with %q", part.Name, said, words)
	}
}

// cached tells whether a PC's inventory says that its cache has an image.
func (c *classroom) cached(pc PC, image string) bool {
	c.t.Helper()
	known, ok, err := c.computer(c.t.Context(), pc)
	if err != nil || !ok {
		c.t.Fatal(err)
	}
	cache := known.Inventory.Cache
	if cache == nil {
		return false
	}
	i := slices.IndexFunc(cache.Images, func(has protocol.CachedImage) bool { return has.Name == image && !has.Partial })
	return i >= 0
}

// TestEveryWay brings an image to PCs by every protocol, through the cache and past it.
func TestEveryWay(t *testing.T) {
	c, _, _ := modelRoom(t)
	want := c.restoredByPartclone(extImage)
	pcs, computers := c.natives(3, NativeSpec{Disk: DiskSpec{Bytes: cachedDisk}})
	c.carried(withCache, computers...)
	for _, way := range []string{"UNICAST", "MULTICAST", "TORRENT peer:1"} {
		for _, direct := range []bool{false, true} {
			name, parameters, _ := strings.Cut(way, " ")
			if direct {
				name += "-DIRECT"
			}
			t.Run(name, func(t *testing.T) {
				c := c.in(t)
				for _, pc := range pcs {
					wipe(t, pc, extStart, extSize)
				}
				text := strings.TrimSpace(fmt.Sprintf("deployImage REPO %s 1 1 %s %s", extImage, name, parameters)) + " plain"
				for _, part := range c.carried(text, computers...) {
					wantNote(t, part, "")
				}
				for _, pc := range pcs {
					if err := want.differences(pc.Disk(), extStart); err != nil {
						t.Errorf("%s: %v", pc.Name(), err)
					}
					if has := c.cached(pc, extImage); has == direct {
						t.Errorf("%s: the image is in its cache: %v", pc.Name(), has)
					}
				}
				if !direct {
					c.carried("deleteCachedImage "+extImage, computers...)
				}
			})
		}
	}
}

// in is the classroom for a subtest.
func (c *classroom) in(t *testing.T) *classroom {
	within := *c
	within.t = t
	return &within
}

// wipe fills a part of a PC's disk with what no image has. The page cache of the loop device is the agent's to drop.
func wipe(t testing.TB, pc *NativePC, start, length int64) {
	t.Helper()
	f, err := os.OpenFile(pc.Device(), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteAt(bytes.Repeat([]byte{0x5A}, int(length)), start)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}
