package igmp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for the kernel before it fails.
const patience = 20 * time.Second

const insideVariable = "AULA_IGMP_TEST"

// alone runs the calling test once more, in a process whose network, mounts and processes are its own and end with it. There it
// returns true; the caller goes on only then.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVariable) == t.Name() {
		if err := errors.Join(
			syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
			syscall.Mount("tmpfs", "/run", "tmpfs", 0, ""),
		); err != nil {
			t.Fatalf("mounts of the namespace: %v", err)
		}
		return true
	}
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to make network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("SKIPPED: this machine has no ip (Debian package iproute2)")
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=2m")
	child.Env = append(os.Environ(), insideVariable+"="+t.Name())
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	out, err := child.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: "+t.Name())) {
		t.Errorf("in its namespace: %v\n%s", err, out)
	}
	return false
}

func ip(t *testing.T, args string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(args)...).CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
}

// Hosts at the switch of a test. The server is the test's own process.
const (
	serverAddress = "10.9.0.1"
	pc1           = "pc1" // 10.9.0.2
	pc2           = "pc2" // 10.9.0.3
)

// A snoop is the kernel's bridge as a switch with IGMP snooping and no querier.
type snoop struct {
	changes chan change
	ports   map[uint32]string // PCs by the index of the switch's port
}

// newSnoop plugs the server and two PCs in. Options are those of ip link for a bridge.
func newSnoop(t *testing.T, options string) *snoop {
	t.Helper()
	ip(t, "link add br0 type bridge forward_delay 0 mcast_snooping 1 mcast_querier 0 mcast_igmp_version 2 "+options)
	ip(t, "link set br0 up")
	ip(t, "link add eth0 type veth peer name server")
	ip(t, "link set server master br0 up")
	ip(t, "addr add "+serverAddress+"/24 brd + dev eth0")
	ip(t, "link set eth0 up")
	s := &snoop{changes: watchGroups(t), ports: make(map[uint32]string)}
	for i, pc := range []string{pc1, pc2} {
		ip(t, "netns add "+pc)
		ip(t, "link add "+pc+" type veth peer name eth0 netns "+pc)
		ip(t, "link set "+pc+" master br0 up")
		ip(t, fmt.Sprintf("-n %s addr add 10.9.0.%d/24 brd + dev eth0", pc, 2+i))
		ip(t, "-n "+pc+" link set eth0 up")
		port, err := net.InterfaceByName(pc)
		if err != nil {
			t.Fatal(err)
		}
		s.ports[uint32(port.Index)] = pc
	}
	return s
}

// A change is an entry of the switch's table that was made or removed.
type change struct {
	removed bool
	port    uint32
	group   netip.Addr
}

// watchGroups lets the kernel tell of each change (rtnetlink's group RTNLGRP_MDB).
func watchGroups(t *testing.T) chan change {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	watcher := os.NewFile(uintptr(fd), "rtnetlink")
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.RTNLGRP_MDB - 1)}); err != nil {
		t.Fatal(err)
	}
	changes, ended := make(chan change, 1000), make(chan struct{})
	go func() {
		defer close(ended)
		for buf := make([]byte, 1<<16); ; {
			n, err := watcher.Read(buf)
			if err != nil {
				return
			}
			messages, _ := syscall.ParseNetlinkMessage(buf[:n]) // of the kernel, so whole
			for _, m := range messages {
				if c, ok := changeOf(m); ok {
					changes <- c
				}
			}
		}
	}()
	t.Cleanup(func() {
		_ = watcher.Close()
		<-ended
	})
	return changes
}

// changeOf reads a message of one IPv4 entry: struct br_port_msg, three headers of nested attributes, struct br_mdb_entry (linux/if_bridge.h).
func changeOf(m syscall.NetlinkMessage) (change, bool) {
	const entry = 8 + 3*4
	known := m.Header.Type == unix.RTM_NEWMDB || m.Header.Type == unix.RTM_DELMDB
	if !known || len(m.Data) < entry+28 || binary.BigEndian.Uint16(m.Data[entry+24:]) != unix.ETH_P_IP {
		return change{}, false
	}
	return change{
		removed: m.Header.Type == unix.RTM_DELMDB,
		port:    binary.NativeEndian.Uint32(m.Data[entry:]),
		group:   address(m.Data[entry+8:]),
	}, true
}

