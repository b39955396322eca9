package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"aula/clientos/disk"
	"aula/webui/api"
	"aula/webui/client"
)

// imageRemoveCommand is `aula image rm`.
type imageRemoveCommand struct {
	server
	repositoryFlag
	jsonFlag
	Image    string `arg:"" help:"Name of the image."`
	Revision int    `help:"Remove only this revision, for good." default:"0"`
	Now      bool   `help:"Remove the image for good, not to the trash."`
}

// removed is what `aula image rm --json` prints.
type removed struct {
	Image    string       `json:"image"`
	Revision int          `json:"revision,omitempty"` // the only one that was removed
	Trash    *api.Trashed `json:"trash,omitempty"`    // what can be brought back
}

// Run removes an image or a revision.
func (c *imageRemoveCommand) Run(ctx context.Context) error {
	server, err := c.in(c.server)
	if err != nil {
		return err
	}
	if c.Revision != 0 {
		if err := server.RemoveRevision(ctx, c.Image, c.Revision); err != nil {
			return answerError(err)
		}
		return c.tell(removed{Image: c.Image, Revision: c.Revision}, "revision %d of %s is removed", c.Revision, c.Image)
	}
	image, err := server.Image(ctx, c.Image)
	if err != nil {
		return answerError(err)
	}
	server = server.In(image.Repository)
	before, err := trashed(ctx, server, c.Image)
	if err != nil {
		return err
	}
	if err := server.RemoveImage(ctx, c.Image); err != nil {
		return answerError(err)
	}
	after, err := trashed(ctx, server, c.Image)
	if err != nil {
		return err
	}
	// What was in the trash before, under the same name, stays there.
	added := slices.DeleteFunc(after, func(t api.Trashed) bool {
		return slices.ContainsFunc(before, func(b api.Trashed) bool { return b.ID == t.ID })
	})
	if len(added) == 0 {
		return c.tell(removed{Image: c.Image}, "%s is removed", c.Image)
	}
	if !c.Now {
		return c.tell(removed{Image: c.Image, Trash: &added[0]}, "%s is in the trash until %s; 'aula image undelete %s' brings it back",
			c.Image, added[0].Expires.Local().Format(time.DateOnly), added[0].ID)
	}
	if err := server.DiscardTrash(ctx, added[0].ID); err != nil {
		return fmt.Errorf("%s is in the trash, but not removed from there: %w", c.Image, err)
	}
	return c.tell(removed{Image: c.Image}, "%s is removed for good", c.Image)
}

// trashed returns what the trash has of a name.
func trashed(ctx context.Context, server *client.Client, name string) ([]api.Trashed, error) {
	all, err := server.Trash(ctx)
	return slices.DeleteFunc(all, func(t api.Trashed) bool { return t.Name != name }), err
}

// imageTrashCommand is `aula image trash`.
type imageTrashCommand struct {
	List    imageTrashListCommand    `cmd:"" default:"withargs" help:"List what is in the trash, which is what 'aula image trash' does with no further word."`
	Discard imageTrashDiscardCommand `cmd:"" help:"Remove an image from the trash for good."`
}

// imageTrashListCommand is `aula image trash list`.
type imageTrashListCommand struct {
	server
	repositoryFlag
	jsonFlag
}

// Run lists the trash.
func (c *imageTrashListCommand) Run(ctx context.Context) error {
	server, err := c.in(c.server)
	if err != nil {
		return err
	}
	all, err := server.Trash(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(all)
	}
	if len(all) == 0 {
		fmt.Println("the trash is empty")
		return nil
	}
	w := newTable("ID", "NAME", "REVISIONS", "SIZE", "REMOVED", "EXPIRES", "REPOSITORY")
	for _, t := range all {
		w.row(t.ID, t.Name, len(t.Revisions), disk.FormatSize(t.Bytes), t.Removed.Local().Format(time.DateTime),
			t.Expires.Local().Format(time.DateTime), t.Repository)
	}
	return w.Flush()
}

// findTrashed returns what the trash has under an id.
func findTrashed(ctx context.Context, server *client.Client, id string) (api.Trashed, error) {
	all, err := server.Trash(ctx)
	if err != nil {
		return api.Trashed{}, err
	}
	i := slices.IndexFunc(all, func(t api.Trashed) bool { return t.ID == id })
	if i < 0 {
		return api.Trashed{}, exitError{errors.New("nothing in the trash has that id: 'aula image trash' lists what is there"), exitNoFile}
	}
	return all[i], nil
}

// imageTrashDiscardCommand is `aula image trash discard`.
type imageTrashDiscardCommand struct {
	server
	repositoryFlag
	jsonFlag
	ID string `arg:"" help:"Id of the removed image, as 'aula image trash' lists it." name:"id"`
}

// Run removes an image for good.
func (c *imageTrashDiscardCommand) Run(ctx context.Context) error {
	server, err := c.in(c.server)
	if err != nil {
		return err
	}
	found, err := findTrashed(ctx, server, c.ID)
	if err != nil {
		return err
	}
	if err := server.In(found.Repository).DiscardTrash(ctx, c.ID); err != nil {
		return answerError(err)
	}
	return c.tell(found, "%s is removed for good", found.Name)
}

// imageUndeleteCommand is `aula image undelete`.
type imageUndeleteCommand struct {
	server
	repositoryFlag
	jsonFlag
	ID string `arg:"" help:"Id of the removed image, as 'aula image trash' lists it." name:"id"`
}

// Run brings an image back.
func (c *imageUndeleteCommand) Run(ctx context.Context) error {
	server, err := c.in(c.server)
	if err != nil {
		return err
	}
	found, err := findTrashed(ctx, server, c.ID)
	if err != nil {
		return err
	}
	if err := server.In(found.Repository).Undelete(ctx, c.ID); err != nil {
		return answerError(err)
	}
	return c.tell(found, "%s is back in repository %s", found.Name, found.Repository)
}
