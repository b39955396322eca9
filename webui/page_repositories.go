package webui

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/appliance/upkeep"
)

type repositoriesPage struct {
	page
	Repositories []repositoryView
	New          repositoryForm
	AddProblem   string
	Problem      string
}

// A repositoryView is a repository with the form that changes it.
type repositoryView struct {
	upkeep.RepositoryStatus
	First bool
	Used  int // percent of the volume that is not free for images, -1 when not known
}

// Path is the address of its forms.
func (v repositoryView) Path() string { return "/repositories/" + url.PathEscape(v.Name) }

// A repositoryForm is what somebody typed.
type repositoryForm struct {
	Name, Dir, Address, Keep, TrashDays, Reserve, Comments string
}

func readRepositoryForm(c echo.Context) repositoryForm {
	f := func(name string) string { return strings.TrimSpace(c.FormValue(name)) }
	return repositoryForm{f("name"), f("dir"), f("address"), f("keep"), f("trashDays"), f("reserve"), f("comments")}
}

// formOf is a form that is filled with how a repository is kept.
func formOf(r catalog.Repository) repositoryForm {
	return repositoryForm{Keep: strconv.Itoa(r.Keep), TrashDays: strconv.Itoa(r.TrashDays), Reserve: strconv.FormatInt(r.ReserveMiB, 10)}
}

// repository is the form as the catalog has it.
func (f repositoryForm) repository() (catalog.Repository, error) {
	r := catalog.Repository{Name: f.Name, Dir: f.Dir, Address: f.Address, Comments: f.Comments}
	for _, n := range []struct {
		what, text string
		into       func(int64)
	}{
		{"the number of earlier revisions", f.Keep, func(n int64) { r.Keep = int(n) }},
		{"the number of days in the trash", f.TrashDays, func(n int64) { r.TrashDays = int(n) }},
		{"what is left free in MiB", f.Reserve, func(n int64) { r.ReserveMiB = n }},
	} {
		v, err := strconv.ParseInt(n.text, 10, 32)
		if err != nil {
			return r, invalid("%s is a whole number such as 10, and %.40q is none", n.what, n.text)
		}
		n.into(v)
	}
	return r, nil
}

func (s *Server) showRepositories(c echo.Context) error {
	return s.repositoriesPage(c, http.StatusOK, repositoriesPage{})
}

func (s *Server) repositoriesPage(c echo.Context, status int, v repositoriesPage) error {
	v.page = s.page(c, "settings", "Repositories")
	v.Path = "/repositories"
	if v.New == (repositoryForm{}) {
		v.New = formOf(s.cfg.RepositoryDefaults)
	}
	all, err := s.cfg.Upkeep.Repositories()
	if err != nil {
		return err
	}
	for _, r := range all {
		v.Repositories = append(v.Repositories, repositoryView{
			RepositoryStatus: r, First: r.Name == catalog.FirstRepository, Used: percent(r.Size-max(0, r.Free), r.Size),
		})
	}
	return s.render(c, status, "repositories", v)
}

func (s *Server) addFolder(c echo.Context) error {
	f := readRepositoryForm(c)
	r, err := f.repository()
	if err == nil {
		err = s.addRepository(c.Request().Context(), r)
	}
	switch {
	case err == nil:
		return s.goTo(c, "/repositories?did=added")
	case statusOf(err) == http.StatusInternalServerError:
		return err
	}
	return s.repositoriesPage(c, statusOf(err), repositoriesPage{New: f, AddProblem: textOf(err)})
}

func (s *Server) changeFolder(c echo.Context) error {
	f := readRepositoryForm(c)
	f.Name, f.Dir = c.Param("name"), ""
	r, err := f.repository()
	if err == nil {
		err = s.changeRepository(c.Request().Context(), r)
	}
	return s.afterRepository(c, err, "saved")
}

func (s *Server) forgetFolder(c echo.Context) error {
	return s.afterRepository(c, s.removeRepository(c.Request().Context(), c.Param("name")), "removed")
}

func (s *Server) afterRepository(c echo.Context, err error, did string) error {
	switch {
	case err == nil:
		return s.goTo(c, "/repositories?did="+did)
	case statusOf(err) == http.StatusInternalServerError:
		return err
	}
	return s.repositoriesPage(c, statusOf(err), repositoriesPage{Problem: textOf(err)})
}
