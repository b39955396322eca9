package protocol

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestBoundCutsAHostileReport has a PC that says as much as a message holds.
func TestBoundCutsAHostileReport(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ñ", 100_000)
	f := Failure{Code: 5, Stage: long, Problem: long, Advice: long, Detail: long}
	r := Report{ID: "x", State: Failed, Stage: long, Slow: long, Failure: &f}
	for range 1000 {
		r.Notes, r.Warnings = append(r.Notes, long), append(r.Warnings, f)
		r.Scripts = append(r.Scripts, ScriptResult{Name: long, Exit: 3, Output: long + "last words"})
	}
	r.Bound()
	data, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	if most := maxNotes*600 + (maxWarnings+1)*(3*maxWords+600) + maxResults*(maxWords+400) + 1000; len(data) > most {
		t.Errorf("the report takes %d bytes, want at most %d", len(data), most)
	}
	if len(r.Notes) != maxNotes || len(r.Warnings) != maxWarnings || len(r.Scripts) != maxResults {
		t.Errorf("%d notes, %d warnings and %d scripts are left", len(r.Notes), len(r.Warnings), len(r.Scripts))
	}
	for _, text := range []string{r.Stage, r.Notes[31], r.Failure.Problem, r.Scripts[0].Output} {
		if !utf8.ValidString(text) {
			t.Errorf("%.20q is not text any more", text)
		}
	}
	if !strings.HasSuffix(r.Scripts[0].Output, "last words") || r.Failure.Code != 5 || len(f.Problem) != len(long) {
		t.Error("the last words of a script, or the code, are lost, or what the sender holds has changed")
	}
	if err := r.Check(); err != nil {
		t.Errorf("what was cut is refused: %v", err)
	}
}

func TestBoundLeavesAnHonestReport(t *testing.T) {
	t.Parallel()
	r := Report{
		ID: "x", State: Done, Stage: StageConfiguring, Slow: SlowDisk, Notes: []string{"no room in the cache"},
		Warnings: []Failure{{Code: 40, Problem: "the script failed", Advice: "see to it"}}, Scripts: []ScriptResult{{Name: "image x", Exit: 1, Output: "no such file"}},
	}
	want := r
	if r.Bound(); !reflect.DeepEqual(r, want) {
		t.Errorf("got %+v, want %+v", r, want)
	}
}

func TestBoundOfACache(t *testing.T) {
	t.Parallel()
	h := Hello{Running: &Report{Stage: strings.Repeat("x", 5000)}}
	h.Inventory.Cache = &CacheState{Bytes: -7, Free: -8, Problem: strings.Repeat("x", 10_000)}
	images := []CachedImage{{Name: strings.Repeat("n", 300)}, {Name: "windows11", Bytes: -9}}
	for range 1000 {
		images = append(images, CachedImage{Name: "ubuntu"})
	}
	h.Inventory.Cache.Images = images
	h.Bound()
	c := h.Inventory.Cache
	if c.Bytes != 0 || c.Free != 0 || len(c.Problem) != maxWords || len(c.Images) != maxCached || c.Images[0] != (CachedImage{Name: "windows11"}) {
		t.Errorf("cache of %d and %d bytes, %d images, the first %.20q", c.Bytes, c.Free, len(c.Images), c.Images[0].Name)
	}
	if len(h.Running.Stage) != maxText {
		t.Errorf("the stage that it is at is %d bytes long", len(h.Running.Stage))
	}
	var none Inventory
	if none.Bound(); none.Cache != nil {
		t.Error("a cache appeared")
	}
}
