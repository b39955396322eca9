package tracker

import (
	"errors"
	"strconv"
)

// maxDepth is how deeply lists and dictionaries of an answer may hold one another; a tracker's are 3 deep.
const maxDepth = 16

var errBencode = errors.New("it is not bencoded")

// bencoded returns how many bytes the bencoded value at the begin of b has, and refuses what the decoder must not be given: it goes as deep as
// the input does, which a megabyte of "l" makes a gigabyte of stack, and allocates what a length says before it looks for the bytes.
func bencoded(b []byte) (int, error) {
	depth := 0
	for i := 0; i < len(b); {
		switch c := b[i]; {
		case c == 'd' || c == 'l':
			if depth++; depth > maxDepth {
				return 0, errors.New("its lists are nested too deeply")
			}
			i++
		case c == 'e' && depth > 0:
			depth--
			i++
		case c == 'i':
			n := digits(b[i+1:], 'e', 20)
			if n < 0 {
				return 0, errBencode
			}
			i += n + 2
		case c >= '0' && c <= '9':
			n := digits(b[i:], ':', 9)
			if n < 0 {
				return 0, errBencode
			}
			length, err := strconv.Atoi(string(b[i : i+n]))
			if i += n + 1; err != nil || length > len(b)-i {
				return 0, errBencode
			}
			i += length
		default:
			return 0, errBencode
		}
		if depth == 0 {
			return i, nil
		}
	}
	return 0, errBencode
}

// digits returns at which place the end comes after the digits of a number, of at most that many; -1 if it does not.
func digits(b []byte, end byte, most int) int {
	for i := 0; i < len(b) && i <= most; i++ {
		switch c := b[i]; {
		case c == end && i > 0:
			return i
		case c >= '0' && c <= '9', c == '-' && i == 0 && end == 'e':
		default:
			return -1
		}
	}
	return -1
}
