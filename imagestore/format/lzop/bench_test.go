package lzop

import (
	"bufio"
	"bytes"
	"hash/adler32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"aula/imagestore/format/formattest"
)

// decodeAll unpacks a file as one core does it.
func decodeAll(b *testing.B, file []byte) {
	b.Helper()
	var block Block
	var plain []byte
	r, err := NewReader(bufio.NewReaderSize(bytes.NewReader(file), 64<<10))
	for err == nil {
		if err = r.Next(&block); err == nil {
			plain, err = block.Decode(plain)
		}
	}
	if err != io.EOF {
		b.Fatal(err)
	}
}

// encodeAll packs the blocks of a file as one core does it.
func encodeAll(dst, plain []byte) []byte {
	var e Encoder
	for p := range slices.Chunk(plain, BlockSize) {
		dst = e.AppendBlock(dst, p)
	}
	return dst
}

// BenchmarkDecode tells MB/s of plain bytes on one core.
func BenchmarkDecode(b *testing.B) {
	needTool(b)
	plain := formattest.Installed(b, 64<<20)
	for _, level := range []string{"-1", "-3", "-9"} {
		file := tool(b, plain, level)
		b.Run("lzop"+level, func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			for b.Loop() {
				decodeAll(b, file)
			}
		})
	}
}

// BenchmarkEncode tells MB/s of plain bytes on one core, and how the size of the result compares with that of lzop.
func BenchmarkEncode(b *testing.B) {
	needTool(b)
	plain := formattest.Installed(b, 64<<20)
	b.SetBytes(int64(len(plain)))
	var out []byte
	for b.Loop() {
		out = encodeAll(out[:0], plain)
	}
	b.ReportMetric(float64(len(out))/float64(len(plain)), "packed/plain")
	b.ReportMetric(float64(len(out))/float64(len(tool(b, plain))), "packed/lzop")
}

// BenchmarkAgainstTool unpacks and packs the same bytes in turns with the lzop tool. Below 1 we take less CPU time.
func BenchmarkAgainstTool(b *testing.B) {
	needTool(b)
	plain := formattest.Installed(b, 64<<20)
	file := tool(b, plain)
	path := filepath.Join(b.TempDir(), "plain")
	if err := os.WriteFile(path+".lzo", file, 0o600); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, plain, 0o600); err != nil {
		b.Fatal(err)
	}
	b.Run("decode", func(b *testing.B) {
		race(b, func() { decodeAll(b, file) }, "lzop", "-dc", path+".lzo")
	})
	b.Run("encode", func(b *testing.B) {
		out := make([]byte, 0, 2*len(plain))
		race(b, func() { encodeAll(out, plain) }, "lzop", "-c", path)
	})
}

// race runs ours and command, whose output goes nowhere, in turns, and reports how many times the command's CPU time ours takes,
// by the best run of each: others may be at work on this machine.
func race(b *testing.B, ours func(), command ...string) {
	b.Helper()
	own, other := time.Hour, time.Hour
	for b.Loop() {
		for range 5 {
			before := cpuTime(b)
			ours()
			own = min(own, cpuTime(b)-before)
			cmd := exec.CommandContext(b.Context(), command[0], command[1:]...)
			if err := cmd.Run(); err != nil {
				b.Fatal(err)
			}
			other = min(other, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
		}
	}
	b.ReportMetric(float64(own)/float64(other), "cpu/lzop")
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

// BenchmarkAdler compares our Adler-32 with that of the standard library.
func BenchmarkAdler(b *testing.B) {
	p := mixed(1, BlockSize)
	for name, sum := range map[string]func([]byte) uint32{"own": adlerOf, "standard": adler32.Checksum} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(BlockSize)
			for b.Loop() {
				sum(p)
			}
		})
	}
}
