package operation

import (
	"net/netip"
	"testing"

	"aula/appliance/catalog"
	"aula/clientos/protocol"
)

func TestParametersOfTheClassroom(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) {
		c.Network = netip.MustParsePrefix("172.17.36.1/24")
		c.Parameters = func(by string, pcs []catalog.Computer) string {
			return map[string]string{protocol.Multicast: "9002:half-duplex:239.194.1.2:90M:40:30", protocol.Torrent: "leecher:5"}[by]
		}
	})
	for text, want := range map[string]string{
		"deployImage REPO windows11 1 1 MULTICAST-DIRECT":                                      "9002:half-duplex:239.194.1.2:90M:2:30",
		"deployImage REPO windows11 1 1 TORRENT-DIRECT":                                        "leecher:5",
		"deployImage REPO windows11 1 1 MULTICAST-DIRECT 9000:full-duplex:239.194.9.9:5M:3:60": "9000:full-duplex:239.194.9.9:5M:3:60",
		"deployImage REPO windows11 1 1 UNICAST-DIRECT":                                        "",
	} {
		op := b.begin(text, "pc1", "pc2")
		if got := b.agents.sent["pc1"].Delivery.Parameters; got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
		if err := b.m.Cancel(t.Context(), op.ID); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"pc1", "pc2"} {
			b.m.Report(id, protocol.Report{ID: b.agents.sent[id].ID, Seq: 5, State: protocol.Cancelled})
		}
		b.work()
	}
}

// TestSessionWaitsForThoseThatWakeUp has one PC ready while the other is on its way.
func TestSessionWaitsForThoseThatWakeUp(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Network = netip.MustParsePrefix("172.17.36.1/24") })
	b.agents.offline["pc2"] = true
	op := b.begin("wakeUp 300\ndeployImage REPO windows11 1 1 MULTICAST-DIRECT", "pc1", "pc2")
	session := b.agents.sent["pc1"].Delivery.Session
	b.m.Report("pc1", protocol.Report{ID: b.agents.sent["pc1"].ID, Seq: 1, State: protocol.Running, Stage: protocol.StageWaiting})
	b.work()
	if got := b.m.Awaited(session); got != 1 {
		t.Errorf("%d are awaited, want the one that wakes up", got)
	}
	if err := b.m.StartNow(t.Context(), op.ID); err != nil {
		t.Fatal(err)
	}
	if got := b.m.Awaited(session); got != 0 {
		t.Errorf("%d are awaited after start now, want none", got)
	}
}