// learns waits until the switch has an entry of the session's group for a PC; forgets, until it has removed it.
func (s *snoop) learns(t *testing.T, pc string)  { t.Helper(); s.await(t, pc, false) }
func (s *snoop) forgets(t *testing.T, pc string) { t.Helper(); s.await(t, pc, true) }

func (s *snoop) await(t *testing.T, pc string, removed bool) {
	t.Helper()
	limit := time.After(patience)
	for {
		select {
		case c := <-s.changes:
			if c.group == session && s.ports[c.port] == pc && c.removed == removed {
				return
			}
		case <-limit:
			t.Fatalf("the switch does not tell of %s's membership (removed: %t)", pc, removed)
		}
	}
}

// remembers fails the test if the switch has removed its entry for a PC meanwhile.
func (s *snoop) remembers(t *testing.T, pc string) {
	t.Helper()
	for {
		select {
		case c := <-s.changes:
			if c.group == session && s.ports[c.port] == pc && c.removed {
				t.Errorf("the switch forgot %s", pc)
			}
		default:
			return
		}
	}
}

// on runs f in a PC's network. Sockets that f opens stay there; the thread ends with f.
func on(t *testing.T, pc string, f func() error) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: no other goroutine shall run there
		done <- errors.Join(enter(pc), f())
	}()
	if err := <-done; err != nil {
		t.Fatalf("on %s: %v", pc, err)
	}
}

// enter moves the calling thread into a PC's network.
func enter(pc string) error {
	ns, err := os.Open(filepath.Join("/run/netns", pc))
	if err != nil {
		return err
	}
	defer ns.Close()
	return unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
}

// join makes a PC a member of the session's group until the returned function is called.
func join(t *testing.T, pc string) (leave func()) {
	t.Helper()
	var member net.PacketConn
	on(t, pc, func() error {
		nic, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		member, err = net.ListenMulticastUDP("udp4", nic, &net.UDPAddr{IP: session.AsSlice(), Port: 9000})
		return err
	})
	t.Cleanup(func() { _ = member.Close() })
	return func() {
		if err := member.Close(); err != nil {
			t.Error(err)
		}
	}
}

// listen opens a querier's socket on a PC, to hear who asks.
func listen(t *testing.T, pc string) *socket {
	t.Helper()
	var w wire
	on(t, pc, func() (err error) {
		w, err = openSocket(t.Context(), "eth0")
		return err
	})
	t.Cleanup(func() { _ = w.Close() })
	return w.(*socket)
}

// hear waits for the next general query and returns it with its IPv4 header.
func hear(t *testing.T, s *socket) (message, []byte) {
	t.Helper()
	if err := s.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2048)
	for {
		n, err := s.Receive(buf)
		if err != nil {
			t.Fatalf("no query is heard: %v", err)
		}
		if m, err := decode(buf[:n]); err == nil && m.general() {
			return m, buf[:n]
		}
	}
}

// A tap sees every IPv4 datagram that reaches a PC, whether or not the PC wants it.
type tap struct{ *os.File }

func newTap(t *testing.T, pc string) tap {
	t.Helper()
	var f *os.File
	on(t, pc, func() error {
		nic, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		f = os.NewFile(uintptr(fd), "tap")
		ipv4 := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_IP))
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: ipv4, Ifindex: nic.Index})
	})
	t.Cleanup(func() { _ = f.Close() })
	return tap{f}
}

// until reads datagrams until one for the address comes, and returns how many for the session's group came before it.
func (p tap) until(t *testing.T, last netip.Addr) (ofSession int) {
	t.Helper()
	if err := p.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 2048)
	for {
		n, err := p.Read(buf)
		if err != nil {
			t.Fatalf("nothing for %s arrives: %v", last, err)
		}
		if n < headerLength || buf[9] != unix.IPPROTO_UDP {
			continue
		}
		switch address(buf[16:]) {
		case session:
			ofSession++
		case last:
			return ofSession
		}
	}
}
