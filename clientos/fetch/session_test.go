package fetch

import (
	"testing"
	"time"

	"aula/clientos/protocol"
)

func TestHowLongASessionMayWait(t *testing.T) {
	t.Parallel()
	for parameters, want := range map[string]time.Duration{
		"9000:full-duplex:239.194.17.36:90M:20:60": time.Minute, "9000:full-duplex:239.194.17.36:90M:20:0": longest,
		"9000:full-duplex:239.194.17.36:90M:0:0": 0, "nonsense": 0,
	} {
		in := protocol.Instruct{Delivery: &protocol.Delivery{Protocol: protocol.Multicast, Parameters: parameters}}
		if got := waitOf(in); got != want {
			t.Errorf("%s: %v, want %v", parameters, got, want)
		}
	}
	if got := waitOf(protocol.Instruct{Delivery: &protocol.Delivery{Protocol: protocol.Torrent, Parameters: "peer:60"}}); got != 0 {
		t.Errorf("a session that is fallen back to: %v", got)
	}
}
