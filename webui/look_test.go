package webui

import (
	"fmt"
	"math"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestColoursCanBeRead demands WCAG's contrast (AA: 4.5 for text, 3 for what is not) of every pair that the style uses.
func TestColoursCanBeRead(t *testing.T) {
	css, err := assetFiles.ReadFile("assets/console.css")
	if err != nil {
		t.Fatal(err)
	}
	light, dark, ok := strings.Cut(string(css), "@media (prefers-color-scheme: dark)")
	if !ok {
		t.Fatal("the style has no dark half")
	}
	for name, half := range map[string]string{"light": light, "dark": dark} {
		colour := map[string]float64{}
		for _, m := range regexp.MustCompile(`--([a-z-]+): #([0-9a-f]{6});`).FindAllStringSubmatch(half, -1) {
			colour[m[1]] = luminance(t, m[2])
		}
		for _, pair := range []struct {
			front, back string
			need        float64
		}{
			{"ink", "ground", 4.5}, {"ink", "paper", 4.5}, {"ink", "sunk", 4.5}, {"soft", "ground", 4.5}, {"soft", "paper", 4.5}, {"soft", "sunk", 4.5},
			{"accent", "paper", 4.5}, {"accent", "ground", 4.5}, {"accent-ink", "accent", 4.5}, {"work", "paper", 4.5}, {"good", "paper", 4.5}, {"good", "good-wash", 4.5},
			{"warn", "paper", 4.5}, {"warn", "warn-wash", 4.5}, {"bad", "paper", 4.5}, {"bad", "bad-wash", 4.5}, {"soft", "bad-wash", 4.5}, {"soft", "warn-wash", 4.5},
			{"paper", "bad", 4.5}, {"edge", "paper", 3}, {"work", "sunk", 3},
		} {
			front, okFront := colour[pair.front]
			back, okBack := colour[pair.back]
			if !okFront || !okBack {
				t.Fatalf("%s: no colour %s or %s", name, pair.front, pair.back)
			}
			if got := (max(front, back) + 0.05) / (min(front, back) + 0.05); got < pair.need {
				t.Errorf("%s: %s on %s has a contrast of %.2f, want %.1f", name, pair.front, pair.back, got, pair.need)
			}
		}
	}
}

// luminance is WCAG's relative luminance of a colour in six hexadecimal digits.
func luminance(t *testing.T, hex string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(hex[2*i:2*i+2], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

func TestBuildWithoutForeignAssetsSaysSo(t *testing.T) {
	b := newBed(t)
	b.server.assets.bare = true
	br := b.login(b.serve())
	page := br.get("/").want(http.StatusOK).has("Built without its web assets", "<code>make</code>")
	if strings.Contains(page.body, "vendor/") || strings.Contains(page.body, "type.css") {
		t.Error("the page refers to assets that are not there")
	}
}

func TestAssetsAreAskedForOnce(t *testing.T) {
	b := newBed(t)
	br := b.visit(b.serve())
	first := br.get("/assets/console.css").want(http.StatusOK)
	if got := first.Header.Get("Content-Type"); got != "text/css; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	again := br.request("GET", "/assets/console.css", "", "")
	again.Header.Set("If-None-Match", first.Header.Get("ETag"))
	br.do(again).want(http.StatusNotModified)
	for _, name := range []string{"console.js", "console/live.js", "console/select.js", "console/dialog.js", "console/forms.js", "console/upload.js", "logo.svg"} {
		br.get("/assets/" + name).want(http.StatusOK)
	}
}

// BenchmarkRoom is a page of 500 PCs, all at work.
func BenchmarkRoom(b *testing.B) {
	tiles := make([]tile, 500)
	for i := range tiles {
		tiles[i] = tile{condition: condition{mark: markOf("restoreImage", "running", "writing"), Percent: 42, Rate: "98 MB/s", Left: "3 min left"}, Key: fmt.Sprint("pc-", i), ID: fmt.Sprint(i), Name: fmt.Sprint("pc-", i)}
	}
	p, err := loadPages()
	if err != nil {
		b.Fatal(err)
	}
	view := roomPage{page: page{Title: "Room", User: "admin"}, Room: leaf{Name: "Room"}, Tiles: tiles}
	for b.Loop() {
		var w strings.Builder
		if err := p.byName["room"].ExecuteTemplate(&w, "frame", view); err != nil {
			b.Fatal(err)
		}
	}
}
