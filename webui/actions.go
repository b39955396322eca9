package webui

import (
	"context"
	"errors"

	"aula/appliance/catalog"
	"aula/imagestore"
)

// What pages and API do alike beyond one call of a service.

// accept moves a pending PC into a classroom and tells the PC.
func (s *Server) accept(ctx context.Context, id, classroomID, name string) (catalog.Computer, error) {
	pc, err := s.cfg.Catalog.AcceptComputer(id, classroomID, name)
	if err != nil {
		return catalog.Computer{}, err
	}
	s.log.Info("computer accepted", "computer", pc.Name, "classroom", classroomID, "by", callerOf(ctx).name())
	s.cfg.Roster.Refresh(id)
	return pc, nil
}

// place renames or moves an accepted PC and tells the PC.
func (s *Server) place(ctx context.Context, id, classroomID, name string) (catalog.Computer, error) {
	pc, err := s.cfg.Catalog.UpdateComputer(id, classroomID, name)
	if err != nil {
		return catalog.Computer{}, err
	}
	s.log.Info("computer placed", "computer", pc.Name, "classroom", classroomID, "by", callerOf(ctx).name())
	s.cfg.Roster.Refresh(id)
	return pc, nil
}

// forget removes a PC that no operation has. Its next boot brings it back as pending.
func (s *Server) forget(ctx context.Context, id string) error {
	pc, err := s.cfg.Catalog.Computer(id)
	if err != nil {
		return err
	}
	if op, _, busy := s.cfg.Operations.Current(id); busy {
		return invalid("%s is busy with %q; wait for its end or cancel it first", pc.Name, titleOf(op))
	}
	if err := s.cfg.Catalog.RemoveComputer(id); err != nil {
		return err
	}
	s.log.Info("computer removed", "computer", pc.Name, "by", callerOf(ctx).name())
	s.cfg.Roster.Refresh(id)
	return nil
}

// removeImage removes an image with all its revisions and what people said of it.
func (s *Server) removeImage(ctx context.Context, name string) error {
	if err := s.cfg.Images.Remove("", name); err != nil {
		return err
	}
	s.log.Info("image removed", "image", name, "by", callerOf(ctx).name())
	s.ImagesChanged()
	if err := s.cfg.Catalog.RemoveImageObject(name); err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return err
	}
	return nil
}

// describeImage sets what people say of an image that exists.
func (s *Server) describeImage(ctx context.Context, name, display, comments string) error {
	if _, err := s.cfg.Images.Image("", name); err != nil {
		return err
	}
	return s.cfg.Catalog.PutImageObject(catalog.ImageObject{Name: name, DisplayName: display, Comments: comments})
}

// describedImage is an image with what people say of it.
type describedImage struct {
	imagestore.Image
	Said catalog.ImageObject
}

// images returns all, by name.
func (s *Server) images() ([]describedImage, error) {
	files, err := s.cfg.Images.Images()
	if err != nil {
		return nil, err
	}
	objects, err := s.cfg.Catalog.ImageObjects()
	if err != nil {
		return nil, err
	}
	said := map[string]catalog.ImageObject{}
	for _, o := range objects {
		said[o.Name] = o
	}
	all := make([]describedImage, len(files))
	for i, f := range files {
		all[i] = describedImage{f, said[f.Name]}
	}
	return all, nil
}

// image returns one.
func (s *Server) image(name string) (describedImage, error) {
	file, err := s.cfg.Images.Image("", name)
	if err != nil {
		return describedImage{}, err
	}
	objects, err := s.cfg.Catalog.ImageObjects()
	if err != nil {
		return describedImage{}, err
	}
	for _, o := range objects {
		if o.Name == name {
			return describedImage{file, o}, nil
		}
	}
	return describedImage{Image: file}, nil
}
