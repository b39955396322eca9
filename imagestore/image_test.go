package imagestore

import (
	"bytes"
	"path"
	"reflect"
	"testing"
)

// FuzzParseImage reads whatever comes as a record; what is accepted must be written the same again.
func FuzzParseImage(f *testing.F) {
	r := openRepository(f, f.TempDir())
	good, err := publishFile(f, r, "lab", imageFile(f, 1)).encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	for _, cut := range []string{`"lab"`, `"revision": 1`, `"md5"`, `{`} {
		f.Add(bytes.Replace(good, []byte(cut), []byte(`"../../x"`), 1))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		img, err := parseImage(data)
		if err != nil {
			return
		}
		if err := CheckName(img.Name); err != nil {
			t.Error(err)
		}
		again, err := img.encode()
		if err != nil {
			t.Fatal(err)
		}
		same, err := parseImage(again)
		if err != nil || !reflect.DeepEqual(same, img) {
			t.Errorf("%+v becomes %+v, %v", img, same, err)
		}
	})
}

// FuzzLedger reads whatever comes as a ledger, which must not lead out of the folder.
func FuzzLedger(f *testing.F) {
	for _, seed := range []string{`{"given":3,"removed":2,"trash":"AAAAAAAAAAAAAAAAAAAAAAAAAA"}`, `{"given":3}`, `{"trash":"../../etc"}`, `{"given":-1}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := parseLedger(data)
		if err == nil && (l.Given < l.Removed || l.Removed < 0 || l.Trash != "" && path.Base(l.Trash) != l.Trash) {
			t.Errorf("%q is taken for %+v", data, l)
		}
	})
}

// FuzzTrashRecord reads whatever comes as the record of an image in the trash.
func FuzzTrashRecord(f *testing.F) {
	for _, seed := range []string{`{"name":"lab","removed":"2026-03-01T12:00:00Z"}`, `{"name":"../lab"}`, `{"name":""}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		record, err := parseTrashRecord(data)
		if err == nil && CheckName(record.Name) != nil {
			t.Errorf("%q is taken for %+v", data, record)
		}
	})
}
