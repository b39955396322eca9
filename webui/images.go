package webui

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aula/appliance/catalog"
	"aula/imagestore"
	"aula/webui/api"
)

// What pages and API do alike with images, the trash and what people say of them.

// A describedImage is one name in one repository: its current revision if it has a file, how it stands, and what people say of it.
type describedImage struct {
	imagestore.Image // only Repository and Name when there is no file
	Standing         imagestore.Standing
	Said             catalog.ImageObject
}

// HasFile tells whether there is a revision.
func (d describedImage) HasFile() bool { return d.Revision > 0 }

// Installed is the partition that people name, else the one that the image was made from; 0 when neither is known.
func (d describedImage) Installed() int { return cmp.Or(d.Said.Partition, d.Source.Partition) }

// images returns all of one repository, or of all when its name is empty, by name.
func (s *Server) images(repository string) ([]describedImage, error) {
	if repository != "" {
		if _, err := s.cfg.Images.Repository(repository); err != nil {
			return nil, err
		}
	}
	objects, err := s.cfg.Catalog.ImageObjects()
	if err != nil {
		return nil, err
	}
	said := map[string]catalog.ImageObject{}
	for _, o := range objects {
		said[o.Name] = o
	}
	var all []describedImage
	found := map[string]bool{}
	for _, standing := range s.cfg.Images.Standings() {
		d, err := s.described(standing)
		if err != nil {
			return nil, err
		}
		d.Said, found[standing.Name] = said[standing.Name], true
		all = append(all, d)
	}
	for _, o := range objects {
		if !found[o.Name] {
			all = append(all, s.missing(o))
		}
	}
	if repository != "" {
		all = slices.DeleteFunc(all, func(d describedImage) bool { return d.Repository != repository })
	}
	slices.SortStableFunc(all, func(a, b describedImage) int {
		return cmp.Or(strings.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name)), strings.Compare(a.Name, b.Name))
	})
	return all, nil
}

// described adds the current revision to a standing.
func (s *Server) described(standing imagestore.Standing) (describedImage, error) {
	d := describedImage{Standing: standing, Image: imagestore.Image{Repository: standing.Repository, Name: standing.Name}}
	if standing.Revision == 0 {
		return d, nil
	}
	img, err := s.cfg.Images.Revision(standing.Repository, standing.Name, standing.Revision)
	switch {
	case err == nil:
		d.Image = img
		d.Image.Repository = standing.Repository
	case !errors.Is(err, imagestore.ErrNotFound): // removed a moment ago
		return d, err
	}
	return d, nil
}

// missing is an image that somebody registered and that has no file yet.
func (s *Server) missing(o catalog.ImageObject) describedImage {
	repository := cmp.Or(o.Repository, s.firstRepository())
	return describedImage{
		Image:    imagestore.Image{Repository: repository, Name: o.Name},
		Standing: imagestore.Standing{Repository: repository, Name: o.Name, State: imagestore.Missing},
		Said:     o,
	}
}

func (s *Server) firstRepository() string { return s.cfg.Images.Repositories()[0].Name() }

// image returns one: of the repository, or of the first that has it when that is empty.
func (s *Server) image(repository, name string) (describedImage, error) {
	object, err := s.cfg.Catalog.ImageObject(name)
	registered := err == nil
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return describedImage{}, err
	}
	for _, r := range s.cfg.Images.Repositories() {
		if repository != "" && r.Name() != repository {
			continue
		}
		if standing, ok := r.Standing(name); ok {
			d, err := s.described(standing)
			d.Said = object
			return d, err
		}
	}
	if registered && (repository == "" || repository == cmp.Or(object.Repository, s.firstRepository())) {
		return s.missing(object), nil
	}
	if repository != "" {
		return describedImage{}, fmt.Errorf("%w: %.140q in repository %.140q", imagestore.ErrNotFound, name, repository)
	}
	return describedImage{}, fmt.Errorf("%w: %.140q", imagestore.ErrNotFound, name)
}

