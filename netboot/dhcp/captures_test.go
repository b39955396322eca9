//go:build record

package dhcp

import (
	"errors"
	"flag"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"aula/netboot/lease"
)

var (
	rewrite   = flag.Bool("rewrite", false, "write the golden parts of testdata/captures anew")
	record    = flag.String("record", "", "record what DHCP clients send to this NIC; with \"clients\" record the real clients of this machine")
	recordMAC = flag.String("record-mac", "", "record only this client")
	recordFor = flag.Duration("record-for", time.Minute, "how long to record")
	recordTo  = flag.String("record-to", "", "file to write")
	about     = flag.String("about", "", "what is recorded, for people")
	asServer  = flag.String("server", "", "ADDRESS/BITS of the server that the clients speak to")
	asRole    = flag.String("role", string(Full), "role of that server: full or proxy")
)

const captureFolder = "testdata/captures"

// What real clients send is understood, and answered, as the files say that were looked at.
func TestCaptures(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(captureFolder, "*.txt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			c, err := parseCapture(want)
			if err != nil {
				t.Fatal(err)
			}
			got := c.text()
			if *rewrite {
				writeFile(t, file, got)
			} else if got != string(want) {
				t.Errorf("what was captured is understood or answered otherwise than the file says; look at it, and if it is right, write it anew with -rewrite:\n%s", got)
			}
		})
	}
}

func writeFile(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestRecord makes a capture: testdata/captures/README.md says how it is called.
func TestRecord(t *testing.T) {
	if *record == "" || *record == "clients" {
		t.Skip("nothing is to be recorded")
	}
	network, err := netip.ParsePrefix(*asServer)
	if err != nil {
		t.Fatal(err)
	}
	nic, err := net.InterfaceByName(*record)
	if err != nil {
		t.Fatal(err)
	}
	stop := listenOn(t, nic)
	time.Sleep(*recordFor)
	c := capture{about: []string{*about}, network: network, role: Role(*asRole), packets: stop()}
	writeFile(t, *recordTo, c.text())
}

// TestRecordClients captures the real clients of this machine.
func TestRecordClients(t *testing.T) {
	if *record != "clients" {
		t.Skip("nothing is to be recorded")
	}
	if os.Getenv(insideVariable) == "" {
		folder, err := filepath.Abs(captureFolder)
		if err != nil {
			t.Fatal(err)
		}
		inNamespace(t, "-test.run=^"+t.Name()+"$", "-record=clients", "-record-to="+folder)
		return
	}
	inNamespace(t)
	address := netip.MustParsePrefix("10.0.0.1/24")
	nic := cable(t, "pc", address, pc1)
	serveOn(t, nic, Network{
		Server: address.Addr(), Subnets: []Subnet{{Prefix: address.Masked(), First: ip(128), Last: ip(254)}}, LeaseTime: time.Hour,
	}, nil)
	save := func(name, about string, packets []captured) {
		c := capture{about: []string{about}, network: address, role: Full, packets: packets}
		writeFile(t, filepath.Join(*recordTo, name), c.text())
	}
	dir := t.TempDir()
	script := filepath.Join(dir, "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n[ \"$1\" != bound ] || ip addr replace $ip/24 dev eth0\nexit 0\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	stop := listenOn(t, nic)
	on(t, "pc", "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-R", "-s", script, "-x", "hostname:pc1")
	save("udhcpc.txt", "udhcpc of busybox 1.35 (Debian 12): gets a lease and, at its end, releases it.", stop())

	stop = listenOn(t, nic)
	on(t, "pc", "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-B", "-C", "-r", "10.0.0.200", "-s", script)
	save("udhcpc-broadcast.txt", "udhcpc of busybox 1.35 (Debian 12): without a client identifier, asks for broadcasts and for an address.", stop())

	set := filepath.Join(dir, "dhclient-script")
	text := "#!/bin/sh\ncase $reason in BOUND|REBOOT) ip addr flush dev eth0; ip addr add $new_ip_address/24 dev eth0;; esac\nexit 0\n"
	if err := os.WriteFile(set, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	dhclient := func(more ...string) {
		args := []string{"dhclient", "-4", "-1", "-v", "-cf", "/dev/null", "-lf", filepath.Join(dir, "leases"), "-pf", filepath.Join(dir, "pid"), "-sf", set}
		on(t, "pc", append(append(args, more...), "eth0")...)
	}
	stop = listenOn(t, nic)
	dhclient()
	dhclient("-x")
	dhclient() // knows its address: INIT-REBOOT
	dhclient("-r")
	save("dhclient.txt", "dhclient of ISC DHCP 4.4.3 (Debian 12): gets a lease, starts again with it, and releases it.", stop())
}

// listenOn collects what clients send to a NIC, until the returned function is called.
func listenOn(t *testing.T, nic *net.Interface) func() []captured {
	t.Helper()
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_IP), Ifindex: nic.Index}); err != nil {
		t.Fatal(err)
	}
	socket := os.NewFile(uintptr(fd), "capture")
	done := make(chan []captured)
	go func() {
		var all []captured
		buf := make([]byte, packetSize)
		for {
			n, err := socket.Read(buf)
			if err != nil {
				done <- all
				return
			}
			if p, ok := clientPacket(buf[:n]); ok {
				all = append(all, p)
			}
		}
	}()
	return func() []captured {
		time.Sleep(100 * time.Millisecond) // what was sent is here
		if err := socket.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
		return <-done
	}
}

// clientPacket takes a client's DHCP packet out of an IP datagram.
func clientPacket(b []byte) (captured, bool) {
	if len(b) < ipHeader || b[0]>>4 != 4 || b[9] != 17 {
		return captured{}, false
	}
	head := int(b[0]&15) * 4
	if len(b) < head+udpHeader+optionsAt {
		return captured{}, false
	}
	udp := b[head:]
	from, _ := netip.AddrFromSlice(b[12:16])
	p := captured{
		port: int(udp[2])<<8 | int(udp[3]), from: netip.AddrPortFrom(from, uint16(udp[0])<<8|uint16(udp[1])),
		data: append([]byte(nil), udp[udpHeader:min(len(udp), int(udp[4])<<8|int(udp[5]))]...),
	}
	if p.port != 67 && p.port != BootServerPort || p.data[0] != 1 {
		return captured{}, false
	}
	if *recordMAC != "" {
		if mac, err := lease.ParseMAC(*recordMAC); err != nil || lease.MAC(p.data[28:34]) != mac {
			return captured{}, false
		}
	}
	return p, true
}
