package netboot_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
	"golang.org/x/sys/unix"

	"aula/netboot"
)

// stormPCs is how many PCs are switched on at once.
const stormPCs = 500

// stormVariable makes the test's program the PCs of the storm: it holds their number.
const stormVariable = "AULA_TEST_STORM"

func TestMain(m *testing.M) {
	if n := os.Getenv(stormVariable); n != "" {
		os.Exit(beStorm(n))
	}
	if folder := os.Getenv(dhcpServerVariable); folder != "" {
		os.Exit(beDHCPServer(folder))
	}
	if folder := os.Getenv(secondVariable); folder != "" {
		os.Exit(beSecond(folder))
	}
	os.Exit(m.Run())
}

// Five hundred PCs are switched on in the same moment. Each goes the whole way, as BIOS PCs do, by the timers that firmware has: DHCP (DISCOVER again after
// 4, 12 and 28 s), TFTP of the loader, and script, kernel and initramfs by HTTP. Every one must arrive.
func TestStormOfFiveHundredPCs(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	needLoaders(t)
	command(t, "ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0")
	command(t, "ip", "addr", "add", "10.20.28.1/22", "dev", "br0")
	command(t, "ip", "link", "set", "br0", "up")
	c := open(t, func(cfg *netboot.Config) {
		cfg.Mode, cfg.Observer = netboot.ModeFull, nil
		cfg.Log = nil // 500 PCs have much to say
		cfg.Files = part{kernel: strings.Repeat("kernel..", 128<<10), initramfs: strings.Repeat("initram.", 256<<10)}
	})
	plugPC(t, "room", "52:54:00:00:00:09")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", "room", os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", stormVariable, stormPCs))
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("the PCs: %v\n%s", err, out)
	}
	var told []stormPC
	if err := json.Unmarshal(out, &told); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	checkStorm(t, told)
	c.close(t)
}

func checkStorm(t *testing.T, all []stormPC) {
	addresses := map[netip.Addr]string{}
	var dhcp, whole []time.Duration
	again := 0
	for _, pc := range all {
		if pc.Problem != "" {
			t.Errorf("%s: %s", pc.MAC, pc.Problem)
			continue
		}
		if other, taken := addresses[pc.Address]; taken {
			t.Errorf("%s and %s both have %s", pc.MAC, other, pc.Address)
		}
		addresses[pc.Address] = pc.MAC
		dhcp, whole = append(dhcp, pc.DHCP), append(whole, pc.Whole)
		again += pc.Again
	}
	if len(addresses) != stormPCs {
		t.Fatalf("%d of %d PCs arrived", len(addresses), stormPCs)
	}
	slices.Sort(dhcp)
	slices.Sort(whole)
	t.Logf("%d PCs: address after %s in the middle, %s at last; all that is loaded after %s, %s; %d packets of DHCP sent again",
		stormPCs, dhcp[stormPCs/2], dhcp[stormPCs-1], whole[stormPCs/2], whole[stormPCs-1], again)
}

// A stormPC is a simulated PC, and what it tells when it is done.
type stormPC struct {
	MAC     string
	Address netip.Addr
	DHCP    time.Duration // until it had an address
	Whole   time.Duration // until everything was loaded
	Again   int           // packets of DHCP that it had to repeat
	Problem string

	mac     net.HardwareAddr
	answers chan *dhcpv4.DHCPv4
}

// storm is the wire that all PCs share, with a NIC for each as far as DHCP goes; from then on they are addresses of one.
type storm struct {
	nic    *net.Interface
	raw    int
	pcs    map[string]*stormPC // by MAC
	adding sync.Mutex
	ip     io.Writer // what ip -batch reads
}

