package doctor

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A socket is one that listens, as /proc/net tells of it.
type socket struct {
	network string // udp or tcp
	local   netip.AddrPort
	inode   string
}

// A holder is a program that has a socket.
type holder struct {
	pid  int
	name string
	unit string // of systemd; empty without
}

func (h holder) String() string {
	if h.unit != "" && strings.TrimSuffix(h.unit, ".service") != h.name {
		return fmt.Sprintf("%s (process %d, %s)", h.name, h.pid, h.unit)
	}
	return fmt.Sprintf("%s (process %d)", h.name, h.pid)
}

// readSockets are those of this machine that listen, as far as they may be seen.
func readSockets() []socket {
	var all []socket
	for _, file := range []string{"udp", "udp6", "tcp", "tcp6"} {
		if text, err := os.ReadFile("/proc/net/" + file); err == nil {
			all = append(all, parseSockets(file[:3], string(text))...)
		}
	}
	return all
}

// States of proc_net_tcp(5): a TCP socket that listens, a UDP socket that is not connected.
var listening = map[string]string{"tcp": "0A", "udp": "07"}

// parseSockets reads one of the files.
func parseSockets(network, text string) []socket {
	var all []socket
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != listening[network] {
			continue
		}
		if local, ok := parseAddress(f[1]); ok {
			all = append(all, socket{network, local, f[9]})
		}
	}
	return all
}

// parseAddress reads ADDRESS:PORT in hexadecimal digits; the address is in words of 32 bits with the lowest byte first, on the machines that
// there are.
func parseAddress(text string) (netip.AddrPort, bool) {
	address, number, _ := strings.Cut(text, ":")
	raw, err := hex.DecodeString(address)
	port, numberErr := strconv.ParseUint(number, 16, 16)
	if err != nil || numberErr != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(raw); i += 4 {
		slices.Reverse(raw[i : i+4])
	}
	a, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(a.Unmap(), uint16(port)), true
}

// holdersOf names the programs whose sockets are in the way of a port.
func holdersOf(sockets []socket, p port) []holder {
	inodes := make(map[string]bool)
	for _, s := range sockets {
		if s.network == p.network && s.local.Port() == p.number && conflicts(p.at, s.local.Addr()) {
			inodes["socket:["+s.inode+"]"] = true
		}
	}
	if len(inodes) == 0 {
		return nil
	}
	var all []holder
	files, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return nil
	}
	for _, file := range files {
		if target, err := os.Readlink(file); err != nil || !inodes[target] {
			continue
		}
		pid := strings.Split(file, "/")[2]
		number, err := strconv.Atoi(pid)
		if err != nil || slices.ContainsFunc(all, func(h holder) bool { return h.pid == number }) {
			continue
		}
		all = append(all, holder{number, word("/proc/" + pid + "/comm"), unitOf(word("/proc/" + pid + "/cgroup"))})
	}
	return all
}

// unitOf is the service of systemd in the text of /proc/PID/cgroup; empty when the process belongs to none.
func unitOf(cgroup string) string {
	for line := range strings.Lines(cgroup) {
		if unit := filepath.Base(strings.TrimSpace(line)); strings.HasSuffix(unit, ".service") && !strings.HasPrefix(unit, "user@") {
			return unit
		}
	}
	return ""
}
