package format

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"go.uber.org/goleak"
)

// Every reader and writer must end its goroutines.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// restore decodes an image over zeros.
func restore(file io.Reader) (Info, []byte, error) {
	r, err := NewReader(file)
	if err != nil {
		return Info{}, nil, err
	}
	defer r.Close()
	info := r.Info()
	var disk []byte
	var used int64
	last := int64(0)
	for {
		off, run, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return info, disk, err
		}
		info = r.Info()
		if len(run) == 0 || len(run) > MaxRun || off < last || off+int64(len(run)) > info.RequiredBytes {
			return info, disk, fmt.Errorf("run of %d bytes at byte %d, after byte %d of %d", len(run), off, last, info.RequiredBytes)
		}
		last = off + int64(len(run))
		if grow := last - int64(len(disk)); grow > 0 {
			disk = append(disk, make([]byte, grow)...)
		}
		copy(disk[off:], run)
		used += int64(len(run))
	}
	info = r.Info()
	if !r.Final() {
		return info, disk, errors.New("sizes are not final at the end")
	}
	if used != info.UsedBytes {
		return info, disk, fmt.Errorf("restored %d used bytes, info says %d", used, info.UsedBytes)
	}
	return info, disk, nil
}

// sameStart tells whether disk is the beginning of want and the rest of want is zeros.
func sameStart(disk, want []byte) bool {
	return len(disk) <= len(want) && bytes.Equal(disk, want[:len(disk)]) &&
		len(bytes.Trim(want[len(disk):], "\x00")) == 0
}

// packFrames compresses with a FrameWriter.
func packFrames(t testing.TB, plain []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewFrameWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pipelineOf decodes a compressed stream.
func pipelineOf(packed []byte) *pipeline {
	src := &source{r: bytes.NewReader(packed)}
	return newPipeline(bufio.NewReader(src), src, Zstd)
}
