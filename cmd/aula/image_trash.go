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
	answer, err := server.RemoveImage(ctx, c.Image)
	if err != nil {
		return answerError(err)
	}
	trash := answer.Trash
	switch {
	case trash == nil:
		return c.tell(removed{Image: c.Image}, "%s is removed", c.Image)
	case !c.Now:
		return c.tell(removed{Image: c.Image, Trash: trash}, "%s is in the trash until %s; 'aula image undelete %s' brings it back",
			c.Image, trash.Expires.Local().Format(time.DateOnly), trash.ID)
	}
	if err := server.DiscardTrash(ctx, trash.ID); err != nil {
		return fmt.Errorf("%s is in the trash, but not removed from there: %w", c.Image, err)
	}
	return c.tell(removed{Image: c.Image}, "%s is removed for good", c.Image)
}

// imageTrashCommand is `aula image trash`.
type imageTrashCommand struct {
	List    imageTrashListCommand    `cmd:"" default:"withargs" help:"List what is in the trash, which is what 'aula image trash' does with no further word."`
	Discard imageTrashDiscardCommand `cmd:"" help:"Discard an image from the trash: remove it for good."`
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

// trashedFlags are what the commands about one image of the trash take.
type trashedFlags struct {
	server
	repositoryFlag
	jsonFlag
	ID string `arg:"" help:"Id of the removed image, as 'aula image trash' lists it." name:"id"`
}

// with finds the image in the trash and does with it what do does, asking the repository where it is.
func (f *trashedFlags) with(ctx context.Context, do func(repository *client.Client) error) (api.Trashed, error) {
	server, err := f.in(f.server)
	if err != nil {
		return api.Trashed{}, err
	}
	all, err := server.Trash(ctx)
	if err != nil {
		return api.Trashed{}, err
	}
	i := slices.IndexFunc(all, func(t api.Trashed) bool { return t.ID == f.ID })
	if i < 0 {
		return api.Trashed{}, exitError{errors.New("nothing in the trash has that id: 'aula image trash' lists what is there"), exitNoFile}
	}
	return all[i], answerError(do(server.In(all[i].Repository)))
}

// imageTrashDiscardCommand is `aula image trash discard`.
type imageTrashDiscardCommand struct{ trashedFlags }

// Run removes an image for good.
func (c *imageTrashDiscardCommand) Run(ctx context.Context) error {
	found, err := c.with(ctx, func(r *client.Client) error { return r.DiscardTrash(ctx, c.ID) })
	if err != nil {
		return err
	}
	return c.tell(found, "%s is removed for good", found.Name)
}

// imageUndeleteCommand is `aula image undelete`.
type imageUndeleteCommand struct{ trashedFlags }

// Run brings an image back.
func (c *imageUndeleteCommand) Run(ctx context.Context) error {
	found, err := c.with(ctx, func(r *client.Client) error { return r.Undelete(ctx, c.ID) })
	if err != nil {
		return err
	}
	return c.tell(found, "%s is back in repository %s", found.Name, found.Repository)
}
