package netboot

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aula/imagestore/rig"
)

// BenchmarkHTTPBoot lets a room of 60 PCs load the client OS at once, each in a network namespace of its own, from a server whose NIC carries
// 1 Gbit/s. The figure to look at is x-link: the time until the last PC had all, as a multiple of what the link needs for nothing
// but these bytes. TCP's and Ethernet's headers alone are 1.046 of it. The PCs throw away what comes (MSG_TRUNC), for they share the processor
// with the server, and so do the bridge and the shaper.
func BenchmarkHTTPBoot(b *testing.B) {
	const (
		pcs       = 60
		kernel    = 12_171_200 // bytes, as the client OS of November 2026 has
		initramfs = 23_138_624
		rate      = 1_000_000_000 // bit/s
	)
	room := rig.NewRoom(b)
	server := room.Plug(b, "server", netip.MustParseAddr("10.60.0.1"))
	var machines []*rig.Machine
	for i := range pcs {
		machines = append(machines, room.Plug(b, fmt.Sprintf("pc%d", i), netip.AddrFrom4([4]byte{10, 60, 1, byte(i + 1)})))
	}
	// A burst of 5 ms: a timer that is late for want of a processor costs nothing then.
	server.Command(b, "tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", fmt.Sprintf("%dbit", rate), "burst", "640k", "limit", "4mb")
	rig.Hurry(b, append(machines, server)...)
	p := newPlane(b, func(p *plane) { p.kernel, p.archive = strings.Repeat("k", kernel), strings.Repeat("i", initramfs) })
	p.plan.Log = slog.New(slog.DiscardHandler)
	address := netip.AddrPortFrom(server.Address, 80)
	p.overWire(b, func() (l net.Listener, err error) {
		server.Do(func() { l, err = net.Listen("tcp4", address.String()) })
		return l, err
	}, nil)
	rig.Warm(b, 64<<20)
	for b.Loop() {
		before, began := processor(b), time.Now()
		took := make([]time.Duration, pcs)
		var all sync.WaitGroup
		for i, m := range machines {
			all.Go(func() {
				if err := load(m, address, map[string]int64{"vmlinuz": kernel, "initramfs": initramfs}); err != nil {
					b.Errorf("%s: %v", m.Name, err)
				}
				took[i] = time.Since(began)
			})
		}
		all.Wait()
		const ideal = float64(pcs*(kernel+initramfs)*8) / rate
		b.ReportMetric(slices.Max(took).Seconds()/ideal, "x-link")
		b.ReportMetric(slices.Min(took).Seconds()/ideal, "x-link-first")
		b.ReportMetric(slices.Max(took).Seconds(), "s")
		b.ReportMetric((processor(b)-before).Seconds()/slices.Max(took).Seconds(), "processors")
	}
	b.ReportMetric(0, "ns/op")
}

// load fetches files by one connection, as iPXE does, and throws them away.
func load(m *rig.Machine, from netip.AddrPort, files map[string]int64) (err error) {
	var conn net.Conn
	m.Do(func() { conn, err = net.Dial("tcp4", from.String()) })
	if err != nil {
		return err
	}
	defer conn.Close()
	reader := bufio.NewReaderSize(conn, 4<<10)
	for _, name := range []string{"vmlinuz", "initramfs"} {
		if _, err := fmt.Fprintf(conn, "GET /boot/%s HTTP/1.1\r\nHost: %s\r\n\r\n", name, from); err != nil {
			return err
		}
		r, err := http.ReadResponse(reader, nil)
		if err != nil {
			return err
		}
		if r.StatusCode != http.StatusOK || r.ContentLength != files[name] {
			return fmt.Errorf("%s: status %s, %d bytes", name, r.Status, r.ContentLength)
		}
		have := min(int64(reader.Buffered()), r.ContentLength)
		if _, err := io.CopyN(io.Discard, reader, have); err != nil {
			return err
		}
		if err := discardBytes(conn.(*net.TCPConn), r.ContentLength-have); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// discardBytes has the kernel throw away what comes (MSG_TRUNC, tcp(7)).
func discardBytes(c *net.TCPConn, n int64) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	for n > 0 {
		var got int
		var inner error
		err := raw.Read(func(fd uintptr) bool {
			// The pointer is not looked at; the length is.
			got, inner = receive(int(fd), int(min(n, 1<<20)))
			return !errors.Is(inner, unix.EAGAIN)
		})
		if err = errors.Join(err, inner); err != nil {
			return err
		}
		if got == 0 {
			return io.ErrUnexpectedEOF
		}
		n -= int64(got)
	}
	return nil
}

func receive(fd, n int) (int, error) {
	got, _, errno := unix.Syscall6(unix.SYS_RECVFROM, uintptr(fd), 0, uintptr(n), unix.MSG_TRUNC|unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(got), nil
}

// processor is what this process has used of it.
func processor(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
