package metainfo

import (
	"bytes"
	"crypto/sha1"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// announceURL is the tracker of an OpenGnsys repository.
const announceURL = "http://192.0.2.1:6969/announce"

// ctorrent is a torrent as OpenGnsys' ctorrent writes it: "ctorrent -t FILE -u http://REPO:6969/announce -s OUT -c FULLMD5 -l 4194304".
func ctorrent(name string, length int64, pieces []byte) []byte {
	return fmt.Appendf(nil, "d8:announce30:%s7:comment32:0123456789abcdef0123456789abcdef10:created by31:CTorrent/1.3.4-dnh3.3.2 (+dnh) "+
		"13:creation datei1700000000e4:infod6:lengthi%de4:name%d:%s12:piece lengthi4194304e6:pieces%d:%see", announceURL, length, len(name), name, len(pieces), pieces)
}

func TestParseOpenGnsys(t *testing.T) {
	t.Parallel()
	sums := bytes.Repeat([]byte("01234567890123456789"), 2)
	data := ctorrent("lab.img", 4<<20+1, sums)
	got, err := Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "lab.img" || got.Length != 4<<20+1 || got.PieceLength != 4<<20 || !bytes.Equal(got.Pieces, sums) || got.Private ||
		!slices.Equal(got.Announce, []string{announceURL}) || got.Comment != "0123456789abcdef0123456789abcdef" {
		t.Errorf("parsed to %+v", got)
	}
	info := data[bytes.Index(data, []byte("d6:length")) : len(data)-1]
	if want := Hash(sha1.Sum(info)); got.Hash != want {
		t.Errorf("info-hash %s, want %s", got.Hash, want)
	}
	if got.Count() != 2 || got.Size(0) != 4<<20 || got.Size(1) != 1 || got.Offset(1) != 4<<20 || got.Sum(1) != [20]byte(sums[20:]) {
		t.Errorf("%d pieces of %d and %d bytes", got.Count(), got.Size(0), got.Size(1))
	}
}

// with returns a good torrent of one piece in which the info dictionary's value of key is another, or is added; "" takes it away.
func with(key, value string) []byte {
	values := map[string]string{
		"length": "i65536e", "name": "7:lab.img", "piece length": "i65536e", "pieces": "20:" + strings.Repeat("x", 20), "private": "i1e",
	}
	values[key] = value
	var b strings.Builder
	b.WriteString("d4:infod")
	var keys []string
	for k, v := range values {
		if v != "" {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	for _, k := range keys {
		fmt.Fprintf(&b, "%d:%s%s", len(k), k, values[k])
	}
	return []byte(b.String() + "ee")
}

// named returns a good torrent of a file of that name.
func named(name string) []byte { return with("name", fmt.Sprintf("%d:%s", len(name), name)) }

func TestParseHostile(t *testing.T) {
	t.Parallel()
	good := string(with("", ""))
	tests := []struct {
		what string
		data []byte
		say  string // that the error must have
	}{
		{"nothing", nil, "no torrent"},
		{"a web page", []byte("<html>"), "no torrent"},
		{"a list", []byte("le"), "no dictionary"},
		{"no info", []byte("d8:announce3:xyze"), "no info dictionary"},
		{"info is text", []byte("d4:info4:texte"), "no dictionary"},
		{"bytes after the end", []byte(good + "x"), "follow after its end"},
		{"info is there twice", []byte("d4:infode" + good[1:]), "twice"},
		{"name is there twice", []byte(strings.Replace(good, "4:name7:lab.img", "4:name7:lab.img4:name7:bad.img", 1)), "twice"},
		{"lists without end", bytes.Repeat([]byte("l"), 1<<20), "no dictionary"},
		{"deep lists", []byte("d1:a" + strings.Repeat("l", 1<<20)), "deep"},
		{"deep dictionaries", []byte("d1:a" + strings.Repeat("d1:a", 1<<20)), "deep"},
		{"deep in info", with("x", strings.Repeat("l", 40)+strings.Repeat("e", 40)), "deep"},
		{"length of a string is huge", []byte("d4:infod6:pieces9223372036854775807:xee"), "in the middle"},
		{"length of a string is no number", []byte("d4:infod6:pieces99999999999999999999999:xee"), "no number"},
		{"length of a string is negative", []byte("d4:infod6:pieces-5:xee"), "in the middle"},
		{"length of a string has a zero", []byte("d04:infodee"), "no number"},
		{"more keys than any has", []byte("d" + manyKeys() + "e"), "keys"},

		{"several files", with("files", "ld6:lengthi1e4:pathl1:aeee"), "several files"},
		{"several files and no length", bytes.Replace(with("files", "ld6:lengthi1e4:pathl1:aeee"), []byte("6:lengthi65536e"), nil, 1), "several files"},
		{"version 2 only", []byte("d4:infod9:file treed7:lab.imgd0:d6:lengthi65536eeee12:meta versioni2e4:name7:lab.img12:piece lengthi65536eee"), "version 2"},

		{"no name", with("name", ""), "name"},
		{"name is a number", with("name", "i5e"), "name"},
		{"name is a list", with("name", "l7:lab.imge"), "name"},
		{"empty name", named(""), "no name"},
		{"name is the folder", named("."), "dot"},
		{"name is the folder above", named(".."), "dot"},
		{"hidden file", named(".bashrc"), "dot"},
		{"path up", named("../../etc/passwd"), "path"},
		{"absolute path", named("/etc/passwd"), "path"},
		{"path of Windows", named(`..\boot.ini`), "path"},
		{"path of Windows with a drive", named(`C:\boot.ini`), "path"},
		{"folder", named("lab.img/"), "path"},
		{"name has a NUL", named("lab.img\x00.txt"), "do not show"},
		{"name has a line break", named("lab\n.img"), "do not show"},
		{"name has an escape sequence", named("\x1b[2Jlab.img"), "do not show"},
		{"name reads backwards", named("lab\u202egmi.exe"), "do not show"},
		{"name is not UTF-8", named("lab\xff.img"), "UTF-8"},
		{"name is too long", named(strings.Repeat("x", 256)), "longer than 255"},
		{"name is far too long", named(strings.Repeat("x", 1<<20)), "too long"},

		{"no length", with("length", ""), "length of its file"},
		{"length is text", with("length", "5:65536"), "length of its file"},
		{"length is zero", with("length", "i0e"), "cannot be shared"},
		{"length is negative", with("length", "i-65536e"), "cannot be shared"},
		{"length is the least number", with("length", "i-9223372036854775808e"), "cannot be shared"},
		{"length is no number that fits", with("length", "i9223372036854775808e"), "no number"},
		{"length has a zero before it", with("length", "i065536e"), "no number"},
		{"length is minus nothing", with("length", "i-0e"), "no number"},
		{"length is the greatest number", with("length", "i9223372036854775807e"), "sums of 1 pieces"},
		{"length has a byte too much", with("length", "i65537e"), "sums of 1 pieces"},

		{"no piece length", with("piece length", ""), "length of its pieces"},
		{"piece length is zero", with("piece length", "i0e"), "pieces of 0 bytes"},
		{"piece length is negative", with("piece length", "i-65536e"), "pieces of -65536 bytes"},
		{"piece length is odd", with("piece length", "i65537e"), "pieces of 65537 bytes"},
		{"piece length is tiny", with("piece length", "i8192e"), "pieces of 8192 bytes"},
		{"piece length is huge", with("piece length", "i134217728e"), "pieces of 134217728 bytes"},

		{"no sums", with("pieces", ""), "sums"},
		{"sums are a number", with("pieces", "i5e"), "sums"},
		{"sums are empty", with("pieces", "0:"), "sums of 0 pieces"},
		{"sums are cut", with("pieces", "19:"+strings.Repeat("x", 19)), "cut off"},
		{"a sum too much", with("pieces", "40:"+strings.Repeat("x", 40)), "sums of 2 pieces"},
	}
	for _, test := range tests {
		t.Run(test.what, func(t *testing.T) {
			t.Parallel()
			got, err := Parse(test.data)
			if err == nil {
				t.Fatalf("taken for %+v", got)
			}
			if !strings.Contains(err.Error(), test.say) || len(err.Error()) > 400 {
				t.Errorf("says %q, want %q", err, test.say)
			}
		})
	}
}

func manyKeys() string {
	var b strings.Builder
	for i := range 100000 {
		fmt.Fprintf(&b, "6:%06di1e", i)
	}
	return b.String()
}

// TestParseCut cuts a good torrent at every byte.
func TestParseCut(t *testing.T) {
	t.Parallel()
	data := ctorrent("lab.img", 1, make([]byte, 20))
	for i := range data {
		if _, err := Parse(data[:i]); err == nil {
			t.Fatalf("cut after %d bytes: no error", i)
		}
	}
}

func TestParseManyPieces(t *testing.T) {
	t.Parallel()
	const pieces = MaxPieces + 1
	data := with("pieces", fmt.Sprintf("%d:%s", 20*pieces, make([]byte, 20*pieces)))
	data = bytes.Replace(data, []byte("6:lengthi65536e"), fmt.Appendf(nil, "6:lengthi%de", int64(pieces)<<16), 1)
	if _, err := Parse(data); err == nil || !strings.Contains(err.Error(), "larger ones") {
		t.Errorf("%v", err)
	}
	if _, err := Parse(make([]byte, MaxFile+1)); err == nil || !strings.Contains(err.Error(), "are not read") {
		t.Errorf("%v", err)
	}
}

// TestParseAllocates little more than what it is given, whatever that says of itself. It does not run beside other tests, whose memory would count.
func TestParseAllocates(t *testing.T) {
	const size = 2 << 20
	tests := []struct {
		what string
		data []byte
	}{
		{"sums of a large file", bytes.Replace(with("pieces", fmt.Sprintf("%d:%s", size, make([]byte, size))),
			[]byte("6:lengthi65536e"), fmt.Appendf(nil, "6:lengthi%de", int64(size/20)<<16), 1)},
		{"many small values in a list", with("x", "l"+strings.Repeat("i1e", size/3)+"e")},
		{"many lists", with("x", "l"+strings.Repeat("le", size/2)+"e")},
		{"many keys", with("x", "d"+strings.Repeat("0:0:", size/4)+"e")},
		{"many trackers", []byte("d13:announce-listl" + strings.Repeat("l0:e", size/4) + "e" + string(with("", "")[1:]))},
		{"long comment", fmt.Appendf(nil, "d7:comment%d:%s%s", size, make([]byte, size), with("", "")[1:])},
		{"long name", named(strings.Repeat("x", size))},
		{"length of a string is huge", []byte("d4:infod4:name9223372036854775807:xee")},
	}
	for _, test := range tests {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, _ = Parse(test.data)
		runtime.ReadMemStats(&after)
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(len(test.data)+len(test.data)/2+1<<20); got > most {
			t.Errorf("%s: %d bytes of memory for %d, more than %d", test.what, got, len(test.data), most)
		}
	}
}

// TestParseForeign tells refusals apart that another torrent of the same file helps against.
func TestParseForeign(t *testing.T) {
	t.Parallel()
	if _, err := Parse(with("files", "le")); !errors.Is(err, ErrForeign) {
		t.Errorf("several files: %v", err)
	}
	if _, err := Parse(named("..")); errors.Is(err, ErrForeign) {
		t.Errorf("hostile name: %v", err)
	}
}

// TestParseOdd takes what honest tools write.
func TestParseOdd(t *testing.T) {
	t.Parallel()
	tests := []struct {
		what string
		data []byte
	}{
		{"source added by a private site", with("source", "3:abc")},
		{"hybrid (BEP 52)", with("meta version", "i2e")},
		{"pieces of three blocks", bytes.Replace(with("piece length", "i49152e"), []byte("i65536e"), []byte("i49152e"), 1)},
		{"name with spaces and letters of others", named("Aula 3 – Física ñ.img")},
		{"name of 255 bytes", named(strings.Repeat("x", 255))},
		{"keys not sorted", []byte("d4:info" + string(with("", "")[7:len(with("", ""))-1]) + "8:announce3:abce")},
		{"deep unknown value", with("x", strings.Repeat("l", 20)+strings.Repeat("e", 20))},
	}
	for _, test := range tests {
		got, err := Parse(test.data)
		if err != nil {
			t.Errorf("%s: %v", test.what, err)
			continue
		}
		again, err := Parse(got.Encode())
		if err != nil || again.Hash != got.Hash {
			t.Errorf("%s: written again it has another info-hash: %v", test.what, err)
		}
	}
}

func TestTrackers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		what string
		head string // of the dictionary, before info
		want []string
	}{
		{"none", "", nil},
		{"one", "8:announce10:http://a/x", []string{"http://a/x"}},
		{"list and announce", "8:announce10:http://a/x13:announce-listll10:http://a/xel10:http://b/xee", []string{"http://a/x", "http://b/x"}},
		{"announce is not in the list", "8:announce10:http://a/x13:announce-listll10:http://b/xee", []string{"http://b/x", "http://a/x"}},
		{"tier of two", "13:announce-listll10:http://b/x12:udp://a:6969ee", []string{"http://b/x", "udp://a:6969"}},
		{"list is one of texts", "8:announce10:http://a/x13:announce-listl10:http://b/xe", []string{"http://a/x"}},
		{"list is a number", "8:announce10:http://a/x13:announce-listi1e", []string{"http://a/x"}},
		{"announce is a number", "8:announcei1e13:announce-listll10:http://b/xee", []string{"http://b/x"}},
		{"other schemes", "13:announce-listll6:wss://16:dht://0123456789" + "18:file:///etc/passwdel10:http://b/xee", []string{"http://b/x"}},
	}
	for _, test := range tests {
		got, err := Parse([]byte("d" + test.head + string(with("", "")[1:])))
		if err != nil || !slices.Equal(got.Announce, test.want) {
			t.Errorf("%s: %v %v, want %v", test.what, got, err, test.want)
		}
	}
	var many strings.Builder
	for i := range 200 {
		fmt.Fprintf(&many, "l12:http://%03d/xe", i)
	}
	got, err := Parse([]byte("d13:announce-listl" + many.String() + "e" + string(with("", "")[1:])))
	if err != nil || len(got.Announce) != maxTrackers {
		t.Errorf("200 trackers: %v", err)
	}
	for _, bad := range []string{
		"", "announce", "/announce", "http://", "http:///announce", "udp://a", "http://a:0/x", "http://a:65536/x", "ftp://a/x", "javascript:alert(1)",
		"http://a\n/x", "http://a/\xff", "http://a/" + strings.Repeat("x", maxURL),
	} {
		if CheckTracker(bad) == nil {
			t.Errorf("%.40q is taken for a tracker", bad)
		}
	}
	for _, good := range []string{announceURL, "https://tracker.example/announce?key=1", "udp://[2001:db8::1]:6969", "http://a.example"} {
		if err := CheckTracker(good); err != nil {
			t.Error(err)
		}
	}
}

func TestComment(t *testing.T) {
	t.Parallel()
	for comment, want := range map[string]string{
		"hello": "hello", "two\nlines": "two\nlines", "\xff": "", strings.Repeat("x", maxComment+1): "",
	} {
		got, err := Parse(fmt.Appendf(nil, "d7:comment%d:%s%s", len(comment), comment, with("", "")[1:]))
		if err != nil || got.Comment != want {
			t.Errorf("%.20q: %v, %v", comment, got, err)
		}
	}
}

func TestReadFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lab.img.torrent")
	if _, err := ReadFile(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, with("", ""), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadFile(path); err != nil || got.Name != "lab.img" {
		t.Errorf("%v %v", got, err)
	}
	if err := os.Truncate(path, 1<<40); err != nil {
		t.Skipf("SKIPPED: no file of 1 TiB with a hole can be made here: %v", err)
	}
	if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "are not read") || !strings.Contains(err.Error(), path) {
		t.Errorf("file of 1 TiB: %v", err)
	}
}

