package native

import (
	"strings"
	"testing"
)

func TestWrongCommandLines(t *testing.T) {
	t.Parallel()
	pin := strings.Repeat("5a", 32)
	good := []string{"--server", "127.0.0.1:1", "--pin", pin, "--mac", "52:54:00:00:00:01", "--disk", "/dev/aula-none"}
	with := func(name, value string) []string { return append(append([]string{}, good...), name, value) }
	tests := map[string]struct {
		args []string
		says string
	}{
		"nothing":                 {nil, "are required"},
		"no disk":                 {good[:6], "are required"},
		"more than flags":         {append(append([]string{}, good...), "/dev/sda"), "nothing else is taken"},
		"unknown flag":            {[]string{"--all-disks"}, "flag provided but not defined"},
		"pin that is none":        {with("--pin", "5a"), "not 64 hexadecimal digits"},
		"address that is none":    {with("--mac", "eth0"), "not an Ethernet address"},
		"help is on the way, too": {[]string{"--help"}, "usage: aula-agent"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stdout, stderr strings.Builder
			if got := Main("test", test.args, &stdout, &stderr); got != ExitUsage || !strings.Contains(stderr.String(), test.says) {
				t.Errorf("exit status %d and %q, want %d and %q", got, stderr.String(), ExitUsage, test.says)
			}
		})
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	var stdout, stderr strings.Builder
	if got := Main("1.2", []string{"--version"}, &stdout, &stderr); got != 0 || stdout.String() != "aula-agent 1.2\n" {
		t.Errorf("exit status %d and %q", got, stdout.String())
	}
}
