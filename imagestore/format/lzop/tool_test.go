package lzop

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestReadWhatTheToolWrites(t *testing.T) {
	t.Parallel()
	needTool(t)
	options := [][]string{
		{"-1"}, {"-2"}, {"-3"}, {"-4"}, {"-5"}, {"-6"}, {"-7"}, {"-8"}, {"-9"},
		{"-F"}, {"-1", "-F"}, {"-9", "-F"}, {"--crc32"}, {"-9", "--crc32"}, {"-P"},
	}
	for name, plain := range contents() {
		for _, args := range options {
			t.Run(name+" "+strings.Join(args, " "), func(t *testing.T) {
				t.Parallel()
				for origin, file := range map[string][]byte{"standard input": tool(t, plain, args...), "file": toolOnFile(t, plain, args...)} {
					if got, err := unpack(file); err != nil || !bytes.Equal(got, plain) {
						t.Errorf("of %s: got %d bytes, %v, want the %d packed ones", origin, len(got), err, len(plain))
					}
				}
			})
		}
	}
}

func TestToolReadsWhatWeWrite(t *testing.T) {
	t.Parallel()
	needTool(t)
	for name, plain := range contents() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tool(t, pack(plain), "-dc"); !bytes.Equal(got, plain) {
				t.Errorf("lzop -dc makes %d bytes, want the %d packed ones", len(got), len(plain))
			}
		})
	}
}

// TestHeaderAsTheTools compares with what lzop writes of its standard input, which differs in the times only.
func TestHeaderAsTheTools(t *testing.T) {
	t.Parallel()
	needTool(t)
	const timeAt, timeEnd, sumEnd = 25, 33, 38
	got, want := pack(nil), tool(t, nil)
	for _, file := range [][]byte{got, want} {
		copy(file[timeAt-4:timeEnd], make([]byte, 12)) // lzop also has a mode
		copy(file[sumEnd-4:sumEnd], make([]byte, 4))
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%x, want\n%x", got, want)
	}
}

// TestSizeAsTheTools: what we make must not be larger than what lzop makes at its usual level.
func TestSizeAsTheTools(t *testing.T) {
	t.Parallel()
	needTool(t)
	for name, plain := range contents() {
		if got, want := len(pack(plain)), len(tool(t, plain)); got > want+want/100 {
			t.Errorf("%s: %d bytes packed to %d, and by lzop to %d", name, len(plain), got, want)
		}
	}
}

func TestMembers(t *testing.T) {
	t.Parallel()
	needTool(t)
	plain := mixed(5, BlockSize+100)
	// The second has other checksums than the first, and the third has no blocks.
	file := slices.Concat(tool(t, plain), tool(t, plain, "-F"), tool(t, nil), tool(t, plain, "--crc32"))
	want := slices.Concat(plain, plain, plain)
	tests := []struct {
		name string
		tail string
		bad  bool
	}{
		{"nothing", "", false},
		{"zeros", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", false},
		{"few zeros", "\x00", false},
		{"other bytes", "something else", true}, // which lzop ignores
		{"zeros and other bytes", "\x00\x00\x00something else", true},
		{"zeros and a member", "\x00" + string(file), true},
		{"a member whose first byte is damaged", "X" + string(file[1:]), true},
		{"a member of which nothing in the beginning is right", "something" + string(file[9:]), true},
		{"half a magic", Magic[:4], true},
		{"half a header", string(file[:20]), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			got, err := unpack(append(bytes.Clone(file), test.tail...))
			if isBad(err) != test.bad || !bytes.Equal(got, want) {
				t.Errorf("got %d bytes, %v, want %d", len(got), err, len(want))
			}
		})
	}
}