func TestParseHash(t *testing.T) {
	t.Parallel()
	h := Hash(sha1.Sum(nil))
	if got, err := ParseHash(h.String()); err != nil || got != h {
		t.Errorf("%v %v", got, err)
	}
	for _, bad := range []string{"", "00", h.String() + "00", h.String()[1:], strings.Repeat("x", 40), strings.Repeat("0", 1<<20)} {
		if _, err := ParseHash(bad); err == nil {
			t.Errorf("%.40q is taken for an info-hash", bad)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(ctorrent("lab.img", 4<<20+1, make([]byte, 40)))
	f.Add(with("", ""))
	f.Add(with("files", "ld6:lengthi1e4:pathl1:aeee"))
	f.Add([]byte("d8:announce10:http://a/x13:announce-listll10:http://b/xel10:http://c/xee" + string(with("source", "l1:ae")[1:])))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := Parse(data)
		if err != nil {
			return
		}
		again, err := Parse(got.Encode())
		if err != nil {
			t.Fatalf("%q is taken and, written again, is not: %v", data, err)
		}
		if again.Hash != got.Hash || again.Name != got.Name || again.Length != got.Length || again.PieceLength != got.PieceLength ||
			again.Private != got.Private || again.Comment != got.Comment || !bytes.Equal(again.Pieces, got.Pieces) || !slices.Equal(again.Announce, got.Announce) {
			t.Fatalf("%q is taken for %+v and, written again, for %+v", data, got, again)
		}
		if !bytes.Equal(again.Encode(), got.Encode()) {
			t.Fatalf("%q is written in two ways", data)
		}
	})
}