// home returns an image that has a file, and its repository.
func (s *Server) home(repository, name string) (*imagestore.Repository, describedImage, error) {
	img, err := s.image(repository, name)
	if err != nil {
		return nil, img, err
	}
	if !img.HasFile() {
		return nil, img, fmt.Errorf("%w: %s has no file yet", imagestore.ErrNotFound, name)
	}
	r, err := s.cfg.Images.Repository(img.Repository)
	return r, img, err
}

// registerImage notes an image whose file may come later, or what people say of a file that nobody has described yet.
func (s *Server) registerImage(ctx context.Context, name string, text api.ImageText) error {
	if err := s.repositoryExists(text.Repository); err != nil {
		return err
	}
	o, err := s.cfg.Catalog.AddImageObject(objectOf(name, text))
	if err != nil {
		return err
	}
	s.log.Info("image registered", "image", o.Name, "by", callerOf(ctx).name())
	s.ImagesChanged()
	return nil
}

// describeImage sets what people say of an image that exists or was registered.
func (s *Server) describeImage(ctx context.Context, repository, name string, text api.ImageText) error {
	img, err := s.image(repository, name)
	if err != nil {
		return err
	}
	if text.Repository == "" {
		text.Repository = img.Said.Repository
	}
	if err := s.repositoryExists(text.Repository); err != nil {
		return err
	}
	if err := s.cfg.Catalog.PutImageObject(objectOf(name, text)); err != nil {
		return err
	}
	s.log.Info("image described", "image", name, "by", callerOf(ctx).name())
	s.ImagesChanged()
	return nil
}

func objectOf(name string, t api.ImageText) catalog.ImageObject {
	return catalog.ImageObject{
		Name: strings.TrimSpace(name), DisplayName: t.DisplayName, Profile: t.Profile, Partition: t.Partition, PartitionType: t.PartitionType,
		Repository: t.Repository, Comments: t.Comments,
	}
}

// textOfImage is the opposite of objectOf.
func textOfImage(o catalog.ImageObject) api.ImageText {
	return api.ImageText{
		DisplayName: o.DisplayName, Profile: o.Profile, Partition: o.Partition, PartitionType: o.PartitionType,
		Repository: o.Repository, Comments: o.Comments,
	}
}

// repositoryExists refuses the name of a repository that there is not. The empty name is the first one's.
func (s *Server) repositoryExists(name string) error {
	if name == "" {
		return nil
	}
	statuses, err := s.cfg.Upkeep.Repositories()
	if err != nil {
		return err
	}
	for _, r := range statuses {
		if r.Name == name {
			return nil
		}
	}
	return invalid("there is no repository %.140q; choose one of the list", name)
}

// removeImage is trashImage for who need not know what is in the trash.
func (s *Server) removeImage(ctx context.Context, repository, name string) error {
	_, err := s.trashImage(ctx, repository, name)
	return err
}

// trashImage removes an image with all its revisions to the trash, or what was registered when there is no file. What people said of
// it is put away with it. It returns what is in the trash now because of that, nil when nothing is.
func (s *Server) trashImage(ctx context.Context, repository, name string) (*trashedImage, error) {
	img, err := s.image(repository, name)
	if err != nil {
		return nil, err
	}
	var trashed *trashedImage
	if img.Standing.State == imagestore.Missing {
		err = s.cfg.Catalog.RemoveImageObject(name)
	} else {
		trashed, err = s.removeFile(img.Repository, name)
	}
	if err != nil {
		return nil, err
	}
	s.log.Info("image removed", "image", name, "repository", img.Repository, "by", callerOf(ctx).name())
	s.ImagesChanged()
	left, err := s.image("", name)
	switch {
	case errors.Is(err, imagestore.ErrNotFound):
		return trashed, nil // nobody said anything of it
	case err != nil || left.Standing.State != imagestore.Missing: // another repository has it too
		return trashed, err
	}
	return trashed, s.forgetWords(img.Said)
}

// removeFile removes an image that has a file and finds it in the trash. One removal at a time: what is in the trash after it
// and was not before, under that name, is what it put there.
func (s *Server) removeFile(repository, name string) (*trashedImage, error) {
	s.removing.Lock()
	defer s.removing.Unlock()
	before, err := s.trash(repository)
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Images.Remove(repository, name); err != nil {
		return nil, err
	}
	after, err := s.trash(repository)
	if err != nil {
		return nil, err
	}
	for _, t := range after {
		if t.Name == name && !slices.ContainsFunc(before, func(b trashedImage) bool { return b.ID == t.ID }) {
			return &t, nil
		}
	}
	return nil, nil // nothing is kept in this repository's trash
}

