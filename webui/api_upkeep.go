package webui

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/appliance/incorporation"
	"aula/appliance/upkeep"
	"aula/imagestore"
	"aula/webui/api"
)

func (s *Server) routeTrash(a huma.API) {
	type trashID struct {
		ID         string `path:"id" maxLength:"256"`
		Repository string `query:"repository" maxLength:"128"`
	}
	const tag = "trash"
	route(s, a, "GET", "/trash", tag, "Images that can be brought back, the latest removed first", 200,
		func(_ context.Context, in *inRepository) ([]api.Trashed, error) {
			all, err := s.trash(in.Repository)
			out := make([]api.Trashed, len(all))
			for i, t := range all {
				out[i] = apiTrashed(t)
			}
			return out, err
		})
	routeEmpty(s, a, "POST", "/trash/{id}/undelete", tag, "Bring an image back from the trash with all its revisions", func(ctx context.Context, in *trashID) error {
		_, err := s.undelete(ctx, in.Repository, in.ID)
		return err
	})
	routeEmpty(s, a, "DELETE", "/trash/{id}", tag, "Discard an image from the trash: remove it for good", func(ctx context.Context, in *trashID) error {
		return s.discard(ctx, in.Repository, in.ID)
	})
}

func apiTrashed(t trashedImage) api.Trashed {
	return api.Trashed{
		ID: t.ID, Repository: t.Repository, Name: t.Name, Removed: t.Removed, Expires: t.Expires, Revisions: t.Revisions, Bytes: t.Bytes,
	}
}

func (s *Server) routeTasks(a huma.API) {
	type importInput struct{ Body api.Import }
	const tag = "tasks"

	route(s, a, "POST", "/imports/examine", tag, "Tell what an import would do, and do nothing", 200,
		func(ctx context.Context, in *importInput) (api.ImportPlan, error) {
			plan, err := s.examine(ctx, in.Body)
			return apiPlan(plan), err
		})
	route(s, a, "POST", "/imports", tag, "Start to take images in: an upload or, only for the machine's administrator, paths", 201,
		func(ctx context.Context, in *importInput) (api.Task, error) {
			t, err := s.startImport(ctx, in.Body)
			return api.Task(t), err
		})
	route(s, a, "GET", "/tasks", tag, "Long work that runs or ended lately, the newest first", 200, func(context.Context, *none) ([]api.Task, error) {
		tasks := s.cfg.Upkeep.Tasks()
		out := make([]api.Task, len(tasks))
		for i, t := range tasks {
			out[i] = api.Task(t)
		}
		return out, nil
	})
	route(s, a, "GET", "/tasks/{id}", tag, "One task", 200, func(_ context.Context, in *byID) (api.Task, error) {
		t, err := s.cfg.Upkeep.Task(in.ID)
		return api.Task(t), err
	})
	routeEmpty(s, a, "POST", "/tasks/{id}/cancel", tag, "Ask a task to stop", func(ctx context.Context, in *byID) error {
		return s.cancelTask(ctx, in.ID)
	})
}

// mayImport refuses paths of this machine to everybody but its administrator: they would let a user of the console read any file.
func mayImport(ctx context.Context, r api.Import) error {
	if len(r.Paths) > 0 && !callerOf(ctx).Local {
		return echo.NewHTTPError(http.StatusForbidden)
	}
	return nil
}

// startImport starts to take images in.
func (s *Server) startImport(ctx context.Context, r api.Import) (upkeep.Task, error) {
	if err := mayImport(ctx, r); err != nil {
		return upkeep.Task{}, err
	}
	t, err := s.cfg.Upkeep.Import(ctx, callerOf(ctx).name(), upkeep.ImportRequest{Paths: r.Paths, Upload: r.Upload, Repository: r.Repository, Name: r.Name})
	if err != nil && r.Upload != "" {
		if paths, lost := s.cfg.Uploads.Paths(r.Upload); lost == nil {
			err = sentError{err, folderOf(paths)}
		}
	}
	return t, err
}

// A sentError is about files that somebody sent, who knows them by their names and not by the folder where they lie here.
type sentError struct {
	error
	folder string
}

func (e sentError) Error() string { return strings.ReplaceAll(e.error.Error(), e.folder, "") }
func (e sentError) Unwrap() error { return e.error }

// folderOf is the folder of an upload's files, as errors begin with it.
func folderOf(paths []string) string { return filepath.Dir(paths[0]) + "/" }

