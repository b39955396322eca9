package rig_test

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"aula/imagestore/rig"
)

// BenchmarkCable tells how much of a cable one stream of TCP gets, with another one that goes the other way at the same time: of the bytes of
// packets that tc counts, TCP's are 1448 in 1514, 95.6 %.
func BenchmarkCable(b *testing.B) {
	const size, link = 96 << 20, 100e6 / 8
	var percent [2]float64
	for b.Loop() {
		_, machines := pair(b)
		there, back := connect(b, machines[0], machines[1]), connect(b, machines[1], machines[0])
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			percent[1] = 100 * size / copied(b, back, size).Seconds() / link
		}()
		percent[0] = 100 * size / copied(b, there, size).Seconds() / link
		<-ended
	}
	b.ReportMetric(percent[0], "%-there")
	b.ReportMetric(percent[1], "%-back")
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
