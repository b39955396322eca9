package webui

import (
	"context"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"
)

// A permission is what a route asks of its caller. The zero value is granted to nobody, so that a route which
// nobody thought about stays shut.
type permission int

const (
	nobody     permission = iota
	anyone                // without login
	look                  // see pages and lists
	operate               // command PCs, make and remove images, accept PCs
	administer            // centres, classrooms, users, repositories
)

// access is the permission of every route, page and API alike. A test walks the router and this table and demands
// that they agree.
func access() map[string]permission {
	return map[string]permission{
		"GET /assets/*": anyone,
		"GET /setup":    anyone,
		"POST /setup":   anyone,
		"GET /login":    anyone,
		"POST /login":   anyone,
		"POST /logout":  look,
		"GET /events":   look,

		"GET /":                                         look,
		"GET /classrooms/:id":                           look,
		"GET /classrooms/:id/defaults":                  operate,
		"POST /classrooms/:id/defaults":                 administer, // a script in it is run on every PC of the room
		"GET /rooms":                                    administer,
		"POST /centres":                                 administer,
		"POST /centres/:id":                             administer,
		"POST /centres/:id/remove":                      administer,
		"POST /classrooms":                              administer,
		"POST /classrooms/:id":                          administer,
		"POST /classrooms/:id/remove":                   administer,
		"GET /pending":                                  look,
		"POST /pending":                                 operate,
		"GET /computers/:id":                            look,
		"POST /computers/:id":                           operate,
		"POST /computers/:id/remove":                    operate,
		"GET /images":                                   look,
		"GET /images/:name":                             look,
		"POST /images/:name":                            operate,
		"POST /images/:name/remove":                     operate,
		"POST /images/:name/revisions/:revision/remove": operate,
		"POST /images/:name/script":                     administer, // it is run on every PC that gets the image
		"POST /images/:name/verify":                     operate,
		"POST /images/:name/convert":                    operate,
		"POST /images/:name/transfer":                   operate,
		"GET /register":                                 operate,
		"GET /register/name":                            operate,
		"POST /register":                                operate,
		"GET /import":                                   operate,
		"GET /import/:id":                               operate,
		"POST /import/:id":                              operate,
		"POST /import/:id/discard":                      operate,
		"GET /trash":                                    look,
		"POST /trash/:id/undelete":                      operate,
		"POST /trash/:id/discard":                       operate,
		"GET /tasks/:id":                                look,
		"POST /tasks/:id/cancel":                        operate,
		"POST /verify":                                  operate,
		"GET /capture":                                  operate,
		"GET /capture/name":                             operate,
		"POST /capture":                                 operate,
		"GET /restore":                                  operate,
		"GET /restore/check":                            operate,
		"GET /deploy":                                   operate,
		"GET /deploy/generate":                          operate,
		"GET /partition":                                operate,
		"GET /partition/generate":                       operate,
		"POST /templates":                               operate,
		"POST /templates/:id/remove":                    operate,
		"GET /cache":                                    look,
		"GET /cache/generate":                           operate,
		"GET /instructions":                             operate,
		"POST /instructions/check":                      operate,
		"POST /instructions/run":                        operate,
		"GET /procedures":                               look,
		"POST /procedures":                              operate,
		"POST /procedures/:id/remove":                   operate,
		"GET /schedules":                                look,
		"POST /schedules":                               operate,
		"POST /schedules/:id/switch":                    operate,
		"POST /schedules/:id/remove":                    operate,
		"POST /holidays":                                operate,
		"POST /holidays/:id/remove":                     operate,
		"GET /power":                                    operate,
		"POST /power":                                   operate,
		"GET /operations":                               look,
		"GET /operations/:id":                           look,
		"POST /operations/:id/cancel":                   operate,
		"POST /operations/:id/retry":                    operate,
		"POST /operations/:id/start":                    operate,
		"GET /torrents":                                 operate, // an info-hash is what fetching an image takes
		"GET /boot":                                     look,
		"GET /boot/:mac":                                look,
		"POST /boot/:mac/forgive":                       operate,
		"POST /boot/:mac/quirks":                        operate,
		"GET /leases":                                   look,
		"POST /notices/dismiss":                         operate,
		"POST /network/answer":                          operate, // who operates the classrooms is asked
		"POST /network/mode":                            administer,
		"POST /network/look":                            operate,
		"GET /choices":                                  operate,
		"POST /choices":                                 operate,
		"GET /classrooms/:id/boot":                      operate,
		"POST /classrooms/:id/boot":                     operate,
		"POST /classrooms/:id/groups":                   operate,
		"POST /groups/:id":                              operate,
		"POST /groups/:id/remove":                       operate,
		"POST /computers/:id/boot":                      operate,
		"POST /computers/:id/quirks":                    operate,
		"GET /settings":                                 look,
		"POST /settings/boot":                           administer,
		"POST /settings/password":                       look,
		"POST /settings/users":                          administer,
		"GET /repositories":                             administer,
		"POST /repositories":                            administer,
		"POST /repositories/:name":                      administer,
		"POST /repositories/:name/remove":               administer,

		"GET /api/openapi.json":                           look,
		"POST /api/v1/sessions":                           anyone,
		"DELETE /api/v1/sessions/current":                 look,
		"GET /api/v1/version":                             look,
		"GET /api/v1/centres":                             look,
		"POST /api/v1/centres":                            administer,
		"PUT /api/v1/centres/:id":                         administer,
		"DELETE /api/v1/centres/:id":                      administer,
		"GET /api/v1/classrooms":                          look,
		"POST /api/v1/classrooms":                         administer,
		"PUT /api/v1/classrooms/:id":                      administer,
		"DELETE /api/v1/classrooms/:id":                   administer,
		"GET /api/v1/computers":                           look,
		"GET /api/v1/computers/:id":                       look,
		"PUT /api/v1/computers/:id":                       operate,
		"DELETE /api/v1/computers/:id":                    operate,
		"POST /api/v1/computers/:id/accept":               operate,
		"GET /api/v1/images":                              look,
		"POST /api/v1/images":                             operate,
		"GET /api/v1/images/:name":                        look,
		"PUT /api/v1/images/:name":                        operate,
		"DELETE /api/v1/images/:name":                     operate,
		"GET /api/v1/images/:name/revisions":              look,
		"DELETE /api/v1/images/:name/revisions/:revision": operate,
		"GET /api/v1/images/:name/file":                   operate,
		"GET /api/v1/images/:name/torrent":                operate,
		"POST /api/v1/images/:name/convert":               operate,
		"POST /api/v1/images/:name/copy":                  operate,
		"POST /api/v1/images/:name/move":                  operate,
		"PUT /api/v1/images/:name/script":                 administer, // it is run on every PC that gets the image
		"POST /api/v1/images/:name/verify":                operate,
		"POST /api/v1/verify":                             operate,
		"GET /api/v1/trash":                               look,
		"POST /api/v1/trash/:id/undelete":                 operate,
		"DELETE /api/v1/trash/:id":                        operate,
		"POST /api/v1/imports":                            operate, // of paths: mayImport
		"POST /api/v1/imports/examine":                    operate, // of paths: mayImport
		"GET /api/v1/tasks":                               look,
		"GET /api/v1/tasks/:id":                           look,
		"POST /api/v1/tasks/:id/cancel":                   operate,
		"GET /api/v1/repositories":                        look,
		"POST /api/v1/repositories":                       administer,
		"PUT /api/v1/repositories/:name":                  administer,
		"DELETE /api/v1/repositories/:name":               administer,
		"POST /api/v1/uploads":                            operate,
		"GET /api/v1/uploads":                             operate,
		"GET /api/v1/uploads/:id":                         operate,
		"PATCH /api/v1/uploads/:id/files/:file":           operate,
		"DELETE /api/v1/uploads/:id":                      operate,
		"POST /api/v1/capture":                            operate,
		"POST /api/v1/restore/preflight":                  operate,
		"POST /api/v1/restore":                            operate,
		"POST /api/v1/power":                              operate,
		"GET /api/v1/operations":                          look,
		"GET /api/v1/operations/:id":                      look,
		"POST /api/v1/operations/:id/cancel":              operate,
		"POST /api/v1/operations/check":                   operate,
		"POST /api/v1/operations":                         operate,
		"POST /api/v1/operations/:id/retry":               operate,
		"POST /api/v1/operations/:id/start":               operate,
		"GET /api/v1/procedures":                          look,
		"POST /api/v1/procedures":                         operate,
		"GET /api/v1/procedures/:id":                      look,
		"PUT /api/v1/procedures/:id":                      operate,
		"DELETE /api/v1/procedures/:id":                   operate,
		"GET /api/v1/schedules":                           look,
		"POST /api/v1/schedules":                          operate,
		"GET /api/v1/schedules/:id":                       look,
		"PUT /api/v1/schedules/:id":                       operate,
		"DELETE /api/v1/schedules/:id":                    operate,
		"GET /api/v1/holidays":                            look,
		"POST /api/v1/holidays":                           operate,
		"DELETE /api/v1/holidays/:id":                     operate,
		"GET /api/v1/templates":                           look,
		"POST /api/v1/templates":                          operate,
		"PUT /api/v1/templates/:id":                       operate,
		"DELETE /api/v1/templates/:id":                    operate,
		"PUT /api/v1/classrooms/:id/defaults":             administer, // a script in it is run on every PC of the room
		"GET /api/v1/torrents":                            operate,
		"GET /api/v1/torrents/:torrent":                   operate,
		"GET /api/v1/boot":                                look,
		"POST /api/v1/boot/consent":                       operate, // who operates the classrooms is asked
		"POST /api/v1/boot/mode":                          administer,
		"POST /api/v1/boot/probe":                         operate,
		"POST /api/v1/boot/notices/dismiss":               operate,
		"GET /api/v1/boot/settings":                       look,
		"PATCH /api/v1/boot/settings":                     administer,
		"POST /api/v1/boot/choices":                       operate, // of all and of unknown PCs: chooseBoot
		"GET /api/v1/boots":                               look,
		"GET /api/v1/boots/:mac":                          look,
		"POST /api/v1/boots/:mac/forgive":                 operate,
		"GET /api/v1/leases":                              look,
		"PUT /api/v1/computers/:id/address":               operate,
		"GET /api/v1/quirks":                              look,
		"PUT /api/v1/quirks/:mac":                         operate,
		"GET /api/v1/groups":                              look,
		"POST /api/v1/groups":                             operate,
		"POST /api/v1/groups/members":                     operate,
		"PUT /api/v1/groups/:id":                          operate,
		"DELETE /api/v1/groups/:id":                       operate,
		"GET /api/v1/users":                               administer,
		"POST /api/v1/users":                              administer,
		"PUT /api/v1/users/:name/password":                administer,
	}
}

