package machine

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"

	"aula/clientos/protocol"
)

// WiredNICs lists the wired Ethernet cards of the network namespace, in the kernel's order. Wireless cards, bridges, tunnels and
// the like are left out; one end of a veth pair counts, because that is what a PC of the virtual classroom has.
func WiredNICs() ([]protocol.NIC, error) {
	links, err := netlink.LinkList()
	if err != nil {
		return nil, fmt.Errorf("list network cards: %w", err)
	}
	var nics []protocol.NIC
	for _, l := range links {
		attrs := l.Attrs()
		folder := filepath.Join("/sys/class/net", attrs.Name)
		if !wired(l.Type(), attrs.EncapType, exists(filepath.Join(folder, "phy80211")) || exists(filepath.Join(folder, "wireless"))) {
			continue
		}
		nic := protocol.NIC{Name: attrs.Name, MAC: attrs.HardwareAddr.String(), Driver: driver(folder), Link: attrs.OperState == netlink.OperUp}
		if nic.Link {
			nic.Mbit = speed(folder)
		}
		nics = append(nics, nic)
	}
	return nics, nil
}

// wired tells whether an interface is a wired Ethernet card: kind is the kernel's kind of interface ("device" for hardware), encap
// its framing.
func wired(kind, encap string, wireless bool) bool {
	return (kind == "device" || kind == "veth") && encap == "ether" && !wireless
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// driver returns the name of the kernel's driver, or "".
func driver(folder string) string {
	target, err := os.Readlink(filepath.Join(folder, "device/driver"))
	if err != nil {
		return ""
	}
	return filepath.Base(target)
}

// speed returns the link's speed in Mbit/s, 0 when the driver does not tell.
func speed(folder string) int {
	text, err := os.ReadFile(filepath.Join(folder, "speed"))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || n < 0 {
		return 0
	}
	return n
}
