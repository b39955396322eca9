package catalog

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"aula/clientos/protocol"
)

// TestStrangerIsNotTakenForAnAcceptedPC lets a PC with a card of its own say what is on the label of an accepted one.
func TestStrangerIsNotTakenForAnAcceptedPC(t *testing.T) {
	t.Parallel()
	const own, second, foreign = "52:54:00:00:00:01", "52:54:00:00:00:02", "52:54:00:00:00:99"
	for name, claim := range map[string]protocol.Inventory{
		"its board":                board("u1", "s1", foreign),
		"its card":                 board("", "", foreign, own),
		"its card, no board known": board("u1", "", own),
		"board and cards":          board("u1", "s1", own, second, foreign),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, room := inRoom(t)
			pc := observe(t, c, own, board("u1", "s1", own, second))
			pc = must(c.AcceptComputer(pc.ID, room.ID, "pc-01"))(t)
			for range 2 { // as Hello and as a later inventory
				stranger := observe(t, c, foreign, claim)
				if stranger.ID == pc.ID || stranger.State != Pending {
					t.Errorf("the stranger is %s, %s; want a pending PC of its own", stranger.ID, stranger.State)
				}
			}
			if got := must(c.Computer(pc.ID))(t); !reflect.DeepEqual(got, pc) {
				t.Errorf("the accepted PC became\n%+v, want\n%+v", got, pc)
			}
			for _, mac := range []string{own, second} {
				if got := must(c.ComputerByMAC(mac))(t); got.ID != pc.ID {
					t.Errorf("%s finds %s, want the accepted PC", mac, got.ID)
				}
			}
			if got := observe(t, c, second, board("u1", "s1", own, second)); got.ID != pc.ID {
				t.Error("the accepted PC is not known any more by its second card")
			}
		})
	}
}

func TestAcceptedPCsShareAnAdapter(t *testing.T) {
	t.Parallel()
	c, room := inRoom(t)
	const adapter = "52:54:00:00:00:aa"
	first, second := board("u1", "s1", adapter), board("u2", "s2", adapter)
	a, b := observe(t, c, adapter, first), observe(t, c, adapter, second)
	must(c.AcceptComputer(a.ID, room.ID, "pc-01"))(t) // while the adapter is in the second
	must(c.AcceptComputer(b.ID, room.ID, "pc-02"))(t)
	for range 2 {
		if got := observe(t, c, adapter, first); got.Name != "pc-01" {
			t.Errorf("the first PC is %q, want pc-01", got.Name)
		}
		must(c.UpdateComputer(b.ID, "", "pc-02"))(t)
		if got := must(c.ComputerByMAC(adapter))(t); got.ID != a.ID {
			t.Errorf("the adapter finds %s, want the PC that it was in last", got.Name)
		}
		if got := observe(t, c, adapter, second); got.Name != "pc-02" {
			t.Errorf("the second PC is %q, want pc-02", got.Name)
		}
	}
	if got := must(c.Computers())(t); len(got) != 2 {
		t.Errorf("got %d computers, want 2", len(got))
	}
}

func TestObserveIfChangesNothingWhenRefused(t *testing.T) {
	t.Parallel()
	c, room := inRoom(t)
	refused := errors.New("refused")
	pc := observe(t, c, testMAC(1), board("u1", "s1", testMAC(1)))
	pc = must(c.AcceptComputer(pc.ID, room.ID, "pc-01"))(t)
	stray := observe(t, c, testMAC(2), board("", "", testMAC(2)))
	var asked Computer
	refuse := func(found Computer) error { asked = found; return refused }

	claim := board("u1", "s1", testMAC(1), testMAC(2))
	if _, err := c.ObserveIf(testMAC(1), "10.0.0.9", claim, t0.Add(time.Hour), refuse); !errors.Is(err, refused) {
		t.Errorf("got %v, want the error of the callback", err)
	}
	if !reflect.DeepEqual(asked, pc) {
		t.Errorf("asked about\n%+v, want\n%+v", asked, pc)
	}
	if _, err := c.ObserveIf(testMAC(3), "10.0.0.9", board("", ""), t0, refuse); !errors.Is(err, refused) {
		t.Errorf("a new PC: got %v, want the error of the callback", err)
	}
	if asked.ID == "" || asked.ID == pc.ID || asked.State != Pending {
		t.Errorf("asked about %+v, want a new pending computer", asked)
	}
	if got, want := must(c.Computers())(t), []Computer{stray, pc}; !reflect.DeepEqual(got, want) {
		t.Errorf("the catalog holds\n%+v, want\n%+v", got, want)
	}
}
