package imagestore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aula/imagestore/format"
	"aula/imagestore/format/formattest"
)

// need skips a test whose tools are missing, loudly.
func need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: %s is not installed (make test installs it)", tool)
		}
	}
}

// run runs a tool.
func run(t *testing.T, argv ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
}

// sample makes a directory tree for a filesystem: text, and something that cannot be compressed.
func sample(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	noise, err := exec.CommandContext(t.Context(), "openssl", "rand", "3000000").Output()
	if err != nil {
		noise = bytes.Repeat([]byte("no openssl here"), 200_000)
	}
	for name, data := range map[string][]byte{"noise": noise, "text": bytes.Repeat([]byte("Aula restores what it has. "), 100_000)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// original makes a partition and an image of it by a real tool.
func original(t *testing.T, tool string) (image []byte) {
	t.Helper()
	dir := t.TempDir()
	partition, file := filepath.Join(dir, "partition"), filepath.Join(dir, "image")
	if err := os.WriteFile(partition, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	switch tool {
	case format.Partclone, format.Raw:
		need(t, "mkfs.ext4", "partclone.ext4")
		run(t, "mkfs.ext4", "-q", "-F", "-d", sample(t), partition, "24M")
		if tool == format.Raw {
			file = partition
			break
		}
		run(t, "partclone.ext4", "-c", "-s", partition, "-O", file, "-L", filepath.Join(dir, "log"))
	case format.Ntfsclone:
		need(t, "mkntfs", "ntfsclone")
		if err := os.Truncate(partition, 24<<20); err != nil {
			t.Fatal(err)
		}
		run(t, "mkntfs", "-F", "-q", "-Q", partition)
		run(t, "ntfsclone", "--save-image", "--output", file, partition)
	}
	image, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// unpackers are the C tools that OpenGnsys and people use.
var unpackers = map[string]string{format.Zstd: "zstd", format.Lzop: "lzop", format.Gzip: "gzip", format.None: "cat"}

// restoreByTools restores an image file with its compressor's tool and partclone.restore, and returns the partition's file.
func restoreByTools(t *testing.T, file, compressor string, size int64) string {
	t.Helper()
	need(t, unpackers[compressor], "partclone.restore")
	target := filepath.Join(t.TempDir(), "restored")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(target, size); err != nil {
		t.Fatal(err)
	}
	argv := []string{unpackers[compressor], "-dc", file}
	if compressor == format.None {
		argv = []string{"cat", file}
	}
	unpack := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
	restore := exec.CommandContext(t.Context(), "partclone.restore", "-s", "-", "-O", target, "-C", "-f", "1", "-L", target+".log")
	pipe, err := unpack.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	restore.Stdin, restore.Stderr = pipe, &said
	if err := unpack.Start(); err != nil {
		t.Fatal(err)
	}
	err = errors.Join(restore.Run(), unpack.Wait())
	if err != nil || !strings.Contains(said.String(), "Cloned successfully.") {
		t.Fatalf("%v | partclone.restore: %v\n%s", argv, err, said.String())
	}
	return target
}

// checkPartition compares a partition with an image's index, chunk for chunk.
func checkPartition(t *testing.T, path string, index *format.Index) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, format.ChunkSize)
	for _, c := range index.Chunks {
		if err := index.VerifyChunk(c, f, buf); err != nil {
			t.Errorf("chunk %d: %v", c.Number, err)
		}
	}
}

func TestConvertedImagesAreRestoredByTheToolsOfOthers(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{format.Partclone, format.Ntfsclone, format.Raw} {
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			l, repos := openLibrary(t, "main")
			source := publishFile(t, repos[0], "lab", original(t, tool))
			index, err := repos[0].index(source)
			if err != nil {
				t.Fatal(err)
			}
			for i, compressor := range []string{format.Lzop, format.Gzip, format.Zstd, format.None} {
				name := ""
				if compressor == format.None {
					name = "plain"
				}
				made, err := l.Convert(t.Context(), "", "lab", 0, Conversion{Compressor: compressor, Name: name}, nil)
				if err != nil {
					t.Fatalf("%s: %v", compressor, err)
				}
				if want := i + 2; name == "" && made.Revision != want || name != "" && (made.Revision != 1 || made.Name != name) {
					t.Errorf("%s: it became revision %d of %s", compressor, made.Revision, made.Name)
				}
				if made.Info.Tool != format.Partclone || made.Info.Compressor != compressor || made.Info.RequiredBytes != source.Info.RequiredBytes ||
					!made.Created.Equal(source.Created) || made.Source != source.Source || !made.HasLayout {
					t.Errorf("%s: from %+v it became %+v", compressor, source, made)
				}
				file := filepath.Join(repos[0].Dir(), made.Name+".img")
				// What partclone needs more than the filesystem: its last sector on NTFS.
				checkPartition(t, restoreByTools(t, file, compressor, source.Info.RequiredBytes+1<<20), index)
			}
		})
	}
}

