package catalog

import (
	"errors"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestRepositories(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	second := Repository{Name: "second", Dir: "/srv/images2", Address: "10.0.1.5", Keep: 2, TrashDays: 30, ReserveMiB: 1024, Comments: "the fast disk"}
	if err := c.PutRepository(Repository{Name: "second", Dir: " /srv//images2/ ", Address: " 10.0.1.5", Keep: 2, TrashDays: 30, ReserveMiB: 1024, Comments: "the fast disk "}); err != nil {
		t.Fatal(err)
	}
	if got := must(c.Repository("second"))(t); got != second {
		t.Errorf("got %+v, want %+v", got, second)
	}
	if err := c.PutRepository(Repository{Name: "Archive", Dir: "/srv/archive"}); err != nil {
		t.Fatal(err)
	}
	second.Keep = 5
	if err := c.PutRepository(second); err != nil { // in its own place
		t.Errorf("changed: %v", err)
	}
	if got := must(c.Repositories())(t); !reflect.DeepEqual(got, []Repository{{Name: "Archive", Dir: "/srv/archive"}, second}) {
		t.Errorf("got %+v, want both by name", got)
	}
	if err := c.RemoveRepository("second"); err != nil {
		t.Fatal(err)
	}
	if err := c.RemoveRepository("second"); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: got %v, want ErrNotFound", err)
	}
	if _, err := c.Repository("second"); !errors.Is(err, ErrNotFound) {
		t.Errorf("read when removed: got %v, want ErrNotFound", err)
	}
}

func TestRepositoriesThatAreRefused(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	if err := c.PutRepository(Repository{Name: "second", Dir: "/srv/images2"}); err != nil {
		t.Fatal(err)
	}
	for name, r := range map[string]struct {
		repository Repository
		is         error
		says       string
	}{
		"a name with a slash":          {Repository{Name: "a/b", Dir: "/srv/a"}, ErrInvalid, "would do"},
		"the first repository's name":  {Repository{Name: "Main", Dir: "/srv/a"}, ErrInvalid, "configuration file"},
		"no folder":                    {Repository{Name: "a"}, ErrInvalid, "no absolute path"},
		"a relative folder":            {Repository{Name: "a", Dir: "srv/images"}, ErrInvalid, "no absolute path"},
		"the root folder":              {Repository{Name: "a", Dir: "//"}, ErrInvalid, "root folder"},
		"a folder of two lines":        {Repository{Name: "a", Dir: "/srv/a\nb"}, ErrInvalid, "no absolute path"},
		"another's folder":             {Repository{Name: "a", Dir: "/srv/x/../images2"}, ErrExists, "repository second"},
		"a folder within another's":    {Repository{Name: "a", Dir: "/srv/images2/old"}, ErrExists, "repository second"},
		"a folder around another's":    {Repository{Name: "a", Dir: "/srv"}, ErrExists, "repository second"},
		"a name that differs in case":  {Repository{Name: "SECOND", Dir: "/srv/a"}, ErrExists, "more than case"},
		"an address that is a name":    {Repository{Name: "a", Dir: "/srv/a", Address: "server"}, ErrInvalid, "no IPv4 address"},
		"an address that is any":       {Repository{Name: "a", Dir: "/srv/a", Address: "0.0.0.0"}, ErrInvalid, "no IPv4 address"},
		"too few revisions":            {Repository{Name: "a", Dir: "/srv/a", Keep: -1}, ErrInvalid, "give 0 to 1000"},
		"too many revisions":           {Repository{Name: "a", Dir: "/srv/a", Keep: 1001}, ErrInvalid, "give 0 to 1000"},
		"a trash that forgets nothing": {Repository{Name: "a", Dir: "/srv/a", TrashDays: 3651}, ErrInvalid, "to 3650"},
		"a negative reserve":           {Repository{Name: "a", Dir: "/srv/a", ReserveMiB: -1}, ErrInvalid, "MiB to leave free"},
		"endless comments":             {Repository{Name: "a", Dir: "/srv/a", Comments: strings.Repeat("x", maxComments+1)}, ErrInvalid, "at most"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.PutRepository(r.repository); !errors.Is(err, r.is) || !strings.Contains(err.Error(), r.says) {
				t.Errorf("got %v, want %v that says %q", err, r.is, r.says)
			}
		})
	}
	if got := must(c.Repositories())(t); len(got) != 1 {
		t.Errorf("refused repositories were kept: %+v", got)
	}
}

// TestSecondSchemaAddsRepositoriesAndLosesNothing opens a file as the first released version wrote it.
func TestSecondSchemaAddsRepositoriesAndLosesNothing(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	old := must(open(path, migrations[:1]))(t)
	centre := must(old.AddCentre("Faculty"))(t)
	room := must(old.AddClassroom(centre.ID, "Room 1"))(t)
	seen := must(old.Observe(testMAC(1), "10.0.0.1", board("u-1", "s-1", testMAC(1)), t0))(t)
	pc := must(old.AcceptComputer(seen.ID, room.ID, "pc-01"))(t)
	object := ImageObject{Name: "win11", DisplayName: "Windows 11", Comments: "office"}
	for _, err := range []error{old.PutImageObject(object), old.PutRecord(Operations, "op", []byte("record")),
		old.AddUser(User{Name: "marta", PasswordHash: "hash"})} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := old.Close(); err != nil {
		t.Fatal(err)
	}

	c := openAt(t, path)
	if got := must(c.Repositories())(t); len(got) != 0 {
		t.Errorf("repositories: got %+v, want none", got)
	}
	if err := c.PutRepository(Repository{Name: "second", Dir: "/srv/images2"}); err != nil {
		t.Errorf("a repository after the migration: %v", err)
	}
	if got := must(c.Classrooms())(t); !reflect.DeepEqual(got, []Classroom{room}) {
		t.Errorf("classrooms: got %+v, want %+v", got, room)
	}
	if got := must(c.Computer(pc.ID))(t); !reflect.DeepEqual(got, pc) {
		t.Errorf("computer: got %+v, want %+v", got, pc)
	}
	if got := must(c.ImageObjects())(t); !reflect.DeepEqual(got, []ImageObject{object}) {
		t.Errorf("image objects: got %+v, want %+v", got, object)
	}
	if got := must(c.Record(Operations, "op"))(t); string(got) != "record" {
		t.Errorf("record: got %q", got)
	}
	if got := must(c.User("marta"))(t); got.PasswordHash != "hash" {
		t.Errorf("user: got %+v, want marta's password", got)
	}
}
