package torrent_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aula/imagestore/rig"
)

// An engine is one that the tables compare: it is all peers and the seeder.
type engine struct {
	name string
	// start starts a peer whose file is in a folder, or shall be there. It shares until it is killed.
	start func(tb testing.TB, s swarm, m *rig.Machine, folder string, seed bool) *rig.Process
	// complete tells by what the peer prints that the file is there.
	complete func(line string) bool
}

// engines are those that there are; a build tag adds one.
var engines = []engine{ours("aula"), aria2, transmission}

// ours is an engine that is a program of this binary.
func ours(program string, environment ...string) engine {
	return engine{
		name: program,
		start: func(tb testing.TB, s swarm, m *rig.Machine, folder string, seed bool) *rig.Process {
			return play(tb, m, role{
				Program: program, Address: m.Address.String() + ":6881", Torrent: s.torrent, Folder: folder, Seed: seed, environment: environment,
			})
		},
		complete: says("complete"),
	}
}

// aria2 is Debian's, with what it can do for a LAN: no DHT, no looking for peers but at the tracker, no limits.
var aria2 = engine{
	name: "aria2",
	start: func(tb testing.TB, s swarm, m *rig.Machine, folder string, seed bool) *rig.Process {
		hook := filepath.Join(s.room.Folder, "say-complete")
		if err := os.WriteFile(hook, []byte("#!/bin/sh\necho complete\n"), 0o700); err != nil {
			tb.Fatal(err)
		}
		args := []string{
			"--no-conf", "--dir=" + folder, "--listen-port=6881", "--disable-ipv6", "--async-dns=false",
			"--enable-dht=false", "--enable-peer-exchange=false", "--bt-enable-lpd=false", "--bt-min-crypto-level=plain",
			"--bt-max-peers=0", "--max-overall-upload-limit=0", "--max-overall-download-limit=0",
			"--file-allocation=none", "--disk-cache=64M", "--seed-ratio=0.0", "--summary-interval=0",
		}
		if seed {
			args = append(args, "--bt-seed-unverified=true")
		} else {
			args = append(args, "--on-bt-download-complete="+hook)
		}
		return m.Start(tb, nil, "aria2c", append(args, s.torrent)...)
	},
	complete: says("complete"),
}

// transmission is Debian's, of the same kind.
var transmission = engine{
	name: "transmission",
	start: func(tb testing.TB, s swarm, m *rig.Machine, folder string, seed bool) *rig.Process {
		settings, err := json.Marshal(map[string]any{
			"utp-enabled": false, "dht-enabled": false, "pex-enabled": false, "lpd-enabled": false, "port-forwarding-enabled": false,
			"encryption": 0, "peer-port": 6881, "bind-address-ipv4": m.Address.String(), "rpc-enabled": false,
			"peer-limit-global": 240, "peer-limit-per-torrent": 60, "upload-slots-per-torrent": transmissionSlots,
			"speed-limit-up-enabled": false, "speed-limit-down-enabled": false, "ratio-limit-enabled": false, "idle-seeding-limit-enabled": false,
			"preallocation": 0, "rename-partial-files": false, "cache-size-mb": 4, "message-level": 1, "watch-dir-enabled": false,
		})
		config := folder + ".transmission"
		if err == nil {
			err = os.MkdirAll(config, 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(config, "settings.json"), settings, 0o600)
		}
		if err != nil {
			tb.Fatal(err)
		}
		return m.Start(tb, []string{"HOME=" + config}, "transmission-cli", "--config-dir", config, "--download-dir", folder, "--port", "6881",
			"--no-portmap", "--encryption-tolerated", "--no-uplimit", "--no-downlimit", s.torrent)
	},
	complete: func(line string) bool { return strings.HasPrefix(line, "Seeding,") },
}

// transmissionSlots is how many peers it gives to at once: its default.
const transmissionSlots = 14
