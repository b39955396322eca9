package format

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// These tests go into what is particular to ntfsclone, partimage, partclone's first format and raw copies; that each of them is
// restored as its tool does, with every filesystem and compressor, is TestEveryImage's.

// restoreNtfsclone returns what ntfsclone makes of a target of zeros, as large as the partition.
func restoreNtfsclone(t *testing.T, image, partition string) []byte {
	t.Helper()
	return restoreTo(t, partition, func(target string) []string { return []string{"ntfsclone", "-q", "-r", "-O", target, image} })
}

// restorePartimage returns what partimage makes of a target of zeros, as large as the partition.
func restorePartimage(t *testing.T, image, partition string) []byte {
	t.Helper()
	return restoreTo(t, partition, func(target string) []string {
		return []string{"partimage", "-f3", "-B", "gui=no", "restore", target, image}
	})
}

// captureNtfsclone makes an image in ntfsclone's special format.
func captureNtfsclone(t *testing.T, partition string, options ...string) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	runTool(t, "ntfsclone", append(append([]string{"-f", "-q", "-s", "-o", image}, options...), partition)...)
	return image
}

// capturePartimage makes an image as OpenGnsys calls partimage, compressed by itself: -z0 not, -z1 by gzip, -z2 by bzip2. With
// volume MiB, which are 0 for one file, the image is split. It returns the files.
func capturePartimage(t *testing.T, partition, compression string, volume string) []string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	runPartimage(t, "-M", "-f3", "-o", "-d", "-B", "gui=no", "-c", compression, "--volume="+volume, "save", loopDevice(t, partition), image)
	files, err := filepath.Glob(image + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("partimage left no image: %v", err)
	}
	return files // sorted
}

// runPartimage is runTool with an end: partimage asks questions that nobody answers.
func runPartimage(t *testing.T, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("partimage"); err != nil {
		t.Skip("SKIPPED: partimage is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "partimage", args...).CombinedOutput(); err != nil {
		t.Fatalf("partimage %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// realFilesystemNamed is one of realFilesystems.
func realFilesystemNamed(t *testing.T, name string) realFilesystem {
	t.Helper()
	for _, f := range realFilesystems() {
		if f.name == name {
			return f
		}
	}
	t.Fatalf("no filesystem %s", name)
	return realFilesystem{}
}

func TestRestoresAsNtfscloneDoes(t *testing.T) {
	t.Parallel()
	for _, cluster := range []string{"512", "4096", "65536", "2097152"} {
		t.Run(cluster, func(t *testing.T) {
			t.Parallel()
			f := realFilesystemNamed(t, "NTFS")
			f.mkfs[0] = []string{"mkfs.ntfs", "-F", "-Q", "-q", "-c", cluster, "FILE"}
			if cluster == "2097152" {
				f.bytes = 100<<20 + 512*3
			}
			partition := f.make(t)
			image := captureNtfsclone(t, partition)
			want := restoreNtfsclone(t, image, partition)
			info := checkRestore(t, "10.1", image, want)
			if info.Tool != Ntfsclone || info.ToolVersion != "10.1" || info.RequiredBytes != f.bytes {
				t.Errorf("info = %+v, want what needs %d bytes", info, f.bytes)
			}

			// The same without the copy of the boot sector, as older versions wrote it: the last record is a byte and the tail.
			file := readFile(t, image)
			tail := f.bytes - info.Blocks*int64(info.BlockSize)
			file = file[:int64(len(file))-min(tail, int64(info.BlockSize))-1]
			for version, header := range map[string][]byte{
				"10.0":        {10, 0},
				"before 10.0": {3, 1},
			} {
				old := append(slices.Clone(file[:0x10]), header...)
				old = append(old, file[0x12:]...)
				if version != "10.0" {
					old = slices.Delete(old, 0x2E, 0x38)
				}
				path := writeImage(t, old)
				info := checkRestore(t, version, path, restoreNtfsclone(t, path, partition))
				if info.ToolVersion != version {
					t.Errorf("%s: version = %s", version, info.ToolVersion)
				}
			}
		})
	}
}

// TestShrunkNTFSByNtfsclone restores an NTFS filesystem that fills half of its partition into as many bytes as the image asks for.
func TestShrunkNTFSByNtfsclone(t *testing.T) {
	t.Parallel()
	f := realFilesystem{name: "NTFS", bytes: 40 << 20, mkfs: [][]string{
		{"mkfs.ntfs", "-F", "-Q", "-q", "FILE"},
		{"ntfsresize", "-f", "-f", "-P", "-s", "20000000", "FILE"},
		{"ntfsfix", "-d", "FILE"}, // shrinking leaves the mark that asks Windows for a check
	}}
	partition := f.make(t)
	image := captureNtfsclone(t, partition)
	info, disk, err := restore(bytes.NewReader(readFile(t, image)))
	if err != nil {
		t.Fatal(err)
	}
	if want := restoreNtfsclone(t, image, partition); !sameStart(disk, want) {
		t.Error("restored partition is not what ntfsclone makes")
	}
	if info.RequiredBytes < 19_900_000 || info.RequiredBytes > 20_008_192 || info.RequiredBytes%512 != 0 {
		t.Errorf("required bytes = %d, want about 20000000", info.RequiredBytes)
	}
	target := writeImage(t, append(disk, make([]byte, info.RequiredBytes-int64(len(disk)))...))
	runTool(t, "ntfsresize", "--info", "--force", "--no-progress-bar", target) // checks it
}

func TestNtfscloneMetadata(t *testing.T) {
	t.Parallel()
	image := captureNtfsclone(t, realFilesystemNamed(t, "NTFS").make(t), "--metadata")
	_, _, err := restore(bytes.NewReader(readFile(t, image)))
	if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "metadata") {
		t.Errorf("got %v", err)
	}
}

func TestRestoresAsPartimageDoes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"EXT2", "EXT3", "NTFS", "FAT16", "FAT32"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := realFilesystemNamed(t, name)
			partition := f.make(t)
			image := capturePartimage(t, partition, "-z0", "0")[0]
			want := restorePartimage(t, image, partition)
			info := checkRestore(t, "-z0", image, want)
			if info.Tool != Partimage || info.Filesystem != name || info.RequiredBytes != f.bytes {
				t.Errorf("info = %+v, want %s of %d bytes", info, name, f.bytes)
			}
			for compression, compressor := range map[string]string{"-z1": Gzip, "-z2": Bzip2} {
				info := checkRestore(t, compression, capturePartimage(t, partition, compression, "0")[0], want)
				if info.Compressor != compressor {
					t.Errorf("%s: compressor = %s", compression, info.Compressor)
				}
			}
		})
	}
}

