package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"aula/imagestore/format"
	"aula/webui/client"
)

// imageInfoCommand is `aula image info`.
type imageInfoCommand struct {
	server
	repositoryFlag
	jsonFlag
	Image  string `arg:"" help:"File, or name of an image in a repository."`
	Compat bool   `help:"Print the size as OpenGnsys rounds it, and its words."`
}

// Run tells what a file is, or an image of a repository when the word names no file.
func (c *imageInfoCommand) Run(ctx context.Context) error {
	if !namesFile(c.Image) {
		return c.ask(ctx)
	}
	info, err := fileInfo(c.Image)
	if err != nil {
		return fileError(c.Image, err)
	}
	if c.JSON {
		return printJSON(info)
	}
	c.printLine(info)
	return nil
}

func (c *imageInfoCommand) printLine(info format.Info) {
	if c.Compat {
		fmt.Println(info.Compat())
	} else {
		fmt.Println(info)
	}
}

// ask asks the appliance about an image of its repositories.
func (c *imageInfoCommand) ask(ctx context.Context) error {
	api, err := c.in(c.server)
	if err != nil {
		return err
	}
	image, err := api.Image(ctx, c.Image)
	if err != nil {
		return exitError{fmt.Errorf("there is no file %s here, nor an image of that name: %w", c.Image, err), exitNoFile}
	}
	if c.JSON {
		return printJSON(image)
	}
	if image.Revision == 0 {
		return exitError{fmt.Errorf("image %s has no file yet: it is %s", image.Name, image.State), exitNoFile}
	}
	c.printLine(format.Info{
		Tool: image.Tool, Compressor: image.Compressor, Filesystem: image.Filesystem, RequiredBytes: image.RequiredBytes,
	})
	return nil
}

func fileInfo(path string) (format.Info, error) {
	f, err := os.Open(path)
	if err != nil {
		return format.Info{}, err
	}
	defer f.Close()
	if stat, err := f.Stat(); err != nil || stat.IsDir() {
		return format.Info{}, errors.Join(err, errFolder)
	}
	return format.Inspect(f)
}

var errFolder = errors.New("it is a folder: 'aula image import' takes folders")

// namesFile tells whether a word is a file rather than an image's name: it has a slash, or there is such a file here.
func namesFile(word string) bool {
	stat, err := os.Stat(word)
	return strings.ContainsRune(word, '/') || err == nil && !stat.IsDir()
}

// fileError gives what is wrong with an image file its exit status.
func fileError(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return exitError{fmt.Errorf("there is no file %s", path), exitNoFile}
	case errors.Is(err, errFolder):
		return exitError{fmt.Errorf("%s: %w", path, err), exitNoFile}
	case errors.Is(err, format.ErrNotImage), errors.Is(err, format.ErrUnsupported), errors.Is(err, format.ErrCorrupt):
		return exitError{fmt.Errorf("%s: %w", path, err), exitNoImage}
	}
	return err
}

// answerError gives an answer of the appliance its exit status.
func answerError(err error) error {
	if errors.Is(err, client.ErrNotFound) {
		return exitError{err, exitNoFile}
	}
	return err
}
