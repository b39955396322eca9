package catalog

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"aula/clientos/protocol"
)

var t0 = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)

func testMAC(n int) string {
	return fmt.Sprintf("52:54:00:%02x:%02x:%02x", byte(n>>16), byte(n>>8), byte(n))
}

func board(uuid, serial string, nics ...string) protocol.Inventory {
	inv := protocol.Inventory{Firmware: "uefi", UUID: uuid, Serial: serial}
	for _, mac := range nics {
		inv.NICs = append(inv.NICs, protocol.NIC{MAC: mac})
	}
	return inv
}

func observe(t *testing.T, c *Catalog, mac string, inv protocol.Inventory) Computer {
	t.Helper()
	return must(c.Observe(mac, "10.0.0.1", inv, t0))(t)
}

// inRoom gives a catalog with one classroom.
func inRoom(t *testing.T) (*Catalog, Classroom) {
	t.Helper()
	c := openTest(t)
	centre := must(c.AddCentre("Centre"))(t)
	return c, must(c.AddClassroom(centre.ID, "Aula 1"))(t)
}

func TestObserveMatchesThePC(t *testing.T) {
	t.Parallel()
	const a, b, other = "52:54:00:00:00:0a", "52:54:00:00:00:0b", "52:54:00:00:00:0c"
	type seen struct {
		mac string
		inv protocol.Inventory
	}
	for name, test := range map[string]struct {
		first, second seen
		same          bool
	}{
		"same card, nothing else known":         {seen{a, board("", "")}, seen{a, board("", "")}, true},
		"address written in capitals":           {seen{a, board("", "")}, seen{strings.ToUpper(a), board("", "")}, true},
		"boots by its second card":              {seen{a, board("", "", a, b)}, seen{b, board("", "", a, b)}, true},
		"second card known from the list":       {seen{a, board("", "", a)}, seen{b, board("", "", b, a)}, true},
		"another PC":                            {seen{a, board("", "", a)}, seen{b, board("", "", b)}, false},
		"network card replaced":                 {seen{a, board("u1", "s1", a)}, seen{b, board("u1", "s1", b)}, true},
		"UUID printed in capitals":              {seen{a, board("u1", "s1", a)}, seen{b, board("U1", "S1", b)}, true},
		"same serial, other UUID":               {seen{a, board("u1", "s1", a)}, seen{b, board("u2", "s1", b)}, false},
		"same UUID, other serial":               {seen{a, board("u1", "s1", a)}, seen{b, board("u1", "s2", b)}, false},
		"both unfilled by the maker":            {seen{a, board("To be filled by O.E.M.", "Default string", a)}, seen{b, board("To be filled by O.E.M.", "Default string", b)}, false},
		"real UUID, unfilled serial":            {seen{a, board("u1", "To be filled by O.E.M. ", a)}, seen{b, board("u1", "To be filled by O.E.M. ", b)}, false},
		"all-zero UUID":                         {seen{a, board("00000000-0000-0000-0000-000000000000", "s1", a)}, seen{b, board("00000000-0000-0000-0000-000000000000", "s1", b)}, false},
		"all-FF UUID":                           {seen{a, board("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "s1", a)}, seen{b, board("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "s1", b)}, false},
		"a vendor's UUID for every board":       {seen{a, board("03000200-0400-0500-0006-000700080009", "s1", a)}, seen{b, board("03000200-0400-0500-0006-000700080009", "s1", b)}, false},
		"USB adapter moved to another PC":       {seen{a, board("u1", "s1", a)}, seen{a, board("u2", "s2", a)}, false},
		"BIOS update that fills in the serial":  {seen{a, board("u1", "", a)}, seen{a, board("u1", "s1", a)}, true},
		"board repaired: other UUID, same card": {seen{a, board("u1", "s1", a)}, seen{a, board("u2", "s1", a)}, true},
		"USB adapter taken out":                 {seen{other, board("u1", "s1", a, other)}, seen{a, board("u1", "s1", a)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := openTest(t)
			first := observe(t, c, test.first.mac, test.first.inv)
			second := observe(t, c, test.second.mac, test.second.inv)
			if same := first.ID == second.ID; same != test.same {
				t.Errorf("taken for the same PC: %v, want %v", same, test.same)
			}
			found := must(c.ComputerByMAC(test.second.mac))(t)
			if found.ID != second.ID {
				t.Errorf("its address finds %s, want %s", found.ID, second.ID)
			}
		})
	}
}

func TestReplacedCardLeavesTheOldAddress(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	const old, new = "52:54:00:00:00:01", "52:54:00:00:00:02"
	first := observe(t, c, old, board("u1", "s1", old))
	observe(t, c, new, board("u1", "s1", new))
	if _, err := c.ComputerByMAC(old); !errors.Is(err, ErrNotFound) {
		t.Errorf("the old card still finds the PC: %v", err)
	}
	if other := observe(t, c, old, board("u2", "s2", old)); other.ID == first.ID {
		t.Error("the PC that got the old card is taken for the first")
	}
}

