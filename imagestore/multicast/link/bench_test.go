package link_test

import (
	"net/netip"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"aula/imagestore/multicast/link"
)

// BenchmarkOffload sends super-packets over a bridge of veths, to a receiver that gets them joined.
func BenchmarkOffload(b *testing.B) { benchmark(b, false) }

// BenchmarkPlain sends datagrams one by one, as many as one call of the kernel takes.
func BenchmarkPlain(b *testing.B) { benchmark(b, true) }

// benchmark measures Write and Read in one process. It tells what part arrived, for a writer without pacing outruns the reader.
func benchmark(b *testing.B, noOffload bool) {
	if !inNamespace(b) {
		return
	}
	newClassroom(b, "server", "pc1")
	opt := link.Options{NoOffload: noOffload}
	var received atomic.Int64
	reader := joinOn(b, "pc1", group, opt)
	var idle int64
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		var before, after syscall.Rusage
		_ = syscall.Getrusage(1, &before)
		for reader.Read(time.Second, func([]byte, netip.AddrPort) { received.Add(1) }) == nil {
		}
		_ = syscall.Getrusage(1, &after)
		idle = after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	}()
	writer := listenOn(b, "server", 9001, opt)
	chunk := make([]byte, 44*1472)
	b.SetBytes(int64(len(chunk)))
	b.ReportAllocs()
	for b.Loop() {
		if err := writer.Write(chunk, 1472, group); err != nil {
			b.Fatal(err)
		}
	}
	elapsed := b.Elapsed()
	for last := int64(-1); last != received.Load(); {
		last = received.Load()
		time.Sleep(50 * time.Millisecond)
	}
	dropped := reader.Dropped()
	_ = reader.Close()
	<-done
	n := float64(received.Load())
	b.ReportMetric(n/float64(b.N*44)*100, "%arrived")
	b.ReportMetric(n*1472*8/elapsed.Seconds()/1e9, "Gbit/s-read")
	b.ReportMetric(float64(idle)/n, "reader-ns/datagram")
	b.ReportMetric(float64(dropped), "dropped")
}
