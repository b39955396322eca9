package main

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aula/imagestore/multicast"
)

const classroomSession = "9000:full-duplex:239.194.17.36:90M:20:60"

func TestMulticastMistakesAreOneLine(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	image := write(t, filepath.Join(dir, "win.img"), smallImage())
	short := write(t, filepath.Join(dir, "short.key"), []byte("secret"))
	out := filepath.Join(dir, "out.img")
	for _, c := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"an odd port", []string{"send", image, "9001:full-duplex:239.194.17.36:90M:20:60"}, 55, `port "9001": it must be an even number`},
		{"no session", []string{"send", image}, 55, "<session>"},
		{"the client's string at the sender", []string{"send", image, "9000:172.17.36.1"}, 55, "PORT:MODE:GROUP:RATE:COMPUTERS:SECONDS"},
		{"an unknown flag", []string{"send", "--speed", image, classroomSession}, 55, "--speed"},
		{"a TTL out of range", []string{"send", "--ttl", "256", image, classroomSession}, 55, "from 1 to 255"},
		{"a time without unit", []string{"send", "--linger", "long", image, classroomSession}, 55, "such as 90s or 5m"},
		{"a key that is too short", []string{"send", "--key", short, image, classroomSession}, 55, "head -c 32 /dev/urandom"},
		{"no file", []string{"send", filepath.Join(dir, "gone.img"), classroomSession}, 56, "no such file"},
		{"a folder", []string{"send", dir, classroomSession}, 56, "folder"},
		{"an interface that is not there, at the sender", []string{"send", "--interface", "nonic0", image, classroomSession}, 56, "nonic0"},
		{"a name for the server", []string{"receive", out, "9000:master:0:0"}, 55, `server "master"`},
		{"a group for the server", []string{"receive", "--server", "239.194.17.36", out, "9000"}, 55, "address of a machine"},
		{"no memory", []string{"receive", "--memory-mib", "7", out, classroomSession}, 55, "from 8 to 256"},
		{"an interface that is not there, and no group", []string{"receive", "--interface", "nonic0", out, "9000"}, 55, "nonic0"},
		{"an interface that is not there", []string{"receive", "--interface", "nonic0", out, classroomSession}, 57, "nonic0"},
		{"a file that is there", []string{"receive", image, classroomSession}, 57, "--force"},
		{"a folder that is not there", []string{"receive", filepath.Join(dir, "none", "out.img"), classroomSession}, 57, "no such file"},
		{"a pipe", []string{"receive", "-", classroomSession}, 57, "any order"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			stdout, stderr, status := aula(t, append([]string{"multicast"}, c.args...)...)
			if status != c.status || stdout != "" || !strings.Contains(stderr, c.says) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("got status %d, %q and %q; want %d and a line that says %s", status, stdout, stderr, c.status, c.says)
			}
		})
	}
	t.Cleanup(func() { // after the parallel ones
		if left, err := filepath.Glob(filepath.Join(dir, "*.partial*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %q, %v", left, err)
		}
	})
}

func TestMulticastTellsOfAFailureAsJSON(t *testing.T) {
	t.Parallel()
	there := write(t, filepath.Join(t.TempDir(), "there.img"), nil)
	stdout, _, status := aula(t, "multicast", "receive", "--json", there, classroomSession)
	var got struct{ Result, Error string }
	if err := json.Unmarshal([]byte(stdout), &got); err != nil || status != 57 || got.Result != "failed" || !strings.Contains(got.Error, there) {
		t.Errorf("status %d, %q: %v", status, stdout, err)
	}
}

func TestMulticastHelpTellsTheExitStatuses(t *testing.T) {
	t.Parallel()
	for _, side := range []string{"send", "receive"} {
		stdout, _, status := aula(t, "multicast", side, "--help")
		if status != 0 || !strings.Contains(stdout, "Exit status: 0") || !strings.Contains(stdout, "55") {
			t.Errorf("%s --help: status %d, %s", side, status, stdout)
		}
	}
}

func TestPatience(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]time.Duration{"90": 90 * time.Second, "90s": 90 * time.Second, "5m": 5 * time.Minute, "0": 0, "24h": 24 * time.Hour} {
		var p patience
		if err := p.UnmarshalText([]byte(text)); err != nil || time.Duration(p) != want {
			t.Errorf("%s: got %v, %v; want %v", text, time.Duration(p), err, want)
		}
	}
	for _, text := range []string{"", "-1", "-1s", "25h", "86401", "soon", "99999999999999999999"} {
		if p := patience(1); p.UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is taken as %v", text, time.Duration(p))
		}
	}
}

