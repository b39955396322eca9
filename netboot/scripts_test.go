package netboot

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"aula/netboot/quirk"
	"aula/netboot/script"
)

func withMenu(p *plane) {
	p.boot = Boot{Target: BootMenu, Menu: script.Menu{
		Title: "PC 7", Timeout: 10 * time.Second, PasswordHash: "grub.pbkdf2.sha512.10000.AA.BB",
		Entries: []script.Entry{{ID: script.EntryDisk, Label: "Own disk"}, {ID: "client", Label: "Client OS", Admin: true}},
	}}
}

func TestMenuIsShown(t *testing.T) {
	for file, wants := range map[string][]string{
		"script.ipxe?firmware=bios": {"item disk Own disk\n", "choose --default disk --timeout 10000", "sanboot", "&choice=client&login=1"},
		"script.ipxe?firmware=uefi": {"item disk Own disk\n", "exit 1\n", "firmware=uefi&choice=client"},
		"grub.cfg":                  {"password_pbkdf2 aula grub.pbkdf2.sha512.10000.AA.BB\n", "set timeout=10\n", `grub.cfg?choice=client"`, `--id "client" {`},
	} {
		p := newPlane(t, withMenu)
		got := body(t, p.ask(t, "GET", "/boot/"+testMAC+"/"+file))
		for _, want := range wants {
			if !strings.Contains(got, want) {
				t.Errorf("%s lacks %q:\n%s", file, want, got)
			}
		}
		if len(p.events) != 1 || p.events[0].Target != BootMenu || p.events[0].Phase != Answered {
			t.Errorf("%s: events %+v", file, p.events)
		}
	}
	p := newPlane(t, func(p *plane) { p.boot = Boot{Target: BootMenu} })
	if got := body(t, p.ask(t, "GET", "/boot/"+testMAC+"/grub.cfg")); !strings.Contains(got, "the menu has no entries") || p.events[0].Phase != Failed {
		t.Errorf("an empty menu is no problem: %+v\n%s", p.events, got)
	}
}

// What was chosen reaches the Decider; a password only in a header, and only after it was asked for.
func TestChoiceFromAMenu(t *testing.T) {
	basic := func(text string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(text)) }
	const password = `pa+%&" || x`
	for name, row := range map[string]struct {
		file, authorization string
		want                Client // only Choice, Password and PasswordChecked
		status              int
	}{
		"open entry":              {"script.ipxe?choice=system-1-2", "", Client{Choice: "system-1-2"}, 200},
		"admin entry, first":      {"script.ipxe?choice=client&login=1", "", Client{}, 401},
		"admin entry, then":       {"script.ipxe?choice=client&login=1", basic("aula:" + password), Client{Choice: "client", Password: password}, 200},
		"password without choice": {"script.ipxe", basic("aula:x"), Client{Password: "x"}, 200},
		"password of a novel":     {"script.ipxe?choice=client", basic("aula:" + strings.Repeat("x", 65)), Client{Choice: "client"}, 200},
		"choice that is a script": {"script.ipxe?choice=a%0Ashell", "", Client{}, 200},
		"GRUB has checked":        {"grub.cfg?choice=client", "", Client{Choice: "client", PasswordChecked: true}, 200},
		"GRUB, nothing chosen":    {"grub.cfg?try=1", "", Client{}, 200},
	} {
		p := newPlane(t)
		var header []string
		if row.authorization != "" {
			header = []string{"Authorization", row.authorization}
		}
		r := p.ask(t, "GET", "/boot/"+testMAC+"/"+row.file, header...)
		if r.StatusCode != row.status {
			t.Errorf("%s: status %d, want %d", name, r.StatusCode, row.status)
		}
		if row.status == http.StatusUnauthorized {
			if r.Header.Get("WWW-Authenticate") == "" || len(p.decided) != 0 {
				t.Errorf("%s: asked by %q, %d decisions", name, r.Header.Get("WWW-Authenticate"), len(p.decided))
			}
			continue
		}
		if len(p.decided) != 1 {
			t.Fatalf("%s: %d decisions", name, len(p.decided))
		}
		if got := p.decided[0]; got.Choice != row.want.Choice || got.Password != row.want.Password || got.PasswordChecked != row.want.PasswordChecked {
			t.Errorf("%s: the Decider is asked about %+v, want %+v", name, got, row.want)
		}
		for _, e := range p.events {
			if got := e.Detail + e.File; strings.Contains(got, password) {
				t.Errorf("%s: the password is told: %q", name, got)
			}
		}
	}
}

