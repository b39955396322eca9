package netboot_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"aula/netboot"
	"aula/netboot/lease"
)

const soon = time.Minute

// Real DHCP clients get an address, keep it, and find it again after the server was restarted.
func TestRealClientsLease(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	newBridge(t)
	leases := filepath.Join(t.TempDir(), "leases.db")
	keep := func(cfg *netboot.Config) {
		cfg.Leases, cfg.PoolFirst, cfg.PoolLast = leases, netip.MustParseAddr("10.20.30.50"), netip.MustParseAddr("10.20.30.59")
		cfg.Gateway, cfg.DNS = netip.MustParseAddr("10.20.30.254"), []netip.Addr{netip.MustParseAddr("10.20.30.253")}
	}
	const busybox, isc, printer = "52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:03"
	plugPC(t, "printer", printer)
	on(t, "printer", "ip", "addr", "add", "10.20.30.50/24", "dev", "eth0") // by hand, in the middle of the pool, before that is probed
	c := open(t, keep)

	plugPC(t, "busybox", busybox)
	got := udhcpc(t, "busybox")
	for _, want := range []string{"ip=10.20.30.51", "router=10.20.30.254", "dns=10.20.30.253", "lease=3600", "serverid=" + serverHost, "subnet=255.255.255.0"} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("udhcpc got no %s, but\n%s", want, got)
		}
	}
	c.awaitNotice(t, soon, "the printer", func(n netboot.Notice) bool {
		return n.Key == "dhcp/conflict/10.20.30.50" && strings.Contains(n.Text, printer+" uses it")
	})
	c.await(t, busybox, netboot.StepDHCP, "has 10.20.30.51", soon)

	plugPC(t, "isc", isc)
	for range 2 { // at the second time dhclient knows its address and is in INIT-REBOOT
		dhclient(t, "isc")
		if got := on(t, "isc", "ip", "-4", "-o", "addr", "show", "dev", "eth0"); !strings.Contains(got, " 10.20.30.52/24 ") {
			t.Errorf("dhclient set %q, want 10.20.30.52", got)
		}
		c.close(t)
		c = open(t, keep)
	}
	dhclient(t, "isc", "-r") // releases
	if got := udhcpc(t, "busybox"); !strings.Contains(got, "ip=10.20.30.51\n") {
		t.Errorf("after the server restarted udhcpc got another address:\n%s", got)
	}
	c.close(t)
	checkLeases(t, leases, map[string]lease.State{
		"10.20.30.50 " + printer: lease.Quarantined,
		"10.20.30.51 " + busybox: lease.Bound,
		"10.20.30.52 " + isc:     lease.Released,
	})
}

// udhcpc gets a lease and returns what the client tells its script.
func udhcpc(t *testing.T, pc string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "environment")
	tell := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(tell, []byte("#!/bin/sh\n[ \"$1\" = bound ] && env > "+out+"\nexit 0\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	on(t, pc, "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "5", "-T", "2", "-s", tell)
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatalf("udhcpc was not bound: %v", err)
	}
	return string(text)
}

