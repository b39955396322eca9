package webui

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/appliance/operation"
)

type restorePage struct {
	page
	PCs     []catalog.Computer // chosen
	Rooms   []pickRoom         // to choose from when none is
	Images  []imageView
	Image   string
	Targets []targetGroup
	Target  string // "disk/partition"; a partition of 0 is the one of the image
	Layout  bool
	Problem string
}

// A targetGroup is a disk number and what the chosen PCs have there.
type targetGroup struct {
	Label   string
	Choices []targetChoice
}

type targetChoice struct{ Value, Label string }

// A restoreForm is what the restore pages hand on to each other.
type restoreForm struct {
	PCs    []string
	Image  string
	Target string
	Layout bool
}

func readRestoreForm(v url.Values) restoreForm {
	return restoreForm{PCs: v["pc"], Image: v.Get("image"), Target: v.Get("target"), Layout: v.Get("layout") != ""}
}

// Query writes the form as the query of a link; its values are escaped.
func (f restoreForm) Query() template.URL {
	v := url.Values{"pc": f.PCs, "image": {f.Image}, "target": {f.Target}}
	if f.Layout {
		v.Set("layout", "1")
	}
	return template.URL(v.Encode())
}

func (s *Server) showRestore(c echo.Context) error {
	return s.restorePage(c, http.StatusOK, readRestoreForm(c.QueryParams()), "")
}

func (s *Server) restorePage(c echo.Context, status int, f restoreForm, problem string) error {
	v := restorePage{page: s.page(c, "rooms", "Restore image"), Image: f.Image, Target: f.Target, Layout: f.Layout, Problem: problem}
	images, err := s.images()
	if err != nil {
		return err
	}
	for _, img := range images {
		v.Images = append(v.Images, viewImage(img))
	}
	for _, id := range f.PCs {
		pc, err := s.cfg.Catalog.Computer(id)
		if err != nil {
			return err
		}
		v.PCs = append(v.PCs, pc)
	}
	if len(v.PCs) == 0 {
		if v.Rooms, err = s.pickRooms(); err != nil {
			return err
		}
	}
	v.Targets = targetChoices(v.PCs)
	return s.render(c, status, "restore", v)
}

// targetChoices are the disks and partitions of the chosen PCs, with how many of them have each. Numbers below 1, which no PC has
// but an old record may, are left out: every partition then follows the entry of its disk, which stands as partition 0.
func targetChoices(pcs []catalog.Computer) []targetGroup {
	type place struct{ disk, part int }
	have := map[place]int{}
	names := map[place]string{}
	note := func(p place, name string) {
		have[p]++
		if known, ok := names[p]; ok && known != name {
			name = "different kinds"
		}
		names[p] = name
	}
	for _, pc := range pcs {
		for _, d := range pc.Inventory.Disks {
			if d.Number < 1 {
				continue
			}
			note(place{d.Number, 0}, diskTitle(d))
			for _, p := range d.Partitions {
				if p.Number >= 1 && !p.Extended() {
					note(place{d.Number, p.Number}, partitionTitle(p)+", "+size(p.Bytes))
				}
			}
		}
	}
	places := make([]place, 0, len(have))
	for p := range have {
		places = append(places, p)
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.disk, b.disk), cmp.Compare(a.part, b.part))
	})
	var groups []targetGroup
	for _, p := range places {
		on := ""
		if len(pcs) > 1 {
			on = fmt.Sprintf(" (%d of %d PCs)", have[p], len(pcs))
		}
		value := fmt.Sprintf("%d/%d", p.disk, p.part)
		if p.part == 0 {
			groups = append(groups, targetGroup{Label: fmt.Sprintf("Disk %d: %s%s", p.disk, names[p], on)})
		}
		g := &groups[len(groups)-1]
		label := fmt.Sprintf("Disk %d, partition %d: %s%s", p.disk, p.part, names[p], on)
		if p.part == 0 {
			label = fmt.Sprintf("Disk %d, the partition that the image comes from", p.disk)
		}
		g.Choices = append(g.Choices, targetChoice{value, label})
	}
	return groups
}

// request makes of the form what is asked of the operations.
func (s *Server) restoreRequest(f restoreForm) (operation.RestoreRequest, describedImage, error) {
	var none operation.RestoreRequest
	if len(f.PCs) == 0 {
		return none, describedImage{}, invalid("choose at least one PC")
	}
	if f.Image == "" {
		return none, describedImage{}, invalid("choose an image")
	}
	img, err := s.image(f.Image)
	if err != nil {
		return none, img, err
	}
	r := operation.RestoreRequest{ComputerIDs: f.PCs, Image: f.Image, Layout: f.Layout, Disk: img.Source.Disk, Partition: img.Source.Partition}
	if d, p, ok := strings.Cut(f.Target, "/"); ok {
		r.Disk, _ = strconv.Atoi(d)
		if n, _ := strconv.Atoi(p); n > 0 {
			r.Partition = n
		}
	}
	if r.Disk < 1 || r.Partition < 1 {
		return none, img, invalid("choose the disk and partition: this image does not say where it comes from")
	}
	if f.Layout && !img.HasLayout {
		return none, img, invalid("image %s has no disk layout beside it; untick the layout and restore to a partition that exists", f.Image)
	}
	return r, img, nil
}

