package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aula/imagestore/format"
)

// pipe runs commands of which each reads what the one before writes. The last one's output is returned, stderr with it.
func pipe(t *testing.T, argv ...[]string) []byte {
	t.Helper()
	var in io.Reader
	var out bytes.Buffer
	var commands []*exec.Cmd
	for i, words := range argv {
		cmd := exec.CommandContext(t.Context(), words[0], words[1:]...)
		cmd.Stdin = in
		if i == len(argv)-1 {
			cmd.Stdout, cmd.Stderr = &out, &out
		} else {
			r, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			in = r
		}
		if err := cmd.Start(); err != nil {
			t.Skipf("SKIPPED: %v (make test installs it)", err)
		}
		commands = append(commands, cmd)
	}
	for i := len(commands) - 1; i >= 0; i-- {
		if err := commands[i].Wait(); err != nil {
			t.Fatalf("%v: %v\n%s", argv[i], err, out.String())
		}
	}
	return out.Bytes()
}

// TestRealImageComesInAndGoesOut takes in the volumes of an image that partclone and gzip have made, and exports it in the form of
// OpenGnsys, from which partclone restores what was on the partition.
func TestRealImageComesInAndGoesOut(t *testing.T) {
	data := serveAPI(t)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	pipe(t, []string{"mkfs.ext4", "-q", "-F", "-d", ".", at("partition"), "20M"})
	pipe(t, []string{"partclone.ext4", "-c", "-s", at("partition"), "-L", at("log1")}, []string{"gzip", "-1"},
		[]string{"split", "-b", "30000", "-", at("linux.img.")})
	volumes, err := filepath.Glob(at("linux.img.*"))
	if err != nil || len(volumes) < 2 {
		t.Fatalf("volumes: %v, %v", volumes, err)
	}
	got := succeed(t, append([]string{"image", "import", "--data", data, "--name", "linux"}, volumes...)...)
	if !strings.Contains(got, "linux, revision 1 in repository main: PARTCLONE:GZIP:EXT4:20480") {
		t.Errorf("import says %q", got)
	}
	succeed(t, "image", "export", "--data", data, "--compressor", "lzop", "linux", at("export.img"))
	if err := os.WriteFile(at("restored"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(at("restored"), 20<<20); err != nil {
		t.Fatal(err)
	}
	said := pipe(t, []string{"lzop", "-dc", at("export.img")}, []string{"partclone.restore", "-s", "-", "-O", at("restored"), "-f", "1", "-C", "-L", at("log2")})
	if !bytes.Contains(said, []byte("Cloned successfully.")) {
		t.Fatalf("partclone.restore: %s", said)
	}
	pipe(t, []string{"e2fsck", "-f", "-n", at("restored")})
	samePartition(t, volumes, at("partition"), at("restored"))
}

// samePartition compares what an image uses of two partitions.
func samePartition(t *testing.T, volumes []string, partitions ...string) {
	t.Helper()
	var joined bytes.Buffer
	for _, v := range volumes {
		part, err := os.ReadFile(v)
		if err != nil {
			t.Fatal(err)
		}
		joined.Write(part)
	}
	image, err := format.NewReader(&joined)
	if err != nil {
		t.Fatal(err)
	}
	defer image.Close()
	var content [][]byte
	for _, path := range partitions {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		content = append(content, data)
	}
	for {
		off, run, err := image.Next()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for i, data := range content {
			if !bytes.Equal(data[off:][:len(run)], run) {
				t.Fatalf("%s differs from the image at byte %d", partitions[i], off)
			}
		}
	}
}
