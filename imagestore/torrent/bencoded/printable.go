package bencoded

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns what people may be shown of words that come from elsewhere: no more bytes than that, and no signs that are not seen.
func Printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	for len(s) > most {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
