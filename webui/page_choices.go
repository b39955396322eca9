package webui

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/netboot/quirk"
)

// What PCs boot: once and always, for single ones, groups and classrooms.

// keep is the choice that changes nothing.
const keep = "keep"

// A bootChoice is something that PCs can be told to boot.
type bootChoice struct{ Value, Word string }

// bootChoices are those that people have, inherit first, which is said in the given words.
func bootChoices(inherit string) []bootChoice {
	return []bootChoice{{"", inherit}, {catalog.BootDisk, "Own disk"}, {catalog.BootClientOS, "Client OS"}, {catalog.BootMenu, "Menu at the PC"}}
}

// A bootTree is what choices of single PCs lead to by the groups, the classrooms and the settings.
type bootTree struct {
	settings catalog.BootSettings
	rooms    map[string]catalog.Classroom
	groups   map[string]catalog.Group
}

func (s *Server) bootTree() (bootTree, error) {
	t := bootTree{rooms: map[string]catalog.Classroom{}, groups: map[string]catalog.Group{}}
	rooms, err := s.cfg.Catalog.Classrooms()
	if err != nil {
		return t, err
	}
	for _, r := range rooms {
		t.rooms[r.ID] = r
	}
	groups, err := s.cfg.Catalog.Groups("")
	if err != nil {
		return t, err
	}
	for _, g := range groups {
		t.groups[g.ID] = g
	}
	t.settings, err = s.cfg.Catalog.BootSettings()
	return t, err
}

// ofAll is what a classroom that says nothing itself leaves its PCs to.
func (t bootTree) ofAll() string {
	return "As all PCs: " + targetWords[t.settings.Accepted]
}

// ofGroup is what a group that says nothing itself leaves its PCs to.
func (t bootTree) ofGroup(room string) string {
	if own := t.rooms[room].Boot; own != "" {
		return "As the classroom: " + targetWords[own]
	}
	return t.ofAll()
}

// ofPC is what a PC that says nothing itself boots.
func (t bootTree) ofPC(pc catalog.Computer) string {
	if g := t.groups[pc.GroupID]; g.Boot != "" {
		return "As the group " + g.Name + ": " + targetWords[g.Boot]
	}
	return t.ofGroup(pc.ClassroomID)
}

// always is what a PC boots that has no work, in words.
func (t bootTree) always(pc catalog.Computer) string {
	if pc.Boot != "" {
		return "always: " + targetWords[pc.Boot]
	}
	inherited := t.ofPC(pc)
	return strings.ToLower(inherited[:1]) + inherited[1:]
}

type choicesPage struct {
	page
	PCs     []catalog.Computer
	Once    []bootChoice
	Always  []bootChoice
	Groups  []catalog.Group
	Room    string // of all of them; empty when they are of several
	Home    string
	Problem string
}

func (s *Server) showChoices(c echo.Context) error {
	return s.choicesPage(c, http.StatusOK, c.QueryParams()["pc"], "")
}

func (s *Server) choicesPage(c echo.Context, status int, ids []string, problem string) error {
	v := choicesPage{page: s.page(c, "rooms", "Boot and group"), Problem: problem}
	var err error
	if v.PCs, err = s.computersOf(ids); err != nil {
		return err
	}
	v.Home = homeOf(v.PCs)
	v.Once = append([]bootChoice{{keep, "Leave as it is"}}, bootChoices("What it always boots")...)
	v.Always = append([]bootChoice{{keep, "Leave as it is"}}, bootChoices("What its group or classroom says")...)
	if room, one := strings.CutPrefix(v.Home, "/classrooms/"); one {
		v.Room = room
		if v.Groups, err = s.cfg.Catalog.Groups(room); err != nil {
			return err
		}
	}
	return s.render(c, status, "choices", v)
}

func (s *Server) saveChoices(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	ids := form["pc"]
	if err = invalid("choose at least one PC"); len(ids) > 0 {
		err = s.choose(c.Request().Context(), ids, form)
	}
	switch {
	case err == nil:
		pcs, err := s.computersOf(ids)
		if err != nil {
			return err
		}
		return s.goTo(c, homeOf(pcs)+"?did=saved")
	case statusOf(err) == http.StatusInternalServerError || statusOf(err) == http.StatusNotFound:
		return err
	}
	return s.choicesPage(c, statusOf(err), ids, textOf(err))
}

