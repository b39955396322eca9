package lab

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"aula/appliance/operation"
	"aula/clientos/protocol"
	"aula/webui/api"
	"aula/webui/client"
)

// slow is a cable on which the tests' images take seconds, so that there is a middle to break them off in.
const slow = 40_000_000 // bit/s

// faultLimit bounds the wait for one thing in these tests.
const faultLimit = 3 * time.Minute

// begin starts a restore of an image on a PC.
func (c *classroom) beginRestore(computer api.Computer, partition int, image string, layout bool) api.Operation {
	c.t.Helper()
	o, err := c.API().Restore(c.t.Context(), api.Restore{
		ComputerIDs: []string{computer.ID}, Disk: 1, Partition: partition, Image: image, Layout: layout,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return o
}

func (c *classroom) beginCapture(computer api.Computer, partition int, image string) api.Operation {
	c.t.Helper()
	o, err := c.API().Capture(c.t.Context(), api.Capture{ComputerID: computer.ID, Disk: 1, Partition: partition, Image: image})
	if err != nil {
		c.t.Fatal(err)
	}
	return o
}

// awaitMiddle waits until the operation's only PC has moved a share of the stage's bytes.
func (c *classroom) awaitMiddle(o api.Operation, stage string, share float64) {
	c.t.Helper()
	c.awaitPart(o, o.Targets[0].Name, stage, share)
}

// awaitPart waits until a PC has moved a share of the stage's bytes.
func (c *classroom) awaitPart(o api.Operation, name, stage string, share float64) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), faultLimit)
	defer cancel()
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for {
		now, err := c.API().Operation(ctx, o.ID)
		if err != nil {
			c.t.Fatal(err)
		}
		target := partsOf(now)[name]
		if target.Stage == stage && target.Bytes > 0 && float64(target.Bytes) >= share*float64(target.Total) {
			return
		}
		if !target.Ended.IsZero() {
			c.t.Fatalf("%s has ended before the middle of its stage %s: %s, %v", name, stage, target.State, target.Failure)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			c.t.Fatalf("%s does not come to the middle of its stage %s: %+v", name, stage, target)
		}
	}
}

// settled waits until the operation is over and returns its only PC's part.
func (c *classroom) settled(o api.Operation) api.Target {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), faultLimit)
	defer cancel()
	o, err := c.API().Wait(ctx, o.ID, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	return o.Targets[0]
}

// wantFailure checks that a part has ended for a reason that has a number and says what to do.
func wantFailure(t *testing.T, got api.Target, words string, states ...string) {
	t.Helper()
	ok := false
	for _, s := range states {
		ok = ok || got.State == s
	}
	if !ok {
		t.Errorf("state %q, want one of %q (%+v)", got.State, states, got.Failure)
	}
	f := got.Failure
	if f == nil {
		t.Fatalf("state %q without a reason", got.State)
	}
	if f.Code == 0 || f.Advice == "" || !strings.Contains(f.Problem, words) {
		t.Errorf("reason %+v; want a number, advice, and a problem with %q", f, words)
	}
}

// imageState is what an image is made of, for comparison before and after a fault.
type imageState struct {
	revision  int
	md5, file string
}

func (c *classroom) imageState(name string) imageState {
	c.t.Helper()
	i, err := c.API().Image(c.t.Context(), name)
	if err != nil {
		c.t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(c.Images(), name+".img"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	h := md5.New()
	if _, err := io.Copy(h, f); err != nil {
		c.t.Fatal(err)
	}
	return imageState{i.Revision, i.MD5, hex.EncodeToString(h.Sum(nil))}
}

// wantIntact checks that an image is what it was, and that nothing half-made lies in the repository.
func (c *classroom) wantIntact(name string, before imageState) {
	c.t.Helper()
	after := c.imageState(name)
	if after != before || after.md5 != after.file {
		c.t.Errorf("image %s is %+v, was %+v", name, after, before)
	}
	c.wantNoStaging()
}

func (c *classroom) wantNoStaging() {
	c.t.Helper()
	eventually(c.t, "nothing is left in the staging folder", func() error {
		left, err := os.ReadDir(filepath.Join(c.Images(), ".staging"))
		if err == nil && len(left) > 0 {
			return fmt.Errorf("left: %v", left)
		}
		if os.IsNotExist(err) {
			return nil
		}
		return err
	})
}

// reboot switches a PC off and on and waits until it is back.
func (c *classroom) awaitBack(pc PC) {
	c.t.Helper()
	if err := pc.PowerOn(); err != nil {
		c.t.Fatal(err)
	}
	c.awaitConnection(pc, true)
}

func (c *classroom) awaitConnection(pc PC, connected bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), faultLimit)
	defer cancel()
	_, err := c.AwaitComputer(ctx, pc, fmt.Sprintf("waiting for connected to be %v", connected),
		func(known api.Computer) bool { return known.Connected == connected })
	if err != nil {
		c.t.Fatal(err)
	}
}

func TestPowerCutInTheMiddleOfARestore(t *testing.T) {
	c, _, _ := modelRoom(t)
	pcs, computers := c.natives(1, NativeSpec{Disk: DiskSpec{Bytes: diskSize}, Rate: slow})
	o := c.beginRestore(computers[0], extNumber, extImage, true)
	c.awaitMiddle(o, protocol.StageWriting, 0.3)
	pcs[0].PowerOff()
	c.awaitBack(pcs[0])
	got := c.settled(o)
	wantFailure(t, got, "restarted", operation.Failed, operation.Incomplete)
	if !got.Dirty {
		t.Error("half a restore is not marked as dirty")
	}

	if err := pcs[0].SetRate(0); err != nil {
		t.Fatal(err)
	}
	if err := c.RestoreImage(t.Context(), computers, extNumber, extImage, true, quiet); err != nil {
		t.Fatalf("once more: %v", err)
	}
	if err := c.restoredByPartclone(extImage).differences(pcs[0].Disk(), extStart); err != nil {
		t.Error(err)
	}
}

