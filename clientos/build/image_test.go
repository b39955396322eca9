package build

import (
	"bytes"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aula/clientos/build/cpio"
)

const imageRecipe = `
suite trixie main
group kernel: a small one
  kernel  boot/vmlinuz-*
  file    usr/sbin/tool usr/bin/busybox
  module  drivers/net/nic
  loader  shimx64.efi usr/lib/shim/shimx64.efi.signed
`

// smallRoot is packages unpacked: those that a build takes its tools from are this machine's.
func smallRoot(t *testing.T) sysroot {
	t.Helper()
	for _, tool := range []string{"/usr/bin/zstd", "/usr/sbin/depmod", "/usr/bin/cpio"} {
		if _, err := os.Stat(tool); err != nil {
			t.Skipf("SKIPPED: needs %s (apt-get install zstd kmod cpio)", tool)
		}
	}
	dir := t.TempDir()
	const modules = "usr/lib/modules/6.12.1-amd64/"
	plant(t, dir, map[string]string{
		"boot/vmlinuz-6.12.1-amd64":            "a kernel",
		"usr/lib/shim/shimx64.efi.signed":      "MZ",
		"usr/sbin/tool":                        "#!/bin/sh\n",
		"usr/bin/busybox":                      "#!/bin/sh\necho ls; echo tool; echo sh\n",
		"usr/lib/firmware/vendor/nic-1.bin":    "firmware",
		"usr/lib/firmware/vendor/other.bin":    "firmware of another",
		modules + "modules.order":              "",
		modules + "modules.builtin":            "kernel/fs/fuse/fuse.ko\n",
		modules + "modules.builtin.modinfo":    "fuse.license=GPL\x00",
		modules + "kernel/drivers/net/nic.ko":  string(elfFile("", modinfo("depends=bus", "firmware=vendor/nic-*.bin"))),
		modules + "kernel/drivers/bus.ko":      string(elfFile("", modinfo("depends="))),
		modules + "kernel/drivers/unwanted.ko": string(elfFile("", modinfo("depends="))),
		"usr/bin/zstd":                         "->/usr/bin/zstd",
		"usr/sbin/depmod":                      "->/usr/sbin/depmod",
		"usr/lib/x86_64-linux-gnu":             "->/usr/lib/x86_64-linux-gnu",
		"usr/lib64/ld-linux-x86-64.so.2":       "->/lib64/ld-linux-x86-64.so.2",
	})
	packed, err := filepath.Glob(filepath.Join(dir, modules, "kernel/drivers/*.ko"))
	if err != nil {
		t.Fatal(err)
	}
	packed = append(packed, filepath.Join(dir, modules, "kernel/drivers/net/nic.ko"))
	for _, module := range packed {
		if out, err := exec.Command("/usr/bin/zstd", "-q", "--format=xz", "--rm", module).CombinedOutput(); err != nil {
			t.Fatalf("pack %s: %v: %s", module, err, out)
		}
	}
	return sysroot{dir}
}

// makeImage makes an image with everything in folders of its own, and returns them.
func makeImage(t *testing.T, root sysroot, agent string) *builder {
	t.Helper()
	r, err := parseRecipe(imageRecipe)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	plant(t, dir, map[string]string{"image/README.md": "", "loaders/README.md": ""})
	b := &builder{recipe: r, agent: []byte(agent), used: make(map[string]bool), Config: Config{
		Cache: filepath.Join(dir, "cache"), Image: filepath.Join(dir, "image"),
		Loaders: filepath.Join(dir, "loaders"), Log: slog.New(slog.DiscardHandler),
	}}
	if err := b.loaders(root); err != nil {
		t.Fatal(err)
	}
	if err := b.image(t.Context(), root, []Package{{Name: "zstd", SHA256: "1"}}); err != nil {
		t.Fatal(err)
	}
	return b
}

