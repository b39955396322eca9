package clone

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"aula/clientos/disk/disktest"
	"aula/clientos/protocol"
	"aula/imagestore/format"
)

func TestRestoreRefusesBeforeWriting(t *testing.T) {
	t.Parallel()
	server, _ := captured(t, ext4)
	const script = "label: dos\n1 : start=2048, size=200000, type=83\n2 : start=204800, size=20480, type=83\n3 : start=226000, size=20000, type=5\n"
	for name, test := range map[string]struct {
		change func(t *testing.T, i *protocol.Instruct, target disktest.Disk)
		code   int
		words  []string
	}{
		"partition too small": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) { i.Parts[0].Partition = 2 },
			protocol.ErrSize, []string{"10.5 MB (10485760 bytes)", "100.7 MB (100663296 bytes)", "are missing"}},
		"no such partition": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) { i.Parts[0].Partition = 7 },
			protocol.ErrPartition, []string{"no partition 7"}},
		"extended partition": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) { i.Parts[0].Partition = 3 },
			protocol.ErrPartition, []string{"no partition 3"}},
		"other serial number": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) { i.Disk.Serial = "S-500" },
			protocol.ErrNotFound, []string{"S-500", "nothing was written"}},
		"other size": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) { i.Disk.Bytes *= 2 },
			protocol.ErrNotFound, []string{"size differs"}},
		"other sector size": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) { i.Parts[0].Image.SectorSize = 4096 },
			protocol.ErrPartition, []string{"sectors of 512 bytes", "4096"}},
		"layout too large": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) {
			i.Layout = bytes.ReplaceAll(server.layout, []byte("196608"), []byte("396608"))
		}, protocol.ErrSize, []string{"the layout needs"}},
		"layout without the partition": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) {
			i.Layout, i.Parts[0].Partition = server.layout, 2
		}, protocol.ErrPartition, []string{"no partition 2", "layout to apply"}},
		"layout that is no layout": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) { i.Layout = []byte("{}") },
			protocol.ErrPartition, []string{"layout"}},
		"mounted": {func(t *testing.T, i *protocol.Instruct, target disktest.Disk) { mountPartition(t, target) },
			protocol.ErrLocked, []string{"mounted on"}},
		"mounted, with a layout": {func(t *testing.T, i *protocol.Instruct, target disktest.Disk) {
			i.Layout = server.layout
			mountPartition(t, target)
		}, protocol.ErrLocked, []string{"mounted on"}},
		"record and image differ": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) { i.Parts[0].Image.UsedBytes++ },
			protocol.ErrImageFile, []string{"damaged"}},
		"unknown kind": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) { i.Kind = "format" },
			protocol.ErrFormat, []string{"unknown kind"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := disktest.New(t, "TARGET", 128*mib, 512)
			target.Partition(t, script)
			i := instruction(t, protocol.RestoreImage, target.Path, 1)
			i.Parts = server.part(1)
			test.change(t, &i, target)
			before := readAt(t, target.Path, 0, 128*mib)
			own := &fakeServer{image: server.image, index: server.index}
			_, progress, err := run(t, own, target.Path, i)
			f := wantFailure(t, err, test.code, test.words...)
			if f.Stage != protocol.StagePreflight || progress.dirty() {
				t.Errorf("failed while %s, dirty %v; want preflight and a clean disk", f.Stage, progress.dirty())
			}
			if !bytes.Equal(readAt(t, target.Path, 0, 128*mib), before) {
				t.Error("the disk was written to")
			}
		})
	}
}

func mountPartition(t *testing.T, d disktest.Disk) {
	t.Helper()
	disktest.Run(t, "mkfs.ext4", "-q", node(t, d, 1))
	where := t.TempDir()
	disktest.Run(t, "mount", "-o", "ro", node(t, d, 1), where)
	t.Cleanup(func() { disktest.Unmount(t, where) })
}

