package netboot

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aula/netboot/dhcp"
	"aula/netboot/neighbour"
)

func TestChoose(t *testing.T) {
	const full, proxy = dhcp.Full, dhcp.Proxy
	for name, row := range map[string]struct {
		s    situation
		want choice
	}{
		"full is full, whoever else leases":     {situation{mode: ModeFull, role: proxy, able: true, looked: true, others: true, given: true}, choice{role: full, settled: true}},
		"full needs no look":                    {situation{mode: ModeFull, role: full}, choice{role: full, settled: true}},
		"proxy never leases":                    {situation{mode: ModeProxy, role: full, able: true, looked: true, given: true}, choice{role: proxy, settled: true}},
		"blind, it asks":                        {situation{mode: ModeAuto, role: proxy}, choice{role: proxy, asking: true}},
		"blind, agreement does not help":        {situation{mode: ModeAuto, role: proxy, given: true}, choice{role: proxy, asking: true}},
		"before the first look nothing changes": {situation{mode: ModeAuto, role: proxy, able: true, given: true}, choice{role: proxy}},
		"nor from full, agreed":                 {situation{mode: ModeAuto, role: full, able: true, given: true}, choice{role: full}},
		"from full, not agreed":                 {situation{mode: ModeAuto, role: full, able: true}, choice{role: proxy}},
		"after a failed look it goes on asking": {situation{mode: ModeAuto, role: proxy, able: true, settled: true, asking: true}, choice{role: proxy, asking: true, settled: true}},
		"another server leases":                 {situation{mode: ModeAuto, role: proxy, able: true, looked: true, others: true}, choice{role: proxy, settled: true}},
		"another server leases, agreed":         {situation{mode: ModeAuto, role: proxy, able: true, looked: true, others: true, given: true}, choice{role: proxy, settled: true, withdraw: true}},
		"set to auto while another leases":      {situation{mode: ModeAuto, role: full, able: true, looked: true, others: true, given: true}, choice{role: proxy, settled: true, withdraw: true}},
		"nobody leases, not agreed":             {situation{mode: ModeAuto, role: proxy, able: true, looked: true}, choice{role: proxy, asking: true, settled: true}},
		"nobody leases, agreed":                 {situation{mode: ModeAuto, role: proxy, able: true, looked: true, given: true}, choice{role: full, settled: true}},
		"agreed later":                          {situation{mode: ModeAuto, role: proxy, able: true, looked: true, settled: true, asking: true, given: true}, choice{role: full, settled: true}},
		"a rogue changes nothing":               {situation{mode: ModeAuto, role: full, able: true, looked: true, settled: true, others: true, given: true}, choice{role: full, settled: true}},
		"nor does a failed look":                {situation{mode: ModeAuto, role: full, able: true, settled: true, given: true}, choice{role: full, settled: true}},
		"the agreement is taken back":           {situation{mode: ModeAuto, role: full, able: true, looked: true, settled: true}, choice{role: proxy, asking: true, settled: true}},
		"another server vanishes":               {situation{mode: ModeAuto, role: proxy, able: true, looked: true, settled: true}, choice{role: proxy, asking: true, settled: true}},
	} {
		if got := choose(row.s); got != row.want {
			t.Errorf("%s: %+v, want %+v", name, got, row.want)
		}
	}
}

// scene is a network for a keeper.
type scene struct {
	mu       sync.Mutex
	servers  map[netip.Addr]neighbour.Server // that answer
	heard    map[netip.Addr]neighbour.Server
	fails    error
	probes   int
	agreed   bool
	stubborn error // of Withdraw
	role     dhcp.Role
	notices  []Notice
}

func (s *scene) Probe(ctx context.Context) ([]neighbour.Server, error) {
	select {
	case <-time.After(3 * time.Second):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails != nil {
		return nil, s.fails
	}
	s.probes++
	for a, h := range s.heard {
		h.Answers = false
		s.heard[a] = h
	}
	for a, o := range s.servers {
		o.Answers, o.Last = true, time.Now()
		s.heard[a] = o
	}
	return nil, nil
}

func (s *scene) Servers() []neighbour.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []neighbour.Server
	for _, o := range s.heard {
		if time.Since(o.Last) <= 15*time.Minute {
			all = append(all, o)
		}
	}
	return all
}

func (s *scene) Given() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.agreed }

func (s *scene) Withdraw() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agreed = s.stubborn != nil
	return s.stubborn
}

func (s *scene) setRole(r dhcp.Role) { s.mu.Lock(); defer s.mu.Unlock(); s.role = r }

func (s *scene) notify(n Notice) { s.mu.Lock(); defer s.mu.Unlock(); s.notices = append(s.notices, n) }

