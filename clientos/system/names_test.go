package system

import (
	"strings"
	"testing"
)

func TestHostname(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ computer, host, windows string }{
		"as it is":                   {"pc-01", "pc-01", "PC-01"},
		"with a domain":              {"pc-01.lab.example.org", "pc-01", "PC-01"},
		"with spaces":                {"Aula 3 PC 12", "Aula-3-PC-12", "AULA-3-PC-12"},
		"with letters beyond ASCII":  {"peña-7", "pe-a-7", "PE-A-7"},
		"hyphens at the ends":        {"-pc_", "pc", "PC"},
		"15 letters":                 {"informatica-015", "informatica-015", "INFORMATICA-015"},
		"16: the number stays":       {"informatica-0016", "informatica-0016", "INFORMATICA0016"},
		"long: cut before a hyphen":  {"laboratorio-de-fisica-7", "laboratorio-de-fisica-7", "LABORATORIO-DE7"},
		"long without a number":      {"classroom-teacher", "classroom-teacher", "CLASSROOM-TEACH"},
		"commands for another tool":  {"x\nsetval 1\n", "x-setval-1", "X-SETVAL-1"},
		"quotes and a path":          {`a"b/../c`, "a-b-", ""},
		"more digits than there are": {"p12345678901234567890", "p12345678901234567890", "P78901234567890"},
	}
	for name, test := range tests {
		host, err := hostname(test.computer)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if test.windows == "" {
			if strings.Trim(host, "ab-") != "" {
				t.Errorf("%s: got %q", name, host)
			}
			continue
		}
		windows, err := netBIOS(host)
		if host != test.host || windows != test.windows || err != nil {
			t.Errorf("%s: got %q and %q, %v, want %q and %q", name, host, windows, err, test.host, test.windows)
		}
	}
	for _, none := range []string{"", "...", "---", "ñ"} {
		if got, err := hostname(none); err == nil {
			t.Errorf("%q: got %q, want it refused", none, got)
		}
	}
	if got, err := netBIOS("2024"); err == nil {
		t.Errorf("a number for Windows: got %q, want it refused", got)
	}
}

func TestRenameHosts(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ before, old, after string }{
		"Debian":            {"127.0.0.1\tlocalhost\n127.0.1.1\tmodel.lab.org\tmodel\n\n::1 localhost\n", "model", "127.0.0.1\tlocalhost\n127.0.1.1\tpc-01.lab.org\tpc-01\n\n::1 localhost\n"},
		"Ubuntu":            {"127.0.0.1 localhost\n127.0.1.1 model\n", "model", "127.0.0.1 localhost\n127.0.1.1 pc-01\n"},
		"another address":   {"10.0.0.9 model\n127.0.1.1 model\n", "model", "10.0.0.9 model\n127.0.1.1 pc-01\n"},
		"a longer word":     {"127.0.1.1 models model-2 model\n", "model", "127.0.1.1 models model-2 pc-01\n"},
		"comments":          {"# 127.0.1.1 model\n127.0.1.1 model # model\n", "model", "# 127.0.1.1 model\n127.0.1.1 pc-01 # model\n"},
		"old with a domain": {"127.0.1.1 model.lab.org model\n", "model.lab.org", "127.0.1.1 pc-01.lab.org pc-01\n"},
		"case":              {"127.0.1.1 Model\n", "model", "127.0.1.1 pc-01\n"},
		"no such line":      {"127.0.0.1 localhost model\n", "model", "127.0.0.1 localhost model\n"},
		"unknown old name":  {"127.0.1.1 model\n", "", "127.0.1.1 model\n"},
		"no end of line":    {"127.0.1.1\tmodel", "model", "127.0.1.1\tpc-01"},
		"CRLF":              {"127.0.1.1 model\r\n", "model", "127.0.1.1 pc-01\r\n"},
	}
	for name, test := range tests {
		if got := renameHosts(test.before, test.old, "pc-01"); got != test.after {
			t.Errorf("%s: got %q, want %q", name, got, test.after)
		}
	}
}
