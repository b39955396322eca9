package webui

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"aula/appliance/upkeep"
	"aula/imagestore"
	"aula/webui/api"
)

// Parameters of routes about images. Embedding does not work: huma does not see the fields of what is not exported.
type (
	inRepository struct {
		Repository string `query:"repository" maxLength:"128" doc:"All when left out"`
	}
	imageName struct {
		Name       string `path:"name" maxLength:"128"`
		Repository string `query:"repository" maxLength:"128" doc:"The first that has the image when left out"`
	}
	imageRevision struct {
		Name       string `path:"name" maxLength:"128"`
		Revision   int    `path:"revision" minimum:"1"`
		Repository string `query:"repository" maxLength:"128" doc:"The first that has the image when left out"`
	}
)

const imagesTag = "images"

func (s *Server) routeImages(a huma.API) {
	type register struct{ Body api.NewImage }
	type describe struct {
		Name       string `path:"name" maxLength:"128"`
		Repository string `query:"repository" maxLength:"128"`
		Body       api.ImageText
	}
	route(s, a, "GET", "/images", imagesTag, "List images, also those that are arriving and those that are only registered", 200,
		func(_ context.Context, in *inRepository) ([]api.Image, error) {
			images, err := s.images(in.Repository)
			out := make([]api.Image, len(images))
			for i, img := range images {
				out[i] = s.apiImage(img)
			}
			return out, err
		})
	route(s, a, "POST", "/images", imagesTag, "Register an image whose file may come later", 201,
		func(ctx context.Context, in *register) (api.Image, error) {
			if err := s.registerImage(ctx, in.Body.Name, in.Body.ImageText); err != nil {
				return api.Image{}, err
			}
			img, err := s.image("", in.Body.Name)
			return s.apiImage(img), err
		})
	route(s, a, "GET", "/images/{name}", imagesTag, "One image", 200, func(_ context.Context, in *imageName) (api.Image, error) {
		img, err := s.image(in.Repository, in.Name)
		return s.apiImage(img), err
	})
	route(s, a, "PUT", "/images/{name}", imagesTag, "Set what people say of an image", 200,
		func(ctx context.Context, in *describe) (api.Image, error) {
			if err := s.describeImage(ctx, in.Repository, in.Name, in.Body); err != nil {
				return api.Image{}, err
			}
			img, err := s.image(in.Repository, in.Name)
			return s.apiImage(img), err
		})
	route(s, a, "DELETE", "/images/{name}", imagesTag, "Remove an image with all its revisions to the trash", 200,
		func(ctx context.Context, in *imageName) (out api.Removed, err error) {
			t, err := s.trashImage(ctx, in.Repository, in.Name)
			if t != nil {
				trashed := apiTrashed(*t)
				out.Trash = &trashed
			}
			return out, err
		})
	route(s, a, "GET", "/images/{name}/revisions", imagesTag, "The revisions of an image, the newest first", 200,
		func(_ context.Context, in *imageName) ([]api.Revision, error) {
			revisions, err := s.revisions(in.Repository, in.Name)
			out := make([]api.Revision, len(revisions))
			for i, r := range revisions {
				out[i] = apiRevision(r)
			}
			return out, err
		})
	routeEmpty(s, a, "DELETE", "/images/{name}/revisions/{revision}", imagesTag, "Remove one revision for good",
		func(ctx context.Context, in *imageRevision) error {
			return s.removeRevision(ctx, in.Repository, in.Name, in.Revision)
		})
	s.routeImageWork(a)
}