func (s *scene) agree() { s.mu.Lock(); defer s.mu.Unlock(); s.agreed = true }

// plug adds a server, and returns what takes it away.
func (s *scene) plug(o neighbour.Server) (unplug func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.servers[o.Address] = o
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.servers, o.Address)
	}
}

// take returns the notices since it was called last.
func (s *scene) take() []Notice {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := s.notices
	s.notices = nil
	return all
}

func keep(t *testing.T, m Mode, test func(t *testing.T, k *keeper, s *scene)) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{servers: map[netip.Addr]neighbour.Server{}, heard: map[netip.Addr]neighbour.Server{}, role: dhcp.Proxy}
		k := newKeeper(m, s, s, s.setRole, s.notify, slog.New(slog.DiscardHandler))
		s.role = k.state().role
		test(t, k, s)
	})
}

// start runs the keeper, and lets the first look pass.
func (k *keeper) start(t *testing.T) {
	for _, run := range []func(context.Context) error{k.run, k.follow} {
		go func() {
			if err := run(t.Context()); err != nil {
				t.Errorf("keeper: %v", err)
			}
		}()
	}
	wait(5 * time.Second)
}

func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (s *scene) check(t *testing.T, k *keeper, role dhcp.Role, asking bool) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := k.state(); st.role != role || s.role != role || st.asking != asking {
		t.Errorf("role %s (told %s), asking %v; want %s, %v", st.role, s.role, st.asking, role, asking)
	}
}

// checkNotice looks for one notice, of a key and a level, with words in its text.
func checkNotice(t *testing.T, all []Notice, key, level string, words ...string) {
	t.Helper()
	if len(all) != 1 || all[0].Key != key || all[0].Level != level || all[0].Gone {
		t.Errorf("notices %+v, want one %s of %s", all, level, key)
		return
	}
	for _, w := range words {
		if !strings.Contains(all[0].Text, w) {
			t.Errorf("notice %q lacks %q", all[0].Text, w)
		}
	}
}

var rogue = neighbour.Server{
	Address: netip.MustParseAddr("10.20.30.2"), MAC: "52:54:00:00:00:02", Leases: true, Offered: netip.MustParseAddr("10.20.30.55"),
}

const rogueKey = "dhcp-server:10.20.30.2"

func TestAloneItAsksOnceAndLeasesWhenAgreed(t *testing.T) {
	keep(t, ModeAuto, func(t *testing.T, k *keeper, s *scene) {
		s.check(t, k, dhcp.Proxy, false)
		k.start(t)
		s.check(t, k, dhcp.Proxy, true)
		wait(time.Hour)
		s.check(t, k, dhcp.Proxy, true)
		if s.probes < 6 || s.probes > 7 {
			t.Errorf("looked %d times in an hour, want every 10 min", s.probes)
		}
		s.agree()
		k.reconsider()
		wait(5 * time.Second)
		s.check(t, k, dhcp.Full, false)
		if n := s.take(); len(n) != 0 {
			t.Errorf("alone on the network, notices %+v", n)
		}
	})
}

func TestAnotherServerMakesItAProxy(t *testing.T) {
	keep(t, ModeAuto, func(t *testing.T, k *keeper, s *scene) {
		s.agree()
		unplug := s.plug(rogue)
		k.start(t)
		s.check(t, k, dhcp.Proxy, false)
		if s.Given() {
			t.Error("the agreement was not withdrawn")
		}
		checkNotice(t, s.take(), rogueKey, Info, "10.20.30.2", "52:54:00:00:00:02", "10.20.30.55")
		unplug()
		wait(25 * time.Minute)
		s.check(t, k, dhcp.Proxy, true) // it never leases by itself
		if all := s.take(); len(all) != 1 || !all[0].Gone || all[0].Key != rogueKey {
			t.Errorf("after it is gone, notices %+v", all)
		}
	})
}

func TestRogueServerIsReportedWithinAMinute(t *testing.T) {
	for _, mode := range []Mode{ModeAuto, ModeFull} {
		t.Run(string(mode), func(t *testing.T) {
			keep(t, mode, func(t *testing.T, k *keeper, s *scene) {
				s.agree()
				k.start(t)
				wait(7 * time.Minute)
				s.check(t, k, dhcp.Full, false)
				if n := s.take(); len(n) != 0 {
					t.Fatalf("alone on the network, notices %+v", n)
				}
				unplug := s.plug(rogue)
				wait(time.Minute)
				checkNotice(t, s.take(), rogueKey, Alarm, "10.20.30.2", "MAC 52:54:00:00:00:02", "offered 10.20.30.55", "unplug it", "proxy")
				s.check(t, k, dhcp.Full, false) // the room keeps its addresses
				if !s.Given() {
					t.Error("the agreement was withdrawn")
				}
				other := rogue
				other.Offered = other.Offered.Next()
				s.plug(other)
				wait(5 * time.Minute)
				if n := s.take(); len(n) != 0 {
					t.Errorf("while it is there, more notices: %+v", n)
				}
				unplug()
				wait(3 * time.Minute)
				if all := s.take(); len(all) != 1 || !all[0].Gone || all[0].Key != rogueKey {
					t.Errorf("after it is gone, notices %+v", all)
				}
			})
		})
	}
}

