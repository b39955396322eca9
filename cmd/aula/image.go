package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"aula/appliance"
	"aula/clientos/disk"
	"aula/imagestore/format"
	"aula/webui/client"
)

// Exit statuses of `aula image info`, which are OpenGnsys' error numbers.
const (
	exitNoFile  = 2
	exitNoImage = 5
)

// imageCommand is `aula image`.
type imageCommand struct {
	List imageListCommand `cmd:"" help:"List the images in the repository of the appliance that runs on this machine."`
	Info imageInfoCommand `cmd:"" help:"Tell what an image is: TOOL:COMPRESSOR:FILESYSTEM:KIB."`
}

// A server is where the commands find the appliance.
type server struct {
	Data string `help:"Data folder of the appliance that runs on this machine." default:"${default_data}" placeholder:"DIR"`
}

func (s server) client() (*client.Client, error) { return client.New(appliance.SocketPath(s.Data)) }

// imageListCommand is `aula image list`.
type imageListCommand struct {
	server
	JSON bool `help:"Print JSON." name:"json"`
}

// Run lists the images.
func (c *imageListCommand) Run(ctx context.Context) error {
	api, err := c.client()
	if err != nil {
		return err
	}
	images, err := api.Images(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(images)
	}
	if len(images) == 0 {
		fmt.Println("no image yet: create one in the console (a PC's page, Create image)")
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tREVISION\tFILESYSTEM\tSIZE\tDATA\tCREATED\tFROM")
	for _, i := range images {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\t%s\n", i.Name, i.Revision, i.Filesystem, disk.FormatSize(i.FileBytes),
			disk.FormatSize(i.UsedBytes), i.Created.Local().Format(time.DateTime), i.Computer)
	}
	return w.Flush()
}

// imageInfoCommand is `aula image info`.
type imageInfoCommand struct {
	server
	Image string `arg:"" help:"File, or name of an image in the repository."`
	JSON  bool   `help:"Print all that is known, as JSON." name:"json"`
}

// Run tells what a file is, or an image of the repository when there is no such file and the word can be its name.
func (c *imageInfoCommand) Run(ctx context.Context) error {
	info, err := fileInfo(c.Image)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !strings.ContainsRune(c.Image, '/'):
		return c.ask(ctx)
	case errors.Is(err, fs.ErrNotExist):
		return exitError{fmt.Errorf("there is no file %s", c.Image), exitNoFile}
	case errors.Is(err, format.ErrNotImage), errors.Is(err, format.ErrUnsupported), errors.Is(err, format.ErrCorrupt):
		return exitError{fmt.Errorf("%s: %w", c.Image, err), exitNoImage}
	case err != nil:
		return err
	case c.JSON:
		return printJSON(info)
	}
	fmt.Println(info)
	return nil
}

// ask asks the appliance about an image of its repository.
func (c *imageInfoCommand) ask(ctx context.Context) error {
	api, err := c.client()
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
	fmt.Println(format.Info{
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
	reader, err := format.NewReader(f)
	if err != nil {
		return format.Info{}, err
	}
	return reader.Info(), reader.Close()
}

func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
