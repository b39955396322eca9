package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"aula/clientos/disk"
	"aula/webui/api"
)

// imageImportCommand is `aula image import`.
type imageImportCommand struct {
	waiting
	Paths  []string `arg:"" help:"One image file, all volumes of one image, or one directory of FOG, Clonezilla or OpenGnsys." name:"path"`
	Name   string   `help:"Canonical name of the image, or of the set when there are several; made from the files' names when left out."`
	Repo   string   `help:"Repository; the first one when left out." placeholder:"NAME"`
	DryRun bool     `help:"Only tell what would be taken in." name:"dry-run" short:"n"`
}

// Run has the appliance take the files in. It reads them itself, so what counts is whether the appliance can.
func (c *imageImportCommand) Run(ctx context.Context) error {
	paths := make([]string, len(c.Paths))
	for i, path := range c.Paths {
		var err error
		if paths[i], err = filepath.Abs(path); err != nil {
			return err
		}
		if _, err := os.Stat(paths[i]); errors.Is(err, fs.ErrNotExist) {
			return fileError(path, err)
		}
	}
	server, err := c.client()
	if err != nil {
		return err
	}
	request := api.Import{Paths: paths, Repository: c.Repo, Name: c.Name}
	if c.DryRun {
		plan, err := server.ExamineImport(ctx, request)
		if err != nil {
			return answerError(err)
		}
		return c.printPlan(plan)
	}
	task, err := server.Import(ctx, request)
	return c.wait(ctx, server, task, answerError(err))
}

func (c *imageImportCommand) printPlan(plan api.ImportPlan) error {
	if c.JSON {
		return printJSON(plan)
	}
	fmt.Println("recognised:", plan.System)
	w := newTable("IMAGE", "DISK", "PARTITION", "TO READ", "LAYOUT")
	for _, i := range plan.Images {
		layout := "no"
		if i.HasLayout {
			layout = "yes"
		}
		w.row(i.Name, number(i.Disk), number(i.Partition), disk.FormatSize(i.Bytes), layout)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	warn(plan.Warnings...)
	return nil
}
