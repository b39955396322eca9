package netboot

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"aula/netboot/lease"
)

// A telling is an Observer that remembers, and a log.
type telling struct {
	mu     sync.Mutex
	events []Event
	log    bytes.Buffer
	news   chan Event
}

func (o *telling) Observe(e Event) { o.news <- e }

func (o *telling) Notify(Notice) {}

func (o *telling) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.log.Write(b)
}

func (o *telling) logged() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.log.String()
}

// tftpHere runs the service at a port of this machine, and returns a socket to speak to it.
func tftpHere(t *testing.T, files fstest.MapFS) (*telling, func(request string) (op, code uint16)) {
	t.Helper()
	o := &telling{news: make(chan Event, 1000)}
	socket, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	p := &plan{Config: Config{HTTPPort: 80, Loaders: files, Log: slog.New(slog.NewTextHandler(o, &slog.HandlerOptions{Level: slog.LevelDebug}))},
		nic: &net.Interface{MTU: 1500}, address: netip.MustParsePrefix("127.0.0.1/8")}
	l, err := newLoaders(p)
	if err != nil {
		t.Fatal(err)
	}
	mac, _ := lease.ParseMAC(testMAC)
	service := newTFTP(p, &ports{tftp: socket}, l, &watch{to: o, holder: func(netip.Addr) (lease.MAC, bool) { return mac, true }})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- service.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return o, func(request string) (op, code uint16) {
		pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer pc.Close()
		_, _ = pc.WriteTo([]byte(request), socket.LocalAddr())
		b := make([]byte, 2000)
		for block := uint16(1); ; block++ {
			_ = pc.SetReadDeadline(time.Now().Add(time.Minute))
			n, tid, err := pc.ReadFrom(b)
			if err != nil || n < 4 {
				t.Fatalf("%q: %d bytes, %v", request, n, err)
			}
			op, code = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
			if op != 3 {
				return op, code
			}
			_, _ = pc.WriteTo([]byte{0, 4, b[2], b[3]}, tid)
			if n < 516 {
				return op, code
			}
		}
	}
}

func wide(s string) string {
	var b strings.Builder
	for _, r := range s {
		b.WriteRune(r)
		b.WriteByte(0)
	}
	return b.String()
}

// Names that try to lead elsewhere are refused and stand in the log; the file that they want is not among the boot files anyhow.
func TestTFTPNamesLeadNowhere(t *testing.T) {
	const access, illegal, absent = 2, 4, 1
	o, ask := tftpHere(t, fstest.MapFS{"shimx64.efi": {Data: []byte("shim")}})
	for name, want := range map[string]uint16{
		"../etc/passwd":                         access,
		"../../../../../../etc/passwd":          access,
		"grub/../../etc/passwd":                 access,
		"shimx64.efi/..":                        access,
		`..\..\windows\system32\config\sam`:     access,
		`grub\..\..\secret`:                     access,
		"%2e%2e/%2e%2e/etc/passwd":              access,
		"%2e%2e%2fetc%2fpasswd":                 access,
		"..%c0%af..%c0%afetc/passwd":            access,
		`C:\boot.ini`:                           access,
		"c:/windows/win.ini":                    access,
		"shimx64.efi:stream":                    access,
		"etc\xc0\xaf..\xc0\xafpasswd":           access,
		"．．/etc/passwd":                         access,
		"\x1b[2Jname":                           access,
		strings.Repeat("a", 256):                access,
		strings.Repeat("../", 80) + "etc/hosts": access,
		"/etc/passwd":                           absent, // firmware writes names from the root; there is no such file below ours
		"//etc//shadow":                         absent,
		"\\\\server\\share\\file":               absent,
		wide("shimx64.efi"):                     illegal, // ends at the first NUL, and what follows is no mode
		"shimx64.efi\x00../../etc/passwd":       illegal,
		"\x00\x00../etc/passwd":                 illegal,
	} {
		if op, code := ask("\x00\x01" + name + "\x00octet\x00"); op != 5 || code != want {
			t.Errorf("%q is answered with opcode %d, code %d; want error %d", name, op, code, want)
		}
		e := <-o.news
		if e.Phase != Failed || e.Step != StepLoader || e.MAC != testMAC || e.Detail == "" {
			t.Errorf("%q: event %+v", name, e)
		}
	}
	if got := strings.Count(o.logged(), "level=WARN msg=\"tftp request came to nothing\""); got != 23 {
		t.Errorf("%d lines in the log, want 23:\n%s", got, o.logged())
	}
}

func TestTFTPTellsWhatPCsFetch(t *testing.T) {
	o, ask := tftpHere(t, fstest.MapFS{"shimx64.efi": {Data: make([]byte, 5000)}})
	for _, name := range []string{"shimx64.efi", "/shimx64.efi", `\ShimX64.EFI`, "shimx64.efi\xff"} {
		if op, block := ask("\x00\x01" + name + "\x00octet\x00"); op != 3 || block != 10 {
			t.Errorf("%q is answered with opcode %d, %d", name, op, block)
		}
		asked, answered := <-o.news, <-o.news
		if asked.Phase != Asked || asked.File != name || asked.Size != 5000 || asked.MAC != testMAC {
			t.Errorf("event %+v", asked)
		}
		if answered.Phase != Answered || answered.File != name || answered.Size != 5000 || answered.Bytes != 5000 || answered.Took <= 0 {
			t.Errorf("event %+v", answered)
		}
	}
	// What shim and GRUB can do without is no failure.
	for _, name := range []string{"/revocations_sku.efi", "/grub/x86_64-efi/command.lst", "/grub.cfg-01-52-54-00-12-34-56", "shim_certificate.efi"} {
		if op, code := ask("\x00\x01" + name + "\x00octet\x00"); op != 5 || code != 1 {
			t.Errorf("%q is answered with opcode %d, %d", name, op, code)
		}
	}
	if op, code := ask("\x00\x01pxelinux.0\x00octet\x00"); op != 5 || code != 1 {
		t.Errorf("answered with opcode %d, %d", op, code)
	}
	if e := <-o.news; e.Phase != Failed || e.File != "pxelinux.0" || !strings.Contains(e.Detail, "not among the boot files") {
		t.Errorf("event %+v", e)
	}
	// A size probe: the OACK, then an error of the PC.
	if op, _ := ask("\x00\x01shimx64.efi\x00octet\x00tsize\x000\x00"); op != 6 {
		t.Errorf("a probe is answered with opcode %d", op)
	}
	if n := len(o.news); n != 0 {
		t.Errorf("%d more events", n)
	}
}

func TestThrottle(t *testing.T) {
	limit, now := throttle{every: time.Minute, most: 2}, time.Unix(1000, 0)
	var got []string
	for range 5 {
		held, ok := limit.allow(now)
		got = append(got, fmt.Sprint(held, ok))
	}
	held, ok := limit.allow(now.Add(time.Minute))
	got = append(got, fmt.Sprint(held, ok))
	if want := "0 true,0 true,0 false,0 false,0 false,3 true"; strings.Join(got, ",") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
