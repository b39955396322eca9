package catalog

import (
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"aula/netboot/quirk"
)

// accepted returns a PC in the classroom.
func accepted(t *testing.T, c *Catalog, room Classroom, n int) Computer {
	t.Helper()
	pc := observe(t, c, testMAC(n), board("", ""))
	return must(c.AcceptComputer(pc.ID, room.ID, ""))(t)
}

func TestNearestChoiceBoots(t *testing.T) {
	t.Parallel()
	c, room := inRoom(t)
	pc := accepted(t, c, room, 1)
	group := must(c.AddGroup(room.ID, "Teachers"))(t)
	want := func(what, target string) {
		t.Helper()
		got, why, err := c.BootOf(must(c.Computer(pc.ID))(t))
		if err != nil || got != target || why == "" {
			t.Errorf("%s: boots %q because %q, %v; want %q", what, got, why, err, target)
		}
	}
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want("nothing chosen", BootDisk)
	ok(c.ChangeBootSettings(func(s *BootSettings) { s.Accepted = BootMenu }))
	want("chosen for all", BootMenu)
	ok(c.SetClassroomBoot(room.ID, BootClientOS))
	want("chosen for the classroom", BootClientOS)
	ok(c.SetGroup(group.ID, pc.ID))
	want("in a group without a choice", BootClientOS)
	ok(c.SetGroupBoot(group.ID, BootMenu))
	want("chosen for the group", BootMenu)
	ok(c.SetBoot(BootClientOS, pc.ID))
	want("chosen for the PC", BootClientOS)
	ok(c.SetNextBoots(BootDisk, pc.ID))
	want("chosen for once", BootDisk)
	ok(c.TakeNextBoot(pc.ID, BootDisk))
	want("once is over", BootClientOS)
	ok(c.SetBoot("", pc.ID))
	ok(c.RemoveGroup(group.ID))
	want("the group is gone", BootClientOS)
	ok(c.SetClassroomBoot(room.ID, ""))
	want("the classroom's choice is gone", BootMenu)
}

func TestUnknownPCsBootTheClientOSUnlessSaidOtherwise(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	pending := observe(t, c, testMAC(1), board("", ""))
	for _, choice := range []string{"", BootNothing, BootDisk, BootMenu} {
		if err := c.ChangeBootSettings(func(s *BootSettings) { s.Unknown = choice }); err != nil {
			t.Fatal(err)
		}
		want := choice
		if want == "" {
			want = BootClientOS
		}
		for _, pc := range []Computer{{}, pending} {
			if got, _, err := c.BootOf(pc); got != want || err != nil {
				t.Errorf("unknown PCs: %q: PC %q boots %q, %v; want %q", choice, pc.ID, got, err, want)
			}
		}
	}
}

func TestBootChoicesAreChecked(t *testing.T) {
	t.Parallel()
	c, room := inRoom(t)
	pc := accepted(t, c, room, 1)
	group := must(c.AddGroup(room.ID, "Teachers"))(t)
	for name, err := range map[string]error{
		"PC":                  c.SetBoot("floppy", pc.ID),
		"PC left alone":       c.SetBoot(BootNothing, pc.ID),
		"once":                c.SetNextBoots("floppy", pc.ID),
		"group":               c.SetGroupBoot(group.ID, "floppy"),
		"classroom":           c.SetClassroomBoot(room.ID, "floppy"),
		"accepted left alone": c.ChangeBootSettings(func(s *BootSettings) { s.Accepted = BootNothing }),
		"unknown":             c.ChangeBootSettings(func(s *BootSettings) { s.Unknown = "floppy" }),
		"mode":                c.ChangeBootSettings(func(s *BootSettings) { s.Mode = "bridge" }),
		"menu":                c.ChangeBootSettings(func(s *BootSettings) { s.Menu.Seconds = MaxMenuSeconds + 1 }),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", name, err)
		}
	}
	if err := c.SetBoot(BootMenu, pc.ID, "nope"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if got := must(c.Computer(pc.ID))(t).Boot; got != "" {
		t.Errorf("a choice for two PCs of which one does not exist was made for the other: %q", got)
	}
}

