package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"aula/appliance"
	"aula/netboot"
)

// cardFacts are what is known of the network card that faces the classroom.
type cardFacts struct {
	name    string
	choice  error // why there is none to serve
	up      bool
	carrier bool
	speed   int    // Mbit/s; 0: not told, as by virtual cards
	duplex  string // "full", "half" or empty
	wlan    bool
	address string // with the length of its network; empty without
	dynamic bool   // a DHCP server gave the address
	manager string // the program that manages the card; empty when none is known to
}

// chooseCard finds the card that the appliance serves, and tests it.
func (m *machine) chooseCard(ctx context.Context) Result {
	name, err := appliance.ChooseInterface(m.cfg.Interface)
	if err == nil {
		m.nic, err = net.InterfaceByName(name)
	}
	if err != nil {
		return judgeCard(cardFacts{choice: err})
	}
	f := cardFacts{name: name, up: m.nic.Flags&net.FlagUp != 0, carrier: m.nic.Flags&net.FlagRunning != 0}
	if m.address, err = netboot.AddressOf(name); err == nil {
		f.address = m.address.String()
	}
	sys := filepath.Join("/sys/class/net", name)
	if speed, err := strconv.Atoi(word(filepath.Join(sys, "speed"))); err == nil && speed > 0 {
		f.speed, f.duplex = speed, word(filepath.Join(sys, "duplex"))
	}
	_, err = os.Stat(filepath.Join(sys, "wireless"))
	f.wlan = err == nil
	f.dynamic = isDynamic(ctx, name)
	f.manager = managerOf(m.nic)
	return judgeCard(f)
}

// word is the text of a small file; empty when it cannot be read.
func word(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// isDynamic tells whether the first IPv4 address has an end, as one that a DHCP server gave.
func isDynamic(ctx context.Context, nic string) bool {
	out, err := exec.CommandContext(ctx, "ip", "-j", "-4", "addr", "show", "dev", nic).Output()
	if err != nil {
		return false
	}
	var cards []struct {
		Info []struct {
			Dynamic bool `json:"dynamic"`
		} `json:"addr_info"`
	}
	if json.Unmarshal(out, &cards) != nil {
		return false
	}
	for _, c := range cards {
		if len(c.Info) > 0 {
			return c.Info[0].Dynamic
		}
	}
	return false
}

// managerOf names the program that gives the card its address, when it is one that is known.
func managerOf(nic *net.Interface) string {
	if text := word(fmt.Sprintf("/run/NetworkManager/devices/%d", nic.Index)); strings.Contains(text, "managed=full") || strings.Contains(text, "managed=true") {
		return "NetworkManager"
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return ""
	}
	for _, path := range commands {
		args := strings.Split(word(path), "\x00")
		for _, client := range []string{"dhclient", "dhcpcd", "udhcpc"} {
			if filepath.Base(args[0]) == client && strings.Contains(strings.Join(args, " ")+" ", " "+nic.Name+" ") {
				return client
			}
		}
	}
	return ""
}

func judgeCard(f cardFacts) Result {
	const test = "network card"
	state := f.name + " " + f.address
	if f.speed > 0 {
		state += fmt.Sprintf(", %d Mbit/s %s duplex", f.speed, f.duplex)
	}
	fixed := fmt.Sprintf("give it one that stays: in the machine's network settings, or until it restarts with: sudo ip addr add 192.168.77.1/24 dev %s", f.name)
	switch {
	case f.choice != nil:
		return Result{test, Problem, f.choice.Error(), "name the card that faces the classroom, with --interface or as the setting interface (ip -br addr shows them all)"}
	case !f.up:
		return Result{test, Problem, f.name + " is switched off", "switch it on: sudo ip link set " + f.name + " up"}
	case !f.carrier:
		return Result{test, Problem, f.name + " has no connection", "plug the network cable in at both ends; the switch must be on"}
	case f.address == "":
		return Result{test, Problem, f.name + " has no IPv4 address", fixed}
	case f.wlan:
		return Result{test, Warning, state + ": it is wireless", "connect this machine to the classroom by cable: PCs cannot boot through most wireless networks, and images take hours"}
	case f.duplex == "half":
		return Result{test, Warning, state, "let both ends choose the speed by themselves (auto-negotiation): half duplex is a setting that differs between card and switch"}
	case f.speed > 0 && f.speed < 1000:
		return Result{test, Warning, state + ": slow for images", "use a cable of category 5e or better, and a switch port of 1000 Mbit/s"}
	case f.dynamic:
		return Result{test, Warning, state + ": the address was given by another DHCP server" + by(f.manager), "PCs lose this server when the address changes: " + fixed}
	default:
		return Result{test, OK, state, ""}
	}
}

func by(manager string) string {
	if manager == "" {
		return ""
	}
	return ", asked by " + manager
}
