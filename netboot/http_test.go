package netboot

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"aula/netboot/lease"
	"aula/netboot/quirk"
	"aula/netboot/script"
)

const (
	testMAC  = "52:54:00:12:34:56"
	testPeer = "10.20.30.50:1234"
)

// plane is the HTTP service with everything around it in memory.
type plane struct {
	*httpService
	decided  []Client
	boot     Boot
	err      error
	kernel   string
	archive  string // the initramfs
	missing  error
	impostor bool // who asks has the address of another PC than it names

	mu     sync.Mutex
	events []Event
}

func (p *plane) Decide(_ context.Context, c Client) (Boot, error) {
	p.decided = append(p.decided, c)
	return p.boot, p.err
}

func (p *plane) Observe(e Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.events = append(p.events, e)
}

func (p *plane) Kernel() (io.ReadSeekCloser, error) {
	return text{strings.NewReader(p.kernel)}, p.missing
}

func (p *plane) Initramfs() (io.ReadSeekCloser, error) {
	return text{strings.NewReader(p.archive)}, nil
}

func newPlane(t testing.TB, change ...func(*plane)) *plane {
	t.Helper()
	p := &plane{boot: Boot{Target: BootClientOS, Ticket: "abc123"}, kernel: "the kernel", archive: "initramfs"}
	for _, c := range change {
		c(p)
	}
	files := fstest.MapFS{"shimx64.efi": {Data: []byte("shim")}, "grubx64.efi": {Data: []byte("grub")}, "undionly.kpxe": {Data: []byte("ipxe")}}
	plan := &plan{
		Config: Config{
			Files: p, Decider: p, Loaders: files, HTTPPort: 80, AgentPort: 4430, Overlay: []byte("overlay"), Extra: "console=ttyS0",
			Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		},
		address: netip.MustParsePrefix("10.20.30.1/24"),
		nic:     &net.Interface{MTU: 1500},
	}
	loaders, err := newLoaders(plan)
	if err != nil {
		t.Fatal(err)
	}
	holder := func(a netip.Addr) (lease.MAC, bool) {
		return lease.MAC{0x52, 0x54, 0, 0, 0, 9}, a == netip.MustParseAddr("10.20.30.50")
	}
	p.httpService = newHTTP(plan, &ports{}, loaders, &watch{to: p, holder: holder, others: func(netip.Addr, lease.MAC) bool { return p.impostor }})
	t.Cleanup(func() {
		if err := p.httpService.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *plane) ask(t *testing.T, method, target string, header ...string) *http.Response {
	t.Helper()
	r := httptest.NewRequest(method, "http://10.20.30.1/", nil)
	u, err := url.ParseRequestURI(target)
	if err != nil {
		t.Fatal(err)
	}
	r.URL, r.RemoteAddr = u, testPeer
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestHTTPFiles(t *testing.T) {
	for _, row := range []struct {
		method, path string
		status       int
		body, kind   string
	}{
		{"GET", "/boot/vmlinuz", 200, "the kernel", "application/octet-stream"},
		{"GET", "/boot/" + testMAC + "/vmlinuz", 200, "the kernel", "application/octet-stream"},
		{"GET", "/boot/52%3A54%3A00%3A12%3A34%3A56/vmlinuz", 200, "the kernel", "application/octet-stream"},
		{"HEAD", "/boot/vmlinuz", 200, "", "application/octet-stream"},
		{"GET", "/boot/initramfs", 200, "initramfs", "application/octet-stream"},
		{"GET", "/boot/overlay", 200, "overlay", "application/octet-stream"},
		{"GET", "/shimx64.efi", 200, "shim", "application/efi"},
		{"GET", "//grubx64.efi", 200, "grub", "application/efi"},
		{"GET", "/GRUBX64.EFI", 200, "grub", "application/efi"},
		{"HEAD", "/grubx64.efi", 200, "", "application/efi"},
		{"GET", "/undionly.kpxe", 200, "ipxe", "application/octet-stream"},
		{"GET", "/grub/x86_64-efi/command.lst", 404, "no such file\n", "text/plain; charset=utf-8"},
		{"GET", "/", 404, "no such file\n", "text/plain; charset=utf-8"},
		{"GET", "/boot", 404, "no such file\n", "text/plain; charset=utf-8"},
		{"GET", "/boot/", 404, "no such file\n", "text/plain; charset=utf-8"},
		{"GET", "/boot/script.ipxe", 404, "no such file\n", "text/plain; charset=utf-8"},
		{"GET", "/boot/nobody/script.ipxe", 404, "\"nobody\" is not a MAC address\n", "text/plain; charset=utf-8"},
		{"GET", "/boot/ff:ff:ff:ff:ff:ff/script.ipxe", 404, "hardware address ff:ff:ff:ff:ff:ff is a group's, not one NIC's\n", "text/plain; charset=utf-8"},
		{"GET", "/../shimx64.efi", 404, "no such file\n", "text/plain; charset=utf-8"},
		{"GET", "/..%2f..%2fetc/passwd", 404, "no such file\n", "text/plain; charset=utf-8"},
		{"GET", "/..%5cshimx64.efi", 404, "no such file\n", "text/plain; charset=utf-8"},
		{"POST", "/boot/vmlinuz", 405, "only GET and HEAD are served here\n", "text/plain; charset=utf-8"},
		{"PUT", "/shimx64.efi", 405, "only GET and HEAD are served here\n", "text/plain; charset=utf-8"},
	} {
		r := newPlane(t).ask(t, row.method, row.path)
		if r.StatusCode != row.status || r.Header.Get("Content-Type") != row.kind {
			t.Errorf("%s %s: %d %q, want %d %q", row.method, row.path, r.StatusCode, r.Header.Get("Content-Type"), row.status, row.kind)
		}
		if got := body(t, r); got != row.body {
			t.Errorf("%s %s: body %q, want %q", row.method, row.path, got, row.body)
		}
		if row.method == "HEAD" && r.ContentLength <= 0 {
			t.Errorf("%s %s: no length: firmware asks for it before it loads", row.method, row.path)
		}
	}
}

func TestHTTPRange(t *testing.T) {
	r := newPlane(t).ask(t, "GET", "/boot/vmlinuz", "Range", "bytes=4-")
	if got := body(t, r); r.StatusCode != http.StatusPartialContent || got != "kernel" {
		t.Errorf("status %d, body %q, want 206 and %q", r.StatusCode, got, "kernel")
	}
}

func TestScriptIsDecidedOncePerGET(t *testing.T) {
	p := newPlane(t)
	r := p.ask(t, "HEAD", "/boot/"+testMAC+"/grub.cfg")
	if r.StatusCode != 200 || len(p.decided) != 0 {
		t.Errorf("HEAD: status %d, %d decisions, want 200 and none: it would use up a ticket", r.StatusCode, len(p.decided))
	}
	text := body(t, p.ask(t, "GET", "/boot/"+testMAC+"/script.ipxe?firmware=bios&uuid=1-2-3&serial=ABC%20123"))
	want := Client{MAC: testMAC, Address: netip.MustParseAddr("10.20.30.50"), Firmware: BIOS, UUID: "1-2-3", Serial: "ABC 123"}
	if len(p.decided) != 1 || p.decided[0] != want {
		t.Errorf("Decide was asked about %+v, want once about %+v", p.decided, want)
	}
	line := "kernel http://10.20.30.1/boot/" + testMAC + "/vmlinuz quiet loglevel=3 aula.server=10.20.30.1:4430 aula.ticket=abc123 aula.mac=" + testMAC + " console=ttyS0 ||"
	if !strings.Contains(text, line) {
		t.Errorf("script lacks %q:\n%s", line, text)
	}
	if len(p.events) != 1 || p.events[0].MAC != testMAC || p.events[0].Step != StepScript || strings.Contains(p.events[0].Detail, "abc123") {
		t.Errorf("events = %+v, want one script of %s, without its ticket", p.events, testMAC)
	}
}

func TestWhatALoaderDoesNotKnowIsEmpty(t *testing.T) {
	p := newPlane(t)
	p.ask(t, "GET", "/boot/"+testMAC+"/script.ipxe?firmware=uefi&uuid=$%7Buuid%7D&serial="+strings.Repeat("x", 65))
	p.ask(t, "GET", "/boot/"+testMAC+"/grub.cfg?try=0&uuid=")
	for _, got := range p.decided {
		if got.UUID != "" || got.Serial != "" || got.Firmware != UEFIx64 {
			t.Errorf("Decide was asked about %+v, want UEFI, no UUID, no serial number", got)
		}
	}
}

func TestWhatAPCIsToldToBoot(t *testing.T) {
	other, full := errors.New("no such $file"), "catalog: disk full; \"try\" later\nexit"
	for _, row := range []struct {
		name    string
		boot    Boot
		err     error
		missing error
		query   string
		ipxe    string // in the script
		grub    string
	}{
		{name: "client OS", boot: Boot{Target: BootClientOS, Ticket: "abc"}, ipxe: "aula.ticket=abc", grub: "aula.ticket=abc"},
		{name: "own disk", boot: Boot{Target: BootDisk}, ipxe: "sanboot --no-describe --drive 0x80 || exit 1\n", grub: `chainloader "$1"`},
		{name: "the server cannot decide", err: errors.New(full),
			ipxe: "echo catalog: disk full,  try  later exit\n", grub: "echo \"catalog: disk full,  try  later exit\"\n"},
		{name: "there is no client OS", boot: Boot{Target: BootClientOS, Ticket: "abc"}, missing: other, ipxe: "echo no such  file\n", grub: "echo \"no such  file\"\n"},
		{name: "without a ticket", boot: Boot{Target: BootClientOS}, ipxe: "ticket cannot stand", grub: "ticket cannot stand"},
		{name: "with a ticket that is more than one word", boot: Boot{Target: BootClientOS, Ticket: "a init=/bin/sh"}, ipxe: "ticket cannot stand", grub: "ticket cannot stand"},
		{name: "nothing that is known", boot: Boot{Target: "moon"}, ipxe: "what to boot is not known", grub: "what to boot is not known"},
		{name: "client OS, having failed once", boot: Boot{Target: BootClientOS, Ticket: "abc"}, query: "?try=1", ipxe: "&try=2 ||", grub: "aula.ticket=abc"},
		{name: "client OS, having failed often", boot: Boot{Target: BootClientOS, Ticket: "abc"}, query: "?try=5", ipxe: "sanboot", grub: "chainloader"},
		{name: "cannot decide, for too long", err: other, query: "?try=99", ipxe: "sanboot", grub: "chainloader"},
		{name: "a try that is no number", boot: Boot{Target: BootClientOS, Ticket: "abc"}, query: "?try=-7x", ipxe: "&try=1 ||", grub: "aula.ticket=abc"},
	} {
		for file, want := range map[string]string{"script.ipxe": row.ipxe, "grub.cfg": row.grub} {
			p := newPlane(t, func(p *plane) { p.boot, p.err, p.missing = row.boot, row.err, row.missing })
			r := p.ask(t, "GET", "/boot/"+testMAC+"/"+file+row.query)
			if got := body(t, r); r.StatusCode != 200 || !strings.Contains(got, want) {
				t.Errorf("%s: %s: status %d, want 200 and %q in\n%s", row.name, file, r.StatusCode, want, got)
			}
		}
	}
}

func TestPartThatCannotBeServed(t *testing.T) {
	p := newPlane(t, func(p *plane) { p.missing = errors.New("this aula was built without its client OS: run make") })
	r := p.ask(t, "GET", "/boot/vmlinuz")
	if got := body(t, r); r.StatusCode != http.StatusServiceUnavailable || !strings.Contains(got, "run make") {
		t.Errorf("status %d, %q, want 503 and what to do", r.StatusCode, got)
	}
	if len(p.events) != 1 || p.events[0].MAC != "52:54:00:00:00:09" || !strings.Contains(p.events[0].Detail, "run make") {
		t.Errorf("events = %+v, want one of the PC that has the address, with what to do", p.events)
	}
}

func TestCleanName(t *testing.T) {
	for asked, want := range map[string]string{
		"shimx64.efi":            "shimx64.efi",
		"/shimx64.efi":           "shimx64.efi",
		"///shimx64.efi":         "shimx64.efi",
		`\shimx64.efi`:           "shimx64.efi",
		`\\grub\\grub.cfg`:       "grub/grub.cfg",
		"SHIMX64.EFI":            "shimx64.efi",
		"shimx64.efi\xff":        "shimx64.efi",
		"shimx64.efi\x00\xff":    "shimx64.efi",
		"./grub/./grub.cfg":      "grub/grub.cfg",
		"":                       "",
		"../shimx64.efi":         "error",
		`..\shimx64.efi`:         "error",
		"a/../../b":              "error",
		`C:\boot\shimx64.efi`:    "error",
		"shim\x00x64.efi":        "error",
		"/etc/..":                "error",
		strings.Repeat("a", 256): "error",
	} {
		got, err := cleanName(asked)
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("cleanName(%q) = %q, %v, want %q", asked, got, err, want)
		}
	}
}

func FuzzOpenLoader(f *testing.F) {
	for _, name := range []string{"shimx64.efi", `\\GRUB\grub.cfg`, "../../etc/passwd", "..\\x", "shimx64.efi\xff\xff", "%2e%2e/x", "C:\\x", "/grub/x86_64-efi/fs.lst"} {
		f.Add(name)
	}
	root := fstest.MapFS{"shimx64.efi": {Data: []byte("shim")}, "sub/file": {Data: []byte("file")}}
	l, err := newLoaders(&plan{Config: Config{Loaders: root, Log: slog.New(slog.DiscardHandler)}, address: netip.MustParsePrefix("10.0.0.1/24")})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name string) {
		file, err := l.open(netip.Addr{}, name)
		if err != nil {
			if !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errName) {
				t.Errorf("open(%q): %v", name, err)
			}
			return
		}
		got, err := io.ReadAll(file)
		if err != nil || string(got) != "shim" && string(got) != "file" && string(got) != l.texts[grubConfig] && string(got) != l.texts[autoexec] {
			t.Errorf("open(%q) gave %q, %v", name, got, err)
		}
	})
}

