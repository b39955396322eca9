package cpio

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestWriteGolden(t *testing.T) {
	var got bytes.Buffer
	err := Write(&got, []Entry{
		Symlink("init", "bin/a"),
		File("bin/a", 0o755, []byte("hello")),
		CharDevice("dev/console", 0o600, 5, 1),
		Dir("tmp", 0o777|fs.ModeSticky),
	})
	if err != nil {
		t.Fatal(err)
	}
	const zero = "00000000"
	want := strings.Join([]string{
		"070701" + "00000001" + "000041ed" + zero + zero + "00000002" + zero + zero + zero + zero + zero + zero + "00000004" + zero + "bin\x00\x00\x00",
		"070701" + "00000002" + "000081ed" + zero + zero + "00000001" + zero + "00000005" + zero + zero + zero + zero + "00000006" + zero + "bin/a\x00hello\x00\x00\x00",
		"070701" + "00000003" + "000041ed" + zero + zero + "00000002" + zero + zero + zero + zero + zero + zero + "00000004" + zero + "dev\x00\x00\x00",
		"070701" + "00000004" + "00002180" + zero + zero + "00000001" + zero + zero + zero + zero + "00000005" + "00000001" + "0000000c" + zero + "dev/console\x00\x00\x00",
		"070701" + "00000005" + "0000a1ff" + zero + zero + "00000001" + zero + "00000005" + zero + zero + zero + zero + "00000005" + zero + "init\x00\x00bin/a\x00\x00\x00",
		"070701" + "00000006" + "000043ff" + zero + zero + "00000002" + zero + zero + zero + zero + zero + zero + "00000004" + zero + "tmp\x00\x00\x00",
		"070701" + zero + zero + zero + zero + "00000001" + zero + zero + zero + zero + zero + zero + "0000000b" + zero + "TRAILER!!!\x00\x00\x00\x00",
	}, "")
	if got.String() != want {
		t.Errorf("archive:\n got %q\nwant %q", got.String(), want)
	}
	if got.Len()%Alignment != 0 {
		t.Errorf("length %d is not a multiple of %d", got.Len(), Alignment)
	}
}

func TestWriteOrderDoesNotMatter(t *testing.T) {
	entries := []Entry{
		File("b", 0o644, []byte("1")),
		File("a/z", 0o644, []byte("22")),
		File("a.b", 0o644, []byte("333")),
		Dir("a", 0o700),
	}
	archive := func(entries []Entry) string {
		var b bytes.Buffer
		if err := Write(&b, entries); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	want := archive(entries)
	slices.Reverse(entries)
	if got := archive(entries); got != want {
		t.Error("the order of the entries changed the archive")
	}
}

func TestWriteRefuses(t *testing.T) {
	wrongSize := File("short", 0o644, []byte("abc"))
	wrongSize.Size = 4
	tooLong := File("long", 0o644, []byte("abc"))
	tooLong.Size = 2
	broken := File("broken", 0o644, nil)
	broken.Open = func() (io.ReadCloser, error) { return nil, errors.New("disk on fire") }

	tests := []struct {
		name    string
		entries []Entry
		want    string
	}{
		{"absolute name", []Entry{File("/etc/x", 0o644, nil)}, "not a path"},
		{"name that climbs out", []Entry{File("../x", 0o644, nil)}, "not a path"},
		{"the root itself", []Entry{Dir(".", 0o755)}, "not a path"},
		{"the same name twice", []Entry{Dir("x", 0o755), File("x", 0o644, nil)}, "twice"},
		{"a file as a parent", []Entry{File("x", 0o644, nil), File("x/y", 0o644, nil)}, "not a directory"},
		{"content shorter than said", []Entry{wrongSize}, "shorter"},
		{"content longer than said", []Entry{tooLong}, "longer"},
		{"content that cannot be read", []Entry{broken}, "disk on fire"},
		{"a socket", []Entry{{Name: "s", Mode: fs.ModeSocket}}, "file type"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := Write(io.Discard, test.entries)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

// TestCpioReadsIt has GNU cpio, which knows the format from elsewhere, unpack an archive.
func TestCpioReadsIt(t *testing.T) {
	tool, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("SKIPPED: needs cpio (apt-get install cpio)")
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 10_000)
	source := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(source, big, 0o644); err != nil {
		t.Fatal(err)
	}
	fromDisk, err := DiskFile("usr/lib/big", 0o640, source)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	entries := []Entry{fromDisk, Symlink("lib", "usr/lib"), File("etc/name", 0o600, []byte("aula"))}
	if err := Write(&archive, entries); err != nil {
		t.Fatal(err)
	}

	list := exec.Command(tool, "-t", "--quiet")
	list.Stdin = bytes.NewReader(archive.Bytes())
	names, err := list.Output()
	if err != nil {
		t.Fatalf("cpio -t: %v", err)
	}
	if got, want := string(names), "etc\netc/name\nlib\nusr\nusr/lib\nusr/lib/big\n"; got != want {
		t.Errorf("cpio -t says\n%s\nwant\n%s", got, want)
	}

	dir := t.TempDir()
	unpack := exec.Command(tool, "-i", "--quiet", "--no-absolute-filenames")
	unpack.Dir = dir
	unpack.Stdin = bytes.NewReader(archive.Bytes())
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("cpio -i: %v: %s", err, out)
	}
	got, err := os.ReadFile(filepath.Join(dir, "lib/big"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, big) {
		t.Errorf("cpio unpacked %d bytes that differ from the %d packed", len(got), len(big))
	}
	info, err := os.Stat(filepath.Join(dir, "etc/name"))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := info.Mode(), fs.FileMode(0o600); got != want {
		t.Errorf("mode of etc/name is %v, want %v", got, want)
	}
}
