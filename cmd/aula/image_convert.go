package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"aula/imagestore"
	"aula/webui/api"
)

// imageConvertCommand is `aula image convert`.
type imageConvertCommand struct {
	waiting
	repositoryFlag
	Image    string `arg:"" help:"Name of an image in a repository, or with --output a file."`
	To       string `help:"Compressor: zstd is our own form; lzop and gzip are read by every OpenGnsys." enum:"zstd,lzop,gzip,none" default:"zstd"`
	Level    int    `help:"Level of the compressor; its default when 0." default:"0"`
	Name     string `help:"Name of the new image; a new revision of the same image when left out."`
	Revision int    `help:"Revision to convert; the current one when left out." default:"0"`
	Output   string `help:"Convert a file to this file, without the appliance." type:"path" placeholder:"FILE"`
	Force    bool   `help:"With --output: replace a file that is there."`
}

// Run has the appliance convert an image, or converts a file.
func (c *imageConvertCommand) Run(ctx context.Context) error {
	compressor := strings.ToUpper(c.To)
	if c.Output != "" {
		return c.convertFile(ctx, imagestore.Conversion{Compressor: compressor, Level: c.Level})
	}
	if namesFile(c.Image) {
		return exitError{fmt.Errorf("%s is a file: say with --output where the converted one shall go, or import it first", c.Image), exitNoFile}
	}
	server, err := c.in(c.server)
	if err != nil {
		return err
	}
	task, err := server.Convert(ctx, c.Image, api.Conversion{Compressor: compressor, Level: c.Level, Revision: c.Revision, NewName: c.Name})
	return c.wait(ctx, server, task, answerError(err))
}

func (c *imageConvertCommand) convertFile(ctx context.Context, to imagestore.Conversion) (err error) {
	if c.NoWait || c.Name != "" || c.Repo != "" || c.Revision != 0 {
		return exitError{errors.New("--output converts a file without the appliance: --name, --repo, --revision and --no-wait do not go with it"), exitNoFile}
	}
	if err := to.Validate(); err != nil {
		return exitError{err, exitNoFile}
	}
	out, err := imagestore.CreateLoose(c.Output, c.Force)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Abort()) }()
	progress := newBar()
	info, err := imagestore.ConvertLoose(ctx, c.Image, out, to, func(done, total int64) { progress.show("", done, total) })
	progress.end()
	if err != nil {
		return fileError(c.Image, err)
	}
	return c.tell(info, "%s: %s", c.Output, info)
}
