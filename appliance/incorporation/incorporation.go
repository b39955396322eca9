// Package incorporation takes in what other systems have left behind: image files, volumes, the image directories of FOG,
// Clonezilla and OpenGnsys, disk files, and what a browser uploads. It recognises them by their bytes, works out which images they
// are and how the disk that they come from was laid out, and puts them into a repository.
//
// It changes nothing of what it reads. It keeps no list of what is under way: that is appliance/upkeep.
package incorporation

import (
	"context"
	"errors"

	"aula/imagestore"
)

// Options are what the caller wishes of an import.
type Options struct {
	Name  string // canonical name for the image, or for the set when there are several; made from the file's name when empty
	Owned bool   // the files are the appliance's own (an upload): they may be moved instead of copied
}

// A Plan is what an import will do. It is made by Examine, which changes nothing.
type Plan struct {
	System   string // "FOG", "Clonezilla", "OpenGnsys", "partimage volumes", "disk file", "file" ...: for people
	Images   []PlannedImage
	Warnings []string // what does not come along, and what that means
}

// A PlannedImage is one image to be.
type PlannedImage struct {
	Name   string
	Source imagestore.Source
	Layout []byte // JSON of disk.Layout, nil for none
	Bytes  int64  // to be read
}

// Progress tells how an import stands.
type Progress struct {
	Image       string // being taken in
	Stage       string // "copying" or "checking"
	Done, Total int64  // bytes, over all images and both stages
}

// Examine tells what paths are: one file, the volumes of one image in any order, or one directory.
func Examine(ctx context.Context, paths []string, opt Options) (Plan, error) {
	return Plan{}, errors.New("not yet")
}

// Run takes the images in, one after the other. Each is published whole or not at all; those published before an error are returned
// with it.
func (p Plan) Run(ctx context.Context, repo *imagestore.Repository, progress func(Progress)) ([]imagestore.Image, error) {
	return nil, errors.New("not yet")
}