func TestUSBAdapterFollowsTheTechnician(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	const adapter = "52:54:00:00:00:aa"
	first := observe(t, c, adapter, board("u1", "s1", adapter))
	second := observe(t, c, adapter, board("u2", "s2", adapter))
	if first.ID == second.ID {
		t.Error("two PCs that share an adapter are one computer")
	}
	if again := observe(t, c, adapter, board("u1", "s1", adapter)); again.ID != first.ID {
		t.Error("the first PC is not known again when it gets the adapter back")
	}
	if got := must(c.Computers())(t); len(got) != 2 {
		t.Errorf("got %d computers, want 2", len(got))
	}
}

func TestAcceptedPCIsPreferredToAPendingOne(t *testing.T) {
	t.Parallel()
	c, room := inRoom(t)
	const a, b = "52:54:00:00:00:0a", "52:54:00:00:00:0b"
	kept := observe(t, c, a, board("", "", a))
	must(c.AcceptComputer(kept.ID, room.ID, "pc-07"))(t)
	stray := observe(t, c, b, board("", "", b)) // the second card of the same PC, before anybody knew
	observe(t, c, a, board("", "", a, b))       // the accepted PC says that it is its own
	seen := observe(t, c, b, board("", "", b, a))
	if seen.ID != kept.ID || seen.Name != "pc-07" {
		t.Errorf("got %s %q, want pc-07", seen.ID, seen.Name)
	}
	if _, err := c.Computer(stray.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("the stray pending entry is still there: %v", err)
	}
}

func TestObserveKeepsWhatTheOperatorSaid(t *testing.T) {
	t.Parallel()
	c, room := inRoom(t)
	pc := observe(t, c, testMAC(1), board("", ""))
	must(c.AcceptComputer(pc.ID, room.ID, "Profesora"))(t)
	if err := c.SetNextBoot(pc.ID, BootDisk); err != nil {
		t.Fatal(err)
	}
	got := must(c.Observe(testMAC(1), "10.0.0.99", board("u1", "s1"), t0.Add(time.Hour)))(t)
	if got.Name != "Profesora" || got.State != Accepted || got.ClassroomID != room.ID || got.NextBoot != BootDisk {
		t.Errorf("got %+v, want name, classroom and next boot as they were", got)
	}
	if got.Address != "10.0.0.99" || got.Inventory.UUID != "u1" || !got.LastSeen.Equal(t0.Add(time.Hour)) || !got.FirstSeen.Equal(t0) {
		t.Errorf("got %+v, want the new address, inventory and time", got)
	}
}

