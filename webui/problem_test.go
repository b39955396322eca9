package webui

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aula/appliance/catalog"
	"aula/appliance/incorporation"
	"aula/appliance/operation"
	"aula/appliance/upkeep"
	"aula/imagestore"
)

// TestForeseenErrorsAreTold tells an operator every error that the rooms below export, and none of them as a fault of the appliance.
func TestForeseenErrorsAreTold(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want int
	}{
		"catalog.ErrNotFound":            {catalog.ErrNotFound, http.StatusNotFound},
		"catalog.ErrExists":              {catalog.ErrExists, http.StatusConflict},
		"catalog.ErrInvalid":             {catalog.ErrInvalid, http.StatusUnprocessableEntity},
		"catalog.ErrInUse":               {catalog.ErrInUse, http.StatusConflict},
		"imagestore.ErrNotFound":         {imagestore.ErrNotFound, http.StatusNotFound},
		"imagestore.ErrNoRepository":     {imagestore.ErrNoRepository, http.StatusNotFound},
		"imagestore.ErrBadName":          {imagestore.ErrBadName, http.StatusUnprocessableEntity},
		"imagestore.ErrBusy":             {imagestore.ErrBusy, http.StatusConflict},
		"imagestore.ErrLocked":           {imagestore.ErrLocked, http.StatusConflict},
		"imagestore.ErrDamaged":          {imagestore.ErrDamaged, http.StatusConflict},
		"imagestore.ErrExists":           {imagestore.ErrExists, http.StatusConflict},
		"imagestore.ErrIncomplete":       {imagestore.ErrIncomplete, http.StatusConflict},
		"imagestore.ErrRepositoryExists": {imagestore.ErrRepositoryExists, http.StatusConflict},
		"imagestore.ErrNoSpace":          {imagestore.ErrNoSpace, http.StatusInsufficientStorage},
		"operation.ErrNotFound":          {operation.ErrNotFound, http.StatusNotFound},
		"operation.ErrRefused":           {operation.ErrRefused, http.StatusConflict},
		"upkeep.ErrNoTask":               {upkeep.ErrNoTask, http.StatusNotFound},
		"upkeep.ErrRefused":              {upkeep.ErrRefused, http.StatusConflict},
		"incorporation.ErrNoUpload":      {incorporation.ErrNoUpload, http.StatusNotFound},
		"incorporation.ErrOffset":        {incorporation.ErrOffset, http.StatusConflict},
		"a refusal for lack of room":     {fmt.Errorf("%w: %w", upkeep.ErrRefused, imagestore.ErrNoSpace), http.StatusInsufficientStorage},
		"what somebody typed":            {invalid("the year has %d days", 400), http.StatusUnprocessableEntity},
	} {
		told := fmt.Errorf("image lab: %w: ask the librarian", c.err)
		if got := statusOf(told); got != c.want {
			t.Errorf("%s: got status %d, want %d", name, got, c.want)
		}
		if got := textOf(told); !strings.Contains(got, "ask the librarian") {
			t.Errorf("%s: got %q, want what helps in it", name, got)
		}
	}
	if got := textOf(errors.New("secret path")); strings.Contains(got, "secret") {
		t.Errorf("an error that nobody foresaw is told to everybody: %q", got)
	}
}

// TestNoForeseenErrorIsForgotten compares the table of the test above with what the rooms' sources export.
func TestNoForeseenErrorIsForgotten(t *testing.T) {
	table, err := os.ReadFile("problem_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, room := range []string{"appliance/catalog", "appliance/incorporation", "appliance/operation", "appliance/upkeep", "imagestore"} {
		names := exportedErrors(t, filepath.Join("..", room))
		if len(names) == 0 {
			t.Errorf("no errors found in %s", room)
		}
		for _, name := range names {
			if name = filepath.Base(room) + "." + name; !strings.Contains(string(table), `"`+name+`"`) {
				t.Errorf("%s has no line in TestForeseenErrorsAreTold: say there what an operator is told", name)
			}
		}
	}
}

// exportedErrors are the variables Err... of a package.
func exportedErrors(t *testing.T, dir string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			group, ok := d.(*ast.GenDecl)
			if !ok || group.Tok != token.VAR {
				continue
			}
			for _, spec := range group.Specs {
				for _, name := range spec.(*ast.ValueSpec).Names {
					if strings.HasPrefix(name.Name, "Err") {
						names = append(names, name.Name)
					}
				}
			}
		}
	}
	return names
}
