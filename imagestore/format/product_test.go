package format

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aula/imagestore/format/formattest"
)

// TestEveryImage takes the product of filesystems, tools and compressors: each image is made by the real tools (or, where Debian's
// cannot write the form, by formattest), recognised by its bytes, indexed, restored natively, compared with what the original
// tool restores, and checked by the filesystem's own fsck.
func TestEveryImage(t *testing.T) {
	t.Parallel()
	for _, f := range realFilesystems() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			partition := f.make(t)
			capture := f.capture(t, partition)
			for _, tool := range writers() {
				if tool.knows != nil && !slices.Contains(tool.knows, f.name) {
					continue
				}
				t.Run(tool.name, func(t *testing.T) {
					t.Parallel() // partclone sleeps for seconds
					image := tool.write(t, imageSource{f, partition, capture})
					plain := checkImage(t, tool, f, image, tool.restore(t, image, partition))
					for _, c := range realCompressors() {
						t.Run(c.name, func(t *testing.T) { checkPacked(t, c.pack(t, image), c.name, plain) })
					}
				})
			}
		})
	}
}

// checkImage restores an image that is not compressed and compares the result with want, which the original tool makes of a target of
// zeros; then the filesystem's own fsck looks at it. It returns the image's index, by which the restored partition was verified.
func checkImage(t *testing.T, tool imageWriter, f realFilesystem, image string, want []byte) *Index {
	t.Helper()
	info := checkRestore(t, "plain", image, want)
	if got, want := info, (Info{Tool: tool.tool, Compressor: None, Filesystem: f.name}); got.Tool != want.Tool ||
		got.Compressor != want.Compressor || got.Filesystem != want.Filesystem {
		t.Errorf("detected %s, want %s", got, want)
	}
	if info.RequiredBytes < tool.least(f) || info.RequiredBytes > f.bytes {
		t.Errorf("needs %d bytes, want at least %d and at most the partition's %d", info.RequiredBytes, tool.least(f), f.bytes)
	}
	restored := restoreFile(t, image, f.bytes)
	index := checkVerify(t, image, restored)
	f.check(t, restored)
	return index
}

// checkPacked decodes a compressed image and compares what it restores, by the hashes of all its used bytes, with what the plain
// image restores.
func checkPacked(t *testing.T, image, compressor string, plain *Index) {
	t.Helper()
	x := indexOf(t, readFile(t, image))
	want := plain.Info
	want.Compressor = compressor
	if x.Info != want {
		t.Errorf("detected %+v, want %+v", x.Info, want)
	}
	if !slices.EqualFunc(x.Chunks, plain.Chunks, func(a, b Chunk) bool {
		return a.Number == b.Number && a.Hash == b.Hash && slices.Equal(a.Used, b.Used)
	}) {
		t.Error("restores other bytes than the same image without compression")
	}
}

