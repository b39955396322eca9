package multicast_test

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aula/imagestore/rig"
)

// A wiring is how the room's network is made.
type wiring struct {
	receivers int
	rate      string // of the sender's NIC, as tc writes it; empty for no limit
	permille  int    // of the datagrams to port 9000 that each receiver loses, each on its own
	offload   bool   // segments may cross the bridge whole; otherwise packets of wire size cross it
}

// A room is a sender's machine and the receivers'.
type room struct {
	*rig.Room
	sender    *machine
	receivers []*machine
	wiring    wiring
}

// A machine is one of a room of multicast.
type machine struct{ *rig.Machine }

// A process is one that runs on such a machine.
type process struct{ *rig.Process }

func newRoom(tb testing.TB, w wiring) *room {
	tb.Helper()
	r := &room{Room: rig.NewRoom(tb), wiring: w}
	r.sender = r.plug(tb, "sender", netip.AddrFrom4([4]byte{10, 77, 0, 1}))
	if w.rate != "" {
		// The limit is larger than a socket's send buffer, so that a full queue holds the writer back instead of dropping.
		r.sender.Command(tb, "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", w.rate, "burst", "32k", "limit", "4mb")
	}
	for range w.receivers {
		r.add(tb)
	}
	return r
}

// add plugs one more receiver's machine.
func (r *room) add(tb testing.TB) *machine {
	tb.Helper()
	n := len(r.receivers) + 1
	m := r.plug(tb, fmt.Sprintf("r%d", n), netip.AddrFrom4([4]byte{10, 77, 1, byte(n)}))
	m.lose(tb, r.wiring.permille)
	r.receivers = append(r.receivers, m)
	return m
}

// plug makes a machine. A foreign machine is one, too.
func (r *room) plug(tb testing.TB, name string, address netip.Addr) *machine {
	tb.Helper()
	m := &machine{r.Plug(tb, name, address)}
	if !r.wiring.offload {
		r.Wire(tb, m.Machine)
	}
	return m
}

// firstData returns when the first datagram of more than 1000 bytes comes from the sender's machine to the bridge.
func (r *room) firstData(tb testing.TB) <-chan time.Time {
	tb.Helper()
	large := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_LEN},
		{Code: unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K, Jf: 1, K: 1000},
		{Code: unix.BPF_RET | unix.BPF_K, K: 64},
		{Code: unix.BPF_RET | unix.BPF_K},
	}
	var socket int
	var err error
	r.Bridge.Do(func() {
		all := uint16(unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8) // in network order; of ETH_P_IP alone the bridge leaves nothing
		var nic *net.Interface
		if nic, err = net.InterfaceByName(r.sender.Name); err != nil {
			return
		}
		// For no protocol at first: nothing comes before the filter stands.
		if socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		err = errors.Join(
			unix.SetsockoptSockFprog(socket, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(large)), Filter: &large[0]}),
			unix.Bind(socket, &unix.SockaddrLinklayer{Protocol: all, Ifindex: nic.Index}))
	})
	if err != nil {
		tb.Fatalf("a socket on the bridge: %v", err)
	}
	f := os.NewFile(uintptr(socket), "bridge")
	tb.Cleanup(func() { _ = f.Close() })
	seen := make(chan time.Time, 1)
	go func() {
		if _, err := f.Read(make([]byte, 64)); err == nil {
			seen <- time.Now()
		}
		_ = f.Close()
	}()
	return seen
}

// lose makes the machine lose that many of 1000 datagrams to port 9000, from now on; 0 for none.
func (m *machine) lose(tb testing.TB, permille int) {
	tb.Helper()
	m.Filter(tb, fmt.Sprintf("udp dport 9000 numgen random mod 1000 < %d drop", permille))
}

// start runs a program on the machine.
func (m *machine) start(tb testing.TB, environment []string, name string, args ...string) *process {
	tb.Helper()
	return &process{m.Start(tb, environment, name, args...)}
}

// listen opens a UDP socket on the machine; port 0 for any.
func (m *machine) listen(tb testing.TB, port int) *net.UDPConn {
	tb.Helper()
	var c *net.UDPConn
	var err error
	m.Do(func() { c, err = net.ListenUDP("udp4", &net.UDPAddr{IP: m.Address.AsSlice(), Port: port}) })
	if err != nil {
		tb.Fatalf("on %s: %v", m.Name, err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// join opens a UDP socket on the machine that hears what a group is sent.
func (m *machine) join(tb testing.TB, group netip.AddrPort) *net.UDPConn {
	tb.Helper()
	var c *net.UDPConn
	var err error
	m.Do(func() {
		var nic *net.Interface
		if nic, err = net.InterfaceByName("eth0"); err == nil {
			c, err = net.ListenMulticastUDP("udp4", nic, net.UDPAddrFromAddrPort(group))
		}
	})
	if err != nil {
		tb.Fatalf("on %s: %v", m.Name, err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}
