package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/zeebo/blake3"

	"aula/imagestore"
	"aula/webui/api"
	"aula/webui/client"
)

// imageExportCommand is `aula image export`.
type imageExportCommand struct {
	server
	repositoryFlag
	jsonFlag
	Image      string `arg:"" help:"Name of the image."`
	Dest       string `arg:"" help:"File, or folder in which it becomes NAME.img." type:"path"`
	Compressor string `help:"Pack it anew for another system: zstd, lzop, gzip or none; as it is when left out." enum:",zstd,lzop,gzip,none" default:""`
	Revision   int    `help:"Revision; the current one when left out." default:"0"`
	Force      bool   `help:"Replace a file that is there."`
}

// Run writes the image, with its sums beside it.
func (c *imageExportCommand) Run(ctx context.Context) (err error) {
	server, err := c.in(c.server)
	if err != nil {
		return err
	}
	revision, err := c.revision(ctx, server)
	if err != nil {
		return answerError(err)
	}
	dest := c.Dest
	if stat, err := os.Stat(dest); err == nil && stat.IsDir() {
		dest = filepath.Join(dest, c.Image+".img")
	}
	out, err := imagestore.CreateLoose(dest, c.Force)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Abort()) }()
	digest := blake3.New()
	progress := newBar()
	err = server.Export(ctx, c.Image, revision.Revision, strings.ToUpper(c.Compressor), io.MultiWriter(out, digest),
		func(done, total int64) { progress.show("", done, total) })
	progress.end()
	if err != nil {
		return answerError(err)
	}
	if got := hex.EncodeToString(digest.Sum(nil)); c.Compressor == "" && got != revision.Blake3 {
		return fmt.Errorf("%s: what arrived is not what the appliance has: try again", dest)
	}
	if err := out.Commit(); err != nil {
		return err
	}
	return c.tell(struct {
		File     string `json:"file"`
		Image    string `json:"image"`
		Revision int    `json:"revision"`
	}{dest, c.Image, revision.Revision}, "%s: %s, revision %d", dest, c.Image, revision.Revision)
}

// revision asks which revision it is and what its file hashes to.
func (c *imageExportCommand) revision(ctx context.Context, server *client.Client) (api.Revision, error) {
	revisions, err := server.Revisions(ctx, c.Image)
	if err != nil {
		return api.Revision{}, err
	}
	for _, r := range revisions {
		if r.Revision == c.Revision || c.Revision == 0 && r.Current {
			return r, nil
		}
	}
	return api.Revision{}, exitError{fmt.Errorf("image %s has no revision %d", c.Image, c.Revision), exitNoFile}
}
