package webui

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/clientos/protocol"
)

// What the deployments of a classroom begin with, and the scripts after them.

type defaultsPage struct {
	page
	Room    catalog.Classroom
	Form    deployForm
	Script  string
	Problem string
}

func (s *Server) showDefaults(c echo.Context) error {
	room, err := s.cfg.Catalog.Classroom(c.Param("id"))
	if err != nil {
		return err
	}
	var f deployForm
	pcs, err := s.roomComputers(room.ID)
	if err != nil {
		return err
	}
	f.prefill(room.Defaults, pcs)
	return s.defaultsPage(c, http.StatusOK, room, f, room.Defaults.Script, "")
}

func (s *Server) roomComputers(id string) ([]catalog.Computer, error) {
	ids, err := s.inScope(nil, []string{id})
	if err != nil {
		return nil, err
	}
	return s.computersOf(ids)
}

func (s *Server) defaultsPage(c echo.Context, status int, room catalog.Classroom, f deployForm, script, problem string) error {
	f.Open = true
	v := defaultsPage{page: s.page(c, "rooms", "Defaults of "+room.Name), Room: room, Form: f, Script: script, Problem: problem}
	return s.render(c, status, "defaults", v)
}

func (s *Server) saveDefaults(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	room, err := s.cfg.Catalog.Classroom(c.Param("id"))
	if err != nil {
		return err
	}
	f := readDeployForm(form)
	script := strings.ReplaceAll(form.Get("script"), "\r\n", "\n")
	d, err := f.defaults(script)
	if err == nil {
		err = s.cfg.Catalog.SetDefaults(room.ID, d)
	}
	switch {
	case err == nil:
		s.log.Info("defaults of a classroom set", "classroom", room.Name, "by", callerOf(c.Request().Context()).name())
		return s.goTo(c, "/classrooms/"+url.PathEscape(room.ID)+"?did=saved")
	case statusOf(err) == http.StatusInternalServerError:
		return err
	}
	return s.defaultsPage(c, statusOf(err), room, f, script, textOf(err))
}

// defaults makes of the form what is kept with the classroom.
func (f deployForm) defaults(script string) (catalog.Defaults, error) {
	d := catalog.Defaults{Protocol: f.Protocol, Direct: f.Direct, Fallback: f.Fallback, Script: script}
	address := strings.TrimSpace(f.Address)
	if address == "" {
		address = "239.194.0.0" // checked with, and written as none: it is made of the network
	}
	session, err := multicastParameters(f.Port, f.Duplex, address, f.Speed, f.Computers, f.Wait)
	if err != nil {
		return d, err
	}
	if strings.TrimSpace(f.Address) != "" {
		if _, err := netip.ParseAddr(address); err != nil {
			return d, invalid("address %.40q is none", address)
		}
		d.Multicast = session
	}
	d.Torrent, err = torrentParameters(f.Peer, f.Seconds)
	if d.Protocol == "" {
		d.Protocol = protocol.Multicast
	}
	return d, err
}

// saveScript sets the script that is run after each restore of an image.
func (s *Server) saveScript(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	err = s.setScript(c.Param("name"), strings.ReplaceAll(form.Get("script"), "\r\n", "\n"))
	switch {
	case err == nil:
		s.log.Info("script of an image set", "image", c.Param("name"), "by", callerOf(c.Request().Context()).name())
		return s.goTo(c, "/images/"+url.PathEscape(c.Param("name"))+"?repository="+url.QueryEscape(c.QueryParam("repository"))+"&did=saved")
	case statusOf(err) == http.StatusInternalServerError || statusOf(err) == http.StatusNotFound:
		return err
	}
	return s.imagePage(c, statusOf(err), textOf(err))
}

// setScript refuses images that nobody has.
func (s *Server) setScript(image, text string) error {
	if _, err := s.image("", image); err != nil {
		return err
	}
	return s.cfg.Catalog.SetImageScript(image, text)
}
