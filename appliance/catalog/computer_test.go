package catalog

import (
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
