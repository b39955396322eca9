package incorporation

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aula/imagestore/format"
)

func TestDiskFiles(t *testing.T) {
	t.Parallel()
	disk := diskFile(t, dosScript, 40*mib)
	overwrite(t, disk, 2048*512, read(t, makePartition(t, "ext4", 8*mib).path))
	want := read(t, disk)
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	tool(t, "", "qemu-img", "convert", "-f", "raw", "-O", "qcow2", "-c", disk, file("vm.qcow2"))
	pipe(t, []string{disk}, file("packed.dsk"), []string{"gzip", "-c"})
	write(t, file("plain.raw"), want)
	repo := openRepository(t)
	for name, info := range map[string]string{
		"vm.qcow2": "RAW:ZSTD:DISK:40960", "packed.dsk": "RAW:GZIP:DISK:40960", "plain.raw": "RAW:ZSTD:DISK:40960",
	} {
		p := examine(t, Options{}, file(name))
		if p.System != "disk file" || len(p.Images) != 1 || p.Images[0].Source.Disk != 1 || p.Images[0].Source.Partition != 0 || p.Images[0].Layout != nil {
			t.Errorf("%s: plan %s, %+v, want the image of a disk", name, p.System, p.Images)
		}
		images := take(t, p, repo)
		if got := images[0].Info.String(); got != info {
			t.Errorf("%s: info %s, want %s", name, got, info)
		}
		sameContent(t, repo, images[0], want)
		if images[0].FileBytes > 10*mib {
			t.Errorf("%s: takes %d bytes of the repository", name, images[0].FileBytes)
		}
	}
}

func TestDiskFilesThatCannotBeTaken(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name string) string { return filepath.Join(dir, name) }
	tool(t, "", "qemu-img", "create", "-q", "-f", "qcow2", file("empty.qcow2"), "1G")
	refused(t, "not a disk image", file("empty.qcow2"))
	tool(t, "", "qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=2M", file("huge.qcow2"), "16T")
	refused(t, "claims a disk of 16384 GiB", file("huge.qcow2"))
	tool(t, "", "qemu-img", "create", "-q", "-f", "qcow2", file("small.qcow2"), "2T")
	refused(t, "claims a disk of 2048 GiB", file("small.qcow2"))
	tool(t, "", "qemu-img", "create", "-q", "-f", "vmdk", file("vm.vmdk"), "64M")
	refused(t, "qemu-img convert -O qcow2", file("vm.vmdk"))
	tool(t, "", "qemu-img", "create", "-q", "-f", "qcow2", "-b", file("empty.qcow2"), "-F", "qcow2", file("child.qcow2"))
	refused(t, "backing file", file("child.qcow2"))
}

// A qcow2 file is read by the size of its disk, not of the file, and that can be stopped.
func TestCancelOfADiskFile(t *testing.T) {
	t.Parallel()
	raw := diskFile(t, dosScript, 40*mib)
	path := filepath.Join(t.TempDir(), "vm.qcow2")
	tool(t, "", "qemu-img", "convert", "-O", "qcow2", raw, path)
	tool(t, "", "qemu-img", "resize", "-q", path, "200G")
	p := examine(t, Options{}, path)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	half := false
	images, err := p.Run(ctx, openRepository(t), func(now Progress) {
		if now.Done > 0 {
			half = half || now.Done < now.Total/4
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || len(images) > 0 || !half {
		t.Errorf("got %v, %v, stopped early %t", images, err, half)
	}
}

// A partition's plain content is packed too, and people are told what it may be.
func TestPlainPartition(t *testing.T) {
	t.Parallel()
	part := makePartition(t, "ext4", 8*mib)
	path := filepath.Join(t.TempDir(), "root.img")
	write(t, path, read(t, part.path))
	p := examine(t, Options{}, path)
	wantWarning(t, p, "plain content of a partition")
	repo := openRepository(t)
	images := take(t, p, repo)
	if got := images[0].Info.String(); got != "RAW:ZSTD:EXT4:8192" {
		t.Errorf("info %s", got)
	}
	sameContent(t, repo, images[0], read(t, part.path))
}

// The sum of a disk file that is not read from front to end is checked all the same.
func TestSumOfADiskFile(t *testing.T) {
	t.Parallel()
	disk := diskFile(t, dosScript, 40*mib)
	dir := t.TempDir()
	image := filepath.Join(dir, "vm.img")
	tool(t, "", "qemu-img", "convert", "-f", "raw", "-O", "qcow2", disk, image)
	write(t, image+".full.sum", []byte(md5Of(read(t, image))))
	repo := openRepository(t)
	take(t, examine(t, Options{}, dir), repo)
	write(t, image+".full.sum", []byte(md5Of([]byte("x"))))
	if _, err := examine(t, Options{}, dir).Run(t.Context(), repo, nil); err == nil || !strings.Contains(err.Error(), "vm.img is damaged") {
		t.Errorf("got %v", err)
	}
}

// What unpacks to nothing but zeros is no image, however much of it there is.
func TestZerosAreNoImage(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	w, err := format.NewWriter(&bomb, format.Zstd, 0)
	if err != nil {
		t.Fatal(err)
	}
	for range 64 {
		if _, err := w.Write(make([]byte, mib)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bomb.img")
	if err := os.WriteFile(path, bomb.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, "not a disk image", path)
}
