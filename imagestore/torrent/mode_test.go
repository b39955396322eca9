package torrent

import (
	"strings"
	"testing"
	"time"
)

func TestParseMode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text   string
		mode   Mode
		linger time.Duration
		say    string // that the error has
	}{
		{"peer:60", Peer, time.Minute, ""},
		{"leecher:60", Leecher, time.Minute, ""},
		{"seeder:10000", Seeder, 10000 * time.Second, ""},
		{"PEER:60", Peer, time.Minute, ""},
		{"Seeder:0", Seeder, 0, ""},
		{"peer:", Peer, 0, ""},
		{"peer:0000000060", Peer, time.Minute, ""},
		{"peer:2592000", Peer, MaxLinger, ""},

		{"", "", 0, "MODE:SECONDS"},
		{"peer", "", 0, "MODE:SECONDS"},
		{"60", "", 0, "MODE:SECONDS"},
		{":60", "", 0, "MODE"},
		{"pear:60", "", 0, `MODE is "pear"`},
		{"peer :60", "", 0, "MODE"},
		{" peer:60", "", 0, "MODE"},
		{"peer:2592001", "", 0, "from 0 to 2592000, which is 30 days"},
		{"peer:9999999999", "", 0, "from 0 to 2592000"},
		{"peer:00000000060", "", 0, "SECONDS"}, // more digits than OpenGnsys takes
		{"peer:99999999999999999999", "", 0, "SECONDS"},
		{"peer:-1", "", 0, "SECONDS"},
		{"peer:+60", "", 0, "SECONDS"},
		{"peer:6e1", "", 0, "SECONDS"},
		{"peer:60s", "", 0, `SECONDS is "60s"`},
		{"peer:6 0", "", 0, "SECONDS"},
		{"peer:60:", "", 0, "SECONDS"},
		{"peer:٦٠", "", 0, "SECONDS"},
		{"peer:60\n", "", 0, "SECONDS"},
		{strings.Repeat("x", 1<<20), "", 0, "MODE:SECONDS"},
		{"peer:" + strings.Repeat("0", 1<<20), "", 0, "SECONDS"},
	}
	for _, test := range tests {
		mode, linger, err := ParseMode(test.text)
		if test.say == "" {
			if err != nil || mode != test.mode || linger != test.linger {
				t.Errorf("%q: %s for %v, %v, want %s for %v", test.text, mode, linger, err, test.mode, test.linger)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), test.say) || len(err.Error()) > 300 {
			t.Errorf("%.40q: %s for %v, %v, want an error with %q", test.text, mode, linger, err, test.say)
		}
	}
}

func TestFormatMode(t *testing.T) {
	t.Parallel()
	for want, linger := range map[string]time.Duration{
		"peer:60": time.Minute, "peer:0": -1, "peer:1": time.Millisecond, "peer:2592000": 1 << 62,
	} {
		if got := FormatMode(Peer, linger); got != want {
			t.Errorf("%v: %s, want %s", linger, got, want)
		}
	}
}

func FuzzParseMode(f *testing.F) {
	f.Add("peer:60")
	f.Add("SEEDER:")
	f.Fuzz(func(t *testing.T, s string) {
		mode, linger, err := ParseMode(s)
		if err != nil {
			return
		}
		if linger < 0 || linger > MaxLinger || len(s) > len("leecher:")+modeDigits {
			t.Fatalf("%q is taken for %s for %v", s, mode, linger)
		}
		again, same, err := ParseMode(FormatMode(mode, linger))
		if err != nil || again != mode || same != linger {
			t.Fatalf("%q is taken for %s for %v, and that, written again, for %s for %v: %v", s, mode, linger, again, same, err)
		}
	})
}
