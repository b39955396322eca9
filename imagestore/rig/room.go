// Package rig makes rooms: networks of machines with network namespaces of their own, in which tests and benchmarks run real programs.
//
// It is imported by tests only. It knows nothing of what the programs say to each other. It needs root; without, the tests that ask for a room skip.
package rig

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// A Room is a network of its own: a bridge without IGMP snooping, and machines, each with a network namespace and a NIC eth0 on the
// bridge. Nothing of it outlives the test's process, however that ends: the namespaces hang on threads of it, the programs die with those
// threads, and the files are in a tmpfs that only they see.
type Room struct {
	Bridge *Machine // where the switch is: its ports are named as the machines
	Folder string   // a tmpfs, by a path that is good for every process
}

// NewRoom makes a room without machines, whose Folder holds 16 GiB at most.
func NewRoom(tb testing.TB) *Room {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Skip("SKIPPED: needs root, to make network namespaces")
	}
	r := &Room{Bridge: newMachine(tb, "bridge", netip.Addr{})}
	r.Folder = r.Disk(tb, 16<<30)
	r.Bridge.Command(tb, "ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0", "forward_delay", "0")
	r.Bridge.Command(tb, "ip", "link", "set", "br0", "up")
	var err error
	r.Bridge.Do(func() { err = os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("0"), 0) }) // a switch has no firewall
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	return r
}

// Plug makes a machine with a NIC on the bridge, in a network of 16 bits. Segments cross the bridge whole, until Wire.
func (r *Room) Plug(tb testing.TB, name string, address netip.Addr) *Machine {
	tb.Helper()
	m := newMachine(tb, name, address)
	r.Bridge.Command(tb, "ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", m.Proc("ns/net"))
	r.Bridge.Command(tb, "ip", "link", "set", name, "master", "br0", "up")
	m.Command(tb, "ip", "link", "set", "lo", "up")
	m.Command(tb, "ip", "addr", "add", netip.PrefixFrom(address, 16).String(), "broadcast", "+", "dev", "eth0")
	m.Command(tb, "ip", "link", "set", "eth0", "up")
	return m
}

// Wire makes the machine's cable carry packets of wire size only, as it is with offload to no NIC.
func (r *Room) Wire(tb testing.TB, m *Machine) {
	tb.Helper()
	off := strings.Fields("gso off gro off tso off tx-udp-segmentation off rx-udp-gro-forwarding off rx-gro-list off")
	r.Bridge.Command(tb, "ethtool", append([]string{"-K", m.Name}, off...)...)
	m.Command(tb, "ethtool", append([]string{"-K", "eth0"}, off...)...)
}

// Cable makes the machine's cable one of that rate ("100mbit") to both sides, as a PC has it that stands at a switch.
//
// Its own side queues 4 MB, more than the kernel lets sockets put into a NIC's queue, and so holds a writer back instead of dropping. The
// switch has a buffer of 384 KiB for the port and drops what is more; its packets go one after another, whoever sent them.
// TCP is cubic, as it comes with Debian, whatever this computer prefers.
//
// Segments cross whole, but for the sake of that buffer, and of those who wait in it, of 16 KiB at most (1.3 ms of 100 Mbit/s): tc counts
// the headers of all of their packets. Packets of wire size cost three times the processor, which two dozens of machines share here, and
// change the time of a swarm of four by 2 % at most. One stream of TCP gets 95 % of such a cable, with another one that goes the other way, in a
// room of 24 of which each does so at the same time (BenchmarkCable).
func (r *Room) Cable(tb testing.TB, m *Machine, rate string) {
	tb.Helper()
	const segment = "16384"
	m.Command(tb, "ip", "link", "set", "eth0", "gso_max_size", segment)
	m.Command(tb, "tc", "qdisc", "replace", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "32k", "limit", "4mb")
	r.Bridge.Command(tb, "tc", "qdisc", "replace", "dev", m.Name, "root", "tbf", "rate", rate, "burst", "32k", "limit", "384k")
	if err := m.cubic(); err != nil {
		tb.Fatalf("TCP of %s: %v", m.Name, err)
	}
}

// cubic makes the machine's TCP that of most PCs. A namespace may choose only what this computer allows to everybody.
func (m *Machine) cubic() error {
	const settings = "/proc/sys/net/ipv4/"
	allowed, err := os.ReadFile(settings + "tcp_allowed_congestion_control")
	if err != nil {
		return err
	}
	if !slices.Contains(strings.Fields(string(allowed)), "cubic") {
		if err := os.WriteFile(settings+"tcp_allowed_congestion_control", []byte(strings.TrimSpace(string(allowed))+" cubic"), 0); err != nil {
			return err
		}
	}
	m.Do(func() { err = os.WriteFile(settings+"tcp_congestion_control", []byte("cubic"), 0) })
	return err
}

// Disk makes a tmpfs for that many bytes, and returns a path to it that is good for every process.
func (r *Room) Disk(tb testing.TB, size int64) string {
	tb.Helper()
	path := tb.TempDir()
	var err error
	r.Bridge.Do(func() { err = syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%d", size)) })
	if err != nil {
		tb.Fatalf("mount a tmpfs: %v", err)
	}
	return r.Bridge.Proc("root") + path
}

// Traffic is what crossed a machine's cable. Of segments that cross it whole, it counts the headers once.
type Traffic struct{ Packets, Bytes int64 } // of Ethernet, without preamble and checksum

// Sent tells what a machine has sent to the bridge.
func (r *Room) Sent(tb testing.TB, m *Machine) Traffic {
	tb.Helper()
	var links []struct {
		Stats64 struct{ RX Traffic }
	}
	out := r.Bridge.Command(tb, "ip", "-json", "-statistics", "link", "show", "dev", m.Name)
	if err := json.Unmarshal([]byte(out), &links); err != nil || len(links) != 1 {
		tb.Fatalf("ip -json link show: %v\n%s", err, out)
	}
	return links[0].Stats64.RX
}

// Carried tells what a machine with a Cable has sent, as tc counts it: in packets of wire size.
func (m *Machine) Carried(tb testing.TB) Traffic {
	tb.Helper()
	var queues []Traffic
	out := m.Command(tb, "tc", "-json", "-statistics", "qdisc", "show", "dev", "eth0")
	if err := json.Unmarshal([]byte(out), &queues); err != nil || len(queues) != 1 {
		tb.Fatalf("tc -json qdisc show: %v\n%s", err, out)
	}
	return queues[0]
}
