package neighbour

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func TestProbeAsksTwiceAndTakesNothing(t *testing.T) {
	on(t, func(t *testing.T, c *cable, l *Lookout, heard *told) {
		began := time.Now()
		found, err := l.Probe(t.Context())
		if err != nil || len(found) != 0 || time.Since(began) != 3*time.Second {
			t.Errorf("Probe alone on the network = %v, %v after %s, want nothing after 3 s", found, err, time.Since(began))
		}
		if len(c.sent) != 2 || c.when[1].Sub(c.when[0]) != 1500*time.Millisecond {
			t.Fatalf("sent %d packets at %v, want two, 1.5 s apart", len(c.sent), c.when)
		}
		if len(c.also) != 1 || c.also[0] != l.MAC().String() {
			t.Errorf("the NIC was told %d times to take more, of %v, want once, of %s", len(c.also), c.also, l.MAC())
		}
		for i, from := range []string{ownMAC.String(), l.MAC().String()} {
			p := c.sent[i]
			if p.from.String() != from || p.source != nobody || p.to != everyServer {
				t.Errorf("packet %d goes from %s %s to %s, want it from %s", i, p.from, p.source, p.to, from)
			}
			m := p.dhcp
			if m.MessageType() != dhcpv4.MessageTypeDiscover || !m.IsBroadcast() || m.ClientHWAddr.String() != l.MAC().String() || l.MAC()[0] != 2 ||
				m.ClassIdentifier() != "PXEClient:Arch:00000:UNDI:002001" || len(m.Options.Get(dhcpv4.OptionClientMachineIdentifier)) != 17 ||
				len(m.Options.Get(dhcpv4.OptionClientSystemArchitectureType)) != 2 || len(m.Options.Get(dhcpv4.OptionClientNetworkInterfaceIdentifier)) != 3 ||
				string(m.Options.Get(helloOption)) != "aula full 10.20.30.1 schiller" {
				t.Errorf("packet %d is no PXE client's DHCPDISCOVER with an Aula's name:\n%s", i, m.Summary())
			}
			if !IsProbe(m.ToBytes()) {
				t.Errorf("IsProbe does not know packet %d", i)
			}
		}
	})
}

func TestProbeFindsEveryKindOfServer(t *testing.T) {
	for name, row := range map[string]struct {
		change []dhcpv4.Modifier
		want   Server
	}{
		"leases": {nil, Server{Leases: true, Offered: netip.MustParseAddr("10.20.30.77")}},
		"leases and boots": {[]dhcpv4.Modifier{dhcpv4.WithServerIP(net.IPv4(10, 20, 30, 9)), func(d *dhcpv4.DHCPv4) { d.BootFileName = "pxelinux.0" }},
			Server{Leases: true, Boots: true, Offered: netip.MustParseAddr("10.20.30.77"), Next: netip.MustParseAddr("10.20.30.9"), File: "pxelinux.0"}},
		"proxy": {[]dhcpv4.Modifier{dhcpv4.WithYourIP(net.IPv4zero), dhcpv4.WithOption(dhcpv4.OptClassIdentifier("PXEClient"))}, Server{Boots: true}},
		"proxy with a nasty name": {[]dhcpv4.Modifier{dhcpv4.WithYourIP(net.IPv4zero), dhcpv4.WithOption(dhcpv4.OptBootFileName("a\x1b[31m" + strings.Repeat("b", 150) + "\x00"))},
			Server{Boots: true, File: "a[31m" + strings.Repeat("b", 123)}},
		"another Aula":           {[]dhcpv4.Modifier{dhcpv4.WithYourIP(net.IPv4zero), dhcpv4.WithGeneric(helloOption, []byte("aula proxy 10.20.30.254 goethe"))}, Server{Boots: true, Aula: "goethe"}},
		"another Aula, full":     {[]dhcpv4.Modifier{dhcpv4.WithYourIP(net.IPv4zero), dhcpv4.WithGeneric(helloOption, []byte("aula full 10.20.30.254 goethe"))}, Server{Leases: true, Boots: true, Aula: "goethe"}},
		"Aula with a nasty name": {[]dhcpv4.Modifier{dhcpv4.WithGeneric(helloOption, []byte("aula full 10.20.30.254 <b>"))}, Server{Leases: true, Offered: netip.MustParseAddr("10.20.30.77")}},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(t *testing.T, c *cable, l *Lookout, heard *told) {
				c.answer = func(p packet) []packet { return []packet{offer(p.dhcp, otherAddr, row.change...)} }
				began := time.Now()
				found, err := l.Probe(t.Context())
				want := row.want
				want.Address, want.MAC, want.Answers, want.First, want.Last = otherAddr, otherMAC.String(), true, began, began.Add(askAgain)
				if err != nil || len(found) != 1 || found[0] != want {
					t.Errorf("Probe = %+v, %v\nwant %+v", found, err, want)
				}
				if heard.count() != 1 { // the second answer is no news
					t.Errorf("Heard was called %d times, want once: %+v", heard.count(), heard.servers)
				}
			})
		})
	}
}

