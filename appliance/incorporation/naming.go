package incorporation

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// maxName is the longest canonical name (imagestore.CheckName).
const maxName = 128

// A namer gives the images of one plan their names, each once.
type namer struct {
	given    map[string]bool
	warnings []string
}

// name makes a canonical name of what a file or directory is called. A name that another image of the plan has gets a
// number, and people are told.
func (n *namer) name(called string) string {
	name := canonical(called)
	if n.given == nil {
		n.given = make(map[string]bool)
	}
	if n.given[name] {
		taken := name
		for i := 2; n.given[name]; i++ {
			suffix := fmt.Sprintf("-%d", i)
			name = taken[:min(len(taken), maxName-len(suffix))] + suffix
		}
		n.warnings = append(n.warnings, fmt.Sprintf("%q becomes image %s, because another image of this import is called %s", called, name, taken))
	}
	n.given[name] = true
	return name
}

// nameIn is name for an image in a directory of a collection, by which it is told from one of the same name elsewhere.
func (n *namer) nameIn(called, unit string) string {
	if unit != "" && n.given[canonical(called)] {
		called = unit + "-" + called
		n.warnings = append(n.warnings, fmt.Sprintf("the image in directory %s becomes %s, because there is another of its name", unit, canonical(called)))
	}
	return n.name(called)
}

// stripImageSuffixes makes a name of a file's: without .img and what tells how it is packed or split.
func stripImageSuffixes(name string) string {
	if stem, suffix := cutVolume(name); suffix != "" && (isDigits(suffix) && suffix[0] == '0' || isLetters(suffix) && suffix[0] == 'a') {
		name = stem
	}
	for {
		cut := name
		for _, suffix := range []string{
			".ant", ".img", ".pgz", ".dsk", ".raw", ".dd", ".qcow2", ".iso", ".tar", ".tgz", ".tbz2", ".txz", ".tzst",
			".gz", ".zst", ".lzo", ".lz4", ".xz", ".bz2", ".lzma", ".lz", ".lrz",
		} {
			if len(suffix) < len(name) && strings.HasSuffix(strings.ToLower(name), suffix) {
				cut = name[:len(name)-len(suffix)]
				break
			}
		}
		if cut == name {
			return name
		}
		name = cut
	}
}

// canonical makes a name of which imagestore.CheckName approves: accents fall off, and what else is not allowed becomes an underscore.
func canonical(called string) string {
	var b strings.Builder
	for _, c := range norm.NFD.String(called) {
		switch {
		case b.Len() == maxName:
			return b.String()
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-', c == '.' && b.Len() > 0:
			b.WriteRune(c)
		case c != '.' && !unicode.Is(unicode.Mn, c) && b.Len() > 0 && !strings.HasSuffix(b.String(), "_"):
			b.WriteByte('_')
		}
	}
	if s := strings.TrimRight(b.String(), "_"); s != "" {
		return s
	}
	return "image"
}
