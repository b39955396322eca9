package webui

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
)

// A branch is a centre in the tree at the left of the rooms.
type branch struct {
	ID, Name string
	Rooms    []leaf
}

// A leaf is a classroom.
type leaf struct {
	roomCount
	Name, Centre string
	Here         bool
}

type overviewPage struct {
	page
	Tree    []branch
	Running []head
	Recent  []head
	Empty   bool // no classroom yet
}

type roomPage struct {
	page
	Tree  []branch
	Room  leaf
	Tiles []tile
}

type roomsPage struct {
	page
	Tree    []branch
	Problem string
}

// tree gathers centres, classrooms and how their PCs stand; the tiles of the room here come with it.
func (s *Server) tree(here string) ([]branch, []tile, error) {
	centres, err := s.cfg.Catalog.Centres()
	if err != nil {
		return nil, nil, err
	}
	rooms, err := s.cfg.Catalog.Classrooms()
	if err != nil {
		return nil, nil, err
	}
	computers, err := s.cfg.Catalog.Computers()
	if err != nil {
		return nil, nil, err
	}
	groups, err := s.groupNames()
	if err != nil {
		return nil, nil, err
	}
	counts := map[string]*roomCount{}
	var tiles []tile
	st, now := s.standings(), s.now()
	for _, pc := range computers {
		if pc.State != catalog.Accepted {
			continue
		}
		t := tileOf(pc, conditionOf(st.of(pc), now), groups)
		if counts[pc.ClassroomID] == nil {
			counts[pc.ClassroomID] = &roomCount{}
		}
		counts[pc.ClassroomID].add(t.condition)
		if pc.ClassroomID == here {
			tiles = append(tiles, t)
		}
	}
	branches := make([]branch, len(centres))
	for i, c := range centres {
		branches[i] = branch{ID: c.ID, Name: c.Name}
		for _, r := range rooms {
			if r.CentreID != c.ID {
				continue
			}
			l := leaf{Name: r.Name, Centre: c.Name, Here: r.ID == here}
			if n := counts[r.ID]; n != nil {
				l.roomCount = *n
			}
			l.ID = r.ID
			branches[i].Rooms = append(branches[i].Rooms, l)
		}
	}
	return branches, tiles, nil
}

// shownOperations bounds the lists of operations beside other things.
const shownOperations = 8

func (s *Server) showOverview(c echo.Context) error {
	v := overviewPage{page: s.page(c, "rooms", "Classrooms")}
	v.Topics = []string{allRooms}
	var err error
	if v.Tree, _, err = s.tree(""); err != nil {
		return err
	}
	v.Empty = true
	for _, b := range v.Tree {
		v.Empty = v.Empty && len(b.Rooms) == 0
	}
	for _, op := range s.cfg.Operations.Operations(recentOperations) {
		h := operationHead(op, s.now())
		if !h.Ended {
			v.Running = append(v.Running, h)
		} else if len(v.Recent) < shownOperations {
			v.Recent = append(v.Recent, h)
		}
	}
	return s.render(c, http.StatusOK, "overview", v)
}

func (s *Server) showRoom(c echo.Context) error {
	v := roomPage{page: s.page(c, "rooms", "")}
	var err error
	if v.Tree, v.Tiles, err = s.tree(c.Param("id")); err != nil {
		return err
	}
	for _, b := range v.Tree {
		for _, r := range b.Rooms {
			if r.Here {
				v.Room = r
			}
		}
	}
	if v.Room.ID == "" {
		return catalog.ErrNotFound
	}
	v.Title, v.Topics = v.Room.Name, []string{roomTopic(v.Room.ID), allRooms}
	return s.render(c, http.StatusOK, "room", v)
}

func (s *Server) showRooms(c echo.Context) error { return s.roomsPage(c, http.StatusOK, "") }

func (s *Server) roomsPage(c echo.Context, status int, problem string) error {
	v := roomsPage{page: s.page(c, "rooms", "Edit classrooms"), Problem: problem}
	v.Path = "/rooms"
	var err error
	if v.Tree, _, err = s.tree(""); err != nil {
		return err
	}
	return s.render(c, status, "rooms", v)
}

// afterEdit goes on after a form of the rooms page, or shows the page again with what was wrong.
func (s *Server) afterEdit(c echo.Context, err error, next string) error {
	switch {
	case err == nil:
		return s.goTo(c, next)
	case statusOf(err) == http.StatusInternalServerError:
		return err
	}
	return s.roomsPage(c, statusOf(err), textOf(err))
}

func (s *Server) addCentre(c echo.Context) error {
	_, err := s.cfg.Catalog.AddCentre(c.FormValue("name"))
	return s.afterEdit(c, err, "/rooms?did=added")
}

func (s *Server) renameCentre(c echo.Context) error {
	return s.afterEdit(c, s.cfg.Catalog.RenameCentre(c.Param("id"), c.FormValue("name")), "/rooms?did=saved")
}

func (s *Server) removeCentre(c echo.Context) error {
	return s.afterEdit(c, s.cfg.Catalog.RemoveCentre(c.Param("id")), "/rooms?did=removed")
}

func (s *Server) addClassroom(c echo.Context) error {
	room, err := s.newClassroom(c.FormValue("centre"), c.FormValue("name"))
	return s.afterEdit(c, err, "/classrooms/"+room.ID)
}

// newClassroom makes a classroom in the centre of that id or name; a new name makes the centre too.
func (s *Server) newClassroom(centre, name string) (catalog.Classroom, error) {
	if strings.TrimSpace(name) == "" {
		return catalog.Classroom{}, invalid("give the classroom a name")
	}
	centres, err := s.cfg.Catalog.Centres()
	if err != nil {
		return catalog.Classroom{}, err
	}
	for _, c := range centres {
		if c.ID == centre || strings.EqualFold(c.Name, strings.TrimSpace(centre)) {
			return s.cfg.Catalog.AddClassroom(c.ID, name)
		}
	}
	made, err := s.cfg.Catalog.AddCentre(centre)
	if err != nil {
		return catalog.Classroom{}, err
	}
	return s.cfg.Catalog.AddClassroom(made.ID, name)
}

func (s *Server) renameClassroom(c echo.Context) error {
	return s.afterEdit(c, s.cfg.Catalog.RenameClassroom(c.Param("id"), c.FormValue("name")), "/rooms?did=saved")
}

func (s *Server) removeClassroom(c echo.Context) error {
	return s.afterEdit(c, s.cfg.Catalog.RemoveClassroom(c.Param("id")), "/rooms?did=removed")
}
