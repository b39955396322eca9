package metainfo

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"unicode/utf8"

	"aula/imagestore/torrent/bencoded"
)

const (
	maxComment  = 4 << 10  // bytes of a comment; a longer one is as none
	maxTrackers = 64       // that are read; the rest is passed over
	maxTiers    = 64 << 10 // bytes of an announce-list that is read
	maxURL      = 2 << 10  // bytes of a tracker's URL
)

// ErrForeign is wrapped by what Parse answers to a torrent that other programs may take and Aula does not.
var ErrForeign = errors.New("this kind of torrent is not taken")

// Parse reads a .torrent. It takes any that is of one file with a plain name and sound sizes, and refuses every other by an error that says why.
//
// Of a hybrid torrent (BEP 52) it takes the part for version 1. Of the trackers it leaves out those that are not http, https or udp, of the
// comment one that is no text: a torrent is good without. The Hash is that of the info dictionary as it stands, with keys that nobody knows.
func Parse(data []byte) (*Torrent, error) {
	if len(data) > MaxFile {
		return nil, fmt.Errorf("torrent of %d bytes: more than %d are not read", len(data), MaxFile)
	}
	root, err := dictionary(data)
	if err != nil {
		return nil, fmt.Errorf("it is no torrent, or a damaged one: %w", err)
	}
	raw, ok := root["info"]
	if !ok {
		return nil, errors.New("it is no torrent: it has no info dictionary")
	}
	raw = bytes.Clone(raw) // the rest of the file need not be kept, and the sums are kept once
	info, err := dictionary(raw)
	if err != nil {
		return nil, fmt.Errorf("it is no torrent, or a damaged one: info dictionary: %w", err)
	}
	t, err := parseInfo(info)
	if err != nil {
		return nil, err
	}
	t.info, t.Hash = raw, sha1.Sum(raw)
	t.Announce = trackers(root["announce"], root["announce-list"])
	if comment, ok := text(root["comment"], maxComment); ok && utf8.ValidString(comment) {
		t.Comment = comment
	}
	return t, nil
}

// parseInfo reads an info dictionary.
func parseInfo(info map[string][]byte) (*Torrent, error) {
	if _, ok := info["files"]; ok {
		return nil, fmt.Errorf("%w: it is of several files: make a torrent of each", ErrForeign)
	}
	_, pieces := info["pieces"]
	if _, ok := info["meta version"]; ok && !pieces {
		return nil, fmt.Errorf("%w: it is for BitTorrent version 2 only (BEP 52): make one for version 1, or a hybrid one", ErrForeign)
	}
	var t Torrent
	var ok bool
	if t.Name, ok = text(info["name"], 4*maxName); !ok {
		return nil, errors.New("torrent: the name of its file is missing or too long")
	}
	if t.Length, ok = number(info["length"]); !ok {
		return nil, errors.New("torrent: the length of its file is missing or no number")
	}
	if t.PieceLength, ok = number(info["piece length"]); !ok {
		return nil, errors.New("torrent: the length of its pieces is missing or no number")
	}
	if t.Pieces, ok = sums(info["pieces"]); !ok {
		return nil, errors.New("torrent: the sums of its pieces are missing")
	}
	t.Private = string(info["private"]) == "i1e"
	return &t, t.check()
}

// text reads a bencoded string of at most that many bytes.
func text(b []byte, most int) (s string, ok bool) {
	if len(b) == 0 || b[0] < '0' || b[0] > '9' || len(b) > most+len(strconv.Itoa(most))+1 {
		return "", false
	}
	return s, bencoded.Decode(b, &s) == nil && len(s) <= most
}

// number reads a bencoded number.
func number(b []byte) (n int64, ok bool) {
	if len(b) == 0 || b[0] != 'i' {
		return 0, false
	}
	return n, bencoded.Decode(b, &n) == nil
}

// sums returns the bytes of a bencoded string, which are a part of b.
func sums(b []byte) ([]byte, bool) {
	sums, _, err := bencoded.CutText(b)
	return sums, err == nil
}

// trackers reads announce and announce-list. BEP 12 has clients that read the list pass announce over; here it comes last, so that a
// tracker named there only is asked too.
func trackers(announce, list []byte) []string {
	var tiers [][]string
	if len(list) > maxTiers || bencoded.Decode(list, &tiers) != nil {
		tiers = nil // as if it were not there
	}
	if one, ok := text(announce, maxURL); ok {
		tiers = append(tiers, []string{one})
	}
	var all []string
	for _, u := range slices.Concat(tiers...) {
		if len(all) < maxTrackers && CheckTracker(u) == nil && !slices.Contains(all, u) {
			all = append(all, u)
		}
	}
	return all
}

// CheckTracker tells whether the URL can be that of a tracker: http, https, or udp with a port.
func CheckTracker(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return fmt.Errorf("tracker: %w", err)
	case len(s) > maxURL || !utf8.ValidString(s):
		return fmt.Errorf("tracker %.60q: it is too long, or no text", s)
	case u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "udp":
		return fmt.Errorf("tracker %q: write it as http://ADDRESS:PORT/announce, https://… or udp://…", s)
	case u.Hostname() == "":
		return fmt.Errorf("tracker %q: it has no address", s)
	}
	if port := u.Port(); port != "" || u.Scheme == "udp" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("tracker %q: its port is not from 1 to 65535", s)
		}
	}
	return nil
}
