package link_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aula/imagestore/multicast/link"
)

// BenchmarkGroup measures Write and Read in one process, over a bridge of veths: as they are, with super-packets that the kernel cuts before
// the bridge (as every switch of the world gets them), and without offloads. It tells what part arrived, for a writer without
// pacing outruns readers, and at what cost.
func BenchmarkGroup(b *testing.B) {
	if !inNamespace(b) {
		return
	}
	computers := []string{"pc1", "pc2", "pc3", "pc4", "pc5", "pc6", "pc7", "pc8"}
	newClassroom(b, append([]string{"server"}, computers...)...)
	for _, kind := range []struct {
		name string
		opt  link.Options
		nic  string // of the server: whether it takes super-packets
	}{
		{"offload", link.Options{}, "on"},
		{"cut", link.Options{}, "off"},
		{"plain", link.Options{NoOffload: true}, "on"},
	} {
		command(b, "ip", "netns", "exec", "server", "ethtool", "-K", "eth0", "gso", kind.nic, "tx-udp-segmentation", kind.nic)
		for _, n := range []int{1, 4, 8} {
			b.Run(fmt.Sprintf("%s/readers=%d", kind.name, n), func(b *testing.B) { measure(b, computers[:n], kind.opt) })
		}
	}
}

// A reading is what one reader got, and what its thread used for it.
type reading struct {
	datagrams int
	cpu       time.Duration
	last      time.Time
}

func measure(b *testing.B, computers []string, opt link.Options) {
	writer := listenOn(b, "server", 9001, opt)
	readings := make(chan reading)
	for _, name := range computers {
		reader := joinOn(b, name, group, opt)
		go func() { readings <- readAll(reader) }()
	}
	chunk := make([]byte, 44*1472)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	start := time.Now()
	for b.Loop() {
		write(b, writer, chunk, 1472, group)
	}
	var arrived, cpu, rate float64
	for range computers {
		r := <-readings
		arrived += float64(r.datagrams)
		cpu += float64(r.cpu.Nanoseconds())
		rate += float64(r.datagrams) * 1472 * 8 / r.last.Sub(start).Seconds() / 1e6
	}
	n := float64(len(computers))
	b.ReportMetric(arrived/n/float64(b.N*44)*100, "%arrived")
	b.ReportMetric(rate/n, "Mbit/s/reader")
	b.ReportMetric(cpu/arrived, "reader-ns/datagram")
}

// readAll reads until nothing comes any more.
func readAll(c *link.Conn) (r reading) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	wait, begun, more := 5*time.Second, threadTime(), true
	for more {
		before := r.datagrams
		if c.Read(wait, func([]byte, netip.AddrPort) { r.datagrams++ }) != nil {
			break
		}
		if more = r.datagrams > before; more {
			r.last, wait = time.Now(), 300*time.Millisecond
		}
	}
	r.cpu = threadTime() - begun
	return r
}

// threadTime is what the thread has used of the processor.
func threadTime() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_THREAD, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