func read(t *testing.T, path ...string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestImageHoldsWhatTheRecipeTakes(t *testing.T) {
	b := makeImage(t, smallRoot(t), "agent")
	if !b.complete(make([]Package, 1)) {
		t.Error("the image is made, and not found complete")
	}
	if got := read(t, b.Image, KernelFile); string(got) != "a kernel" {
		t.Errorf("kernel is %q", got)
	}
	initramfs := filepath.Join(b.Image, InitramfsFile)
	if size := len(read(t, initramfs)); size%cpio.Alignment != 0 {
		t.Errorf("initramfs has %d bytes, not a multiple of %d", size, cpio.Alignment)
	}
	var names []string
	for _, archive := range mustGlob(t, filepath.Join(b.Cache, "archives/*.zst")) {
		plain, err := exec.Command("zstd", "-dc", archive).Output()
		if err != nil {
			t.Fatal(err)
		}
		list := exec.Command("cpio", "-t", "--quiet")
		list.Stdin = bytes.NewReader(plain)
		out, err := list.Output()
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, strings.Fields(string(out))...)
	}
	all := "\n" + strings.Join(names, "\n") + "\n"
	const modules = "usr/lib/modules/6.12.1-amd64/"
	for _, name := range []string{
		"init", "dev/console", "bin", "tmp", "var/log", "usr/sbin/tool", "usr/bin/busybox", "usr/bin/ls", "usr/bin/sh",
		modules + "kernel/drivers/net/nic.ko.xz", modules + "kernel/drivers/bus.ko.xz", modules + "modules.dep.bin",
		"usr/lib/firmware/vendor/nic-1.bin",
	} {
		if !strings.Contains(all, "\n"+name+"\n") {
			t.Errorf("the initramfs lacks %s", name)
		}
	}
	for _, name := range []string{
		"usr/bin/tool", "usr/bin/zstd", modules + "kernel/drivers/unwanted.ko.xz", "usr/lib/firmware/vendor/other.bin", "boot/vmlinuz-6.12.1-amd64",
	} {
		if strings.Contains(all, "\n"+name+"\n") {
			t.Errorf("the initramfs has %s", name)
		}
	}
}

func TestImageSameInputsSameBytes(t *testing.T) {
	root := smallRoot(t)
	first, second, other := makeImage(t, root, "agent"), makeImage(t, root, "agent"), makeImage(t, root, "another agent")
	for _, name := range []string{KernelFile, InitramfsFile, ManifestFile} {
		if !bytes.Equal(read(t, first.Image, name), read(t, second.Image, name)) {
			t.Errorf("%s differs between two builds of the same", name)
		}
	}
	if bytes.Equal(read(t, first.Image, InitramfsFile), read(t, other.Image, InitramfsFile)) {
		t.Error("another agent gives the same initramfs")
	}
}

func TestImageCompressesOnce(t *testing.T) {
	root := smallRoot(t)
	b := makeImage(t, root, "agent")
	before := make(map[string]os.FileInfo)
	for _, archive := range mustGlob(t, filepath.Join(b.Cache, "archives/*")) {
		before[archive], _ = os.Stat(archive)
	}
	if len(before) != 2 {
		t.Fatalf("the cache has %d archives, want the base and ours", len(before))
	}
	b.agent = []byte("a newer agent")
	b.used = make(map[string]bool)
	if err := b.image(t.Context(), root, []Package{{Name: "zstd", SHA256: "1"}}); err != nil {
		t.Fatal(err)
	}
	after, kept := mustGlob(t, filepath.Join(b.Cache, "archives/*")), 0
	for _, archive := range after {
		info, err := os.Stat(archive)
		if err != nil {
			t.Fatal(err)
		}
		if old, ok := before[archive]; ok && os.SameFile(old, info) {
			kept++
		}
	}
	if len(after) != 2 || kept != 1 {
		t.Errorf("with a newer agent %d of %d archives were kept, want the base of two", kept, len(after))
	}
}

func mustGlob(t *testing.T, pattern string) []string {
	t.Helper()
	names, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return names
}
