package xz

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"aula/imagestore/format/formattest"
)

// unpack decompresses a file; whole counts the blocks that were decoded apart.
func unpack(file []byte) (plain []byte, whole int, err error) {
	x := NewReader(bufio.NewReader(bytes.NewReader(file)))
	var b Block
	var scratch []byte
	for {
		apart, err := x.Next(&b)
		if err == io.EOF {
			return plain, whole, nil
		}
		if err != nil {
			return plain, whole, err
		}
		if !apart {
			rest, err := io.ReadAll(io.LimitReader(x, 16<<20)) // a fuzzer makes bombs
			if plain = append(plain, rest...); err != nil {
				return plain, whole, err
			}
			continue
		}
		whole++
		if scratch, err = b.Decode(scratch, nil); err != nil {
			return plain, whole, err
		}
		plain = append(plain, scratch...)
	}
}

// content is text, noise, repetitions near and far, and zeros.
func content(n int) []byte {
	random := rand.New(rand.NewPCG(5, 6))
	b := make([]byte, 0, n+1000)
	for len(b) < n {
		switch k := random.IntN(1000); {
		case k%5 == 0:
			for range k {
				b = append(b, byte(random.Uint32()))
			}
		case k%5 == 1:
			b = append(b, "the quick brown fox jumps over the lazy dog\n"...)
		case k%5 == 2:
			b = append(b, make([]byte, k)...)
		case len(b) > 0:
			at := random.IntN(len(b))
			b = append(b, b[at:min(at+k/2, len(b))]...)
		}
	}
	return b[:n]
}

// pack compresses with the xz tool.
func pack(t *testing.T, plain []byte, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("SKIPPED: xz is not installed")
	}
	cmd := exec.CommandContext(t.Context(), "xz", append([]string{"-c"}, args...)...)
	cmd.Stdin = bytes.NewReader(plain)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	return out
}

func TestReadWhatTheToolWrites(t *testing.T) {
	t.Parallel()
	tests := []struct {
		args  []string
		apart bool // blocks are decoded apart
	}{
		{[]string{"-0"}, false},
		{[]string{"-6"}, false},
		{[]string{"-9e"}, false},
		{[]string{"-1", "--lzma2=preset=1,dict=4KiB"}, false},
		{[]string{"--lzma2=preset=3,dict=100KiB,lc=4,lp=0,pb=0"}, false},
		{[]string{"--lzma2=preset=3,lc=0,lp=4,pb=4"}, false},
		{[]string{"--lzma2=preset=3,lc=1,lp=2,pb=1", "--check=crc32"}, false},
		{[]string{"-1", "-T2", "--check=sha256"}, true},
		{[]string{"-1", "-T2", "--block-size=70000", "--check=none"}, true},
		{[]string{"-1", "--block-size=70000"}, false},
	}
	plain := content(5 << 20)
	for _, test := range tests {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			t.Parallel()
			for _, n := range []int{0, 1, 300, 100_000, len(plain)} {
				got, whole, err := unpack(pack(t, plain[:n], test.args...))
				if err != nil || !bytes.Equal(got, plain[:n]) {
					t.Fatalf("%d bytes: got %d, %v", n, len(got), err)
				}
				if apart := whole > 0; apart != test.apart && n > 0 {
					t.Errorf("%d bytes: %d blocks were decoded apart", n, whole)
				}
			}
		})
	}
}

// TestSmallDictionaries reads files whose dictionaries are smaller than chunks. Where much is alike, these are of the largest size, and
// after some of them the window must be both emptied and made larger.
func TestSmallDictionaries(t *testing.T) {
	t.Parallel()
	mixed := content(400_000)
	contents := map[string][]byte{
		"zeros": make([]byte, 8<<20),
		"mixed": slices.Concat(make([]byte, 3<<20), mixed, make([]byte, 5<<20), mixed, mixed[:1000]),
	}
	for name, plain := range contents {
		for _, option := range []string{"-0", "-1", "-3", "--lzma2=dict=4KiB", "--lzma2=dict=100KiB"} {
			t.Run(name+" "+option, func(t *testing.T) {
				t.Parallel()
				got, _, err := unpack(pack(t, plain, "-T1", option))
				if err != nil || !bytes.Equal(got, plain) {
					t.Errorf("got %d bytes, %v, want the %d packed ones", len(got), err, len(plain))
				}
			})
		}
	}
}

