package webui

import (
	"context"

	"github.com/danielgtaylor/huma/v2"

	"aula/appliance/operation"
	"aula/webui/api"
)

func (s *Server) routeImages(a huma.API) {
	type describe struct {
		Name string `path:"name" maxLength:"128"`
		Body api.ImageText
	}
	route(s, a, "GET", "/images", "images", "List images", 200, func(context.Context, *none) ([]api.Image, error) {
		images, err := s.images()
		out := make([]api.Image, len(images))
		for i, img := range images {
			out[i] = apiImage(img)
		}
		return out, err
	})
	route(s, a, "GET", "/images/{name}", "images", "One image", 200, func(_ context.Context, in *byName) (api.Image, error) {
		img, err := s.image(in.Name)
		return apiImage(img), err
	})
	route(s, a, "PUT", "/images/{name}", "images", "Set what people say of an image", 200,
		func(ctx context.Context, in *describe) (api.Image, error) {
			if err := s.describeImage(ctx, in.Name, in.Body.DisplayName, in.Body.Comments); err != nil {
				return api.Image{}, err
			}
			img, err := s.image(in.Name)
			return apiImage(img), err
		})
	routeEmpty(s, a, "DELETE", "/images/{name}", "images", "Remove an image with all its revisions", func(ctx context.Context, in *byName) error {
		return s.removeImage(ctx, in.Name)
	})
}

func apiImage(img describedImage) api.Image {
	return api.Image{
		Name: img.Name, DisplayName: img.Said.DisplayName, Comments: img.Said.Comments, Revision: img.Revision,
		Tool: img.Info.Tool, Compressor: img.Info.Compressor, Filesystem: img.Info.Filesystem,
		RequiredBytes: img.Info.RequiredBytes, UsedBytes: img.Info.UsedBytes, FileBytes: img.FileBytes,
		MD5: img.MD5, Blake3: img.Blake3, Created: img.Created,
		Computer: img.Source.Computer, Disk: img.Source.Disk, Partition: img.Source.Partition, HasLayout: img.HasLayout,
	}
}

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
			out[i] = apiOperation(op)
		}
		return out, nil
	})
	route(s, a, "GET", "/operations/{id}", tag, "One operation", 200, func(_ context.Context, in *byID) (api.Operation, error) {
		op, err := s.cfg.Operations.Operation(in.ID)
		return apiOperation(op), err
	})
	routeEmpty(s, a, "POST", "/operations/{id}/cancel", tag, "Ask every PC of an operation to stop", func(ctx context.Context, in *byID) error {
		return s.cfg.Operations.Cancel(ctx, in.ID)
	})
	route(s, a, "POST", "/capture", tag, "Start to make an image of a partition", 201, func(ctx context.Context, in *captureInput) (api.Operation, error) {
		op, err := s.cfg.Operations.Capture(ctx, callerOf(ctx).name(), operation.CaptureRequest(in.Body))
		return apiOperation(op), err
	})
	route(s, a, "POST", "/restore/preflight", tag, "Tell what a restore would do, and do nothing", 200,
		func(ctx context.Context, in *restoreInput) ([]api.Preflight, error) {
			found, err := s.cfg.Operations.PreflightRestore(ctx, operation.RestoreRequest(in.Body))
			out := make([]api.Preflight, len(found))
			for i, p := range found {
				out[i] = api.Preflight(p)
			}
			return out, err
		})
	route(s, a, "POST", "/restore", tag, "Start to put an image on a partition of PCs", 201, func(ctx context.Context, in *restoreInput) (api.Operation, error) {
		op, err := s.cfg.Operations.Restore(ctx, callerOf(ctx).name(), operation.RestoreRequest(in.Body))
		return apiOperation(op), err
	})
	route(s, a, "POST", "/power", tag, "Restart PCs, boot their own disk, or power them off", 201, func(ctx context.Context, in *powerInput) (api.Operation, error) {
		op, err := s.cfg.Operations.Power(ctx, callerOf(ctx).name(), in.Body.Kind, in.Body.ComputerIDs)
		return apiOperation(op), err
	})
}

func apiOperation(op operation.Operation) api.Operation {
	out := api.Operation{
		ID: op.ID, Kind: op.Kind, Actor: op.Actor, Created: op.Created, Ended: op.Ended, State: op.State,
		Image: op.Image, Revision: op.Revision, Layout: op.Layout, Summary: summaryOf(op), Targets: make([]api.Target, len(op.Targets)),
	}
	for i, t := range op.Targets {
		out.Targets[i] = api.Target{
			ComputerID: t.ComputerID, Name: t.Name, State: t.State, Stage: t.Stage, Bytes: t.Bytes, Total: t.Total, Rate: t.Rate,
			Dirty: t.Dirty, Verified: t.Verified, Failure: t.Failure, Started: t.Started, Ended: t.Ended,
		}
	}
	return out
}
