package netboot

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"

	"aula/netboot/lease"
)

func onLoopback() (net.Listener, error) { return net.Listen("tcp4", "127.0.0.1:0") }

// overWire serves the plane by the connections that the product has, and returns its address.
func (p *plane) overWire(t testing.TB, listen func() (net.Listener, error), watch func(net.Conn)) string {
	t.Helper()
	listener, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	p.listener = watchedListener{listener, watch}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- p.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return "http://" + listener.Addr().String()
}

type watchedListener struct {
	net.Listener
	watch func(net.Conn)
}

func (l watchedListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil && l.watch != nil {
		l.watch(c)
	}
	return c, err
}

func get(t *testing.T, url string) string {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	return body(t, r)
}

// recorder is a ResponseWriter that tells what it was given to read from, as net/http's own hands it on to the socket.
type recorder struct {
	http.ResponseWriter
	from []io.Reader
}

func (r *recorder) ReadFrom(from io.Reader) (int64, error) {
	r.from = append(r.from, from)
	return io.Copy(io.Discard, from)
}

// net/http uses sendfile(2) when it is given a file of the kernel's, in an io.LimitedReader at most, and when the connection has ReadFrom. A wrapper
// that hides either costs the appliance its processor when a room starts.
func TestPartsReachTheSocketAsFiles(t *testing.T) {
	p := newPlane(t)
	for _, path := range []string{"/boot/vmlinuz", "/boot/" + testMAC + "/initramfs", "/boot/overlay", "/shimx64.efi"} {
		to := &recorder{ResponseWriter: &discard{header: http.Header{}}}
		r, err := http.NewRequest(http.MethodGet, "http://10.20.30.1"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.RemoteAddr = testPeer
		p.ServeHTTP(to, r)
		if len(to.from) != 1 {
			t.Fatalf("%s: the body is copied by hand", path)
		}
		limited, ok := to.from[0].(*io.LimitedReader)
		if !ok {
			t.Fatalf("%s: the body is a %T", path, to.from[0])
		}
		if _, ok := limited.R.(*os.File); !ok {
			t.Errorf("%s: the body is from a %T, want a file of the kernel's", path, limited.R)
		}
	}
	var conn net.Conn = &member{}
	if _, ok := conn.(io.ReaderFrom); !ok {
		t.Error("connections have no ReadFrom")
	}
}

type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// Many at once get the same bytes, each from the beginning.
func TestManyLoadTheSameCopy(t *testing.T) {
	const pcs = 24
	p := newPlane(t, func(p *plane) { p.kernel = strings.Repeat("0123456789abcdef", 1<<17) })
	url := p.overWire(t, onLoopback, nil)
	var group sync.WaitGroup
	for range pcs {
		group.Go(func() {
			if got := get(t, url+"/boot/vmlinuz"); got != p.kernel {
				t.Errorf("got %d bytes, want the %d of the kernel", len(got), len(p.kernel))
			}
		})
	}
	group.Wait()
}

func TestMemoryIsClosed(t *testing.T) {
	m, err := inMemory("part", strings.NewReader("text"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.file.WriteAt([]byte("x"), 0); err == nil {
		t.Error("the copy can be changed")
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if f, err := m.open(); err == nil {
		t.Errorf("%s can be opened after it was closed", f.Name())
	}
}

// A file of a folder is sent from there, and a new one is seen.
func TestPartOfAFolderIsNotCopied(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kernel")
	p := newPart("kernel", func() (io.ReadSeekCloser, error) { return os.Open(path) }, nil)
	if err := p.check(); !os.IsNotExist(err) {
		t.Errorf("check = %v, want that there is no file", err)
	}
	if err := os.WriteFile(path, []byte("new"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := p.open()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || string(got) != "new" || p.copy != nil {
		t.Errorf("got %q, %v, copy %v", got, err, p.copy)
	}
}

func TestConnectionsAreBounded(t *testing.T) {
	p := newPlane(t)
	url := p.overWire(t, onLoopback, nil)
	var open []net.Conn
	for range mostConnectionsOfOne {
		c, err := net.Dial("tcp4", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		open = append(open, c)
		if _, err := c.Write([]byte("HEAD /shimx64.efi HTTP/1.1\r\nHost: x\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Read(make([]byte, 1)); err != nil {
			t.Fatalf("connection %d: %v", len(open), err)
		}
	}
	if _, err := http.Get(url + "/shimx64.efi"); err == nil {
		t.Error("a PC may have any number of connections")
	}
	open[0].Close()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if r, err := http.Get(url + "/shimx64.efi"); err == nil {
			r.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("after one was closed there is no room for another")
		}
	}
}

func TestCrowdHasAnEnd(t *testing.T) {
	c := newCrowd(nil, newPlane(t).plan.Log)
	a := netip.MustParseAddr("10.0.0.1")
	for range mostConnections {
		if !c.enter(a) {
			t.Fatalf("refused at %d", c.total)
		}
		a = a.Next()
	}
	if c.enter(a) {
		t.Error("there may be any number of connections")
	}
	c.leave(netip.MustParseAddr("10.0.0.1"))
	if !c.enter(a) {
		t.Error("a place that was given back is not taken")
	}
	if len(c.by) != mostConnections {
		t.Errorf("%d addresses are remembered, want %d", len(c.by), mostConnections)
	}
}

func TestSlowPCIsSentToSlowly(t *testing.T) {
	p := newPlane(t)
	rates := make(chan func() int, 8)
	url := p.overWire(t, onLoopback, func(c net.Conn) {
		rates <- func() (rate int) {
			if err := control(c.(*net.TCPConn), func(fd int) (err error) {
				rate, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE)
				return err
			}); err != nil {
				t.Error(err)
			}
			return rate
		}
	})
	fast := lease.MAC{0x52, 0x54, 0, 0, 0, 1}
	p.slow.set(lease.MAC{0x52, 0x54, 0, 0, 0, 2}, true)
	get(t, url+"/boot/"+fast.String()+"/vmlinuz")
	rate := <-rates
	if got := rate(); got == slowRate {
		t.Errorf("a PC without the quirk is sent to at %d bytes a second", got)
	}
	get(t, url+"/boot/52:54:00:00:00:02/vmlinuz") // the same connection
	if got := rate(); got != slowRate {
		t.Errorf("a PC with the quirk is sent to at %d bytes a second, want %d", got, slowRate)
	}
}

// What is told of a download, in one piece or in ranges.
func TestEventsOfDownloads(t *testing.T) {
	for name, row := range map[string]struct {
		asks []string // method, and the range
		want []string // phase, bytes
	}{
		"whole":               {[]string{"GET"}, []string{"asked 0", "answered 10"}},
		"its length only":     {[]string{"HEAD"}, nil},
		"length, then whole":  {[]string{"HEAD", "GET"}, []string{"asked 0", "answered 10"}},
		"in ranges":           {[]string{"GET bytes=0-3", "GET bytes=4-7", "GET bytes=8-9"}, []string{"asked 0", "answered 10"}},
		"again":               {[]string{"GET", "GET"}, []string{"asked 0", "answered 10", "asked 0", "answered 10"}},
		"range, then whole":   {[]string{"GET bytes=0-3", "GET"}, []string{"asked 0", "asked 0", "answered 10"}},
		"range that is not":   {[]string{"GET bytes=99-"}, []string{"asked 0"}},
		"loader, by its name": {[]string{"SHIM"}, []string{"asked 0", "answered 4"}},
	} {
		p := newPlane(t)
		for _, ask := range row.asks {
			method, span, _ := strings.Cut(ask, " ")
			switch {
			case method == "SHIM":
				body(t, p.ask(t, "GET", "/shimx64.efi"))
			case span == "":
				body(t, p.ask(t, method, "/boot/"+testMAC+"/vmlinuz"))
			default:
				body(t, p.ask(t, method, "/boot/"+testMAC+"/vmlinuz", "Range", span))
			}
		}
		var got []string
		for _, e := range p.events {
			got = append(got, fmt.Sprintf("%s %d", e.Phase, e.Bytes))
			size, file, step := int64(10), "vmlinuz", StepKernel
			if strings.HasPrefix(name, "loader") {
				size, file, step = 4, "shimx64.efi", StepLoader
			}
			if e.Size != size || e.File != file || e.Step != step || e.MAC == "" || e.Time.IsZero() || e.Phase == Answered && e.Took <= 0 {
				t.Errorf("%s: event %+v", name, e)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(row.want) {
			t.Errorf("%s: events %v, want %v", name, got, row.want)
		}
	}
}

// A PC that is switched off in the middle.
func TestDownloadThatBreaksOff(t *testing.T) {
	p := newPlane(t, func(p *plane) { p.kernel = strings.Repeat("0123456789abcdef", 1<<20) })
	told := make(chan Event, 8)
	p.watch.to = toChannel{p, told}
	url := p.overWire(t, onLoopback, nil)
	c, err := net.Dial("tcp4", strings.TrimPrefix(url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(c, "GET /boot/", testMAC, "/vmlinuz HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.ReadFull(c, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if e := <-told; e.Phase != Asked {
		t.Errorf("first event %+v", e)
	}
	if e := <-told; e.Phase != Failed || e.Bytes < 1<<19 || e.Bytes >= e.Size || e.Size != 16<<20 || !strings.Contains(e.Detail, "broke off") {
		t.Errorf("second event %+v, want that it broke off", e)
	}
}

type toChannel struct {
	*plane
	to chan Event
}

func (c toChannel) Observe(e Event) { c.to <- e }

func TestDownloadsAreForgotten(t *testing.T) {
	var d downloads
	now := time.Now()
	for i := range mostDownloads + 1 {
		d.begin(downloadKey{file: fmt.Sprint(i)}, true, now)
	}
	if len(d.all) > mostDownloads {
		t.Errorf("%d downloads are remembered", len(d.all))
	}
	key := downloadKey{file: fmt.Sprint(mostDownloads)}
	if d.begin(key, true, now.Add(time.Minute)) {
		t.Error("a range within the minute begins a download of its own")
	}
	if !d.begin(key, true, now.Add(2*downloadTime)) {
		t.Error("a range on the next day belongs to the download of today")
	}
}

// Firmware that garbles the name of GRUB, after it has fetched shim.
func TestGarbledNameOfGRUB(t *testing.T) {
	p := newPlane(t)
	l, now := p.loaders, time.Now()
	l.now = func() time.Time { return now }
	dell, other := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	ask := func(who netip.Addr, name string) string {
		f, err := l.open(who, name)
		if err != nil {
			return "none"
		}
		defer f.Close()
		all, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		return string(all)
	}
	if got := ask(dell, "\xeaonboard"); got != "none" {
		t.Errorf("before it has fetched shim: %q", got)
	}
	if got := ask(dell, "SHIMX64.EFI"); got != "shim" {
		t.Fatalf("shim = %q", got)
	}
	for who, row := range map[netip.Addr]map[string]string{
		dell:  {"\xeaonboard": "grub", "/\xeausb\x00\xff": "grub", "\x01\x02": "grub", "unknown.efi": "none", "../\xea": "none"},
		other: {"\xeaonboard": "none"},
	} {
		for name, want := range row {
			if got := ask(who, name); got != want {
				t.Errorf("%s asks for %q and gets %q, want %q", who, name, got, want)
			}
		}
	}
	if got := body(t, p.ask(t, "GET", "/shimx64.efi")); got != "shim" {
		t.Fatalf("shim by HTTP = %q", got)
	}
	if got := body(t, p.ask(t, "GET", "/%EAonboard")); got != "grub" {
		t.Errorf("by HTTP: %q, want GRUB", got)
	}
	now = now.Add(shimTime + time.Second)
	if got := ask(dell, "\xeaonboard"); got != "none" {
		t.Errorf("long after it has fetched shim: %q", got)
	}
}

func TestOperatorsFiles(t *testing.T) {
	p := newPlane(t)
	p.loaders.extras = fstest.MapFS{
		"Revocations_SKU.efi": {Data: []byte("revocations")}, "shimx64.efi": {Data: []byte("not shim")}, "private/key": {Data: []byte("secret")},
	}
	for path, want := range map[string]string{
		"/revocations_sku.efi": "revocations", "//REVOCATIONS_sku.efi": "revocations", "/shimx64.efi": "shim", "/private/key": "no such file\n",
		"/private": "no such file\n", "/": "no such file\n", "/shim_certificate_0.efi": "no such file\n",
	} {
		r := p.ask(t, "GET", path)
		if got := body(t, r); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
		if want == "revocations" && r.Header.Get("Content-Type") != "application/efi" {
			t.Errorf("%s: type %q", path, r.Header.Get("Content-Type"))
		}
	}
	p.loaders.extras = os.DirFS(filepath.Join(t.TempDir(), "none"))
	if r := p.ask(t, "GET", "/revocations_sku.efi"); r.StatusCode != http.StatusNotFound {
		t.Errorf("without the folder: status %d, want 404", r.StatusCode)
	}
}

func TestFileThatIsNotHere(t *testing.T) {
	for path, want := range map[string]int{"/pxelinux.0": 1, "/EFI/boot.efi": 1, "/grub/x86_64-efi/fs.lst": 0, "/revocations_sku.efi": 0, "/shim_certificate_0.efi": 0} {
		p := newPlane(t)
		if r := p.ask(t, "GET", path); r.StatusCode != http.StatusNotFound || len(p.events) != want {
			t.Errorf("%s: status %d, events %+v, want 404 and %d", path, r.StatusCode, p.events, want)
		}
		if want > 0 && (p.events[0].Phase != Failed || !strings.Contains(p.events[0].Detail, "DHCP server")) {
			t.Errorf("%s: event %+v", path, p.events[0])
		}
		p.events = nil
		if p.ask(t, "HEAD", path); len(p.events) > 0 {
			t.Errorf("HEAD %s: events %+v", path, p.events)
		}
	}
}

func TestTextsForLoaders(t *testing.T) {
	p := newPlane(t)
	for path, want := range map[string]string{
		"/autoexec.ipxe":  "chain --replace --autofree http://10.20.30.1/boot/${net${nic}/mac}/script.ipxe?firmware=uefi",
		"/grub/grub.cfg":  `configfile "(http,10.20.30.1)/boot/$net_default_mac/grub.cfg`,
		"//grub/grub.cfg": "while true",
	} {
		if got := body(t, p.ask(t, "GET", path)); !strings.Contains(got, want) {
			t.Errorf("%s lacks %q:\n%s", path, want, got)
		}
	}
}
