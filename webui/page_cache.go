package webui

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/clientos/instruction"
	"aula/clientos/protocol"
)

// What is in the caches of PCs.

type cachePage struct {
	page
	Room   catalog.Classroom // empty when the PCs were chosen one by one
	Rooms  []branch
	Caches []cacheView
	Names  []string // images that are in any of the caches
	PCs    []string // without a cache
	Has    int      // how many have one
}

// A cacheView is one PC's cache.
type cacheView struct {
	ID, Name string
	Online   bool
	Has      bool
	State    protocol.CacheState
	Images   []cachedView
}

// A cachedView is an image in a cache, and how it stands beside the repository's.
type cachedView struct {
	protocol.CachedImage
	mark
}

func (s *Server) showCache(c echo.Context) error {
	query := c.QueryParams()
	v := cachePage{page: s.page(c, "rooms", "Caches")}
	ids, err := s.chosen(query)
	if err != nil {
		return err
	}
	if id := query.Get("classroom"); id != "" {
		if v.Room, err = s.cfg.Catalog.Classroom(id); err != nil {
			return err
		}
		v.Topics = []string{roomTopic(id)}
	}
	if v.Rooms, _, err = s.tree(v.Room.ID); err != nil {
		return err
	}
	for _, id := range ids {
		pc, err := s.cfg.Catalog.Computer(id)
		if err != nil {
			return err
		}
		cache := s.viewCache(pc)
		v.Caches = append(v.Caches, cache)
		if !cache.Has {
			v.PCs = append(v.PCs, pc.ID)
			continue
		}
		v.Has++
		for _, img := range cache.Images {
			if !slices.Contains(v.Names, img.Name) {
				v.Names = append(v.Names, img.Name)
			}
		}
	}
	slices.SortFunc(v.Names, func(a, b string) int {
		return cmp.Or(strings.Compare(strings.ToLower(a), strings.ToLower(b)), strings.Compare(a, b))
	})
	return s.render(c, http.StatusOK, "cache", v)
}

// viewCache is the cache of a PC as its last inventory tells it.
func (s *Server) viewCache(pc catalog.Computer) cacheView {
	v := cacheView{ID: pc.ID, Name: pc.Name}
	_, v.Online = s.cfg.Roster.Session(pc.ID)
	if pc.Inventory.Cache == nil {
		return v
	}
	v.Has, v.State = true, *pc.Inventory.Cache
	for _, img := range v.State.Images {
		v.Images = append(v.Images, cachedView{img, s.markCached(img)})
	}
	return v
}

// markCached compares a cached image with the current revision in the repository that it came from.
func (s *Server) markCached(c protocol.CachedImage) mark {
	if c.Partial {
		return mark{toneWarn, "half", "Partial"}
	}
	img, err := s.image(c.Repository, c.Name)
	switch {
	case err != nil || !img.HasFile():
		return mark{toneIdle, "off", "Not in the repository"}
	case c.Digest == "":
		return mark{toneWarn, "warn", "Not verified"}
	case c.Digest == img.Blake3:
		return mark{toneGood, "check", "Current"}
	}
	return mark{toneWarn, "clock", "Old"}
}

// generateForget shows the instruction that removes images from caches, with its pre-flight.
func (s *Server) generateForget(c echo.Context) error {
	query := c.QueryParams()
	ids, err := s.chosen(query)
	if err != nil {
		return err
	}
	images := slices.DeleteFunc(slices.Clone(query["image"]), func(name string) bool { return name == "" })
	back := url.Values{"pc": query["pc"], "classroom": query["classroom"]}
	if len(images) == 0 || len(ids) == 0 {
		return s.goTo(c, "/cache?"+back.Encode())
	}
	slices.Sort(images)
	text := composed(instruction.Statement{Word: instruction.DeleteCachedImage, Images: slices.Compact(images)})
	return s.showProgram(c, programForm{PCs: ids, Text: text, From: "/cache?" + back.Encode()})
}
