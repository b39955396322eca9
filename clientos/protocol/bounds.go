package protocol

import "strings"

// Bounds of what an agent may say of its work. They are kept to by cutting: what is refused would end the session, and then nobody knew how the PC stands.
const (
	maxNotes    = 32
	maxNote     = 512     // bytes
	maxWarnings = 64      //
	maxResults  = 32      // of scripts
	maxWords    = 4 << 10 // bytes, of a text of a failure or the output of a script
	maxCached   = 500     // images of a cache, as many as an agent tells of
)

// Bound cuts what is out of all proportion.
func (h *Hello) Bound() {
	h.Inventory.Bound()
	if h.Running != nil {
		h.Running.Bound()
	}
}

// Bound cuts what is out of all proportion. An image in the cache whose name was cut would be another one: it is left out.
func (v *Inventory) Bound() {
	if v.Cache == nil {
		return
	}
	cache := *v.Cache
	cache.Bytes, cache.Free, cache.Problem = max(cache.Bytes, 0), max(cache.Free, 0), cut(cache.Problem, maxWords)
	cache.Images = nil
	for _, c := range v.Cache.Images {
		if len(cache.Images) == maxCached {
			break
		}
		if len(c.Name) > maxText || len(c.Digest) > maxText || len(c.Repository) > maxText {
			continue
		}
		c.Bytes = max(c.Bytes, 0)
		cache.Images = append(cache.Images, c)
	}
	v.Cache = &cache
}

// Bound cuts what is out of all proportion.
func (r *Report) Bound() {
	r.Stage, r.Slow = cut(r.Stage, maxText), cut(r.Slow, maxText)
	if r.Failure != nil {
		f := r.Failure.bounded()
		r.Failure = &f
	}
	r.Notes = each(r.Notes, maxNotes, func(note string) string { return cut(note, maxNote) })
	r.Warnings = each(r.Warnings, maxWarnings, Failure.bounded)
	r.Scripts = each(r.Scripts, maxResults, func(s ScriptResult) ScriptResult {
		return ScriptResult{Name: cut(s.Name, maxText), Exit: s.Exit, Output: cutFront(s.Output, maxWords)}
	})
}

func (f Failure) bounded() Failure {
	f.Stage, f.Problem, f.Advice, f.Detail = cut(f.Stage, maxText), cut(f.Problem, maxWords), cut(f.Advice, maxWords), cut(f.Detail, maxWords)
	return f
}

// each is a copy of the first most of a list, each in its bounds; nil of nil.
func each[T any](list []T, most int, bounded func(T) T) []T {
	var all []T
	for _, v := range list[:min(len(list), most)] {
		all = append(all, bounded(v))
	}
	return all
}

// cut leaves out the end of a text that is longer than a number of bytes, and no half characters.
func cut(s string, bytes int) string {
	if len(s) <= bytes {
		return s
	}
	const mark = "..."
	return strings.ToValidUTF8(s[:bytes-len(mark)], "") + mark
}

// cutFront leaves out the beginning: the last words of a tool say how it ended.
func cutFront(s string, bytes int) string {
	if len(s) <= bytes {
		return s
	}
	return strings.Clone(strings.ToValidUTF8(s[len(s)-bytes:], ""))
}
