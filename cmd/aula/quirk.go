package main

import (
	"context"
	"fmt"
	"strings"

	"aula/webui/api"
)

// quirkCommand is `aula quirk`.
type quirkCommand struct {
	List quirkListCommand `cmd:"" help:"List the rules for firmware that does otherwise than the standards say, and the computers that have some."`
	Set  quirkSetCommand  `cmd:"" help:"Set the quirks of a computer, in place of those before."`
}

// quirkListCommand is `aula quirk list`.
type quirkListCommand struct {
	remote
	jsonFlag
}

// Run lists the rules and who has them.
func (c *quirkListCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	all, err := server.Quirks(ctx)
	if err != nil {
		return c.explain(err)
	}
	if c.JSON {
		return printJSON(all)
	}
	for _, r := range all.Rules {
		fmt.Printf("%s\n    %s\n    For: %s\n", r.Quirk, r.Does, r.For)
	}
	if len(all.PCs) == 0 {
		return nil
	}
	fmt.Println()
	w := newTable("COMPUTER", "MAC", "QUIRKS")
	for _, p := range all.PCs {
		w.row(p.Name, p.MAC, strings.Join(p.Quirks, ","))
	}
	return w.Flush()
}

// quirkSetCommand is `aula quirk set`.
type quirkSetCommand struct {
	remote
	jsonFlag
	Computer string   `arg:"" help:"MAC address of a network card, or name of a computer, for all of its cards."`
	Quirks   []string `arg:"" optional:"" help:"Names of quirks, as 'aula quirk list' has them; without any it has none any more."`
}

// Run sets the quirks.
func (c *quirkSetCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	macs := []string{c.Computer}
	if strings.Count(c.Computer, ":") != 5 && strings.Count(c.Computer, "-") != 5 {
		if macs, err = macsOf(ctx, server, c.Computer); err != nil {
			return c.explain(err)
		}
	}
	quirks := splitWords(c.Quirks)
	set := []api.PCQuirks{}
	for _, mac := range macs {
		if err := server.SetQuirks(ctx, mac, quirks...); err != nil {
			return c.explain(err)
		}
		set = append(set, api.PCQuirks{MAC: mac, Quirks: append([]string{}, quirks...)})
	}
	if len(quirks) == 0 {
		return c.tell(set, "%s has no quirks any more", c.Computer)
	}
	return c.tell(set, "%s has the quirks %s", c.Computer, strings.Join(quirks, ", "))
}
