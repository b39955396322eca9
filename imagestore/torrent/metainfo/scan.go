package metainfo

import (
	"errors"
	"fmt"

	"aula/imagestore/torrent/bencoded"
)

// maxKeys is how many keys each of the two dictionaries may have that are looked into. Of a torrent only what is small and of the right type reaches the
// decoder, which makes of each byte of a list many in memory.
const maxKeys = 256

var (
	errCut   = errors.New("it ends in the middle")
	errKeys  = fmt.Errorf("a dictionary has more than %d keys", maxKeys)
	errDict  = errors.New("there is no dictionary where one must be")
	errAfter = errors.New("bytes follow after its end")
)

// dictionary returns the bencoded values of the dictionary that b is, by key; they are parts of b. A key that is there twice is an error, as
// clients do not agree which of the two they take; the order of keys is as it is.
func dictionary(b []byte) (map[string][]byte, error) {
	if len(b) == 0 || b[0] != 'd' {
		return nil, errDict
	}
	values := make(map[string][]byte)
	for b = b[1:]; len(b) == 0 || b[0] != 'e'; {
		if len(b) == 0 {
			return nil, errCut
		}
		key, rest, err := bencoded.CutText(b)
		if err != nil {
			return nil, err
		}
		if _, twice := values[string(key)]; twice {
			return nil, fmt.Errorf("the key %.40q is there twice", key)
		}
		if len(values) == maxKeys {
			return nil, errKeys
		}
		if values[string(key)], b, err = bencoded.Cut(rest); err != nil {
			return nil, err
		}
	}
	if len(b) > 1 {
		return nil, errAfter
	}
	return values, nil
}
