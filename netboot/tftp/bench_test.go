package tftp_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/ipv4"

	"aula/netboot/tftp"
)

const insideVariable = "AULA_TFTP_NAMESPACE"

// BenchmarkTFTP lets 200 PCs fetch a loader of 1 MB at once, from us and from dnsmasq, in a network namespace of its own (dnsmasq knows no
// other port than 69). The clients are the same, and on the same processors, so that the ratio says less than the servers differ.
func BenchmarkTFTP(b *testing.B) {
	if os.Getenv(insideVariable) == "" {
		if os.Getuid() != 0 {
			b.Skip("SKIPPED: needs root, to make a network namespace")
		}
		child := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^$", "-test.bench=^BenchmarkTFTP$", "-test.benchtime=1x", "-test.timeout=5m")
		child.Env = append(os.Environ(), insideVariable+"=1")
		child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
		out, err := child.CombinedOutput()
		if err != nil {
			b.Fatalf("in its namespace: %v\n%s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			if strings.HasPrefix(line, "TFTP ") || strings.Contains(line, "SKIPPED") {
				fmt.Print(line)
			}
		}
		return
	}
	need(b, "dnsmasq", "atftp", "curl", "ip")
	if out, err := exec.CommandContext(b.Context(), "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	dir := b.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	file := loaderFile(1_000_003)
	if err := os.WriteFile(filepath.Join(dir, "loader.efi"), file, 0o644); err != nil {
		b.Fatal(err)
	}
	ours, theirs := "127.0.0.1", "127.0.0.2"
	serve(b, file, &net.UDPAddr{IP: net.ParseIP(ours), Port: 69}, false, nil)
	dnsmasq := exec.CommandContext(b.Context(), "dnsmasq", "--keep-in-foreground", "--port=0", "--conf-file=/dev/null", "--enable-tftp", "--tftp-root="+dir,
		"--listen-address="+theirs, "--bind-interfaces", "--user=root", "--tftp-max=1000", "--pid-file=")
	var said bytes.Buffer
	dnsmasq.Stdout, dnsmasq.Stderr = &said, &said
	if err := dnsmasq.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = dnsmasq.Process.Kill(); _ = dnsmasq.Wait() }()
	time.Sleep(time.Second)
	began := time.Now()
	for _, c := range []struct {
		name string
		args func(host, to string) []string
	}{
		{"atftp, blocks of 1428", func(host, to string) []string {
			return []string{"atftp", "--option", "blksize 1428", "-g", "-r", "loader.efi", "-l", to, host}
		}},
		{"atftp, blocks of 1428, windows of 4", func(host, to string) []string {
			return []string{"atftp", "--option", "blksize 1428", "--option", "windowsize 4", "-g", "-r", "loader.efi", "-l", to, host}
		}},
		{"curl, blocks of 1428", func(host, to string) []string {
			return []string{"curl", "-sS", "--tftp-blksize", "1428", "-o", to, "tftp://" + host + "/loader.efi"}
		}},
	} {
		best := map[string]time.Duration{}
		for round := 0; round == 0 || round < 3 && time.Since(began) < 20*time.Second; round++ { // in turn, the best of each
			for _, host := range []string{ours, theirs} {
				took := together(b, 200, file, func(to string) []string { return c.args(host, to) })
				if best[host] == 0 || took < best[host] {
					best[host] = took
				}
			}
		}
		fmt.Printf("TFTP 200 x 1 MB, %-37s aula %5.2f s, dnsmasq %5.2f s, ratio %.2f\n", c.name+":", best[ours].Seconds(), best[theirs].Seconds(), best[ours].Seconds()/best[theirs].Seconds())
	}
	if said.Len() > 0 && b.Failed() {
		b.Logf("dnsmasq said:\n%s", said.String())
	}
}

func need(tb testing.TB, programs ...string) {
	tb.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			tb.Skipf("SKIPPED: this machine has no %s", p)
		}
	}
}

// together runs n clients and returns when the last was done.
func together(tb testing.TB, n int, want []byte, args func(to string) []string) time.Duration {
	tb.Helper()
	dir := tb.TempDir()
	var wg sync.WaitGroup
	began := time.Now()
	for i := range n {
		wg.Go(func() {
			a := args(filepath.Join(dir, strconv.Itoa(i)))
			if out, err := exec.CommandContext(tb.Context(), a[0], a[1:]...).CombinedOutput(); err != nil {
				tb.Errorf("%v: %v\n%s", a, err, out)
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	for i := range n {
		name := filepath.Join(dir, strconv.Itoa(i))
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			tb.Errorf("client %d has %d bytes, %v", i, len(got), err)
		}
		_ = os.Remove(name)
	}
	return took
}

// BenchmarkForgedRequests sends a million requests from as many addresses, from each one, while a real client fetches files. It fails when
// that takes more than 64 MB of memory or when the client gets nothing.
func BenchmarkForgedRequests(b *testing.B) {
	need(b, "atftp")
	const forged = 1_000_000
	file := loaderFile(1_000_003)
	port := serve(b, file, &net.UDPAddr{IP: loopback}, false, func(tftp.Transfer) {})
	runtime.GC()
	before := resident(b)
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{})
	if err != nil {
		b.Fatal(err)
	}
	defer socket.Close()
	done := make(chan struct{})
	most := before
	go func() {
		defer close(done)
		n, _ := strconv.Atoi(port)
		to, from := &net.UDPAddr{IP: loopback, Port: n}, ipv4.NewPacketConn(socket)
		request := []byte("\x00\x01loader.efi\x00octet\x00blksize\x001468\x00windowsize\x004\x00")
		for i := range forged {
			a := netip.AddrFrom4([4]byte{127, byte(2 + i>>16), byte(i >> 8), byte(i)})
			if _, err := from.WriteTo(request, &ipv4.ControlMessage{Src: a.AsSlice()}, to); err != nil {
				b.Errorf("forge: %v", err)
				return
			}
			if i%10_000 == 0 {
				most = max(most, resident(b))
			}
		}
	}()
	began, fetched, worst := time.Now(), 0, time.Duration(0)
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
			asked, to := time.Now(), filepath.Join(b.TempDir(), "got")
			out, err := exec.CommandContext(ctx, "atftp", "--option", "blksize 1428", "-g", "-r", "loader.efi", "-l", to, "127.0.0.1", port).CombinedOutput()
			cancel()
			if got, _ := os.ReadFile(to); err != nil || !bytes.Equal(got, file) {
				b.Errorf("a real client got %d bytes: %v\n%s", len(got), err, out)
			}
			fetched++
			worst = max(worst, time.Since(asked))
		}
	}
	fmt.Printf("TFTP %d forged requests in %.1f s: memory grew by %d MB at most; a real client fetched 1 MB %d times, in %.1f s at worst\n",
		forged, time.Since(began).Seconds(), (most-before)>>20, fetched, worst.Seconds())
	if most-before > 64<<20 {
		b.Errorf("memory grew by %d bytes, more than 64 MB", most-before)
	}
}

// resident is the memory that this process has, in bytes.
func resident(tb testing.TB) int64 {
	tb.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		tb.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kB, _ := strconv.ParseInt(f[1], 10, 64)
			return kB << 10
		}
	}
	tb.Fatal("no VmRSS")
	return 0
}
