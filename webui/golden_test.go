package webui

import (
	"flag"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"aula/clientos/protocol"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// calm takes from a page what differs from run to run: random ids and digests, and the frame, which has a golden file of
// its own.
func (b *bed) calm(html string) string {
	html = strings.NewReplacer(b.names...).Replace(html)
	html = regexp.MustCompile(`data-last="[^"]*"`).ReplaceAllString(html, `data-last="LAST"`)
	html = regexp.MustCompile(`(name="seen" value=)"[0-9a-f]{64}"`).ReplaceAllString(html, `$1"SEEN"`)
	html = regexp.MustCompile(`[0-9.]+ [kMGT]B free`).ReplaceAllString(html, "SPACE free")
	html = regexp.MustCompile(`SPACE free of [0-9.]+ [kMGT]B<progress max="100" value="[0-9]+"`).ReplaceAllString(html, `SPACE free of SPACE<progress max="100" value="USED"`)
	return html
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", "golden", name+".html")
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("%v (make it with go test ./webui -run TestGolden -update)", err)
	}
	if got == string(want) {
		return
	}
	g, w := strings.Split(got, "\n"), strings.Split(string(want), "\n")
	for i := range g {
		if i >= len(w) || g[i] != w[i] {
			wanted := "(nothing)"
			if i < len(w) {
				wanted = w[i]
			}
			t.Fatalf("%s differs at line %d (accept it with -update):\ngot  %s\nwant %s", file, i+1, g[i], wanted)
		}
	}
	t.Fatalf("%s has more lines than the page: want %q", file, w[len(g):])
}

// mainOf is the part of a page within its frame.
func mainOf(t *testing.T, html string) string {
	t.Helper()
	_, rest, ok := strings.Cut(html, `<main id="main" tabindex="-1">`)
	inner, _, end := strings.Cut(rest, "</main>")
	if !ok || !end {
		t.Fatalf("page has no main part:\n%s", html)
	}
	return strings.TrimSpace(inner) + "\n"
}

func TestGoldenPages(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	stranger := b.visit(ts)
	golden(t, "setup", b.calm(stranger.get("/setup").want(http.StatusOK).body)) // with the frame before login
	br := b.login(ts)
	golden(t, "overview-empty", mainOf(t, b.calm(br.get("/").body)))
	golden(t, "pending-empty", mainOf(t, b.calm(br.get("/pending").body)))
	golden(t, "images-empty", mainOf(t, b.calm(br.get("/images").body)))
	golden(t, "operations-empty", mainOf(t, b.calm(br.get("/operations").body)))
	golden(t, "torrents-empty", mainOf(t, b.calm(br.get("/torrents").body)))

	room := b.hall("Faculty", "Room-1")
	model, second, third := b.enrol(room, 1), b.enrol(room, 2), b.enrol(room, 3)
	b.arrive(4)
	b.publish("win11", model, true)
	b.clock.move(5 * time.Minute)
	b.leave(third)
	capture := b.start("capture", url.Values{"pc": {model.ID}, "part": {"1/4"}, "image": {"debian"}})
	b.report(model, protocol.Report{Stage: protocol.StageReading, Bytes: 8 * gigabyte, Total: 24 * gigabyte, Rate: 100_000_000})
	restore := b.start("restore", url.Values{"pc": {second.ID}, "image": {"win11"}})
	b.report(second, protocol.Report{State: protocol.Failed, Stage: protocol.StageWriting, Dirty: true, Failure: &protocol.Failure{
		Code: protocol.ErrImage, Stage: protocol.StageWriting, Problem: "disk 1 cannot be written", Advice: "replace the disk", Detail: "input/output error"}})

	img, err := b.images.Image("win11")
	if err != nil {
		t.Fatal(err)
	}
	b.share(img)
	golden(t, "torrents", mainOf(t, b.calm(br.get("/torrents").body)))
	b.swarms.set(nil, nil, nil)

	golden(t, "frame", b.calm(strings.Replace(br.get("/operations").body, mainOf(t, br.get("/operations").body), "MAIN\n", 1)))
	for name, path := range map[string]string{
		"overview": "/", "room": "/classrooms/" + room.ID, "rooms": "/rooms", "pending": "/pending", "computer": "/computers/" + second.ID,
		"images": "/images", "image": "/images/win11", "capture": "/capture?pc=" + third.ID, "capture-pick": "/capture",
		"restore": "/restore?image=win11&pc=" + second.ID + "&pc=" + third.ID, "restore-pick": "/restore",
		"restore-check":        "/restore/check?method=UNICAST-DIRECT&image=win11&pc=" + second.ID + "&pc=" + third.ID,
		"restore-check-layout": "/restore/check?method=UNICAST-DIRECT&image=win11&layout=1&pc=" + second.ID,
		"power":                "/power?kind=poweroff&pc=" + second.ID, "operations": "/operations", "operation-running": capture, "operation-failed": restore,
		"settings": "/settings",
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, mainOf(t, b.calm(br.get(path).want(http.StatusOK).body))) })
	}
	golden(t, "not-found", mainOf(t, b.calm(br.get("/nowhere").body)))
	golden(t, "login", mainOf(t, b.calm(stranger.get("/login").body)))
	golden(t, "name-taken", br.get("/capture/name?image=win11").body+"\n")
	golden(t, "name-free", br.get("/capture/name?image=win12").body+"\n")
	golden(t, "name-bad", br.get("/capture/name?image=win+11").body+"\n")
}
