package webui

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"aula/appliance/upkeep"
	"aula/imagestore"
	"aula/webui/api"
)

// A registerForm is what somebody says of an image.
type registerForm struct {
	Name, Display, Profile, Partition, Type, Repository, Comments string
}

func readRegisterForm(v url.Values) registerForm {
	return registerForm{
		Name: strings.TrimSpace(v.Get("image")), Display: v.Get("display"), Profile: v.Get("profile"), Partition: strings.TrimSpace(v.Get("partition")),
		Type: v.Get("type"), Repository: v.Get("repository"), Comments: v.Get("comments"),
	}
}

// text is the form as the API has it.
func (f registerForm) text() (api.ImageText, error) {
	t := api.ImageText{DisplayName: f.Display, Profile: f.Profile, PartitionType: f.Type, Repository: f.Repository, Comments: f.Comments}
	if f.Partition == "" {
		return t, nil
	}
	var err error
	if t.Partition, err = strconv.Atoi(f.Partition); err != nil {
		return t, invalid("the partition is a number such as 2, and %.40q is none", f.Partition)
	}
	return t, nil
}

type registerPage struct {
	page
	registerForm
	Says         nameSays
	Types        []string
	Repositories []upkeep.RepositoryStatus
	Problem      string
}

func (s *Server) showRegister(c echo.Context) error {
	return s.registerPage(c, http.StatusOK, readRegisterForm(c.QueryParams()), "")
}

func (s *Server) registerPage(c echo.Context, status int, f registerForm, problem string) error {
	v := registerPage{page: s.page(c, "images", "Add image"), registerForm: f, Types: partitionTypes(), Problem: problem}
	var err error
	if v.Repositories, err = s.cfg.Upkeep.Repositories(); err != nil {
		return err
	}
	if f.Name != "" {
		v.Says = s.sayRegistered(f.Name)
	}
	return s.render(c, status, "register", v)
}

// checkRegistered answers, while somebody types, whether a name will do for an image that is registered.
func (s *Server) checkRegistered(c echo.Context) error {
	text, err := s.pages.fragment("name-says", s.sayRegistered(c.QueryParam("image")))
	if err != nil {
		return err
	}
	return c.HTML(http.StatusOK, text)
}

func (s *Server) sayRegistered(name string) nameSays {
	if name == "" {
		return nameSays{}
	}
	if err := imagestore.CheckName(name); err != nil {
		return nameSays{sentence(err.Error()), true}
	}
	img, err := s.image("", name)
	switch {
	case err != nil:
		return nameSays{"A new image: its file may come later.", false}
	case img.Said.Name != "":
		return nameSays{fmt.Sprintf("%s is registered already. Open it to change what is said of it.", name), true}
	}
	return nameSays{fmt.Sprintf("The file %s.img is there already: this describes it.", name), false}
}

func (s *Server) register(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	f := readRegisterForm(form)
	text, err := f.text()
	if err == nil {
		err = s.registerImage(c.Request().Context(), f.Name, text)
	}
	if err == nil {
		img, err := s.image("", f.Name)
		if err != nil {
			return err
		}
		return s.goTo(c, s.viewImage(img).did("registered"))
	}
	if statusOf(err) == http.StatusInternalServerError {
		return err
	}
	return s.registerPage(c, statusOf(err), f, textOf(err))
}