// A switch that forwards nothing at first: the other server that was there all the time is still obeyed.
func TestServerThatIsFoundSoonIsObeyed(t *testing.T) {
	keep(t, ModeAuto, func(t *testing.T, k *keeper, s *scene) {
		s.agree()
		k.start(t)
		s.check(t, k, dhcp.Full, false)
		s.plug(rogue)
		wait(time.Minute)
		s.check(t, k, dhcp.Proxy, false)
		if s.Given() {
			t.Error("the agreement was not withdrawn")
		}
	})
}

// What is heard between the looks is told at once.
func TestRogueServerThatIsHeardIsReportedAtOnce(t *testing.T) {
	keep(t, ModeFull, func(t *testing.T, k *keeper, s *scene) {
		k.start(t)
		heard := rogue
		heard.Last, heard.MAC = time.Now(), ""
		s.mu.Lock()
		s.heard[heard.Address] = heard
		s.mu.Unlock()
		k.heard(heard)
		synctest.Wait()
		checkNotice(t, s.take(), rogueKey, Alarm, "10.20.30.2")
		wait(14 * time.Minute)
		if n := s.take(); len(n) != 0 {
			t.Errorf("while it is remembered: %+v", n)
		}
		wait(2 * time.Minute)
		if all := s.take(); len(all) != 1 || !all[0].Gone {
			t.Errorf("after it was silent for 15 min: %+v", all)
		}
	})
}

func TestSetMode(t *testing.T) {
	keep(t, ModeAuto, func(t *testing.T, k *keeper, s *scene) {
		s.plug(rogue)
		k.start(t)
		s.check(t, k, dhcp.Proxy, false)
		s.take()
		k.setMode(ModeFull)
		s.check(t, k, dhcp.Full, false)
		checkNotice(t, s.take(), rogueKey, Alarm)
		s.agree()
		k.setMode(ModeAuto)
		s.check(t, k, dhcp.Full, false) // until it has looked
		wait(5 * time.Second)
		s.check(t, k, dhcp.Proxy, false)
		if s.Given() {
			t.Error("the agreement was not withdrawn")
		}
		checkNotice(t, s.take(), rogueKey, Info)
		k.setMode(ModeProxy)
		s.check(t, k, dhcp.Proxy, false)
	})
}

// Without agreement nothing is leased from the moment on in which the mode is auto, even when no look succeeds.
func TestSetToAutoWithoutAgreementItStopsAtOnce(t *testing.T) {
	keep(t, ModeFull, func(t *testing.T, k *keeper, s *scene) {
		s.fails = errors.New("network is down")
		k.start(t)
		s.check(t, k, dhcp.Full, false)
		k.setMode(ModeAuto)
		s.check(t, k, dhcp.Proxy, false)
	})
}

// The operator agrees and then sets the mode to proxy, while the first is being carried out.
func TestModeThatIsSetDuringADecisionHolds(t *testing.T) {
	keep(t, ModeAuto, func(t *testing.T, k *keeper, s *scene) {
		s.agree()
		set := k.setRole
		var others sync.WaitGroup
		k.setRole = func(r dhcp.Role) {
			if r == dhcp.Full {
				others.Go(func() { k.setMode(ModeProxy) })
				for range 1000 {
					runtime.Gosched()
				}
			}
			set(r)
		}
		k.start(t)
		others.Wait()
		wait(time.Hour)
		s.check(t, k, dhcp.Proxy, false)
	})
}

// A server that came since the last look, and answers by unicast, is found before the new agreement is heeded.
func TestAgreementIsHeededAfterALook(t *testing.T) {
	keep(t, ModeAuto, func(t *testing.T, k *keeper, s *scene) {
		k.start(t)
		s.check(t, k, dhcp.Proxy, true)
		wait(3 * time.Minute)
		s.plug(rogue)
		set := k.setRole
		k.setRole = func(r dhcp.Role) {
			if r == dhcp.Full {
				t.Error("it leases beside another server")
			}
			set(r)
		}
		s.agree()
		k.heard(neighbour.Server{}) // some news, before it is told of the agreement
		synctest.Wait()
		k.reconsider()
		wait(time.Minute)
		s.check(t, k, dhcp.Proxy, false)
		if s.Given() {
			t.Error("the agreement was not withdrawn")
		}
	})
}

