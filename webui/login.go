package webui

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
)

// firstUser is the name that the set-up page proposes.
const firstUser = "admin"

type setupPage struct {
	page
	Name, Error string
	Closed      bool // no code was printed
}

type loginPage struct {
	page
	Name, Next, Error string
}

// hasUsers reports whether the first user exists.
func (s *Server) hasUsers() (bool, error) {
	users, err := s.cfg.Catalog.Users()
	return len(users) > 0, err
}

// toLogin sends a stranger to the page where it goes on: set-up before there is any user, else login.
func (s *Server) toLogin(c echo.Context) error {
	has, err := s.hasUsers()
	if err != nil {
		return err
	}
	target := "/login"
	if !has {
		target = "/setup"
	} else if r := c.Request(); r.Method == http.MethodGet && r.URL.Path != "/" && r.Header.Get("HX-Request") == "" {
		target += "?next=" + url.QueryEscape(r.URL.RequestURI())
	}
	return s.goTo(c, target)
}

// goTo redirects after a form, whole page or htmx.
func (s *Server) goTo(c echo.Context, path string) error {
	if c.Request().Header.Get("HX-Request") != "" {
		c.Response().Header().Set("HX-Redirect", path)
		return c.NoContent(http.StatusNoContent)
	}
	return c.Redirect(http.StatusSeeOther, path)
}

// localPath is where to go after the login: a path of the console, whatever a link asked for.
func localPath(next string) string {
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.Opaque != "" || strings.Contains(next, "\\") {
		return "/"
	}
	path := u.RequestURI()
	if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") {
		return "/"
	}
	return path
}

func (s *Server) showSetup(c echo.Context) error {
	if has, err := s.hasUsers(); err != nil {
		return err
	} else if has {
		return s.goTo(c, "/login")
	}
	return s.render(c, http.StatusOK, "setup", s.setupPage(c, firstUser, ""))
}

func (s *Server) setupPage(c echo.Context, name, problem string) setupPage {
	return setupPage{s.page(c, "", "Set up"), name, problem, s.cfg.SetupCode == ""}
}

// setUp makes the first user for whoever knows the code.
func (s *Server) setUp(c echo.Context) error {
	if has, err := s.hasUsers(); err != nil {
		return err
	} else if has {
		return s.goTo(c, "/login")
	}
	name := strings.TrimSpace(c.FormValue("name"))
	err := s.trySetup(c.Request(), name, c.FormValue("code"), c.FormValue("password"), c.FormValue("again"))
	if err == nil {
		return s.enter(c, name, "/")
	}
	if statusOf(err) == http.StatusInternalServerError {
		return err
	}
	if errors.Is(err, errTooMany) {
		c.Response().Header().Set("Retry-After", retryLogin)
	}
	return s.render(c, statusOf(err), "setup", s.setupPage(c, name, textOf(err)))
}

func (s *Server) trySetup(r *http.Request, name, code, password, again string) error {
	if _, ok := s.limiter.allow(sourceOf(r.RemoteAddr), s.now()); !ok {
		return errTooMany
	}
	if s.cfg.SetupCode == "" || !equalSecret(normalCode(code), normalCode(s.cfg.SetupCode)) {
		s.log.Warn("set-up refused: wrong code", "source", sourceOf(r.RemoteAddr))
		return invalid("this is not the set-up code that the appliance printed when it started")
	}
	if password != again {
		return invalid("the two passwords differ")
	}
	hash, err := s.hasher.hash(r.Context(), password)
	if err != nil {
		return err
	}
	err = s.cfg.Catalog.AddFirstUser(catalog.User{Name: name, PasswordHash: hash, Created: s.now()})
	if err == nil {
		s.log.Info("first user made", "user", name, "source", sourceOf(r.RemoteAddr))
	}
	return err
}

// normalCode forgives case, spaces and dashes in a code that somebody copied from a screen.
func normalCode(code string) string {
	return strings.ToUpper(strings.NewReplacer(" ", "", "-", "").Replace(strings.TrimSpace(code)))
}

func (s *Server) showLogin(c echo.Context) error {
	if callerOf(c.Request().Context()) != (caller{}) {
		return s.goTo(c, "/")
	}
	if has, err := s.hasUsers(); err != nil {
		return err
	} else if !has {
		return s.goTo(c, "/setup")
	}
	return s.render(c, http.StatusOK, "login", loginPage{page: s.page(c, "", "Log in"), Next: localPath(c.QueryParam("next"))})
}

func (s *Server) logIn(c echo.Context) error {
	name, next := strings.TrimSpace(c.FormValue("name")), localPath(c.FormValue("next"))
	user, err := s.tryLogin(c.Request().Context(), sourceOf(c.Request().RemoteAddr), name, c.FormValue("password"))
	if err == nil {
		return s.enter(c, user, next)
	}
	if statusOf(err) == http.StatusInternalServerError {
		return err
	}
	if errors.Is(err, errTooMany) {
		c.Response().Header().Set("Retry-After", retryLogin)
	}
	return s.render(c, statusOf(err), "login", loginPage{s.page(c, "", "Log in"), name, next, textOf(err)})
}

// tryLogin returns the user whose name and password these are.
func (s *Server) tryLogin(ctx context.Context, source, name, password string) (string, error) {
	if _, ok := s.limiter.allow(source, s.now()); !ok {
		s.log.Warn("login refused: too many attempts", "source", source)
		return "", errTooMany
	}
	user, err := s.cfg.Catalog.User(name)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		return "", err
	}
	ok, err := s.hasher.check(ctx, user.PasswordHash, password)
	if err != nil {
		return "", err
	}
	if !ok {
		s.log.Warn("login refused: wrong name or password", "source", source)
		return "", errLogin
	}
	s.log.Info("logged in", "user", user.Name, "source", source)
	return user.Name, nil
}

// enter begins a session, always a new one, and sends the browser on.
func (s *Server) enter(c echo.Context, user, next string) error {
	if old := callerOf(c.Request().Context()).Session; old != "" {
		if err := s.sessions.end(old); err != nil {
			return err
		}
	}
	token, err := s.sessions.begin(user)
	if err != nil {
		return err
	}
	c.SetCookie(cookie(token))
	return s.goTo(c, next)
}

func (s *Server) logOut(c echo.Context) error {
	if err := s.sessions.end(callerOf(c.Request().Context()).Session); err != nil {
		return err
	}
	c.SetCookie(cookie(""))
	return s.goTo(c, "/login")
}

// addUser makes a user; pages, API and the first start through the socket come by here.
func (s *Server) addUser(ctx context.Context, name, password string) (catalog.User, error) {
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return catalog.User{}, err
	}
	u := catalog.User{Name: strings.TrimSpace(name), PasswordHash: hash, Created: s.now()}
	if err := s.cfg.Catalog.AddUser(u); err != nil {
		return catalog.User{}, err
	}
	s.log.Info("user made", "user", u.Name, "by", callerOf(ctx).name())
	return u, nil
}

// setPassword replaces a password and ends the user's logins, but for the one that asks.
func (s *Server) setPassword(ctx context.Context, name, password string) error {
	user, err := s.cfg.Catalog.User(name)
	if err != nil {
		return err
	}
	hash, err := s.hasher.hash(ctx, password)
	if err != nil {
		return err
	}
	if err := s.cfg.Catalog.SetPassword(user.Name, hash); err != nil {
		return err
	}
	s.log.Info("password set", "user", user.Name, "by", callerOf(ctx).name())
	return s.sessions.endAll(user.Name, callerOf(ctx).Session)
}