// samples are small files of the tool.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	return formattest.Samples(t, "../testdata/packed/xz-*")
}

func TestTruncated(t *testing.T) {
	t.Parallel()
	for name, file := range samples(t) {
		plain, _, err := unpack(file)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for n := range file {
			got, _, err := unpack(file[:n])
			switch {
			case err == nil && bytes.HasPrefix(plain, got) && (n == 0 || strings.HasSuffix(name, "two") && n%4 == 0):
				// nothing, or the first of two streams with all or some of the padding behind it
			case err == io.ErrUnexpectedEOF:
			case errors.Is(err, ErrCorrupt) && strings.HasSuffix(name, "two"): // padding that is no multiple of 4
			default:
				t.Errorf("%s cut after %d bytes: got %d bytes, %v", name, n, len(got), err)
			}
		}
	}
}

// TestChanged changes every byte of a file in which everything is under a checksum.
func TestChanged(t *testing.T) {
	t.Parallel()
	file := samples(t)["xz-blocks"]
	for i := range file {
		for _, change := range []byte{0x01, 0x80, 0xFF} {
			bad := bytes.Clone(file)
			bad[i] ^= change
			if _, _, err := unpack(bad); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) && err != io.ErrUnexpectedEOF {
				t.Errorf("byte %d changed by %#x: got error %v", i, change, err)
			}
		}
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	x := NewReader(bufio.NewReader(bytes.NewReader(samples(t)["xz-blocks"])))
	var b Block
	if whole, err := x.Next(&b); !whole || err != nil {
		t.Fatalf("got %t, %v", whole, err)
	}
	stop := make(chan struct{})
	close(stop)
	if plain, err := b.Decode(nil, stop); len(plain) > 0 || err == nil {
		t.Errorf("got %d bytes, %v", len(plain), err)
	}
}

func TestNumber(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		in   string
		want int64
		ok   bool
	}{
		{"\x00", 0, true},
		{"\x7F", 127, true},
		{"\x80\x01", 128, true},
		{"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F", 1<<63 - 1, true},
		{"\x80\x00", 0, false}, // longer than it need be
		{"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 0, false},
		{"\x80", 0, false},
		{"", 0, false},
	} {
		got, err := readNumber(strings.NewReader(test.in))
		if got != test.want || (err == nil) != test.ok {
			t.Errorf("% x: got %d, %v, want %d", test.in, got, err, test.want)
		}
	}
}

// FuzzReader reads whatever comes, in memory that is bounded by what came, and what is read well is read the same again.
func FuzzReader(f *testing.F) {
	for _, file := range samples(f) {
		f.Add(file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		first, _, err := unpack(file)
		if err != nil {
			return
		}
		if second, _, err := unpack(file); err != nil || !bytes.Equal(first, second) {
			t.Errorf("read again: %d bytes, %v; before that %d", len(second), err, len(first))
		}
	})
}

// FuzzLZMA gives chunks to the decoder without any checksum around them.
func FuzzLZMA(f *testing.F) {
	for _, file := range samples(f) {
		f.Add(file[24:len(file)-28], uint16(4000))
	}
	f.Fuzz(func(t *testing.T, chunks []byte, size uint16) {
		b := Block{header: blockHeader{plain: int64(size), window: 4 << 10}, packed: chunks}
		b.check, _ = checkOf(0)
		plain, err := b.Decode(nil, nil)
		if err == nil && len(plain) != int(size) {
			t.Errorf("got %d bytes of %d", len(plain), size)
		}
	})
}