// choose does what the fields once, always and group say, of which each may be absent or say that nothing changes.
func (s *Server) choose(ctx context.Context, ids []string, form url.Values) error {
	for _, part := range []struct {
		name string
		set  func(value string) error
	}{
		{"group", func(id string) error { return s.cfg.Catalog.SetGroup(id, ids...) }},
		{"always", func(target string) error { return s.cfg.Catalog.SetBoot(target, ids...) }},
		{"once", func(target string) error { return s.cfg.Catalog.SetNextBoots(target, ids...) }},
	} {
		if !form.Has(part.name) || form.Get(part.name) == keep {
			continue
		}
		if err := part.set(form.Get(part.name)); err != nil {
			return err
		}
		s.log.Info("boot of PCs chosen", part.name, form.Get(part.name), "PCs", len(ids), "by", callerOf(ctx).name())
	}
	return nil
}

type roomBootPage struct {
	page
	Room    catalog.Classroom
	Choices []bootChoice
	Groups  []groupView
	NewName string
	Problem string
}

// A groupView is a group of the classroom and who is in it.
type groupView struct {
	catalog.Group
	PCs     []catalog.Computer
	Choices []bootChoice
}

func (s *Server) showRoomBoot(c echo.Context) error {
	return s.roomBootPage(c, http.StatusOK, c.Param("id"), "")
}

func (s *Server) roomBootPage(c echo.Context, status int, id, problem string) error {
	room, err := s.cfg.Catalog.Classroom(id)
	if err != nil {
		return err
	}
	t, err := s.bootTree()
	if err != nil {
		return err
	}
	v := roomBootPage{page: s.page(c, "rooms", "Boot and groups of "+room.Name), Room: room, Choices: bootChoices(t.ofAll()), Problem: problem}
	if problem != "" {
		v.NewName = c.FormValue("new")
	}
	pcs, err := s.roomComputers(room.ID)
	if err != nil {
		return err
	}
	groups, err := s.cfg.Catalog.Groups(room.ID)
	if err != nil {
		return err
	}
	for _, g := range groups {
		view := groupView{Group: g, Choices: bootChoices(t.ofGroup(room.ID))}
		for _, pc := range pcs {
			if pc.GroupID == g.ID {
				view.PCs = append(view.PCs, pc)
			}
		}
		v.Groups = append(v.Groups, view)
	}
	return s.render(c, status, "roomboot", v)
}

// afterRoomBoot goes on after a form of the page, or shows it again with what was wrong.
func (s *Server) afterRoomBoot(c echo.Context, room string, err error, did string) error {
	switch {
	case err == nil:
		return s.goTo(c, "/classrooms/"+url.PathEscape(room)+"/boot?did="+did)
	case statusOf(err) == http.StatusInternalServerError || statusOf(err) == http.StatusNotFound:
		return err
	}
	return s.roomBootPage(c, statusOf(err), room, textOf(err))
}

func (s *Server) saveRoomBoot(c echo.Context) error {
	return s.afterRoomBoot(c, c.Param("id"), s.cfg.Catalog.SetClassroomBoot(c.Param("id"), c.FormValue("boot")), "saved")
}

func (s *Server) addGroup(c echo.Context) error {
	_, err := s.cfg.Catalog.AddGroup(c.Param("id"), c.FormValue("new"))
	return s.afterRoomBoot(c, c.Param("id"), err, "added")
}

// roomGroup finds the one that the path names.
func (s *Server) roomGroup(c echo.Context) (catalog.Group, error) {
	all, err := s.cfg.Catalog.Groups("")
	if err != nil {
		return catalog.Group{}, err
	}
	at := slices.IndexFunc(all, func(g catalog.Group) bool { return g.ID == c.Param("id") })
	if at < 0 {
		return catalog.Group{}, fmt.Errorf("group: %w", catalog.ErrNotFound)
	}
	return all[at], nil
}

func (s *Server) editGroup(c echo.Context) error {
	g, err := s.roomGroup(c)
	if err != nil {
		return err
	}
	if err = s.cfg.Catalog.RenameGroup(g.ID, c.FormValue("name")); err == nil {
		err = s.cfg.Catalog.SetGroupBoot(g.ID, c.FormValue("boot"))
	}
	return s.afterRoomBoot(c, g.ClassroomID, err, "saved")
}

func (s *Server) removeGroup(c echo.Context) error {
	g, err := s.roomGroup(c)
	if err != nil {
		return err
	}
	return s.afterRoomBoot(c, g.ClassroomID, s.cfg.Catalog.RemoveGroup(g.ID), "removed")
}

