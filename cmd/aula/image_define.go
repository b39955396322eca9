package main

import (
	"context"
	"errors"

	"aula/webui/api"
	"aula/webui/client"
)

// imageDefineCommand is `aula image define`. What is left out stays as it is.
type imageDefineCommand struct {
	server
	jsonFlag
	Image     string  `arg:"" help:"Canonical name: that of the file, without .img."`
	Display   *string `help:"Name for people."`
	Profile   *string `help:"Software profile: the system and the programs in it."`
	Partition *int    `help:"Number of the partition where it is installed."`
	Type      *string `help:"Type of that partition, as OpenGnsys calls it: NTFS, LINUX, EFI ..."`
	Repo      *string `help:"Repository where its file is, or is expected." placeholder:"NAME"`
	Comments  *string `help:"Whatever else should be known."`
}

// Run describes an image that is there, and registers one that is not.
func (c *imageDefineCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	if c.Repo != nil {
		server = server.In(*c.Repo)
	}
	before, err := server.Image(ctx, c.Image)
	var image api.Image
	if errors.Is(err, client.ErrNotFound) {
		image, err = server.RegisterImage(ctx, api.NewImage{Name: c.Image, ImageText: c.text(api.ImageText{})})
	} else if err == nil {
		image, err = server.DescribeImage(ctx, c.Image, c.text(before.Said))
	}
	if err != nil {
		return err
	}
	return c.tell(image, "%s is %s in repository %s", image.Name, image.State, image.Repository)
}

// text is what people have said of the image, with what the command line changes. What is known from the file is not among it.
func (c *imageDefineCommand) text(text api.ImageText) api.ImageText {
	set(&text.DisplayName, c.Display)
	set(&text.Profile, c.Profile)
	set(&text.Partition, c.Partition)
	set(&text.PartitionType, c.Type)
	set(&text.Repository, c.Repo)
	set(&text.Comments, c.Comments)
	return text
}

// set changes what was given.
func set[T any](field *T, given *T) {
	if given != nil {
		*field = *given
	}
}
