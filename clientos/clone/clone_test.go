package clone

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

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
			i.Parts, i.Layout = server.part(1), server.layout
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
	tool := map[string]string{format.Zstd: "zstd", format.Lzop: "lzop", format.Gzip: "gzip"}[server.index.Info.Compressor]
	disktest.Need(t, tool)
	dir := t.TempDir()
	unpack := exec.CommandContext(t.Context(), tool, "-d", "-c")
	unpack.Stdin = bytes.NewReader(server.image)
	plain, err := unpack.Output()
	if err != nil {
		t.Fatalf("%s -d: %v", tool, err)
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
	i.Parts, i.Layout = server.part(1), server.layout
	i.Parts[0].Image.SectorSize = 4096
	result, _, err := run(t, server, target.Path, i)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := result.Verified, server.index.Info.UsedBytes; got != want {
		t.Errorf("verified %d bytes, want %d", got, want)
	}
	disktest.Run(t, "e2fsck", "-fn", node(t, target, 1))
}

// TestCaptureForOtherSystems makes images as OpenGnsys and FOG have them, which their pipelines restore as Aula does.
func TestCaptureForOtherSystems(t *testing.T) {
	t.Parallel()
	disktest.Need(t, "partclone.extfs")
	source := model(t, ext4)
	for compressor, level := range map[string]int{format.Lzop: 0, format.Gzip: 1} {
		t.Run(compressor, func(t *testing.T) {
			t.Parallel()
			server := &fakeServer{}
			i := instruction(t, protocol.CreateImage, source.Path, 1)
			i.Capture.Compressor, i.Capture.Level = compressor, level
			if _, _, err := run(t, server, source.Path, i); err != nil {
				t.Fatal(err)
			}
			if got := server.index.Info.Compressor; got != compressor {
				t.Errorf("the image is compressed with %s, want %s", got, compressor)
			}
			target := disktest.New(t, "TARGET", 128*mib, 512)
			i = instruction(t, protocol.RestoreImage, target.Path, 1)
			i.Parts, i.Layout = server.part(1), server.layout
			if _, _, err := run(t, server, target.Path, i); err != nil {
				t.Fatal(err)
			}
			compareWithPartclone(t, server, node(t, target, 1))
			compareUsed(t, server.index, node(t, source, 1), node(t, target, 1), "EXT4")
		})
	}
}

func TestNTFSBootSectors(t *testing.T) {
	t.Parallel()
	server, _ := captured(t, ntfs)
	// The partition starts elsewhere than the model's and is larger.
	target := disktest.New(t, "TARGET", 150*mib, 512)
	target.Partition(t, "label: gpt\n1 : start=40960, size=204800, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n")
	i := instruction(t, protocol.RestoreImage, target.Path, 1)
	i.Parts = server.part(1)
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
