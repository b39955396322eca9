package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aula/imagestore/format/formattest"
)

// succeed runs a command that must succeed without a word on stderr.
func succeed(t *testing.T, args ...string) (stdout string) {
	t.Helper()
	stdout, stderr, status := aula(t, args...)
	if status != 0 || stderr != "" {
		t.Fatalf("aula %s: status %d, %s%s", strings.Join(args, " "), status, stdout, stderr)
	}
	return stdout
}

func write(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// flipped is the small image with a bit that is not as it was, in its data.
func flipped() []byte {
	data := smallImage()
	data[len(data)-5000] ^= 1
	return data
}

func TestImageFilesWithoutTheAppliance(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	image := write(t, filepath.Join(dir, "win.img"), smallImage())
	converted := filepath.Join(dir, "win.lzo.img")
	if got := succeed(t, "image", "convert", image, "--to", "lzop", "--output", converted); !strings.Contains(got, "PARTCLONE:LZOP:XFS:32") {
		t.Errorf("convert says %q", got)
	}
	if got := succeed(t, "image", "verify", converted); !strings.Contains(got, ".sum and .full.sum agree") {
		t.Errorf("verify says %q", got)
	}
	if got := succeed(t, "image", "info", "--compat", converted); got != "PARTCLONE:LZOP:XFS:34\n" && !strings.HasPrefix(got, "PARTCLONE:LZOP:XFS:") {
		t.Errorf("info --compat says %q", got)
	}
	if _, err := exec.LookPath("lzop"); err != nil {
		t.Skip("SKIPPED: lzop is not installed (make test installs it)")
	}
	plain, err := exec.CommandContext(t.Context(), "lzop", "-dc", converted).Output()
	if err != nil || !bytes.Equal(plain, smallImage()) {
		t.Errorf("lzop makes %d bytes of it, %v", len(plain), err)
	}
	var verified struct {
		Compressor string
		Sums       []string
	}
	if err := json.Unmarshal([]byte(succeed(t, "image", "verify", "--json", converted)), &verified); err != nil {
		t.Fatal(err)
	}
	if verified.Compressor != "LZOP" || len(verified.Sums) != 2 {
		t.Errorf("verify --json: %+v", verified)
	}
}

// TestBadFilesEndInOneLine gives the commands what they cannot use: the exit status is that of the table in docs/images.md, and
// nothing is written.
func TestBadFilesEndInOneLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := func(name string, data []byte) string { return write(t, filepath.Join(dir, name), data) }
	good := bad("good.img", smallImage())
	out := filepath.Join(dir, "out.img")
	huge := formattest.Partclone{Filesystem: "XFS", BlockSize: 4096, Blocks: 8}.Encode()
	copy(huge[52:], "\xff\xff\xff\xff\xff\xff\xff\x7f") // a device of 8 EiB
	for _, c := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"info of text", []string{"info", bad("notes.img", []byte("remember to image room 3"))}, exitNoImage, "not a disk image"},
		{"info of an empty file", []string{"info", bad("empty.img", nil)}, exitNoImage, "empty"},
		{"info of a cut header", []string{"info", bad("cut.img", smallImage()[:60])}, exitNoImage, ""},
		{"info of a header that lies", []string{"info", bad("huge.img", huge)}, exitNoImage, ""},
		{"info of a folder", []string{"info", dir}, exitNoFile, "folder"},
		{"info of no file", []string{"info", filepath.Join(dir, "gone.img")}, exitNoFile, "no file"},
		{"verify of a bit that fell over", []string{"verify", bad("flipped.img", flipped())}, exitNoImage, "damaged"},
		{"verify of a cut file", []string{"verify", bad("short.img", smallImage()[:20000])}, exitNoImage, "damaged"},
		{"verify of no file", []string{"verify", filepath.Join(dir, "gone.img")}, exitNoFile, "no file"},
		{"verify of nothing", []string{"verify"}, exitNoFile, "--all"},
		{"convert of a damaged file", []string{"convert", filepath.Join(dir, "flipped.img"), "--output", out}, exitNoImage, "damaged"},
		{"convert of no file", []string{"convert", filepath.Join(dir, "gone.img"), "--output", out}, exitNoFile, "no file"},
		{"convert over a file", []string{"convert", good, "--output", good}, 1, "exists"},
		{"convert by a level that is none", []string{"convert", good, "--output", out, "--to", "zstd", "--level", "77"}, exitNoFile, "77"},
		{"convert by an unknown compressor", []string{"convert", good, "--output", out, "--to", "rar"}, exitNoFile, "zstd"},
		{"import of no file", []string{"import", filepath.Join(dir, "gone.img")}, exitNoFile, "no file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, status := aula(t, append([]string{"image"}, c.args...)...)
			if status != c.status || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.says) {
				t.Errorf("got status %d, %q, %q; want %d, %q in one line", status, stdout, stderr, c.status, c.says)
			}
		})
	}
	t.Cleanup(func() {
		if _, err := os.Stat(out); err == nil {
			t.Error("a conversion that failed left a file")
		}
	})
}

