package format

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// These tests make filesystems and images with the real tools and compare what Reader restores with what
// partclone.restore does.

// A realFilesystem is one that Debian's tools make in a regular file.
type realFilesystem struct {
	name  string     // as Info.Filesystem says it
	bytes int64      // size of the partition
	mkfs  [][]string // commands; FILE and TREE stand for the partition and a folder of files to put in it
	clone string     // partclone's program
}

func realFilesystems() []realFilesystem {
	const mib = 1 << 20
	return []realFilesystem{
		{"EXT2", 16 * mib, [][]string{{"mke2fs", "-q", "-F", "-t", "ext2", "-b", "1024", "-d", "TREE", "FILE"}}, "partclone.ext2"},
		{"EXT3", 24 * mib, [][]string{{"mke2fs", "-q", "-F", "-t", "ext3", "-b", "2048", "-d", "TREE", "FILE"}}, "partclone.ext3"},
		{"EXT4", 32*mib + 512, [][]string{{"mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-d", "TREE", "FILE"}}, "partclone.ext4"},
		{"XFS", 300 * mib, [][]string{{"mkfs.xfs", "-q", "FILE"}}, "partclone.xfs"},
		{"BTRFS", 130*mib + 4096, [][]string{{"mkfs.btrfs", "-q", "--rootdir", "TREE", "FILE"}}, "partclone.btrfs"},
		{"NTFS", 24*mib + 512*3, [][]string{{"mkfs.ntfs", "-F", "-Q", "-q", "FILE"}, {"ntfscp", "-f", "FILE", "TREE/noise", "noise"}}, "partclone.ntfs"},
		{"FAT12", 2 * mib, [][]string{{"mkfs.fat", "-F", "12", "FILE"}, {"mcopy", "-i", "FILE", "TREE/text", "::"}}, "partclone.fat12"},
		{"FAT16", 16 * mib, [][]string{{"mkfs.fat", "-F", "16", "FILE"}, {"mcopy", "-i", "FILE", "TREE/noise", "TREE/text", "::"}}, "partclone.fat16"},
		{"FAT32", 40*mib + 512, [][]string{{"mkfs.fat", "-F", "32", "FILE"}, {"mcopy", "-i", "FILE", "TREE/noise", "::"}}, "partclone.fat32"},
		{"EXFAT", 16 * mib, [][]string{{"mkfs.exfat", "FILE"}}, "partclone.exfat"},
		{"F2FS", 100 * mib, [][]string{{"mkfs.f2fs", "-q", "FILE"}, {"sload.f2fs", "-f", "TREE", "FILE"}}, "partclone.f2fs"},
	}
}

// runTool runs a real tool; a missing one skips the test, loudly.
func runTool(t *testing.T, name string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("SKIPPED: %s is not installed", name)
	}
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// tree is a folder with a few files.
func tree(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	noise := make([]byte, 1_500_000)
	random := rand.New(rand.NewPCG(3, 4))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	for name, data := range map[string][]byte{"noise": noise, "text": bytes.Repeat([]byte("a file of text\n"), 5000)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// make creates the filesystem and returns the partition's file.
func (f realFilesystem) make(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "partition")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, f.bytes); err != nil {
		t.Fatal(err)
	}
	fill := strings.NewReplacer("FILE", file, "TREE", tree(t))
	for _, command := range f.mkfs {
		args := make([]string, len(command))
		for i, a := range command {
			args[i] = fill.Replace(a)
		}
		runTool(t, args[0], args[1:]...)
	}
	return file
}

// capture makes an image of a partition with partclone.
func (f realFilesystem) capture(t *testing.T, partition string, options ...string) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	args := append([]string{"-c", "-F", "-q", "-s", partition, "-O", image, "-L", filepath.Join(t.TempDir(), "log")}, options...)
	runTool(t, f.clone, args...)
	return image
}