func TestChooseNetwork(t *testing.T) {
	t.Parallel()
	p := netip.MustParsePrefix
	lo := nic{"lo", []netip.Prefix{p("127.0.0.1/8")}}
	room := nic{"eth0", []netip.Prefix{p("172.17.36.40/24")}}
	campus := nic{"eth1", []netip.Prefix{p("10.1.2.3/16"), p("10.7.2.3/24")}}
	bare := nic{"eth2", nil}
	for _, c := range []struct {
		name, wanted, server string
		up                   []nic
		want, says           string
	}{
		{name: "one interface", up: []nic{lo, bare, room}, want: "172.17.36.40/24"},
		{name: "the named one of two", wanted: "eth1", up: []nic{lo, room, campus}, want: "10.1.2.3/16"},
		{name: "the one with the server in it", server: "10.7.2.1", up: []nic{lo, room, campus}, want: "10.7.2.3/24"},
		{name: "loopback, by name", wanted: "lo", up: []nic{lo, room}, want: "127.0.0.1/8"},
		{name: "two to choose from", up: []nic{lo, room, campus}, says: "one of eth0, eth1 with --interface"},
		{name: "a server elsewhere does not help", server: "192.168.1.1", up: []nic{lo, room, campus}, says: "--interface"},
		{name: "one without an address", wanted: "eth2", up: []nic{lo, room, bare}, says: "--interface eth2"},
		{name: "nothing is up", up: []nic{lo, bare}, says: "look at the cable"},
	} {
		var server netip.Addr
		if c.server != "" {
			server = netip.MustParseAddr(c.server)
		}
		got, err := chooseNetwork(c.up, c.wanted, server)
		switch {
		case c.says == "" && (err != nil || got != p(c.want)):
			t.Errorf("%s: got %v, %v; want %s", c.name, got, err, c.want)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: got %v, %v; want an error that says %s", c.name, got, err, c.says)
		}
	}
}

func TestLinkProblemsAreOfTheNamedInterface(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "nonic0", "../../etc"} {
		if got := linkProblems(name); got != nil {
			t.Errorf("%q: got %q", name, got)
		}
	}
}

// room is a status of a sender in the middle of its work.
func room() multicast.SenderStatus {
	return multicast.SenderStatus{
		Phase: multicast.Sending, Name: "win.img", Size: 4e9, Sent: 2e9, Rate: 90e6, Elapsed: 200 * time.Second, Slowest: "pc02",
		Receivers: []multicast.ReceiverStatus{
			{Name: "pc01", Address: netip.MustParseAddr("172.17.36.11"), State: multicast.Complete, Percent: 100},
			{Name: "pc02", Address: netip.MustParseAddr("172.17.36.12"), State: multicast.Receiving, Percent: 40, Done: 16e8, Rate: 5e6},
			{Name: "172.17.36.13", Address: netip.MustParseAddr("172.17.36.13"), State: multicast.Receiving, Percent: 50},
		},
	}
}

