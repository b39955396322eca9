package clone

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

const (
	// pipeBuffer is the size of the reads from partclone.
	pipeBuffer = 1 << 20
	// success is what partclone prints when it has really done its work; it also exits with 0 when it has not.
	success = "Cloned successfully."
	// partcloneHeader is the size of the header of format 0002.
	partcloneHeader = 110
)

// programFor chooses partclone's program for a partition's filesystem, or refuses what makes no sense to capture.
func programFor(p disk.Partition) (string, error) {
	switch p.Filesystem {
	case "EXT2", "EXT3", "EXT4":
		return "partclone.extfs", nil
	case "NTFS":
		return "partclone.ntfs", nil
	case "FAT12", "FAT16", "FAT32":
		return "partclone.fat", nil
	case "EXFAT":
		return "partclone.exfat", nil
	case "BTRFS":
		return "partclone.btrfs", nil
	case "XFS":
		return "partclone.xfs", nil
	case "F2FS":
		return "partclone.f2fs", nil
	case "HFSPLUS":
		return "partclone.hfsp", nil
	case "LINUX-SWAP":
		return "", failure(protocol.ErrFilesystem,
			fmt.Sprintf("partition %d is a swap area, which holds nothing to keep", p.Number),
			"create images of the other partitions; the swap area is made anew from the disk's layout")
	case "BITLOCKER":
		return "", failure(protocol.ErrFilesystem,
			fmt.Sprintf("partition %d is encrypted with BitLocker", p.Number),
			`turn BitLocker off in Windows ("manage-bde -off C:"), wait until it has decrypted the disk, then try again`)
	case "":
		return "", failure(protocol.ErrFilesystem,
			fmt.Sprintf("partition %d holds no filesystem that is known", p.Number),
			"format it first, or create an image of another partition")
	}
	return "partclone.imager", nil // everything, byte by byte
}

// checkHibernation refuses an NTFS volume whose Windows is asleep, for that is what shutting Windows down means
// while its Fast Startup is on: what it holds in hiberfil.sys would come back on every PC of the classroom. partclone only looks
// at the dirty flag.
func checkHibernation(ctx context.Context, p disk.Partition, device string) error {
	if p.Filesystem != "NTFS" {
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends ntfscat, of which only the first bytes are wanted
	cmd := exec.CommandContext(ctx, "ntfscat", "--force", device, "hiberfil.sys")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return failure(protocol.ErrGeneric, "ntfscat, which tells whether Windows is hibernated, does not start",
			"build the client OS again with the package ntfs-3g").because(err)
	}
	head := make([]byte, 4)
	n, _ := io.ReadFull(out, head)
	cancel()
	_ = cmd.Wait() // its end was forced, or the file does not exist
	if strings.EqualFold(string(head[:n]), "hibr") {
		return failure(protocol.ErrPartition,
			fmt.Sprintf("Windows in partition %d is hibernated", p.Number),
			`start Windows, turn Fast Startup off ("powercfg /h off" as administrator), shut it down, then try again`)
	}
	return nil
}

// runPartclone writes the image of a partition to w and returns the number of used bytes that it holds.
func (j *job) runPartclone(ctx context.Context, s source, w io.Writer) (int64, error) {
	logFile, err := os.CreateTemp("", "partclone-*.log") // without one that it can write, partclone does nothing and exits with 0
	if err != nil {
		return 0, err
	}
	defer os.Remove(logFile.Name())
	defer logFile.Close()

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.program, "-q", "-f", "1", "-c", "-s", s.device, "-o", "-", "-L", logFile.Name())
	cmd.Env = append(os.Environ(), "LC_ALL=C", "TERM=dumb")
	cmd.WaitDelay = 10 * time.Second
	words := &tail{limit: maxDetail}
	cmd.Stderr = words
	out, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, failure(protocol.ErrGeneric, fmt.Sprintf("%s does not start", s.program),
			"build the client OS again with the package partclone").because(err)
	}
	used, copyErr := j.copyImage(s, w, bufio.NewReaderSize(out, pipeBuffer))
	if copyErr != nil {
		cancel()
	}
	err = cmd.Wait()
	var image notImage
	switch {
	case copyErr != nil && !errors.As(copyErr, &image):
		return 0, copyErr
	case err != nil, copyErr != nil, !strings.Contains(words.String(), success):
		return 0, partcloneFailure(s.program, s.device, words.String(), errors.Join(err, copyErr))
	}
	return used, nil
}

// notImage is the error of copyImage when what it reads is no partclone image; partclone's own words then tell why.
type notImage struct{ error }

// copyImage copies the stream of partclone to w, counts its bytes as progress and returns the used bytes that its header promises.
func (j *job) copyImage(s source, w io.Writer, r *bufio.Reader) (int64, error) {
	header, err := r.Peek(partcloneHeader)
	if err != nil || !strings.HasPrefix(string(header), "partclone-image\x000") {
		return 0, notImage{fmt.Errorf("no image came out: %w", errors.Join(err))}
	}
	// Used blocks by the bitmap at 76, block size at 84.
	used := int64(binary.LittleEndian.Uint64(header[76:])) * int64(binary.LittleEndian.Uint32(header[84:]))
	now := j.meter.current()
	j.meter.total(max(0, now.Total-max(s.Used, 0)) + used) // of which the partition's inventory had an idea only
	_, err = io.CopyBuffer(writerOnly{w}, io.TeeReader(r, counter{j.meter, now.Bytes + used}), make([]byte, pipeBuffer))
	return used, err
}

// writerOnly hides ReadFrom, so that progress is counted in the pieces in which it is made.
type writerOnly struct{ io.Writer }

// A counter counts what passes as progress, up to limit: header, bitmap and checksums are no used bytes.
type counter struct {
	meter *meter
	limit int64
}

// Write implements io.Writer.
func (c counter) Write(p []byte) (int, error) {
	if n := min(int64(len(p)), c.limit-c.meter.current().Bytes); n > 0 {
		c.meter.add(n)
	}
	return len(p), nil
}

// partcloneFailure says what partclone's words mean.
func partcloneFailure(program, device, words string, err error) error {
	f := failure(protocol.ErrImage,
		fmt.Sprintf("%s could not read %s to its end", program, device),
		"check the filesystem with its own tools and the disk's SMART state, then try again")
	switch {
	case strings.Contains(words, "scheduled for a check"):
		f = failure(protocol.ErrPartition,
			fmt.Sprintf("Windows on %s was not shut down cleanly, or wants to check its filesystem", device),
			"start Windows, let it check the disk (chkdsk /f), shut it down fully, then try again")
	case strings.Contains(words, "not cleanly unmounted"):
		f = failure(protocol.ErrPartition,
			fmt.Sprintf("the filesystem on %s was not unmounted cleanly", device),
			"start the computer from its disk and shut it down, or run e2fsck on it, then try again")
	case strings.Contains(words, "is mounted"), strings.Contains(words, "In use by the system"):
		f = failure(protocol.ErrLocked, fmt.Sprintf("%s is in use", device), "restart the computer from the network and try again")
	}
	return f.because(err).words(strings.TrimSpace(words))
}

// A tail keeps the last bytes written to it.
type tail struct {
	limit int
	data  []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.data = append(t.data, p...)
	if extra := len(t.data) - t.limit; extra > 0 {
		t.data = t.data[extra:]
	}
	return len(p), nil
}

// String returns what was kept, without the blanks and returns by which partclone draws its progress on a terminal.
func (t *tail) String() string {
	var lines []string
	for line := range strings.FieldsFuncSeq(string(t.data), func(r rune) bool { return r == '\r' || r == '\n' }) {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "\n")
}
