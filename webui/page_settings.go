package webui

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
)

type settingsPage struct {
	page
	Users           []catalog.User
	PasswordProblem string
	UserProblem     string
	NewUser         string
	Boot            bootSettings
}

func (s *Server) showSettings(c echo.Context) error {
	return s.settingsPage(c, http.StatusOK, settingsPage{})
}

func (s *Server) settingsPage(c echo.Context, status int, v settingsPage) error {
	v.page = s.page(c, "settings", "Settings")
	v.Path = "/settings"
	problem := v.Boot.Problem
	var err error
	if v.Boot, err = s.bootSettings(); err != nil {
		return err
	}
	v.Boot.Problem = problem
	if v.Users, err = s.cfg.Catalog.Users(); err != nil {
		return err
	}
	return s.render(c, status, "settings", v)
}

// changePassword asks for the old password: a console left open is no key to the account.
func (s *Server) changePassword(c echo.Context) error {
	ctx := c.Request().Context()
	err := s.tryChangePassword(c)
	switch {
	case err == nil:
		return s.goTo(c, "/settings?did=password")
	case statusOf(err) == http.StatusInternalServerError:
		return err
	}
	s.log.Warn("password not changed", "user", callerOf(ctx).name(), "error", err)
	return s.settingsPage(c, statusOf(err), settingsPage{PasswordProblem: textOf(err)})
}

func (s *Server) tryChangePassword(c echo.Context) error {
	ctx := c.Request().Context()
	if _, ok := s.limiter.allow(sourceOf(c.Request().RemoteAddr), s.now()); !ok {
		return errTooMany
	}
	user, err := s.cfg.Catalog.User(callerOf(ctx).User)
	if err != nil {
		return err
	}
	ok, err := s.hasher.check(ctx, user.PasswordHash, c.FormValue("old"))
	if err != nil {
		return err
	}
	if !ok {
		return invalid("the present password is wrong")
	}
	if c.FormValue("password") != c.FormValue("again") {
		return invalid("the two new passwords differ")
	}
	return s.setPassword(ctx, user.Name, c.FormValue("password"))
}

func (s *Server) addConsoleUser(c echo.Context) error {
	_, err := s.addUser(c.Request().Context(), c.FormValue("name"), c.FormValue("password"))
	switch {
	case err == nil:
		return s.goTo(c, "/settings?did=added")
	case statusOf(err) == http.StatusInternalServerError:
		return err
	}
	return s.settingsPage(c, statusOf(err), settingsPage{UserProblem: textOf(err), NewUser: c.FormValue("name")})
}
