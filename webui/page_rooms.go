package webui

import (
	"errors"
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
	counts := map[string]*roomCount{}
	var tiles []tile
	st, now := s.standings(), s.now()
	for _, pc := range computers {
		if pc.State != catalog.Accepted {
			continue
		}
		t := tileOf(pc, conditionOf(st.of(pc), now))
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

type pendingPage struct {
	page
	PCs       []pendingPC
	Rooms     []branch
	Room      string // chosen
	NewRoom   string
	NewCentre string
	Problem   string
}

type pendingPC struct {
	ID, Code, Name     string
	Connected, Checked bool
	Machine, Address   string
	MAC                string
	Disks              []string
	Seen               string
	Problem            string
}

func (s *Server) showPending(c echo.Context) error {
	v, err := s.pendingPage(c)
	if err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "pending", v)
}

func (s *Server) pendingPage(c echo.Context) (pendingPage, error) {
	v := pendingPage{page: s.page(c, "pending", "Pending PCs")}
	v.Path = "/pending"
	var err error
	if v.Rooms, _, err = s.tree(""); err != nil {
		return v, err
	}
	computers, err := s.cfg.Catalog.Computers()
	for _, pc := range computers {
		if pc.State != catalog.Pending {
			continue
		}
		p := pendingPC{ID: pc.ID, Machine: machine(pc.Inventory), Address: pc.Address, Seen: "seen " + ago(pc.LastSeen, s.now())}
		if len(pc.MACs) > 0 {
			p.MAC = pc.MACs[0]
		}
		for _, d := range pc.Inventory.Disks {
			p.Disks = append(p.Disks, diskTitle(d))
		}
		if session, ok := s.cfg.Roster.Session(pc.ID); ok {
			p.Connected, p.Code, p.Seen = true, session.Code, "connected"
		}
		v.PCs = append(v.PCs, p)
	}
	return v, err
}

// acceptPending accepts the ticked PCs in the order of the page. Those that cannot be stay, each with its reason.
func (s *Server) acceptPending(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	room, err := s.roomForAccepting(form.Get("room"), form.Get("newCentre"), form.Get("newRoom"), len(form["pc"]))
	problems := map[string]string{}
	if err == nil {
		for _, id := range form["pc"] {
			if _, err := s.accept(c.Request().Context(), id, room, form.Get("name-"+id)); err != nil {
				if statusOf(err) == http.StatusInternalServerError {
					return err
				}
				problems[id] = textOf(err)
			}
		}
	}
	if err == nil && len(problems) == 0 {
		return s.goTo(c, "/classrooms/"+room+"?did=accepted")
	}
	if err != nil && statusOf(err) == http.StatusInternalServerError {
		return err
	}
	v, errPage := s.pendingPage(c)
	if errPage != nil {
		return errPage
	}
	v.Room, v.NewRoom, v.NewCentre = form.Get("room"), form.Get("newRoom"), form.Get("newCentre")
	if err != nil {
		v.Problem = textOf(err)
	} else {
		v.Room, v.NewRoom, v.NewCentre = room, "", ""
		v.Problem = sentence(count(len(problems), "PC was", "PCs were") + " not accepted; see the reasons below")
	}
	for i, pc := range v.PCs {
		v.PCs[i].Name, v.PCs[i].Problem = form.Get("name-"+pc.ID), problems[pc.ID]
		v.PCs[i].Checked = contains(form["pc"], pc.ID)
	}
	return s.render(c, http.StatusUnprocessableEntity, "pending", v)
}

// roomForAccepting is the chosen classroom, or a new one.
func (s *Server) roomForAccepting(room, newCentre, newRoom string, chosen int) (string, error) {
	switch {
	case chosen == 0:
		return "", invalid("tick at least one PC")
	case room == "":
		return "", invalid("choose a classroom")
	case room != "new":
		_, err := s.cfg.Catalog.Classroom(room)
		return room, err
	}
	made, err := s.newClassroom(newCentre, newRoom)
	if errors.Is(err, catalog.ErrInvalid) {
		return "", invalid("give the new classroom a centre and a name")
	}
	return made.ID, err
}
