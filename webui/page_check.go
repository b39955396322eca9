package webui

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"aula/appliance/operation"
	"aula/imagestore"
)

// A planned is a restore as the form asks for it.
type planned struct {
	Request operation.RestoreRequest
	Title   string // of what is restored, for people
	Images  []imagestore.Image
}

// request makes of the form what is asked of the operations.
func (s *Server) restoreRequest(f restoreForm) (planned, error) {
	switch {
	case len(f.PCs) == 0:
		return planned{}, invalid("choose at least one PC")
	case f.Image == "":
		return planned{}, invalid("choose an image")
	}
	source := f.source()
	p := planned{Request: operation.RestoreRequest{ComputerIDs: f.PCs, Repository: source.Repository, Image: source.Name, SetDisk: source.SetDisk}}
	d, part, _ := strings.Cut(f.Target, "/")
	p.Request.Disk, _ = strconv.Atoi(d)
	if p.Request.Partition, _ = strconv.Atoi(part); p.Request.Disk < 1 {
		p.Request.Disk, p.Request.Partition = 0, 0
	}
	var err error
	if source.Set {
		err = s.planSet(&p)
	} else {
		err = s.planImage(&p, f)
	}
	return p, err
}

// planSet completes a plan to restore all images of a set.
func (s *Server) planSet(p *planned) (err error) {
	if p.Images, err = s.cfg.Images.Set(p.Request.Repository, p.Request.Image); err != nil {
		return err
	}
	p.Images = slices.DeleteFunc(p.Images, func(img imagestore.Image) bool {
		return p.Request.SetDisk > 0 && img.Source.Disk != p.Request.SetDisk
	})
	if len(p.Images) == 0 {
		return invalid("set %.140q has no images of disk %d", p.Request.Image, p.Request.SetDisk)
	}
	p.Title = fmt.Sprintf("%s, %s", p.Request.Image, count(len(p.Images), "partition", "partitions"))
	p.Request.Whole, p.Request.Partition = true, 0
	p.Request.Disk = cmp.Or(p.Request.Disk, p.Images[0].Source.Disk, 1)
	return nil
}

// planImage completes a plan to restore one image.
func (s *Server) planImage(p *planned, f restoreForm) error {
	r, img, err := s.home(p.Request.Repository, p.Request.Image)
	if err != nil {
		return err
	}
	if f.Revision != "" {
		n, err := strconv.Atoi(f.Revision)
		if err != nil || n < 1 {
			return invalid("the revision is a number such as 1, and %.40q is none", f.Revision)
		}
		if img.Image, err = r.Revision(img.Name, n); err != nil {
			return err
		}
		p.Request.Revision = n
	}
	v := s.viewImage(img)
	p.Images, p.Title = []imagestore.Image{img.Image}, fmt.Sprintf("%s revision %d", v.Display, img.Revision)
	if v.WholeDisk() {
		p.Request.Whole, p.Request.Partition = true, 0
		p.Request.Disk = cmp.Or(p.Request.Disk, img.Source.Disk, 1)
		return nil
	}
	p.Request.Layout = f.Layout
	p.Request.Disk = cmp.Or(p.Request.Disk, img.Source.Disk)
	if p.Request.Partition == 0 {
		p.Request.Partition = img.Installed()
	}
	if p.Request.Disk == 0 && img.Said.Partition > 0 {
		p.Request.Disk = 1
	}
	switch {
	case p.Request.Disk < 1 || p.Request.Partition < 1:
		return invalid("choose the disk and partition: this image does not say where it comes from")
	case f.Layout && !img.HasLayout:
		return invalid("image %s has no disk layout beside it; untick the layout and restore to a partition that exists", img.Name)
	}
	return nil
}

type checkPage struct {
	page
	restoreForm
	Plan    planned
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
	if method := c.QueryParam("method"); method != "" {
		text, err := s.composeRestore(f, method)
		if err != nil {
			return s.backToRestore(c, f, err)
		}
		return s.showProgram(c, programForm{PCs: f.PCs, Text: text, From: "/restore?" + string(f.Query()) + "&method=" + url.QueryEscape(method)})
	}
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
	var err error
	if v.Plan, err = s.restoreRequest(f); err != nil {
		return v, err
	}
	if v.Checks, err = s.cfg.Operations.PreflightRestore(c.Request().Context(), v.Plan.Request); err != nil {
		return v, err
	}
	for _, p := range v.Checks {
		if p.Failure == nil {
			v.Pass++
		} else {
			v.Fail++
		}
	}
	v.Seen = digestOf(v.Plan, v.Checks)
	v.Room, err = s.roomOf(f.PCs)
	return v, err
}

// digestOf fixes what the operator was shown, so that a restore begins only if it would still do just that.
func digestOf(p planned, checks []operation.Preflight) string {
	data, err := json.Marshal(struct {
		P planned
		C []operation.Preflight
	}{p, checks})
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
		if op, err = s.cfg.Operations.Restore(ctx, callerOf(ctx).name(), v.Plan.Request); err == nil {
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
func (v checkPage) Asked() string { return askedOf(v.Pass, v.Room) }

// askedOf is what to type to confirm something on so many PCs, of the room if all are of one.
func askedOf(pcs int, room string) string {
	if room == "" {
		return fmt.Sprintf("%d (the number of PCs)", pcs)
	}
	return fmt.Sprintf("%d (the number of PCs) or %s", pcs, room)
}
