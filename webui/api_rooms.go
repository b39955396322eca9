package webui

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"aula/appliance/catalog"
	"aula/appliance/operation"
	"aula/webui/api"
)

func (s *Server) routeRooms(a huma.API) {
	type centreInput struct{ Body api.NewCentre }
	type centreEdit struct {
		ID   string `path:"id" maxLength:"64"`
		Body api.NewCentre
	}
	type roomInput struct{ Body api.NewClassroom }
	type roomEdit struct {
		ID   string `path:"id" maxLength:"64"`
		Body api.NewClassroom
	}

	route(s, a, "GET", "/centres", "rooms", "List centres", 200, func(context.Context, *none) ([]api.Centre, error) {
		centres, err := s.cfg.Catalog.Centres()
		out := make([]api.Centre, len(centres))
		for i, c := range centres {
			out[i] = api.Centre(c)
		}
		return out, err
	})
	route(s, a, "POST", "/centres", "rooms", "Make a centre", 201, func(_ context.Context, in *centreInput) (api.Centre, error) {
		c, err := s.cfg.Catalog.AddCentre(in.Body.Name)
		return api.Centre(c), err
	})
	routeEmpty(s, a, "PUT", "/centres/{id}", "rooms", "Rename a centre", func(_ context.Context, in *centreEdit) error {
		return s.cfg.Catalog.RenameCentre(in.ID, in.Body.Name)
	})
	routeEmpty(s, a, "DELETE", "/centres/{id}", "rooms", "Remove a centre without classrooms", func(_ context.Context, in *byID) error {
		return s.cfg.Catalog.RemoveCentre(in.ID)
	})

	route(s, a, "GET", "/classrooms", "rooms", "List classrooms", 200, func(context.Context, *none) ([]api.Classroom, error) {
		return s.apiClassrooms()
	})
	route(s, a, "POST", "/classrooms", "rooms", "Make a classroom", 201, func(_ context.Context, in *roomInput) (api.Classroom, error) {
		r, err := s.cfg.Catalog.AddClassroom(in.Body.CentreID, in.Body.Name)
		return api.Classroom{ID: r.ID, CentreID: r.CentreID, Name: r.Name}, err
	})
	routeEmpty(s, a, "PUT", "/classrooms/{id}", "rooms", "Rename a classroom", func(_ context.Context, in *roomEdit) error {
		return s.cfg.Catalog.RenameClassroom(in.ID, in.Body.Name)
	})
	type defaultsInput struct {
		ID   string `path:"id" maxLength:"64"`
		Body api.Defaults
	}
	routeEmpty(s, a, "PUT", "/classrooms/{id}/defaults", "rooms", "Set what deployments in a classroom begin with", func(_ context.Context, in *defaultsInput) error {
		return s.cfg.Catalog.SetDefaults(in.ID, catalog.Defaults(in.Body))
	})
	routeEmpty(s, a, "DELETE", "/classrooms/{id}", "rooms", "Remove a classroom without computers", func(_ context.Context, in *byID) error {
		return s.cfg.Catalog.RemoveClassroom(in.ID)
	})
}

func (s *Server) apiClassrooms() ([]api.Classroom, error) {
	rooms, err := s.cfg.Catalog.Classrooms()
	if err != nil {
		return nil, err
	}
	computers, err := s.cfg.Catalog.Computers()
	if err != nil {
		return nil, err
	}
	count := map[string]int{}
	for _, pc := range computers {
		count[pc.ClassroomID]++
	}
	out := make([]api.Classroom, len(rooms))
	for i, r := range rooms {
		out[i] = api.Classroom{ID: r.ID, CentreID: r.CentreID, Name: r.Name, Computers: count[r.ID], Defaults: api.Defaults(r.Defaults), Boot: r.Boot}
	}
	return out, nil
}

func (s *Server) routeComputers(a huma.API) {
	type placement struct {
		ID   string `path:"id" maxLength:"64"`
		Body api.Placement
	}
	route(s, a, "GET", "/computers", "computers", "List computers: pending first", 200, func(context.Context, *none) ([]api.Computer, error) {
		computers, err := s.cfg.Catalog.Computers()
		out := make([]api.Computer, len(computers))
		for i, pc := range computers {
			out[i] = s.apiComputer(pc)
		}
		return out, err
	})
	route(s, a, "GET", "/computers/{id}", "computers", "One computer", 200, func(_ context.Context, in *byID) (api.Computer, error) {
		pc, err := s.cfg.Catalog.Computer(in.ID)
		return s.apiComputer(pc), err
	})
	route(s, a, "POST", "/computers/{id}/accept", "computers", "Accept a pending computer into a classroom", 200,
		func(ctx context.Context, in *placement) (api.Computer, error) {
			pc, err := s.accept(ctx, in.ID, in.Body.ClassroomID, in.Body.Name)
			return s.apiComputer(pc), err
		})
	route(s, a, "PUT", "/computers/{id}", "computers", "Rename or move a computer", 200,
		func(ctx context.Context, in *placement) (api.Computer, error) {
			pc, err := s.place(ctx, in.ID, in.Body.ClassroomID, in.Body.Name)
			return s.apiComputer(pc), err
		})
	routeEmpty(s, a, "DELETE", "/computers/{id}", "computers", "Forget a computer", func(ctx context.Context, in *byID) error {
		return s.forget(ctx, in.ID)
	})
}

// apiComputer adds to a computer what the roster and the operations know of it.
func (s *Server) apiComputer(pc catalog.Computer) api.Computer {
	out := api.Computer{
		ID: pc.ID, Name: pc.Name, State: pc.State, ClassroomID: pc.ClassroomID, MACs: pc.MACs, Address: pc.Address,
		Inventory: pc.Inventory, FirstSeen: pc.FirstSeen, LastSeen: pc.LastSeen,
		GroupID: pc.GroupID, Boot: pc.Boot, NextBoot: pc.NextBoot, Reserved: shown(pc.Reserved),
	}
	if session, ok := s.cfg.Roster.Session(pc.ID); ok {
		out.Connected, out.Since, out.Agent, out.Code = true, session.Since, session.Version, session.Code
	}
	if op, target, ok := s.cfg.Operations.Current(pc.ID); ok {
		out.Operation, out.Work = op.ID, target.State
		if target.State == operation.Running && target.Stage != "" {
			out.Work = target.Stage
		}
	}
	return out
}
