package script

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
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

	for name, make := range map[string]func() (string, error){
		"client-bios.ipxe":            func() (string, error) { return ClientOS(IPXE, pc) },
		"client-uefi.ipxe":            func() (string, error) { return ClientOS(IPXE, uefi) },
		"client-third-try-port.ipxe":  func() (string, error) { return ClientOS(IPXE, otherPort) },
		"disk-bios.ipxe":              func() (string, error) { return Disk(IPXE, pc) },
		"disk-uefi.ipxe":              func() (string, error) { return Disk(IPXE, uefi) },
		"wait-bios.ipxe":              func() (string, error) { return Wait(IPXE, waiting) },
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
	depth := 0
	for _, l := range lines {
		switch word, _, _ := strings.Cut(strings.TrimSpace(l), " "); word {
		case "if", "for", "while":
			depth++
		case "fi", "done":
			depth--
		case "exit":
			t.Errorf("line %q: exit opens the firmware's setup", l)
		}
	}
	if depth != 0 {
		t.Errorf("%d blocks are not closed", depth)
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
