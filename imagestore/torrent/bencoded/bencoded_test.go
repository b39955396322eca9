package bencoded

import (
	"bytes"
	"runtime"
	"strings"
	"testing"

	"github.com/anacrolix/torrent/bencode"
)

func TestCut(t *testing.T) {
	for _, c := range []struct{ bytes, value, rest string }{
		{"i0e", "i0e", ""},
		{"i-7e4:", "i-7e", "4:"},
		{"i99999999999999999999e", "i99999999999999999999e", ""}, // what fits where, the decoder knows
		{"0:", "0:", ""},
		{"2:e:l", "2:e:", "l"},
		{"le", "le", ""},
		{"li1e1:ae!", "li1e1:ae", "!"},
		{"d1:b1:x1:ali1eee" + "d", "d1:b1:x1:ali1eee", "d"},
		{"d1:ai1e1:ai2ee", "d1:ai1e1:ai2ee", ""},
		{deep(Deepest), deep(Deepest), ""},
	} {
		value, rest, err := Cut([]byte(c.bytes))
		if err != nil || string(value) != c.value || string(rest) != c.rest {
			t.Errorf("Cut(%.30q) = %.30q, %.30q, %v, want %.30q, %.30q", c.bytes, value, rest, err, c.value, c.rest)
		}
	}
}

func deep(n int) string { return strings.Repeat("l", n) + strings.Repeat("e", n) }

func TestWhatIsNotBencodedIsRefused(t *testing.T) {
	for _, c := range []struct{ bytes, says string }{
		{"", "ends in the middle"},
		{"i5", "ends in the middle"},
		{"i-", "ends in the middle"},
		{"12", "ends in the middle"},
		{"4:abc", "ends in the middle"},
		{"9999999999:abc", "ends in the middle"},
		{"99999999999999999999:abc", "ends in the middle"},
		{"-1:abc", "ends in the middle"},
		{"l1:a", "ends in the middle"},
		{"d1:a", "ends in the middle"},
		{"d1:a1:b", "ends in the middle"},
		{"e", "not bencoded"},
		{"<html>", "not bencoded"},
		{"ie", "not bencoded"},
		{"i-e", "not bencoded"},
		{"i--1e", "not bencoded"},
		{"i01e", "not bencoded"},
		{"i-0e", "not bencoded"},
		{"i+1e", "not bencoded"},
		{"i1.5e", "not bencoded"},
		{"i" + strings.Repeat("9", 1000) + "e", "not bencoded"},
		{"01:a", "not bencoded"},
		{":a", "not bencoded"},
		{"d1:ae", "not bencoded"},
		{"di1e1:ae", "not bencoded"},
		{"l\x00e", "not bencoded"},
		{deep(Deepest + 1), "nested too deeply"},
		{strings.Repeat("l", 16<<20), "nested too deeply"},
		{strings.Repeat("d1:a", 4<<20), "nested too deeply"},
	} {
		if value, _, err := Cut([]byte(c.bytes)); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("Cut(%.30q) = %.30q, %v, want an error that says %s", c.bytes, value, err, c.says)
		}
		var v any
		if err := Decode([]byte(c.bytes), &v); err == nil {
			t.Errorf("Decode(%.30q) made %v of it", c.bytes, v)
		}
	}
}

func TestDecode(t *testing.T) {
	var list []string
	if err := Decode([]byte("l1:a2:bcei5e"), &list); err != nil || len(list) != 2 || list[1] != "bc" {
		t.Errorf("a list is decoded as %q, %v", list, err)
	}
	var n int64
	for _, other := range []string{"1:5", "i99999999999999999999e", "le", "de"} {
		if err := Decode([]byte(other), &n); err == nil {
			t.Errorf("%s is decoded as the number %d", other, n)
		}
	}
}

// A string's length is not believed before its bytes are there.
func TestLengthsThatAreLiesTakeNoMemory(t *testing.T) {
	var v any
	for _, b := range []string{"134217727:", "d134217727:", "d1:v134217727:x"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_ = Decode([]byte(b), &v)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
			t.Errorf("%q: %d bytes are allocated", b, took)
		}
	}
}

func TestPrintable(t *testing.T) {
	for _, c := range []struct {
		words string
		most  int
		want  string
	}{
		{"Transmission 4.0", 64, "Transmission 4.0"},
		{"a\x00\x1b[2J\xff\xfe\nb\x7f", 64, "a[2Jb"},
		{strings.Repeat("é", 100), 5, "éé"},
		{"", 5, ""},
	} {
		if got := Printable(c.words, c.most); got != c.want {
			t.Errorf("Printable(%.20q, %d) = %q, want %q", c.words, c.most, got, c.want)
		}
	}
}

// What the encoder writes is cut as it is, and nothing that is cut brings the decoder down.
func FuzzCut(f *testing.F) {
	for _, seed := range []string{"d1:ai1e1:bl1:ceei5e", "i-0e", "134217727:", "d1:md11:lt_donthavei7ee1:v1:ae", deep(40)} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		value, rest, err := Cut(b)
		if err != nil {
			return
		}
		if !bytes.Equal(append(bytes.Clone(value), rest...), b) {
			t.Fatalf("%q is cut into %q and %q", b, value, rest)
		}
		var v any
		if Decode(value, &v) != nil {
			return
		}
		written, err := bencode.Marshal(v)
		if err != nil {
			return // of numbers that have no form
		}
		if again, rest, err := Cut(written); err != nil || len(rest) > 0 || !bytes.Equal(again, written) {
			t.Errorf("%q is cut into %q and %q, %v", written, again, rest, err)
		}
	})
}
