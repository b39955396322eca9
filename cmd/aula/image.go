package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"aula/appliance"
	"aula/clientos/disk"
	"aula/webui/client"
)

// Exit statuses beside 0 (done) and 1 (it failed, for the reason printed). They are OpenGnsys' error numbers; docs/images.md has the
// table.
const (
	exitNoFile  = 2 // no such file or image, or words that this program does not know
	exitNoImage = 5 // the file is no image, or damaged
)

// imageCommand is `aula image`.
type imageCommand struct {
	List     imageListCommand     `cmd:"" help:"List the images of the appliance that runs on this machine, and how they stand."`
	Info     imageInfoCommand     `cmd:"" help:"Tell what an image is: TOOL:COMPRESSOR:FILESYSTEM:KIB."`
	Import   imageImportCommand   `cmd:"" help:"Take in images of OpenGnsys, FOG, Clonezilla and others: files, volumes, directories."`
	Convert  imageConvertCommand  `cmd:"" help:"Pack an image anew: into our own form, or for another system."`
	Export   imageExportCommand   `cmd:"" help:"Write an image to a file, with its sums."`
	Verify   imageVerifyCommand   `cmd:"" help:"Read an image again and check all its checksums."`
	Remove   imageRemoveCommand   `cmd:"" name:"rm" help:"Remove an image to the trash, or one of its revisions for good."`
	Trash    imageTrashCommand    `cmd:"" help:"List what is in the trash."`
	Undelete imageUndeleteCommand `cmd:"" help:"Bring an image back from the trash."`
	Copy     imageCopyCommand     `cmd:"" help:"Copy an image to another repository."`
	Move     imageMoveCommand     `cmd:"" help:"Move an image with all its revisions to another repository."`
	Define   imageDefineCommand   `cmd:"" help:"Say what an image is, before or after its file is there."`
}

// A server is where the commands find the appliance.
type server struct {
	Data string `help:"Data folder of the appliance that runs on this machine." default:"${default_data}" placeholder:"DIR"`
}

func (s server) client() (*client.Client, error) { return client.New(appliance.SocketPath(s.Data)) }

// A repositoryFlag names the repository that a command is about.
type repositoryFlag struct {
	Repo string `help:"Repository; the first one that has the image, or for new images the first one, when left out." placeholder:"NAME"`
}

// in returns a client that speaks of the repository.
func (r repositoryFlag) in(s server) (*client.Client, error) {
	api, err := s.client()
	if err != nil || r.Repo == "" {
		return api, err
	}
	return api.In(r.Repo), nil
}

// jsonFlag is taken by every command about images, repositories and tasks.
type jsonFlag struct {
	JSON bool `help:"Print JSON." name:"json"`
}

// imageListCommand is `aula image list`.
type imageListCommand struct {
	server
	repositoryFlag
	jsonFlag
}

// Run lists the images.
func (c *imageListCommand) Run(ctx context.Context) error {
	api, err := c.in(c.server)
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
		fmt.Println("no image yet: create one in the console (a PC's page, Create image), or bring yours with 'aula image import'")
		return nil
	}
	w := newTable("NAME", "REVISION", "STATE", "IMAGE", "SIZE", "DATA", "CREATED", "FROM", "REPOSITORY")
	for _, i := range images {
		state := i.State
		if i.State == "processing" && i.Total > 0 {
			state = fmt.Sprintf("%s %d %%", state, 100*i.Done/i.Total)
		}
		if i.Revision == 0 {
			w.row(i.Name, "-", state, "-", "-", "-", "-", "-", i.Repository)
			continue
		}
		w.row(i.Name, i.Revision, state, i.Info, disk.FormatSize(i.FileBytes), disk.FormatSize(i.UsedBytes),
			i.Created.Local().Format(time.DateTime), cmp.Or(i.Computer, i.System), i.Repository)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, i := range images {
		if i.Problem != "" {
			fmt.Printf("%s: %s\n", i.Name, i.Problem)
		}
	}
	return nil
}