func dhclient(t *testing.T, pc string, more ...string) {
	t.Helper()
	dir := filepath.Join(os.TempDir(), "aula-dhclient-"+pc)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	config := filepath.Join(dir, "conf")
	if err := os.WriteFile(config, []byte("timeout 30;\nretry 5;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	// -1: once; the client then stays to renew, and is ended before the next one.
	args := append([]string{"-4", "-1", "-v", "-cf", config, "-lf", filepath.Join(dir, "leases"), "-pf", filepath.Join(dir, "pid"), "-sf", setAddress(t)}, more...)
	on(t, pc, "dhclient", append(args, "eth0")...)
	if len(more) == 0 {
		on(t, pc, "dhclient", "-x", "-4", "-pf", filepath.Join(dir, "pid"), "-lf", filepath.Join(dir, "leases"), "-sf", "/bin/true", "eth0")
	}
}

// setAddress makes a dhclient script that does nothing but set the address.
func setAddress(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "dhclient-script")
	text := `#!/bin/sh
case $reason in
BOUND|REBOOT|RENEW|REBIND) ip addr flush dev "$interface"; ip addr add "$new_ip_address/24" dev "$interface" ;;
esac
exit 0
`
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func checkLeases(t *testing.T, path string, want map[string]lease.State) {
	t.Helper()
	store, err := lease.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	all, _, err := store.Load()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]lease.State{}
	for _, l := range all {
		got[fmt.Sprintf("%s %s", l.Address, l.MAC)] = l.State
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("leases on disk: %v, want %v", got, want)
	}
}

// A classroom that starts at once: perfdhcp's PCs all want an address, and give up only when they got one.
func TestClassroomStartsAtOnce(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	newBridge(t)
	path := filepath.Join(t.TempDir(), "leases.db")
	c := open(t, func(cfg *netboot.Config) {
		cfg.Leases, cfg.Observer = path, nil
		cfg.PoolFirst, cfg.PoolLast = netip.MustParseAddr("10.20.30.10"), netip.MustParseAddr("10.20.30.240")
	})
	plugPC(t, "room", "52:54:00:00:00:09")
	on(t, "room", "ip", "addr", "add", "10.20.30.250/24", "dev", "eth0")
	const pcs = 200
	// In its avalanche perfdhcp stands as a relay for PCs that all ask at once, and again, until each has an address.
	t.Log(on(t, "room", "perfdhcp", "-4", "-l", "eth0", "--scenario", "avalanche", "-R", fmt.Sprint(pcs), serverHost))
	c.close(t)
	store, err := lease.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	all, _, err := store.Load()
	if err != nil {
		t.Fatal(err)
	}
	if owners := map[lease.MAC]bool{}; len(all) != pcs {
		t.Errorf("%d addresses are leased, want %d", len(all), pcs)
	} else {
		for _, l := range all {
			owners[l.MAC] = true
		}
		if len(owners) != pcs {
			t.Errorf("%d PCs share the %d addresses", len(owners), pcs)
		}
	}
}

// Real TFTP and HTTP clients get what firmware gets, byte for byte.
func TestRealClientsFetch(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	newBridge(t)
	big := bytes.Repeat([]byte("a boot loader of some size "), 100_000)
	files := fstest.MapFS{
		"undionly.kpxe": {Data: big}, "shimx64.efi": {Data: big[:1<<20]}, "grubx64.efi": {Data: big[:512*7]}, "mmx64.efi": {Data: []byte("m")},
		"ipxe.pxe": {Data: []byte("x")}, "ipxe.efi": {Data: []byte("x")}, "snponly.efi": {Data: []byte("x")},
	}
	c := open(t, func(cfg *netboot.Config) { cfg.Loaders = files })
	const mac = "52:54:00:00:00:01"
	plugPC(t, "pc", mac)
	on(t, "pc", "ip", "addr", "add", "10.20.30.200/24", "dev", "eth0")

	for name := range files {
		want, err := fs.ReadFile(files, name)
		if err != nil {
			t.Fatal(err)
		}
		got := filepath.Join(t.TempDir(), "got")
		for _, fetch := range [][]string{
			{"atftp", "--get", "-r", name, "-l", got, serverHost},
			{"atftp", "--option", "blksize 1468", "--option", "tsize 0", "--get", "-r", name, "-l", got, serverHost},
			{"atftp", "--option", "blksize 65464", "--option", "windowsize 4", "--get", "-r", name, "-l", got, serverHost},
			{"tftp", "-m", "binary", serverHost, "-c", "get", name, got},
			{"curl", "-sSf", "--tftp-blksize", "1456", "-o", got, "tftp://" + serverHost + "//" + name},
			{"curl", "-sSf", "-o", got, "http://" + serverHost + "/" + name},
			{"curl", "-sSf", "-o", got, "http://" + serverHost + "//" + name}, // as shim asks for GRUB
		} {
			if err := os.RemoveAll(got); err != nil {
				t.Fatal(err)
			}
			on(t, "pc", fetch[0], fetch[1:]...)
			data, err := os.ReadFile(got)
			if err != nil && len(want) > 0 || !bytes.Equal(data, want) {
				t.Errorf("%v: got %d bytes, %v, want the %d bytes of the file", fetch, len(data), err, len(want))
			}
		}
	}
	curl := func(args ...string) string { return on(t, "pc", "curl", append([]string{"-sS"}, args...)...) }
	base := "http://" + serverHost
	if got := curl(base+"/boot/vmlinuz", "-r", "6-11"); got != "kernel" {
		t.Errorf("range of the kernel = %q", got)
	}
	if got, want := curl(base+"/boot/"+mac+"/initramfs"), c.files.initramfs; got != want {
		t.Errorf("initramfs: got %d bytes, want %d", len(got), len(want))
	}
	if got := curl(base + "/boot/overlay"); got != "overlay" {
		t.Errorf("overlay = %q", got)
	}
	script := curl(base + "/boot/" + mac + "/script.ipxe")
	line := regexp.MustCompile(`kernel \S+ quiet loglevel=3 aula\.server=10\.20\.30\.1:4430 aula\.ticket=t1cket aula\.mac=` + mac + ` console=ttyS0 `)
	if !line.MatchString(script) {
		t.Errorf("script has no kernel line as it should be:\n%s", script)
	}
	if out, err := try(t, "ip", "netns", "exec", "pc", "atftp", "--get", "-r", "../../../etc/passwd", "-l", filepath.Join(t.TempDir(), "got"), serverHost); err == nil || !strings.Contains(out, "access violation") {
		t.Errorf("atftp of a file outside: %v, %s, want access violation", err, out)
	}
}

// What an operator may have got wrong, and what he reads then.
func TestNewSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	newBridge(t)
	command(t, "ip", "link", "add", "down0", "type", "bridge")
	command(t, "ip", "link", "add", "bare0", "type", "bridge")
	command(t, "ip", "link", "set", "bare0", "up")
	command(t, "ip", "link", "add", "tiny0", "type", "bridge")
	command(t, "ip", "link", "set", "tiny0", "up")
	command(t, "ip", "addr", "add", "192.0.2.1/32", "dev", "tiny0")
	good := func() netboot.Config {
		c := &classroom{}
		return netboot.Config{Interface: "br0", AgentPort: 4430, Leases: filepath.Join(t.TempDir(), "leases.db"), Files: part{}, Decider: c}
	}
	addr := netip.MustParseAddr
	subnet := func(network, first, last string) []netboot.Subnet {
		return []netboot.Subnet{{Network: netip.MustParsePrefix(network), First: addr(first), Last: addr(last)}}
	}
	for name, row := range map[string]struct {
		change func(*netboot.Config)
		want   string
	}{
		"no interface":        {func(c *netboot.Config) { c.Interface = "" }, "this machine has br0, down0, bare0"},
		"absent interface":    {func(c *netboot.Config) { c.Interface = "eth9" }, "interface eth9 does not exist: this machine has br0"},
		"loopback":            {func(c *netboot.Config) { c.Interface = "lo" }, "lo is not Ethernet"},
		"down":                {func(c *netboot.Config) { c.Interface = "down0" }, "ip link set down0 up"},
		"without address":     {func(c *netboot.Config) { c.Interface = "bare0" }, "ip addr add 192.168.77.1/24 dev bare0"},
		"without room":        {func(c *netboot.Config) { c.Interface = "tiny0" }, "no room for PCs"},
		"another address":     {func(c *netboot.Config) { c.Address = netip.MustParsePrefix("10.1.1.1/24") }, "does not have the address 10.1.1.1/24 (it has: 10.20.30.1/24)"},
		"half a pool":         {func(c *netboot.Config) { c.PoolFirst = addr("10.20.30.5") }, "only one end"},
		"pool elsewhere":      {func(c *netboot.Config) { c.PoolFirst, c.PoolLast = addr("10.9.9.5"), addr("10.9.9.9") }, "not inside the subnet"},
		"pool to broadcast":   {func(c *netboot.Config) { c.PoolFirst, c.PoolLast = addr("10.20.30.5"), addr("10.20.30.255") }, "not inside the subnet of interface br0, 10.20.30.1 to 10.20.30.254"},
		"pool backwards":      {func(c *netboot.Config) { c.PoolFirst, c.PoolLast = addr("10.20.30.9"), addr("10.20.30.5") }, "before it begins"},
		"gateway elsewhere":   {func(c *netboot.Config) { c.Gateway = addr("10.9.9.1") }, "PCs cannot reach it"},
		"short lease":         {func(c *netboot.Config) { c.LeaseTime = time.Second }, "at least 2m0s"},
		"short for strangers": {func(c *netboot.Config) { c.StrangerTime = time.Second }, "of unknown PCs is too short"},
		"no mode":             {func(c *netboot.Config) { c.Mode = "both" }, `mode "both": give "auto", "full" or "proxy"`},
		"odd name":            {func(c *netboot.Config) { c.Name = "my aula" }, `the name "my aula" cannot be told`},
		"no such network":     {func(c *netboot.Config) { c.Subnets = subnet("10.7.0.5/24", "10.7.0.10", "10.7.0.20") }, "10.7.0.5/24 is not an IPv4 network"},
		"network twice":       {func(c *netboot.Config) { c.Subnets = subnet("10.20.0.0/16", "10.20.0.10", "10.20.0.20") }, "10.20.30.0/24 and 10.20.0.0/16 overlap"},
		"range elsewhere":     {func(c *netboot.Config) { c.Subnets = subnet("10.7.0.0/24", "10.8.0.10", "10.8.0.20") }, "is not inside its network, 10.7.0.1 to 10.7.0.254"},
		"half a range": {func(c *netboot.Config) {
			c.Subnets = []netboot.Subnet{{Network: netip.MustParsePrefix("10.7.0.0/24"), First: addr("10.7.0.10")}}
		}, "has only one end"},
		"network for two": {func(c *netboot.Config) { c.Subnets = subnet("10.7.0.0/30", "10.7.0.1", "10.7.0.2") }, "no room for PCs"},
		"gateway elsewhere there": {func(c *netboot.Config) {
			c.Subnets = subnet("10.7.0.0/24", "10.7.0.10", "10.7.0.20")
			c.Subnets[0].Gateway = addr("10.8.0.1")
		}, "the gateway 10.8.0.1 is not in the network 10.7.0.0/24"},
		"no agents' port": {func(c *netboot.Config) { c.AgentPort = 0 }, "agents' port 0"},
		"odd parameters":  {func(c *netboot.Config) { c.Extra = "a'b" }, "boot loaders would misread"},
		"no leases":       {func(c *netboot.Config) { c.Leases = "" }, "no file is named"},
		"leases nowhere":  {func(c *netboot.Config) { c.Leases = "/none/leases.db" }, "folder does not exist"},
	} {
		cfg := good()
		row.change(&cfg)
		checkNew(t, name, cfg, row.want)
	}

	command(t, "ip", "link", "add", "other0", "type", "bridge")
	command(t, "ip", "link", "set", "other0", "up")
	command(t, "ip", "addr", "add", "10.99.0.1/24", "dev", "other0")
	first, err := netboot.New(good())
	if err != nil {
		t.Fatalf("after all that failed, New: %v: something was left open", err)
	}
	checkNew(t, "a second one", good(), "port 67/udp on br0 is already in use: another DHCP server")
	second := good()
	second.Interface = "other0"
	second.Subnets = []netboot.Subnet{{Network: netip.MustParsePrefix("10.7.0.0/24")}} // without a range only what is reserved is leased there
	if other, err := netboot.New(second); err != nil {
		t.Errorf("a server on another network disturbs: %v", err)
	} else if err := other.Close(); err != nil {
		t.Error(err)
	}
	if err := first.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}

	for port, want := range map[string]string{
		"udp 67":   "port 67/udp on br0 is already in use",
		"udp 4011": "port 4011/udp on br0 is already in use: another PXE boot server",
		"udp 69":   "port 69/udp on br0 is already in use: another TFTP server",
		"tcp 80":   "port 80/tcp on br0 is already in use: another web server",
	} {
		release := occupy(t, port)
		checkNew(t, port, good(), want)
		release()
	}
}

func checkNew(t *testing.T, name string, cfg netboot.Config, want string) {
	t.Helper()
	s, err := netboot.New(cfg)
	if err == nil {
		t.Errorf("%s: New succeeded", name)
		_ = s.Close()
		return
	}
	if !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: New: %v\nwant one line with %q", name, err, want)
	}
}

func TestNewWithoutPrivilege(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	newBridge(t)
	// Nothing else runs in this process, and there is no way back.
	if err := syscall.Setuid(65534); err != nil {
		t.Fatal(err)
	}
	cfg := netboot.Config{Interface: "br0", AgentPort: 4430, Leases: "/none", Files: part{}, Decider: &classroom{}}
	checkNew(t, "as nobody", cfg, "port 67/udp on br0 cannot be opened: permission denied; run as root (sudo aula serve)")
}