func TestImagesThroughTheAppliance(t *testing.T) {
	data := serveAPI(t)
	command := func(args ...string) string {
		t.Helper()
		return succeed(t, append(args, "--data", data)...)
	}
	refused := func(status int, says string, args ...string) {
		t.Helper()
		stdout, stderr, got := aula(t, append(args, "--data", data)...)
		if got != status || stdout != "" || !strings.Contains(stderr, says) {
			t.Errorf("aula %s: status %d, %q, %q; want %d and %q", strings.Join(args, " "), got, stdout, stderr, status, says)
		}
	}
	has := func(got, want string) {
		t.Helper()
		if !strings.Contains(got, want) {
			t.Errorf("got %q, want %q in it", got, want)
		}
	}
	dir := t.TempDir()
	image := write(t, filepath.Join(dir, "win10.img"), smallImage())

	has(command("image", "import", "--dry-run", image), "win10")
	has(command("image", "import", image), "win10, revision 1 in repository main: PARTCLONE:NONE:XFS:32")
	has(command("image", "list"), "win10")
	refused(1, "not a disk image", "image", "import", write(t, filepath.Join(dir, "notes.img"), []byte("remember to image room 3")))
	refused(1, "canonical", "image", "import", image, "--name", "my image")

	has(command("image", "convert", "win10", "--to", "gzip"), "win10, revision 2 in repository main: PARTCLONE:GZIP:XFS:32")
	has(command("image", "convert", "win10", "--to", "lzop", "--name", "win10-og"), "win10-og, revision 1")
	has(command("image", "info", "win10-og"), "PARTCLONE:LZOP:XFS:32\n")
	refused(exitNoFile, "attic", "image", "convert", "attic", "--to", "gzip")

	exported := filepath.Join(dir, "win10-og.img")
	has(command("image", "export", "win10-og", dir), exported)
	has(succeed(t, "image", "verify", exported), ".sum and .full.sum agree")
	has(command("image", "export", "win10", filepath.Join(dir, "plain.img"), "--compressor", "none", "--revision", "1"), "revision 1")
	if got, err := os.ReadFile(filepath.Join(dir, "plain.img")); err != nil || !bytes.Equal(got, smallImage()) {
		t.Errorf("exported %d bytes, %v", len(got), err)
	}
	refused(1, "exists", "image", "export", "win10-og", dir)
	refused(exitNoFile, "revision 9", "image", "export", "win10", filepath.Join(dir, "x.img"), "--revision", "9")

	has(command("image", "verify", "win10"), "in order")
	has(command("image", "verify", "--all"), "win10-og, revision 1: in order")

	has(command("repository", "add", "attic", filepath.Join(dir, "attic"), "--keep", "7", "--json"), `"keep": 7`)
	has(command("repository", "change", "attic", "--comments", "old ones"), "attic")
	has(command("repository", "list"), "old ones")
	has(command("image", "copy", "win10", "--to", "attic"), "win10, revision 1 in repository attic")
	has(command("image", "move", "win10-og", "--to", "attic"), "win10-og, revision 1 in repository attic")
	has(command("image", "list", "--repo", "attic"), "win10-og")
	refused(1, "already", "image", "copy", "lab", "--to", "main")

	has(command("image", "rm", "win10-og", "--now"), "win10-og is removed")
	has(command("image", "rm", "win10", "--repo", "main", "--json"), `"expires"`)
	has(command("image", "import", image), "win10, revision")
	has(command("image", "rm", "win10", "--repo", "main", "--now"), "win10 is removed for good") // and not the one before, which is still there:
	has(command("image", "trash"), "win10")
	has(command("image", "trash", "list"), "win10")
	var trash []struct{ ID, Name string }
	if err := json.Unmarshal([]byte(command("image", "trash", "--json")), &trash); err != nil || len(trash) != 1 {
		t.Fatalf("%v, %v", trash, err)
	}
	has(command("image", "undelete", trash[0].ID), "win10 is back in repository main")
	refused(exitNoFile, "trash", "image", "undelete", "nothing")
	refused(exitNoFile, "trash", "image", "trash", "discard", "nothing")
	has(command("image", "rm", "win10", "--repo", "main", "--revision", "1"), "revision 1 of win10 is removed")
	has(command("image", "rm", "win10", "--repo", "attic"), "win10 is in the trash until")
	refused(exitNoFile, "", "image", "rm", "nowhere")

	has(command("image", "define", "win11", "--display", "Windows 11", "--type", "NTFS", "--partition", "2"), "win11 is missing in repository main")
	has(command("image", "define", "win10", "--repo", "main", "--profile", "Office"), "win10 is ready in repository main")
	has(command("image", "info", "--json", "win10"), `"profile": "Office"`)
	has(command("image", "define", "win10", "--repo", "main", "--comments", "room 3"), "win10")
	has(command("image", "info", "--json", "win10"), `"profile": "Office"`)

	// What is known from the file does not become what somebody said.
	has(command("image", "define", "lab", "--comments", "room 3"), "lab is ready in repository main")
	var lab struct {
		Partition int
		Said      map[string]any
	}
	if err := json.Unmarshal([]byte(command("image", "info", "--json", "lab")), &lab); err != nil || lab.Partition != 2 ||
		lab.Said["comments"] != "room 3" || lab.Said["partition"] != nil || lab.Said["repository"] != nil {
		t.Errorf("lab: got %+v, %v; want the comments said, and partition 2 and repository of the file not", lab, err)
	}

	refused(exitNoFile, "such task", "task", "cancel", "nothing")
	has(command("task", "list"), "Convert win10 to GZIP")
	has(command("repository", "remove", "attic"), "forgotten")
}

func TestCommandsWithoutAnApplianceSayHowToStartIt(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	for _, args := range [][]string{
		{"image", "list"}, {"image", "info", "lab"}, {"image", "convert", "lab"}, {"image", "verify", "lab"}, {"image", "verify", "--all"},
		{"image", "export", "lab", data}, {"image", "rm", "lab"}, {"image", "trash"}, {"image", "undelete", "x"}, {"image", "define", "lab"},
		{"image", "copy", "lab", "--to", "attic"}, {"image", "move", "lab", "--to", "attic"}, {"image", "import", os.Args[0]},
		{"repository", "list"}, {"repository", "add", "x", data}, {"repository", "change", "x"}, {"repository", "remove", "x"},
		{"task", "list"}, {"task", "cancel", "x"},
	} {
		stdout, stderr, status := aula(t, append(args, "--data", data)...)
		if status == 0 || stdout != "" || !strings.Contains(stderr, "aula serve") || strings.Count(stderr, "\n") != 1 {
			t.Errorf("aula %s: status %d, %q, %q", strings.Join(args, " "), status, stdout, stderr)
		}
	}
}