func TestConversionKeepsThePartcloneStream(t *testing.T) {
	t.Parallel()
	l, repos := openLibrary(t, "main")
	plain := formattest.Partclone{Blocks: 900, Checksum: formattest.ChecksumCRC32, Used: func(i int) bool { return i%3 != 0 }}.Encode()
	publishFile(t, repos[0], "lab", pack(t, plain))
	if _, err := l.Convert(t.Context(), "", "lab", 0, Conversion{Compressor: format.None}, nil); err != nil {
		t.Fatal(err)
	}
	checkImage(t, repos[0], "lab", 2, plain)
}

func TestConversionThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	l, repos := openLibrary(t, "main")
	file := imageFile(t, 2)
	publishFile(t, repos[0], "lab", imageFile(t, 1))
	publishFile(t, repos[0], "lab", file)
	publishFile(t, repos[0], "other", file)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		name     string
		ctx      context.Context
		revision int
		to       Conversion
		want     error
	}{
		{"an old revision in the place of the current one", t.Context(), 1, Conversion{Compressor: format.Gzip}, ErrExists},
		{"the name of another image", t.Context(), 0, Conversion{Compressor: format.Gzip, Name: "other"}, ErrExists},
		{"a bad name", t.Context(), 0, Conversion{Compressor: format.Gzip, Name: ".lab"}, ErrBadName},
		{"no such revision", t.Context(), 9, Conversion{Compressor: format.Gzip}, ErrNotFound},
		{"no such compressor", t.Context(), 0, Conversion{Compressor: format.XZ}, nil},
		{"cancelled", cancelled, 0, Conversion{Compressor: format.Gzip}, context.Canceled},
	} {
		if _, err := l.Convert(c.ctx, "", "lab", c.revision, c.to, nil); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	checkImage(t, repos[0], "lab", 2, file)
	checkClean(t, repos[0], "lab", "other")
	t.Run("the image is captured anew meanwhile", func(t *testing.T) {
		once := false
		_, err := l.Convert(t.Context(), "", "lab", 0, Conversion{Compressor: format.Gzip}, func(int64, int64) {
			if !once {
				once = true
				publishFile(t, repos[0], "lab", imageFile(t, 3))
			}
		})
		if !errors.Is(err, ErrExists) {
			t.Errorf("got %v", err)
		}
		checkImage(t, repos[0], "lab", 3, imageFile(t, 3))
	})
}

// TestLossless notices a conversion that would lose or change anything.
// A capture that ends at the last moment of a conversion is not covered by it.
func TestConversionNeverCoversACapture(t *testing.T) {
	t.Parallel()
	l, repos := openLibrary(t, "main")
	publishFile(t, repos[0], "lab", imageFile(t, 1))
	captured := false
	repos[0].folder.after = func(step, name string) {
		if !captured && step == "sync" && strings.HasSuffix(name, infoSuffix) {
			captured = true
			publishFile(t, repos[0], "lab", imageFile(t, 2))
		}
	}
	_, err := l.Convert(t.Context(), "", "lab", 0, Conversion{Compressor: format.Gzip}, nil)
	repos[0].folder.after = nil
	if !captured || !errors.Is(err, ErrExists) {
		t.Errorf("captured: %t, got %v", captured, err)
	}
	checkImage(t, repos[0], "lab", 2, imageFile(t, 2))
	checkClean(t, repos[0], "lab")
}

func TestLossless(t *testing.T) {
	t.Parallel()
	make := func(change func(*format.Index)) *format.Index {
		x := &format.Index{Info: format.Info{RequiredBytes: 8 << 20}, Chunks: []format.Chunk{
			{Number: 1, Hash: [32]byte{1}, Used: []format.Extent{{Offset: 1 << 20, Length: 4096}}},
			{Number: 3, Hash: [32]byte{2}, Used: []format.Extent{{Offset: 3 << 20, Length: 8192}}},
		}}
		change(x)
		return x
	}
	before := make(func(*format.Index) {})
	if err := lossless(before, make(func(x *format.Index) { x.Info.Compressor = format.Lzop })); err != nil {
		t.Errorf("the same bytes: %v", err)
	}
	for name, change := range map[string]func(*format.Index){
		"another size":     func(x *format.Index) { x.Info.RequiredBytes++ },
		"a chunk less":     func(x *format.Index) { x.Chunks = x.Chunks[:1] },
		"another hash":     func(x *format.Index) { x.Chunks[1].Hash[31] = 1 },
		"other used bytes": func(x *format.Index) { x.Chunks[0].Used[0].Length = 8192 },
		"another place":    func(x *format.Index) { x.Chunks[0].Number = 2 },
	} {
		if err := lossless(before, make(change)); err == nil {
			t.Errorf("%s was not noticed", name)
		}
	}
}

