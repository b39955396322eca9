package webui

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"aula/appliance/catalog"
	"aula/webui/api"
)

func (s *Server) routeProcedures(a huma.API) {
	type input struct{ Body api.NewProcedure }
	type edit struct {
		ID   string `path:"id" maxLength:"64"`
		Body api.NewProcedure
	}
	const tag = "procedures"

	route(s, a, "GET", "/procedures", tag, "List procedures", 200, func(context.Context, *none) ([]api.Procedure, error) {
		all, err := s.cfg.Catalog.Procedures()
		out := make([]api.Procedure, len(all))
		for i, p := range all {
			out[i] = api.Procedure(p)
		}
		return out, err
	})
	route(s, a, "GET", "/procedures/{id}", tag, "One procedure", 200, func(_ context.Context, in *byID) (api.Procedure, error) {
		p, err := s.cfg.Catalog.Procedure(in.ID)
		return api.Procedure(p), err
	})
	route(s, a, "POST", "/procedures", tag, "Save instructions to be run again", 201, func(_ context.Context, in *input) (api.Procedure, error) {
		p, err := s.putProcedure(catalog.Procedure{Name: in.Body.Name, Text: in.Body.Text, Comment: in.Body.Comment})
		return api.Procedure(p), err
	})
	route(s, a, "PUT", "/procedures/{id}", tag, "Change a procedure", 200, func(_ context.Context, in *edit) (api.Procedure, error) {
		p, err := s.putProcedure(catalog.Procedure{ID: in.ID, Name: in.Body.Name, Text: in.Body.Text, Comment: in.Body.Comment})
		return api.Procedure(p), err
	})
	routeEmpty(s, a, "DELETE", "/procedures/{id}", tag, "Remove a procedure that no schedule runs", func(_ context.Context, in *byID) error {
		return s.cfg.Catalog.RemoveProcedure(in.ID)
	})
}

func (s *Server) routeSchedules(a huma.API) {
	type input struct{ Body api.NewSchedule }
	type edit struct {
		ID   string `path:"id" maxLength:"64"`
		Body api.NewSchedule
	}
	type holidayInput struct{ Body api.NewHoliday }
	const tag = "schedules"

	route(s, a, "GET", "/schedules", tag, "List schedules", 200, func(context.Context, *none) ([]api.Schedule, error) {
		all, err := s.cfg.Catalog.Schedules()
		out := make([]api.Schedule, len(all))
		for i, p := range all {
			out[i] = apiSchedule(p)
		}
		return out, err
	})
	route(s, a, "GET", "/schedules/{id}", tag, "One schedule", 200, func(_ context.Context, in *byID) (api.Schedule, error) {
		p, err := s.cfg.Catalog.Schedule(in.ID)
		return apiSchedule(p), err
	})
	route(s, a, "POST", "/schedules", tag, "Run a procedure at times", 201, func(ctx context.Context, in *input) (api.Schedule, error) {
		p, err := s.cfg.Catalog.PutSchedule(scheduleOf("", callerOf(ctx).name(), in.Body), s.now())
		return apiSchedule(p), err
	})
	route(s, a, "PUT", "/schedules/{id}", tag, "Change a schedule", 200, func(ctx context.Context, in *edit) (api.Schedule, error) {
		p, err := s.cfg.Catalog.PutSchedule(scheduleOf(in.ID, callerOf(ctx).name(), in.Body), s.now())
		return apiSchedule(p), err
	})
	routeEmpty(s, a, "DELETE", "/schedules/{id}", tag, "Remove a schedule", func(_ context.Context, in *byID) error {
		return s.cfg.Catalog.RemoveSchedule(in.ID)
	})
	route(s, a, "GET", "/holidays", tag, "List holidays", 200, func(context.Context, *none) ([]api.Holiday, error) {
		all, err := s.cfg.Catalog.Holidays()
		out := make([]api.Holiday, len(all))
		for i, h := range all {
			out[i] = apiHoliday(h)
		}
		return out, err
	})
	route(s, a, "POST", "/holidays", tag, "Add a day, or days, on which weekly schedules do not run", 201, func(_ context.Context, in *holidayInput) (api.Holiday, error) {
		h, err := s.cfg.Catalog.AddHoliday(catalog.Holiday{Name: in.Body.Name, First: in.Body.First, Last: in.Body.Last})
		return apiHoliday(h), err
	})
	routeEmpty(s, a, "DELETE", "/holidays/{id}", tag, "Remove a holiday", func(_ context.Context, in *byID) error {
		return s.cfg.Catalog.RemoveHoliday(in.ID)
	})
}

