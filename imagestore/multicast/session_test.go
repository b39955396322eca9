package multicast

import (
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestParseSession(t *testing.T) {
	t.Parallel()
	classroom := Session{9000, FullDuplex, netip.MustParseAddr("239.194.17.36"), 90_000_000, 20, time.Minute}
	with := func(change func(*Session)) Session {
		s := classroom
		change(&s)
		return s
	}
	for _, c := range []struct {
		name, text string
		want       Session
	}{
		{"a classroom", "9000:full-duplex:239.194.17.36:90M:20:60", classroom},
		{"with a line's end", "9000:full-duplex:239.194.17.36:90M:20:60\n", classroom},
		{"as the console in upper case", "9000:FULL-DUPLEX:239.194.17.36:90M:20:60", classroom},
		{"as the repository's script", "9000:full:239.194.17.36:90M:20:60", classroom},
		{"for a hub", "9000:half:239.194.17.36:90M:20:60", with(func(s *Session) { s.Mode = HalfDuplex })},
		{"no limits, the first that comes", "65534:half-duplex:224.0.1.0:0M:0:0",
			Session{65534, HalfDuplex, netip.MustParseAddr("224.0.1.0"), 0, 0, 0}},
		{"the most of everything", "9098:full-duplex:239.255.255.255:100000M:10000:86400",
			Session{9098, FullDuplex, netip.MustParseAddr("239.255.255.255"), 100e9, 10000, 24 * time.Hour}},
		{"broadcast keeps whatever address", "9000:BROADCAST:172.17.36.255:90M:20:60",
			with(func(s *Session) { s.Mode, s.Group = Broadcast, netip.MustParseAddr("172.17.36.255") })},
		{"zeros before numbers", "09000:full-duplex:239.194.17.36:090M:020:0000000060", classroom},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseSession(c.text)
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

func TestParseSessionNamesTheFieldAndTheRange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, text string
		says       []string
	}{
		{"odd port", "9001:full-duplex:239.194.17.36:90M:20:60", []string{`port "9001"`, "even number from 9000 to 65534", "9000"}},
		{"low port", "8998:full-duplex:239.194.17.36:90M:20:60", []string{`port "8998"`}},
		{"high port", "65536:full-duplex:239.194.17.36:90M:20:60", []string{`port "65536"`}},
		{"no port", ":full-duplex:239.194.17.36:90M:20:60", []string{`port ""`}},
		{"signed port", "+9000:full-duplex:239.194.17.36:90M:20:60", []string{`port "+9000"`}},
		{"unknown mode", "9000:duplex:239.194.17.36:90M:20:60", []string{`mode "duplex"`, "full-duplex, half-duplex or broadcast"}},
		{"unicast group", "9000:full-duplex:172.17.36.1:90M:20:60", []string{`group "172.17.36.1"`, "224.0.1.0 to 239.255.255.255", "239.194.17.36"}},
		{"group of the network itself", "9000:full-duplex:224.0.0.251:90M:20:60", []string{`group "224.0.0.251"`, "every port"}},
		{"group after the last", "9000:full-duplex:240.0.0.1:90M:20:60", []string{`group "240.0.0.1"`}},
		{"no address", "9000:full-duplex:room12:90M:20:60", []string{`group "room12"`}},
		{"no address though broadcast", "9000:broadcast:room12:90M:20:60", []string{`group "room12"`}},
		{"rate without unit", "9000:full-duplex:239.194.17.36:90:20:60", []string{`rate "90"`, "0 (no limit) to 100000", "90M"}},
		{"rate of another unit", "9000:full-duplex:239.194.17.36:1G:20:60", []string{`rate "1G"`}},
		{"broken rate", "9000:full-duplex:239.194.17.36:1.5M:20:60", []string{`rate "1.5M"`}},
		{"rate too high", "9000:full-duplex:239.194.17.36:100001M:20:60", []string{`rate "100001M"`}},
		{"too many computers", "9000:full-duplex:239.194.17.36:90M:10001:60", []string{`computers "10001"`, "0 to 10000", "20"}},
		{"more computers than numbers", "9000:full-duplex:239.194.17.36:90M:99999999999999999999:60", []string{`computers "9999`}},
		{"negative wait", "9000:full-duplex:239.194.17.36:90M:20:-1", []string{`wait "-1"`, "0 to 86400", "60"}},
		{"wait of two days", "9000:full-duplex:239.194.17.36:90M:20:172800", []string{`wait "172800"`}},
		{"a field short", "9000:full-duplex:239.194.17.36:90M:20", []string{"has 5 fields", "9000:full-duplex:239.194.17.36:90M:20:60"}},
		{"a field more", "9000:full-duplex:239.194.17.36:90M:20:60:1", []string{"has 7 fields"}},
		{"nothing", "", []string{"has 1 fields"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseSession(c.text)
			if err == nil || got != (Session{}) {
				t.Fatalf("got %+v, %v; want an error", got, err)
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

func TestSessionValidatesFieldsThatWereNotParsed(t *testing.T) {
	t.Parallel()
	good := Session{9000, FullDuplex, netip.MustParseAddr("239.194.17.36"), 90_000_000, 20, time.Minute}
	if err := good.Validate(); err != nil {
		t.Fatalf("a good session: %v", err)
	}
	for name, change := range map[string]func(*Session){
		"port":      func(s *Session) { s.Port = -2 },
		"mode":      func(s *Session) { s.Mode = "" },
		"group":     func(s *Session) { s.Group = netip.MustParseAddr("ff02::1") },
		"rate":      func(s *Session) { s.Rate = -1 },
		"computers": func(s *Session) { s.Computers = -1 },
		"wait":      func(s *Session) { s.Wait = -time.Second },
	} {
		s := good
		change(&s)
		if err := s.Validate(); err == nil || !strings.HasPrefix(err.Error(), name+" ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestSessionStringNeverLiftsALimit(t *testing.T) {
	t.Parallel()
	s := Session{Port: 9000, Mode: Broadcast, Rate: 1, Wait: time.Millisecond}
	if got, want := s.String(), "9000:broadcast:0.0.0.0:1M:0:1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestParseJoin(t *testing.T) {
	t.Parallel()
	group, server := netip.MustParseAddr("239.194.17.36"), netip.MustParseAddr("172.17.36.1")
	for _, c := range []struct {
		name, text string
		want       Join
	}{
		{"the port alone", "9000", Join{Port: 9000}},
		{"with the server", "9002:172.17.36.1", Join{Port: 9002, Server: server}},
		{"with a time to start", "9000:172.17.36.1:300", Join{Port: 9000, Server: server, StartTimeout: 5 * time.Minute}},
		{"all of it", "9000:172.17.36.1:300:60", Join{9000, netip.Addr{}, server, 5 * time.Minute, time.Minute}},
		{"zeros are none", "9000:0:0:0", Join{Port: 9000}},
		{"what the sender is told", "9000:full-duplex:239.194.17.36:90M:20:60", Join{Port: 9000, Group: group}},
		{"what a sender is told that broadcasts", "9000:broadcast:239.194.17.36:90M:20:60", Join{Port: 9000}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseJoin(c.text)
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v; want %+v", got, err, c.want)
			}
		})
	}
	for _, c := range []struct{ name, text, says string }{
		{"odd port", "9001:172.17.36.1", `port "9001"`},
		{"no port", "", `port ""`},
		{"a name for the server", "9000:master:0:0", `server "master"`},
		{"a group for the server", "9000:239.194.17.36", `server "239.194.17.36"`},
		{"no address for the server", "9000::0:0", `server ""`},
		{"letters for seconds", "9000:0:5m", `start timeout "5m"`},
		{"a time that never ends", "9000:0:0:86401", `receive timeout "86401"`},
		{"five fields", "9000:0:0:0:0", "has 5 fields"},
		{"what the sender is told, and bad", "9000:full-duplex:239.194.17.36:90:20:60", `rate "90"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := ParseJoin(c.text)
			if err == nil || got != (Join{}) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %+v, %v; want an error that says %s", got, err, c.says)
			}
		})
	}
}

func TestGroupOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, network, want string }{
		{"the wiki's classroom", "172.17.36.0/24", "239.194.17.36"},
		{"from a computer's address", "172.17.36.40/24", "239.194.17.36"},
		{"a network of several octets' last values", "10.20.39.5/22", "239.194.20.36"},
		{"another family", "2001:db8::/64", "invalid IP"},
	} {
		if got := GroupOf(netip.MustParsePrefix(c.network)).String(); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	if got := GroupOf(netip.Prefix{}); got.IsValid() {
		t.Errorf("no network: got %s", got)
	}
}

func FuzzParseSession(f *testing.F) {
	for _, seed := range []string{"9000:full-duplex:239.194.17.36:90M:20:60", "9000:half:224.0.1.0:0M:0:0", "65534:BROADCAST:1.2.3.4:100000M:10000:86400",
		"9000:full-duplex:::ffff:239.1.1.1:90M:20:60", ":::::", "9000:broadcast:fe80%eth0:1M:1:1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSession(text)
		if err != nil {
			return
		}
		if again, err := ParseSession(s.String()); err != nil || again != s {
			t.Errorf("%q is %+v, written %q, which is %+v, %v", text, s, s, again, err)
		}
		if j, err := ParseJoin(text); err != nil || j.Port != s.Port {
			t.Errorf("%q is a session, and to join %+v, %v", text, j, err)
		}
	})
}

func FuzzParseJoin(f *testing.F) {
	for _, seed := range []string{"9000", "9000:172.17.36.1:300:60", "9000:0:0:0", "9000:master:0:0", "9000:full-duplex:239.194.17.36:90M:20:60", ":"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		j, err := ParseJoin(text)
		if err != nil {
			if j != (Join{}) {
				t.Errorf("%q: %+v beside the error %v", text, j, err)
			}
			return
		}
		if j.Port < 9000 || j.Port > 65534 || j.Port%2 != 0 || j.StartTimeout < 0 || j.StartTimeout > maxWait || j.ReceiveTimeout < 0 || j.ReceiveTimeout > maxWait {
			t.Errorf("%q: %+v is out of range", text, j)
		}
	})
}