func TestExport(t *testing.T) {
	t.Parallel()
	l, repos := openLibrary(t, "main")
	plain := formattest.Partclone{Blocks: 900, Checksum: formattest.ChecksumCRC32}.Encode()
	publishFile(t, repos[0], "lab", plain)
	publishFile(t, repos[0], "lab", pack(t, plain))
	for _, c := range []struct {
		name, compressor string
		revision         int
		want             []byte // nil: not byte for byte
	}{
		{"as it is", "", 0, pack(t, plain)},
		{"an earlier revision", "", 1, plain},
		{"unpacked", format.None, 0, plain},
		{"for another system", format.Lzop, 0, nil},
	} {
		var out bytes.Buffer
		var last int64
		err := l.Export(t.Context(), "", "lab", c.revision, c.compressor, &out, func(done, total int64) { last = done - total })
		if err != nil || last != 0 {
			t.Errorf("%s: %v; progress ended %d bytes off", c.name, err, last)
		}
		if c.want != nil && !bytes.Equal(out.Bytes(), c.want) {
			t.Errorf("%s: got %d other bytes, want %d", c.name, out.Len(), len(c.want))
		}
		info, err := format.Inspect(bytes.NewReader(out.Bytes()))
		if err != nil || info.RequiredBytes != 900*4096 || c.compressor != "" && info.Compressor != c.compressor {
			t.Errorf("%s: it is %s, %v", c.name, info, err)
		}
	}
	rewrite(t, filepath.Join(repos[0].Dir(), revisionsDir, "lab", "1", "lab.img"), append(plain[:len(plain)-1:len(plain)-1], 0))
	if err := l.Export(t.Context(), "", "lab", 1, "", io.Discard, nil); !errors.Is(err, ErrDamaged) {
		t.Errorf("a file that was changed on the disk: %v", err)
	}
	if who := repos[0].Holders("lab"); len(who) > 0 {
		t.Errorf("still held by %v", who)
	}
}

func TestLooseFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "lab.img")
	plain := formattest.Partclone{Blocks: 900, Checksum: formattest.ChecksumCRC32}.Encode()
	if err := os.WriteFile(path, plain, 0o600); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "lab2.img")
	create := func(replace bool) *LooseFile {
		t.Helper()
		to, err := CreateLoose(out, replace)
		if err != nil {
			t.Fatal(err)
		}
		return to
	}
	info, err := ConvertLoose(t.Context(), path, create(false), Conversion{Compressor: format.Lzop}, nil)
	if err != nil || info.Compressor != format.Lzop {
		t.Fatalf("%s, %v", info, err)
	}
	if info, sums, err := VerifyLoose(t.Context(), out, nil); err != nil || fmt.Sprint(sums) != "[.sum .full.sum]" || info.Compressor != format.Lzop {
		t.Errorf("verified: %s, %v, %v", info, sums, err)
	}
	if _, err := CreateLoose(out, false); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file that is there: %v", err)
	}
	before, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("damaged source", func(t *testing.T) {
		broken := filepath.Join(dir, "broken.img")
		flipped := bytes.Clone(plain)
		flipped[len(flipped)-5000] ^= 1
		if err := os.WriteFile(broken, flipped, 0o600); err != nil {
			t.Fatal(err)
		}
		to := create(true)
		_, err := ConvertLoose(t.Context(), broken, to, Conversion{Compressor: format.Gzip}, nil)
		if err := errors.Join(to.Abort(), to.Abort()); err != nil {
			t.Error(err)
		}
		if !errors.Is(err, format.ErrCorrupt) {
			t.Errorf("got %v", err)
		}
		if _, _, err := VerifyLoose(t.Context(), broken, nil); !errors.Is(err, format.ErrCorrupt) {
			t.Errorf("verified: %v", err)
		}
	})
	if after, err := os.ReadFile(out); err != nil || !bytes.Equal(before, after) {
		t.Errorf("a conversion that failed changed the file that it was to replace: %v", err)
	}
	t.Run("a sum that is not the file's", func(t *testing.T) {
		if err := os.WriteFile(out+".full.sum", []byte(strings.Repeat("0", 32)), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, _, err := VerifyLoose(t.Context(), out, nil); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "lab2.img.full.sum") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a folder", func(t *testing.T) {
		if _, _, err := VerifyLoose(t.Context(), dir, nil); !errors.Is(err, format.ErrNotImage) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a file that somebody makes meanwhile", func(t *testing.T) {
		taken := filepath.Join(dir, "taken.img")
		to, err := CreateLoose(taken, false)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{taken, taken + ".sum", taken + ".full.sum"} {
			if err := os.WriteFile(name, []byte("theirs"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := ConvertLoose(t.Context(), path, to, Conversion{Compressor: format.Gzip}, nil); !errors.Is(err, fs.ErrExist) {
			t.Errorf("got %v", err)
		}
		for _, name := range []string{taken, taken + ".sum", taken + ".full.sum"} {
			if data, err := os.ReadFile(name); err != nil || string(data) != "theirs" {
				t.Errorf("%s holds %.20q, %v", name, data, err)
			}
		}
	})
	left, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range left {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s is left", e.Name())
		}
	}
}
