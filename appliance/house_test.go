package appliance_test

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// floors are the rooms from the top of the house to its ground, as docs/house.md draws them: a room imports only from lower floors, or,
// where the floor says so, from its own.
var floors = []struct {
	rooms   []string
	mingles bool // rooms of this floor may import one another
}{
	{rooms: []string{"cmd"}},
	{rooms: []string{"appliance", "appliance/lab"}, mingles: true},
	{rooms: []string{"webui"}, mingles: true},
	{rooms: []string{"appliance/schedule"}},
	{rooms: []string{"appliance/operation", "appliance/roster", "appliance/upkeep", "appliance/sender", "appliance/boot"}},
	{rooms: []string{"appliance/incorporation"}},
	{rooms: []string{"appliance/catalog"}},
	{rooms: []string{"clientos/agent"}},
	{rooms: []string{"clientos/deployment"}},
	{rooms: []string{"clientos/fetch"}},
	{rooms: []string{"clientos/clone", "clientos/cache", "clientos/system"}},
	{rooms: []string{"clientos/instruction"}},
	{rooms: []string{"netboot", "clientos", "clientos/build"}, mingles: true},
	{rooms: []string{"clientos/protocol", "imagestore"}},
	{rooms: []string{"clientos/disk", "imagestore/format", "imagestore/multicast", "imagestore/torrent"}},
	{rooms: []string{"imagestore/rig"}},
}

// strangers never meet, whatever their floors.
var strangers = map[string][]string{
	"netboot":  {"clientos", "imagestore", "appliance", "webui"},
	"clientos": {"appliance", "webui", "netboot"},
}

type listed struct {
	ImportPath string
	Imports    []string
}

func TestRoomsImportOnlyDownwards(t *testing.T) {
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, "aula/")
		from, ok := floorOf(room)
		if !ok {
			t.Errorf("package %s is in no room of the house: give it a place in floors, or move it", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			other, ours := strings.CutPrefix(imported, "aula/")
			if !ours {
				continue
			}
			to, _ := floorOf(other)
			same := from == to && (floors[from].mingles || roomOf(room) == roomOf(other))
			if to < from || to == from && !same {
				t.Errorf("%s imports %s, which is not below it", room, other)
			}
			for top, shunned := range strangers {
				for _, s := range shunned {
					if within(room, top) && within(other, s) {
						t.Errorf("%s imports %s: %s must not know %s", room, other, top, s)
					}
				}
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for _, p := range packages(t) {
		dir := filepath.Join("..", strings.TrimPrefix(p.ImportPath, "aula/"))
		if !documented(t, dir) {
			t.Errorf("%s has no package comment: say what it is for and what it is not", p.ImportPath)
		}
	}
}

func documented(t *testing.T, dir string) bool {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") || strings.HasSuffix(f.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, f.Name()), nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		if parsed.Doc != nil {
			return true
		}
	}
	return false
}

func packages(t *testing.T) []listed {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", "aula/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < len(floors) {
		t.Fatalf("go list found %d packages, want the whole house", len(all))
	}
	return all
}

// floorOf finds the floor of the most particular room that holds the package.
func floorOf(pkg string) (floor int, ok bool) {
	longest := -1
	for i, f := range floors {
		for _, room := range f.rooms {
			if within(pkg, room) && len(room) > longest {
				floor, longest = i, len(room)
			}
		}
	}
	return floor, longest >= 0
}

func roomOf(pkg string) string {
	var longest string
	for _, f := range floors {
		for _, room := range f.rooms {
			if within(pkg, room) && len(room) > len(longest) {
				longest = room
			}
		}
	}
	return longest
}

func within(pkg, room string) bool { return pkg == room || strings.HasPrefix(pkg, room+"/") }