func TestRestoreFaults(t *testing.T) {
	t.Parallel()
	server, _ := captured(t, ext4)
	// begin returns a target and an instruction to restore to it.
	begin := func(t *testing.T) (disktest.Disk, protocol.Instruct, *fakeServer) {
		target := disktest.New(t, "TARGET", 128*mib, 512)
		i := instruction(t, protocol.RestoreImage, target.Path, 1)
		i.Parts, i.Layout = server.part(1), server.layout
		return target, i, &fakeServer{image: bytes.Clone(server.image), index: server.index}
	}
	t.Run("stream cut five times", func(t *testing.T) {
		t.Parallel()
		target, i, own := begin(t)
		own.cuts, own.cutAfter, own.chunkCuts = 5, len(own.image)/7, 1
		result, _, err := run(t, own, target.Path, i)
		if err != nil {
			t.Fatal(err)
		}
		if result.Verified != i.Parts[0].Image.UsedBytes {
			t.Errorf("verified %d bytes, want %d", result.Verified, i.Parts[0].Image.UsedBytes)
		}
		if got, want := len(own.opened), 6; got != want {
			t.Errorf("the image was opened %d times, want %d", got, want)
		}
		disktest.Run(t, "e2fsck", "-fn", node(t, target, 1))
	})
	t.Run("bit flipped in the middle", func(t *testing.T) {
		t.Parallel()
		target, i, own := begin(t)
		own.image[len(own.image)/2] ^= 0x10
		_, progress, err := run(t, own, target.Path, i)
		f := wantFailure(t, err, protocol.ErrImageFile, "damaged")
		if f.Stage != protocol.StageWriting || !progress.dirty() {
			t.Errorf("failed while %s, dirty %v; want writing and a dirty disk", f.Stage, progress.dirty())
		}
	})
	t.Run("index of another image", func(t *testing.T) {
		t.Parallel()
		target, i, own := begin(t)
		other := *own.index
		other.Chunks = append([]format.Chunk(nil), other.Chunks...)
		other.Chunks[len(other.Chunks)/2].Hash[3] ^= 1
		own.index = &other
		_, _, err := run(t, own, target.Path, i)
		f := wantFailure(t, err, protocol.ErrImageFile, "what arrived is not what is in its index")
		if f.Stage != protocol.StageWriting {
			t.Errorf("failed while %s, want writing", f.Stage)
		}
	})
	t.Run("damaged index", func(t *testing.T) {
		t.Parallel()
		target, i, own := begin(t)
		var b bytes.Buffer
		if _, err := own.index.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		own.chunks = b.Bytes()[:b.Len()/2]
		_, progress, err := run(t, own, target.Path, i)
		wantFailure(t, err, protocol.ErrImageFile, "damaged")
		if progress.dirty() {
			t.Error("the disk was written to")
		}
	})
	t.Run("disk that does not keep what was written", func(t *testing.T) {
		t.Parallel()
		target, i, own := begin(t)
		chunk := own.index.Chunks[len(own.index.Chunks)/2]
		r := &recorder{t: t}
		r.during = func(p Progress) {
			if p.Stage == protocol.StageVerifying && p.Bytes == 0 {
				at := int64(4*mib) + chunk.Used[0].Offset + 17
				writeAt(t, target.File, at, []byte{^readAt(t, target.File, at, 1)[0]})
			}
		}
		_, err := runRecorded(t.Context(), t, own, target.Path, i, r)
		f := wantFailure(t, err, protocol.ErrImage, "does not hold what was written", "chunk")
		if f.Stage != protocol.StageVerifying {
			t.Errorf("failed while %s, want verifying", f.Stage)
		}
	})
	t.Run("server says that the image is gone", func(t *testing.T) {
		t.Parallel()
		target, i, own := begin(t)
		own.refuse = &protocol.Failure{Code: protocol.ErrNotFound, Problem: "there is no image model", Advice: "choose another"}
		_, progress, err := run(t, own, target.Path, i)
		wantFailure(t, err, protocol.ErrNotFound, "there is no image model")
		if progress.dirty() || len(own.opened) != 1 {
			t.Errorf("dirty %v after %d attempts; want a clean disk after 1", progress.dirty(), len(own.opened))
		}
	})
	for _, stage := range []string{protocol.StageWriting, protocol.StageVerifying} {
		t.Run("cancelled while "+stage, func(t *testing.T) {
			t.Parallel()
			target, i, own := begin(t)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r := &recorder{t: t}
			r.during = func(p Progress) {
				if p.Stage == stage && p.Bytes > 0 {
					cancel()
				}
			}
			result, err := runRecorded(ctx, t, own, target.Path, i, r)
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("got %+v, %v; want context.Canceled", result, err)
			}
			var f *protocol.Failure
			if errors.As(err, &f) {
				t.Errorf("got a failure %+v, want none after a cancel", f)
			}
			if last := r.all[len(r.all)-1]; last.Stage != stage || last.Bytes >= last.Total || !last.Dirty {
				t.Errorf("stopped at %+v, want the middle of %s", last, stage)
			}
		})
	}
}
