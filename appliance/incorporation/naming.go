package incorporation

import (
	"fmt"
	"strings"

	"aula/imagestore"
)

// maxName is the longest canonical name (imagestore.CheckName).
const maxName = 128

// A namer gives the images of one plan their names, each once.
type namer struct {
	given    map[string]bool
	warnings []string
}

// name makes a canonical name of what a file or directory is called. A name that another image of the plan has gets a number, and
// people are told. members are what follows it in the names of the images of a set; these must be free too.
func (n *namer) name(called string, members ...string) string {
	name := imagestore.SuggestName(called)
	if taken := n.taken(name, members); taken != "" {
		base := name
		for i := 2; n.taken(name, members) != ""; i++ {
			suffix := fmt.Sprintf("-%d", i)
			name = base[:min(len(base), maxName-len(suffix))] + suffix
		}
		n.warnings = append(n.warnings, fmt.Sprintf("%q becomes image %s, because another image of this import is called %s", called, name, taken))
	}
	if n.given == nil {
		n.given = make(map[string]bool)
	}
	n.given[name] = true
	for _, member := range members {
		n.given[name+member] = true
	}
	return name
}

// taken returns the first of the names that another image has, "" when all are free.
func (n *namer) taken(name string, members []string) string {
	if n.given[name] {
		return name
	}
	for _, member := range members {
		if n.given[name+member] {
			return name + member
		}
	}
	return ""
}

// nameIn is name for an image in a directory of a collection, by which it is told from one of the same name elsewhere.
func (n *namer) nameIn(called, unit string) string {
	if unit != "" && n.given[imagestore.SuggestName(called)] {
		called = unit + "-" + called
		n.warnings = append(n.warnings, fmt.Sprintf("the image in directory %s becomes %s, because there is another of its name", unit, imagestore.SuggestName(called)))
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
