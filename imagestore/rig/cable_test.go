package rig_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"aula/imagestore/rig"
)

// BenchmarkCable tells how much of its cable each machine gets with one stream of TCP to the next machine, all at the same time, so that each
// cable is full on both sides: of the bytes of packets that tc counts, TCP's are 1448 in 1514, 95.6 %. The processor time is what a room costs
// for nothing but moving bytes.
func BenchmarkCable(b *testing.B) {
	const size, link = 96 << 20, 100e6 / 8
	for _, n := range []int{2, 8, 16, 24} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			percent := make([]float64, n)
			var used time.Duration
			for b.Loop() {
				_, machines := room(b, n)
				rig.Hurry(b, machines...)
				before := processor(b)
				var all sync.WaitGroup
				for i, m := range machines {
					ends := connect(b, m, machines[(i+1)%n])
					all.Go(func() { percent[i] = 100 * size / copied(b, ends, size).Seconds() / link })
				}
				all.Wait()
				used = processor(b) - before
			}
			b.ReportMetric(slices.Min(percent), "%-worst")
			b.ReportMetric(slices.Max(percent), "%-best")
			b.ReportMetric(used.Seconds()/(float64(n)*size/1e9), "CPU-s/GB")
			b.ReportMetric(0, "ns/op")
		})
	}
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

// connect makes a connection from a machine to another: its two ends.
func connect(tb testing.TB, from, to *rig.Machine) [2]net.Conn {
	tb.Helper()
	var l net.Listener
	var ends [2]net.Conn
	var err error
	if to.Do(func() { l, err = net.Listen("tcp4", netip.AddrPortFrom(to.Address, 0).String()) }); err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	if from.Do(func() { ends[0], err = net.Dial("tcp4", l.Addr().String()) }); err != nil {
		tb.Fatal(err)
	}
	if ends[1], err = l.Accept(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = ends[0].Close()
		_ = ends[1].Close()
	})
	return ends
}

// copied sends that many bytes from the first end to the second, and returns how long it took.
func copied(tb testing.TB, ends [2]net.Conn, size int64) time.Duration {
	start := time.Now()
	go func() {
		b := make([]byte, 64<<10)
		for left := size; left > 0; left -= int64(len(b)) {
			if _, err := ends[0].Write(b); err != nil {
				tb.Error(err)
				return
			}
		}
	}()
	if _, err := io.CopyN(io.Discard, ends[1], size); err != nil {
		tb.Error(err)
	}
	return time.Since(start)
}