func TestDHCPHasRoomForTheScriptsAddress(t *testing.T) {
	longest := ipxeURL("255.255.255.255:65535", lease.MAC{0xfe, 1, 2, 3, 4, 5}, "uefi")
	if got, field := len(longest), 127; got > field {
		t.Errorf("%s has %d characters, the header's field %d", longest, got, field)
	}
	if script.Tries < 1 {
		t.Error("no tries")
	}
}

func TestDefaultPoolIsTheUpperHalf(t *testing.T) {
	for subnet, want := range map[string]string{
		"192.168.77.1/24": "192.168.77.128-192.168.77.254",
		"10.0.0.1/8":      "10.128.0.0-10.255.255.254",
		"10.0.0.1/29":     "10.0.0.4-10.0.0.6",
		"10.0.0.130/25":   "10.0.0.192-10.0.0.254",
	} {
		p := &plan{address: netip.MustParsePrefix(subnet)}
		if err := p.findPool(); err != nil {
			t.Errorf("%s: %v", subnet, err)
		}
		if got := p.pool.First.String() + "-" + p.pool.Last.String(); got != want {
			t.Errorf("%s: pool %s, want %s", subnet, got, want)
		}
		if p.pool.Contains(p.address.Addr()) {
			t.Errorf("%s: the appliance's own address is leased", subnet)
		}
	}
}

func (p *plane) Known(string) bool { return true }

func (p *plane) Plan(Client) Plan { return Plan{Target: BootClientOS} }

func (p *plane) Told(Client, Plan) {}

func (p *plane) Learn(string, quirk.Quirk, string) {}

func (p *plane) Notify(Notice) {}

// Who asks with the address of another PC learns nothing, and uses nothing up.
func TestWhoAsksForAnotherPCIsNotDecidedFor(t *testing.T) {
	p := newPlane(t, func(p *plane) { p.impostor = true })
	for _, path := range []string{"/boot/" + testMAC + "/script.ipxe", "/boot/" + testMAC + "/grub.cfg"} {
		r := p.ask(t, http.MethodGet, path)
		text, err := io.ReadAll(r.Body)
		if err != nil || strings.Contains(string(text), "abc123") {
			t.Errorf("%s: %v, %s", path, err, text)
		}
	}
	if len(p.decided) != 0 {
		t.Errorf("Decide was asked about %+v", p.decided)
	}
}
