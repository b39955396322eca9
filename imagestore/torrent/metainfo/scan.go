package metainfo

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// Of a torrent only what is small and of the right type reaches the bencode package, which follows any depth until the stack is used up, and
// makes of each byte of a list many in memory. What finds those parts allocates nothing.
const (
	maxDepth = 32  // of lists and dictionaries in one another
	maxKeys  = 256 // of the two dictionaries that are looked into
)

var (
	errCut   = errors.New("it ends in the middle")
	errDeep  = fmt.Errorf("lists and dictionaries are more than %d deep", maxDepth)
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
	s := scanner{b: b, at: 1}
	values := make(map[string][]byte)
	for s.peek() != 'e' {
		key, err := s.text()
		if err != nil {
			return nil, err
		}
		if _, twice := values[string(key)]; twice {
			return nil, fmt.Errorf("the key %.40q is there twice", key)
		}
		if len(values) == maxKeys {
			return nil, errKeys
		}
		start := s.at
		if err := s.value(maxDepth - 1); err != nil {
			return nil, err
		}
		values[string(key)] = b[start:s.at]
	}
	if s.at+1 != len(b) {
		return nil, errAfter
	}
	return values, nil
}

// A scanner goes through bencoded bytes.
type scanner struct {
	b  []byte
	at int
}

// peek returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.at >= len(s.b) {
		return 0
	}
	return s.b[s.at]
}

// value goes past one value in which others are at most that deep.
func (s *scanner) value(deep int) error {
	switch s.peek() {
	case 'i':
		s.at++
		_, err := s.number('e')
		return err
	case 'l', 'd':
		return s.values(deep)
	}
	_, err := s.text()
	return err
}

// values goes past a list or a dictionary.
func (s *scanner) values(deep int) error {
	if deep == 0 {
		return errDeep
	}
	keys := s.peek() == 'd'
	for s.at++; s.peek() != 'e'; {
		if keys {
			if _, err := s.text(); err != nil {
				return err
			}
		}
		if err := s.value(deep - 1); err != nil {
			return err
		}
	}
	s.at++
	return nil
}

// text goes past a string and returns it.
func (s *scanner) text() ([]byte, error) {
	n, err := s.number(':')
	if err != nil {
		return nil, err
	}
	if n < 0 || n > int64(len(s.b)-s.at) {
		return nil, errCut
	}
	text := s.b[s.at : s.at+int(n)]
	s.at += int(n)
	return text, nil
}

// number goes past a number and the byte that ends it. A number is written in one way only: without zeros before it, without a plus.
func (s *scanner) number(end byte) (int64, error) {
	const digits = 20 // that no number has more of, with its sign
	rest := s.b[s.at:]
	i := bytes.IndexByte(rest[:min(len(rest), digits+1)], end)
	if i < 0 {
		if len(rest) <= digits {
			return 0, errCut
		}
		return 0, fmt.Errorf("there is no number at byte %d", s.at)
	}
	n, err := strconv.ParseInt(string(rest[:i]), 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != string(rest[:i]) {
		return 0, fmt.Errorf("there is no number at byte %d", s.at)
	}
	s.at += i + 1
	return n, nil
}
