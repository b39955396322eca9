package webui

import "html/template"

// icons are drawn for a 16 by 16 grid, in lines of the text's colour.
var icons = map[string]string{
	"check":     `<path d="M3 8.5 6.5 12 13 4.5"/>`,
	"cross":     `<path d="m4 4 8 8M12 4l-8 8"/>`,
	"clock":     `<circle cx="8" cy="8" r="5.5"/><path d="M8 5v3l2 1.5"/>`,
	"run":       `<path d="M5.5 3.5v9l7-4.5z"/>`,
	"up":        `<path d="M8 13V3.5M4 7.5 8 3.5l4 4"/>`,
	"down":      `<path d="M8 3v9.5M4 8.5l4 4 4-4"/>`,
	"search":    `<circle cx="7" cy="7" r="4"/><path d="m10 10 3.5 3.5"/>`,
	"unplugged": `<path d="M2 14l3-3M5 8l3 3 1.5-1.5a2.1 2.1 0 0 0-3-3zM14 2l-3 3M9.5 6.5 12 4"/>`,
	"stop":      `<circle cx="8" cy="8" r="5.5"/><path d="m4.2 4.2 7.6 7.6"/>`,
	"half":      `<circle cx="8" cy="8" r="5.5"/><path d="M8 2.5v11a5.5 5.5 0 0 0 0-11z" fill="currentColor"/>`,
	"plus":      `<circle cx="8" cy="8" r="5.5"/><path d="M8 5.5v5M5.5 8h5"/>`,
	"off":       `<circle cx="8" cy="8" r="5.5" stroke-dasharray="2.4 2"/>`,
	"ready":     `<circle cx="8" cy="8" r="3.5" fill="currentColor"/>`,
	"lock":      `<rect x="3.5" y="7" width="9" height="6.5" rx="1.5"/><path d="M5.5 7V5a2.5 2.5 0 0 1 5 0v2"/>`,
	"trash":     `<path d="M2.5 4.5h11M6 4.5v-2h4v2M4 4.5l.7 9h6.6l.7-9M6.8 7v4M9.2 7v4"/>`,
	"in":        `<path d="M8 2v7M5 6.2 8 9.2l3-3M2.5 10v3.5h11V10"/>`,
	"folder":    `<path d="M2 4.5v8h12v-6.5H8l-1.5-2H2z"/>`,
	"pause":     `<path d="M5.5 3.5v9M10.5 3.5v9"/>`,
	"warn":      `<path d="M8 2.5 14.2 13.5H1.8zM8 6.5v3.2M8 11.6v.1"/>`,
	"rooms":     `<rect x="2.5" y="2.5" width="4.5" height="4.5" rx="1"/><rect x="9" y="2.5" width="4.5" height="4.5" rx="1"/><rect x="2.5" y="9" width="4.5" height="4.5" rx="1"/><rect x="9" y="9" width="4.5" height="4.5" rx="1"/>`,
	"pending":   `<path d="M2.5 9.5h3l1 2h3l1-2h3M2.5 9.5v3.5h11V9.5l-2-6h-7z"/>`,
	"images":    `<ellipse cx="8" cy="4" rx="5.5" ry="2"/><path d="M2.5 4v8c0 1.1 2.5 2 5.5 2s5.5-.9 5.5-2V4M2.5 8c0 1.1 2.5 2 5.5 2s5.5-.9 5.5-2"/>`,
	"work":      `<path d="M2.5 4h1M2.5 8h1M2.5 12h1M6 4h7.5M6 8h7.5M6 12h7.5"/>`,
	"torrents":  `<circle cx="8" cy="3.5" r="1.5"/><circle cx="3.5" cy="12" r="1.5"/><circle cx="12.5" cy="12" r="1.5"/><path d="M7.2 4.9 4.2 10.7M8.8 4.9l3 5.8M5 12h6"/>`,
	"settings":  `<path d="M2.5 4.5h6M11.5 4.5h2M2.5 11.5h2M7.5 11.5h6"/><circle cx="10" cy="4.5" r="1.5"/><circle cx="6" cy="11.5" r="1.5"/>`,
	"power":     `<path d="M8 2.5V8M4.7 4.5a5 5 0 1 0 6.6 0"/>`,
	"restart":   `<path d="M13 8a5 5 0 1 1-1.6-3.7M13 2.5v3h-3"/>`,
	"disk":      `<rect x="2" y="4" width="12" height="8" rx="1.5"/><path d="M4.5 9.5h4M11.5 9.5v.1"/>`,
	"dash":      `<path d="M5 8h6"/>`,
	"boot":      `<circle cx="8" cy="8" r="5.5"/><path d="M8 10.8V5.2M5.6 7.4 8 5l2.4 2.4"/>`,
	"pc":        `<rect x="2" y="3" width="12" height="8" rx="1"/><path d="M5.5 13.5h5M8 11v2.5"/>`,
}

// icon is decoration: it always stands beside a word, so that readers of the page skip it.
func icon(name string) template.HTML {
	return template.HTML(iconBegins + icons[name] + `</svg>`)
}

const iconBegins = `<svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" fill="none" ` +
	`stroke="currentColor" stroke-width="1.6" stroke-linecap="round" stroke-linejoin="round">`

// glyph is an icon of which a page has thousands: its lines are once in the page, in the fragment "sprite".
func glyph(name string) template.HTML {
	return template.HTML(`<svg class="glyph"><use href="#glyph-` + template.HTMLEscapeString(name) + `"/></svg>`)
}

// A symbol is an icon in the sprite.
type symbol struct {
	Name  string
	Lines template.HTML
}

// glyphs are the icons of steps of a boot.
func glyphs() []symbol {
	var all []symbol
	for _, name := range []string{"check", "cross", "clock", "dash", "down", "off", "run"} {
		all = append(all, symbol{name, template.HTML(icons[name])})
	}
	return all
}
