// Package bencoded reads what strangers have bencoded (BEP 3): it looks at the bytes before the decoder gets them, which goes as deep as they do until the
// stack is used up, and allocates what a length says before it looks for the bytes. What looks at them allocates nothing.
//
// What a value must be, the caller says.
package bencoded

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/anacrolix/torrent/bencode"
)

// Deepest is how deeply lists and dictionaries may be nested. Those of torrents, trackers and peers are 3 deep.
const Deepest = 32

var (
	errCut    = errors.New("it ends in the middle")
	errDeep   = fmt.Errorf("lists and dictionaries are nested too deeply, more than %d of them", Deepest)
	errNumber = errors.New("it is not bencoded: there is no number where one must be")
)

// Decode decodes the value with which b begins. What follows it is passed over.
func Decode(b []byte, value any) (err error) {
	b, _, err = Cut(b)
	if err != nil {
		return err
	}
	defer func() { // the decoder lets some of its own panics out
		if p := recover(); p != nil {
			err = fmt.Errorf("it is not bencoded: %v", p)
		}
	}()
	return bencode.Unmarshal(b, value)
}

// Cut parts the value with which b begins from what follows it. Keys may be there twice, and in any order.
func Cut(b []byte) (value, rest []byte, err error) {
	rest, err = skip(b, Deepest)
	if err != nil {
		return nil, nil, err
	}
	return b[:len(b)-len(rest)], rest, nil
}

// CutText parts the string with which b begins, as its own bytes, from what follows it.
func CutText(b []byte) (text, rest []byte, err error) {
	digits, rest, err := number(b, ':')
	if err != nil {
		return nil, nil, err
	}
	n := 0
	for _, c := range digits {
		if c == '-' || n > len(rest) {
			return nil, nil, errCut
		}
		n = 10*n + int(c-'0')
	}
	if n > len(rest) {
		return nil, nil, errCut
	}
	return rest[:n:n], rest[n:], nil
}

// skip goes past one value in which others are at most that deep.
func skip(b []byte, deep int) (rest []byte, err error) {
	switch {
	case len(b) == 0:
		return nil, errCut
	case b[0] == 'i':
		_, rest, err = number(b[1:], 'e')
	case b[0] == 'l' || b[0] == 'd':
		rest, err = skipAll(b, deep)
	default:
		_, rest, err = CutText(b)
	}
	return rest, err
}

// skipAll goes past a list or a dictionary.
func skipAll(b []byte, deep int) (_ []byte, err error) {
	if deep == 0 {
		return nil, errDeep
	}
	keys := b[0] == 'd'
	for b = b[1:]; len(b) == 0 || b[0] != 'e'; {
		if keys {
			if _, b, err = CutText(b); err != nil {
				return nil, err
			}
		}
		if b, err = skip(b, deep-1); err != nil {
			return nil, err
		}
	}
	return b[1:], nil
}

// number parts the digits of a number from what follows the byte that ends it. A number is written in one way only: without zeros before it, without a
// plus.
func number(b []byte, end byte) (digits, rest []byte, err error) {
	const most = 21 // digits that no number has more of, with its sign
	n := bytes.IndexByte(b[:min(len(b), most+1)], end)
	if n < 0 {
		n = min(len(b), most+1)
	}
	plain := bytes.TrimPrefix(b[:n], []byte("-"))
	for _, c := range plain {
		if c < '0' || c > '9' {
			return nil, nil, errNumber
		}
	}
	switch {
	case n == len(b) && n <= most:
		return nil, nil, errCut
	case n > most || len(plain) == 0 || plain[0] == '0' && n > 1:
		return nil, nil, errNumber
	}
	return b[:n], b[n+1:], nil
}
