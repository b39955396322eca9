package main

import (
	"context"
	"fmt"
	"slices"

	"aula/appliance"
	"aula/clientos/disk"
	"aula/webui/api"
)

// repositoryCommand is `aula repository`.
type repositoryCommand struct {
	List   repositoryListCommand   `cmd:"" help:"List the repositories, and how they stand."`
	Add    repositoryAddCommand    `cmd:"" help:"Open a folder as another repository; one that is empty or missing is begun."`
	Change repositoryChangeCommand `cmd:"" help:"Change how a repository is kept."`
	Remove repositoryRemoveCommand `cmd:"" help:"Forget a repository; its folder and its images stay as they are."`
}

// repositoryListCommand is `aula repository list`.
type repositoryListCommand struct {
	server
	jsonFlag
}

// Run lists the repositories.
func (c *repositoryListCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	all, err := server.Repositories(ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(all)
	}
	w := newTable("NAME", "FOLDER", "IMAGES", "FREE", "OF", "ADDRESS", "KEEPS", "TRASH", "COMMENTS")
	for _, r := range all {
		w.row(r.Name, r.Dir, r.Images, disk.FormatSize(r.Free), disk.FormatSize(r.Size), r.Address,
			fmt.Sprintf("%d before", r.Keep), fmt.Sprintf("%d days", r.TrashDays), r.Comments)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, r := range all {
		if r.Problem != "" {
			fmt.Printf("%s cannot be used: %s\n", r.Name, r.Problem)
		}
	}
	return nil
}

// repositorySettings are what can be said of a repository; what is left out stays as it is.
type repositorySettings struct {
	Address  *string `help:"IPv4 address of this machine at which PCs fetch from it; empty for the appliance's own."`
	Keep     *int    `help:"Revisions of an image that are kept before the current one."`
	Trash    *int    `help:"Days for which a removed image can be brought back; 0 removes at once." name:"trash-days"`
	Reserve  *int64  `help:"MiB that captures and imports leave free on its volume." name:"reserve-mib"`
	Comments *string `help:"Whatever else should be known."`
}

func (s repositorySettings) apply(r *api.RepositoryText) {
	set(&r.Address, s.Address)
	set(&r.Keep, s.Keep)
	set(&r.TrashDays, s.Trash)
	set(&r.ReserveMiB, s.Reserve)
	set(&r.Comments, s.Comments)
}

// repositoryAddCommand is `aula repository add`.
type repositoryAddCommand struct {
	server
	jsonFlag
	Name   string `arg:"" help:"Name of the repository: letters, digits, _ . -"`
	Folder string `arg:"" help:"Its folder, on whatever volume." type:"path"`
	repositorySettings
}

// Run adds a repository. What is not said is as the first repository has it by default.
func (c *repositoryAddCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	usual := appliance.Defaults().Repository
	text := api.RepositoryText{Name: c.Name, Dir: c.Folder, Keep: usual.Keep, TrashDays: usual.TrashDays, ReserveMiB: usual.Reserve}
	c.apply(&text)
	added, err := server.AddRepository(ctx, text)
	return printRepository(c.jsonFlag, added, err)
}

// repositoryChangeCommand is `aula repository change`.
type repositoryChangeCommand struct {
	server
	jsonFlag
	Name string `arg:"" help:"Name of the repository."`
	repositorySettings
}

// Run changes a repository.
func (c *repositoryChangeCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	all, err := server.Repositories(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(r api.Repository) bool { return r.Name == c.Name })
	if i < 0 {
		return exitError{fmt.Errorf("there is no repository %s: 'aula repository list' has them", c.Name), exitNoFile}
	}
	text := all[i].RepositoryText
	c.apply(&text)
	changed, err := server.ChangeRepository(ctx, text)
	return printRepository(c.jsonFlag, changed, err)
}

func printRepository(c jsonFlag, r api.Repository, err error) error {
	if err != nil {
		return answerError(err)
	}
	return c.tell(r, "repository %s in %s: %d images, %s free", r.Name, r.Dir, r.Images, disk.FormatSize(r.Free))
}

// repositoryRemoveCommand is `aula repository remove`.
type repositoryRemoveCommand struct {
	server
	jsonFlag
	Name string `arg:"" help:"Name of the repository."`
}

// Run forgets a repository.
func (c *repositoryRemoveCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	if err := server.RemoveRepository(ctx, c.Name); err != nil {
		return answerError(err)
	}
	return c.tell(map[string]string{"name": c.Name}, "repository %s is forgotten; its folder is as it was", c.Name)
}