func TestRestoresAsPartcloneDoes(t *testing.T) {
	t.Parallel()
	for _, f := range realFilesystems() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			partition := f.make(t)
			image := f.capture(t, partition)

			// The whole target, used blocks and all else, must be what partclone makes of a target of zeros.
			theirs := filepath.Join(t.TempDir(), "theirs")
			runTool(t, "partclone.restore", "-q", "-C", "-W", "-s", image, "-o", theirs, "-L", filepath.Join(t.TempDir(), "log"))
			want, err := os.ReadFile(theirs)
			if err != nil {
				t.Fatal(err)
			}
			info := checkRestore(t, "default", image, want)
			if wantInfo := fmt.Sprintf("PARTCLONE:NONE:%s:%d", f.name, (f.required()+1023)/1024); info.String() != wantInfo {
				t.Errorf("info = %s, want %s", info, wantInfo)
			}

			checkVerify(t, image, partition)
			if f.bytes > 64<<20 {
				return // the rest is not about filesystems, and large ones take long
			}
			checkRestore(t, "without checksums", f.capture(t, partition, "-a0", "-k0"), want)
			checkRestore(t, "one running checksum", f.capture(t, partition, "-K"), want)
			checkRestore(t, "small strips", f.capture(t, partition, "-k", "64"), want)

			plain, err := os.ReadFile(image)
			if err != nil {
				t.Fatal(err)
			}
			frames := filepath.Join(t.TempDir(), "frames.zst")
			if err := os.WriteFile(frames, packFrames(t, plain, 1), 0o600); err != nil {
				t.Fatal(err)
			}
			checkRestore(t, "in our frames", frames, want)
			runTool(t, "zstd", "-q", "-1", image)
			checkRestore(t, "by zstd", image+".zst", want)
		})
	}
}

// required is the size that the filesystem needs: less than a sector or a block at the end of some partitions is
// not used.
func (f realFilesystem) required() int64 {
	switch f.name {
	case "EXT4", "BTRFS", "FAT32":
		return f.bytes / 4096 * 4096
	}
	return f.bytes
}

// checkRestore restores an image over zeros and compares.
func checkRestore(t *testing.T, how, image string, want []byte) Info {
	t.Helper()
	file, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := NewReader(file)
	if err != nil {
		t.Fatalf("%s: %v", how, err)
	}
	defer r.Close()
	info := r.Info()
	if int64(len(want)) > info.RequiredBytes && info.Tool != Raw {
		t.Errorf("%s: the tool wrote %d bytes, info requires %d", how, len(want), info.RequiredBytes)
	}
	// What no run covers must be zeros.
	rest := bytes.Clone(want)
	var used int64
	for {
		off, data, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Errorf("%s: %v", how, err)
			return info
		}
		place := rest[min(off, int64(len(rest))):][:len(data)]
		if !bytes.Equal(data, place) {
			t.Errorf("%s: partition differs from byte %d on from what the tool restores", how, off)
			return info
		}
		clear(place)
		used += int64(len(data))
	}
	info = r.Info()
	if used != info.UsedBytes {
		t.Errorf("%s: restored %d bytes, info says %d", how, used, info.UsedBytes)
	}
	var page [4096]byte
	for i := 0; i < len(rest); i += len(page) {
		if end := min(i+len(page), len(rest)); !bytes.Equal(rest[i:end], page[:end-i]) {
			t.Errorf("%s: the tool wrote into bytes %d to %d what no run has", how, i, end)
			break
		}
	}
	return info
}

// checkVerify verifies a partition by the index of its image, which it returns.
func checkVerify(t *testing.T, image, partition string) *Index {
	t.Helper()
	file, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	x, err := ReadIndex(bytes.NewReader(encodeIndex(t, indexOf(t, file))))
	if err != nil {
		t.Fatal(err)
	}
	disk, err := os.Open(partition)
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	buf := make([]byte, ChunkSize)
	for _, c := range x.Chunks {
		if err := x.VerifyChunk(c, disk, buf); err != nil {
			t.Errorf("verify: %v", err)
		}
	}
	if x.UsedBytes() != x.Info.UsedBytes {
		t.Errorf("index has %d used bytes, image %d", x.UsedBytes(), x.Info.UsedBytes)
	}
	return x
}

// TestShrunkNTFS images an NTFS filesystem that fills half of its partition, as OpenGnsys leaves it.
func TestShrunkNTFS(t *testing.T) {
	t.Parallel()
	f := realFilesystem{"NTFS", 40 << 20, [][]string{
		{"mkfs.ntfs", "-F", "-Q", "-q", "FILE"},
		{"ntfsresize", "-f", "-f", "-P", "-s", "20000000", "FILE"},
		{"ntfsfix", "-d", "FILE"}, // shrinking leaves the mark that asks Windows for a check
	}, "partclone.ntfs"}
	image := f.capture(t, f.make(t))
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
	if got := r.Info().RequiredBytes; got < 19_900_000 || got > 20_004_096 || got%512 != 0 {
		t.Errorf("required bytes = %d, want about 20000000", got)
	}
	for {
		if _, _, err := r.Next(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
}
