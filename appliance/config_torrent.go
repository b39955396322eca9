package appliance

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
)

// A TorrentConfig says how images are given by BitTorrent.
type TorrentConfig struct {
	// Tracker is where peers are told of each other, TCP and UDP: host:port, ":6969", or "off" for none.
	Tracker string `toml:"tracker"`
	// Port is the TCP port at which this machine gives its images; 0 to give none.
	Port int `toml:"port"`
	// UploadLimit is how much it gives at most, of all images together: Mbit/s; 0 for as much as the network takes.
	UploadLimit int `toml:"upload-limit-mbit"`
	// Networks may take images besides the classroom's network, those of the repositories' addresses, and the PCs that are connected.
	Networks []netip.Prefix `toml:"networks"`
}

// trackerOff is the value of TorrentConfig.Tracker for none.
const trackerOff = "off"

// maxUploadLimit is 100 Gbit/s.
const maxUploadLimit = 100_000

// tracks tells whether there is a tracker.
func (c TorrentConfig) tracks() bool { return c.Tracker != "" && c.Tracker != trackerOff }

// seeds tells whether this machine gives its images.
func (c TorrentConfig) seeds() bool { return c.Port != 0 }

// bytesPerSecond is the upload limit; 0 for none.
func (c TorrentConfig) bytesPerSecond() int64 { return int64(c.UploadLimit) * 1_000_000 / 8 }

// validate names the setting that cannot be. all is the whole configuration.
func (c TorrentConfig) validate(all Config) error {
	if c.tracks() {
		at, err := c.listen()
		if err != nil {
			return err
		}
		for _, other := range []struct {
			setting string
			port    int
		}{{"boot.port", all.Boot.Port}, {"agents.port", all.Agents.Port}, {"torrent.port", c.Port}} {
			if int(at.Port()) == other.port {
				return fmt.Errorf("settings torrent.tracker and %s are both on port %d: give each a port of its own", other.setting, other.port)
			}
		}
	}
	if c.Port < 0 || c.Port > 65535 {
		return fmt.Errorf("setting torrent.port is %d: give a TCP port from 1 to 65535, or 0 to give no images from this machine", c.Port)
	}
	for setting, port := range map[string]int{"boot.port": all.Boot.Port, "agents.port": all.Agents.Port} {
		if c.Port == port {
			return fmt.Errorf("settings torrent.port and %s are both %d: give each a port of its own", setting, port)
		}
	}
	if c.UploadLimit < 0 || c.UploadLimit > maxUploadLimit {
		return fmt.Errorf("setting torrent.upload-limit-mbit is %d: give from 1 to %d Mbit/s, or 0 for no limit", c.UploadLimit, maxUploadLimit)
	}
	for _, n := range c.Networks {
		if n.Bits() < 1 {
			return fmt.Errorf("setting torrent.networks has %s: that is everybody, name the networks that may take images, such as 10.1.0.0/16", n)
		}
	}
	return nil
}

// listen is the tracker's address. An address without a host has the zero Addr.
func (c TorrentConfig) listen() (netip.AddrPort, error) {
	bad := fmt.Errorf("setting torrent.tracker is %.60q: give an address of this machine and a port from 1 to 65535, such as \":6969\" or \"10.0.0.1:6969\", or %q", c.Tracker, trackerOff)
	host, port, err := net.SplitHostPort(c.Tracker)
	if err != nil {
		return netip.AddrPort{}, bad
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 {
		return netip.AddrPort{}, bad
	}
	var address netip.Addr
	if host != "" {
		if address, err = netip.ParseAddr(host); err != nil {
			return netip.AddrPort{}, bad
		}
	}
	return netip.AddrPortFrom(address, uint16(n)), nil
}

// announce is the URL of the tracker, which .torrent sidecars name; empty without one. address is the appliance's own. The configuration is valid.
func (c TorrentConfig) announce(address netip.Addr) string {
	if !c.tracks() {
		return ""
	}
	at, err := c.listen()
	if err != nil {
		return ""
	}
	if at.Addr().IsValid() && !at.Addr().IsUnspecified() {
		address = at.Addr()
	}
	return "http://" + netip.AddrPortFrom(address, at.Port()).String() + "/announce"
}
