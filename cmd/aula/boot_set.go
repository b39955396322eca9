package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"aula/webui/api"
	"aula/webui/client"
)

// bootSetCommand is `aula boot set`.
type bootSetCommand struct {
	remote
	jsonFlag
	Target    string   `arg:"" help:"client: the client OS. disk: their own disk. menu: what somebody chooses at the computer. inherit: what their group, classroom or all computers do. none: nothing, with --unknown."`
	Scope     []string `arg:"" optional:"" help:"Which: names of computers and classrooms, or CLASSROOM/GROUP." placeholder:"NAME"`
	Classroom []string `help:"The computers of a classroom." placeholder:"NAME"`
	Once      bool     `help:"At the next boot only."`
	All       bool     `help:"All computers for which nothing nearer says otherwise."`
	Unknown   bool     `help:"Those that nobody has accepted."`
}

// Run chooses what they boot.
func (c *bootSetCommand) Run(ctx context.Context) error {
	choice := api.BootChoice{Target: c.Target, Once: c.Once, All: c.All, Unknown: c.Unknown}
	switch c.Target {
	case "client", "disk", "menu":
	case "inherit":
		choice.Target = ""
	case "none":
		if !c.Unknown || c.All || len(c.Scope)+len(c.Classroom) > 0 {
			return exitError{errors.New("none is for computers that nobody has accepted: with --unknown alone"), exitNoFile}
		}
	default:
		return exitError{fmt.Errorf("there is no %q to boot: there are client, disk, menu and inherit", c.Target), exitNoFile}
	}
	if len(c.Scope)+len(c.Classroom) == 0 && !c.All && !c.Unknown {
		return exitError{errors.New("say of which: names of computers, classrooms or CLASSROOM/GROUP, or --all or --unknown"), exitNoFile}
	}
	server, err := c.client()
	if err != nil {
		return err
	}
	if len(c.Scope)+len(c.Classroom) > 0 {
		if err := c.resolve(ctx, server, &choice); err != nil {
			return c.explain(err)
		}
	}
	done, err := server.ChooseBoot(ctx, choice)
	if err != nil {
		return c.explain(err)
	}
	if c.JSON {
		return printJSON(struct {
			api.BootChoice
			Computers int `json:"computers"`
		}{choice, done.Computers})
	}
	return c.tell(nil, "%s", c.done(choice, done.Computers))
}

func (c *bootSetCommand) resolve(ctx context.Context, server *client.Client, choice *api.BootChoice) error {
	s, err := fetchScope(ctx, server)
	if err != nil {
		return err
	}
	groups, err := server.Groups(ctx)
	if err != nil {
		return err
	}
	for _, word := range splitWords(append(c.Scope, c.Classroom...)) {
		if g, ok := groupCalled(s, groups, word); ok {
			choice.GroupIDs = append(choice.GroupIDs, g.ID)
			continue
		}
		p, err := s.find([]string{word})
		if err != nil {
			return err
		}
		computers, rooms := p.ids()
		choice.ComputerIDs, choice.ClassroomIDs = append(choice.ComputerIDs, computers...), append(choice.ClassroomIDs, rooms...)
	}
	return nil
}

// splitWords takes names that stand alone or with commas between them.
func splitWords(all []string) (words []string) {
	for _, some := range all {
		for word := range strings.SplitSeq(some, ",") {
			if word = strings.TrimSpace(word); word != "" {
				words = append(words, word)
			}
		}
	}
	return words
}

// done says in a sentence what was chosen.
func (c *bootSetCommand) done(choice api.BootChoice, computers int) string {
	what := "boot: " + inWords(choice.Target)
	if choice.Target == "" {
		what = "boot what is said above them"
	}
	if choice.Once {
		if what = "next " + what + ", once"; choice.Target == "" {
			what = "next boot what they always do"
		}
		return fmt.Sprintf("%s %s", counted(computers, "computer"), what)
	}
	var who []string
	for _, part := range []struct {
		n    int
		word string
	}{{len(choice.ComputerIDs), "computer"}, {len(choice.GroupIDs), "group"}, {len(choice.ClassroomIDs), "classroom"}} {
		if part.n > 0 {
			who = append(who, counted(part.n, part.word))
		}
	}
	if choice.All {
		who = append(who, "all computers without a choice of their own")
	}
	if choice.Unknown {
		who = append(who, "computers that nobody has accepted")
	}
	return strings.Join(who, ", ") + " " + what
}

func counted(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}
