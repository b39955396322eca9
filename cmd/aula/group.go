package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"aula/webui/api"
	"aula/webui/client"
)

// groupCommand is `aula group`.
type groupCommand struct {
	List   groupListCommand   `cmd:"" help:"List the groups of computers within classrooms."`
	Add    groupAddCommand    `cmd:"" help:"Make a group in a classroom."`
	Rename groupRenameCommand `cmd:"" help:"Rename a group."`
	Remove groupRemoveCommand `cmd:"" help:"Remove a group; its computers stay in the classroom."`
	Put    groupPutCommand    `cmd:"" help:"Put computers into a group of their classroom, or into none."`
}

// groupCalled is the group of that id, or of that name as CLASSROOM/GROUP; ok is false when there is none, or several.
func groupCalled(s scope, all []api.Group, word string) (found api.Group, ok bool) {
	n := 0
	for _, g := range all {
		if g.ID == word {
			return g, true
		}
		if strings.EqualFold(s.room(g.ClassroomID)+"/"+g.Name, word) || strings.EqualFold(s.longRoom(g.ClassroomID)+"/"+g.Name, word) {
			found = g
			n++
		}
	}
	return found, n == 1
}

// longRoom is CENTRE/CLASSROOM.
func (s scope) longRoom(id string) string {
	for _, r := range s.rooms {
		if r.ID == id {
			return s.centre(r) + "/" + r.Name
		}
	}
	return id
}

// findGroup finds a group as groupCalled does, or by its name alone when no two have it.
func findGroup(s scope, all []api.Group, word string) (api.Group, error) {
	if g, ok := groupCalled(s, all, word); ok {
		return g, nil
	}
	var found []api.Group
	var names []string
	for _, g := range all {
		if strings.EqualFold(g.Name, word) {
			found, names = append(found, g), append(names, s.longRoom(g.ClassroomID)+"/"+g.Name)
		}
	}
	slices.Sort(names)
	switch len(found) {
	case 0:
		return api.Group{}, exitError{fmt.Errorf("there is no group %q: 'aula group list' has them", word), exitNoFile}
	case 1:
		return found[0], nil
	}
	return api.Group{}, exitError{fmt.Errorf("group %q is ambiguous: say which, %s", word, strings.Join(names, " or ")), exitNoFile}
}

// fetchGroups asks for the groups and what they are of.
func (r remote) fetchGroups(ctx context.Context) (*client.Client, scope, []api.Group, error) {
	server, err := r.client()
	if err != nil {
		return nil, scope{}, nil, err
	}
	s, err := fetchScope(ctx, server)
	if err != nil {
		return nil, s, nil, r.explain(err)
	}
	all, err := server.Groups(ctx)
	if err != nil {
		return nil, s, nil, r.explain(err)
	}
	return server, s, all, nil
}

// fetchGroup finds the group that a word names.
func (r remote) fetchGroup(ctx context.Context, word string) (*client.Client, scope, api.Group, error) {
	server, s, all, err := r.fetchGroups(ctx)
	if err != nil {
		return nil, s, api.Group{}, err
	}
	g, err := findGroup(s, all, word)
	return server, s, g, err
}

// groupListCommand is `aula group list`.
type groupListCommand struct {
	remote
	jsonFlag
}

// Run lists the groups.
func (c *groupListCommand) Run(ctx context.Context) error {
	_, s, all, err := c.fetchGroups(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(all)
	}
	slices.SortStableFunc(all, func(a, b api.Group) int { return strings.Compare(s.longRoom(a.ClassroomID), s.longRoom(b.ClassroomID)) })
	w := newTable("CLASSROOM", "GROUP", "BOOTS", "COMPUTERS", "ID")
	for _, g := range all {
		var names []string
		for _, id := range g.ComputerIDs {
			names = append(names, s.pc(id))
		}
		w.row(s.room(g.ClassroomID), g.Name, inWords(g.Boot), strings.Join(names, ","), g.ID)
	}
	return w.Flush()
}

// groupAddCommand is `aula group add`.
type groupAddCommand struct {
	remote
	jsonFlag
	Classroom string   `arg:"" help:"Name of the classroom."`
	Name      string   `arg:"" help:"Name of the group."`
	Computers []string `arg:"" optional:"" help:"Computers of the classroom to put into it."`
}

