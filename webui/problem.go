package webui

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/appliance/incorporation"
	"aula/appliance/operation"
	"aula/appliance/upkeep"
	"aula/clientos/instruction"
	"aula/imagestore"
)

// errTooMany and errLogin are the console's own errors.
var (
	errTooMany = errors.New("too many attempts; wait a few seconds and try again")
	errLogin   = errors.New("the name or the password is wrong")
)

// An inputError is what is wrong with what somebody typed.
type inputError struct{ error }

func (e *inputError) Unwrap() error { return e.error }

func invalid(format string, args ...any) error { return &inputError{fmt.Errorf(format, args...)} }

// outcomes are the statuses of what the house foresees. An error may wrap several, such as a refusal with its reason: the first
// of these that it wraps is what it is told as.
var outcomes = []struct {
	err    error
	status int
}{
	{catalog.ErrNotFound, http.StatusNotFound},
	{imagestore.ErrNotFound, http.StatusNotFound},
	{imagestore.ErrNoRepository, http.StatusNotFound},
	{operation.ErrNotFound, http.StatusNotFound},
	{upkeep.ErrNoTask, http.StatusNotFound},
	{incorporation.ErrNoUpload, http.StatusNotFound},

	{imagestore.ErrNoSpace, http.StatusInsufficientStorage},

	{catalog.ErrInvalid, http.StatusUnprocessableEntity},
	{imagestore.ErrBadName, http.StatusUnprocessableEntity},

	{catalog.ErrExists, http.StatusConflict},
	{catalog.ErrInUse, http.StatusConflict},
	{imagestore.ErrBusy, http.StatusConflict},
	{imagestore.ErrLocked, http.StatusConflict},
	{imagestore.ErrDamaged, http.StatusConflict},
	{imagestore.ErrExists, http.StatusConflict},
	{imagestore.ErrIncomplete, http.StatusConflict},
	{imagestore.ErrIncomplete, http.StatusConflict},
	{imagestore.ErrRepositoryExists, http.StatusConflict},
	{operation.ErrRefused, http.StatusConflict},
	{upkeep.ErrRefused, http.StatusConflict},
	{incorporation.ErrOffset, http.StatusConflict},
}

// statusOf is the one mapping from the house's errors to HTTP.
func statusOf(err error) int {
	var status huma.StatusError
	var routed *echo.HTTPError
	var input *inputError
	switch {
	case errors.As(err, &status):
		return status.GetStatus()
	case errors.As(err, &routed):
		return routed.Code
	case errors.Is(err, errLogin):
		return http.StatusUnauthorized
	case errors.Is(err, errTooMany):
		return http.StatusTooManyRequests
	}
	for _, known := range outcomes {
		if errors.Is(err, known.err) {
			return known.status
		}
	}
	switch {
	case errors.As(err, &input):
		return http.StatusUnprocessableEntity
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// textOf is what people read of an error. What the appliance did not foresee goes to its log and not to the caller.
func textOf(err error) string {
	status := statusOf(err)
	var he *echo.HTTPError
	switch {
	case status == http.StatusInternalServerError:
		return "Something went wrong inside the appliance. Its log has the reason."
	case errors.As(err, &he):
		switch status {
		case http.StatusUnauthorized:
			return "Log in first."
		case http.StatusForbidden:
			return "You are not allowed to do this."
		case http.StatusNotFound:
			return "There is no such page."
		case http.StatusMethodNotAllowed:
			return "This page does not take such a request."
		case http.StatusRequestEntityTooLarge:
			return "That is more than this page takes."
		}
		return http.StatusText(status)
	}
	return sentence(err.Error())
}

// problem makes the API's error of any error.
func (s *Server) problem(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	status := statusOf(err)
	if status == http.StatusInternalServerError {
		s.log.Error("request failed", "user", callerOf(ctx).name(), "error", err)
	}
	if errors.Is(err, errTooMany) {
		return huma.ErrorWithHeaders(huma.NewError(status, textOf(err)), http.Header{"Retry-After": {retryLogin}})
	}
	return huma.NewError(status, textOf(err), details(err)...)
}

// details are the places of a text at which it is wrong.
func details(err error) []error {
	var wrong instruction.SyntaxErrors
	if !errors.As(err, &wrong) {
		return nil
	}
	list := make([]error, len(wrong))
	for i, e := range wrong {
		text := fmt.Sprintf("expected %s, found %s", e.Expected, e.Found)
		if e.Hint != "" {
			text += " (" + e.Hint + ")"
		}
		list[i] = &huma.ErrorDetail{Message: text, Location: fmt.Sprintf("line %d, column %d", e.Line, e.Column)}
	}
	return list
}

// retryLogin is when to come back after errTooMany, in seconds: loginEvery.
const retryLogin = "5"

// showError is echo's last resort: it answers what handlers return, as JSON or as a page.
func (s *Server) showError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	r := c.Request()
	status := statusOf(err)
	if status == http.StatusInternalServerError {
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	if isAPI(r) {
		c.Response().Header().Set("Content-Type", "application/problem+json")
		err = c.JSON(status, huma.NewError(status, textOf(err)))
	} else {
		err = s.render(c, status, "error", errorPage{page: s.page(c, "", http.StatusText(status)), Text: textOf(err)})
	}
	if err != nil {
		s.log.Warn("error page not sent", "path", r.URL.Path, "error", err)
	}
}