func TestNoServerIsMadeOf(t *testing.T) {
	relayed := dhcpv4.WithGatewayIP(net.IPv4(10, 9, 9, 1))
	discover := func(change ...dhcpv4.Modifier) packet {
		m, err := dhcpv4.New(append(change, dhcpv4.WithHwAddr(pcMAC), dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover))...)
		if err != nil {
			t.Fatal(err)
		}
		return packet{from: pcMAC, source: nobody, to: everyServer, dhcp: m}
	}
	ownFrame := offer(discover().dhcp, otherAddr)
	ownFrame.from = ownMAC
	atBootServer := request(otherAddr, otherAddr)
	atBootServer.to = netip.AddrPortFrom(ownAddr, bootServerPort)
	for name, p := range map[string]packet{
		"our own offer":                      offer(discover().dhcp, ownAddr),
		"a frame from our NIC":               ownFrame,
		"a request to us":                    request(ownAddr, otherAddr),
		"a request from behind a relay":      request(otherAddr, otherAddr, relayed),
		"a request to a boot server":         atBootServer,
		"a search":                           discover(),
		"an answer that says nothing":        offer(discover().dhcp, otherAddr, dhcpv4.WithYourIP(net.IPv4zero)),
		"our own probe, come back":           discover(dhcpv4.WithGeneric(helloOption, []byte("aula full 10.20.30.1 schiller"))),
		"a request that names nobody":        request(netip.IPv4Unspecified(), otherAddr),
		"an Aula's search with broken words": discover(dhcpv4.WithGeneric(helloOption, []byte("aula full nowhere goethe"))),
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(t *testing.T, c *cable, l *Lookout, heard *told) {
				c.hear(p)
				synctest.Wait()
				if all := l.Servers(); len(all) != 0 || heard.count() != 0 || len(c.sent) != 0 {
					t.Errorf("servers: %+v, and %d packets were sent", all, len(c.sent))
				}
			})
		})
	}
}

