package netboot

import (
	"net/netip"
	"testing"
	"time"

	"aula/netboot/dhcp"
	"aula/netboot/neighbour"
)

// A server that leases beside the network's own is an alarm also where this Aula is a proxy.
func TestSecondServerIsAnAlarmForAProxy(t *testing.T) {
	campus := neighbour.Server{Address: netip.MustParseAddr("10.20.30.250"), MAC: "52:54:00:00:00:fa", Leases: true}
	partner := neighbour.Server{Address: netip.MustParseAddr("10.20.30.251"), MAC: "52:54:00:00:00:fb", Leases: true}
	for _, mode := range []Mode{ModeAuto, ModeProxy} {
		keep(t, mode, func(t *testing.T, k *keeper, s *scene) {
			s.plug(campus)
			k.start(t)
			checkNotice(t, s.take(), keyOf(campus), Info)
			unplug := s.plug(partner)
			wait(11 * time.Minute)
			checkNotice(t, s.take(), keyOf(partner), Info) // they share the addresses
			wait(time.Hour)
			unplug()
			wait(time.Hour)
			s.take()
			s.plug(partner)
			wait(11 * time.Minute)
			checkNotice(t, s.take(), keyOf(partner), Info)

			heard := rogue
			heard.Last = time.Now()
			s.mu.Lock()
			s.heard[heard.Address] = heard
			s.mu.Unlock()
			k.heard(heard)
			wait(time.Second)
			checkNotice(t, s.take(), rogueKey, Alarm, "A second DHCP server", "MAC 52:54:00:00:00:02", "unplug it")
			s.check(t, k, dhcp.Proxy, false)
		})
	}
}

func TestServerInPlaceOfTheFormerIsNoAlarm(t *testing.T) {
	keep(t, ModeProxy, func(t *testing.T, k *keeper, s *scene) {
		old := neighbour.Server{Address: netip.MustParseAddr("10.20.30.250"), Leases: true}
		unplug := s.plug(old)
		k.start(t)
		unplug()
		wait(time.Hour)
		s.take()
		s.plug(rogue)
		wait(11 * time.Minute)
		checkNotice(t, s.take(), rogueKey, Info)
	})
}
