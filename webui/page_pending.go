package webui

import (
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
)

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