type checkPage struct {
	page
	restoreForm
	Request operation.RestoreRequest
	Image   imageView
	Checks  []operation.Preflight
	Pass    int
	Fail    int
	Room    string // name of the classroom, when all PCs are of one
	Seen    string // digest of what is shown
	Confirm string
	Problem string
}

func (s *Server) checkRestore(c echo.Context) error {
	f := readRestoreForm(c.QueryParams())
	v, err := s.checkPage(c, f)
	if err != nil {
		return s.backToRestore(c, f, err)
	}
	return s.render(c, http.StatusOK, "check", v)
}

// backToRestore shows the form again with what was wrong.
func (s *Server) backToRestore(c echo.Context, f restoreForm, err error) error {
	if statusOf(err) == http.StatusInternalServerError {
		return err
	}
	return s.restorePage(c, statusOf(err), f, textOf(err))
}

func (s *Server) checkPage(c echo.Context, f restoreForm) (checkPage, error) {
	v := checkPage{page: s.page(c, "rooms", "Check before restoring"), restoreForm: f}
	request, img, err := s.restoreRequest(f)
	if err != nil {
		return v, err
	}
	v.Request, v.Image = request, viewImage(img)
	if v.Checks, err = s.cfg.Operations.PreflightRestore(c.Request().Context(), request); err != nil {
		return v, err
	}
	for _, p := range v.Checks {
		if p.Failure == nil {
			v.Pass++
		} else {
			v.Fail++
		}
	}
	v.Seen = digestOf(request, img.Revision, v.Checks)
	v.Room, err = s.roomOf(f.PCs)
	return v, err
}

// digestOf fixes what the operator was shown, so that a restore begins only if it would still do just that.
func digestOf(r operation.RestoreRequest, revision int, checks []operation.Preflight) string {
	data, err := json.Marshal(struct {
		R operation.RestoreRequest
		V int
		C []operation.Preflight
	}{r, revision, checks})
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

// roomOf is the name of the classroom that all the PCs are in, or "".
func (s *Server) roomOf(pcs []string) (string, error) {
	in := ""
	for i, id := range pcs {
		pc, err := s.cfg.Catalog.Computer(id)
		if err != nil {
			return "", err
		}
		if i > 0 && pc.ClassroomID != in {
			return "", nil
		}
		in = pc.ClassroomID
	}
	room, err := s.cfg.Catalog.Classroom(in)
	if err != nil {
		return "", nil // pending PCs are in no room; the check above says so
	}
	return room.Name, nil
}

// startRestore starts what the operator saw and confirmed, and nothing else.
func (s *Server) startRestore(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	f := readRestoreForm(form)
	v, err := s.checkPage(c, f)
	if err != nil {
		return s.backToRestore(c, f, err)
	}
	v.Confirm = strings.TrimSpace(form.Get("confirm"))
	switch {
	case v.Pass == 0:
		err = invalid("no PC can take this image; nothing was done")
	case form.Get("seen") != v.Seen:
		err = invalid("what would be lost has changed since you looked; nothing was done. Read the list again")
		v.Confirm = ""
	case !v.confirmed():
		err = invalid("to confirm, type %s; nothing was done", v.Asked())
	default:
		ctx := c.Request().Context()
		var op operation.Operation
		if op, err = s.cfg.Operations.Restore(ctx, callerOf(ctx).name(), v.Request); err == nil {
			return s.goTo(c, "/operations/"+op.ID)
		}
		if statusOf(err) == http.StatusInternalServerError {
			return err
		}
	}
	v.Problem = textOf(err)
	return s.render(c, statusOf(err), "check", v)
}

// confirmed tells whether what was typed is the number of PCs or the classroom's name.
func (v checkPage) confirmed() bool {
	return v.Confirm == strconv.Itoa(v.Pass) || v.Room != "" && strings.EqualFold(v.Confirm, v.Room)
}

// Asked is what to type.
func (v checkPage) Asked() string {
	if v.Room == "" {
		return fmt.Sprintf("%d (the number of PCs)", v.Pass)
	}
	return fmt.Sprintf("%d (the number of PCs) or %s", v.Pass, v.Room)
}