func TestListensToWhatIsSaidToEverybody(t *testing.T) {
	taken := netip.MustParseAddr("10.20.30.80")
	ack := dhcpv4.WithMessageType(dhcpv4.MessageTypeAck)
	question := request(otherAddr, taken)
	for name, row := range map[string]struct {
		heard packet
		mac   string
		uses  bool
	}{
		"a PC takes another server's offer": {question, "", true},
		"another server acknowledges":       {offer(question.dhcp, otherAddr, ack, dhcpv4.WithYourIP(taken.AsSlice())), otherMAC.String(), true},
		"another server offers":             {offer(question.dhcp, otherAddr), otherMAC.String(), false},
		"another server refuses":            {offer(question.dhcp, otherAddr, dhcpv4.WithMessageType(dhcpv4.MessageTypeNak), dhcpv4.WithYourIP(net.IPv4zero)), otherMAC.String(), false},
		"one through a relay":               {offer(question.dhcp, otherAddr, dhcpv4.WithGatewayIP(net.IPv4(10, 20, 30, 3))), otherMAC.String(), false},
	} {
		t.Run(name, func(t *testing.T) {
			on(t, func(t *testing.T, c *cable, l *Lookout, heard *told) {
				c.hear(row.heard)
				synctest.Wait()
				all := l.Servers()
				if len(all) != 1 || all[0].Address != otherAddr || all[0].MAC != row.mac || !all[0].Leases || all[0].Answers || heard.count() != 1 {
					t.Errorf("servers: %+v, told %d times; want one that leases at %s, told once", all, heard.count(), otherAddr)
				}
				if got, ok := heard.uses[pcMAC.String()]; ok != row.uses || ok && got != taken {
					t.Errorf("the PC's address: %v, %v, want %s: %v", got, ok, taken, row.uses)
				}
				time.Sleep(remembered + time.Second)
				if all := l.Servers(); len(all) != 0 {
					t.Errorf("after %s: %+v", remembered, all)
				}
				c.hear(row.heard)
				synctest.Wait()
				if heard.count() != 2 {
					t.Errorf("heard again after it was gone: told %d times, want 2", heard.count())
				}
			})
		})
	}
}

// What a server does can change: the next probe knows.
func TestProbeCorrectsWhatIsKnown(t *testing.T) {
	on(t, func(t *testing.T, c *cable, l *Lookout, heard *told) {
		var change []dhcpv4.Modifier
		c.answer = func(p packet) []packet { return []packet{offer(p.dhcp, otherAddr, change...)} }
		probe := func() Server {
			t.Helper()
			found, err := l.Probe(t.Context())
			if err != nil || len(found) != 1 {
				t.Fatalf("Probe = %+v, %v", found, err)
			}
			return found[0]
		}
		if s := probe(); !s.Leases || s.Boots {
			t.Errorf("first %+v", s)
		}
		change = []dhcpv4.Modifier{dhcpv4.WithYourIP(net.IPv4zero), dhcpv4.WithOption(dhcpv4.OptClassIdentifier("PXEClient"))}
		if s := probe(); s.Leases || !s.Boots {
			t.Errorf("after it has become a proxy: %+v", s)
		}
		c.answer = nil
		if found, err := l.Probe(t.Context()); err != nil || len(found) != 0 {
			t.Errorf("after it has gone Probe = %+v, %v", found, err)
		}
		if all := l.Servers(); len(all) != 1 || all[0].Answers {
			t.Errorf("after it has gone it is remembered as %+v", all)
		}
	})
}

// An answer to somebody else, or of another probe, is heard but is no answer.
func TestAnswersOfOthersAreNoAnswers(t *testing.T) {
	on(t, func(t *testing.T, c *cable, l *Lookout, heard *told) {
		c.answer = func(p packet) []packet {
			return []packet{offer(p.dhcp, otherAddr, dhcpv4.WithTransactionID(dhcpv4.TransactionID{1, 2, 3, 4}))}
		}
		found, err := l.Probe(t.Context())
		if err != nil || len(found) != 0 {
			t.Errorf("Probe = %+v, %v, want nobody", found, err)
		}
		if all := l.Servers(); len(all) != 1 {
			t.Errorf("heard of %+v, want one", all)
		}
	})
}