// forgetWords removes what people said of an image and keeps it for the day when the image is brought back.
func (s *Server) forgetWords(said catalog.ImageObject) error {
	data, err := json.Marshal(said)
	if err != nil {
		return err
	}
	if err := s.cfg.Catalog.PutRecord(catalog.Removed, said.Name, data); err != nil {
		return err
	}
	return s.cfg.Catalog.RemoveImageObject(said.Name)
}

// recallWords brings back what people said of an image that was brought back, unless they said something new.
func (s *Server) recallWords(name string) error {
	data, err := s.cfg.Catalog.Record(catalog.Removed, name)
	if errors.Is(err, catalog.ErrNotFound) {
		return nil
	}
	var said catalog.ImageObject
	if err == nil {
		err = json.Unmarshal(data, &said)
	}
	if err == nil {
		_, err = s.cfg.Catalog.AddImageObject(said)
	}
	if err != nil && !errors.Is(err, catalog.ErrExists) {
		return fmt.Errorf("image %s is back, what was said of it is not: %w", name, err)
	}
	return s.cfg.Catalog.DeleteRecord(catalog.Removed, name)
}

// removeRevision removes one revision for good.
func (s *Server) removeRevision(ctx context.Context, repository, name string, revision int) error {
	r, _, err := s.home(repository, name)
	if err != nil {
		return err
	}
	if err := r.RemoveRevision(name, revision); err != nil {
		return err
	}
	s.log.Info("revision removed", "image", name, "revision", revision, "repository", r.Name(), "by", callerOf(ctx).name())
	s.ImagesChanged()
	return nil
}

// A trashedImage is a removed image and where it is.
type trashedImage struct {
	imagestore.Trashed
	Repository string
}

// trash returns what was removed from one repository, or from all when its name is empty, the latest first.
func (s *Server) trash(repository string) ([]trashedImage, error) {
	if _, err := s.cfg.Images.Repository(repository); err != nil {
		return nil, err
	}
	var all []trashedImage
	for _, r := range s.cfg.Images.Repositories() {
		if repository != "" && r.Name() != repository {
			continue
		}
		for _, t := range r.Trash() {
			all = append(all, trashedImage{t, r.Name()})
		}
	}
	slices.SortStableFunc(all, func(a, b trashedImage) int { return b.Removed.Compare(a.Removed) })
	return all, nil
}

// trashed finds one in the trash.
func (s *Server) trashed(repository, id string) (*imagestore.Repository, trashedImage, error) {
	all, err := s.trash(repository)
	if err != nil {
		return nil, trashedImage{}, err
	}
	i := slices.IndexFunc(all, func(t trashedImage) bool { return t.ID == id })
	if i < 0 {
		return nil, trashedImage{}, fmt.Errorf("%w in the trash any more: %.80q", imagestore.ErrNotFound, id)
	}
	r, err := s.cfg.Images.Repository(all[i].Repository)
	return r, all[i], err
}

// undelete brings an image back from the trash.
func (s *Server) undelete(ctx context.Context, repository, id string) (trashedImage, error) {
	r, t, err := s.trashed(repository, id)
	if err != nil {
		return t, err
	}
	if err := r.Undelete(id); err != nil {
		return t, err
	}
	s.log.Info("image brought back", "image", t.Name, "repository", t.Repository, "by", callerOf(ctx).name())
	s.ImagesChanged()
	return t, s.recallWords(t.Name)
}

// discard removes an image from the trash for good.
func (s *Server) discard(ctx context.Context, repository, id string) error {
	r, t, err := s.trashed(repository, id)
	if err != nil {
		return err
	}
	if err := r.Discard(id); err != nil {
		return err
	}
	s.log.Info("image deleted for ever", "image", t.Name, "repository", t.Repository, "by", callerOf(ctx).name())
	s.ImagesChanged()
	return s.cfg.Catalog.DeleteRecord(catalog.Removed, t.Name)
}
