package webui

import (
	"net/http"

	"github.com/labstack/echo/v4"
)

type trashPage struct {
	page
	Images  []trashView
	Several bool
	Bytes   int64
	Problem string
}

// A trashView is a removed image.
type trashView struct {
	trashedImage
	Past  string // "until 3 Apr 2031", "any moment"
	Taken bool   // another image has its name meanwhile
}

func (s *Server) showTrash(c echo.Context) error { return s.trashPage(c, http.StatusOK, "") }

func (s *Server) trashPage(c echo.Context, status int, problem string) error {
	v := trashPage{page: s.page(c, "images", "Trash"), Problem: problem, Several: len(s.cfg.Images.Repositories()) > 1}
	v.Path = "/trash"
	all, err := s.trash("")
	if err != nil {
		return err
	}
	for _, t := range all {
		view := trashView{trashedImage: t, Past: day(t.Expires)}
		if !t.Expires.After(s.now()) {
			view.Past = "any moment"
		}
		if r, err := s.cfg.Images.Repository(t.Repository); err == nil {
			_, view.Taken = r.Standing(t.Name)
		}
		v.Images, v.Bytes = append(v.Images, view), v.Bytes+t.Bytes
	}
	return s.render(c, status, "trash", v)
}

func (s *Server) bringBack(c echo.Context) error {
	t, err := s.undelete(c.Request().Context(), c.FormValue("repository"), c.Param("id"))
	if err != nil {
		return s.afterTrash(c, err)
	}
	img, err := s.image(t.Repository, t.Name)
	if err != nil {
		return err
	}
	return s.goTo(c, s.viewImage(img).did("back"))
}

func (s *Server) deleteForEver(c echo.Context) error {
	return s.afterTrash(c, s.discard(c.Request().Context(), c.FormValue("repository"), c.Param("id")))
}

func (s *Server) afterTrash(c echo.Context, err error) error {
	switch {
	case err == nil:
		return s.goTo(c, "/trash?did=deleted")
	case statusOf(err) == http.StatusInternalServerError:
		return err
	}
	return s.trashPage(c, statusOf(err), textOf(err))
}
