package lab

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"aula/appliance/operation"
	"aula/clientos/protocol"
	"aula/webui/api"
)

const (
	kills = 10
	// resumption is how long a room may stand still after its server has been killed and is back.
	resumption = 15 * time.Second
)

// TestServerKilledTenTimes kills the appliance again and again while a room fetches an image by multicast through the caches.
func TestServerKilledTenTimes(t *testing.T) {
	const seed = 6
	c, _, _ := modelRoom(t)
	image, err := c.API().Image(t.Context(), extImage)
	if err != nil {
		t.Fatal(err)
	}
	pcs, computers := c.natives(4, NativeSpec{Disk: DiskSpec{Bytes: cachedDisk}})
	c.carried(withCache, computers...)
	var before []int64
	for _, pc := range pcs {
		if err := pc.SetRate(slow / 2); err != nil {
			t.Fatal(err)
		}
		before = append(before, carriedTo(t, pc))
	}

	o := c.begin("deployImage REPO "+extImage+" 1 1 MULTICAST plain", computers...)
	all := int64(len(pcs)) * image.FileBytes
	random := rand.New(rand.NewPCG(seed, seed))
	for i := range kills {
		instant := (float64(i) + random.Float64()) / kills
		c.awaitRoom(o, image.FileBytes, faultLimit, func(now room) bool { return now.bytes >= int64(instant*float64(all)) })
		c.KillServer()
		if err := c.StartServer(t.Context()); err != nil {
			t.Fatal(err)
		}
		back := time.Now()
		had := c.awaitRoom(o, image.FileBytes, resumption, func(now room) bool { return now.there })
		has := c.awaitRoom(o, image.FileBytes, resumption-time.Since(back), func(now room) bool { return now.bytes > had.bytes || now.bytes == all })
		t.Logf("killed at %.2f: the PCs had %d of %d bytes; %v after the server's return they had %d", instant, had.bytes, all,
			time.Since(back).Round(100*time.Millisecond), has.bytes)
	}
	for _, part := range c.ended(o) {
		wantDone(t, "deployment", part)
	}
	want := c.restoredByPartclone(extImage)
	for i, pc := range pcs {
		if err := want.differences(pc.Disk(), extStart); err != nil {
			t.Errorf("%s: %v", pc.Name(), err)
		}
		// Of blocks that were under way at a kill everything comes again. Beginning anew each time would be six images.
		came := carriedTo(t, pc) - before[i]
		t.Logf("%s: %d bytes came for an image of %d", pc.Name(), came, image.FileBytes)
		if came > 3*image.FileBytes {
			t.Errorf("%s: %d bytes came for an image of %d: it has begun anew", pc.Name(), came, image.FileBytes)
		}
	}
}

// A room is how the PCs of an operation stand together.
type room struct {
	bytes int64 // of the image that they have
	there bool  // all have been heard of since the server began
}

// awaitRoom waits until the PCs of an operation stand in a certain way.
func (c *classroom) awaitRoom(o api.Operation, image int64, within time.Duration, holds func(room) bool) room {
	c.t.Helper()
	deadline := time.Now().Add(within)
	for {
		targets, err := c.API().Operation(c.t.Context(), o.ID)
		if err != nil {
			c.t.Fatal(err)
		}
		now := room{there: true}
		for _, part := range targets.Targets {
			now.there = now.there && part.State != operation.LostContact
			switch part.Stage {
			case "", protocol.StagePreflight, protocol.StageWaiting:
			case protocol.StageCaching:
				now.bytes += part.Bytes
			default:
				now.bytes += image
			}
		}
		switch {
		case holds(now):
			return now
		case time.Now().After(deadline):
			c.t.Fatalf("after %v the room stands still: %+v", within, targets.Targets)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// carriedTo is how many bytes a PC's cable has carried to it.
func carriedTo(t *testing.T, pc *NativePC) int64 {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("/sys/class/net", pc.Name(), "statistics/tx_bytes"))
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		t.Fatal(fmt.Errorf("bytes carried to %s: %w", pc.Name(), err))
	}
	return n
}
