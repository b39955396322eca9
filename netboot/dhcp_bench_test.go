package netboot_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"aula/imagestore/rig"
	"aula/netboot"
	"aula/netboot/quirk"
)

// The network of BenchmarkDHCP, of 21 bits. Its PCs are perfdhcp, which for IPv4 is a relay agent.
const (
	benchServer = "10.60.0.1/21"
	benchRelay  = "10.60.7.254/21"
	benchFirst  = "10.60.0.10"
	benchLast   = "10.60.7.200"
	benchPCs    = 500
	benchTime   = 4 * time.Second // at each rate
)

// dhcpServerVariable makes the test's program a server of Aula's on the NIC eth0: it holds the folder of its files.
const dhcpServerVariable = "AULA_TEST_DHCP_SERVER"

// A dhcpRival is a DHCP server that is measured. It logs to a file what it logs by default.
type dhcpRival struct {
	name    string
	durable string // what of a lease is on disk before the ACK
	start   func(b *testing.B, m *rig.Machine, folder string) *rig.Process
}

var dhcpRivals = []dhcpRival{
	{"aula", "fdatasync, batched", func(b *testing.B, m *rig.Machine, folder string) *rig.Process {
		return m.Start(b, []string{dhcpServerVariable + "=" + folder}, os.Args[0])
	}},
	{"dnsmasq", "fsync of the whole file", func(b *testing.B, m *rig.Machine, folder string) *rig.Process {
		// With its ping of each new address, it answers nobody for the first 18 s.
		return m.Start(b, nil, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--bind-interfaces", "--user=root",
			"--pid-file=", "--no-ping", "--dhcp-authoritative", "--dhcp-range="+benchFirst+","+benchLast+",1h", "--dhcp-lease-max=2000",
			"--dhcp-leasefile="+filepath.Join(folder, "leases"), "--log-facility="+filepath.Join(folder, "log"))
	}},
	{"kea", "write, no fsync", func(b *testing.B, m *rig.Machine, folder string) *rig.Process {
		config := fmt.Sprintf(`{"Dhcp4": {"interfaces-config": {"interfaces": ["eth0"]}, "valid-lifetime": 3600,
			"lease-database": {"type": "memfile", "name": %q}, "subnet4": [{"subnet": "10.60.0.0/21", "pools": [{"pool": "%s - %s"}]}],
			"loggers": [{"name": "kea-dhcp4", "severity": "INFO", "output_options": [{"output": %q}]}]}}`,
			filepath.Join(folder, "leases.csv"), benchFirst, benchLast, filepath.Join(folder, "log"))
		path := filepath.Join(folder, "kea.json")
		if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
			b.Fatal(err)
		}
		return m.Start(b, []string{"KEA_PIDFILE_DIR=" + folder, "KEA_LOCKFILE_DIR=" + folder}, "kea-dhcp4", "-c", path)
	}},
}

