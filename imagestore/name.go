package imagestore

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// maxName is the longest canonical name, in bytes.
const maxName = 128

// CheckName answers an error wrapping ErrBadName that says why name is no canonical image name and
// suggests one that is.
func CheckName(name string) error {
	why := ""
	switch {
	case name == "":
		why = "it is empty"
	case strings.HasPrefix(name, "."):
		why = "it begins with a dot"
	case len(name) > maxName:
		why = fmt.Sprintf("it is longer than %d characters", maxName)
	default:
		bad := strings.IndexFunc(name, func(c rune) bool { return !canonical(c) })
		if bad < 0 {
			return nil
		}
		why = fmt.Sprintf("%q is not a letter without accent, a digit, '_', '.' or '-'", []rune(name[bad:])[0])
	}
	return fmt.Errorf("%w: %.140q: %s; %q would do", ErrBadName, name, why, SuggestName(name))
}

func canonical(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '.' || c == '-'
}

// SuggestName makes a canonical name that resembles name: accents fall off, everything else that is not allowed
// becomes an underscore.
func SuggestName(name string) string {
	var b strings.Builder
	for _, c := range norm.NFD.String(name) {
		switch {
		case b.Len() == maxName:
			return b.String()
		case canonical(c):
			if c != '.' || b.Len() > 0 {
				b.WriteRune(c)
			}
		case !unicode.Is(unicode.Mn, c) && b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
	}
	if s := strings.TrimRight(b.String(), "_"); s != "" {
		return s
	}
	return "image"
}
