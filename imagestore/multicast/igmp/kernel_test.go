package igmp

import (
	"context"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// quick is a querier of the server that asks often enough for a test.
func quick() *Querier {
	return &Querier{Interface: "eth0", Interval: 400 * time.Millisecond, Response: 200 * time.Millisecond, OtherInterval: 500 * time.Millisecond}
}

func TestSwitchKeepsMembersOnlyWhileTheQuerierAsks(t *testing.T) {
	if !alone(t) {
		return
	}
	snoop := newSnoop(t, "mcast_membership_interval 200") // hundredths of a second
	goodbye := join(t, pc1)
	snoop.learns(t, pc1)
	snoop.forgets(t, pc1) // although it is still a member
	goodbye()

	ear := listen(t, pc1)
	end := runQuerier(t, quick())
	join(t, pc1)
	snoop.learns(t, pc1)
	for range 12 { // 4.8 s, more than twice what the switch remembers
		hear(t, ear)
	}
	snoop.remembers(t, pc1)
	end()
	snoop.forgets(t, pc1)
}

func TestSwitchSparesOthersOnlyWhileTheQuerierAsks(t *testing.T) {
	if !alone(t) {
		return
	}
	snoop := newSnoop(t, "")
	join(t, pc1)
	snoop.learns(t, pc1)
	member, bystander := newTap(t, pc1), newTap(t, pc2)
	sender, err := net.ListenPacket("udp4", serverAddress+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	everybody := netip.MustParseAddr("10.9.0.255")
	// reach sends to the group, then to everybody, and returns which of the two PCs the former reached.
	reach := func() (ofMember, ofBystander bool) {
		for _, to := range []netip.Addr{session, everybody} {
			if _, err := sender.WriteTo([]byte("x"), &net.UDPAddr{IP: to.AsSlice(), Port: 9000}); err != nil {
				t.Fatal(err)
			}
		}
		return member.until(t, everybody) > 0, bystander.until(t, everybody) > 0
	}
	ip(t, "route add 224.0.0.0/4 dev eth0")
	if m, b := reach(); !m || !b {
		t.Fatalf("without a querier: reaches the member %t, the bystander %t, want both (the bridge floods)", m, b)
	}
	runQuerier(t, quick())
	for deadline := time.Now().Add(patience); ; {
		m, b := reach()
		if !m {
			t.Fatal("with the querier the member is not reached")
		}
		if !b {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("with the querier the switch still floods")
		}
	}
}

func TestSwitchForgetsAtOnceWhoLeaves(t *testing.T) {
	if !alone(t) {
		return
	}
	snoop := newSnoop(t, "") // remembers for 260 s
	ear := listen(t, pc1)
	runQuerier(t, quick())
	hear(t, ear)
	hear(t, ear) // from the first on, the PC says farewell as IGMPv2 wants it
	join(t, pc2)
	snoop.learns(t, pc2)
	goodbye := join(t, pc1)
	snoop.learns(t, pc1)
	goodbye()
	snoop.forgets(t, pc1)
	for range 4 {
		hear(t, ear)
	}
	snoop.remembers(t, pc2)
}

func TestTwoQueriersOnOneSwitch(t *testing.T) {
	if !alone(t) {
		return
	}
	newSnoop(t, "")
	ear := listen(t, pc2)
	lowAddress, highAddress := netip.MustParseAddr(serverAddress), netip.MustParseAddr("10.9.0.2")

	upper := quick()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- errors.Join(enter(pc1), upper.Run(ctx))
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the higher one: %v", err)
		}
	})
	m, raw := hear(t, ear)
	if m.from != highAddress || m.kind != queryV2 || m.response != upper.Response {
		t.Errorf("alone: heard %+v, want an IGMPv2 query of %s", m, highAddress)
	}
	// Version, 24 bytes of header, precedence; TTL 1, IGMP; to 224.0.0.1; Router Alert; the query.
	header := hex.EncodeToString(raw)
	if !strings.HasPrefix(header, "46c00020") || header[16:20] != "0102" || header[32:] != "e0000001"+"94040000"+"1102eefd00000000" {
		t.Errorf("on the wire: %s", header)
	}

	lower := quick()
	endLower := runQuerier(t, lower)
	for m, _ = hear(t, ear); m.from != lowAddress; m, _ = hear(t, ear) {
		if m.from != highAddress {
			t.Fatalf("heard %+v", m)
		}
	}
	for range 6 {
		if m, _ := hear(t, ear); m.from != lowAddress {
			t.Errorf("%s asks while %s does", m.from, lowAddress)
		}
	}
	if s := upper.Status(); s.Active || s.Other != lowAddress || s.Heard.IsZero() || s.Address != highAddress {
		t.Errorf("the higher one says %+v, want it silent because of %s", s, lowAddress)
	}
	if s := lower.Status(); !s.Active || s.Other.IsValid() || s.Address != lowAddress {
		t.Errorf("the lower one says %+v, want it to ask", s)
	}
	endLower()
	for m, _ = hear(t, ear); m.from != highAddress; m, _ = hear(t, ear) {
		if m.from != lowAddress { // one may still be in the socket
			t.Fatalf("heard %+v", m)
		}
	}
}

