package webui

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"aula/appliance/operation"
	"aula/webui/api"
)

func (s *Server) routeOperations(a huma.API) {
	type list struct {
		Limit int `query:"limit" minimum:"1" maximum:"1000" default:"50"`
	}
	type captureInput struct{ Body api.Capture }
	type restoreInput struct{ Body api.Restore }
	type powerInput struct{ Body api.Power }
	const tag = "operations"

	route(s, a, "GET", "/operations", tag, "List operations, the newest first", 200, func(_ context.Context, in *list) ([]api.Operation, error) {
		ops := s.cfg.Operations.Operations(in.Limit)
		out := make([]api.Operation, len(ops))
		for i, op := range ops {
			out[i] = s.apiOperation(op)
		}
		return out, nil
	})
	route(s, a, "GET", "/operations/{id}", tag, "One operation", 200, func(_ context.Context, in *byID) (api.Operation, error) {
		op, err := s.cfg.Operations.Operation(in.ID)
		return s.apiOperation(op), err
	})
	routeEmpty(s, a, "POST", "/operations/{id}/cancel", tag, "Ask every PC of an operation to stop", func(ctx context.Context, in *byID) error {
		return s.cfg.Operations.Cancel(ctx, in.ID)
	})
	route(s, a, "POST", "/capture", tag, "Start to make an image of a partition", 201, func(ctx context.Context, in *captureInput) (api.Operation, error) {
		op, err := s.cfg.Operations.Capture(ctx, callerOf(ctx).name(), operation.CaptureRequest(in.Body))
		return s.apiOperation(op), err
	})
	route(s, a, "POST", "/restore/preflight", tag, "Tell what a restore would do, and do nothing", 200,
		func(ctx context.Context, in *restoreInput) ([]api.Preflight, error) {
			found, err := s.cfg.Operations.PreflightRestore(ctx, operation.RestoreRequest(in.Body))
			out := make([]api.Preflight, len(found))
			for i, p := range found {
				out[i] = apiPreflight(p)
			}
			return out, err
		})
	route(s, a, "POST", "/restore", tag, "Start to put an image on a partition of PCs", 201, func(ctx context.Context, in *restoreInput) (api.Operation, error) {
		op, err := s.cfg.Operations.Restore(ctx, callerOf(ctx).name(), operation.RestoreRequest(in.Body))
		return s.apiOperation(op), err
	})
	route(s, a, "POST", "/power", tag, "Restart PCs, boot their own disk, or power them off", 201, func(ctx context.Context, in *powerInput) (api.Operation, error) {
		op, err := s.power(ctx, in.Body.Kind, in.Body.ComputerIDs, "")
		return s.apiOperation(op), err
	})
}

func (s *Server) apiOperation(op operation.Operation) api.Operation {
	out := api.Operation{
		ID: op.ID, Kind: op.Kind, Actor: op.Actor, Created: op.Created, Ended: op.Ended, State: op.State,
		Repository: op.Repository, Image: op.Image, Revision: op.Revision, Layout: op.Layout, Whole: op.Whole, Summary: summaryOf(op),
		Targets: make([]api.Target, len(op.Targets)),
		Text:    op.Text, Note: op.Note, Session: s.sessionOf(op),
	}
	for i, t := range op.Targets {
		out.Targets[i] = api.Target{
			ComputerID: t.ComputerID, Name: t.Name, State: t.State, Stage: t.Stage, Bytes: t.Bytes, Total: t.Total, Rate: t.Rate,
			Dirty: t.Dirty, Verified: t.Verified, Failure: t.Failure, Started: t.Started, Ended: t.Ended,
			Step: t.Step, Steps: len(op.Steps), Slow: t.Slow, Notes: t.Notes, Warnings: t.Warnings, Scripts: t.Scripts,
		}
		if t.Step >= 0 && t.Step < len(op.Steps) {
			out.Targets[i].Statement = op.Steps[t.Step].Statement.String()
		}
	}
	return out
}