func TestSenderLine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*multicast.SenderStatus)
		want   string
	}{
		{"waiting", func(s *multicast.SenderStatus) { s.Phase = multicast.Waiting }, "waiting for computers: 3 of 20 here"},
		{"sending", func(*multicast.SenderStatus) {},
			"[############............]  50 %  2.0 GB of 4.0 GB, 10.0 MB/s, 3m20s left  sending at 90 Mbit/s, 1 of 3 complete, slowest pc02 40 %"},
		{"catching up is about the slowest", func(s *multicast.SenderStatus) { s.Phase, s.Sent = multicast.CatchingUp, 4e9 },
			"[#########...............]  40 %  1.6 GB of 4.0 GB, 5.0 MB/s, 8m0s left  catching up at 90 Mbit/s, 1 of 3 complete, slowest pc02 40 %"},
		{"a stream has no end", func(s *multicast.SenderStatus) { s.Size, s.Slowest = multicast.Unknown, "" },
			"2.0 GB, 10.0 MB/s  sending at 90 Mbit/s, 1 of 3 complete"},
		{"ended", func(s *multicast.SenderStatus) { s.Phase = multicast.Ended }, "ended: 1 of 3 computers complete"},
	} {
		s := room()
		c.change(&s)
		if got := senderLine(s, 20); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestSenderNewsAreToldOnce(t *testing.T) {
	t.Parallel()
	const alone = "pc02 (172.17.36.12): unicast, 40 %: the group does not reach it"
	for _, c := range []struct {
		name               string
		terminal           bool
		first, then, after []string
	}{
		{"without a terminal", false,
			[]string{"sending win.img (4.0 GB) to 3 computers", "pc01 (172.17.36.11): complete", "pc02 (172.17.36.12): receiving", "172.17.36.13: receiving"},
			[]string{"catching up: 1 of 3 computers complete, the others get what they miss", alone},
			[]string{"172.17.36.13: silent, 50 %: no reason is known", "ended: 1 of 3 computers complete"}},
		{"on a terminal, which shows the rest", true, nil, []string{alone}, []string{"172.17.36.13: silent, 50 %: no reason is known"}},
	} {
		n, s := senderNews{wanted: 20}, room()
		check := func(when string, want []string) {
			t.Helper()
			if got := n.changes(s, c.terminal); !slices.Equal(got, want) {
				t.Errorf("%s, %s: got %q, want %q", c.name, when, got, want)
			}
			if got := n.changes(s, c.terminal); len(got) != 0 {
				t.Errorf("%s, %s: told twice: %q", c.name, when, got)
			}
		}
		check("at first", c.first)
		s.Phase = multicast.CatchingUp
		s.Receivers[1].State, s.Receivers[1].Reason = multicast.Alone, "the group does not reach it"
		check("then", c.then)
		s.Phase = multicast.Ended
		s.Receivers[2].State = multicast.Silent
		check("at the end", c.after)
	}
}

func TestSenderNewsTellReceiversOfOneNameApart(t *testing.T) {
	t.Parallel()
	s := room()
	s.Receivers = []multicast.ReceiverStatus{s.Receivers[1], s.Receivers[1]}
	n := senderNews{}
	n.changes(s, false)
	s.Receivers[1].State = multicast.Complete
	if got, want := n.changes(s, false), []string{"pc02 (172.17.36.12): complete"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReceptionNews(t *testing.T) {
	t.Parallel()
	sender := netip.MustParseAddrPort("172.17.36.1:9001")
	var s multicast.ReceptionStatus
	for _, c := range []struct {
		name            string
		change          func()
		plain, terminal []string
		line            string
	}{
		{"nobody is heard", func() {}, []string{"waiting for a sender on port 9000, group 239.194.17.36"}, nil,
			"waiting for a sender on port 9000, group 239.194.17.36"},
		{"the sender waits", func() { s.Sender, s.Name, s.Size = sender, "win.img", 4e9 },
			[]string{"waiting for the start of win.img at 172.17.36.1"}, nil, "waiting for the start of win.img at 172.17.36.1"},
		{"it has begun", func() { s.Started, s.Done, s.Resumed, s.Rate = true, 2e9, 1e9, 10e6 },
			[]string{"receiving win.img (4.0 GB) from 172.17.36.1", "1.0 GB are here from an earlier time"}, []string{"1.0 GB are here from an earlier time"},
			"[############............]  50 %  2.0 GB of 4.0 GB, 10.0 MB/s, 3m20s left  win.img from 172.17.36.1"},
		{"the group does not reach it", func() { s.Alone = true },
			[]string{"served by unicast: the group does not reach this machine (look at the switch's multicast settings and at --interface)"},
			[]string{"served by unicast: the group does not reach this machine (look at the switch's multicast settings and at --interface)"},
			"[############............]  50 %  2.0 GB of 4.0 GB, 10.0 MB/s, 3m20s left  win.img from 172.17.36.1"},
	} {
		before := s
		c.change()
		for terminal, want := range map[bool][]string{false: c.plain, true: c.terminal} {
			n := receptionNews{port: 9000, group: netip.MustParseAddr("239.194.17.36")}
			if c.name != "nobody is heard" {
				n.changes(before, terminal)
			}
			if got := n.changes(s, terminal); !slices.Equal(got, want) {
				t.Errorf("%s, terminal %v: got %q, want %q", c.name, terminal, got, want)
			}
			if got := n.changes(s, terminal); len(got) != 0 {
				t.Errorf("%s, terminal %v: told twice: %q", c.name, terminal, got)
			}
			if got := n.line(s); got != c.line {
				t.Errorf("%s: got %q, want %q", c.name, got, c.line)
			}
		}
	}
}

func TestClipLeavesAloneWhatIsNoTerminal(t *testing.T) {
	t.Parallel()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if line := strings.Repeat("é", 500); clip(line, f) != line || clip(line, &strings.Builder{}) != line {
		t.Error("a line was cut for a file")
	}
}
