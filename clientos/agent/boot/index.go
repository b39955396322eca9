package boot

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"path"
	"slices"
	"strings"
)

// An index is a table that depmod made for modprobe, such as modules.alias.bin: a tree of the keys' characters, whose keys may be patterns
// (kmod's libkmod/libkmod-index.c describes the format; numbers are big-endian).
type index struct{ data []byte }

const (
	indexMagic   = 0xB007F457
	indexVersion = 2 // the upper half of the version; the lower half are compatible changes

	// What a node has is said in the upper bits of its place.
	nodeHasPrefix   = 1 << 31
	nodeHasValues   = 1 << 30
	nodeHasChildren = 1 << 29
	nodePlace       = 1<<28 - 1

	// maxKey bounds keys, and so the depth of the tree, in bytes.
	maxKey = 1024
	// wildcards begin what is not literal in a pattern.
	wildcards = "*?["
)

// newIndex takes the content of an index's file.
func newIndex(data []byte) (index, error) {
	if len(data) < 12 || binary.BigEndian.Uint32(data) != indexMagic || binary.BigEndian.Uint16(data[4:]) != indexVersion {
		return index{}, errors.New("not an index of kernel modules")
	}
	return index{data}, nil
}

// An entry is one value of a key. The lower the priority's number the earlier it counts.
type entry struct {
	priority uint32
	value    string
}

// find returns the values of all keys that match, the most important first.
func (x index) find(key string) []string {
	var all []entry
	root, ok := x.number(8)
	if ok {
		x.collect(root, "", key, &all)
	}
	slices.SortStableFunc(all, func(a, b entry) int { return cmp.Compare(a.priority, b.priority) })
	values := make([]string, len(all))
	for i, f := range all {
		values[i] = f.value
	}
	return values
}

// collect goes down from a node to which the characters in pattern have led.
func (x index) collect(node uint32, pattern, key string, all *[]entry) {
	at := int(node & nodePlace)
	if node&nodeHasPrefix != 0 {
		prefix, ok := x.text(at)
		if !ok {
			return
		}
		pattern += prefix
		at += len(prefix) + 1
	}
	literal := strings.IndexAny(pattern, wildcards)
	if len(pattern) > maxKey || literal < 0 && !strings.HasPrefix(key, pattern) || literal >= 0 && !strings.HasPrefix(key, pattern[:literal]) {
		return
	}
	if node&nodeHasChildren != 0 {
		if at+2 > len(x.data) {
			return
		}
		first, last := int(x.data[at]), int(x.data[at+1])
		at += 2
		for c := first; c <= last; c, at = c+1, at+4 {
			child, ok := x.number(at)
			if !ok {
				return
			}
			// An unused child has the place zero. Before the first wildcard only the key's own next character leads on.
			if child&nodePlace != 0 && (literal >= 0 || strings.IndexByte(wildcards, byte(c)) >= 0 || len(pattern) < len(key) && key[len(pattern)] == byte(c)) {
				x.collect(child, pattern+string([]byte{byte(c)}), key, all)
			}
		}
	}
	if node&nodeHasValues != 0 && matches(pattern, key) {
		x.values(at, all)
	}
}

// matches tells whether a key matches a pattern. A slash, which path.Match treats in a special way, is a character as any other.
func matches(pattern, key string) bool {
	if strings.Contains(key, "/") {
		pattern, key = strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(key, "/", "\x00")
	}
	ok, err := path.Match(pattern, key)
	return ok && err == nil
}

func (x index) values(at int, all *[]entry) {
	count, ok := x.number(at)
	at += 4
	for ; ok && count > 0; count-- {
		priority, there := x.number(at)
		value, ended := x.text(at + 4)
		if !there || !ended {
			return
		}
		*all = append(*all, entry{priority, value})
		at += 4 + len(value) + 1
	}
}

func (x index) number(at int) (uint32, bool) {
	if at < 0 || at+4 > len(x.data) {
		return 0, false
	}
	return binary.BigEndian.Uint32(x.data[at:]), true
}

// text returns the characters up to a zero byte.
func (x index) text(at int) (string, bool) {
	if at < 0 || at > len(x.data) {
		return "", false
	}
	end := bytes.IndexByte(x.data[at:], 0)
	if end < 0 {
		return "", false
	}
	return string(x.data[at : at+end]), true
}
