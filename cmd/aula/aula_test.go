package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aula/imagestore/format/formattest"
)

// asProgram makes the test binary be aula, so that exit statuses and streams are the program's own.
const asProgram = "AULA_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func aula(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errs strings.Builder
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// smallImage is an image of 8 blocks of 4 KiB.
func smallImage() []byte {
	return formattest.Partclone{Filesystem: "XFS", BlockSize: 4096, Blocks: 8, Checksum: formattest.ChecksumCRC32}.Encode()
}

func TestImageInfoTellsWhatAFileIs(t *testing.T) {
	dir := t.TempDir()
	image := filepath.Join(dir, "win.img")
	if err := os.WriteFile(image, smallImage(), 0o600); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(dir, "notes.img")
	if err := os.WriteFile(text, []byte("remember to image room 3"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, file, stdout, stderr string
		status                     int
	}{
		{"an image", image, "PARTCLONE:NONE:XFS:32\n", "", 0},
		{"a file that is no image", text, "", "not a disk image", 5},
		{"no file", filepath.Join(dir, "gone.img"), "", "there is no file", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr, status := aula(t, "image", "info", c.file)
			if status != c.status || stdout != c.stdout || !strings.Contains(stderr, c.stderr) {
				t.Errorf("got status %d, %q, %q; want %d, %q, %q", status, stdout, stderr, c.status, c.stdout, c.stderr)
			}
		})
	}
	t.Run("all of it as JSON", func(t *testing.T) {
		stdout, _, _ := aula(t, "image", "info", "--json", image)
		var info struct {
			Tool, Filesystem string
			RequiredBytes    int64
		}
		if err := json.Unmarshal([]byte(stdout), &info); err != nil {
			t.Fatal(err)
		}
		if info.Tool != "PARTCLONE" || info.Filesystem != "XFS" || info.RequiredBytes != 32768 {
			t.Errorf("got %+v", info)
		}
	})
}

func TestImageListWithoutAServerSaysSo(t *testing.T) {
	stdout, stderr, status := aula(t, "image", "list", "--data", t.TempDir())
	if status != 1 || stdout != "" || !strings.Contains(stderr, "aula serve") {
		t.Errorf("got status %d, %q, %q", status, stdout, stderr)
	}
}

func TestServeMistakesAreOneLine(t *testing.T) {
	config := filepath.Join(t.TempDir(), "aula.toml")
	if err := os.WriteFile(config, []byte("interfaces = \"eth1\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, says string
		args       []string
	}{
		{"a setting that does not exist", `no setting "interfaces"`, []string{"--config", config}},
		{"an interface that does not exist", "no-such-nic does not exist", []string{"--interface", "no-such-nic", "--data", t.TempDir()}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, stderr, status := aula(t, append([]string{"serve"}, c.args...)...)
			if status != 1 || !strings.Contains(stderr, c.says) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("got status %d and %q", status, stderr)
			}
		})
	}
}

func TestUnknownWordsExitWithUsage(t *testing.T) {
	_, stderr, status := aula(t, "image", "explode")
	if status != 2 || !strings.Contains(stderr, "aula --help") {
		t.Errorf("got status %d and %q", status, stderr)
	}
}

func TestVersionTellsOfTheClientOS(t *testing.T) {
	stdout, _, status := aula(t, "version", "--json")
	var v map[string]string
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || status != 0 {
		t.Fatalf("status %d, %q: %v", status, stdout, err)
	}
	if v["version"] != version || v["clientOS"] == "" {
		t.Errorf("got %v", v)
	}
}