// Run makes a group.
func (c *groupAddCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	s, err := fetchScope(ctx, server)
	if err != nil {
		return c.explain(err)
	}
	p, err := s.one(c.Classroom)
	if err != nil {
		return exitError{err, exitNoFile}
	}
	if p.room == nil {
		return exitError{fmt.Errorf("%s is a computer: name a classroom%s", c.Classroom, s.list()), exitNoFile}
	}
	ids, err := s.onlyComputers(c.Computers)
	if err != nil {
		return err
	}
	g, err := server.AddGroup(ctx, p.room.ID, c.Name)
	if err != nil {
		return c.explain(err)
	}
	if len(ids) > 0 {
		if err := server.SetGroup(ctx, g.ID, ids...); err != nil {
			return fmt.Errorf("the group is made, and nothing is in it: %w", c.explain(err))
		}
		g.ComputerIDs = ids
	}
	return c.tell(g, "group %s in %s: %s", g.Name, p.room.Name, counted(len(ids), "computer"))
}

// onlyComputers finds computers, of which none is fine.
func (s scope) onlyComputers(words []string) ([]string, error) {
	if len(words) == 0 {
		return nil, nil
	}
	in, err := s.find(splitWords(words))
	if err != nil {
		return nil, err
	}
	ids, rooms := in.ids()
	if len(rooms) > 0 {
		return nil, exitError{fmt.Errorf("%s is a classroom: name computers", s.room(rooms[0])), exitNoFile}
	}
	return ids, nil
}

// groupRenameCommand is `aula group rename`.
type groupRenameCommand struct {
	remote
	jsonFlag
	Group string `arg:"" help:"Name of the group, alone or as CLASSROOM/GROUP, or its id."`
	Name  string `arg:"" help:"Its new name."`
}

// Run renames a group.
func (c *groupRenameCommand) Run(ctx context.Context) error {
	server, s, g, err := c.fetchGroup(ctx, c.Group)
	if err != nil {
		return err
	}
	renamed, err := server.RenameGroup(ctx, g.ID, c.Name)
	if err != nil {
		return c.explain(err)
	}
	return c.tell(renamed, "group %s of %s is called %s now", g.Name, s.room(g.ClassroomID), renamed.Name)
}

// groupRemoveCommand is `aula group remove`.
type groupRemoveCommand struct {
	remote
	jsonFlag
	Group string `arg:"" help:"Name of the group, alone or as CLASSROOM/GROUP, or its id."`
}

// Run removes a group.
func (c *groupRemoveCommand) Run(ctx context.Context) error {
	server, s, g, err := c.fetchGroup(ctx, c.Group)
	if err != nil {
		return err
	}
	if err := server.RemoveGroup(ctx, g.ID); err != nil {
		return c.explain(err)
	}
	return c.tell(g, "group %s of %s is removed; its computers stay in the classroom", g.Name, s.room(g.ClassroomID))
}

// groupPutCommand is `aula group put`.
type groupPutCommand struct {
	remote
	jsonFlag
	Group     string   `arg:"" help:"Name of the group, alone or as CLASSROOM/GROUP, or its id; none takes them out of theirs."`
	Computers []string `arg:"" help:"Names of computers."`
}

// Run puts computers into a group.
func (c *groupPutCommand) Run(ctx context.Context) error {
	server, s, all, err := c.fetchGroups(ctx)
	if err != nil {
		return err
	}
	var g api.Group
	if c.Group != "none" {
		if g, err = findGroup(s, all, c.Group); err != nil {
			return err
		}
	}
	ids, err := s.onlyComputers(c.Computers)
	if err != nil {
		return err
	}
	if err := server.SetGroup(ctx, g.ID, ids...); err != nil {
		return c.explain(err)
	}
	members := api.GroupMembers{GroupID: g.ID, ComputerIDs: ids}
	if g.ID == "" {
		return c.tell(members, "%s in no group", counted(len(ids), "computer"))
	}
	return c.tell(members, "%s in group %s of %s", counted(len(ids), "computer"), g.Name, s.room(g.ClassroomID))
}
