package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/BurntSushi/toml"

	"aula/imagestore/torrent"
	"aula/imagestore/torrent/tracker"
	"aula/netboot"
)

// A Config is everything that an operator can set. Its zero value is made whole by Defaults; a configuration file
// (TOML) names only what differs.
type Config struct {
	// Interface is the NIC that faces the classroom. Empty: the only one that has an IPv4 address.
	Interface string `toml:"interface"`
	// Data is the folder of everything the appliance keeps.
	Data string `toml:"data"`

	DHCP       DHCPConfig       `toml:"dhcp"`
	Boot       BootConfig       `toml:"boot"`
	Console    ConsoleConfig    `toml:"console"`
	Agents     AgentsConfig     `toml:"agents"`
	Repository RepositoryConfig `toml:"repository"`
	Multicast  MulticastConfig  `toml:"multicast"`
	Torrent    TorrentConfig    `toml:"torrent"`
}

// A DHCPConfig says whether and which addresses to lease.
type DHCPConfig struct {
	// Mode is "auto", to lease addresses when no other server does and the operator agrees, "full", to lease them, or "proxy", not to.
	Mode      netboot.Mode `toml:"mode"`
	First     netip.Addr   `toml:"first"` // first and last address to lease; the upper half of the subnet when left out
	Last      netip.Addr   `toml:"last"`
	LeaseTime duration     `toml:"lease-time"` // such as "1h"
	Gateway   netip.Addr   `toml:"gateway"`    // given to PCs as their router; none when left out
	DNS       []netip.Addr `toml:"dns"`
	// StrangerTime is how long PCs that nobody accepted keep an address, such as "10m".
	StrangerTime duration `toml:"stranger-time"`
	// Subnets are the networks behind relay agents.
	Subnets []SubnetConfig `toml:"subnet"`
}

// A SubnetConfig is a network whose relay agent sends its PCs' requests here.
type SubnetConfig struct {
	Network netip.Prefix `toml:"network"`
	First   netip.Addr   `toml:"first"` // of the addresses to lease there; none are when it is left out
	Last    netip.Addr   `toml:"last"`
	Gateway netip.Addr   `toml:"gateway"` // the relay's own address when left out
	DNS     []netip.Addr `toml:"dns"`
}

// A BootConfig says how PCs load the client OS.
type BootConfig struct {
	LoopBoots        int      `toml:"loop-boots"` // a PC that is given the client OS so many times within LoopTime boots its own disk
	LoopTime         duration `toml:"loop-time"`
	SinglePort       bool     `toml:"single-port"`       // TFTP answers from port 69 only, for firewalls
	Port             int      `toml:"port"`              // TCP port of the HTTP boot files, 80
	KernelParameters string   `toml:"kernel-parameters"` // more words for the client OS's kernel command line
}

// A ConsoleConfig says where the web console listens.
type ConsoleConfig struct {
	Listen string `toml:"listen"` // host:port, ":443"
}

// An AgentsConfig says where the PCs' agents connect.
type AgentsConfig struct {
	Port int `toml:"port"` // TCP, 8443
}

// A RepositoryConfig says where and how images are kept. It is the first repository's, which is called main; more are added in the
// console.
type RepositoryConfig struct {
	Dir       string   `toml:"dir"`         // DATA/images when left out
	Reserve   int64    `toml:"reserve-mib"` // MiB that captures and imports leave free on its volume
	Keep      int      `toml:"keep"`        // revisions of an image that are kept before the current one
	TrashDays int      `toml:"trash-days"`  // for how long a removed image can be brought back; 0 removes at once
	Settle    duration `toml:"settle"`      // for how long a file put into the folder must not have changed before it is taken in
}

// A MulticastConfig says how the classroom's network is kept ready for multicast.
type MulticastConfig struct {
	// Querier is "auto", to ask the PCs for their multicast groups (IGMP) while no router or switch does, or "off".
	Querier string `toml:"querier"`
}

// Values of MulticastConfig.Querier.
const (
	querierAuto = "auto"
	querierOff  = "off"
)

// duration is a time.Duration that is written "90m" in the file.
type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as 30m or 1h", text)
	}
	*d = duration(v)
	return nil
}

// DefaultData is where the appliance keeps its things unless told otherwise.
const DefaultData = "/var/lib/aula"

// Defaults returns the configuration that works with no file.
func Defaults() Config {
	return Config{
		Data:       DefaultData,
		DHCP:       DHCPConfig{Mode: netboot.ModeAuto, LeaseTime: duration(time.Hour), StrangerTime: duration(10 * time.Minute)},
		Boot:       BootConfig{Port: 80, LoopBoots: 6, LoopTime: duration(10 * time.Minute)},
		Console:    ConsoleConfig{Listen: ":443"},
		Agents:     AgentsConfig{Port: 8443},
		Repository: RepositoryConfig{Reserve: 1024, Keep: 2, TrashDays: 30, Settle: duration(10 * time.Second)},
		Multicast:  MulticastConfig{Querier: querierAuto},
		Torrent:    TorrentConfig{Tracker: fmt.Sprintf(":%d", tracker.DefaultPort), Port: torrent.DefaultPort},
	}
}