// beStorm is the PCs' side, in their namespace. It prints the PCs as JSON.
func beStorm(number string) int {
	if err := runStorm(number); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func runStorm(number string) error {
	var n int
	if _, err := fmt.Sscan(number, &n); err != nil {
		return err
	}
	s := &storm{pcs: map[string]*stormPC{}}
	var all []*stormPC
	for i := range n {
		mac := net.HardwareAddr{0x02, 0xaa, 0, 0, byte(i >> 8), byte(i)}
		pc := &stormPC{MAC: mac.String(), mac: mac, answers: make(chan *dhcpv4.DHCPv4, 8)}
		s.pcs[pc.MAC] = pc
		all = append(all, pc)
	}
	if err := s.open(); err != nil {
		return err
	}
	var group sync.WaitGroup
	began := time.Now()
	for _, pc := range all {
		group.Go(func() {
			if err := s.boot(pc, began); err != nil {
				pc.Problem = err.Error()
			}
			pc.Whole = time.Since(began)
		})
	}
	group.Wait()
	return json.NewEncoder(os.Stdout).Encode(all)
}

func (s *storm) open() (err error) {
	if s.nic, err = net.InterfaceByName("eth0"); err != nil {
		return err
	}
	all := int(binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_IP)))
	if s.raw, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, all); err != nil {
		return err
	}
	if err := unix.Bind(s.raw, &unix.SockaddrLinklayer{Protocol: uint16(all), Ifindex: s.nic.Index}); err != nil {
		return err
	}
	promiscuous := &unix.PacketMreq{Ifindex: int32(s.nic.Index), Type: unix.PACKET_MR_PROMISC}
	if err := unix.SetsockoptPacketMreq(s.raw, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, promiscuous); err != nil {
		return err
	}
	if err := unix.SetsockoptInt(s.raw, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20); err != nil {
		return err
	}
	go s.listen()
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stderr = os.Stderr
	if s.ip, err = cmd.StdinPipe(); err != nil {
		return err
	}
	return cmd.Start()
}

// listen hands DHCP's answers to their PCs until the program ends.
func (s *storm) listen() {
	buf := make([]byte, 64<<10)
	for {
		n, err := unix.Read(s.raw, buf)
		if err != nil {
			return
		}
		const headers = 14 + 20 + 8
		if n < headers || buf[23] != unix.IPPROTO_UDP || binary.BigEndian.Uint16(buf[36:]) != dhcpv4.ClientPort {
			continue
		}
		p, err := dhcpv4.FromBytes(slices.Clone(buf[headers:n]))
		if err != nil {
			continue
		}
		if pc := s.pcs[p.ClientHWAddr.String()]; pc != nil && p.OpCode == dhcpv4.OpcodeBootReply {
			select {
			case pc.answers <- p:
			default:
			}
		}
	}
}

// send broadcasts a packet of DHCP in a frame of the PC.
func (s *storm) send(pc *stormPC, p *dhcpv4.DHCPv4) error {
	body := p.ToBytes()
	frame := append(make([]byte, 0, 42+len(body)), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	frame = append(frame, pc.mac...)
	frame = append(frame, 8, 0)
	ip := []byte{0x45, 0, 0, 0, 0, 0, 0, 0, 64, unix.IPPROTO_UDP, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255}
	binary.BigEndian.PutUint16(ip[2:], uint16(28+len(body)))
	var sum uint32
	for i := 0; i < len(ip); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
	frame = append(frame, ip...)
	frame = binary.BigEndian.AppendUint16(frame, dhcpv4.ClientPort)
	frame = binary.BigEndian.AppendUint16(frame, dhcpv4.ServerPort)
	frame = binary.BigEndian.AppendUint16(frame, uint16(8+len(body)))
	frame = append(frame, 0, 0) // no checksum, RFC 768
	return unix.Sendto(s.raw, append(frame, body...), 0, &unix.SockaddrLinklayer{Ifindex: s.nic.Index, Halen: 6})
}

// firmwareWaits are the times for which EDK2 waits for an answer before it asks again; after the last it gives up.
var firmwareWaits = []time.Duration{4 * time.Second, 8 * time.Second, 16 * time.Second, 32 * time.Second}

// exchange sends a packet until an answer of a type comes.
func (s *storm) exchange(pc *stormPC, p *dhcpv4.DHCPv4, want dhcpv4.MessageType) (*dhcpv4.DHCPv4, error) {
	for i, wait := range firmwareWaits {
		if i > 0 {
			pc.Again++
		}
		if err := s.send(pc, p); err != nil {
			return nil, err
		}
		timeout := time.After(wait)
		for waiting := true; waiting; {
			select {
			case answer := <-pc.answers:
				if answer.TransactionID == p.TransactionID && answer.MessageType() == want {
					return answer, nil
				}
			case <-timeout:
				waiting = false
			}
		}
	}
	return nil, fmt.Errorf("no %s within a minute", want)
}

func (s *storm) boot(pc *stormPC, began time.Time) error {
	pxe := []dhcpv4.Modifier{
		dhcpv4.WithOption(dhcpv4.OptClassIdentifier("PXEClient:Arch:00000:UNDI:002001")),
		dhcpv4.WithOption(dhcpv4.OptClientArch(iana.INTEL_X86PC)),
		dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.OptionClientMachineIdentifier, append([]byte{0}, pc.mac[:6]...))),
	}
	discover, err := dhcpv4.NewDiscovery(pc.mac, pxe...)
	if err != nil {
		return err
	}
	offer, err := s.exchange(pc, discover, dhcpv4.MessageTypeOffer)
	if err != nil {
		return err
	}
	request, err := dhcpv4.NewRequestFromOffer(offer, pxe...)
	if err != nil {
		return err
	}
	ack, err := s.exchange(pc, request, dhcpv4.MessageTypeAck)
	if err != nil {
		return err
	}
	pc.DHCP = time.Since(began)
	pc.Address, _ = netip.AddrFromSlice(ack.YourIPAddr.To4())
	server, _ := netip.AddrFromSlice(ack.ServerIPAddr.To4())
	if err := s.take(pc, server); err != nil {
		return err
	}
	loader, err := fetchTFTP(pc.Address, server, ack.BootFileName)
	if err != nil {
		return fmt.Errorf("loader %q: %w", ack.BootFileName, err)
	}
	if loader < 50<<10 {
		return fmt.Errorf("loader %q has %d bytes", ack.BootFileName, loader)
	}
	return s.load(pc, server)
}

