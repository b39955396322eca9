package clone

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aula/clientos/disk"
	"aula/clientos/disk/disktest"
	"aula/clientos/protocol"
)

func TestCaptureRefusals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		fill  func(t *testing.T, node string)
		code  int
		words []string
	}{
		"swap": {func(t *testing.T, node string) { disktest.Run(t, "mkswap", "-q", node) },
			protocol.ErrFilesystem, []string{"swap area"}},
		"nothing in it": {func(t *testing.T, node string) {},
			protocol.ErrFilesystem, []string{"no filesystem that is known"}},
		"BitLocker": {func(t *testing.T, node string) { writeAt(t, node, 0, bitLockerBoot()) },
			protocol.ErrFilesystem, []string{"BitLocker"}},
		"Windows shut down uncleanly": {func(t *testing.T, node string) {
			ntfs(t, node)
			disktest.Run(t, "ntfsresize", "-f", "-f", "-s", "80M", node) // leaves the dirty flag, so that Windows checks the disk
		}, protocol.ErrPartition, []string{"not shut down cleanly"}},
		"Windows hibernated": {func(t *testing.T, node string) {
			disktest.Run(t, "mkntfs", "-q", "-F", "-Q", node)
			file := filepath.Join(t.TempDir(), "hiberfil.sys")
			if err := os.WriteFile(file, append([]byte("HIBR"), make([]byte, 3*mib)...), 0o644); err != nil {
				t.Fatal(err)
			}
			disktest.Run(t, "ntfscp", "-q", "-f", node, file, "hiberfil.sys")
		}, protocol.ErrPartition, []string{"hibernated"}},
		"ext4 not unmounted": {func(t *testing.T, node string) {
			ext4(t, node)
			disktest.Run(t, "debugfs", "-w", "-R", "ssv state 0", node)
		}, protocol.ErrPartition, []string{"not unmounted cleanly"}},
		"ext4 with a wrong superblock": {func(t *testing.T, node string) {
			ext4(t, node)
			disktest.Run(t, "debugfs", "-w", "-R", "ssv inodes_per_group 7", node)
		}, protocol.ErrImage, []string{"partclone.extfs could not read"}},
		"mounted": {func(t *testing.T, node string) {
			ext4(t, node)
			where := t.TempDir()
			disktest.Run(t, "mount", "-o", "ro", node, where)
			t.Cleanup(func() { disktest.Unmount(t, where) })
		}, protocol.ErrLocked, []string{"mounted on"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := model(t, test.fill)
			server := &fakeServer{}
			_, progress, err := run(t, server, source.Path, instruction(t, protocol.CreateImage, source.Path, 1))
			wantFailure(t, err, test.code, test.words...)
			if server.published || progress.dirty() {
				t.Errorf("published %v, dirty %v; want neither", server.published, progress.dirty())
			}
		})
	}
}

// bitLockerBoot is the boot sector of a volume encrypted with BitLocker, as far as libblkid looks at it.
func bitLockerBoot() []byte {
	boot := make([]byte, 8192)
	copy(boot, "\xEB\x58\x90-FVE-FS-")
	copy(boot[160:], "\x3B\xD6\x67\x49\x29\x2E\xD8\x4A\x83\x99\xF6\xA3\x39\xE3\xD0\x01")
	boot[177] = 4096 >> 8 // the metadata follows at byte 4096
	copy(boot[4096:], "-FVE-FS-")
	boot[510], boot[511] = 0x55, 0xAA
	return boot
}

// A cutUpload is a server whose connection breaks after some bytes.
type cutUpload struct {
	fakeServer
	limit int
}

func (s *cutUpload) PutImage(ctx context.Context, instruction string, partition int, write func(w io.Writer) error) error {
	s.aborted = write(&limitedWriter{s.limit})
	if s.aborted == nil {
		return errors.New("the upload was taken for complete")
	}
	return s.aborted
}

type limitedWriter struct{ left int }

func (w *limitedWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errors.New("connection reset by peer")
	}
	return len(p), nil
}

func TestCaptureUploadCut(t *testing.T) {
	t.Parallel()
	source := model(t, ext4)
	server := &cutUpload{limit: 5 * mib}
	_, _, err := run(t, server, source.Path, instruction(t, protocol.CreateImage, source.Path, 1))
	f := wantFailure(t, err, protocol.ErrRepository, "could not be sent", "connection reset by peer")
	if f.Stage != protocol.StageReading || server.aborted == nil {
		t.Errorf("failed while %s, upload ended with %v; want reading and an error", f.Stage, server.aborted)
	}
}

// A fullServer refuses the image after it was sent, as a repository does whose disk is full.
type fullServer struct{ fakeServer }