// What leases is carried to another network.
func TestCableThatIsBackMakesItLookBeforeItLeases(t *testing.T) {
	keep(t, ModeAuto, func(t *testing.T, k *keeper, s *scene) {
		s.agree()
		k.start(t)
		wait(time.Hour)
		s.check(t, k, dhcp.Full, false)
		k.relinked()
		s.check(t, k, dhcp.Proxy, false)
		wait(5 * time.Second)
		s.check(t, k, dhcp.Full, false) // nobody is there
		s.plug(rogue)
		k.relinked()
		wait(5 * time.Second)
		s.check(t, k, dhcp.Proxy, false)
		if s.Given() {
			t.Error("the agreement was not withdrawn")
		}
	})
	keep(t, ModeFull, func(t *testing.T, k *keeper, s *scene) {
		k.start(t)
		k.relinked()
		s.check(t, k, dhcp.Full, false)
	})
}

func TestAgreementThatCannotBeWithdrawnIsNotHeeded(t *testing.T) {
	keep(t, ModeAuto, func(t *testing.T, k *keeper, s *scene) {
		s.agree()
		s.stubborn = errors.New("the disk is full")
		unplug := s.plug(rogue)
		k.start(t)
		s.check(t, k, dhcp.Proxy, false)
		unplug()
		wait(time.Hour)
		s.check(t, k, dhcp.Proxy, true)
		k.reconsider()
		wait(5 * time.Second)
		s.check(t, k, dhcp.Full, false)
	})
}

func TestLookThatFailsIsRepeated(t *testing.T) {
	keep(t, ModeAuto, func(t *testing.T, k *keeper, s *scene) {
		s.agree()
		s.fails = errors.New("network is down")
		k.start(t)
		wait(time.Minute)
		s.check(t, k, dhcp.Proxy, false)
		if !k.probed.IsZero() {
			t.Error("it says that it has looked")
		}
		s.mu.Lock()
		s.fails = nil
		s.mu.Unlock()
		wait(20 * time.Second)
		s.check(t, k, dhcp.Full, false)
	})
}

func TestWithoutPrivilegeItAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scene{role: dhcp.Proxy, agreed: true}
		k := newKeeper(ModeAuto, nil, s, s.setRole, s.notify, slog.New(slog.DiscardHandler))
		k.start(t)
		s.check(t, k, dhcp.Proxy, true)
		checkNotice(t, s.take(), "dhcp-search", Warning, "CAP_NET_RAW", "full or proxy")
		k.setMode(ModeFull)
		s.check(t, k, dhcp.Full, false)
	})
}

func TestNoticeOf(t *testing.T) {
	aula := neighbour.Server{Address: rogue.Address, MAC: rogue.MAC, Boots: true, Aula: "goethe"}
	leasing, booting, pxe := aula, rogue, rogue
	leasing.Leases = true
	booting.Boots, booting.File, booting.Next = true, "pxelinux.0", netip.MustParseAddr("10.20.30.9")
	pxe.Leases, pxe.Boots, pxe.Offered = false, true, netip.Addr{}
	for name, row := range map[string]struct {
		server neighbour.Server
		role   dhcp.Role
		level  string
		words  []string
	}{
		"rogue":              {rogue, dhcp.Full, Alarm, []string{"offered 10.20.30.55", "unplug"}},
		"campus":             {rogue, dhcp.Proxy, Info, []string{"leases the addresses of this network"}},
		"campus that boots":  {booting, dhcp.Proxy, Warning, []string{`the file "pxelinux.0" at 10.20.30.9`, "options 66 and 67"}},
		"rogue that boots":   {booting, dhcp.Full, Alarm, []string{`the file "pxelinux.0"`}},
		"WDS":                {pxe, dhcp.Proxy, Warning, []string{"boot server", "tells PCs what to boot"}},
		"two full Aulas":     {leasing, dhcp.Full, Alarm, []string{`"goethe" at 10.20.30.2 (MAC 52:54:00:00:00:02)`, "proxy"}},
		"the other is full":  {leasing, dhcp.Proxy, Warning, []string{`"goethe"`, "leases addresses"}},
		"two proxies":        {aula, dhcp.Proxy, Warning, []string{`"goethe"`, "chance"}},
		"the other is proxy": {aula, dhcp.Full, Warning, []string{`"goethe"`}},
	} {
		checkNotice(t, []Notice{noticeOf(row.server, row.role)}, rogueKey, row.level, row.words...)
		if t.Failed() {
			t.Log(name)
		}
	}
}
