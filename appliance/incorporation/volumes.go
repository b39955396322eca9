package incorporation

import (
	"fmt"
	"slices"
	"strings"
)

// volumes are the pieces of one file that was split, in order; or one piece that was not.
type volumes struct {
	stem   string // the name without the volumes' suffixes
	pieces []piece
}

// words names the volumes for people.
func (v volumes) words() string {
	if len(v.pieces) == 1 {
		return v.pieces[0].name
	}
	return fmt.Sprintf("%s to %s", v.pieces[0].name, v.pieces[len(v.pieces)-1].name)
}

// group puts files together that are the volumes of one another: x.000 x.001, x.aa x.ab, x.aaa x.aab, x.img.000. What is no volume
// is a group by itself. The order of the files does not matter. A volume that is missing between others, or before them,
// is an error.
func group(files []piece) ([]volumes, error) {
	split := make(map[string][]piece) // by stem and kind of suffix
	var groups []volumes
	for _, p := range files {
		if stem, suffix := cutVolume(p.name); suffix != "" {
			key := fmt.Sprintf("%s/%d%t", stem, len(suffix), isDigits(suffix)) // no name holds a slash
			split[key] = append(split[key], p)
		} else {
			groups = append(groups, volumes{p.name, []piece{p}})
		}
	}
	for _, pieces := range split {
		sets, err := order(pieces)
		if err != nil {
			return nil, err
		}
		groups = append(groups, sets...)
	}
	slices.SortFunc(groups, func(a, b volumes) int { return strings.Compare(a.pieces[0].name, b.pieces[0].name) })
	return groups, nil
}

// order makes one group of files whose names differ only in a suffix of one kind, or, when the suffixes only look like
// those of volumes (x.gz and x.xz, win.10 and win.11), a group of each.
func order(pieces []piece) ([]volumes, error) {
	slices.SortFunc(pieces, func(a, b piece) int { return strings.Compare(a.name, b.name) })
	stem, first := cutVolume(pieces[0].name)
	if !looksSplit(pieces, first) {
		var groups []volumes
		for _, p := range pieces {
			groups = append(groups, volumes{p.name, []piece{p}})
		}
		return groups, nil
	}
	want := ordinal(first)
	if want > 0 && !(want == 1 && isDigits(first)) {
		return nil, fmt.Errorf("%s is missing: the volumes begin with %s; add those before it", stem+"."+suffixLike(first, 0), pieces[0].name)
	}
	for _, p := range pieces {
		_, suffix := cutVolume(p.name)
		if got := ordinal(suffix); got != want {
			return nil, fmt.Errorf("%s is missing: there are volumes up to %s; add it", stem+"."+suffixLike(first, want), pieces[len(pieces)-1].name)
		}
		want++
	}
	return []volumes{{stem, pieces}}, nil
}

// looksSplit tells whether suffixes of one kind are those of volumes. pieces are sorted and first is the first suffix.
func looksSplit(pieces []piece, first string) bool {
	if isDigits(first) {
		return first[0] == '0' // .000, .001, .00, .07; and not win.10
	}
	if ordinal(first) == 0 {
		return true
	}
	for i, p := range pieces {
		if _, suffix := cutVolume(p.name); ordinal(suffix) != ordinal(first)+i {
			return false
		}
	}
	return len(pieces) > 1
}

// cutVolume cuts a suffix off that may be a volume's: a dot and two to four digits, or two to four small letters. suffix is
// empty when there is none.
func cutVolume(name string) (stem, suffix string) {
	dot := strings.LastIndexByte(name, '.')
	if dot <= 0 {
		return name, ""
	}
	s := name[dot+1:]
	if len(s) < 2 || len(s) > 4 || !isDigits(s) && !isLetters(s) {
		return name, ""
	}
	return name[:dot], s
}

func isDigits(s string) bool { return strings.Trim(s, "0123456789") == "" }

func isLetters(s string) bool { return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == "" }

// ordinal is the place of a volume in the order in which split names them, from 0.
func ordinal(suffix string) int {
	base, zero := 26, byte('a')
	if isDigits(suffix) {
		base, zero = 10, '0'
	}
	n := 0
	for _, c := range []byte(suffix) {
		n = n*base + int(c-zero)
	}
	return n
}

// suffixLike is the suffix of volume n in the manner of another one.
func suffixLike(like string, n int) string {
	base, zero := 26, byte('a')
	if isDigits(like) {
		base, zero = 10, '0'
	}
	s := make([]byte, len(like))
	for i := range slices.Backward(s) {
		s[i] = zero + byte(n%base)
		n /= base
	}
	return string(s)
}

// uneven names a volume other than the last that is not as long as the first: it was probably not copied whole.
func (v volumes) uneven() string {
	for _, p := range v.pieces[:len(v.pieces)-1] {
		if p.size != v.pieces[0].size {
			return p.name
		}
	}
	if last := v.pieces[len(v.pieces)-1]; last.size > v.pieces[0].size {
		return v.pieces[0].name
	}
	return ""
}
