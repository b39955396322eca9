package catalog

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestNames(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, want string }{
		{"Aula 1", "Aula 1"},
		{"  Aula 1\t", "Aula 1"},
		{"Física y Química", "Física y Química"},
		{strings.Repeat("ñ", 64), strings.Repeat("ñ", 64)},
		{strings.Repeat("ñ", 65), ""},
		{"", ""},
		{" \n ", ""},
		{"two\nlines", ""},
		{"nul\x00", ""},
		{"not utf-8 \xff", ""},
		{"right-to-left \u202e override", ""},
		{"<script>", "<script>"}, // it is text: who shows it escapes it
	} {
		got, err := cleanName("classroom", test.name)
		if got != test.want || (test.want == "") != errors.Is(err, ErrInvalid) {
			t.Errorf("%q: got %q, %v; want %q", test.name, got, err, test.want)
		}
	}
}

func TestNaturalOrder(t *testing.T) {
	t.Parallel()
	want := []string{"", "1", "pc", "pc-01", "pc-1", "PC-2", "pc-2", "pc-2b", "pc-10", "pc-010b", "pc-99999999999999999999998", "pc-99999999999999999999999", "pcs", "ñ"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, compareNatural)
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func FuzzNaturalOrderIsAnOrder(f *testing.F) {
	f.Add("pc-2", "pc-10", "PC-02")
	f.Add("a1b", "a01b", "a1B")
	f.Add("\xff", "é", "")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if got := compareNatural(a, b); got != -compareNatural(b, a) || (got == 0) != (a == b) {
			t.Errorf("%q and %q compare as %d and %d", a, b, got, compareNatural(b, a))
		}
		if compareNatural(a, b) < 0 && compareNatural(b, c) < 0 && compareNatural(a, c) >= 0 {
			t.Errorf("%q < %q < %q and not %q < %q", a, b, c, a, c)
		}
	})
}

func TestCentresAndClassrooms(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	science, letters := must(c.AddCentre("Ciencias 10"))(t), must(c.AddCentre("ciencias 9"))(t)
	if got := must(c.Centres())(t); got[0].ID != letters.ID {
		t.Errorf("got %v, want natural order", got)
	}
	if _, err := c.AddCentre("CIENCIAS 9"); !errors.Is(err, ErrExists) {
		t.Errorf("the same name in capitals: got %v, want ErrExists", err)
	}
	if err := c.RenameCentre(letters.ID, "Letras"); err != nil {
		t.Error(err)
	}
	if err := c.RenameCentre(letters.ID, "ciencias 10"); !errors.Is(err, ErrExists) {
		t.Errorf("renamed to another's name: got %v, want ErrExists", err)
	}
	if err := c.RenameCentre(letters.ID, "LETRAS"); err != nil {
		t.Errorf("renamed to its own name in capitals: %v", err)
	}
	room := must(c.AddClassroom(science.ID, "Aula 1"))(t)
	if _, err := c.AddClassroom(science.ID, "aula 1"); !errors.Is(err, ErrExists) {
		t.Errorf("second classroom of that name: got %v, want ErrExists", err)
	}
	same := must(c.AddClassroom(letters.ID, "Aula 1"))(t) // another centre's
	if _, err := c.AddClassroom("nope", "Aula 2"); !errors.Is(err, ErrNotFound) {
		t.Errorf("classroom in no centre: got %v, want ErrNotFound", err)
	}
	if err := c.RemoveCentre(science.ID); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "Aula 1") {
		t.Errorf("centre with a classroom: got %v, want ErrInUse that names it", err)
	}
	if err := c.RenameClassroom(room.ID, "Aula 10"); err != nil {
		t.Error(err)
	}
	if got := must(c.Classrooms())(t); len(got) != 2 || got[0].ID != same.ID || got[1].Name != "Aula 10" {
		t.Errorf("got %v, want both in natural order", got)
	}
	for name, err := range map[string]error{
		"rename centre": c.RenameCentre("nope", "x"), "remove centre": c.RemoveCentre("nope"),
		"rename classroom": c.RenameClassroom("nope", "x"), "remove classroom": c.RemoveClassroom("nope"),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("%s of none: got %v, want ErrNotFound", name, err)
		}
	}
	if err := errors.Join(c.RemoveClassroom(room.ID), c.RemoveCentre(science.ID)); err != nil {
		t.Errorf("emptied and removed: %v", err)
	}
}