// examine tells what an import would do. What is wrong with the files is the caller's to mend.
func (s *Server) examine(ctx context.Context, r api.Import) (incorporation.Plan, error) {
	if err := mayImport(ctx, r); err != nil {
		return incorporation.Plan{}, err
	}
	paths, owned := r.Paths, false
	switch {
	case len(paths) > 0 && r.Upload != "":
		return incorporation.Plan{}, invalid("name an upload or paths, not both")
	case r.Upload != "":
		var err error
		if paths, err = s.uploadedPaths(r.Upload); err != nil {
			return incorporation.Plan{}, err
		}
		owned = true
	case len(paths) == 0:
		return incorporation.Plan{}, invalid("nothing to take in: name files, a directory or an upload")
	}
	plan, err := incorporation.Examine(ctx, paths, incorporation.Options{Name: r.Name, Owned: owned})
	if err != nil && ctx.Err() == nil {
		err = invalid("%w", err) // also of a file that is not there: the caller named it
	}
	if !owned {
		return plan, err
	}
	folder := folderOf(paths)
	for i, warning := range plan.Warnings {
		plan.Warnings[i] = strings.ReplaceAll(warning, folder, "")
	}
	if err != nil {
		err = sentError{err, folder}
	}
	return plan, err
}

// uploadedPaths are the files of an upload that is complete.
func (s *Server) uploadedPaths(id string) ([]string, error) {
	u, err := s.cfg.Uploads.Upload(id)
	if err != nil {
		return nil, err
	}
	if !u.Complete() {
		return nil, invalid("the upload is not complete; send the rest of its files first")
	}
	return s.cfg.Uploads.Paths(id)
}

func apiPlan(p incorporation.Plan) api.ImportPlan {
	out := api.ImportPlan{System: p.System, Images: make([]api.PlannedImage, len(p.Images)), Warnings: p.Warnings}
	for i, img := range p.Images {
		out.Images[i] = api.PlannedImage{
			Name: img.Name, Disk: img.Source.Disk, Partition: img.Source.Partition, Set: img.Source.Set, Bytes: img.Bytes, HasLayout: img.Layout != nil,
		}
	}
	return out
}

func (s *Server) cancelTask(ctx context.Context, id string) error {
	if err := s.cfg.Upkeep.Cancel(id); err != nil {
		return err
	}
	s.log.Info("task cancelled", "task", id, "by", callerOf(ctx).name())
	return nil
}

func (s *Server) routeRepositories(a huma.API) {
	type repositoryInput struct{ Body api.RepositoryText }
	type repositoryEdit struct {
		Name string `path:"name" maxLength:"128"`
		Body api.RepositoryText
	}
	const tag = "repositories"
	one := func(name string) (api.Repository, error) {
		all, err := s.cfg.Upkeep.Repositories()
		for _, r := range all {
			if r.Name == name {
				return apiRepository(r), err
			}
		}
		if err == nil {
			err = imagestore.ErrNoRepository
		}
		return api.Repository{}, err
	}
	route(s, a, "GET", "/repositories", tag, "List repositories, the first one first", 200, func(context.Context, *none) ([]api.Repository, error) {
		all, err := s.cfg.Upkeep.Repositories()
		out := make([]api.Repository, len(all))
		for i, r := range all {
			out[i] = apiRepository(r)
		}
		return out, err
	})
	route(s, a, "POST", "/repositories", tag, "Open a folder as a repository", 201, func(ctx context.Context, in *repositoryInput) (api.Repository, error) {
		if err := s.addRepository(ctx, repositoryOf(in.Body)); err != nil {
			return api.Repository{}, err
		}
		return one(in.Body.Name)
	})
	route(s, a, "PUT", "/repositories/{name}", tag, "Change all but the name and the folder of a repository", 200,
		func(ctx context.Context, in *repositoryEdit) (api.Repository, error) {
			in.Body.Name = in.Name
			if err := s.changeRepository(ctx, repositoryOf(in.Body)); err != nil {
				return api.Repository{}, err
			}
			return one(in.Name)
		})
	routeEmpty(s, a, "DELETE", "/repositories/{name}", tag, "Forget a repository; its folder stays as it is", func(ctx context.Context, in *byName) error {
		return s.removeRepository(ctx, in.Name)
	})
}

func (s *Server) addRepository(ctx context.Context, r catalog.Repository) error {
	if err := s.cfg.Upkeep.AddRepository(r); err != nil {
		return err
	}
	s.log.Info("repository added", "repository", r.Name, "dir", r.Dir, "by", callerOf(ctx).name())
	s.ImagesChanged()
	return nil
}

func (s *Server) changeRepository(ctx context.Context, r catalog.Repository) error {
	if err := s.cfg.Upkeep.ChangeRepository(r); err != nil {
		return err
	}
	s.log.Info("repository changed", "repository", r.Name, "by", callerOf(ctx).name())
	s.ImagesChanged()
	return nil
}

func (s *Server) removeRepository(ctx context.Context, name string) error {
	if err := s.cfg.Upkeep.RemoveRepository(name); err != nil {
		return err
	}
	s.log.Info("repository removed", "repository", name, "by", callerOf(ctx).name())
	s.ImagesChanged()
	return nil
}

func repositoryOf(t api.RepositoryText) catalog.Repository {
	return catalog.Repository(t)
}

func apiRepository(r upkeep.RepositoryStatus) api.Repository {
	return api.Repository{
		RepositoryText: api.RepositoryText(r.Repository), First: r.Name == catalog.FirstRepository,
		Images: r.Images, Free: r.Free, Size: r.Size, Problem: r.Problem,
	}
}
