package main

import (
	"context"
	"errors"
	"strings"

	"aula/imagestore"
	"aula/imagestore/format"
)

// imageVerifyCommand is `aula image verify`.
type imageVerifyCommand struct {
	waiting
	repositoryFlag
	Image    string `arg:"" optional:"" help:"Name of an image in a repository, or a file, which is read without the appliance."`
	Revision int    `help:"Revision; the current one when left out." default:"0"`
	All      bool   `help:"Verify all revisions of all images of all repositories."`
}

// Run verifies a file, an image of the appliance, or all.
func (c *imageVerifyCommand) Run(ctx context.Context) error {
	if c.All == (c.Image != "") {
		return exitError{errors.New("name an image or a file, or say --all"), exitNoFile}
	}
	if !c.All && namesFile(c.Image) {
		return fileError(c.Image, c.verifyFile(ctx))
	}
	server, err := c.in(c.server)
	if err != nil {
		return err
	}
	if c.All {
		task, err := server.VerifyAll(ctx)
		return c.wait(ctx, server, task, err)
	}
	task, err := server.Verify(ctx, c.Image, c.Revision)
	return c.wait(ctx, server, task, answerError(err))
}

func (c *imageVerifyCommand) verifyFile(ctx context.Context) error {
	progress := newBar()
	info, sums, err := imagestore.VerifyLoose(ctx, c.Image, func(done, total int64) { progress.show("", done, total) })
	progress.end()
	if errors.Is(err, imagestore.ErrDamaged) {
		err = exitError{err, exitNoImage}
	}
	if err != nil {
		return err
	}
	text := "no sums beside it"
	if len(sums) > 0 {
		text = strings.Join(sums, " and ") + " agree"
	}
	return c.tell(struct {
		format.Info
		Sums []string `json:"sums"`
	}{info, sums}, "%s: in order: %s, all of it decoded, %s", c.Image, info, text)
}
