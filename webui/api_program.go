package webui

import (
	"context"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"aula/appliance/operation"
	"aula/clientos/instruction"
	"aula/webui/api"
)

// routePrograms is about operations that are asked for by instructions.
func (s *Server) routePrograms(a huma.API) {
	type input struct{ Body api.Program }
	const tag = "operations"

	route(s, a, "POST", "/operations/check", tag, "Tell what instructions would do to each PC, and do nothing", 200,
		func(ctx context.Context, in *input) ([]api.Preflight, error) {
			r, err := s.programRequest(in.Body)
			if err != nil {
				return nil, err
			}
			found, err := s.cfg.Operations.Check(ctx, r)
			out := make([]api.Preflight, len(found))
			for i, p := range found {
				out[i] = apiPreflight(p)
			}
			return out, err
		})
	route(s, a, "POST", "/operations", tag, "Have PCs carry out instructions; those that cannot are reported as failed and left untouched", 201,
		func(ctx context.Context, in *input) (api.Operation, error) {
			r, err := s.programRequest(in.Body)
			if err != nil {
				return api.Operation{}, err
			}
			op, err := s.begin(ctx, r)
			return s.apiOperation(op), err
		})
	route(s, a, "POST", "/operations/{id}/retry", tag, "Start an operation once more on the PCs that did not end as they should", 201,
		func(ctx context.Context, in *byID) (api.Operation, error) {
			op, err := s.cfg.Operations.Retry(ctx, callerOf(ctx).name(), in.ID)
			return s.apiOperation(op), err
		})
	type scriptInput struct {
		Name string `path:"name" maxLength:"128"`
		Body api.Script
	}
	routeEmpty(s, a, "PUT", "/images/{name}/script", "images", "Set the script that is run after each restore of an image", func(_ context.Context, in *scriptInput) error {
		return s.setScript(in.Name, in.Body.Text)
	})
	routeEmpty(s, a, "POST", "/operations/{id}/start", tag, "Stop waiting for PCs that are not there, and start with the others", func(ctx context.Context, in *byID) error {
		return s.startWithThese(ctx, in.ID)
	})
}

// programRequest makes of what the API is asked what the operations are asked.
func (s *Server) programRequest(p api.Program) (operation.Request, error) {
	r := operation.Request{Note: p.Note, Late: time.Duration(p.Late) * time.Second}
	program, err := instruction.Parse(p.Text)
	if err != nil {
		return r, textError(err)
	}
	r.Program = program
	if r.ComputerIDs, err = s.inScope(p.ComputerIDs, p.ClassroomIDs); err != nil {
		return r, err
	}
	if len(r.ComputerIDs) == 0 {
		return r, invalid("name at least one PC, or a classroom with PCs in it")
	}
	return r, nil
}

func apiPreflight(p operation.Preflight) api.Preflight { return api.Preflight(p) }
