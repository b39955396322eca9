package wire

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"aula/imagestore/torrent/bencoded"
)

func TestExtensionsAreWritten(t *testing.T) {
	for _, c := range []struct {
		says Extensions
		want string
	}{
		{Extensions{}, "d1:mdee"},
		{Extensions{Client: "µTorrent 1.2", Listen: 6881, Requests: 255, DontHave: 7}, "d1:md11:lt_donthavei7ee1:pi6881e4:reqqi255e1:v13:µTorrent 1.2e"},
		{Extensions{Block: 262144, Silent: true, UploadOnly: true}, "d10:aula_blocki262144e11:aula_silenti1e1:mde11:upload_onlyi1ee"},
	} {
		if got := string(c.says.Append(nil)); got != c.want {
			t.Errorf("Append = %s, want %s", got, c.want)
		}
		if got, err := ParseExtensions([]byte(c.want)); err != nil || got != c.says {
			t.Errorf("%s: ParseExtensions = %+v, %v, want %+v", c.want, got, err, c.says)
		}
	}
}

func TestExtensionsOfAnyClientAreRead(t *testing.T) {
	long := strings.Repeat("é", 1000)
	for name, c := range map[string]struct {
		body string
		want Extensions
	}{
		"the example of BEP 10": {"d1:md11:LT_metadatai1e6:\xb5T_PEXi2ee1:pi6881e1:v13:\xc2\xb5Torrent 1.2e", Extensions{Client: "µTorrent 1.2", Listen: 6881}},
		"no numbers":            {"d1:v1:ae", Extensions{Client: "a"}},
		"bytes after it":        {"d1:v1:aed1:v1:be", Extensions{Client: "a"}},
		"not sorted, twice":     {"d1:v1:a1:pi1e1:pi2ee", Extensions{Client: "a", Listen: 2}},
		"other types":           {"d1:mi5e1:p4:68814:reqqli1ei2ee11:upload_only1:11:vi7e10:aula_blockd1:ai1ee11:aula_silentlee", Extensions{}},
		"other types within":    {"d1:md11:lt_donthave1:7e1:v1:ae", Extensions{Client: "a"}},
		"out of range":          {"d10:aula_blocki1e1:md11:lt_donthavei256ee1:pi65536e4:reqqi-1ee", Extensions{}},
		"beyond 64 bits":        {"d1:pi99999999999999999999e4:reqqi-99999999999999999999ee", Extensions{}},
		"an extension unlisted": {"d1:md11:lt_donthavei0e11:ut_metadatai3eee", Extensions{}},
		"what is not printed":   {"d1:v11:a\x00\x1b[2J\xff\xfe\nb\x7fe", Extensions{Client: "a[2Jb"}},
		"a long name":           {"d1:v2000:" + long + "e", Extensions{Client: long[:clientLimit]}},
	} {
		if got, err := ParseExtensions([]byte(c.body)); err != nil || got != c.want {
			t.Errorf("%s: ParseExtensions = %+v, %v, want %+v", name, got, err, c.want)
		}
	}
}

func TestWhatIsNoDictionaryIsRefused(t *testing.T) {
	for _, body := range []string{
		"", "e", "d", "de"[:1], "i5e", "le", "3:abc", "x", "d1:v", "d1:v1:a", "d1:ve", "di5e1:ae", "d1:v9999999999999999999:ae",
		"d134217727:ae", "134217727:", "d1:v134217727:", "d-1:ae", "d1:v-1:ae", "d1:pi", "d1:pi-", "d0001:v1:ae", "d1:ax",
		strings.Repeat("l", extendedLimit), "d1:a" + strings.Repeat("l", extendedLimit-10), strings.Repeat("d1:a", extendedLimit/4),
		"d1:a" + strings.Repeat("l", bencoded.Deepest) + strings.Repeat("e", bencoded.Deepest) + "e",
	} {
		if got, err := ParseExtensions([]byte(body)); !errors.Is(err, ErrProtocol) || got != (Extensions{}) {
			t.Errorf("%.40q: ParseExtensions = %+v, %v, want ErrProtocol", body, got, err)
		}
	}
}

// A string's length is not believed before its bytes are there.
func TestLengthsThatAreLiesTakeNoMemory(t *testing.T) {
	for _, body := range []string{"d1:v134217727:", "d134217727:", "d1:a134217727:x"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		ParseExtensions([]byte(body))
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
			t.Errorf("%q: %d bytes are allocated", body, took)
		}
	}
}

func TestDontHave(t *testing.T) {
	b := AppendDontHave([]byte{9}, 0x01020304)
	if !bytes.Equal(b, []byte{9, 1, 2, 3, 4}) {
		t.Errorf("AppendDontHave = %x", b)
	}
	if piece, err := ParseDontHave(b[1:]); err != nil || piece != 0x01020304 {
		t.Errorf("ParseDontHave = %#x, %v", piece, err)
	}
	for _, n := range []int{0, 3, 5} {
		if piece, err := ParseDontHave(make([]byte, n)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%d bytes: ParseDontHave = %d, %v, want ErrProtocol", n, piece, err)
		}
	}
}

func FuzzExtensions(f *testing.F) {
	f.Add([]byte("d1:md11:LT_metadatai1e6:\xb5T_PEXi2ee1:pi6881e1:v13:\xc2\xb5Torrent 1.2e"))
	f.Add(Extensions{Client: "Aula 1", Listen: 6881, Requests: 64, DontHave: 7, UploadOnly: true, Block: 262144, Silent: true}.Append(nil))
	f.Add([]byte("d1:v134217727:"))
	f.Add([]byte("d1:alllllllleeeeeeeee"))
	f.Add([]byte("d1:md11:lt_donthavei99999999999999999999eee"))
	f.Fuzz(func(t *testing.T, body []byte) {
		e, err := ParseExtensions(body)
		if err != nil {
			return
		}
		again, err := ParseExtensions(e.Append(nil))
		if err != nil || !reflect.DeepEqual(again, e) {
			t.Errorf("%q is read as %+v, and what is written of it as %+v, %v", body, e, again, err)
		}
	})
}
