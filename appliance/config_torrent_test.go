package appliance

import (
	"net/netip"
	"strings"
	"testing"
)

func TestTorrentSettingsOfTheFile(t *testing.T) {
	got, err := LoadConfig(writeConfig(t, `
[torrent]
tracker = "10.0.0.1:7000"
port = 0
upload-limit-mbit = 500
networks = ["10.1.0.0/16", "10.2.3.0/24"]
`))
	if err != nil {
		t.Fatal(err)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
	if c := got.Torrent; c.seeds() || !c.tracks() || c.bytesPerSecond() != 62_500_000 || len(c.Networks) != 2 || c.Networks[1] != netip.MustParsePrefix("10.2.3.0/24") {
		t.Errorf("got %+v", c)
	}
	if _, err := LoadConfig(writeConfig(t, "[torrent]\nnetworks = [\"10.1.0.0\"]")); err == nil || !strings.Contains(err.Error(), "10.1.0.0") {
		t.Errorf("a network without its length: got error %v", err)
	}
}

// The .torrent files name the tracker where it is.
func TestTorrentsNameTheTrackerThatTheConfigurationMakes(t *testing.T) {
	own := mustAddr("10.77.0.1")
	for tracker, want := range map[string]string{
		":6969":         "http://10.77.0.1:6969/announce",
		":7000":         "http://10.77.0.1:7000/announce",
		"0.0.0.0:6969":  "http://10.77.0.1:6969/announce",
		"10.0.9.1:6969": "http://10.0.9.1:6969/announce",
		"off":           "",
		"":              "",
	} {
		if got := (TorrentConfig{Tracker: tracker}).announce(own); got != want {
			t.Errorf("tracker %q: torrents name %q, want %q", tracker, got, want)
		}
	}
}

func TestImpossibleTorrentSettingsAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, says string
		change     func(*Config)
	}{
		{"a tracker without a port", `torrent.tracker is "6969": give an address`, func(c *Config) { c.Torrent.Tracker = "6969" }},
		{"a tracker at port 0", `torrent.tracker is ":0"`, func(c *Config) { c.Torrent.Tracker = ":0" }},
		{"a tracker at port 70000", "from 1 to 65535", func(c *Config) { c.Torrent.Tracker = ":70000" }},
		{"a tracker at a name", `torrent.tracker is "tracker.example:6969"`, func(c *Config) { c.Torrent.Tracker = "tracker.example:6969" }},
		{"a tracker that is on", `or "off"`, func(c *Config) { c.Torrent.Tracker = "on" }},
		{"a tracker at the boot files' port", "torrent.tracker and boot.port are both on port 80", func(c *Config) { c.Torrent.Tracker = ":80" }},
		{"a tracker at the seeder's port", "torrent.tracker and torrent.port", func(c *Config) { c.Torrent.Port = 6969 }},
		{"a seeder at port -1", "torrent.port is -1: give a TCP port from 1 to 65535", func(c *Config) { c.Torrent.Port = -1 }},
		{"a seeder at port 65536", "torrent.port is 65536", func(c *Config) { c.Torrent.Port = 65536 }},
		{"a seeder at the agents' port", "torrent.port and agents.port are both 8443", func(c *Config) { c.Torrent.Port = 8443 }},
		{"a negative limit", "torrent.upload-limit-mbit is -1: give from 1 to 100000 Mbit/s", func(c *Config) { c.Torrent.UploadLimit = -1 }},
		{"a limit of a petabit", "torrent.upload-limit-mbit is 1000000000", func(c *Config) { c.Torrent.UploadLimit = 1_000_000_000 }},
		{"everybody", "torrent.networks has 0.0.0.0/0", func(c *Config) { c.Torrent.Networks = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")} }},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := Defaults()
			c.change(&cfg)
			if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got error %v, want one that says %q", err, c.says)
			}
		})
	}
}
