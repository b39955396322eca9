package clone

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"aula/clientos/disk"
	"aula/clientos/disk/disktest"
	"aula/clientos/protocol"
	"aula/imagestore/format"
)

const mib = 1 << 20

// model partitions a new disk, with one partition of 96 MiB from 4 MiB on, and fills it.
func model(t *testing.T, fill func(t *testing.T, node string)) disktest.Disk {
	t.Helper()
	d := disktest.New(t, "MODEL", 128*mib, 512)
	d.Partition(t, "label: dos\nlabel-id: 0xa01a0001\n1 : start=8192, size=196608, type=7, bootable\n")
	fill(t, node(t, d, 1))
	return d
}

// node makes the kernel see a partition of d and returns its node.
func node(t *testing.T, d disktest.Disk, number int) string {
	t.Helper()
	disks, err := disk.System{Devices: []string{d.Path}}.Disks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	f, err := disks[0].Open(t.Context(), number, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return f.Name()
}

// files writes a few files of random bytes and returns their folder.
func files(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	source := rand.NewChaCha8([32]byte{7})
	for name, size := range map[string]int64{"small": 700, "medium": 300_000, "large": 9_000_000} {
		data := make([]byte, size)
		source.Read(data)
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func ext4(t *testing.T, node string) {
	disktest.Run(t, "mkfs.ext4", "-q", "-d", files(t), node)
}

func ntfs(t *testing.T, node string) {
	disktest.Run(t, "mkntfs", "-q", "-F", "-Q", node)
	dir := files(t)
	for _, name := range []string{"small", "medium", "large"} {
		disktest.Run(t, "ntfscp", "-q", "-f", node, filepath.Join(dir, name), name)
	}
}

func fat32(t *testing.T, node string) {
	disktest.Run(t, "mkfs.vfat", "-F", "32", "-s", "1", node)
	random := make([]byte, 3*mib)
	rand.NewChaCha8([32]byte{9}).Read(random)
	writeAt(t, node, 40*mib, random) // free space: must not come into the image
}

func run(t *testing.T, server Server, path string, i protocol.Instruct) (Result, *recorder, error) {
	t.Helper()
	r := &recorder{t: t}
	result, err := runRecorded(t.Context(), t, server, path, i, r)
	return result, r, err
}

func runRecorded(ctx context.Context, t *testing.T, server Server, path string, i protocol.Instruct, r *recorder) (Result, error) {
	t.Helper()
	env := Env{Server: server, Disks: disk.System{Devices: []string{path}}, Log: slog.New(slog.DiscardHandler)}
	return Run(ctx, env, i, r.report)
}

// captured returns a server with the image of a model disk.
func captured(t *testing.T, fill func(t *testing.T, node string)) (*fakeServer, disktest.Disk) {
	t.Helper()
	disktest.Need(t, "partclone.extfs", "partclone.ntfs", "partclone.fat", "ntfscat")
	source := model(t, fill)
	server := &fakeServer{}
	result, progress, err := run(t, server, source.Path, instruction(t, protocol.CreateImage, source.Path, 1))
	if err != nil {
		t.Fatalf("capture: %v", err)
	}
	if !server.published {
		t.Fatal("the capture ended well and nothing was published")
	}
	if got, want := result.Bytes, server.index.Info.UsedBytes; got != want {
		t.Errorf("capture: got %d bytes, want the %d used ones of the image", got, want)
	}
	if got, want := progress.stages(), "preflight reading publishing "; got != want {
		t.Errorf("stages: got %q, want %q", got, want)
	}
	if progress.dirty() {
		t.Error("a capture says that it has written to the disk")
	}
	return server, source
}

func TestCaptureAndRestore(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fill  func(*testing.T, string)
		check func(t *testing.T, node string)
	}{
		"EXT4": {ext4, func(t *testing.T, node string) { disktest.Run(t, "e2fsck", "-fn", node) }},
		"NTFS": {ntfs, func(t *testing.T, node string) {
			if out := disktest.Run(t, "ntfsfix", "-n", node); strings.Contains(out, "BAD") || strings.Contains(out, "FAILED") {
				t.Errorf("ntfsfix: %s", out)
			}
			disktest.Run(t, "ntfsresize", "--no-action", "--force", "--size", "90M", node) // checks every cluster
		}},
		"FAT32": {fat32, func(t *testing.T, node string) { disktest.Run(t, "fsck.vfat", "-n", node) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, source := captured(t, test.fill)
			if got := server.index.Info.Filesystem; got != name {
				t.Errorf("image says %s, want %s", got, name)
			}
			target := disktest.New(t, "TARGET", 150*mib, 512)
			i := instruction(t, protocol.RestoreImage, target.Path, 1)
			i.Image, i.Layout = server.record(), server.layout
			result, progress, err := run(t, server, target.Path, i)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := result.Verified, server.index.Info.UsedBytes; got != want {
				t.Errorf("verified %d bytes, want %d", got, want)
			}
			if got, want := progress.stages(), "preflight partitioning writing verifying finishing "; got != want {
				t.Errorf("stages: got %q, want %q", got, want)
			}
			if !progress.dirty() {
				t.Error("the restore did not say that it wrote to the disk")
			}
			restored := node(t, target, 1)
			test.check(t, restored)
			compareWithPartclone(t, server, restored)
			compareUsed(t, server.index, node(t, source, 1), restored, name)
		})
	}
}

// compareUsed compares the used blocks of two partitions, but for the boot sectors' fields that a restore sets.
func compareUsed(t *testing.T, index *format.Index, want, got, filesystem string) {
	t.Helper()
	a, b := open(t, want), open(t, got)
	for _, c := range index.Chunks {
		for _, e := range c.Used {
			x, y := make([]byte, e.Length), make([]byte, e.Length)
			if _, err := a.ReadAt(x, e.Offset); err != nil {
				t.Fatal(err)
			}
			if _, err := b.ReadAt(y, e.Offset); err != nil {
				t.Fatal(err)
			}
			for _, boot := range []int64{0, 6 * 512} {
				if filesystem != "EXT4" && e.Offset <= boot && e.Offset+e.Length >= boot+512 {
					copy(x[boot-e.Offset+0x18:][:8], y[boot-e.Offset+0x18:][:8])
				}
			}
			if !bytes.Equal(x, y) {
				t.Fatalf("bytes %d to %d differ from the model's", e.Offset, e.Offset+e.Length-1)
			}
		}
	}
}

// compareWithPartclone restores the image with partclone's own tool and compares the used blocks.
func compareWithPartclone(t *testing.T, server *fakeServer, restored string) {
	t.Helper()
	disktest.Need(t, "partclone.restore")
	dir := t.TempDir()
	packed, err := zstd.NewReader(bytes.NewReader(server.image))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	plain, err := io.ReadAll(packed)
	if err != nil {
		t.Fatal(err)
	}
	image, reference := filepath.Join(dir, "image.pcl"), filepath.Join(dir, "reference")
	if err := os.WriteFile(image, plain, 0o644); err != nil {
		t.Fatal(err)
	}
	disktest.Run(t, "partclone.restore", "-q", "-f", "1", "-W", "-C", "-s", image, "-o", reference, "-L", filepath.Join(dir, "log"))
	if err := os.Truncate(reference, 96*mib); err != nil {
		t.Fatal(err)
	}
	compareUsed(t, server.index, reference, restored, server.index.Info.Filesystem)
}

// TestDiskWithLargeSectors captures from and restores to disks with sectors of 4096 bytes.
func TestDiskWithLargeSectors(t *testing.T) {
	t.Parallel()
	const script = "label: gpt\n1 : start=1024, size=24576, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4\n"
	source, target := disktest.New(t, "M4K", 128*mib, 4096), disktest.New(t, "T4K", 150*mib, 4096)
	source.Partition(t, script)
	ext4(t, node(t, source, 1))
	server := &fakeServer{}
	if _, _, err := run(t, server, source.Path, instruction(t, protocol.CreateImage, source.Path, 1)); err != nil {
		t.Fatal(err)
	}
	i := instruction(t, protocol.RestoreImage, target.Path, 1)
	i.Image, i.Layout = server.record(), server.layout
	i.Image.SectorSize = 4096
	result, _, err := run(t, server, target.Path, i)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := result.Verified, server.index.Info.UsedBytes; got != want {
		t.Errorf("verified %d bytes, want %d", got, want)
	}
	disktest.Run(t, "e2fsck", "-fn", node(t, target, 1))
}

func TestNTFSBootSectors(t *testing.T) {
	t.Parallel()
	server, _ := captured(t, ntfs)
	// The partition starts elsewhere than the model's and is larger.
	target := disktest.New(t, "TARGET", 150*mib, 512)
	target.Partition(t, "label: gpt\n1 : start=40960, size=204800, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n")
	i := instruction(t, protocol.RestoreImage, target.Path, 1)
	i.Image = server.record()
	if _, progress, err := run(t, server, target.Path, i); err != nil {
		t.Fatal(err)
	} else if strings.Contains(progress.stages(), "partitioning") {
		t.Errorf("stages %q: no layout was given", progress.stages())
	}
	restored := node(t, target, 1)
	boot := readAt(t, restored, 0, 512)
	if got, want := boot[0x18:0x20], []byte{63, 0, 255, 0, 0, 0xA0, 0, 0}; !bytes.Equal(got, want) {
		t.Errorf("sectors, heads, hidden sectors: got % x, want % x", got, want)
	}
	if backup := readAt(t, restored, 96*mib-512, 512); !bytes.Equal(boot, backup) {
		t.Error("the copy of the boot sector is not after the last sector of the filesystem")
	}
}

func TestRestoreRefusesBeforeWriting(t *testing.T) {
	t.Parallel()
	server, _ := captured(t, ext4)
	const script = "label: dos\n1 : start=2048, size=200000, type=83\n2 : start=204800, size=20480, type=83\n3 : start=226000, size=20000, type=5\n"
	for name, test := range map[string]struct {
		change func(t *testing.T, i *protocol.Instruct, target disktest.Disk)
		code   int
		words  []string
	}{
		"partition too small": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) { i.Partition = 2 },
			protocol.ErrSize, []string{"10.5 MB (10485760 bytes)", "100.7 MB (100663296 bytes)", "are missing"}},
		"no such partition": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) { i.Partition = 7 },
			protocol.ErrPartition, []string{"no partition 7"}},
		"extended partition": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) { i.Partition = 3 },
			protocol.ErrPartition, []string{"no partition 3"}},
		"other serial number": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) { i.Disk.Serial = "S-500" },
			protocol.ErrNotFound, []string{"S-500", "nothing was written"}},
		"other size": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) { i.Disk.Bytes *= 2 },
			protocol.ErrNotFound, []string{"size differs"}},
		"other sector size": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) { i.Image.SectorSize = 4096 },
			protocol.ErrPartition, []string{"sectors of 512 bytes", "4096"}},
		"layout too large": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) {
			i.Layout = bytes.ReplaceAll(server.layout, []byte("196608"), []byte("396608"))
		}, protocol.ErrSize, []string{"the layout needs"}},
		"layout without the partition": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) {
			i.Layout, i.Partition = server.layout, 2
		}, protocol.ErrPartition, []string{"no partition 2", "layout to apply"}},
		"layout that is no layout": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) { i.Layout = []byte("{}") },
			protocol.ErrPartition, []string{"layout"}},
		"mounted": {func(t *testing.T, i *protocol.Instruct, target disktest.Disk) { mountPartition(t, target) },
			protocol.ErrLocked, []string{"mounted on"}},
		"mounted, with a layout": {func(t *testing.T, i *protocol.Instruct, target disktest.Disk) {
			i.Layout = server.layout
			mountPartition(t, target)
		}, protocol.ErrLocked, []string{"mounted on"}},
		"record and image differ": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) { i.Image.UsedBytes++ },
			protocol.ErrImageFile, []string{"damaged"}},
		"unknown kind": {func(t *testing.T, i *protocol.Instruct, _ disktest.Disk) { i.Kind = "format" },
			protocol.ErrFormat, []string{"unknown kind"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := disktest.New(t, "TARGET", 128*mib, 512)
			target.Partition(t, script)
			i := instruction(t, protocol.RestoreImage, target.Path, 1)
			i.Image = server.record()
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
		i.Image, i.Layout = server.record(), server.layout
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
		if result.Verified != i.Image.UsedBytes {
			t.Errorf("verified %d bytes, want %d", result.Verified, i.Image.UsedBytes)
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

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func readAt(t *testing.T, path string, off int64, n int) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data := make([]byte, n)
	if _, err := f.ReadAt(data, off); err != nil {
		t.Fatal(err)
	}
	return data
}

func writeAt(t *testing.T, path string, off int64, data []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, off); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}
