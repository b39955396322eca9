package webui

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"aula/appliance/boot"
	"aula/appliance/catalog"
	"aula/netboot/lease"
)

const allBoots = "boots" // topic

func bootTopic(mac string) string { return "boot:" + mac }

type bootPage struct {
	page
	On      bool // there are boot services
	Network networkView
	Notices []noticeView
	Count   string
	Lists   []bootList
	Rooms   []branch
	Room    string // chosen
	State   string // chosen
	Any     bool   // a PC has booted
	Problem string
}

// A noticeView is what the operator should know of the network.
type noticeView struct {
	boot.Notice
	mark
	Path string // of the PC that it is about
}

func (s *Server) showBoot(c echo.Context) error { return s.bootPage(c, http.StatusOK, "") }

func (s *Server) bootPage(c echo.Context, status int, problem string) error {
	v := bootPage{page: s.page(c, "boot", "Boot"), On: s.cfg.Boots != nil, Problem: problem}
	if v.Path = "/boot"; c.Request().Method == http.MethodGet {
		v.Room, v.State, v.Path = c.QueryParam("classroom"), c.QueryParam("state"), c.Request().URL.RequestURI()
	}
	v.Topics = []string{allBoots}
	v.Network, v.Notices = s.viewNetwork(), s.notices()
	var err error
	if v.Rooms, _, err = s.tree(v.Room); err != nil {
		return err
	}
	if v.On {
		places, err := s.bootPlaces()
		if err != nil {
			return err
		}
		boots := s.cfg.Boots.Boots()
		v.Any, v.Count = len(boots) > 0, bootCount(boots)
		all := make([]bootView, len(boots))
		for i, b := range boots {
			all[i] = viewBoot(b, places)
		}
		v.Lists = bootLists(all, v.Room, v.State)
	}
	return s.render(c, status, "boot", v)
}

// notices are what the operator should know, as the console shows it.
func (s *Server) notices() []noticeView {
	if s.cfg.Boots == nil {
		return nil
	}
	var all []noticeView
	for _, n := range s.cfg.Boots.Notices() {
		v := noticeView{Notice: n, mark: noticeMark(n.Level)}
		if n.MAC != "" {
			v.Path = "/boot/" + url.PathEscape(n.MAC)
		}
		all = append(all, v)
	}
	return all
}

type bootPCPage struct {
	page
	MAC     string
	Name    string // of the computer; empty of one that is in no classroom
	ID      string // of the computer
	Room    catalog.Classroom
	Latest  *bootView
	Earlier []bootView
	Notices []noticeView
	Quirks  []quirkBox
}

// showBootPC shows the boots of one network card, step by step.
func (s *Server) showBootPC(c echo.Context) error {
	mac, err := lease.ParseMAC(c.Param("mac"))
	if err != nil || s.cfg.Boots == nil {
		return echo.ErrNotFound
	}
	v := bootPCPage{page: s.page(c, "boot", ""), MAC: mac.String()}
	v.Path, v.Topics = "/boot/"+v.MAC, []string{bootTopic(v.MAC)}
	places, err := s.bootPlaces()
	if err != nil {
		return err
	}
	for i, b := range s.cfg.Boots.History(v.MAC) {
		view := viewBoot(b, places)
		if i == 0 {
			v.Latest, v.ID = &view, b.ComputerID
			continue
		}
		v.Earlier = append(v.Earlier, view.past())
	}
	if p := places[v.ID]; p.accepted {
		v.Name = p.name
		if v.Room, err = s.cfg.Catalog.Classroom(p.room); err != nil {
			return err
		}
	}
	v.Title = cmp.Or(v.Name, v.MAC)
	for _, n := range s.notices() {
		if n.MAC == v.MAC {
			v.Notices = append(v.Notices, n)
		}
	}
	quirks, err := s.cfg.Catalog.Quirks()
	if err != nil {
		return err
	}
	v.Quirks = quirkBoxes(quirks[v.MAC])
	return s.render(c, http.StatusOK, "bootpc", v)
}