// LoadConfig reads the configuration file at path over the defaults. A key that does not exist, or a value of the wrong
// kind, is an error that names the line.
func LoadConfig(path string) (Config, error) {
	cfg := Defaults()
	meta, err := toml.DecodeFile(path, &cfg)
	var syntax toml.ParseError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Config{}, fmt.Errorf("configuration file %s does not exist: leave --config out to run with the defaults", path)
	case errors.As(err, &syntax):
		return Config{}, fmt.Errorf("configuration file %s, line %d: %s", path, syntax.Position.Line, syntax.Message)
	case err != nil:
		return Config{}, fmt.Errorf("configuration file %s: %w", path, err)
	}
	if unknown := meta.Undecoded(); len(unknown) > 0 {
		return Config{}, fmt.Errorf("configuration file %s: there is no setting %q: see docs/configuration.md for those there are", path, unknown[0])
	}
	return cfg, nil
}

// Validate checks what can be checked without touching the machine. Its errors name the setting.
func (c Config) Validate() error {
	for _, p := range []struct {
		setting string
		port    int
	}{{"boot.port", c.Boot.Port}, {"agents.port", c.Agents.Port}} {
		if p.port < 1 || p.port > 65535 {
			return fmt.Errorf("setting %s is %d: a TCP port is from 1 to 65535", p.setting, p.port)
		}
	}
	if c.Boot.Port == c.Agents.Port {
		return fmt.Errorf("settings boot.port and agents.port are both %d: give each a port of its own", c.Boot.Port)
	}
	if c.Data == "" {
		return errors.New("setting data is empty: name the folder in which the appliance keeps its things")
	}
	if c.DHCP.First.IsValid() != c.DHCP.Last.IsValid() {
		return errors.New("settings dhcp.first and dhcp.last go together: give both, or neither for the upper half of the subnet")
	}
	if lease := time.Duration(c.DHCP.LeaseTime); lease < 2*time.Minute || lease > 30*24*time.Hour {
		return fmt.Errorf("setting dhcp.lease-time is %s: give from 2m to 720h", lease)
	}
	if err := c.DHCP.Mode.Check(); err != nil {
		return fmt.Errorf("setting dhcp.mode: %w", err)
	}
	if n := c.Boot.LoopBoots; n < 2 || n > 1000 {
		return fmt.Errorf("setting boot.loop-boots is %d: give from 2 to 1000", n)
	}
	if d := time.Duration(c.Boot.LoopTime); d < time.Minute || d > 24*time.Hour {
		return fmt.Errorf("setting boot.loop-time is %s: give from 1m to 24h", d)
	}
	if lease := time.Duration(c.DHCP.StrangerTime); lease < 2*time.Minute || lease > 30*24*time.Hour {
		return fmt.Errorf("setting dhcp.stranger-time is %s: give from 2m to 720h", lease)
	}
	if q := c.Multicast.Querier; q != querierAuto && q != querierOff {
		return fmt.Errorf("setting multicast.querier is %q: give %q or %q", q, querierAuto, querierOff)
	}
	if err := c.Repository.validate(); err != nil {
		return err
	}
	return c.Torrent.validate(c)
}

func (c RepositoryConfig) validate() error {
	switch settle := time.Duration(c.Settle); {
	case c.Reserve < 0:
		return fmt.Errorf("setting repository.reserve-mib is %d: it cannot be negative", c.Reserve)
	case c.Keep < 0 || c.Keep > 1000:
		return fmt.Errorf("setting repository.keep is %d: give from 0 to 1000 revisions", c.Keep)
	case c.TrashDays < 0 || c.TrashDays > 3650:
		return fmt.Errorf("setting repository.trash-days is %d: give from 0 (remove at once) to 3650", c.TrashDays)
	case settle < time.Second || settle > time.Hour:
		return fmt.Errorf("setting repository.settle is %s: give from 1s to 1h", settle)
	}
	return nil
}

// ImagesDir is the folder of the repository.
func (c Config) ImagesDir() string {
	if c.Repository.Dir != "" {
		return c.Repository.Dir
	}
	return filepath.Join(c.Data, "images")
}

// SocketPath is the Unix socket on which a server with this data folder answers its own machine's administrator.
func SocketPath(data string) string { return filepath.Join(data, "aula.sock") }

// makeData makes the data folder; a new one is readable by its owner alone. What is secret in it has a mode of its own as well, for a
// folder that was there before.
func (c Config) makeData() error {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("data folder %s: %w: run as root (sudo aula serve), or name a folder of yours with --data", c.Data, err)
	}
	return nil
}
