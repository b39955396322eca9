package advert

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is more than iPXE needs between its address and its script on a slow machine, when its solicitation is answered, and less than it waits for
// a router otherwise: 16 s in QEMU's ROM of 2019, measured.
const patience = 8 * time.Second

// QEMU's network card, with its iPXE ROM, asks for its script soon after it has an address; and so does the newer iPXE that it loads then.
func TestIPXEDoesNotWait(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	loader, err := os.ReadFile("../loader/files/undionly.kpxe")
	if err != nil {
		t.Skipf("SKIPPED: the boot loaders have not been built: %v", err)
	}
	newRoom(t)
	asked := make(chan time.Time, 100)
	serve(t, loader, asked)
	// Without the advertiser the test tells how long iPXE waits for a router, and fails.
	if os.Getenv("AULA_TEST_NO_ADVERT") == "" {
		advertise(t, "br0", pcMAC.String())
	}
	leased := make(chan time.Time, 100)
	dir := t.TempDir()
	start(t, "DHCPACK", leased, "dnsmasq", "--keep-in-foreground", "--port=0", "--log-facility=-", "--user=root", "--pid-file="+filepath.Join(dir, "pid"),
		"--interface=br0", "--bind-interfaces", "--dhcp-range=10.20.30.50,10.20.30.60", "--dhcp-leasefile="+filepath.Join(dir, "leases"),
		"--dhcp-boot=http://10.20.30.1/script")
	start(t, "", nil, "qemu-system-x86_64", "-accel", "tcg", "-m", "64", "-display", "none", "-nodefaults", "-monitor", "none", "-machine", "pc",
		"-netdev", "tap,id=net,script=no,downscript=no,ifname=tap0", "-device", "e1000,netdev=net,bootindex=1,mac="+pcMAC.String())
	for _, ipxe := range []string{"the ROM", "the iPXE that is loaded"} {
		took := await(t, asked, ipxe+" asks for its script").Sub(await(t, leased, ipxe+" has its address"))
		t.Logf("%s: %s from its address to its script", ipxe, took.Round(10*time.Millisecond))
		if took > patience {
			t.Errorf("%s waited for a router: %s from its address to its script", ipxe, took)
		}
	}
}

// newRoom makes a bridge with the cable of a virtual PC.
func newRoom(t *testing.T) {
	t.Helper()
	for _, args := range []string{
		"ip link add br0 type bridge forward_delay 0", "ip addr add 10.20.30.1/24 dev br0", "ip link set br0 up",
		"ip tuntap add tap0 mode tap", "ip link set tap0 master br0 up",
	} {
		command(t, strings.Fields(args)...)
	}
}

// serve is a web server with a script that loads the loader, and notes when the script is asked for.
func serve(t *testing.T, loader []byte, asked chan<- time.Time) {
	t.Helper()
	listener, err := net.Listen("tcp4", "10.20.30.1:80")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/script" {
			_, _ = w.Write(loader)
			return
		}
		asked <- time.Now()
		_, _ = w.Write([]byte("#!ipxe\nchain http://10.20.30.1/undionly.kpxe\n"))
	})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
}

// start runs a program until the test ends, and notes when it prints a word.
func start(t *testing.T, word string, seen chan<- time.Time, name string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("SKIPPED: this machine has no %s", name)
	}
	program := exec.CommandContext(t.Context(), name, args...)
	out, err := program.StderrPipe()
	if err == nil {
		err = program.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			t.Log(lines.Text())
			if seen != nil && strings.Contains(lines.Text(), word) {
				seen <- time.Now()
			}
		}
		_ = program.Wait()
	}()
}

func await(t *testing.T, happened <-chan time.Time, what string) time.Time {
	t.Helper()
	select {
	case at := <-happened:
		return at
	case <-time.After(2 * time.Minute):
		t.Fatalf("not seen: %s", what)
		return time.Time{}
	}
}
