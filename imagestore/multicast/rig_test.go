package multicast_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A wiring is how the room's network is made.
type wiring struct {
	receivers int
	rate      string // of the sender's NIC, as tc writes it; empty for no limit
	permille  int    // of the datagrams to port 9000 that each receiver loses, each on its own
	offload   bool   // segments may cross the bridge whole; otherwise packets of wire size cross it
}

// A room is a network of its own: a bridge without IGMP snooping, the sender's machine and the receivers', each with a network
// namespace and a NIC eth0 on the bridge. Nothing of it outlives the test's process, however that ends: the namespaces hang on threads
// of it, the programs die with those threads, and the files are in a tmpfs that only they see.
type room struct {
	bridge    *machine
	sender    *machine
	receivers []*machine
	wiring    wiring
	folder    string // the tmpfs, by a path that is good for every process
}

func newRoom(tb testing.TB, w wiring) *room {
	tb.Helper()
	if os.Getuid() != 0 {
		tb.Skip("SKIPPED: needs root, to make network namespaces")
	}
	r := &room{wiring: w, bridge: newMachine(tb, "bridge", netip.Addr{})}
	r.folder = r.disk(tb, 16<<30)
	r.bridge.command(tb, "ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0", "forward_delay", "0")
	r.bridge.command(tb, "ip", "link", "set", "br0", "up")
	var err error
	r.bridge.do(func() { err = os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("0"), 0) }) // a switch has no firewall
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Fatal(err)
	}
	r.sender = r.plug(tb, "sender", netip.AddrFrom4([4]byte{10, 77, 0, 1}))
	if w.rate != "" {
		// The limit is larger than a socket's send buffer, so that a full queue holds the writer back instead of dropping.
		r.sender.command(tb, "tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", w.rate, "burst", "32k", "limit", "4mb")
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

// plug makes a machine with a NIC on the bridge. A foreign machine is one, too.
func (r *room) plug(tb testing.TB, name string, address netip.Addr) *machine {
	tb.Helper()
	m := newMachine(tb, name, address)
	r.bridge.command(tb, "ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", m.proc("ns/net"))
	r.bridge.command(tb, "ip", "link", "set", name, "master", "br0", "up")
	m.command(tb, "ip", "link", "set", "lo", "up")
	m.command(tb, "ip", "addr", "add", netip.PrefixFrom(address, 16).String(), "broadcast", "+", "dev", "eth0")
	m.command(tb, "ip", "link", "set", "eth0", "up")
	if !r.wiring.offload {
		off := strings.Fields("gso off gro off tso off tx-udp-segmentation off rx-udp-gro-forwarding off rx-gro-list off")
		r.bridge.command(tb, "ethtool", append([]string{"-K", name}, off...)...)
		m.command(tb, "ethtool", append([]string{"-K", "eth0"}, off...)...)
	}
	return m
}

// disk makes a tmpfs for that many bytes, and returns a path to it that is good for every process.
func (r *room) disk(tb testing.TB, size int64) string {
	tb.Helper()
	path := tb.TempDir()
	var err error
	r.bridge.do(func() { err = syscall.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%d", size)) })
	if err != nil {
		tb.Fatalf("mount a tmpfs: %v", err)
	}
	return r.bridge.proc("root") + path
}

// sent tells how many packets and bytes of Ethernet the sender's machine has sent to the bridge.
func (r *room) sent(tb testing.TB) (packets, size int64) {
	tb.Helper()
	var links []struct {
		Stats64 struct {
			RX struct{ Packets, Bytes int64 }
		}
	}
	out := r.bridge.command(tb, "ip", "-json", "-statistics", "link", "show", "dev", r.sender.name)
	if err := json.Unmarshal([]byte(out), &links); err != nil || len(links) != 1 {
		tb.Fatalf("ip -json link show: %v\n%s", err, out)
	}
	return links[0].Stats64.RX.Packets, links[0].Stats64.RX.Bytes
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
	r.bridge.do(func() {
		all := uint16(unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8) // in network order; of ETH_P_IP alone the bridge leaves nothing
		var nic *net.Interface
		if nic, err = net.InterfaceByName(r.sender.name); err != nil {
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

// A machine is a thread of this process in a network namespace and a mount namespace of its own.
type machine struct {
	name    string
	address netip.Addr
	thread  int
	calls   chan func()
}

func newMachine(tb testing.TB, name string, address netip.Addr) *machine {
	tb.Helper()
	m := &machine{name: name, address: address, calls: make(chan func())}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // for good: the thread ends with this goroutine, and the namespaces with the thread
		m.thread = unix.Gettid()
		started <- errors.Join(unix.Unshare(unix.CLONE_NEWNET|unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		for call := range m.calls {
			call()
		}
	}()
	if err := <-started; err != nil {
		close(m.calls)
		tb.Fatalf("namespaces of %s: %v", name, err)
	}
	tb.Cleanup(func() {
		close(m.calls)
		<-ended
	})
	return m
}

// do calls the function on the machine. Programs it starts and sockets it opens are the machine's.
func (m *machine) do(call func()) {
	done := make(chan struct{})
	m.calls <- func() {
		defer close(done)
		call()
	}
	<-done
}

// proc is the path of a file in /proc that tells of the machine.
func (m *machine) proc(file string) string {
	return fmt.Sprintf("/proc/%d/task/%d/%s", os.Getpid(), m.thread, file)
}

// command runs a program on the machine and returns what it printed. The test fails with it.
func (m *machine) command(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	path := tool(tb, name)
	var out []byte
	var err error
	m.do(func() { out, err = exec.CommandContext(tb.Context(), path, args...).CombinedOutput() })
	if err != nil {
		tb.Fatalf("on %s: %s %s: %v\n%s", m.name, name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// tool finds a program, those that only root is offered included.
func tool(tb testing.TB, name string) string {
	tb.Helper()
	for _, place := range []string{name, filepath.Join("/usr/sbin", name), filepath.Join("/sbin", name)} {
		if path, err := exec.LookPath(place); err == nil {
			return path
		}
	}
	tb.Skipf("SKIPPED: this machine has no %s", name)
	return ""
}

// lose makes the machine lose that many of 1000 datagrams to port 9000, from now on; 0 for none.
func (m *machine) lose(tb testing.TB, permille int) {
	tb.Helper()
	m.filter(tb, fmt.Sprintf("udp dport 9000 numgen random mod 1000 < %d drop", permille))
}

// filter makes the machine treat what comes to it by a rule of nftables, instead of the one before.
func (m *machine) filter(tb testing.TB, rule string) {
	tb.Helper()
	m.command(tb, "nft", "add table ip rig; delete table ip rig; add table ip rig; "+
		"add chain ip rig input { type filter hook input priority 0; }; add rule ip rig input "+rule)
}

// limit makes the cable to the machine carry that much only, as tc writes it; it drops what is more.
func (r *room) limit(tb testing.TB, m *machine, rate string) {
	tb.Helper()
	r.bridge.command(tb, "tc", "qdisc", "replace", "dev", m.name, "root", "tbf", "rate", rate, "burst", "16k", "limit", "128k")
}

// listen opens a UDP socket on the machine; port 0 for any.
func (m *machine) listen(tb testing.TB, port int) *net.UDPConn {
	tb.Helper()
	var c *net.UDPConn
	var err error
	m.do(func() { c, err = net.ListenUDP("udp4", &net.UDPAddr{IP: m.address.AsSlice(), Port: port}) })
	if err != nil {
		tb.Fatalf("on %s: %v", m.name, err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// join opens a UDP socket on the machine that hears what a group is sent.
func (m *machine) join(tb testing.TB, group netip.AddrPort) *net.UDPConn {
	tb.Helper()
	var c *net.UDPConn
	var err error
	m.do(func() {
		var nic *net.Interface
		if nic, err = net.InterfaceByName("eth0"); err == nil {
			c, err = net.ListenMulticastUDP("udp4", nic, net.UDPAddrFromAddrPort(group))
		}
	})
	if err != nil {
		tb.Fatalf("on %s: %v", m.name, err)
	}
	tb.Cleanup(func() { _ = c.Close() })
	return c
}

// A process is a program that runs on a machine.
type process struct {
	name  string
	cmd   *exec.Cmd
	ended chan struct{} // closed when it has

	mu   sync.Mutex
	said []string      // lines of both outputs
	news chan struct{} // closed and made anew at each line

	end time.Time // once ended
	err error
}

// start runs a program until it ends, the test does, or the test's process does.
func (m *machine) start(tb testing.TB, environment []string, name string, args ...string) *process {
	tb.Helper()
	p := &process{name: m.name, cmd: exec.Command(tool(tb, name), args...), ended: make(chan struct{}), news: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), environment...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // of the machine's thread
	out, in, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = in, in
	m.do(func() { err = p.cmd.Start() })
	_ = in.Close()
	if err != nil {
		_ = out.Close()
		tb.Fatalf("on %s: %s: %v", m.name, name, err)
	}
	go func() {
		defer close(p.ended)
		p.listen(out)
		p.err = p.cmd.Wait()
		p.end = time.Now()
	}()
	tb.Cleanup(func() {
		p.kill()
		<-p.ended
	})
	return p
}

func (p *process) listen(out *os.File) {
	defer out.Close()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	lines.Split(func(b []byte, atEOF bool) (int, []byte, error) {
		if n := bytes.IndexAny(b, "\r\n"); n >= 0 {
			return n + 1, b[:n], nil
		}
		if atEOF && len(b) > 0 {
			return len(b), b, nil
		}
		return 0, nil, nil
	})
	for lines.Scan() {
		p.mu.Lock()
		p.said = append(p.said, lines.Text())
		close(p.news)
		p.news = make(chan struct{})
		p.mu.Unlock()
	}
}

// await waits for a line of the process's, one that has been said already or one to come.
func (p *process) await(tb testing.TB, what string, limit time.Duration, is func(line string) bool) {
	tb.Helper()
	timeout := time.After(limit)
	for next, over := 0, false; ; {
		p.mu.Lock()
		lines, news := p.said[next:], p.news
		next = len(p.said)
		p.mu.Unlock()
		for _, line := range lines {
			if is(line) {
				return
			}
		}
		if over {
			tb.Fatalf("on %s: not %s within %s; it said:\n%s", p.name, what, limit, p.history(40))
		}
		select {
		case <-news:
		case <-p.ended:
			over = true
		case <-timeout:
			over = true
		}
	}
}

// history is what the process said last, in that many lines.
func (p *process) history(lines int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.said[max(0, len(p.said)-lines):], "\n")
}

// wait waits for the process's end, and tells whether it came before the deadline.
func (p *process) wait(deadline time.Time) bool {
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	select {
	case <-p.ended:
		return true
	case <-timeout.C:
		return false
	}
}

func (p *process) kill()   { _ = p.cmd.Process.Kill() } // it has ended, if not
func (p *process) pause()  { _ = p.cmd.Process.Signal(syscall.SIGSTOP) }
func (p *process) resume() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }

// cpu is the time that the process had the processor for, the kernel's work for it included, once it has ended.
func (p *process) cpu() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// peak is the most memory that this process has had at once, in bytes. (What wait4 tells of a child counts its parent's in.)
func peak() int64 {
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(kib), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}
