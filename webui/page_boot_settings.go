package webui

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/netboot/script"
)

// bootSettings is the part of the settings about booting from the network.
type bootSettings struct {
	Accepted []bootChoice
	Unknown  []bootChoice
	Has      catalog.BootSettings
	Seconds  string
	Forever  bool
	Password bool // the menu has one
	Problem  string
}

func (s *Server) bootSettings() (bootSettings, error) {
	has, err := s.cfg.Catalog.BootSettings()
	v := bootSettings{
		Has: has, Accepted: bootChoices("")[1:], Forever: has.Menu.Seconds < 0, Password: has.Menu.PasswordHash != "",
		Unknown: []bootChoice{
			{catalog.BootClientOS, "The client OS, so that they introduce themselves under Pending"},
			{catalog.BootDisk, "Their own disk"}, {catalog.BootMenu, "The menu at the PC"}, {catalog.BootNothing, "Nothing: they are left alone"},
		},
	}
	v.Seconds = strconv.Itoa(int(has.MenuTimeout().Seconds()))
	if v.Forever {
		v.Seconds = ""
	}
	return v, err
}

// saveBootSettings sets what PCs boot for which nothing nearer says otherwise, and the menu.
func (s *Server) saveBootSettings(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	edit, err := s.readBootSettings(form)
	if err == nil {
		err = s.cfg.Catalog.ChangeBootSettings(edit)
	}
	switch {
	case err == nil:
		s.log.Info("boot settings changed", "by", callerOf(c.Request().Context()).name())
		return s.goTo(c, "/settings?did=saved")
	case statusOf(err) == http.StatusInternalServerError:
		return err
	}
	v := settingsPage{}
	v.Boot.Problem = textOf(err)
	return s.settingsPage(c, statusOf(err), v)
}

// readBootSettings makes of the form what is changed.
func (s *Server) readBootSettings(form url.Values) (func(*catalog.BootSettings), error) {
	seconds := -1
	if form.Get("forever") == "" {
		var err error
		seconds, err = strconv.Atoi(strings.TrimSpace(form.Get("seconds")))
		if err != nil || seconds < 1 {
			return nil, invalid("the menu waits for 1 to %d seconds, or for ever", catalog.MaxMenuSeconds)
		}
	}
	hash := ""
	if typed := form.Get("menuPassword"); typed != "" && form.Get("noPassword") == "" {
		var err error
		if hash, err = script.HashPassword(typed); err != nil {
			return nil, invalid("%v", err)
		}
	}
	return func(b *catalog.BootSettings) {
		b.Accepted, b.Unknown, b.Menu.Seconds = form.Get("accepted"), form.Get("unknown"), seconds
		if hash != "" || form.Get("noPassword") != "" {
			b.Menu.PasswordHash = hash
		}
	}, nil
}