func TestChangesOfTheInterfaceAreNoticed(t *testing.T) {
	if !alone(t) {
		return
	}
	open := func() wire {
		t.Helper()
		w, err := openSocket(t.Context(), "eth0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = w.Close() })
		return w
	}
	// The kernel looks at cables up to a second late.
	eventually := func(says string, ask func() error) {
		t.Helper()
		again, limit := time.NewTicker(10*time.Millisecond), time.After(patience)
		defer again.Stop()
		for {
			err := ask()
			if err != nil && strings.Contains(err.Error(), says) {
				return
			}
			select {
			case <-again.C:
			case <-limit:
				t.Fatalf("got error %v, want one that says %q", err, says)
			}
		}
	}
	refused := func(says string) {
		t.Helper()
		eventually(says, func() error {
			w, err := openSocket(t.Context(), "eth0")
			if err != nil {
				return err
			}
			return w.Close()
		})
	}
	noticed := func(w wire, says string) {
		t.Helper()
		eventually(says, w.Check)
	}
	refused("no such network interface")
	ip(t, "link add eth0 type veth peer name switch")
	refused("is down")
	ip(t, "link set eth0 up")
	refused("has no link")
	ip(t, "link set switch up")
	refused("has no IPv4 address")
	ip(t, "addr add 10.9.0.1/24 dev eth0")
	w := open()
	if err := w.Check(); err != nil || w.Address() != netip.MustParseAddr("10.9.0.1") {
		t.Errorf("unchanged: got %v, address %s", err, w.Address())
	}
	ip(t, "link set switch down")
	noticed(w, "has no link")
	ip(t, "link set switch up")
	ip(t, "addr del 10.9.0.1/24 dev eth0")
	noticed(w, "has no IPv4 address")
	ip(t, "addr add 10.9.0.2/24 dev eth0")
	noticed(w, "now 10.9.0.2, before 10.9.0.1")
	w = open()
	ip(t, "link del eth0")
	noticed(w, "no such network interface")
	if err := w.Send(ask{netip.IPv4Unspecified(), time.Second}); err == nil {
		t.Error("sends on an interface that is gone")
	}
}

func TestWithoutTheRightItSaysWhichOne(t *testing.T) {
	if !alone(t) {
		return
	}
	newSnoop(t, "")
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // the right is taken from this thread alone, which ends with it
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		done <- errors.Join(unix.Capset(&header, &none[0]), quick().Run(t.Context()))
	}()
	if err, want := <-done, "the IGMP querier needs the right CAP_NET_RAW (run as root)"; err == nil || err.Error() != want {
		t.Errorf("got error %v, want %q", err, want)
	}
}
