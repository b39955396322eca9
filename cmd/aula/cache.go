package main

import (
	"context"
	"fmt"

	"aula/clientos/disk"
	"aula/clientos/instruction"
	"aula/clientos/protocol"
	"aula/webui/api"
)

// cacheCommand is `aula cache`.
type cacheCommand struct {
	List   cacheListCommand   `cmd:"" help:"List what is in the caches of computers, as they said last."`
	Remove cacheRemoveCommand `cmd:"" help:"Remove images from caches."`
}

// cacheListCommand is `aula cache list`.
type cacheListCommand struct {
	remote
	jsonFlag
	On []string `arg:"" optional:"" help:"Classrooms and computers, by name or id; all when left out." name:"where"`
}

// A cacheOf is the cache of a PC.
type cacheOf struct {
	ComputerID string               `json:"computerID"`
	Name       string               `json:"name"`
	Cache      *protocol.CacheState `json:"cache,omitempty"` // nil: it has none
}

// Run lists the caches.
func (c *cacheListCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	s, err := fetchScope(ctx, server)
	if err != nil {
		return c.explain(err)
	}
	in := places{}
	for i := range s.pcs {
		in = append(in, place{pc: &s.pcs[i]})
	}
	if len(c.On) > 0 {
		if in, err = s.find(c.On); err != nil {
			return err
		}
	}
	all := []cacheOf{}
	for _, pc := range s.computers(in) {
		all = append(all, cacheOf{pc.ID, pc.Name, pc.Inventory.Cache})
	}
	if c.JSON {
		return printJSON(all)
	}
	images, err := server.Images(ctx)
	if err != nil {
		return c.explain(err)
	}
	return printCaches(all, images)
}

// printCaches prints a line for each image in a cache.
func printCaches(all []cacheOf, images []api.Image) error {
	w := newTable("COMPUTER", "IMAGE", "REVISION", "SIZE", "STATE", "CACHE", "FREE")
	for _, one := range all {
		if one.Cache == nil {
			w.row(one.Name, "", "", "", "", "none", "")
			continue
		}
		where, free := fmt.Sprintf("disk %d partition %d", one.Cache.Disk, one.Cache.Partition), disk.FormatSize(one.Cache.Free)
		if len(one.Cache.Images) == 0 {
			w.row(one.Name, "", "", "", "", where, free)
		}
		for _, i := range one.Cache.Images {
			w.row(one.Name, i.Name, number(i.Revision), disk.FormatSize(i.Bytes), cachedState(i, images), where, free)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, one := range all {
		if one.Cache != nil && one.Cache.Problem != "" {
			fmt.Printf("%s: the cache cannot be used: %s\n", one.Name, one.Cache.Problem)
		}
	}
	return nil
}

// cachedState compares an image in a cache with that of the repository that it came from.
func cachedState(cached protocol.CachedImage, images []api.Image) string {
	if cached.Partial {
		return "partial"
	}
	for _, i := range images {
		if i.Name != cached.Name || cached.Repository != "" && i.Repository != cached.Repository || i.Revision == 0 {
			continue
		}
		switch cached.Digest {
		case "":
			return "not verified"
		case i.Blake3:
			return "current"
		}
		return "old"
	}
	return "not in the repository"
}

// cacheRemoveCommand is `aula cache remove`.
type cacheRemoveCommand struct {
	running
	Images []string `arg:"" help:"Names of images."`
}

// Run has PCs remove images from their caches.
func (c *cacheRemoveCommand) Run(ctx context.Context) error {
	program := instruction.Program{Statements: []instruction.Statement{{Word: instruction.DeleteCachedImage, Images: c.Images}}}
	text := program.String()
	program, err := parse("these names", text)
	if err != nil {
		return err
	}
	return c.run(ctx, job{text: text, program: program})
}