// forgiveBoot lets a PC boot the client OS again that was found to boot over and over.
func (s *Server) forgiveBoot(c echo.Context) error {
	mac, err := lease.ParseMAC(c.Param("mac"))
	if err != nil || s.cfg.Boots == nil {
		return echo.ErrNotFound
	}
	s.cfg.Boots.Forgive(mac.String())
	s.log.Info("boot loop of a PC forgiven", "mac", mac, "by", callerOf(c.Request().Context()).name())
	return s.goTo(c, "/boot/"+mac.String()+"?did=forgiven")
}

// dismissNotice takes a notice away until it is told again.
func (s *Server) dismissNotice(c echo.Context) error {
	if s.cfg.Boots == nil {
		return echo.ErrNotFound
	}
	s.cfg.Boots.Dismiss(c.FormValue("key"))
	s.BootChanged("")
	return s.goTo(c, "/boot")
}

// observeBoots tells the page of boots how those PCs stand, and the pages of the PCs that there is something new.
func (s *Server) observeBoots(o *observation, dirty map[string]bool) {
	if s.cfg.Boots == nil {
		return
	}
	boots := s.cfg.Boots.Boots()
	if text := bootCount(boots); s.shapes.changed("boot-count", text) {
		o.add(patch{Key: "boot-count", Fields: map[string]string{"count": text}}, allBoots)
	}
	places, err := s.bootPlaces()
	if err != nil {
		s.log.Warn("live: boots not read", "error", err)
		return
	}
	for _, b := range boots {
		if dirty[b.MAC] {
			s.observeBoot(o, viewBoot(b, places))
		}
	}
}

func (s *Server) observeBoot(o *observation, v bootView) {
	topics := []string{bootTopic(v.MAC)}
	if v.ComputerID != "" {
		topics = append(topics, computerTopic(v.ComputerID))
	}
	switch {
	case s.shapes.changed(v.Key, v.shape()):
		p := s.html(v.Key, "boot-row", v)
		p.Into = "boots-" + v.Group()
		o.add(p, allBoots)
		o.add(patch{Key: v.Key, Fetch: "boot"}, topics...)
	case s.shapes.changed(v.Key+" numbers", fmt.Sprint(v.fields())):
		o.add(patch{Key: v.Key, Fields: v.fields()}, append(topics, allBoots)...)
	}
	if s.shapes.changed(v.Key+" history", fmt.Sprint(v.Began, v.State)) {
		o.add(patch{Key: v.Key, Fetch: "history"}, topics...)
	}
}

// observeNetwork tells every page what the operator is asked, and the page of boots how the network stands.
func (s *Server) observeNetwork(o *observation) {
	a := s.attention()
	if s.shapes.changed("attention", fmt.Sprint(a)) {
		o.add(s.html("attention", "attention", a), everyPage)
		o.add(s.html("boot-badge", "boot-badge", a.Notices), everyPage)
	}
	if s.cfg.Network != nil {
		if v := s.viewNetwork(); s.shapes.changed("network", fmt.Sprint(v)) {
			o.changed = append(o.changed, "network")
		}
	}
	var all strings.Builder
	for _, n := range s.notices() {
		fmt.Fprintln(&all, n.Key, n.Level, n.Text, n.Since)
	}
	if s.shapes.changed("notices", all.String()) {
		o.changed = append(o.changed, "network")
	}
}

// saveBootQuirks sets the quirks of one network card, of whichever PC.
func (s *Server) saveBootQuirks(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	mac, err := lease.ParseMAC(c.Param("mac"))
	if err != nil {
		return echo.ErrNotFound
	}
	if err := s.setQuirks(c.Request().Context(), form["quirk"], mac.String()); err != nil {
		return err
	}
	return s.goTo(c, "/boot/"+mac.String()+"?did=saved")
}