func TestObserveRefuses(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	huge := board("", "")
	huge.Vendor = strings.Repeat("x", maxComputer)
	for name, try := range map[string]func() error{
		"no address":       func() error { _, err := c.Observe("", "", board("", ""), t0); return err },
		"all-zero address": func() error { _, err := c.Observe("00:00:00:00:00:00", "", board("", ""), t0); return err },
		"group address":    func() error { _, err := c.Observe("ff:ff:ff:ff:ff:ff", "", board("", ""), t0); return err },
		"InfiniBand": func() error {
			_, err := c.Observe("00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01", "", board("", ""), t0)
			return err
		},
		"endless inventory": func() error { _, err := c.Observe(testMAC(1), "", huge, t0); return err },
	} {
		if err := try(); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if got := must(c.Computers())(t); len(got) != 0 {
		t.Errorf("%d computers were made of refused ones", len(got))
	}
}

func TestPendingComputersAreBounded(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	hurry(c)
	for i := range MaxPending {
		must(c.Observe(testMAC(i), "", board("", ""), t0.Add(time.Duration(i)*time.Second)))(t)
	}
	// The first comes once more, so that the second is the one not seen for longest.
	must(c.Observe(testMAC(0), "", board("", ""), t0.Add(time.Hour)))(t)
	must(c.Observe(testMAC(MaxPending), "", board("", ""), t0.Add(time.Hour)))(t)
	if got := must(c.Computers())(t); len(got) != MaxPending {
		t.Errorf("got %d pending computers, want %d", len(got), MaxPending)
	}
	if _, err := c.ComputerByMAC(testMAC(0)); err != nil {
		t.Errorf("the one that was seen again is gone: %v", err)
	}
	if _, err := c.ComputerByMAC(testMAC(1)); !errors.Is(err, ErrNotFound) {
		t.Errorf("the one not seen for longest: got %v, want ErrNotFound", err)
	}
}

func TestAcceptComputer(t *testing.T) {
	t.Parallel()
	c, room := inRoom(t)
	other := must(c.AddClassroom(room.CentreID, "Aula 2"))(t)
	pending := func(n int) string { return observe(t, c, testMAC(n), board("", "")).ID }
	first, second, third, fourth := pending(1), pending(2), pending(3), pending(4)

	if got := must(c.AcceptComputer(first, room.ID, "pc-02"))(t); got.Name != "pc-02" {
		t.Errorf("got %q, want pc-02", got.Name)
	}
	if got := must(c.AcceptComputer(second, room.ID, ""))(t); got.Name != "pc-01" {
		t.Errorf("next free name: got %q, want pc-01", got.Name)
	}
	if _, err := c.AcceptComputer(third, room.ID, "PC-02"); !errors.Is(err, ErrExists) {
		t.Errorf("a name that is taken, in capitals: got %v, want ErrExists", err)
	}
	if got := must(c.Computer(third))(t); got.State != Pending {
		t.Errorf("after the refusal it is %s, want pending", got.State)
	}
	if got := must(c.AcceptComputer(third, room.ID, ""))(t); got.Name != "pc-03" {
		t.Errorf("next free name: got %q, want pc-03", got.Name)
	}
	if got := must(c.AcceptComputer(fourth, other.ID, "pc-02"))(t); got.Name != "pc-02" {
		t.Errorf("the same name in another classroom: got %q", got.Name)
	}
	if _, err := c.AcceptComputer(first, room.ID, "pc-09"); !errors.Is(err, ErrExists) {
		t.Errorf("accepted twice: got %v, want ErrExists", err)
	}
	if _, err := c.AcceptComputer("nope", room.ID, ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such computer: got %v, want ErrNotFound", err)
	}
	if _, err := c.AcceptComputer(pending(5), "nope", ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("no such classroom: got %v, want ErrNotFound", err)
	}
}

func TestUpdateComputer(t *testing.T) {
	t.Parallel()
	c, room := inRoom(t)
	other := must(c.AddClassroom(room.CentreID, "Aula 2"))(t)
	pc := observe(t, c, testMAC(1), board("", ""))
	if _, err := c.UpdateComputer(pc.ID, room.ID, "x"); !errors.Is(err, ErrInvalid) {
		t.Errorf("rename of a pending PC: got %v, want ErrInvalid", err)
	}
	must(c.AcceptComputer(pc.ID, room.ID, "pc-01"))(t)
	if got := must(c.UpdateComputer(pc.ID, other.ID, ""))(t); got.ClassroomID != other.ID || got.Name != "pc-01" {
		t.Errorf("moved: got %+v", got)
	}
	if got := must(c.UpdateComputer(pc.ID, "", "PC-01"))(t); got.ClassroomID != other.ID || got.Name != "PC-01" {
		t.Errorf("its own name in capitals: got %+v", got)
	}
	if err := c.RemoveClassroom(room.ID); err != nil {
		t.Errorf("the classroom that it left cannot be removed: %v", err)
	}
	if err := c.RemoveClassroom(other.ID); !errors.Is(err, ErrInUse) {
		t.Errorf("the classroom that it is in: got %v, want ErrInUse", err)
	}
	if err := c.RemoveComputer(pc.ID); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveComputer(pc.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: got %v, want ErrNotFound", err)
	}
	if err := c.RemoveClassroom(other.ID); err != nil {
		t.Errorf("the empty classroom cannot be removed: %v", err)
	}
	if again := observe(t, c, testMAC(1), board("", "")); again.ID == pc.ID || again.State != Pending {
		t.Errorf("a removed PC comes back as %+v, want a new pending one", again)
	}
}

func TestNextBoot(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	pc := observe(t, c, testMAC(1), board("", ""))
	next := func(want string) {
		t.Helper()
		if got := must(c.Computer(pc.ID))(t).NextBoot; got != want {
			t.Errorf("boots %q next, want %q", got, want)
		}
	}
	next("")
	if err := c.SetNextBoot(pc.ID, BootDisk); err != nil {
		t.Fatal(err)
	}
	for read, left := range map[string]string{BootMenu: BootDisk, BootDisk: ""} { // what was chosen meanwhile is not forgotten
		if err := c.TakeNextBoot(pc.ID, read); err != nil {
			t.Fatal(err)
		}
		if read == BootDisk {
			next(left)
		}
	}
	if err := c.SetNextBoot(pc.ID, "floppy"); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	if err := c.TakeNextBoot("nope", BootDisk); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
}

func TestComputersAreInOrder(t *testing.T) {
	t.Parallel()
	c, room := inRoom(t)
	for i, name := range []string{"pc-10", "PC-9", "pc-2", "profesor", "pc-2b"} {
		pc := observe(t, c, testMAC(i), board("", ""))
		must(c.AcceptComputer(pc.ID, room.ID, name))(t)
	}
	late := must(c.Observe(testMAC(100), "", board("", ""), t0.Add(time.Hour)))(t)
	early := must(c.Observe(testMAC(101), "", board("", ""), t0))(t)
	var got []string
	for _, pc := range must(c.Computers())(t) {
		got = append(got, pc.Name+pc.State)
		switch len(got) {
		case 1:
			if pc.ID != early.ID {
				t.Error("the pending PC that came first is not first")
			}
		case 2:
			if pc.ID != late.ID {
				t.Error("the pending PC that came second is not second")
			}
		}
	}
	if got, want := strings.ReplaceAll(strings.Join(got, " "), Accepted, ""), "pending pending pc-2 pc-2b PC-9 pc-10 profesor"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
