package webui

import (
	"context"
	"fmt"

	"github.com/danielgtaylor/huma/v2"

	"aula/appliance/catalog"
	"aula/webui/api"
)

func (s *Server) routeGroups(a huma.API) {
	type groupInput struct{ Body api.NewGroup }
	type groupEdit struct {
		ID   string `path:"id" maxLength:"64"`
		Body api.GroupName
	}
	type members struct{ Body api.GroupMembers }
	const tag = "rooms"
	route(s, a, "GET", "/groups", tag, "List the groups of all classrooms", 200, func(context.Context, *none) ([]api.Group, error) {
		return s.apiGroups()
	})
	route(s, a, "POST", "/groups", tag, "Make a group in a classroom", 201, func(_ context.Context, in *groupInput) (api.Group, error) {
		g, err := s.cfg.Catalog.AddGroup(in.Body.ClassroomID, in.Body.Name)
		return api.Group{ID: g.ID, ClassroomID: g.ClassroomID, Name: g.Name, Boot: g.Boot, ComputerIDs: []string{}}, err
	})
	route(s, a, "PUT", "/groups/{id}", tag, "Rename a group", 200, func(_ context.Context, in *groupEdit) (api.Group, error) {
		if err := s.cfg.Catalog.RenameGroup(in.ID, in.Body.Name); err != nil {
			return api.Group{}, err
		}
		all, err := s.apiGroups()
		for _, g := range all {
			if g.ID == in.ID {
				return g, err
			}
		}
		return api.Group{}, fmt.Errorf("group: %w", catalog.ErrNotFound)
	})
	routeEmpty(s, a, "DELETE", "/groups/{id}", tag, "Remove a group; its computers stay in the classroom", func(_ context.Context, in *byID) error {
		return s.cfg.Catalog.RemoveGroup(in.ID)
	})
	routeEmpty(s, a, "POST", "/groups/members", tag, "Put computers into a group of their classroom, or into none", func(_ context.Context, in *members) error {
		return s.cfg.Catalog.SetGroup(in.Body.GroupID, in.Body.ComputerIDs...)
	})
}

func (s *Server) apiGroups() ([]api.Group, error) {
	all, err := s.cfg.Catalog.Groups("")
	if err != nil {
		return nil, err
	}
	computers, err := s.cfg.Catalog.Computers()
	out := make([]api.Group, len(all))
	for i, g := range all {
		out[i] = api.Group{ID: g.ID, ClassroomID: g.ClassroomID, Name: g.Name, Boot: g.Boot, ComputerIDs: []string{}}
		for _, pc := range computers {
			if pc.GroupID == g.ID {
				out[i].ComputerIDs = append(out[i].ComputerIDs, pc.ID)
			}
		}
	}
	return out, err
}