// restoreFile restores an image natively to a file of zeros of the partition's size.
func restoreFile(t *testing.T, image string, size int64) string {
	t.Helper()
	file, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	path := filepath.Join(t.TempDir(), "restored")
	out, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := out.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for {
		off, data, err := r.Next()
		if err == io.EOF {
			return path
		}
		if err == nil {
			_, err = out.WriteAt(data, off)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// An imageSource is what images are made of.
type imageSource struct {
	filesystem realFilesystem
	partition  string
	capture    string // image of it by partclone, with CRC32
}

// An imageWriter makes images with one tool in one form, and restores them as that tool does.
type imageWriter struct {
	name  string
	tool  string   // as Info.Tool says it
	knows []string // filesystems, nil for all
	write func(t *testing.T, from imageSource) string
	// restore returns what the tool makes of a target of zeros. Where no tool of Debian reads the form, it is what the form was made
	// from: the partition's used blocks over zeros.
	restore func(t *testing.T, image, partition string) []byte
}

// least is the size below which an image of f could not be restored.
func (w imageWriter) least(f realFilesystem) int64 {
	if f.name == "NTFS" { // whose last cluster need not be whole
		return f.required() - 4096
	}
	return f.required()
}

func writers() []imageWriter {
	all := []imageWriter{
		{
			name: "partclone CRC32", tool: Partclone,
			write:   func(t *testing.T, from imageSource) string { return from.capture },
			restore: restorePartclone,
		},
		{
			name: "partclone without checksums", tool: Partclone,
			write: func(t *testing.T, from imageSource) string {
				return from.filesystem.capture(t, from.partition, "-a0", "-k0")
			},
			restore: restorePartclone,
		},
	}
	for name, mode := range map[string]int{
		"partclone XXH64":  formattest.ChecksumXXH64,
		"partclone XXH128": formattest.ChecksumXXH128,
	} {
		all = append(all, imageWriter{
			name: name, tool: Partclone,
			write: func(t *testing.T, from imageSource) string {
				p := describe(t, from.capture, from.partition)
				p.Checksum = mode
				return writeImage(t, p.Encode())
			},
			restore: func(t *testing.T, image, partition string) []byte { return usedBytes(t, image, partition) },
		})
	}
	all = append(all,
		imageWriter{
			name: "partclone 0001", tool: Partclone,
			write: func(t *testing.T, from imageSource) string {
				return writeImage(t, describe(t, from.capture, from.partition).Encode1(false))
			},
			restore: restorePartclone,
		},
		imageWriter{
			name: "partimage", tool: Partimage, knows: []string{"EXT2", "EXT3", "NTFS", "FAT16", "FAT32"},
			write: func(t *testing.T, from imageSource) string {
				return capturePartimage(t, from.partition, "-z0", "0")[0]
			},
			restore: restorePartimage,
		},
		imageWriter{
			name: "ntfsclone", tool: Ntfsclone, knows: []string{"NTFS"},
			write:   func(t *testing.T, from imageSource) string { return captureNtfsclone(t, from.partition) },
			restore: restoreNtfsclone,
		})
	slices.SortFunc(all, func(a, b imageWriter) int { return strings.Compare(a.name, b.name) })
	return all
}

func restorePartclone(t *testing.T, image, partition string) []byte {
	t.Helper()
	target := filepath.Join(t.TempDir(), "theirs") // partclone wants to make it itself
	runTool(t, "partclone.restore", "-q", "-C", "-W", "-s", image, "-o", target, "-L", filepath.Join(t.TempDir(), "log"))
	data, err := os.ReadFile(target)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// restoreTo runs a tool that restores to a target of zeros as large as the partition, and returns what it has made.
func restoreTo(t *testing.T, partition string, command func(target string) []string) []byte {
	t.Helper()
	target := filepath.Join(t.TempDir(), "theirs")
	info, err := os.Stat(partition)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(target, info.Size()); err != nil {
		t.Fatal(err)
	}
	device := target
	args := command(target)
	if args[0] == "partimage" {
		device = loopDevice(t, target)
		args = command(device)
	}
	runTool(t, args[0], args[1:]...)
	data, err := os.ReadFile(device)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// loopDevice makes a block device of a file, for tools that want one.
func loopDevice(t *testing.T, file string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "losetup", "--find", "--show", file).Output()
	if err != nil {
		t.Fatalf("losetup %s: %v", file, err)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("losetup --detach %s: %v: %s", device, err, out)
		}
	})
	return device
}

// describe takes from a real partclone image what formattest needs to write the same content in another form.
func describe(t *testing.T, image, partition string) formattest.Partclone {
	t.Helper()
	file, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	h, err := parsePartclone(file[:partcloneHeaderLen])
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(partition)
	if err != nil {
		t.Fatal(err)
	}
	bitmap := file[partcloneHeaderLen:][:(h.blocks+7)/8]
	filesystem, _, _ := bytes.Cut(file[36:52], []byte{0})
	return formattest.Partclone{
		Filesystem: string(filesystem), BlockSize: int(h.blockSize), DeviceSize: h.deviceSize, Blocks: int(h.blocks),
		Used:    func(i int) bool { return bitmap[i/8]>>(i%8)&1 != 0 },
		Content: content,
	}
}

// usedBytes is the partition up to the last byte that its image has, with zeros where the image has nothing.
func usedBytes(t *testing.T, image, partition string) []byte {
	t.Helper()
	file, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(partition)
	if err != nil {
		t.Fatal(err)
	}
	used, end := make([]byte, len(content)), int64(0)
	for _, c := range indexOf(t, file).Chunks {
		for _, e := range c.Used {
			end = e.End()
			copy(used[e.Offset:end], content[e.Offset:end])
		}
	}
	return used[:end]
}

func writeImage(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A realCompressor packs with the tool itself.
type realCompressor struct {
	name    string // as Info.Compressor says it
	command []string
}

func realCompressors() []realCompressor {
	return []realCompressor{
		{Lzop, []string{"lzop", "-c"}},
		{Gzip, []string{"gzip", "-1", "-c"}},
		{Zstd, []string{"zstd", "-q", "-1", "-c"}},
		{LZ4, []string{"lz4", "-q", "-c"}},
		{XZ, []string{"xz", "-0", "-c"}},
		{Bzip2, []string{"bzip2", "-1", "-c"}},
	}
}

// pack returns the packed file.
func (c realCompressor) pack(t *testing.T, image string) string {
	t.Helper()
	if _, err := exec.LookPath(c.command[0]); err != nil {
		t.Skipf("SKIPPED: %s is not installed", c.command[0])
	}
	var out, words bytes.Buffer
	cmd := exec.CommandContext(t.Context(), c.command[0], append(c.command[1:], image)...)
	cmd.Stdout, cmd.Stderr = &out, &words
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v: %s", c.command[0], err, words.Bytes())
	}
	return writeImage(t, out.Bytes())
}

// check lets the filesystem's own tool look at a restored partition; it changes nothing of what matters.
func (f realFilesystem) check(t *testing.T, partition string) {
	t.Helper()
	switch f.name {
	case "EXT2", "EXT3", "EXT4":
		runTool(t, "e2fsck", "-f", "-n", partition)
	case "NTFS":
		copyBootSector(t, partition)
		runTool(t, "ntfsfix", "--no-action", partition)
	case "FAT12", "FAT16", "FAT32":
		runTool(t, "fsck.fat", "-n", partition)
	case "EXFAT":
		runTool(t, "fsck.exfat", "-n", partition)
	case "XFS":
		runTool(t, "xfs_repair", "-n", "-f", partition)
	case "BTRFS":
		runTool(t, "btrfs", "check", "--readonly", partition)
	case "F2FS":
		runTool(t, "fsck.f2fs", "--dry-run", partition)
	default:
		t.Fatalf("no tool checks %s", f.name)
	}
}

// copyBootSector puts the copy of the boot sector behind an NTFS filesystem, which partclone and partimage leave out and the restoring
// PC writes (clientos/clone).
func copyBootSector(t *testing.T, partition string) {
	t.Helper()
	file, err := os.OpenFile(partition, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	boot := make([]byte, 512)
	if _, err := file.ReadAt(boot, 0); err != nil {
		t.Fatal(err)
	}
	sector, sectors, err := ntfsGeometry(boot)
	if err == nil {
		_, err = file.WriteAt(boot, sectors*sector)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// ntfsGeometry reads the sector size and the number of sectors of the filesystem.
func ntfsGeometry(boot []byte) (sector, sectors int64, err error) {
	if string(boot[3:11]) != "NTFS    " {
		return 0, 0, fmt.Errorf("no NTFS boot sector: %q", boot[3:11])
	}
	for i := range 8 {
		sectors |= int64(boot[0x28+i]) << (8 * i)
	}
	return int64(boot[0x0B]) | int64(boot[0x0C])<<8, sectors, nil
}
