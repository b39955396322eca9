package doctor

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"aula/appliance"
	"aula/netboot"
	"aula/netboot/loader"
)

// What is built in is signed and new enough: a package of Debian that is not must not get into a release.
func TestLoadersOfThisTree(t *testing.T) {
	if err := loader.Check(loader.Files()); err != nil {
		t.Skip("SKIPPED:", err)
	}
	for name, part := range verified {
		p := readProgram(loader.Files(), name)
		if p.err != nil || !p.signed {
			t.Errorf("%s: signed %v, error %v", name, p.signed, p.err)
		}
		if part != "" && p.sbat[part] < generations[part] {
			t.Errorf("%s is of generation %d, want %d: %v", name, p.sbat[part], generations[part], p.sbat)
		}
	}
	if p := readProgram(loader.Files(), loader.SNPOnlyEFI); p.err != nil || p.signed {
		t.Errorf("Debian's iPXE is signed: %v, error %v", p.signed, p.err)
	}
}

func TestParseSBAT(t *testing.T) {
	got := parseSBAT([]byte("sbat,1,SBAT Version,sbat,1,https://x\ngrub,5,Free Software Foundation,grub,2.12,https://y\n\"broken\nnumber,x,\n\x00grub,1\n"))
	if len(got) != 2 || got["grub"] != 5 || got["sbat"] != 1 {
		t.Errorf("SBAT %v", got)
	}
}

func FuzzParseProgram(f *testing.F) {
	for _, name := range []string{loader.ShimEFI, loader.SNPOnlyEFI} {
		if file, err := loader.Files().Open(name); err == nil {
			head := make([]byte, 1024)
			if n, err := file.Read(head); err == nil {
				f.Add(head[:n])
			}
			file.Close()
		}
	}
	f.Add([]byte("MZ"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if sbat, _, err := parseProgram(data); err != nil && sbat != nil {
			t.Errorf("parts %v with error %v", sbat, err)
		}
	})
}

