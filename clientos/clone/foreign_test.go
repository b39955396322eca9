package clone

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aula/clientos/disk/disktest"
	"aula/clientos/protocol"
	"aula/imagestore/format"
)

// TestForeignNTFSImages restores what ntfsclone and partimage make of a partition: the one has the copy of the boot sector in it, the
// other has not.
func TestForeignNTFSImages(t *testing.T) {
	t.Parallel()
	for tool, make := range map[string][]string{
		format.Ntfsclone: {"ntfsclone", "--quiet", "--save-image", "--force", "--output", "IMAGE", "NODE"},
		format.Partimage: {"partimage", "-z0", "-b", "-f3", "-B", "gui=no", "-d", "-o", "-M", "-c", "save", "NODE", "IMAGE"},
	} {
		t.Run(tool, func(t *testing.T) {
			t.Parallel()
			source := model(t, ntfs)
			file := filepath.Join(t.TempDir(), "image")
			args := strings.Split(strings.NewReplacer("IMAGE", file, "NODE", node(t, source, 1)).Replace(strings.Join(make, "\n")), "\n")
			disktest.Run(t, args[0], args[1:]...)
			if _, err := os.Stat(file); err != nil {
				file += ".000" // partimage's first volume
			}
			image, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			library := fakeLibrary{}
			// The partition starts elsewhere than the model's and is larger.
			target := disktest.New(t, "TARGET", 150*mib, 512)
			target.Partition(t, "label: gpt\n1 : start=40960, size=204800, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n")
			i := instruction(t, protocol.RestoreImage, target.Path, 1)
			i.Parts = []protocol.Part{library.add(t, "old", 1, image)}
			result, _, err := run(t, library, target.Path, i)
			if err != nil {
				t.Fatal(err)
			}
			index := library["old"].index
			if index.Info.Tool != tool || result.Verified != index.Info.UsedBytes {
				t.Errorf("verified %d bytes of %s, want %d of a %s image", result.Verified, index.Info, index.Info.UsedBytes, tool)
			}
			restored := node(t, target, 1)
			disktest.Run(t, "ntfsresize", "--no-action", "--force", "--size", "90M", restored) // checks every cluster
			boot := readAt(t, restored, 0, 512)
			if got, want := boot[0x1C:0x20], []byte{0, 0xA0, 0, 0}; !bytes.Equal(got, want) {
				t.Errorf("hidden sectors: got % x, want % x", got, want)
			}
			if backup := readAt(t, restored, 96*mib-512, 512); !bytes.Equal(boot, backup) {
				t.Error("the copy of the boot sector is not after the last sector of the filesystem")
			}
		})
	}
}
