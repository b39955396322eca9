package appliance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"aula/appliance/catalog"
	"aula/appliance/operation"
	"aula/appliance/schedule"
	"aula/clientos/instruction"
	"aula/clientos/protocol"
)

// customs are what the catalog keeps of a school's own ways, as operations ask for it.
type customs struct {
	catalog *catalog.Catalog
	log     *slog.Logger
}

// scripts are those of the images, in order, and then the classroom's.
func (c customs) scripts(pc catalog.Computer, images []string) []protocol.Script {
	var scripts []protocol.Script
	for _, name := range images {
		o, err := c.catalog.ImageObject(name)
		if err != nil && !errors.Is(err, catalog.ErrNotFound) {
			c.log.Error("script of an image", "image", name, "error", err)
		}
		if o.Script != "" {
			scripts = append(scripts, protocol.Script{Name: "image " + name, Text: o.Script})
		}
	}
	room, err := c.catalog.Classroom(pc.ClassroomID)
	if err != nil {
		c.log.Error("script of a classroom", "classroom", pc.ClassroomID, "error", err)
	}
	if room.Defaults.Script != "" {
		scripts = append(scripts, protocol.Script{Name: "classroom " + room.Name, Text: room.Defaults.Script})
	}
	return scripts
}

// parameters are those of a protocol in the classroom of the PCs; empty when they are in several, or theirs has none.
func (c customs) parameters(by string, pcs []catalog.Computer) string {
	for _, pc := range pcs {
		if pc.ClassroomID != pcs[0].ClassroomID {
			return ""
		}
	}
	room, err := c.catalog.Classroom(pcs[0].ClassroomID)
	if err != nil {
		c.log.Error("parameters of a classroom", "classroom", pcs[0].ClassroomID, "error", err)
		return ""
	}
	switch by {
	case protocol.Multicast:
		return room.Defaults.Multicast
	case protocol.Torrent:
		return room.Defaults.Torrent
	}
	return ""
}

// classroom is the name of one.
func (c customs) classroom(id string) string {
	room, err := c.catalog.Classroom(id)
	if err != nil {
		return ""
	}
	return room.Name
}

// startSchedule begins what a schedule asks for.
func startSchedule(operations *operation.Manager) func(context.Context, string, []string, instruction.Program, string) (string, error) {
	return func(ctx context.Context, actor string, computerIDs []string, program instruction.Program, note string) (string, error) {
		op, err := operations.Begin(ctx, actor, operation.Request{ComputerIDs: computerIDs, Program: program, Note: note})
		if busy, ok := errors.AsType[*protocol.Failure](err); ok && busy.Code == protocol.ErrLocked {
			return "", fmt.Errorf("%w: %w", schedule.ErrBusy, err)
		}
		return op.ID, err
	}
}

// startSystem has a PC boot the system on a partition, which somebody chose from its menu.
func startSystem(operations *operation.Manager) func(computerID string, disk, partition int) error {
	return func(computerID string, disk, partition int) error {
		program, err := instruction.Parse(fmt.Sprintf("bootOs %d %d", disk, partition))
		if err != nil {
			return err
		}
		_, err = operations.Begin(context.Background(), "somebody at the PC", operation.Request{
			ComputerIDs: []string{computerID}, Program: program, Note: "chosen from the boot menu",
		})
		return err
	}
}