// A caller is who asks. The zero value is a stranger.
type caller struct {
	User    string // of the catalog; "" for strangers and for the machine's administrator
	Local   bool   // through the Unix socket
	Session string // id of the login session, "" without
}

// name is how the caller is written in the record of what was done.
func (c caller) name() string {
	if c.Local {
		return "administrator of this machine"
	}
	return c.User
}

// allowed is the one place where it is decided who may do what. Every user is an administrator so far; roles by classroom
// will be read here.
func allowed(c caller, p permission) bool {
	switch p {
	case anyone:
		return true
	case look, operate, administer:
		return c.Local || c.User != ""
	}
	return false
}

type callerKey struct{}

func withCaller(ctx context.Context, c caller) context.Context {
	return context.WithValue(ctx, callerKey{}, c)
}

// callerOf returns who asked the request of ctx.
func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// authenticate finds out who asks. A bearer token that is not valid makes a stranger, whatever the cookie says.
func (s *Server) authenticate(r *http.Request) caller {
	if c := callerOf(r.Context()); c.Local {
		return c
	}
	token := ""
	if scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " "); rest != "" {
		if !strings.EqualFold(scheme, "Bearer") {
			return caller{}
		}
		token = strings.TrimSpace(rest)
	} else if cookie, err := r.Cookie(cookieName); err == nil {
		token = cookie.Value
	}
	if token == "" {
		return caller{}
	}
	id := sessionID(token)
	user, ok := s.sessions.use(id)
	if !ok {
		return caller{}
	}
	return caller{User: user, Session: id}
}

// authorise is the middleware in front of every route.
func (s *Server) authorise(next echo.HandlerFunc) echo.HandlerFunc {
	table := access()
	return func(c echo.Context) error {
		r := c.Request()
		who := s.authenticate(r)
		c.SetRequest(r.WithContext(withCaller(r.Context(), who)))
		if allowed(who, table[routeOf(c)]) {
			return next(c)
		}
		if who != (caller{}) {
			if c.Path() == "" || strings.HasSuffix(c.Path(), "/*") { // no such route
				return echo.ErrNotFound
			}
			return echo.ErrForbidden
		}
		if isAPI(r) || c.Path() == "/events" {
			c.Response().Header().Set("WWW-Authenticate", `Bearer realm="aula"`)
			return echo.ErrUnauthorized
		}
		return s.toLogin(c)
	}
}

// routeOf is the key of the matched route in the table.
func routeOf(c echo.Context) string {
	method := c.Request().Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return method + " " + c.Path()
}

// isAPI tells whether errors are told as JSON.
func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }

// equalSecret compares without telling by its duration how much of a secret was right.
func equalSecret(a, b string) bool {
	return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}
