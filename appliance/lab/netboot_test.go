package lab

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"aula/clientos/build/cpio"
	"aula/netboot/script"
)

func TestReadScript(t *testing.T) {
	pc := script.PC{
		Server: "10.77.0.1", MAC: "52:54:00:77:00:01", Overlay: true,
		CommandLine: "quiet aula.server=10.77.0.1:8443 aula.ticket=TICKET aula.mac=52:54:00:77:00:01",
	}
	t.Run("client OS", func(t *testing.T) {
		text, err := script.ClientOS(script.IPXE, pc)
		if err != nil {
			t.Fatal(err)
		}
		got, overlay, err := readScript(text)
		if err != nil || got != (bootParameters{server: "10.77.0.1:8443", ticket: "TICKET"}) {
			t.Errorf("parameters %+v, %v", got, err)
		}
		if want := "http://10.77.0.1/boot/52:54:00:77:00:01/overlay"; overlay != want {
			t.Errorf("overlay %q, want %q", overlay, want)
		}
	})
	t.Run("own disk", func(t *testing.T) {
		text, err := script.Disk(script.IPXE, pc)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := readScript(text); !errors.Is(err, errOwnDisk) {
			t.Errorf("error %v, want %v", err, errOwnDisk)
		}
	})
	t.Run("nothing to boot yet", func(t *testing.T) {
		pc.Problem = "no client OS"
		text, err := script.Wait(script.IPXE, pc)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := readScript(text); err == nil || !strings.Contains(err.Error(), "no client OS") {
			t.Errorf("error %v, want the script's own words", err)
		}
	})
}

func archive(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	err := cpio.Write(&b, []cpio.Entry{
		cpio.File("etc/aula/other", 0o444, []byte("no")),
		cpio.File("etc/aula/pin", 0o444, []byte("0123\n")),
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFileInArchive(t *testing.T) {
	got, err := fileInArchive(archive(t), "etc/aula/pin")
	if err != nil || string(got) != "0123\n" {
		t.Errorf("fileInArchive = %q, %v", got, err)
	}
	if got, err := fileInArchive(archive(t), "etc/aula/absent"); err == nil {
		t.Errorf("found %q under a name that is not there", got)
	}
}

func FuzzFileInArchive(f *testing.F) {
	f.Add(archive(f))
	f.Add(archive(f)[:200])
	f.Fuzz(func(t *testing.T, data []byte) {
		if got, err := fileInArchive(data, "etc/aula/pin"); err == nil && len(got) > len(data) {
			t.Errorf("%d bytes out of %d", len(got), len(data))
		}
	})
}

func TestReadLease(t *testing.T) {
	said := "HOME=/\nip=10.77.0.130\nmask=24\nbootfile=http://10.77.0.1/boot/x/script.ipxe\nend-of-lease\n"
	l, err := readLease(strings.NewReader(said))
	if err != nil {
		t.Fatal(err)
	}
	if l.address.String() != "10.77.0.130/24" || l.script != "http://10.77.0.1/boot/x/script.ipxe" || l.ownDisk {
		t.Errorf("lease %v", l)
	}
	l, err = readLease(strings.NewReader("ip=10.77.0.130\nmask=24\nopt43=06010308\nend-of-lease\n"))
	if err != nil || !l.ownDisk {
		t.Errorf("lease of a PC that is sent to its own disk: %v, %v", l, err)
	}
	for name, said := range map[string]string{"no lease": "", "bad address": "ip=10.77.0.300\nmask=24\nend-of-lease\n"} {
		if l, err := readLease(strings.NewReader(said)); err == nil {
			t.Errorf("%s: got %v", name, l)
		}
	}
}
