package lab

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"syscall"
)

// bridge is the classroom's switch; the appliance serves it with the address.
const bridge = "br0"

// address is the appliance's in its classroom.
const address = "10.77.0.1/24"

func makeBridge() error {
	for _, args := range [][]string{
		{"link", "add", bridge, "type", "bridge", "stp_state", "0", "forward_delay", "0"},
		{"address", "add", address, "broadcast", "+", "dev", bridge},
		{"link", "set", bridge, "up"},
	} {
		if err := command("ip", args...); err != nil {
			return fmt.Errorf("switch of the virtual classroom: %w", err)
		}
	}
	return nil
}

// removeBridge takes the switch away; it is no error when there is none.
func removeBridge() error {
	if _, err := net.InterfaceByName(bridge); err != nil {
		return nil
	}
	return command("ip", "link", "delete", bridge)
}

// macOf is the address of the PC's NIC, out of the range that QEMU uses.
func macOf(number int) string { return fmt.Sprintf("52:54:00:77:%02x:%02x", number>>8, number&0xff) }

// plugTap makes the bridge's port for a QEMU PC.
func plugTap(name string) error {
	if err := command("ip", "tuntap", "add", "dev", name, "mode", "tap"); err != nil {
		return err
	}
	return command("ip", "link", "set", name, "master", bridge, "up")
}

// unplug takes a PC's port away from the bridge, and what was at the other end of its cable.
func unplug(name string) error { return command("ip", "link", "delete", name) }

// nicOf is the name of the NIC inside a native PC.
const nicOf = "eth0"

// plugNamespace makes the network namespace of a native PC, with a NIC that a cable of the same name as the
// namespace connects to the bridge.
func plugNamespace(name, mac string) error {
	for _, args := range [][]string{
		{"netns", "add", name},
		{"link", "add", name, "type", "veth", "peer", "name", nicOf, "address", mac, "netns", name},
		{"link", "set", name, "master", bridge, "up"},
		{"-netns", name, "link", "set", "lo", "up"},
		{"-netns", name, "link", "set", nicOf, "up"},
	} {
		if err := command("ip", args...); err != nil {
			return fmt.Errorf("network of %s: %w", name, err)
		}
	}
	return nil
}

// inNamespace is a command line in the network namespace, and in a process namespace of its own: killing it kills everything
// that it started, as a power cut would. The shell is there to be PID 1, which a program that is not made for it
// should not be; it sees the words of the command line as arguments only. ip gives it a mount namespace of its own as well, so that
// what it has mounted goes with it.
func inNamespace(netns string, argv ...string) *exec.Cmd {
	words := append([]string{"-c", `"$@"; exit $?`, "sh", "ip", "netns", "exec", netns}, argv...)
	cmd := exec.Command("sh", words...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	return cmd
}

// setCable plugs a native PC's cable in or out.
func setCable(name string, in bool) error {
	state := "down"
	if in {
		state = "up"
	}
	return command("ip", "link", "set", name, state)
}

// setRate limits what passes through both ends of a native PC's cable, in bit/s; 0 takes the limit away.
func setRate(name string, rate int64) error {
	shape := []string{"root", "pfifo_fast"}
	if rate > 0 {
		// A burst of 5 ms at full rate, and not less than what segmentation offload sends in one piece.
		burst := max(rate/8/200, 128<<10)
		shape = []string{"root", "tbf", "rate", fmt.Sprintf("%dbit", rate), "burst", fmt.Sprint(burst), "latency", "50ms"}
	}
	for _, end := range [][]string{
		{"qdisc", "replace", "dev", name},
		{"-netns", name, "qdisc", "replace", "dev", nicOf},
	} {
		if err := command("tc", append(end, shape...)...); err != nil {
			return fmt.Errorf("rate of %s: %w", name, err)
		}
	}
	return nil
}

// setLoss loses a share of the packets that come to a native PC, from 0 to 1.
func setLoss(name string, share float64) error {
	if share < 0 || share > 1 {
		return fmt.Errorf("loss of %s: %g is not a share from 0 to 1", name, share)
	}
	const unit = 100_000
	which := fmt.Sprintf("numgen random mod %d < %d", unit, int(share*unit))
	if share == 1 {
		which = "" // nft refuses a comparison that is always true
	}
	rules := fmt.Sprintf(`table netdev loss
delete table netdev loss
table netdev loss {
	chain in {
		type filter hook ingress device "%s" priority 0;
		%s drop
	}
}
`, nicOf, which)
	cmd := exec.Command("ip", "netns", "exec", name, "nft", "--file", "-")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("loss of %s: nft: %w: %s", name, err, out)
	}
	return nil
}
