package imagestore

import (
	"bytes"
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