// routeImageWork are the routes that start long work on one image.
func (s *Server) routeImageWork(a huma.API) {
	type convert struct {
		Name       string `path:"name" maxLength:"128"`
		Repository string `query:"repository" maxLength:"128"`
		Body       api.Conversion
	}
	type transfer struct {
		Name       string `path:"name" maxLength:"128"`
		Repository string `query:"repository" maxLength:"128"`
		Body       api.Destination
	}
	type verify struct {
		Name       string `path:"name" maxLength:"128"`
		Repository string `query:"repository" maxLength:"128"`
		Body       api.Verification
	}
	task := func(t upkeep.Task, err error) (api.Task, error) { return api.Task(t), err }

	route(s, a, "POST", "/images/{name}/convert", imagesTag, "Start to pack an image anew", 201, func(ctx context.Context, in *convert) (api.Task, error) {
		return task(s.cfg.Upkeep.Convert(callerOf(ctx).name(), upkeep.ImageRef{Repository: in.Repository, Name: in.Name, Revision: in.Body.Revision},
			imagestore.Conversion{Compressor: in.Body.Compressor, Level: in.Body.Level, Name: in.Body.NewName}))
	})
	route(s, a, "POST", "/images/{name}/copy", imagesTag, "Start to copy a revision to another repository", 201, func(ctx context.Context, in *transfer) (api.Task, error) {
		return task(s.cfg.Upkeep.Copy(callerOf(ctx).name(), upkeep.ImageRef{Repository: in.Repository, Name: in.Name, Revision: in.Body.Revision}, in.Body.Repository))
	})
	route(s, a, "POST", "/images/{name}/move", imagesTag, "Start to move an image with all its revisions to another repository", 201,
		func(ctx context.Context, in *transfer) (api.Task, error) {
			return task(s.cfg.Upkeep.Move(callerOf(ctx).name(), upkeep.ImageRef{Repository: in.Repository, Name: in.Name}, in.Body.Repository))
		})
	route(s, a, "POST", "/images/{name}/verify", imagesTag, "Start to read an image again and compare it with its record", 201,
		func(ctx context.Context, in *verify) (api.Task, error) {
			return task(s.cfg.Upkeep.Verify(callerOf(ctx).name(), upkeep.ImageRef{Repository: in.Repository, Name: in.Name, Revision: in.Body.Revision}))
		})
	route(s, a, "POST", "/verify", imagesTag, "Start to read every image of every repository again", 201, func(ctx context.Context, _ *none) (api.Task, error) {
		return task(s.cfg.Upkeep.Verify(callerOf(ctx).name(), upkeep.ImageRef{}))
	})
}

func (s *Server) apiImage(img describedImage) api.Image {
	out := api.Image{
		Name: img.Name, Repository: img.Repository, State: string(img.Standing.State), Done: img.Standing.Done, Total: img.Standing.Total,
		Problem: img.Standing.Problem, Warnings: img.Standing.Warnings, Holders: img.Standing.Holders,
		DisplayName: img.Said.DisplayName, Profile: img.Said.Profile, Partition: img.Installed(), PartitionType: img.Said.PartitionType,
		Comments: img.Said.Comments, Said: textOfImage(img.Said),
	}
	if !img.HasFile() {
		return out
	}
	out.Revision, out.Info, out.Tool, out.Compressor = img.Revision, img.Info.String(), img.Info.Tool, img.Info.Compressor
	out.Filesystem, out.RequiredBytes, out.UsedBytes, out.FileBytes = img.Info.Filesystem, img.Info.RequiredBytes, img.Info.UsedBytes, img.FileBytes
	out.MD5, out.Blake3, out.Created, out.HasLayout = img.MD5, img.Blake3, img.Created, img.HasLayout
	out.Computer, out.Disk, out.Set, out.System = img.Source.Computer, img.Source.Disk, img.Source.Set, img.Source.System
	out.Verified = s.verifiedAt(img.Image)
	return out
}

// verifiedAt is when a revision was last found good; the zero time when that cannot be told.
func (s *Server) verifiedAt(img imagestore.Image) time.Time {
	r, err := s.cfg.Images.Repository(img.Repository)
	if err != nil {
		return time.Time{}
	}
	at, err := r.VerifiedAt(img.Name, img.Revision)
	if err != nil {
		return time.Time{}
	}
	return at
}

// A listedRevision is one state of an image.
type listedRevision struct {
	imagestore.Image
	Verified time.Time
	Current  bool
}

// revisions returns the states of an image, the newest first.
func (s *Server) revisions(repository, name string) ([]listedRevision, error) {
	r, current, err := s.home(repository, name)
	if err != nil {
		return nil, err
	}
	images, err := r.Revisions(name)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(images, func(a, b imagestore.Image) int { return cmp.Compare(b.Revision, a.Revision) })
	all := make([]listedRevision, len(images))
	for i, img := range images {
		img.Repository = r.Name()
		all[i] = listedRevision{img, s.verifiedAt(img), img.Revision == current.Revision}
	}
	return all, nil
}

func apiRevision(r listedRevision) api.Revision {
	return api.Revision{
		Revision: r.Revision, Current: r.Current, Info: r.Info.String(), Compressor: r.Info.Compressor, FileBytes: r.FileBytes,
		UsedBytes: r.Info.UsedBytes, MD5: r.MD5, Blake3: r.Blake3, Created: r.Created, Verified: r.Verified, Computer: r.Source.Computer,
	}
}
