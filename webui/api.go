package webui

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"

	"aula/webui/api"
)

// routeAPI puts the REST API on the router and describes it at /api/openapi.json.
func (s *Server) routeAPI(e *echo.Echo) huma.API {
	cfg := huma.DefaultConfig("Aula", s.cfg.Version)
	cfg.Info.Description = "The classroom imaging appliance. Sizes are bytes, rates byte/s, times UTC. " +
		"Disks and partitions are numbered from 1."
	cfg.OpenAPIPath, cfg.DocsPath, cfg.SchemasPath, cfg.CreateHooks = "", "", "", nil
	cfg.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"token":  {Type: "http", Scheme: "bearer", Description: "From POST /api/v1/sessions"},
		"cookie": {Type: "apiKey", In: "cookie", Name: cookieName, Description: "The console's own login"},
	}
	cfg.Security = []map[string][]string{{"token": {}}, {"cookie": {}}}
	a := humaecho.New(e, cfg)
	s.routeSessions(a)
	s.routeRooms(a)
	s.routeComputers(a)
	s.routeGroups(a)
	s.routeNetwork(a)
	s.routeAddresses(a)
	s.routeBoots(a)
	s.routeBootChoices(a)
	s.routeImages(a)
	s.routeImageFiles(a)
	s.routeTrash(a)
	s.routeTasks(a)
	s.routeRepositories(a)
	s.routeUploads(a)
	s.routeTorrents(a)
	s.routeOperations(a)
	s.routePrograms(a)
	s.routeProcedures(a)
	s.routeSchedules(a)
	s.routeTemplates(a)
	s.routeUsers(a)
	e.GET("/api/openapi.json", func(c echo.Context) error {
		data, err := json.Marshal(a.OpenAPI())
		if err != nil {
			return err
		}
		return c.Blob(http.StatusOK, "application/vnd.oai.openapi+json;version=3.1", data)
	})
	return a
}

// answer is a body of JSON.
type answer[T any] struct{ Body T }

// byID and byName are the parameters of paths. They cannot be embedded: huma does not see the fields of what is not exported.
type (
	byID struct {
		ID string `path:"id" maxLength:"64"`
	}
	byName struct {
		Name string `path:"name" maxLength:"128"`
	}
	none struct{}
)

// route registers one operation that answers a body.
func route[I, O any](s *Server, a huma.API, method, path, tag, summary string, status int, f func(context.Context, *I) (O, error)) {
	huma.Register(a, operationOf(method, path, tag, summary, status), func(ctx context.Context, in *I) (*answer[O], error) {
		out, err := f(ctx, in)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return &answer[O]{out}, nil
	})
}

// routeEmpty registers one operation that answers 204.
func routeEmpty[I any](s *Server, a huma.API, method, path, tag, summary string, f func(context.Context, *I) error) {
	huma.Register(a, operationOf(method, path, tag, summary, http.StatusNoContent), func(ctx context.Context, in *I) (*none, error) {
		return nil, s.problem(ctx, f(ctx, in))
	})
}

func operationOf(method, path, tag, summary string, status int) huma.Operation {
	op := huma.Operation{
		Method: method, Path: "/api/v1" + path, Summary: summary, Tags: []string{tag}, DefaultStatus: status,
		OperationID: strings.ToLower(method) + strings.NewReplacer("/", "-", "{", "", "}", "").Replace(path),
	}
	if path == "/sessions" {
		op.Security = []map[string][]string{{}}
	}
	return op
}

// loginInput also holds where the request comes from.
type loginInput struct {
	Body   api.Login
	source string
}

// Resolve is called by huma with the request.
func (in *loginInput) Resolve(ctx huma.Context) []error {
	in.source = sourceOf(ctx.RemoteAddr())
	return nil
}

func (s *Server) routeSessions(a huma.API) {
	huma.Register(a, operationOf("POST", "/sessions", "sessions", "Log in: get a token", http.StatusCreated),
		func(ctx context.Context, in *loginInput) (*answer[api.Token], error) {
			user, err := s.tryLogin(ctx, in.source, in.Body.Name, in.Body.Password)
			if err != nil {
				return nil, s.problem(ctx, err)
			}
			token, err := s.sessions.begin(user)
			if err != nil {
				return nil, s.problem(ctx, err)
			}
			return &answer[api.Token]{api.Token{Token: token, User: user}}, nil
		})
	routeEmpty(s, a, "DELETE", "/sessions/current", "sessions", "Log out: end this token", func(ctx context.Context, _ *none) error {
		return s.sessions.end(callerOf(ctx).Session)
	})
	route(s, a, "GET", "/version", "appliance", "What answers", 200, func(context.Context, *none) (api.Version, error) {
		return api.Version{Version: s.cfg.Version, API: "v1"}, nil
	})
}

func (s *Server) routeUsers(a huma.API) {
	type userInput struct{ Body api.NewUser }
	type passwordInput struct {
		Name string `path:"name" maxLength:"128"`
		Body api.NewPassword
	}
	route(s, a, "GET", "/users", "users", "List users", 200, func(context.Context, *none) ([]api.User, error) {
		users, err := s.cfg.Catalog.Users()
		out := make([]api.User, len(users))
		for i, u := range users {
			out[i] = api.User{Name: u.Name, Created: u.Created}
		}
		return out, err
	})
	route(s, a, "POST", "/users", "users", "Make a user", 201, func(ctx context.Context, in *userInput) (api.User, error) {
		u, err := s.addUser(ctx, in.Body.Name, in.Body.Password)
		return api.User{Name: u.Name, Created: u.Created}, err
	})
	routeEmpty(s, a, "PUT", "/users/{name}/password", "users", "Set a user's password and end the user's sessions",
		func(ctx context.Context, in *passwordInput) error {
			return s.setPassword(ctx, in.Name, in.Body.Password)
		})
}
