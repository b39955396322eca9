package build

import (
	_ "embed" // for the recipe
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// recipeText is the recipe that the client OS is built by.
//
//go:embed recipe.txt
var recipeText string

// A recipe says what to take from which Debian packages, and why; recipe.txt describes the language.
type recipe struct {
	suite      string
	components []string
	follow     []string // patterns of names: dependencies that are downloaded
	leave      []string // patterns of names: those of them that are not
	groups     []group
}

// A group is the part of the recipe that has one reason.
type group struct {
	name, why string
	packages  []string
	files     []string
	modules   []string
	without   []string
	loaders   []loader
	kernel    string
}

// A loader is a file of a package that is served under a name of its own.
type loader struct{ name, path string }

func parseRecipe(text string) (recipe, error) {
	var r recipe
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := r.line(line); err != nil {
			return recipe{}, fmt.Errorf("recipe line %d: %w", i+1, err)
		}
	}
	return r, r.complete()
}

func (r *recipe) line(line string) error {
	keyword, rest, _ := strings.Cut(line, " ")
	words := strings.Fields(rest)
	if len(words) == 0 {
		return fmt.Errorf("%s says nothing", keyword)
	}
	switch keyword {
	case "suite":
		r.suite, r.components = words[0], words[1:]
		return nil
	case "follow":
		return appendPatterns(&r.follow, words)
	case "leave":
		return appendPatterns(&r.leave, words)
	case "group":
		name, why, _ := strings.Cut(strings.TrimSpace(rest), ":")
		if why = strings.TrimSpace(why); why == "" {
			return fmt.Errorf("group %s has no reason: write it after a colon", name)
		}
		r.groups = append(r.groups, group{name: name, why: why})
		return nil
	}
	if len(r.groups) == 0 {
		return fmt.Errorf("%s comes before the first group", keyword)
	}
	return r.groups[len(r.groups)-1].line(keyword, words)
}

func (g *group) line(keyword string, words []string) error {
	switch keyword {
	case "package":
		g.packages = append(g.packages, words...)
		return nil
	case "file":
		return appendPatterns(&g.files, words)
	case "module":
		return appendPatterns(&g.modules, words)
	case "without":
		return appendPatterns(&g.without, words)
	case "loader":
		if len(words) != 2 {
			return errors.New("loader wants a name and a path")
		}
		g.loaders = append(g.loaders, loader{name: words[0], path: words[1]})
		return nil
	case "kernel":
		if len(words) != 1 {
			return errors.New("kernel wants one pattern")
		}
		g.kernel = words[0]
		return nil
	}
	return fmt.Errorf("%q is not a keyword", keyword)
}

func appendPatterns(list *[]string, patterns []string) error {
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
	}
	*list = append(*list, patterns...)
	return nil
}

// complete checks what a build cannot do without.
func (r *recipe) complete() error {
	if r.suite == "" || len(r.components) == 0 {
		return errors.New("recipe names no suite or no component of it")
	}
	kernels := 0
	for _, g := range r.groups {
		if g.kernel != "" {
			kernels++
		}
	}
	if kernels != 1 {
		return fmt.Errorf("recipe names %d kernels, wants one", kernels)
	}
	return nil
}

// packages are the packages that the recipe names, sorted.
func (r *recipe) packages() []string {
	var all []string
	for _, g := range r.groups {
		all = append(all, g.packages...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// wants tells whether the package of that name is to be downloaded when it turns up among the dependencies.
func (r *recipe) wants(name string) bool {
	if slices.Contains(r.packages(), name) {
		return true
	}
	return matchesAny(r.follow, name) && !matchesAny(r.leave, name)
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := path.Match(p, name) // patterns were checked when they were read
		return ok
	})
}
