package webui

import (
	"cmp"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"aula/appliance/incorporation"
	"aula/appliance/upkeep"
	"aula/webui/api"
)

type importPage struct {
	page
	Uploads      []uploadView
	Repositories []upkeep.RepositoryStatus
}

// An uploadView is an upload as the console shows it.
type uploadView struct {
	incorporation.Upload
	Title    string
	Size     int64
	Have     int64
	Percent  int
	Whole    bool
	Deadline time.Time
}

func viewUpload(u incorporation.Upload) uploadView {
	v := uploadView{Upload: u, Whole: u.Complete(), Deadline: u.Expires}
	for _, f := range u.Files {
		v.Size, v.Have = v.Size+f.Size, v.Have+f.Have
	}
	v.Percent = percent(v.Have, v.Size)
	v.Title = titleOfFiles(u.Files)
	return v
}

// Path is the page of the upload.
func (v uploadView) Path() string { return "/import/" + url.PathEscape(v.ID) }

// titleOfFiles is the folder's name, the file's, or the first one's and how many there are more.
func titleOfFiles(files []incorporation.File) string {
	if len(files) == 0 {
		return "Nothing"
	}
	first := files[0].Path
	folder, _, within := strings.Cut(first, "/")
	for _, f := range files {
		within = within && strings.HasPrefix(f.Path, folder+"/")
	}
	switch {
	case within:
		return folder + "/, " + count(len(files), "file", "files")
	case len(files) == 1:
		return first
	}
	return path.Base(first) + " and " + count(len(files)-1, "other file", "other files")
}

func (s *Server) showImport(c echo.Context) error {
	v := importPage{page: s.page(c, "images", "Bring in images")}
	v.Topics = []string{allTasks}
	uploads, err := s.cfg.Uploads.All()
	if err != nil {
		return err
	}
	for _, u := range uploads {
		v.Uploads = append(v.Uploads, viewUpload(u))
	}
	if v.Repositories, err = s.cfg.Upkeep.Repositories(); err != nil {
		return err
	}
	return s.render(c, http.StatusOK, "import", v)
}

// A planPage shows what was recognised in an upload, before it is taken in.
type planPage struct {
	page
	Upload       uploadView
	Plan         incorporation.Plan
	Units        []string // names of the sets, and of the images that are of none
	Repositories []upkeep.RepositoryStatus
	Name         string
	Repository   string
	Unknown      string // why nothing was recognised
	Problem      string
}

func (s *Server) showPlan(c echo.Context) error {
	return s.planPage(c, http.StatusOK, strings.TrimSpace(c.QueryParam("name")), c.QueryParam("repository"), "")
}

func (s *Server) planPage(c echo.Context, status int, name, repository, problem string) error {
	v := planPage{page: s.page(c, "images", "Bring in images"), Name: name, Repository: repository, Problem: problem}
	u, err := s.cfg.Uploads.Upload(c.Param("id"))
	if err != nil {
		return err
	}
	v.Upload = viewUpload(u)
	v.Path = v.Upload.Path()
	if v.Repositories, err = s.cfg.Upkeep.Repositories(); err != nil {
		return err
	}
	if !v.Upload.Whole {
		return s.goTo(c, "/import")
	}
	v.Plan, err = s.examine(c.Request().Context(), api.Import{Upload: u.ID, Name: name})
	switch {
	case err == nil:
	case statusOf(err) == http.StatusInternalServerError:
		return err
	default:
		v.Unknown = textOf(err)
	}
	for _, img := range v.Plan.Images {
		if unit := cmp.Or(img.Source.Set, img.Name); !slices.Contains(v.Units, unit) {
			v.Units = append(v.Units, unit)
		}
	}
	return s.render(c, status, "plan", v)
}

func (s *Server) takeIn(c echo.Context) error {
	name, repository := strings.TrimSpace(c.FormValue("name")), c.FormValue("repository")
	t, err := s.startImport(c.Request().Context(), api.Import{Upload: c.Param("id"), Repository: repository, Name: name})
	switch {
	case err == nil:
		return s.goTo(c, "/tasks/"+url.PathEscape(t.ID))
	case statusOf(err) == http.StatusInternalServerError, statusOf(err) == http.StatusNotFound:
		return err
	}
	return s.planPage(c, statusOf(err), name, repository, textOf(err))
}

func (s *Server) dropUpload(c echo.Context) error {
	if err := s.discardUpload(c.Request().Context(), c.Param("id")); err != nil {
		return err
	}
	return s.goTo(c, "/import?did=discarded")
}