func TestMenuTimeout(t *testing.T) {
	t.Parallel()
	for seconds, want := range map[int]time.Duration{0: 10 * time.Second, 5: 5 * time.Second, -1: 0} {
		if got := (BootSettings{Menu: MenuSettings{Seconds: seconds}}).MenuTimeout(); got != want {
			t.Errorf("%d: %s, want %s", seconds, got, want)
		}
	}
}

func TestGroupsBelongToTheirClassroom(t *testing.T) {
	t.Parallel()
	c, room := inRoom(t)
	other := must(c.AddClassroom(room.CentreID, "Aula 2"))(t)
	pc := accepted(t, c, room, 1)
	first := must(c.AddGroup(room.ID, "Row 10"))(t)
	second := must(c.AddGroup(room.ID, "row 2"))(t)
	elsewhere := must(c.AddGroup(other.ID, "Row 2"))(t)

	if _, err := c.AddGroup(room.ID, "ROW 2"); !errors.Is(err, ErrExists) {
		t.Errorf("a second group of the name: %v, want ErrExists", err)
	}
	if err := c.RenameGroup(first.ID, "Row 2"); !errors.Is(err, ErrExists) {
		t.Errorf("renamed to another's name: %v, want ErrExists", err)
	}
	if err := c.SetGroup(elsewhere.ID, pc.ID); !errors.Is(err, ErrInvalid) {
		t.Errorf("into another classroom's group: %v, want ErrInvalid", err)
	}
	all := must(c.Groups(room.ID))(t)
	if !slices.EqualFunc(all, []Group{second, first}, func(a, b Group) bool { return a.ID == b.ID }) {
		t.Errorf("groups %+v, want row 2 before Row 10", all)
	}
	if err := c.SetGroup(first.ID, pc.ID); err != nil {
		t.Fatal(err)
	}
	if moved := must(c.UpdateComputer(pc.ID, other.ID, ""))(t); moved.GroupID != "" {
		t.Errorf("a PC that moved to another classroom is still in group %s", moved.GroupID)
	}
	if err := c.RemoveClassroom(room.ID); err != nil {
		t.Fatal(err)
	}
	if all := must(c.Groups(""))(t); len(all) != 1 || all[0].ID != elsewhere.ID {
		t.Errorf("with their classroom removed there are the groups %+v", all)
	}
}

func TestReservedAddressIsOnePCs(t *testing.T) {
	t.Parallel()
	c, room := inRoom(t)
	one, two := accepted(t, c, room, 1), accepted(t, c, room, 2)
	a := netip.MustParseAddr("10.0.0.77")
	if err := c.Reserve(one.ID, a); err != nil {
		t.Fatal(err)
	}
	if err := c.Reserve(one.ID, a); err != nil {
		t.Errorf("reserved for the same PC again: %v", err)
	}
	if err := c.Reserve(two.ID, a); !errors.Is(err, ErrExists) {
		t.Errorf("reserved for two: %v, want ErrExists", err)
	}
	for _, bad := range []string{"fe80::1", "224.0.0.1", "255.255.255.255", "127.0.0.1"} {
		if err := c.Reserve(two.ID, netip.MustParseAddr(bad)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", bad, err)
		}
	}
	if err := c.Reserve(one.ID, netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	if err := c.Reserve(two.ID, a); err != nil {
		t.Errorf("an address that was given up: %v", err)
	}
}

func TestQuirksAreRememberedByMAC(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	if err := c.SetQuirks("52-54-00-00-00-0A", quirk.Set{quirk.SlowHTTP, quirk.OneOffer, quirk.SlowHTTP}); err != nil {
		t.Fatal(err)
	}
	want := quirk.Set{quirk.OneOffer, quirk.SlowHTTP}
	if got := must(c.QuirksOf("52:54:00:00:00:0a"))(t); !slices.Equal(got, want) {
		t.Errorf("quirks %v, want %v", got, want)
	}
	if err := c.SetQuirks("52:54:00:00:00:0a", quirk.Set{"singing"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
	if err := c.SetQuirks("52:54:00:00:00:0a", nil); err != nil {
		t.Fatal(err)
	}
	if all := must(c.Quirks())(t); len(all) != 0 {
		t.Errorf("quirks %v are left", all)
	}
}
