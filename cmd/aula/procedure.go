package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"aula/clientos/instruction"
	"aula/webui/api"
	"aula/webui/client"
)

// procedureCommand is `aula procedure`.
type procedureCommand struct {
	List   procedureListCommand   `cmd:"" help:"List the instructions that were saved to be run again."`
	Show   procedureShowCommand   `cmd:"" help:"Print the instructions of one."`
	Save   procedureSaveCommand   `cmd:"" help:"Save instructions under a name; those that the name had are replaced."`
	Run    procedureRunCommand    `cmd:"" help:"Have computers carry one out, as 'aula run' does."`
	Remove procedureRemoveCommand `cmd:"" help:"Remove one that no schedule runs."`
}

// A named thing is called by its name, without regard to case, or by its id.
type named[T any] struct {
	what string // for people, with the command that lists them in list
	list string
	name func(T) (name, id string)
}

// find finds the one of that name.
func (n named[T]) find(all []T, word string) (T, error) {
	var found []T
	var ids []string
	for _, one := range all {
		name, id := n.name(one)
		if id == word {
			return one, nil
		}
		if strings.EqualFold(name, word) {
			found, ids = append(found, one), append(ids, id)
		}
	}
	var none T
	switch len(found) {
	case 0:
		return none, exitError{fmt.Errorf("there is no %s %q: '%s' has them", n.what, word, n.list), exitNoFile}
	case 1:
		return found[0], nil
	}
	return none, exitError{fmt.Errorf("%s %q is ambiguous: say which by its id, %s", n.what, word, strings.Join(ids, " or ")), exitNoFile}
}

var procedures = named[api.Procedure]{"procedure", "aula procedure list", func(p api.Procedure) (string, string) { return p.Name, p.ID }}

// procedure asks for the one of that name.
func (r remote) procedure(ctx context.Context, word string) (*client.Client, api.Procedure, error) {
	server, err := r.client()
	if err != nil {
		return nil, api.Procedure{}, err
	}
	all, err := server.Procedures(ctx)
	if err != nil {
		return nil, api.Procedure{}, r.explain(err)
	}
	p, err := procedures.find(all, word)
	return server, p, err
}

// procedureListCommand is `aula procedure list`.
type procedureListCommand struct {
	remote
	jsonFlag
}

// Run lists the procedures.
func (c *procedureListCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	all, err := server.Procedures(ctx)
	if err != nil {
		return c.explain(err)
	}
	if c.JSON {
		return printJSON(all)
	}
	w := newTable("NAME", "CHANGED", "INSTRUCTIONS", "COMMENT")
	for _, p := range all {
		w.row(p.Name, p.Changed.Local().Format(time.DateTime), instructionsOf(p.Text), excerpt(p.Comment))
	}
	return w.Flush()
}

// instructionsOf is the beginning of the program: the text without comments.
func instructionsOf(text string) string {
	program, err := instruction.Parse(text)
	if err != nil {
		return excerpt(text)
	}
	return excerpt(program.String())
}

// maxExcerpt is how many characters of a text a table shows.
const maxExcerpt = 60

// excerpt is the beginning of a text, in a line.
func excerpt(text string) string {
	line := []rune(strings.Join(strings.Split(strings.TrimSpace(text), "\n"), "; "))
	if len(line) > maxExcerpt {
		return plain(line[:maxExcerpt-1]) + "…"
	}
	return plain(line)
}

// A procedureArg names a procedure.
type procedureArg struct {
	Name string `arg:"" help:"Name of the procedure, or its id."`
}

// procedureShowCommand is `aula procedure show`.
type procedureShowCommand struct {
	remote
	jsonFlag
	procedureArg
}

// Run prints the text and nothing else, so that it can be saved again.
func (c *procedureShowCommand) Run(ctx context.Context) error {
	_, p, err := c.procedure(ctx, c.Name)
	if err != nil {
		return err
	}
	return c.tell(p, "%s", strings.TrimRight(p.Text, "\n"))
}

// procedureSaveCommand is `aula procedure save`.
type procedureSaveCommand struct {
	remote
	jsonFlag
	procedureArg
	programArg
	Comment *string `help:"What it is for; what was said before stays when left out."`
}

// Run saves a procedure.
func (c *procedureSaveCommand) Run(ctx context.Context) error {
	text, _, err := c.read()
	if err != nil {
		return err
	}
	server, err := c.client()
	if err != nil {
		return err
	}
	all, err := server.Procedures(ctx)
	if err != nil {
		return c.explain(err)
	}
	before, err := procedures.find(all, c.Name)
	if err != nil {
		before = api.Procedure{Name: c.Name}
	}
	n := api.NewProcedure{Name: before.Name, Text: text, Comment: before.Comment}
	set(&n.Comment, c.Comment)
	saved, err := server.PutProcedure(ctx, before.ID, n)
	if err != nil {
		return c.explain(err)
	}
	return c.tell(saved, "procedure %s is saved", saved.Name)
}

// procedureRunCommand is `aula procedure run`.
type procedureRunCommand struct {
	running
	procedureArg
}

// Run runs a procedure.
func (c *procedureRunCommand) Run(ctx context.Context) error {
	_, p, err := c.procedure(ctx, c.Name)
	if err != nil {
		return err
	}
	program, err := parse("procedure "+p.Name, p.Text)
	if err != nil {
		return err
	}
	return c.run(ctx, job{text: p.Text, program: program, note: "procedure " + p.Name})
}

// procedureRemoveCommand is `aula procedure remove`.
type procedureRemoveCommand struct {
	remote
	jsonFlag
	procedureArg
}

// Run removes a procedure.
func (c *procedureRemoveCommand) Run(ctx context.Context) error {
	server, p, err := c.procedure(ctx, c.Name)
	if err != nil {
		return err
	}
	if err := server.RemoveProcedure(ctx, p.ID); err != nil {
		return c.explain(err)
	}
	return c.tell(p, "procedure %s is removed", p.Name)
}