func apiHoliday(h catalog.Holiday) api.Holiday {
	return api.Holiday{ID: h.ID, NewHoliday: api.NewHoliday{Name: h.Name, First: h.First, Last: h.Last}}
}

func scheduleOf(id, actor string, n api.NewSchedule) catalog.Schedule {
	s := catalog.Schedule{ID: id, Name: n.Name, ProcedureID: n.ProcedureID, ClassroomIDs: n.ClassroomIDs, ComputerIDs: n.ComputerIDs, Once: n.Once, At: n.At,
		Zone: n.Zone, Free: n.Holidays, Missed: time.Duration(n.Missed) * time.Second, Off: n.Off, Actor: actor}
	for _, d := range n.Days {
		s.Days = append(s.Days, time.Weekday(d))
	}
	return s
}

func apiSchedule(p catalog.Schedule) api.Schedule {
	out := api.Schedule{ID: p.ID, Actor: p.Actor, Next: p.Next, LastRun: p.LastRun, Result: p.Result, Failed: p.Failed, Underway: p.Underway,
		NewSchedule: api.NewSchedule{Name: p.Name, ProcedureID: p.ProcedureID, ClassroomIDs: p.ClassroomIDs, ComputerIDs: p.ComputerIDs, Once: p.Once, At: p.At,
			Zone: p.Zone, Holidays: p.Free, Missed: int(p.Missed / time.Second), Off: p.Off}}
	for _, d := range p.Days {
		out.Days = append(out.Days, int(d))
	}
	return out
}

func (s *Server) routeTemplates(a huma.API) {
	type input struct{ Body api.NewTemplate }
	type edit struct {
		ID   string `path:"id" maxLength:"64"`
		Body api.NewTemplate
	}
	const tag = "templates"

	put := func(id string, n api.NewTemplate) (api.Template, error) {
		if err := n.Scheme.Check(); err != nil {
			return api.Template{}, textError(err)
		}
		t, err := s.cfg.Catalog.PutSchemeTemplate(catalog.SchemeTemplate{ID: id, Name: n.Name, Scheme: n.Scheme})
		return apiTemplate(t), err
	}
	route(s, a, "GET", "/templates", tag, "List saved ways to partition a disk", 200, func(context.Context, *none) ([]api.Template, error) {
		all, err := s.cfg.Catalog.SchemeTemplates()
		out := make([]api.Template, len(all))
		for i, t := range all {
			out[i] = apiTemplate(t)
		}
		return out, err
	})
	route(s, a, "POST", "/templates", tag, "Save a way to partition a disk", 201, func(_ context.Context, in *input) (api.Template, error) {
		return put("", in.Body)
	})
	route(s, a, "PUT", "/templates/{id}", tag, "Change a template", 200, func(_ context.Context, in *edit) (api.Template, error) {
		return put(in.ID, in.Body)
	})
	routeEmpty(s, a, "DELETE", "/templates/{id}", tag, "Remove a template", func(_ context.Context, in *byID) error {
		return s.cfg.Catalog.RemoveSchemeTemplate(in.ID)
	})
}

func apiTemplate(t catalog.SchemeTemplate) api.Template {
	return api.Template{ID: t.ID, NewTemplate: api.NewTemplate{Name: t.Name, Scheme: t.Scheme}}
}