func TestServerKilledInTheMiddleOfARestore(t *testing.T) {
	c, _, _ := modelRoom(t)
	pcs, computers := c.natives(1, NativeSpec{Disk: DiskSpec{Bytes: diskSize}, Rate: slow})
	o := c.beginRestore(computers[0], extNumber, extImage, true)
	c.awaitMiddle(o, protocol.StageWriting, 0.3)
	c.KillServer()
	if err := c.StartServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := c.settled(o)
	t.Logf("the restore ended as %s", got.State)
	if got.State != operation.Done {
		wantFailure(t, got, "", operation.Incomplete, operation.Failed)
		return
	}
	if err := c.restoredByPartclone(extImage).differences(pcs[0].Disk(), extStart); err != nil {
		t.Errorf("done, but %v", err)
	}
}

func TestServerKilledInTheMiddleOfACapture(t *testing.T) {
	c, models, computers := modelRoom(t)
	before := c.imageState(extImage)
	if err := models[0].SetRate(slow); err != nil {
		t.Fatal(err)
	}
	o := c.beginCapture(computers[0], extNumber, extImage)
	c.awaitMiddle(o, protocol.StageReading, 0.3)
	c.KillServer()
	if err := c.StartServer(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := c.settled(o)
	t.Logf("the capture ended as %s", got.State)
	if got.State != operation.Done {
		wantFailure(t, got, "", operation.Incomplete, operation.Failed)
		c.wantIntact(extImage, before)
		return
	}
	after := c.imageState(extImage)
	if after.revision != before.revision+1 || after.md5 != after.file {
		t.Errorf("done, but the image is %+v after %+v", after, before)
	}
	c.restoredByPartclone(extImage)
}

func TestUploadCutJustBeforeItsEnd(t *testing.T) {
	c, models, computers := modelRoom(t)
	before := c.imageState(extImage)
	if err := models[0].SetRate(slow); err != nil {
		t.Fatal(err)
	}
	o := c.beginCapture(computers[0], extNumber, extImage)
	c.awaitMiddle(o, protocol.StageReading, 0.5)
	if err := models[0].SetRate(slow / 4); err != nil {
		t.Fatal(err)
	}
	c.awaitMiddle(o, protocol.StageReading, 0.9)
	models[0].PowerOff()
	c.awaitBack(models[0])
	wantFailure(t, c.settled(o), "", operation.Failed, operation.Incomplete)
	c.wantIntact(extImage, before)
}

func TestRepositoryDiskIsFull(t *testing.T) {
	c := startClassroom(t, Config{RepositoryBytes: 40 * mib})
	models, computers := c.natives(1, NativeSpec{Disk: DiskSpec{From: modelDisk(t, 20*mib)}})
	if _, err := c.CaptureImage(t.Context(), computers[0], ntfNumber, ntfImage, quiet); err != nil {
		t.Fatal(err)
	}
	before := c.imageState(ntfImage)
	ballast := filepath.Join(c.Images(), "something else")

	t.Run("it fills up in the middle", func(t *testing.T) {
		if err := models[0].SetRate(slow); err != nil {
			t.Fatal(err)
		}
		o := c.beginCapture(computers[0], extNumber, extImage)
		c.awaitMiddle(o, protocol.StageReading, 0.3)
		fill(t, ballast)
		wantFailure(t, c.settled(o), "no room", operation.Failed)
		c.wantIntact(ntfImage, before)
	})
	t.Run("it is full before", func(t *testing.T) {
		_, err := c.API().Capture(t.Context(), api.Capture{ComputerID: computers[0].ID, Disk: 1, Partition: extNumber, Image: extImage})
		if !errors.Is(err, client.ErrConflict) {
			t.Errorf("the capture was not refused: %v", err)
		}
		c.wantIntact(ntfImage, before)
	})
	if _, err := c.API().Image(t.Context(), extImage); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("half an image is published (%v)", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if err := models[0].SetRate(0); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CaptureImage(t.Context(), computers[0], extNumber, extImage, quiet); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// fill writes a file until its volume has no room left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 64<<10))
	}
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

func TestPCsThatCannotTakeTheImage(t *testing.T) {
	c, _, _ := modelRoom(t)
	for _, fault := range []struct {
		name, words string
		disk        int64
		layout      bool
	}{
		{"disk too small", "missing", 40 * mib, true},
		{"missing partition", "partition", diskSize, false},
	} {
		t.Run(fault.name, func(t *testing.T) {
			pcs, computers := c.natives(1, NativeSpec{Disk: DiskSpec{Bytes: fault.disk}})
			got := c.settled(c.beginRestore(computers[0], extNumber, extImage, fault.layout))
			wantFailure(t, got, fault.words, operation.Failed)
			if got.Dirty {
				t.Error("its disk is said to be written to")
			}
			if data, err := os.ReadFile(pcs[0].Disk()); err != nil || !bytes.Equal(data, make([]byte, fault.disk)) {
				t.Errorf("its disk was written to (%v)", err)
			}
		})
	}
}

// modelRoom is a classroom with images of its model PC.
func modelRoom(t *testing.T) (*classroom, []*NativePC, []api.Computer) {
	t.Helper()
	c := startClassroom(t, Config{})
	models, computers := c.natives(1, NativeSpec{Disk: DiskSpec{From: modelDisk(t, 20*mib)}})
	if _, err := c.CaptureImage(t.Context(), computers[0], extNumber, extImage, quiet); err != nil {
		t.Fatal(err)
	}
	return c, models, computers
}