func TestAulaAnswersAulas(t *testing.T) {
	on(t, func(t *testing.T, c *cable, l *Lookout, heard *told) {
		other := Lookout{cfg: Config{Name: "goethe", Own: func() []netip.Addr { return []netip.Addr{otherAddr} }}, mac: probeMAC(otherMAC)}
		question, err := other.question(dhcpv4.TransactionID{1, 2, 3, 4})
		if err != nil {
			t.Fatal(err)
		}
		c.hear(packet{from: otherMAC, source: nobody, to: everyServer, dhcp: question})
		synctest.Wait()
		if all := l.Servers(); len(all) != 1 || all[0].Aula != "goethe" || all[0].Address != otherAddr || all[0].Leases || all[0].MAC != otherMAC.String() {
			t.Errorf("heard of %+v, want the Aula goethe", all)
		}
		if len(c.sent) != 1 {
			t.Fatalf("sent %d packets, want an answer", len(c.sent))
		}
		reply := c.sent[0].dhcp
		if reply.MessageType() != dhcpv4.MessageTypeOffer || !reply.YourIPAddr.IsUnspecified() || reply.TransactionID != question.TransactionID ||
			string(reply.Options.Get(helloOption)) != "aula full 10.20.30.1 schiller" || !reply.ServerIdentifier().Equal(ownAddr.AsSlice()) {
			t.Errorf("answered\n%s", reply.Summary())
		}
		for range 1000 { // somebody plays with us
			c.hear(packet{from: otherMAC, source: nobody, to: everyServer, dhcp: question})
		}
		synctest.Wait()
		if len(c.sent) > answersPerSecond {
			t.Errorf("sent %d answers within a second", len(c.sent))
		}
	})
}

// Somebody makes up servers. Those that answer our probe are still found.
func TestFloodOfServers(t *testing.T) {
	on(t, func(t *testing.T, c *cable, l *Lookout, heard *told) {
		for i := range 900 {
			c.hear(request(netip.AddrFrom4([4]byte{10, 66, byte(i >> 8), byte(i)}), otherAddr))
			if i%100 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		if n := len(l.Servers()); n != most || heard.count() != most {
			t.Errorf("%d servers are known and %d told, want %d", n, heard.count(), most)
		}
		c.answer = func(p packet) []packet { return []packet{offer(p.dhcp, otherAddr)} }
		found, err := l.Probe(t.Context())
		if err != nil || len(found) != 1 || found[0].Address != otherAddr {
			t.Errorf("Probe = %+v, %v", found, err)
		}
		if n := len(l.Servers()); n != most {
			t.Errorf("%d servers are known, want %d", n, most)
		}
	})
}

func TestProbesTakeTurns(t *testing.T) {
	on(t, func(t *testing.T, c *cable, l *Lookout, heard *told) {
		began, done := time.Now(), make(chan time.Duration, 2)
		for range 2 {
			go func() {
				if _, err := l.Probe(t.Context()); err != nil {
					t.Errorf("Probe: %v", err)
				}
				done <- time.Since(began)
			}()
		}
		if first, second := <-done, <-done; first != askFor || second != 2*askFor {
			t.Errorf("probes ended after %s and %s", first, second)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := l.Probe(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Probe with a time limit: %v", err)
		}
		if len(c.also) != 1 || c.also[0] != l.MAC().String() {
			t.Errorf("the NIC was told %d times to take more, of %v, want once, of %s", len(c.also), c.also, l.MAC())
		}
	})
}

func TestProbeWithoutACableFails(t *testing.T) {
	on(t, func(t *testing.T, c *cable, l *Lookout, heard *told) {
		c.unplugged = errors.New("no cable in eth1")
		if _, err := l.Probe(t.Context()); !errors.Is(err, c.unplugged) || len(c.sent) != 0 {
			t.Errorf("Probe: %v, after %d packets", err, len(c.sent))
		}
	})
}

func TestName(t *testing.T) {
	for host, want := range map[string]string{
		"aula": "aula", "Aula-2.school.example": "Aula-2", "": "unnamed", "<b>": "b", "schüler": "schler", strings.Repeat("a", 99): strings.Repeat("a", 64),
	} {
		if got := Name(host); got != want || !plainName(got) {
			t.Errorf("Name(%q) = %q, want %q", host, got, want)
		}
	}
}
