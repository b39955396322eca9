package main

import "context"

// imageCopyCommand is `aula image copy`.
type imageCopyCommand struct {
	waiting
	repositoryFlag
	Image    string `arg:"" help:"Name of the image."`
	To       string `help:"Repository to which it is copied." required:"" placeholder:"NAME"`
	Revision int    `help:"Revision; the current one when left out." default:"0"`
}

// Run has the appliance copy a revision.
func (c *imageCopyCommand) Run(ctx context.Context) error {
	server, err := c.in(c.server)
	if err != nil {
		return err
	}
	task, err := server.Copy(ctx, c.Image, c.Revision, c.To)
	return c.wait(ctx, server, task, answerError(err))
}

// imageMoveCommand is `aula image move`.
type imageMoveCommand struct {
	waiting
	repositoryFlag
	Image string `arg:"" help:"Name of the image."`
	To    string `help:"Repository to which it is moved." required:"" placeholder:"NAME"`
}

// Run has the appliance move an image.
func (c *imageMoveCommand) Run(ctx context.Context) error {
	server, err := c.in(c.server)
	if err != nil {
		return err
	}
	task, err := server.Move(ctx, c.Image, c.To)
	return c.wait(ctx, server, task, answerError(err))
}
