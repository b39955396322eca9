package appliance

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "aula.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsAreValid(t *testing.T) {
	if err := Defaults().Validate(); err != nil {
		t.Error(err)
	}
}

func TestConfigFileChangesOnlyWhatItNames(t *testing.T) {
	got, err := LoadConfig(writeConfig(t, `
interface = "eth1"
[dhcp]
lease-time = "90m"
first = "10.0.0.10"
last = "10.0.0.20"
[repository]
dir = "/srv/images"
[multicast]
querier = "off"
`))
	if err != nil {
		t.Fatal(err)
	}
	want := Defaults()
	want.Interface = "eth1"
	want.DHCP.LeaseTime = duration(90 * time.Minute)
	want.DHCP.First, want.DHCP.Last = got.DHCP.First, got.DHCP.Last
	want.Repository.Dir = "/srv/images"
	want.Multicast.Querier = "off"
	if got.Interface != want.Interface || got.DHCP.LeaseTime != want.DHCP.LeaseTime || got.Repository != want.Repository ||
		got.Multicast != want.Multicast || got.Data != want.Data || !reflect.DeepEqual(got.Torrent, want.Torrent) || got.Boot != want.Boot || got.Console != want.Console || got.Agents != want.Agents {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
	if s := got.DHCP.First.String() + " " + got.DHCP.Last.String(); s != "10.0.0.10 10.0.0.20" {
		t.Errorf("addresses to lease: got %s", s)
	}
	if err := got.Validate(); err != nil {
		t.Error(err)
	}
}

func TestConfigMistakesAreNamed(t *testing.T) {
	for _, c := range []struct{ name, text, says string }{
		{"a setting that does not exist", "[dhcp]\nlease = \"1h\"", `no setting "dhcp.lease"`},
		{"a line that is not TOML", "interface = \"eth1\"\nport 80", "line 2"},
		{"a word where a number belongs", "[boot]\nport = \"eighty\"", "boot.port"},
		{"a lease time without a unit", "[dhcp]\nlease-time = \"60\"", `"60" is not a duration`},
		{"an address that is none", "[dhcp]\nfirst = \"10.0.0.300\"", "10.0.0.300"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := LoadConfig(writeConfig(t, c.text))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got error %v, want one that says %q", err, c.says)
			}
		})
	}
}

func TestMissingConfigFileSaysThatNoneIsNeeded(t *testing.T) {
	_, err := LoadConfig(filepath.Join(t.TempDir(), "none.toml"))
	if err == nil || !strings.Contains(err.Error(), "leave --config out") {
		t.Errorf("got error %v", err)
	}
}

func TestImpossibleSettingsAreRefused(t *testing.T) {
	for _, c := range []struct {
		name, says string
		change     func(*Config)
	}{
		{"port out of range", "boot.port is 70000", func(c *Config) { c.Boot.Port = 70000 }},
		{"two services on one port", "both 80", func(c *Config) { c.Agents.Port = 80 }},
		{"half a range of addresses", "go together", func(c *Config) { c.DHCP.Last = mustAddr("10.0.0.2") }},
		{"lease of a second", "dhcp.lease-time is 1s", func(c *Config) { c.DHCP.LeaseTime = duration(time.Second) }},
		{"negative reserve", "cannot be negative", func(c *Config) { c.Repository.Reserve = -1 }},
		{"negative number of revisions", "repository.keep is -1", func(c *Config) { c.Repository.Keep = -1 }},
		{"trash for a century", "repository.trash-days is 36500", func(c *Config) { c.Repository.TrashDays = 36500 }},
		{"files taken in half-copied", "repository.settle is 0s", func(c *Config) { c.Repository.Settle = 0 }},
		{"a querier that asks always", `multicast.querier is "on": give "auto" or "off"`, func(c *Config) { c.Multicast.Querier = "on" }},
		{"no data folder", "data is empty", func(c *Config) { c.Data = "" }},
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
