package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"

	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"golang.org/x/sys/unix"

	"aula/clientos/agent"
	"aula/clientos/protocol"
)

func TestParameters(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		line string
		want parameters
		says string
	}{
		"as netboot writes it": {
			"quiet loglevel=3 aula.server=10.77.0.1:7443 aula.ticket=0af3 aula.mac=52:54:00:12:34:56 console=ttyS0\n",
			parameters{"10.77.0.1:7443", "0af3", "52:54:00:12:34:56"}, "",
		},
		"capitals and dashes in the address": {
			"aula.server=a:1 aula.mac=52-54-00-AB-CD-EF", parameters{"a:1", "", "52:54:00:ab:cd:ef"}, "",
		},
		"the last one counts":     {"aula.server=a:1 aula.server=b:2", parameters{server: "b:2"}, ""},
		"no server":               {"quiet", parameters{}, "where the server is"},
		"server without a port":   {"aula.server=10.77.0.1", parameters{}, "where the server is"},
		"an address that is none": {"aula.server=a:1 aula.mac=eth0", parameters{}, "wrong address"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := parseParameters(test.line)
			if got != test.want || (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %+v, %v; want %+v and an error with %q", got, err, test.want, test.says)
			}
		})
	}
}

func FuzzParameters(f *testing.F) {
	f.Add("quiet aula.server=10.77.0.1:7443 aula.ticket=0af3 aula.mac=52:54:00:12:34:56")
	f.Add("aula.server=[::1]:1 aula.mac= aula.ticket")
	f.Fuzz(func(t *testing.T, line string) {
		p, err := parseParameters(line)
		if err != nil {
			return
		}
		if _, _, err := net.SplitHostPort(p.server); err != nil {
			t.Errorf("server %q of %q", p.server, line)
		}
		if p.mac != "" {
			if mac, err := protocol.NormalizeMAC(p.mac); err != nil || mac != p.mac {
				t.Errorf("address %q of %q", p.mac, line)
			}
		}
	})
}

// TestDriversUncoverDevices loads the drivers of a virtual PC: the network card shows only behind the driver of virtio's PCI devices, and is looked for
// before the disk is.
func TestDriversUncoverDevices(t *testing.T) {
	t.Parallel()
	const disk, card, virtio, odd = "pci:v00008086d00007010sv00001AF4sd00001100bc01sc01i80", "pci:v00001AF4d00001000sv00001AF4sd00000001bc02sc00i00",
		"virtio:d00000001v00001AF4", "acpi:PNP0C0F:"
	sys := fstest.MapFS{
		"bus/pci/devices/0000:00:01.1/modalias": {Data: []byte(disk + "\n")},
		"bus/pci/devices/0000:00:03.0/modalias": {Data: []byte(card + "\n")},
		"bus/acpi/devices/PNP0C0F:00/modalias":  {Data: []byte(odd + "\n")},
		"bus/acpi/devices/PNP0C0F:01/modalias":  {Data: []byte(odd + "\n")},
		"bus/acpi/devices/PNP0C0F:01/status":    {Data: []byte("15\n")},
		"bus/empty/drivers_probe":               {},
		"bus/cpu/devices/cpu0/modalias":         {Data: []byte("cpu:type:x86,ven0002fam000Fmod006B:feature:,0000\n")},
	}
	var loaded []string
	d := &drivers{sys: sys, log: slog.New(slog.DiscardHandler), seen: map[string]bool{}, load: func(_ context.Context, aliases []string) error {
		loaded = append(loaded, aliases...)
		if slices.Contains(aliases, card) {
			sys["bus/virtio/devices/virtio0/modalias"] = &fstest.MapFile{Data: []byte(virtio + "\n")}
		}
		return nil
	}}
	d.settle(t.Context())
	if want := []string{card, virtio, odd, disk}; !slices.Equal(loaded, want) {
		t.Errorf("loaded %q, want %q, each once", loaded, want)
	}
	d.settle(t.Context())
	if len(loaded) != 4 {
		t.Errorf("a second look loaded again: %q", loaded)
	}
}