func (s *fullServer) PutImage(ctx context.Context, instruction string, partition int, write func(w io.Writer) error) error {
	if err := write(io.Discard); err != nil {
		return err
	}
	return &protocol.Failure{Code: protocol.ErrCacheSize, Problem: "the repository disk is full", Advice: "remove images"}
}

func TestCaptureRefusedByServer(t *testing.T) {
	t.Parallel()
	source := model(t, ext4)
	_, _, err := run(t, &fullServer{}, source.Path, instruction(t, protocol.CreateImage, source.Path, 1))
	if f := wantFailure(t, err, protocol.ErrCacheSize, "repository disk is full"); f.Stage != protocol.StagePublishing {
		t.Errorf("failed while %s, want publishing", f.Stage)
	}
}

func TestCaptureCancelled(t *testing.T) {
	t.Parallel()
	source := model(t, ext4)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	server := &fakeServer{}
	r := &recorder{t: t}
	r.during = func(p Progress) {
		if p.Stage == protocol.StageReading && p.Bytes > 0 {
			cancel()
		}
	}
	_, err := runRecorded(ctx, t, server, source.Path, instruction(t, protocol.CreateImage, source.Path, 1), r)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	if server.published || server.aborted == nil {
		t.Errorf("published %v, upload ended with %v; want it broken off", server.published, server.aborted)
	}
}

// TestPartcloneThatDoesNothing runs programs that exit with 0 without having made an image, as partclone itself does after
// some errors.
func TestPartcloneThatDoesNothing(t *testing.T) {
	t.Parallel()
	header := "partclone-image\x000.3.23" + strings.Repeat("\x00", 8) + "0002" + strings.Repeat("\x00", 200)
	const success = "echo 'Cloned successfully.' >&2\n"
	for name, test := range map[string]struct{ output, script string }{
		"no output":              {"", "exit 0\n"},
		"success without output": {"", success},
		"output without success": {header, "exit 0\n"},
		"success and exit 1":     {header, success + "exit 1\n"},
		"words instead of image": {"Error: In use by the system!" + strings.Repeat(" ", 200), success},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			program, output := filepath.Join(dir, "partclone.test"), filepath.Join(dir, "output")
			if err := os.WriteFile(output, []byte(test.output), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(program, []byte("#!/bin/sh\ncat '"+output+"'\n"+test.script), 0o755); err != nil {
				t.Fatal(err)
			}
			j := &job{meter: &meter{report: func(Progress) {}}}
			_, err := j.runPartclone(t.Context(), source{program: program, device: "/dev/null"}, io.Discard)
			if err == nil {
				t.Fatal("taken for a success")
			}
			wantFailure(t, explain(err, protocol.StageReading), protocol.ErrImage, "could not read")
		})
	}
}

func TestProgramFor(t *testing.T) {
	for filesystem, want := range map[string]string{
		"EXT2": "partclone.extfs", "EXT4": "partclone.extfs", "NTFS": "partclone.ntfs", "FAT16": "partclone.fat",
		"EXFAT": "partclone.exfat", "BTRFS": "partclone.btrfs", "XFS": "partclone.xfs", "F2FS": "partclone.f2fs",
		"HFSPLUS": "partclone.hfsp", "LUKS": "partclone.imager", "LINUX-LVM": "partclone.imager",
	} {
		got, err := programFor(disk.Partition{Number: 1, Filesystem: filesystem})
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v; want %q", filesystem, got, err, want)
		}
	}
}

// TestOtherFilesystems takes each of the other filesystems through a capture and a restore.
func TestOtherFilesystems(t *testing.T) {
	t.Parallel()
	for name, mkfs := range map[string][]string{
		"BTRFS": {"mkfs.btrfs", "-q", "-m", "single"},
		"EXFAT": {"mkfs.exfat"},
		"EXT2":  {"mkfs.ext2", "-q", "-b", "1024"},
		"FAT16": {"mkfs.vfat", "-F", "16"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disktest.Need(t, mkfs[0])
			server, _ := captured(t, func(t *testing.T, node string) {
				disktest.Run(t, mkfs[0], append(mkfs[1:], node)...)
			})
			target := disktest.New(t, "TARGET", 128*mib, 512)
			i := instruction(t, protocol.RestoreImage, target.Path, 1)
			i.Parts, i.Layout = server.part(1), server.layout
			if _, _, err := run(t, server, target.Path, i); err != nil {
				t.Fatal(err)
			}
			disks, err := disk.System{Devices: []string{target.Path}}.Disks(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got := disks[0].Partitions[0].Filesystem; got != name {
				t.Errorf("the target holds %q, want %q", got, name)
			}
		})
	}
}