// BenchmarkDHCP has perfdhcp be 500 PCs, first all at once and of which nothing is known, then at rising rates, against each server alone on
// a cable. The figures to look at are max-exchanges/s, the complete exchanges of four packets in a second at the highest rate of which less
// than 1 % were lost and 99 of 100 replies came within 100 ms, and avalanche-s. Lease files are on the disk that holds temporary files.
//
// What is lost is lost in sockets. That of perfdhcp, in which the answers to all of its PCs wait, holds 208 KiB, and so does kea's. What is asked
// again in an avalanche is asked again after a second. dnsmasq never serves all: it offers one address to several PCs and
// refuses it to all but the first, and perfdhcp's PCs do not begin anew when they are refused.
func BenchmarkDHCP(b *testing.B) {
	servers := rig.Table{
		Title: fmt.Sprintf("DHCP: %d new PCs at once (perfdhcp --scenario avalanche), and the most exchanges that were sustained", benchPCs),
		Head:  []string{"server", "a lease is durable by", "all served", "served", "sent again", "addresses of two PCs", "exchanges/s", "processor each"},
	}
	rates := rig.Table{
		Title: fmt.Sprintf("DHCP: complete exchanges of %d PCs (delays of OFFER and ACK in ms)", benchPCs),
		Head:  []string{"server", "asked/s", "got/s", "lost", "OFFER p50", "p99", "ACK p50", "p99"},
	}
	defer rates.Print()
	defer servers.Print()
	for _, rival := range dhcpRivals {
		b.Run(rival.name, func(b *testing.B) {
			for b.Loop() {
				benchDHCP(b, rival, &servers, &rates)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

func benchDHCP(b *testing.B, rival dhcpRival, servers, rates *rig.Table) {
	room := rig.NewRoom(b)
	server, pcs := room.Plug(b, "server", netip.MustParsePrefix(benchServer).Addr()), room.Plug(b, "pcs", netip.MustParsePrefix(benchRelay).Addr())
	for m, address := range map[*rig.Machine]string{server: benchServer, pcs: benchRelay} {
		m.Command(b, "ip", "addr", "flush", "dev", "eth0")
		m.Command(b, "ip", "addr", "add", address, "broadcast", "+", "dev", "eth0")
	}
	rig.Hurry(b, server, pcs)
	folder := b.TempDir()
	process := rival.start(b, server, folder)
	defer process.Kill()
	awaitDHCP(b, pcs, process, filepath.Join(folder, "log"))

	storm := perfdhcp(b, pcs, 20*time.Second, "--scenario", "avalanche", "-u")
	took := "never"
	if storm.served == benchPCs {
		took = fmt.Sprintf("%.2f s", storm.took.Seconds())
		b.ReportMetric(storm.took.Seconds(), "avalanche-s")
	}
	best, twice, all := 0.0, storm.twice, storm.served
	for _, rate := range []int{500, 1000, 2000, 3000, 5000} {
		e := perfdhcp(b, pcs, 20*time.Second, "-r", strconv.Itoa(rate), "-p", strconv.Itoa(int(benchTime.Seconds())))
		if e.lost < 0.01 && max(e.offer.p99, e.ack.p99) < 100*time.Millisecond {
			best = max(best, e.rate)
		}
		twice, all = twice+e.twice, all+e.served
		rates.Add(rival.name, strconv.Itoa(rate), fmt.Sprintf("%.0f", e.rate), fmt.Sprintf("%.1f %%", 100*e.lost), millis(e.offer.p50), millis(e.offer.p99),
			millis(e.ack.p50), millis(e.ack.p99))
	}
	process.Terminate()
	if !process.Wait(time.Now().Add(10 * time.Second)) {
		b.Fatalf("%s does not end when it is asked to:\n%s", rival.name, process.History(40))
	}
	each := process.CPU() / time.Duration(max(1, all))
	b.ReportMetric(best, "max-exchanges/s")
	b.ReportMetric(float64(each.Microseconds()), "processor-us")
	servers.Add(rival.name, rival.durable, took, strconv.Itoa(storm.served), strconv.Itoa(storm.again), strconv.Itoa(twice), fmt.Sprintf("%.0f", best),
		fmt.Sprintf("%d µs", each.Microseconds()))
	if rival.name == "aula" && twice > 0 {
		b.Errorf("%d addresses were given to two PCs", twice)
	}
}

// awaitDHCP waits until the server answers, and then as long as it takes between the start of a server and that of a classroom, at the least.
func awaitDHCP(b *testing.B, pcs *rig.Machine, server *rig.Process, log string) {
	b.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		if perfdhcp(b, pcs, 20*time.Second, "-r", "10", "-p", "1", "-R", "1", "-b", "mac=00:0c:02:00:00:00").served > 0 {
			time.Sleep(5 * time.Second)
			return
		}
		if time.Now().After(deadline) {
			logged, _ := os.ReadFile(log)
			b.Fatalf("the server does not answer; it said:\n%s\n%s", server.History(40), logged)
		}
	}
}

// perfResult is what perfdhcp found.
type perfResult struct {
	rate       float64       // complete exchanges in a second, but of an avalanche
	lost       float64       // share of requests without an answer within a second
	served     int           // exchanges that were completed; PCs in an avalanche
	took       time.Duration // of an avalanche
	again      int           // requests of an avalanche that were repeated
	twice      int           // addresses that two PCs were given
	offer, ack delays
}

type delays struct{ p50, p99 time.Duration }

var (
	perfSent   = regexp.MustCompile(`(?m)^sent packets: ([0-9]+)`)
	perfGot    = regexp.MustCompile(`(?m)^received packets: ([0-9]+)`)
	perfStorm  = regexp.MustCompile(`It took ([0-9]+):([0-9]+):([0-9.]+) to provision`)
	perfAgain  = regexp.MustCompile(`(?m)^Requests resent: ([0-9]+)`)
	perfMissed = regexp.MustCompile(`still waiting for ([0-9]+) answers`)
	perfTimes  = regexp.MustCompile(`(?m)^sent / received: ([0-9.]+) / ([0-9.]+)`)
	perfLease  = regexp.MustCompile(`(?m)^([0-9a-f]{14}),([0-9.]+),`)
)

// perfdhcp has the PCs ask, and waits a second for the last answers. What is not over after the limit is broken off.
func perfdhcp(b *testing.B, pcs *rig.Machine, limit time.Duration, args ...string) perfResult {
	b.Helper()
	args = append([]string{"-4", "-l", "eth0", "-R", strconv.Itoa(benchPCs), "-W", "1000000", "-x", "tl"}, args...)
	p := pcs.Start(b, nil, "perfdhcp", append(args, netip.MustParsePrefix(benchServer).Addr().String())...)
	over := p.Wait(time.Now().Add(limit))
	p.Kill()
	<-p.Ended
	out := p.History(1 << 30)
	if !over {
		missed := find(out, perfMissed)
		if len(missed) == 0 {
			b.Fatalf("perfdhcp %s does not end:\n%s", strings.Join(args, " "), out)
		}
		return perfResult{served: benchPCs - int(missed[len(missed)-1])}
	}
	_, request, both := strings.Cut(out, "Statistics for: REQUEST-ACK")
	sent, got := find(out, perfSent), find(request, perfGot)
	if !both || len(sent) != 2 || len(got) != 1 {
		b.Fatalf("perfdhcp %s: not understood:\n%s", strings.Join(args, " "), out)
	}
	// Its own rate counts the time in which it only waited.
	r := perfResult{rate: got[0] / benchTime.Seconds(), served: int(got[0]), lost: 1 - got[0]/max(1, sent[0])}
	if again := find(out, perfAgain); len(again) == 1 {
		r.again = int(again[0])
	}
	if m := perfStorm.FindStringSubmatch(out); m != nil {
		r.took, _ = time.ParseDuration(m[1] + "h" + m[2] + "m" + m[3] + "s")
	}
	_, times, _ := strings.Cut(out, "Timestamps for packets: DISCOVER-OFFER")
	offers, times, _ := strings.Cut(times, "Timestamps for packets: REQUEST-ACK")
	acks, leases, _ := strings.Cut(times, "Leases for")
	r.offer, r.ack, r.twice = delaysIn(offers), delaysIn(acks), givenTwice(leases)
	return r
}

// find returns the numbers that an expression finds.
func find(text string, what *regexp.Regexp) (all []float64) {
	for _, m := range what.FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseFloat(m[1], 64)
		if err == nil {
			all = append(all, n)
		}
	}
	return all
}

func delaysIn(text string) delays {
	var all []time.Duration
	for _, m := range perfTimes.FindAllStringSubmatch(text, -1) {
		sent, err := time.ParseDuration(m[1] + "s")
		received, err2 := time.ParseDuration(m[2] + "s")
		if cmp.Or(err, err2) == nil {
			all = append(all, received-sent)
		}
	}
	if len(all) == 0 {
		return delays{}
	}
	slices.Sort(all)
	return delays{p50: all[len(all)/2], p99: all[len(all)*99/100]}
}

// givenTwice counts the addresses that more than one PC had, of what was acknowledged.
func givenTwice(leases string) (n int) {
	_, leases, _ = strings.Cut(leases, "REQUEST-ACK")
	owners := map[string]map[string]bool{}
	for _, m := range perfLease.FindAllStringSubmatch(leases, -1) {
		if owners[m[2]] == nil {
			owners[m[2]] = map[string]bool{}
		}
		owners[m[2]][m[1]] = true
	}
	for _, pcs := range owners {
		if len(pcs) > 1 {
			n++
		}
	}
	return n
}

func millis(d time.Duration) string { return fmt.Sprintf("%.1f", d.Seconds()*1000) }

// beDHCPServer is Aula in BenchmarkDHCP: all of its boot services, to which every PC is a stranger.
func beDHCPServer(folder string) int {
	log, err := os.Create(filepath.Join(folder, "log"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	err = serveUntilTold(netboot.Config{
		Interface: "eth0", Mode: netboot.ModeFull, PoolFirst: netip.MustParseAddr(benchFirst), PoolLast: netip.MustParseAddr(benchLast),
		StrangerTime: time.Hour, Leases: filepath.Join(folder, "leases.db"), AgentPort: 4430,
		Files: part{kernel: "kernel", initramfs: "initramfs"}, Decider: strangers{}, Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err = errors.Join(err, log.Close()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// serveUntilTold runs the boot services until the process is asked to end.
func serveUntilTold(cfg netboot.Config) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s, err := netboot.New(cfg)
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

// strangers is a Decider that knows nobody.
type strangers struct{}

func (strangers) Decide(context.Context, netboot.Client) (netboot.Boot, error) {
	return netboot.Boot{}, errors.New("not known")
}
func (strangers) Known(string) bool                 { return false }
func (strangers) Plan(netboot.Client) netboot.Plan  { return netboot.Plan{} }
func (strangers) Told(netboot.Client, netboot.Plan) {}
func (strangers) Learn(string, quirk.Quirk, string) {}