// A computerBoot is what the page of a PC says of its boots.
type computerBoot struct {
	On       bool // there are boot services
	Once     []bootChoice
	Always   []bootChoice
	Groups   []catalog.Group
	Says     string // what it boots without work
	Address  string // reserved, or what was typed
	Quirks   []quirkBox
	Boots    []bootView
	MAC      string // of the card that booted last
	Problem  string
	Quirking bool // a rule is switched on
}

// A quirkBox is a rule and whether a PC has it.
type quirkBox struct {
	quirk.Rule
	On bool
}

func quirkBoxes(has quirk.Set) []quirkBox {
	var all []quirkBox
	for _, r := range quirk.Rules() {
		all = append(all, quirkBox{r, has.Has(r.Quirk)})
	}
	return all
}

// shownBoots bounds the boots on the page of a PC.
const shownBoots = 5

func (s *Server) computerBoot(pc catalog.Computer) (computerBoot, error) {
	v := computerBoot{On: s.cfg.Boots != nil}
	t, err := s.bootTree()
	if err != nil {
		return v, err
	}
	v.Once, v.Always = bootChoices("What it always boots"), bootChoices(t.ofPC(pc))
	v.Says = sentence(t.always(pc))
	if pc.NextBoot != "" {
		v.Says = "Once: " + targetWords[pc.NextBoot] + ". Then " + t.always(pc) + "."
	}
	if pc.State == catalog.Accepted {
		if v.Groups, err = s.cfg.Catalog.Groups(pc.ClassroomID); err != nil {
			return v, err
		}
	}
	if pc.Reserved.IsValid() {
		v.Address = pc.Reserved.String()
	}
	quirks, err := s.cfg.Catalog.Quirks()
	if err != nil {
		return v, err
	}
	var has quirk.Set
	for _, mac := range pc.MACs {
		has = append(has, quirks[mac]...)
	}
	v.Quirks, v.Quirking = quirkBoxes(has), len(has) > 0
	return v, s.lastBoots(&v, pc)
}

// lastBoots adds the last boots by all network cards of the PC.
func (s *Server) lastBoots(v *computerBoot, pc catalog.Computer) error {
	if !v.On {
		return nil
	}
	places, err := s.bootPlaces()
	if err != nil {
		return err
	}
	for _, mac := range pc.MACs {
		for i, b := range s.cfg.Boots.History(mac) {
			view := viewBoot(b, places)
			if i > 0 {
				view = view.past()
			}
			v.Boots = append(v.Boots, view)
		}
	}
	slices.SortStableFunc(v.Boots, func(a, b bootView) int { return b.Began.Compare(a.Began) })
	v.Boots = v.Boots[:min(len(v.Boots), shownBoots)]
	if len(v.Boots) > 0 {
		v.MAC = v.Boots[0].MAC
	}
	return nil
}

// saveComputerBoot sets what a PC boots, its group and its address.
func (s *Server) saveComputerBoot(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	id := c.Param("id")
	if form.Has("address") {
		err = s.reserve(id, form.Get("address"))
	}
	if err == nil {
		err = s.choose(c.Request().Context(), []string{id}, form)
	}
	return s.afterComputerBoot(c, err)
}

func (s *Server) afterComputerBoot(c echo.Context, err error) error {
	switch {
	case err == nil:
		return s.goTo(c, "/computers/"+url.PathEscape(c.Param("id"))+"?did=saved")
	case statusOf(err) == http.StatusInternalServerError || statusOf(err) == http.StatusNotFound:
		return err
	}
	return s.computerPage(c, statusOf(err), textOf(err))
}

// saveComputerQuirks sets the quirks of all network cards of a PC.
func (s *Server) saveComputerQuirks(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	pc, err := s.cfg.Catalog.Computer(c.Param("id"))
	if err != nil {
		return err
	}
	return s.afterComputerBoot(c, s.setQuirks(c.Request().Context(), form["quirk"], pc.MACs...))
}

// setQuirks remembers the same quirks for each of the network cards.
func (s *Server) setQuirks(ctx context.Context, names []string, macs ...string) error {
	var all quirk.Set
	for _, name := range names {
		all = append(all, quirk.Quirk(name))
	}
	for _, mac := range macs {
		if err := s.cfg.Catalog.SetQuirks(mac, all); err != nil {
			return err
		}
	}
	s.log.Info("quirks of a PC set", "macs", macs, "quirks", all, "by", callerOf(ctx).name())
	return nil
}