func TestQuirksOfABoot(t *testing.T) {
	both := quirk.Set{quirk.ExitToDisk, quirk.SlowHTTP}
	p := newPlane(t, func(p *plane) { p.boot = Boot{Target: BootDisk, Quirks: both} })
	for file, want := range map[string]string{"script.ipxe": "\nexit 1\n", "grub.cfg": "\nexit 1\n"} {
		if got := body(t, p.ask(t, "GET", "/boot/"+testMAC+"/"+file)); !strings.Contains(got, want) || strings.Contains(got, "sanboot") {
			t.Errorf("%s does not leave the disk to the firmware:\n%s", file, got)
		}
	}
	if len(p.slow.all) != 1 {
		t.Errorf("slow PCs: %v, want one", p.slow.all)
	}
	p.boot.Quirks = nil
	p.ask(t, "GET", "/boot/"+testMAC+"/script.ipxe")
	if len(p.slow.all) != 0 {
		t.Errorf("slow PCs: %v, want none any more", p.slow.all)
	}
}

func TestFirmwareThatIsRefused(t *testing.T) {
	for firmware, want := range map[Firmware]string{UEFIARM64: "ARM64", UEFIia32: "32-bit UEFI"} {
		p := newPlane(t)
		got := body(t, p.ask(t, "GET", "/boot/"+testMAC+"/script.ipxe?firmware="+string(firmware)))
		if !strings.Contains(got, want) || !strings.Contains(got, "\nexit 1\n") || strings.Contains(got, "kernel http") {
			t.Errorf("%s: want a refusal, and its own disk:\n%s", firmware, got)
		}
		if len(p.decided) != 0 || len(p.events) != 1 || p.events[0].Phase != Failed || p.events[0].Firmware != firmware {
			t.Errorf("%s: %d decisions, events %+v, want none and one that tells it", firmware, len(p.decided), p.events)
		}
	}
}

// Whatever a loader says of its PC, the script is one, and only what it may be reaches the Decider.
func FuzzScript(f *testing.F) {
	f.Add("/boot/52:54:00:12:34:56/script.ipxe", "firmware=bios&uuid=1&serial=2&try=1", "")
	f.Add("/boot/52:54:00:12:34:56/grub.cfg", "choice=client&try=-1", "Basic YTpi")
	f.Add("//boot//52:54:00:12:34:56//script.ipxe", "choice=%0a&login", "Basic !")
	f.Add("/boot/52-54-00-12-34-56/script.ipxe", "firmware=uefi-arm64;%zz&serial=${serial}", "Digest x")
	f.Fuzz(func(t *testing.T, path, query, authorization string) {
		p := newPlane(t, withMenu)
		r := httptest.NewRequest(http.MethodGet, "http://10.20.30.1/", nil)
		r.URL, r.RemoteAddr = &url.URL{Path: path, RawQuery: query}, testPeer
		r.Header.Set("Authorization", authorization)
		w := httptest.NewRecorder()
		p.ServeHTTP(w, r)
		if status := w.Code; status != 200 && status != 401 && status != 404 {
			t.Errorf("status %d", status)
		}
		for _, c := range p.decided {
			if c.Choice != "" && !script.IsID(c.Choice) || len(c.UUID) > longestFact || len(c.Serial) > longestFact || len(c.Password) > longestPassword {
				t.Errorf("Decide was asked about %+v", c)
			}
			if !strings.Contains(w.Body.String(), "Aula 10.20.30.1") && !strings.Contains(w.Body.String(), "menuentry") {
				t.Errorf("no script:\n%s", w.Body)
			}
		}
	})
}
