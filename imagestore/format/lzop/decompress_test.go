package lzop

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// decompressed unpacks size bytes.
func decompressed(packed []byte, size int) ([]byte, error) {
	dst := make([]byte, size+slack)
	err := decompress(dst, slices.Concat(packed, bytes.Repeat([]byte{0xee}, slack)))
	return dst[:size], err
}

// end is the last instruction.
const end = "\x11\x00\x00"

// TestInstructions has each instruction of LZO1X in each of its forms.
func TestInstructions(t *testing.T) {
	t.Parallel()
	letters := strings.Repeat("abcdefghijklmnopqrstuvwxyz", 2000)
	// start is the instruction for n literals at the beginning of a block, and they.
	start := func(n int) string {
		switch more := n - 18; {
		case n <= 3:
			return string([]byte{byte(17 + n)}) + letters[:n]
		case more <= 0:
			return string([]byte{byte(n - 3)}) + letters[:n]
		default:
			return "\x00" + strings.Repeat("\x00", (more-1)/255) + string([]byte{byte((more-1)%255 + 1)}) + letters[:n]
		}
	}
	tests := []struct {
		name, packed, want string
	}{
		{"1 literal first", "\x12a" + end, "a"},
		{"3 literals first", "\x14abc" + end, "abc"},
		{"4 literals first", "\x15abcd" + end, "abcd"},
		{"238 literals first", "\xff" + letters[:238] + end, letters[:238]},
		{"4 literals", "\x01abcd" + end, "abcd"},
		{"18 literals", "\x0f" + letters[:18] + end, letters[:18]},
		{"19 literals", "\x00\x01" + letters[:19] + end, letters[:19]},
		{"273 literals", "\x00\xff" + letters[:273] + end, letters[:273]},
		{"274 literals", "\x00\x00\x01" + letters[:274] + end, letters[:274]},
		{"3 from 1 back", "\x12a" + "\x40\x00" + end, "aaaa"},
		{"8 from 1 back", "\x12a" + "\xe0\x00" + end, "aaaaaaaaa"},
		{"8 from 2 back", "\x13ab" + "\xe4\x00" + end, "ababababab"},
		{"8 from 3 back", "\x14abc" + "\xe8\x00" + end, "abcabcabcab"},
		{"8 from 7 back", "\x18abcdefg" + "\xf8\x00" + end, "abcdefgabcdefga"},
		{"8 from 9 back", "\x1aabcdefghi" + "\xe0\x01" + end, "abcdefghiabcdefgh"},
		{"8 from 2048 back", start(2048) + "\xfc\xff" + end, letters[:2048] + letters[:8]},
		{"3, and 3 literals", "\x12a" + "\x43\x00xyz" + end, "aaaaxyz"},
		{"2 from 1 back, after a literal", "\x12a" + "\x00\x00" + end, "aaa"},
		{"2 from 1024 back, after 2 literals", start(1022) + "\x42\x00xy" + "\x0c\xff" + end,
			letters[:1022] + strings.Repeat(letters[1021:1022], 3) + "xy" + letters[1022-1024+5:1022-1024+7]},
		{"3 from 2049 back, after literals", start(2049) + "\x00\x00" + end, letters[:2049] + letters[:3]},
		{"3 from 3072 back, after literals", start(3072) + "\x0d\xffz" + end, letters[:3072] + letters[:3] + "z"},
		{"33 from 1 back", "\x12a" + "\x3f\x00\x00" + end, strings.Repeat("a", 34)},
		{"34 from 1 back", "\x12a" + "\x20\x01\x00\x00" + end, strings.Repeat("a", 35)},
		{"288 from 5 back", "\x16abcde" + "\x20\xff\x10\x00" + end, strings.Repeat("abcde", 59)[:293]},
		{"289 from 6 back", "\x17abcdef" + "\x20\x00\x01\x14\x00" + end, strings.Repeat("abcdef", 50)[:295]},
		{"30 from 17 back", "\x22" + letters[:17] + "\x3c\x40\x00" + end, strings.Repeat(letters[:17], 3)[:47]},
		{"4 from 16384 back", start(16384) + "\x22\xfd\xff." + end, letters[:16384] + letters[:4] + "."},
		{"3 from 16385 back", start(16385) + "\x11\x04\x00" + end, letters[:16385] + letters[:3]},
		{"9 from 32767 back", start(32767) + "\x17\xfc\xff" + end, letters[:32767] + letters[:9]},
		{"10 from 32768 back", start(32768) + "\x18\x01\x00\x00" + end, letters[:32768] + letters[:10]},
		{"264 from 49151 back", start(49151) + "\x18\xff\xfc\xff" + end, letters[:49151] + letters[:264]},
		{"nothing", end, ""},
	}
	for _, test := range tests {
		if got, err := decompressed([]byte(test.packed), len(test.want)); err != nil || string(got) != test.want {
			t.Errorf("%s: got %d bytes, %v, want %d; the last are %q and should be %q", test.name,
				len(got), err, len(test.want), got[max(0, len(got)-40):], test.want[max(0, len(test.want)-40):])
		}
	}
}

func TestBadInstructions(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, packed string
		size         int
		want         error
	}{
		{"nothing", "", 0, errPacked},
		{"no end", "\x12a", 1, errPacked},
		{"half an end", "\x12a\x11", 1, errPacked},
		{"end without its last byte", "\x12a\x11\x00", 1, errPacked},
		{"first literals missing", "\x15abc", 4, errPacked},
		{"literals missing", "\x01ab", 4, errPacked},
		{"length without end", "\x00\x00\x00\x00", 1000, errPacked},
		{"length of a match without end", "\x12a\x20\x00\x00\x00", 1000, errPacked},
		{"bytes after the end", "\x12a" + end + "\x00", 1, errRest},
		{"fewer bytes", "\x12a" + end, 2, errFewer},
		{"more first literals", "\x15abcd" + end, 3, errPlain},
		{"more literals", "\x01abcd" + end, 3, errPlain},
		{"more from a match", "\x12a" + "\x40\x00" + end, 3, errPlain},
		{"more from a long match", "\x12a" + "\x20\x00\xff\x00\x00" + end, 100, errPlain},
		{"more literals after a match", "\x12a" + "\x43\x00xyz" + end, 4, errPlain},
		{"match first", "\x11\x04\x00" + end, 3, errBack},
		{"match before the beginning", "\x12a" + "\x44\x00" + end, 4, errBack},
		{"far match before the beginning", "\x12a" + "\x11\x04\x00" + end, 4, errBack},
		{"match of 2 before the beginning", "\x12a" + "\x04\x00" + end, 3, errBack},
		{"match of 3 before the beginning", "\x15abcd" + "\x00\x00" + end, 7, errBack},
	}
	for _, test := range tests {
		if _, err := decompressed([]byte(test.packed), test.size); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
}

func TestCompress(t *testing.T) {
	t.Parallel()
	for n := range 600 {
		for _, plain := range [][]byte{mixed(uint64(n), n), bytes.Repeat([]byte("abc"), n)[:n], []byte(strings.Repeat("\x00", n))} {
			packed := new(Encoder).compress([]byte("head"), plain)
			if len(packed) > 4+worstSize(n) {
				t.Errorf("%d bytes packed to %d, more than %d", n, len(packed)-4, worstSize(n))
			}
			if got, err := decompressed(packed[4:], n); err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%d bytes: got %v", n, err)
			}
		}
	}
}
