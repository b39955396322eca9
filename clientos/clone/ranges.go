package clone

import (
	"slices"
	"sort"

	"aula/imagestore/format"
)

// Ranges are bytes of a file that have come: ascending, and merged. The zero value has none.
type Ranges []format.Extent

// Add adds bytes, unless some of them are there.
func (r *Ranges) Add(e format.Extent) bool {
	s := *r
	i := sort.Search(len(s), func(i int) bool { return s[i].Offset >= e.Offset })
	after := i < len(s) && s[i].Offset <= e.End()
	before := i > 0 && s[i-1].End() >= e.Offset
	switch {
	case after && s[i].Offset < e.End() || before && s[i-1].End() > e.Offset:
		return false
	case before && after:
		s[i-1].Length += e.Length + s[i].Length
		s = slices.Delete(s, i, i+1)
	case before:
		s[i-1].Length += e.Length
	case after:
		s[i].Offset, s[i].Length = e.Offset, s[i].Length+e.Length
	default:
		s = slices.Insert(s, i, e)
	}
	*r = s
	return true
}

// Missing returns what is not there of the bytes from low to high-1, ascending.
func (r Ranges) Missing(low, high int64) []format.Extent {
	var missing []format.Extent
	for _, e := range r[sort.Search(len(r), func(i int) bool { return r[i].End() > low }):] {
		if e.Offset >= high {
			break
		}
		if e.Offset > low {
			missing = append(missing, format.Extent{Offset: low, Length: e.Offset - low})
		}
		low = e.End()
	}
	if low < high {
		missing = append(missing, format.Extent{Offset: low, Length: high - low})
	}
	return missing
}

// Touches tells whether what is there ends where e begins, or begins where it ends, or overlaps it: to add e makes no new stretch.
func (r Ranges) Touches(e format.Extent) bool {
	i := sort.Search(len(r), func(i int) bool { return r[i].End() >= e.Offset })
	return i < len(r) && r[i].Offset <= e.End()
}

// Bytes counts them.
func (r Ranges) Bytes() int64 {
	var n int64
	for _, e := range r {
		n += e.Length
	}
	return n
}
