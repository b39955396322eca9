package catalog

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds the names that people give, in characters.
const maxName = 64

// cleanName returns name without space around it, or ErrInvalid with the reason; what is named is for the message.
func cleanName(what, name string) (string, error) {
	name = strings.TrimSpace(name)
	switch {
	case !utf8.ValidString(name):
		return "", fmt.Errorf("name of the %s: %w: it is not UTF-8 text", what, ErrInvalid)
	case name == "":
		return "", fmt.Errorf("name of the %s: %w: it is empty (give one of 1 to %d characters)", what, ErrInvalid, maxName)
	case utf8.RuneCountInString(name) > maxName:
		return "", fmt.Errorf("name of the %s: %w: it is longer than %d characters", what, ErrInvalid, maxName)
	case strings.ContainsFunc(name, invisible):
		return "", fmt.Errorf("name of the %s: %w: %q holds a character that cannot be seen", what, ErrInvalid, name)
	}
	return name, nil
}

// invisible tells the characters by which two names could look the same or break a line of the console: controls,
// line separators and format characters such as the right-to-left override.
func invisible(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}

// fold makes names comparable without regard to case.
func fold(name string) string { return strings.ToLower(name) }

// compareNatural orders names as people do: without regard to case, and pc-2 before pc-10. Names that differ at
// all never compare as equal.
func compareNatural(a, b string) int {
	x, y := fold(a), fold(b)
	for x != "" && y != "" {
		if isDigit(x[0]) && isDigit(y[0]) {
			var m, n string
			m, x = cutDigits(x)
			n, y = cutDigits(y)
			// Longer without leading zeros is larger, whatever the length: no number overflows.
			if c := cmp.Or(cmp.Compare(len(m), len(n)), strings.Compare(m, n)); c != 0 {
				return c
			}
			continue
		}
		if x[0] != y[0] {
			return cmp.Compare(x[0], y[0])
		}
		x, y = x[1:], y[1:]
	}
	return cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(a, b))
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// cutDigits cuts the digits that s begins with, leading zeros dropped.
func cutDigits(s string) (digits, rest string) {
	n := 0
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	return strings.TrimLeft(s[:n], "0"), s[n:]
}

// newID makes an identifier that nobody guesses and that fits in a path: 12 characters, 60 bits.
func newID() string { return strings.ToLower(rand.Text()[:12]) }

// ordered returns the values in order, each once.
func ordered[T cmp.Ordered](values []T) []T {
	values = slices.Clone(values)
	slices.Sort(values)
	return slices.Compact(values)
}