func TestPartimageVolumes(t *testing.T) {
	t.Parallel()
	f := realFilesystemNamed(t, "EXT3")
	partition := f.make(t)
	want := restorePartimage(t, capturePartimage(t, partition, "-z0", "0")[0], partition)
	for _, compression := range []string{"-z0", "-z1"} { // bzip2 makes one volume of what is as small as this
		volumes := capturePartimage(t, partition, compression, "1")
		if len(volumes) < 2 {
			t.Fatalf("%s: %d volumes", compression, len(volumes))
		}
		var cat []byte
		var readers []io.Reader
		for i, path := range volumes {
			data := readFile(t, path)
			cat = append(cat, data...)
			readers = append(readers, bytes.NewReader(data))
			_, _, err := restore(bytes.NewReader(data))
			if err == nil || !strings.Contains(err.Error(), "join") {
				t.Errorf("%s: volume %d alone: got %v", compression, i, err)
			}
		}
		if _, _, err := restore(bytes.NewReader(cat)); err == nil || !strings.Contains(err.Error(), "join") {
			t.Errorf("%s: volumes put together by cat: got %v", compression, err)
		}
		var joined bytes.Buffer
		if err := JoinPartimage(&joined, readers); err != nil {
			t.Errorf("%s: %v", compression, err)
			continue
		}
		file := writeImage(t, joined.Bytes())
		checkRestore(t, compression+" joined", file, want)
		if !bytes.Equal(restorePartimage(t, file, partition), want) {
			t.Errorf("%s: partimage restores something else from joined volumes", compression)
		}
	}
}

// TestOldPartclone restores images with the wide checksums of partclone's first versions, which no partclone of today reads.
func TestOldPartclone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"EXT2", "FAT16"} {
		f := realFilesystemNamed(t, name)
		partition := f.make(t)
		image := f.capture(t, partition)
		old := writeImage(t, describe(t, image, partition).Encode1(true))
		info := checkRestore(t, name, old, usedBytes(t, image, partition))
		if info.Filesystem != name || info.RequiredBytes != f.bytes {
			t.Errorf("info = %+v, want %s of %d bytes", info, name, f.bytes)
		}
	}
}

// TestRawPartitions copies partitions as dd does.
func TestRawPartitions(t *testing.T) {
	t.Parallel()
	for _, f := range realFilesystems() {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			partition := f.make(t)
			file, err := os.Open(partition)
			if err != nil {
				t.Fatal(err)
			}
			defer file.Close()
			info, err := Inspect(file)
			if err != nil {
				t.Fatal(err)
			}
			if info.Tool != Raw || info.Filesystem != f.name || info.RequiredBytes != f.bytes || info.UsedBytes != f.bytes {
				t.Errorf("got %+v, want %s of %d bytes", info, f.name, f.bytes)
			}
			if want := blkid(t, partition, "UUID"); info.UUID != want {
				t.Errorf("UUID = %s, want %s", info.UUID, want)
			}
			if want := blkid(t, partition, "LABEL"); f.name != "NTFS" && info.Label != want {
				t.Errorf("label = %q, want %q", info.Label, want)
			}
			if f.bytes > 64<<20 {
				return
			}
			checkRestore(t, "raw", partition, readFile(t, partition))
			// What the filesystem takes must be there.
			for _, cut := range []int64{f.bytes / 2, f.required() - 512} {
				if err := os.Truncate(partition, cut); err != nil {
					t.Fatal(err)
				}
				_, _, err := restore(struct{ io.Reader }{bytes.NewReader(readFile(t, partition))})
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "truncated") {
					t.Errorf("cut after %d bytes: got %v", cut, err)
				}
				if err := os.Truncate(partition, f.bytes); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// blkid tells what libblkid says of a partition.
func blkid(t *testing.T, partition, tag string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "blkid", "-p", "-o", "value", "-s", tag, partition).Output()
	if err != nil && len(out) > 0 {
		t.Fatalf("blkid: %v", err)
	}
	return strings.TrimSpace(string(out))
}
