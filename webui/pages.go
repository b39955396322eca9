package webui

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"io/fs"
	"path"
	"strings"
	"time"
	"unicode"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/imagestore/multicast"
	"aula/netboot"
)

//go:embed templates
var templateFiles embed.FS

// pages are the console's templates: one set for each page, made of the frame, the fragments that pages share, and
// the page's own file.
type pages struct {
	byName    map[string]*template.Template
	fragments *template.Template
}

func loadPages() (*pages, error) {
	shared, err := template.New("shared").Option("missingkey=error").Funcs(pageFuncs()).
		ParseFS(templateFiles, "templates/*.html")
	if err != nil {
		return nil, fmt.Errorf("read the templates: %w", err)
	}
	p := &pages{byName: map[string]*template.Template{}, fragments: shared}
	files, err := fs.Glob(templateFiles, "templates/page/*.html")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		own, err := shared.Clone()
		if err == nil {
			own, err = own.ParseFS(templateFiles, file)
		}
		if err != nil {
			return nil, fmt.Errorf("read the templates: %w", err)
		}
		p.byName[strings.TrimSuffix(path.Base(file), ".html")] = own
	}
	// Go refuses to clone a template that was executed; fragments are executed from a set of their own.
	p.fragments, err = shared.Clone()
	return p, err
}

// fragment renders a piece of a page on its own.
func (p *pages) fragment(name string, view any) (string, error) {
	var b strings.Builder
	err := p.fragments.ExecuteTemplate(&b, name, view)
	return strings.Map(visible, strings.TrimSpace(b.String())), err
}

// visible replaces what cannot be seen and could mislead: a disk that calls itself by control characters, or by those that
// turn the reading direction around, must not look like another in the list of what will be erased.
func visible(r rune) rune {
	if r != '\n' && r != '\t' && unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
		return unicode.ReplacementChar
	}
	return r
}

// pageFuncs are what templates may call: how the console writes numbers.
func pageFuncs() template.FuncMap {
	return template.FuncMap{
		"icon":      icon,
		"glyph":     glyph,
		"glyphs":    glyphs,
		"size":      size,
		"memory":    memory,
		"moment":    moment,
		"timeOfDay": timeOfDay,
		"machine":   machine,
		"firmware":  firmware,
		"count":     count,
		"sentence":  sentence,
		"diskTitle": diskTitle,
		"partTitle": partitionTitle,
		"iso":       func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"add":       func(a, b int) int { return a + b },
		"lower":     strings.ToLower,
		"speed":     speed,
		"modes": func() []multicast.Mode {
			return []multicast.Mode{multicast.FullDuplex, multicast.HalfDuplex, multicast.Broadcast}
		},
		"modeChoices": func() []bootChoice {
			var all []bootChoice
			for _, m := range []netboot.Mode{netboot.ModeAuto, netboot.ModeFull, netboot.ModeProxy} {
				all = append(all, bootChoice{string(m), modeWords[m]})
			}
			return all
		},
		"textRows": func(text string) int { return min(24, max(5, strings.Count(text, "\n")+2)) },
		"choose":   func(tree []branch, room string) any { return roomOptions{tree, room} },
		"pick":     func(rooms []pickRoom, kind string) any { return pickList{rooms, kind} },
		"pickFrom": func(all any, chosen string) any { return options{all, chosen} },
	}
}

// A page is what the frame around every page needs.
type page struct {
	Title   string
	Active  string // entry of the navigation
	User    string // empty before login
	Pending int
	Version string
	Bare    bool     // built without its foreign assets
	Last    string   // id of the live event that the page already shows
	Topics  []string // of the live stream
	Path    string   // of the page itself, for parts that fetch themselves again
	Did     string   // what the form before this page has done, in a few words

	Attention attention // what every page says of the network
}

// page begins a page. It is called before the page's data is read, so that no event falls between.
func (s *Server) page(c echo.Context, active, title string) page {
	r := c.Request()
	p := page{Title: title, Active: active, Version: s.cfg.Version, Bare: s.assets.bare, Path: r.URL.RequestURI()}
	if who := callerOf(r.Context()); who.User != "" {
		p.User, p.Last = who.User, s.live.last()
		p.Did = didWords[c.QueryParam("did")]
		p.Pending, _ = s.pendingCount() // the badge is no reason to fail a page
		p.Attention = s.attention()
	}
	return p
}

// didWords are the confirmations that a form leaves on the page it leads to.
var didWords = map[string]string{
	"accepted": "Accepted.",
	"saved":    "Saved.",
	"added":    "Added.",
	"removed":  "Removed.",

	"registered": "Registered. Its file may come by any way: a capture, an upload, or a file put into the folder.",
	"back":       "Brought back from the trash.",
	"deleted":    "Deleted for ever.",
	"discarded":  "Upload discarded.",
	"forgiven":   "It may boot the client OS again.",
	"network":    "Done.",
	"password":   "Password changed. Other logins of this user have ended.",
}

func (s *Server) pendingCount() (int, error) {
	computers, err := s.cfg.Catalog.Computers()
	n := 0
	for _, pc := range computers {
		if pc.State == catalog.Pending {
			n++
		}
	}
	return n, err
}

// render answers a page whole or, when its template fails, an error and nothing of it.
func (s *Server) render(c echo.Context, status int, name string, view any) error {
	t := s.pages.byName[name]
	if t == nil {
		return fmt.Errorf("page %q has no template", name)
	}
	var b bytes.Buffer
	if err := t.ExecuteTemplate(&b, "frame", view); err != nil {
		return fmt.Errorf("page %q: %w", name, err)
	}
	return c.HTMLBlob(status, bytes.Map(visible, b.Bytes()))
}

type errorPage struct {
	page
	Text string
}

// roomOptions, options and pickList are what their fragments need.
type (
	roomOptions struct {
		Tree   []branch
		Chosen string
	}
	options struct {
		All    any
		Chosen string
	}
	pickList struct {
		Rooms []pickRoom
		Type  string // radio or checkbox
	}
)
