package webui

import (
	"context"

	"aula/appliance/catalog"
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

// forget removes a PC that no operation has. Its next boot of the client OS brings it back as pending.
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
