package chain

import (
	"fmt"
	"testing"
	"time"

	"aula/appliance/lab"
	"aula/imagestore/rig"
)

// reference is how long others' chains took on the same rig: QEMU without KVM, one CPU, 1 GiB; the best of several (netboot.md 2.3). "Ready" is there the client
// image with an address and its tools, here the agent, which is connected.
var reference = map[string][]string{
	bios.name:       {"2.5", "-", "18.9", "21.7", "53.4"},
	uefiPXE.name:    {"5.4", "9.2", "13.5", "14.8", "56.1"},
	uefiHTTP.name:   {"8.8", "13.3", "44", "45", "86"},
	securePXE.name:  {"5.8", "13.7", "13.8", "17.6", "42.0"},
	secureHTTP.name: {"5.6", "10.9", "10.9", "21.5", "44.3"},
}

// BenchmarkBoot boots a stranger of each kind behind the appliance's own DHCP, one after the other, and prints seconds since the switch.
func BenchmarkBoot(b *testing.B) {
	c := startClassroom(b, lab.Config{})
	t := rig.Table{
		Title: "Boot of one PC in software emulation (QEMU TCG, 1 CPU, 1 GiB), seconds since the switch, beside others' figures from the same rig (netboot.md 2.3)",
		Head:  []string{"kind", "DHCP", "loader", "script", "all loaded", "own address", "agent ready"},
	}
	for _, k := range []kind{bios, uefiPXE, uefiHTTP, securePXE, secureHTTP} {
		p := c.add(k)
		p.powerOn()
		_, ready := p.arrive()
		m := p.milestones()
		p.PowerOff()
		t.Add(k.name, since(p.on, m.dhcp), since(p.on, m.loader), since(p.on, m.script), since(p.on, m.loaded), since(p.on, m.address), since(p.on, ready))
		o := reference[k.name]
		t.Add("  others", o[0], o[1], o[2], o[3], "", o[4])
		b.ReportMetric(ready.Sub(p.on).Seconds(), string(unit(k.name)))
	}
	t.Print()
}

// unit is a name for a metric, which has no spaces.
func unit(name string) (u []byte) {
	for _, c := range []byte(name) {
		if c == ' ' {
			c = '-'
		}
		u = append(u, c)
	}
	return append(u, "-s"...)
}

func since(on, at time.Time) string {
	if at.IsZero() {
		return "-"
	}
	return fmt.Sprintf("%.1f", at.Sub(on).Seconds())
}

// milestones of a boot: the first packet of each step, and the last of the client OS's files.
type milestones struct{ dhcp, loader, script, loaded, address time.Time }

func (p *pc) milestones() (m milestones) {
	const http = 80
	first := func(at *time.Time, packet packet) {
		if at.IsZero() {
			*at = packet.at
		}
	}
	for _, packet := range p.packets() {
		asked := packet.request()
		switch {
		case packet.dhcpKind() == "DISCOVER" && packet.option(60) != nil:
			first(&m.dhcp, packet)
		case packet.dhcpKind() == "DISCOVER":
			first(&m.address, packet)
		case isScript(asked):
			first(&m.script, packet)
		case asked != "":
			first(&m.loader, packet)
		case packet.source.Port() == http && packet.size > 0 && packet.to == p.MAC():
			m.loaded = packet.at
		}
	}
	if m.loader.After(m.script) {
		m.loader = time.Time{} // the ROM was the loader
	}
	return m
}