func TestParseSockets(t *testing.T) {
	const udp = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
  114: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 3457 2 0000000000000000 0
  115: 0100007F:0035 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 3458 2 0000000000000000 0
`
	if got, want := parseSockets("udp", udp), []socket{{"udp", netip.MustParseAddrPort("0.0.0.0:67"), "3457"}}; !slices.Equal(got, want) {
		t.Errorf("sockets %v, want %v", got, want)
	}
	const tcp6 = "0: 0000000000000000FFFF00000101A8C0:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 99 1 0\n"
	if got, want := parseSockets("tcp", tcp6), []socket{{"tcp", netip.MustParseAddrPort("192.168.1.1:80"), "99"}}; !slices.Equal(got, want) {
		t.Errorf("sockets %v, want %v", got, want)
	}
}

func FuzzParseAddress(f *testing.F) {
	f.Add("0100007F:0035")
	f.Add("0000000000000000FFFF00000101A8C0:0050")
	f.Fuzz(func(t *testing.T, text string) {
		if a, ok := parseAddress(text); ok && !a.IsValid() {
			t.Errorf("%q is %v", text, a)
		}
	})
}

func TestConflicts(t *testing.T) {
	for _, row := range []struct {
		at, socket string
		want       bool
	}{
		{"10.0.0.1", "0.0.0.0", true}, {"10.0.0.1", "::", true}, {"10.0.0.1", "10.0.0.1", true}, {"10.0.0.1", "127.0.0.53", false},
		{"", "127.0.0.1", true}, {"0.0.0.0", "127.0.0.1", true},
	} {
		if got := conflicts(row.at, netip.MustParseAddr(row.socket)); got != row.want {
			t.Errorf("a socket at %s is in the way of one at %q: %v", row.socket, row.at, got)
		}
	}
}

func TestUnitOf(t *testing.T) {
	for text, want := range map[string]string{
		"0::/system.slice/dnsmasq.service\n": "dnsmasq.service", "0::/user.slice/user-0.slice/session-1.scope\n": "", "": "",
		"0::/user.slice/user-1000.slice/user@1000.service\n": "",
	} {
		if got := unitOf(text); got != want {
			t.Errorf("%q belongs to %q, want %q", text, got, want)
		}
	}
}

func TestParseChains(t *testing.T) {
	drops, err := parseChains([]byte(`{"nftables":[{"metainfo":{}},{"chain":{"family":"inet","table":"filter","name":"input","hook":"input","prio":0,"policy":"drop"}},
		{"chain":{"family":"ip","table":"nat","name":"out","hook":"output","policy":"drop"}},{"chain":{"family":"ip","table":"x","name":"input","hook":"input","policy":"accept"}}]}`))
	if err != nil || !slices.Equal(drops, []string{"inet filter"}) {
		t.Errorf("drops %q, %v", drops, err)
	}
	if _, err := parseChains([]byte("no JSON")); err == nil {
		t.Error("what is no JSON has chains")
	}
}

func TestPrint(t *testing.T) {
	results := []Result{
		{"network card", OK, "lan 10.0.0.1/24", ""},
		{"port 67/udp", Problem, "DHCP: dnsmasq has it", strings.Repeat("stop it and keep it from starting again ", 6)},
		{"clock", Warning, "2027-03-01", "set it"},
	}
	var out bytes.Buffer
	if err := Print(&out, results); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"  ok       network card  lan 10.0.0.1/24\n", "  PROBLEM  port 67/udp   DHCP: dnsmasq has it\n", "\n                         > stop it", "problems (1) and warnings (1)"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	for line := range strings.Lines(out.String()) {
		if utf8.RuneCountInString(line) > width+15 {
			t.Errorf("line too long: %s", line)
		}
	}
	if Worst(results) != Problem || Worst(results[2:]) != Warning || Worst(results[:1]) != OK || Worst(nil) != OK {
		t.Error("the worst verdict is not found")
	}
}

const insideVariable = "AULA_TEST_NAMESPACE"

// inNamespace runs the calling test again in a child process with network, mounts and processes of its own, which the kernel takes down with it. It returns
// true in the child, where the test goes on.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVariable) == t.Name() {
		err := errors.Join(syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""), syscall.Mount("proc", "/proc", "proc", 0, ""), syscall.Mount("tmpfs", "/run", "tmpfs", 0, ""))
		if err != nil {
			t.Fatal(err)
		}
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to make network namespaces")
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	child.Env = append(os.Environ(), insideVariable+"="+t.Name())
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	out, err := child.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("in a namespace of its own: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("SKIPPED in its namespace:\n%s", out)
	default:
		t.Logf("%s", out)
	}
	return false
}

// A machine with a program that is in the way, and a server at the other end of the cable that leases addresses and names a
// boot file.
func TestWholeMachine(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	for _, words := range []string{
		"ip link set lo up", "ip link add lan type veth peer name far", "ip netns add campus", "ip link set far netns campus",
		"ip addr add 10.20.30.1/24 dev lan", "ip link set lan up", "ip -n campus addr add 10.20.30.254/24 dev far", "ip -n campus link set far up",
	} {
		run(t, words)
	}
	data := t.TempDir()
	background(t, "ip netns exec campus dnsmasq --keep-in-foreground --port=0 --user=root --interface=far --bind-interfaces --dhcp-range=10.20.30.50,10.20.30.60"+
		" --dhcp-boot=pxelinux.0 --no-ping --dhcp-leasefile="+filepath.Join(data, "campus")+" --pid-file="+filepath.Join(data, "campus.pid"))
	held, err := net.ListenPacket("udp4", ":69")
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	cfg := appliance.Defaults()
	cfg.Interface, cfg.Data, cfg.DHCP.Mode = "lan", filepath.Join(data, "aula"), netboot.ModeFull
	var results []Result
	for range 20 { // until the server is there
		begin := time.Now()
		results = Run(t.Context(), Options{Config: cfg, Server: func(context.Context) (Server, error) { return Server{}, errors.New("none") }})
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("took %s", took)
		}
		if find(results, "port 69/udp").Verdict == Problem && find(results, "DHCP servers").Verdict == Problem {
			break
		}
	}
	for test, want := range map[string]struct {
		verdict Verdict
		says    string
	}{
		"network card": {OK, "lan 10.20.30.1/24"}, "port 69/udp": {Problem, "doctor.test (process "}, "port 80/tcp": {OK, "free"},
		"DHCP servers": {Problem, "10.20.30.254"}, "multicast": {OK, "works"}, "data folder": {find(results, "data folder").Verdict, "will be made"},
	} {
		if r := find(results, test); r.Verdict != want.verdict || !strings.Contains(r.Found, want.says) {
			t.Errorf("%s: %s: %s, want %s with %q", test, r.Verdict, r.Found, want.verdict, want.says)
		}
	}
	if _, err := os.Stat(cfg.Data); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data folder was made: %v", err)
	}
}

func find(results []Result, test string) Result {
	for _, r := range results {
		if r.Test == test {
			return r
		}
	}
	return Result{}
}

func run(t *testing.T, words string) {
	t.Helper()
	args := strings.Fields(words)
	if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", words, err, out)
	}
}

// background runs a program until the test ends.
func background(t *testing.T, words string) {
	t.Helper()
	args := strings.Fields(words)
	program := exec.CommandContext(t.Context(), args[0], args[1:]...)
	if _, err := exec.LookPath("dnsmasq"); err != nil {
		t.Skip("SKIPPED: this machine has no dnsmasq")
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Process.Kill(); _ = program.Wait() })
}
