package instruction

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// refused are bad texts; testdata/refused.txt has what is said of each.
var refused = []struct{ text string }{
	{""}, {"# nothing"}, {"deployImge REPO w 1 2"}, {"install windows"}, {"if true; then reboot; fi"}, {"ogRestoreImage REPO w 1 2"},
	{"ogCreatePartitions 1 NTFS:100"}, {"deployImage"}, {"deployImage REPO"}, {"deployImage REPO w"}, {"deployImage REPO w 0 2"},
	{"deployImage REPO w 1 x"}, {"deployImage REPO w 1"}, {"deployImage 192.168.2.10 w 1 2"}, {"deployImage REPO /ou/win 1 2"},
	{"deployImage REPO wín 1 2"}, {"deployImage REPO w 1 2 MULTICST"}, {"deployImage REPO w 1 2 MULTICAST 9001:full-duplex:239.194.17.36:90M:20:60"},
	{"deployImage REPO w 1 2 MULTICAST 9000"}, {"deployImage REPO w 1 2 TORRENT pear:60"}, {"deployImage REPO w 1 2 UNICAST peer:60"},
	{"deployImage REPO w 1 2 UNICAST revison=2"}, {"deployImage REPO w 1 2 revision=0"}, {"deployImage REPO w 1 2 plain plain"},
	{"deployImage CACHE w 1 2 UNICAST-DIRECT"}, {"deployImage CACHE w 1 2 MULTICAST"}, {"deployImage CACHE w 1 2 fallback=NONE"},
	{"restoreImage REPO w 1 2 UNICAST fallback=NONE"}, {"deployImage REPO w 1 2 fallback=UNICST"}, {"updateCache CACHE w UNICAST"},
	{"updateCache REPO w UNICAST-DIRECT"}, {"updateCache REPO w RSYNC"}, {"updateCache REPO w 1 2"}, {"createImage 1 2 CACHE w"},
	{"createImage 1 2 REPO w ZSTD:99"}, {"createImage 1 2 REPO w partclone lzop"}, {"partitionDisk 1 NTFS:100"}, {"partitionDisk 1 GPT NTFS"},
	{"partitionDisk 1 GPT NTFSS:10G"}, {"partitionDisk 1 GPT NTFS:10GB"}, {"partitionDisk 1 GPT NTFS:1.5G"}, {"partitionDisk 1 GPT LINUX:10G:EXT5"},
	{"partitionDisk 1 GPT CACHE:10G"}, {"partitionDisk 1 GPT LINUX:10G 1:LINUX:10G"}, {"partitionDisk 1 MSDOS NTFS:10G boot=2"},
	{"partitionDisk 1 MSDOS A:1G"}, {`formatPartition 1 2 EXT4 "Data`}, {"formatPartition 1 CACHE"}, {"formatPartition 1 2 NFTS"}, {"initCache 1 4 60G"},
	{"initCache 1 1"}, {"deleteCachedImage"}, {"reboot now"}, {"reboot; wakeUp"}, {"poweroff; reboot"}, {"bootOs 1"}, {"re\x00boot"},
	{strings.Repeat("reboot\n", MaxStatements+1)}, {strings.Repeat(" ", MaxText+1)},
}

func TestRefused(t *testing.T) {
	var b strings.Builder
	for _, c := range refused {
		_, err := Parse(c.text)
		if err == nil {
			t.Errorf("%q is taken", c.text)
		}
		fmt.Fprintf(&b, "%.80q\n%v\n\n", c.text, err)
	}
	const golden = "testdata/refused.txt"
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got := b.String(); got != string(want) {
		t.Errorf("messages differ from %s (UPDATE=1 writes it); now they are:\n%s", golden, got)
	}
}