// take gives the PC's address to the one NIC that there is, and waits until the kernel has it.
func (s *storm) take(pc *stormPC, server netip.Addr) error {
	s.adding.Lock()
	_, err := fmt.Fprintf(s.ip, "address add %s/22 dev eth0 noprefixroute\nroute replace 10.20.28.0/22 dev eth0\n", pc.Address)
	s.adding.Unlock()
	for range 1000 {
		// It has the address when a socket can be bound to it, and the way to the server when that can be connected.
		conn, notYet := net.DialUDP("udp4", &net.UDPAddr{IP: pc.Address.AsSlice()}, net.UDPAddrFromAddrPort(netip.AddrPortFrom(server, 69)))
		if notYet == nil {
			return errors.Join(err, conn.Close())
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("the test's own NIC does not take the address %s", pc.Address)
}

// load fetches what follows the loader.
func (s *storm) load(pc *stormPC, server netip.Addr) error {
	transport := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: pc.Address.AsSlice()}, Timeout: 30 * time.Second}).DialContext}
	defer transport.CloseIdleConnections()
	web := &http.Client{Transport: transport, Timeout: 2 * time.Minute}
	base := fmt.Sprintf("http://%s/boot/%s/", server, pc.MAC)
	for file, least := range map[string]int64{"script.ipxe?firmware=bios": 100, "vmlinuz": 1 << 20, "initramfs": 2 << 20} {
		answer, err := web.Get(base + file)
		if err != nil {
			return err
		}
		n, err := io.Copy(io.Discard, bufio.NewReader(answer.Body))
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || n < least {
			return fmt.Errorf("%s: %s, %d bytes, %w", file, answer.Status, n, err)
		}
	}
	return nil
}

// fetchTFTP reads a file as EDK2 does: blocks of 1468 bytes, four at a time (RFC 7440), each again after a second. It returns the file's length.
func fetchTFTP(from, server netip.Addr, name string) (int64, error) {
	const blockSize, window, tries = 1468, 4, 6
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: from.AsSlice()})
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	to := netip.AddrPortFrom(server, 69)
	packet := []byte("\x00\x01" + name + "\x00octet\x00blksize\x001468\x00windowsize\x004\x00tsize\x000\x00")
	var have int64
	var block uint16
	buf := make([]byte, 2048)
	for failed, inWindow := 0, 0; failed < tries; {
		if packet != nil {
			if _, err := conn.WriteToUDPAddrPort(packet, to); err != nil {
				return have, err
			}
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		n, peer, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			failed++
			if have > 0 || block > 0 {
				packet = binary.BigEndian.AppendUint16([]byte{0, 4}, block)
			}
			inWindow = 0
			continue
		}
		failed, to = 0, peer
		packet = nil
		switch opcode, number := binary.BigEndian.Uint16(buf), binary.BigEndian.Uint16(buf[2:]); {
		case opcode == 6 && block == 0:
			packet = []byte{0, 4, 0, 0}
		case opcode == 5:
			return have, fmt.Errorf("error %d: %s", number, buf[4:n])
		case opcode == 3 && number == block+1:
			block, have = number, have+int64(n-4)
			inWindow++
			last := n-4 < blockSize
			if last || inWindow == window {
				inWindow = 0
				packet = binary.BigEndian.AppendUint16([]byte{0, 4}, block)
			}
			if last {
				_, err := conn.WriteToUDPAddrPort(packet, to)
				return have, err
			}
		}
	}
	return have, errors.New("the server has gone silent")
}
