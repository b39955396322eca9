package bzip2

import (
	"bytes"
	"compress/bzip2"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"aula/imagestore/format/formattest"
)

// BenchmarkReader tells MB/s of plain bytes, with all cores and beside the standard library.
func BenchmarkReader(b *testing.B) {
	needTool(b)
	plain := formattest.Installed(b, 16<<20)
	file := tool(b, plain)
	decoders := []struct {
		name string
		open func(io.Reader) io.Reader
	}{
		{"two workers", func(r io.Reader) io.Reader { return NewReader(r, 2) }},
		{"one worker", func(r io.Reader) io.Reader { return NewReader(r, 1) }},
		{"compress-bzip2", bzip2.NewReader},
	}
	for _, d := range decoders {
		b.Run(d.name, func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			for b.Loop() {
				discard(b, d.open(bytes.NewReader(file)))
			}
		})
	}
}

func discard(b *testing.B, r io.Reader) {
	b.Helper()
	if c, ok := r.(io.Closer); ok {
		defer c.Close()
	}
	if _, err := io.Copy(io.Discard, r); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkAgainstTool unpacks the same file in turns with the bzip2 tool, and reports how many times the tool's wall and CPU
// time ours takes, by the best run of each: others may be at work on this machine.
func BenchmarkAgainstTool(b *testing.B) {
	needTool(b)
	file := tool(b, formattest.Installed(b, 16<<20))
	path := filepath.Join(b.TempDir(), "plain.bz2")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		b.Fatal(err)
	}
	wall, cpu, toolWall, toolCPU := time.Hour, time.Hour, time.Hour, time.Hour
	for b.Loop() {
		for range 5 {
			start, before := time.Now(), cpuTime(b)
			discard(b, NewReader(bytes.NewReader(file), 2))
			wall, cpu = min(wall, time.Since(start)), min(cpu, cpuTime(b)-before)

			start = time.Now()
			cmd := exec.CommandContext(b.Context(), "bzip2", "-dc", path)
			if err := cmd.Run(); err != nil {
				b.Fatal(err)
			}
			toolWall = min(toolWall, time.Since(start))
			toolCPU = min(toolCPU, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
		}
	}
	b.ReportMetric(float64(wall)/float64(toolWall), "wall/bzip2")
	b.ReportMetric(float64(cpu)/float64(toolCPU), "cpu/bzip2")
	b.ReportMetric(0, "ns/op")
}

// cpuTime is what this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
