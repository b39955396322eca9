package tracker

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// programs are the clients by the two letters that begin their peer IDs: "-AR1360-".
var programs = map[string]string{
	"AR": "aria2",
	"AU": "Aula",
	"AZ": "Vuze",
	"BC": "BitComet",
	"CD": "Enhanced CTorrent",
	"CT": "CTorrent",
	"DE": "Deluge",
	"GT": "anacrolix/torrent",
	"KT": "KTorrent",
	"LT": "libtorrent",
	"TR": "Transmission",
	"UT": "µTorrent",
	"WW": "WebTorrent",
	"lt": "rTorrent",
	"qB": "qBittorrent",
}

// Bytes of what others say that are shown.
const (
	maxWord  = 64
	maxWords = 400
)

// clientName tells the program and its version: from the peer ID when it is of a known program, from the User-Agent otherwise, and from
// what can be read of the peer ID when there is none.
func clientName(id [20]byte, agent string) string {
	// aria2 since 1.18 begins with "A2-1-36-0-".
	if rest, ok := strings.CutPrefix(string(id[:]), "A2-"); ok {
		if v := strings.Split(rest, "-"); len(v) > 3 && number(v[0]) && number(v[1]) && number(v[2]) {
			return "aria2 " + strings.Join(v[:3], ".")
		}
	}
	azureus := id[0] == '-' && id[7] == '-'
	if name, ok := programs[string(id[1:3])]; ok && azureus {
		return name + " " + azureusVersion(id[3:7])
	}
	if agent = printable(agent, maxWord); agent != "" {
		return agent
	}
	if azureus {
		return printable(string(id[1:7]), maxWord)
	}
	return printable(string(id[:8]), maxWord)
}

// azureusVersion writes the four signs of a version with points, without zeros at its end: 1360 is 1.3.6, but 3000 is 3.0.
func azureusVersion(b []byte) string {
	v := strings.Split(printable(string(b), maxWord), "")
	for len(v) > 2 && (v[len(v)-1] == "0" || v[len(v)-1] == "-") {
		v = v[:len(v)-1]
	}
	return strings.Join(v, ".")
}

func number(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

// printable returns what people may be shown of words that come from elsewhere: no more bytes than that, and no signs that are not seen.
func printable(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, s)
	for len(s) > most {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