func TestDriversOfWhatIsPluggedInLater(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	device := filepath.Join(dir, "bus/usb/devices/1-1")
	if err := os.MkdirAll(device, 0o755); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		loaded := make(chan string, 1)
		d := &drivers{sys: os.DirFS(dir), log: slog.New(slog.DiscardHandler), seen: map[string]bool{}, load: func(_ context.Context, aliases []string) error {
			loaded <- aliases[0]
			return nil
		}}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			d.keep(ctx)
			close(ended)
		}()
		synctest.Wait()
		if err := os.WriteFile(filepath.Join(device, "modalias"), []byte("usb:v0951\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := <-loaded; got != "usb:v0951" {
			t.Errorf("loaded %q", got)
		}
		cancel()
		<-ended
	})
}

func TestChooseCard(t *testing.T) {
	t.Parallel()
	eth0, eth1 := protocol.NIC{Name: "eth0", MAC: "52:54:00:00:00:01"}, protocol.NIC{Name: "eth1", MAC: "52:54:00:00:00:02"}
	both := []protocol.NIC{eth0, eth1}
	tests := map[string]struct {
		all  []protocol.NIC
		mac  string
		late bool
		want []protocol.NIC
	}{
		"the card that booted":             {both, eth1.MAC, false, []protocol.NIC{eth1}},
		"its driver is not loaded yet":     {both, "52:54:00:00:00:03", false, nil},
		"it never appears":                 {both, "52:54:00:00:00:03", true, both},
		"the loader did not say":           {both, "", false, both},
		"there is no card that we can use": {nil, eth1.MAC, true, nil},
	}
	for name, test := range tests {
		if got := choose(test.all, test.mac, test.late); !slices.Equal(got, test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestBootMACIsTheOneOfTheTicket(t *testing.T) {
	t.Parallel()
	const booted, used = "52:54:00:00:00:01", "52:54:00:00:00:02"
	for name, test := range map[string]struct{ given, want string }{
		"the card that booted has no driver here": {booted, booted},
		"the card that booted is in use":          {used, used},
		"the loader did not say":                  {"", used},
	} {
		n := &network{mac: test.given, card: protocol.NIC{Name: "eth1", MAC: used}}
		if got := n.bootMAC(); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
}

func TestNoLeaseInWords(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  error
		says string
	}{
		"nobody answers":       {fmt.Errorf("offer: %w", nclient4.ErrNoResponse), "No DHCP server answers on eth0"},
		"in time":              {context.DeadlineExceeded, "No DHCP server answers on eth0"},
		"the server refuses":   {&nclient4.ErrNak{}, "refuses"},
		"the card has no door": {errors.New("address family not supported"), "address family"},
	}
	for name, test := range tests {
		if problem, advice := noLease("eth0", test.err); !strings.Contains(problem, test.says) || advice == "" {
			t.Errorf("%s: %q, %q; want %q and an advice", name, problem, advice, test.says)
		}
	}
}

func TestEndOfPC(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]int{
		agent.ExitReboot: unix.LINUX_REBOOT_CMD_RESTART, agent.ExitBootDisk: unix.LINUX_REBOOT_CMD_RESTART,
		agent.ExitPowerOff: unix.LINUX_REBOOT_CMD_POWER_OFF, 0: 0, 1: 0, 2: 0,
	} {
		if got := endOf(status); got != want {
			t.Errorf("exit status %d: %#x, want %#x", status, got, want)
		}
	}
}

func TestKernelLogEntriesAreOneLineAndBounded(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	k := kmsg{&out}
	long := strings.Repeat("x", 5000) + "\n"
	if n, err := k.Write([]byte(long)); n != len(long) || err != nil {
		t.Errorf("Write answered %d, %v; want all of %d bytes taken", n, err, len(long))
	}
	if got := out.String(); len(got) > maxEntry+1 || strings.Count(got, "\n") != 1 || !strings.HasPrefix(got, "<6>aula-agent: ") {
		t.Errorf("entry of %d bytes: %.40q", len(got), got)
	}
}
