// Package client is the appliance's API as Go calls, for the command line, the virtual classroom and tests. It
// speaks to the console's HTTPS address with a token, or to the Unix socket of the same machine without one.
//
// Methods return a *Error for every answer that is not a success; errors.Is finds ErrDenied, ErrNotFound,
// ErrConflict and ErrInvalid in it.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"aula/webui/api"
)

// Errors that callers branch on.
var (
	ErrDenied   = errors.New("not allowed")
	ErrNotFound = errors.New("not found")
	ErrConflict = errors.New("already exists, still in use or refused")
	ErrInvalid  = errors.New("not valid")
)

// An Error is what the appliance answered in place of a success.
type Error struct {
	Status int // HTTP
	Detail string
}

func (e *Error) Error() string { return e.Detail }

// Is makes errors.Is find the package's errors by status.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrDenied:
		return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
	case ErrNotFound:
		return e.Status == http.StatusNotFound
	case ErrConflict:
		return e.Status == http.StatusConflict
	case ErrInvalid:
		return e.Status == http.StatusBadRequest || e.Status == http.StatusUnprocessableEntity
	}
	return false
}

// maxAnswer bounds what is read of one answer.
const maxAnswer = 64 << 20

// A Client asks one appliance. It is safe for concurrent use once made.
type Client struct {
	// Token is sent as bearer token when it is not empty; Login sets it.
	Token string
	// HTTP carries the requests. Set its Transport to trust the appliance's own certificate.
	HTTP *http.Client

	base       string
	socket     string
	repository string // set by In
}

// New makes a client for target: an address such as https://10.0.0.1:8443, or the path of the appliance's Unix
// socket, which begins with "/" or "./".
func New(target string) (*Client, error) {
	if strings.HasPrefix(target, "/") || strings.HasPrefix(target, "./") {
		c := &Client{base: "http://aula", socket: target}
		var d net.Dialer
		c.HTTP = &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return d.DialContext(ctx, "unix", target)
			},
		}}
		return c, nil
	}
	u, err := url.Parse(target)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		return nil, fmt.Errorf("%q is neither an https:// address nor the path of a socket", target)
	}
	return &Client{base: u.Scheme + "://" + u.Host, HTTP: &http.Client{}}, nil
}

// do sends one request and decodes the answer into out when it is not nil.
func (c *Client) do(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		data, err := json.Marshal(in)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		body = bytes.NewReader(data)
	}
	resp, err := c.send(ctx, method, path, "application/json", body)
	if err != nil {
		return err
	}
	return decode(resp, method, path, out)
}

// decode reads the whole answer, and into out when it is not nil.
func decode(resp *http.Response, method, path string, out any) error {
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the appliance's answer to %s %s: %w", method, path, err)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(data, out); err != nil {
		return fmt.Errorf("appliance's answer to %s %s: %w", method, path, err)
	}
	return nil
}

// send sends one request and returns an answer that is a success, whose body the caller closes.
func (c *Client) send(ctx context.Context, method, path, kind string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, c.base+"/api/v1"+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", kind)
	}
	if c.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.Token)
	}
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("read the appliance's answer to %s %s: %w", method, path, err)
	}
	return nil, answerError(resp, data)
}

// unreachable says what a technician can do about a connection that failed.
func (c *Client) unreachable(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if c.socket != "" && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no appliance runs here (there is no %s): start it with 'aula serve', or name its data folder with --data", c.socket)
	}
	if c.socket != "" {
		return fmt.Errorf("cannot reach the appliance through %s (is 'aula serve' running, and are you root?): %w", c.socket, err)
	}
	return fmt.Errorf("cannot reach the appliance at %s: %w", c.base, err)
}

// answerError makes the error of an answer that is no success.
func answerError(resp *http.Response, data []byte) error {
	var p api.Problem
	if json.Unmarshal(data, &p) != nil || p.Detail == "" {
		p.Detail = "the appliance answered " + resp.Status
	}
	for _, e := range p.Errors {
		p.Detail += "; " + e.Message
		if e.Location != "" {
			p.Detail += " (" + e.Location + ")"
		}
	}
	return &Error{Status: resp.StatusCode, Detail: p.Detail}
}

// seg escapes one segment of a path.
func seg(s string) string { return "/" + url.PathEscape(s) }

// Login asks for a token with a user's name and password and keeps it in c.Token.
func (c *Client) Login(ctx context.Context, name, password string) error {
	var t api.Token
	if err := c.do(ctx, "POST", "/sessions", api.Login{Name: name, Password: password}, &t); err != nil {
		return err
	}
	c.Token = t.Token
	return nil
}

// Version asks what answers.
func (c *Client) Version(ctx context.Context) (api.Version, error) {
	return get[api.Version](ctx, c, "/version")
}

// Centres returns all, by name.
func (c *Client) Centres(ctx context.Context) ([]api.Centre, error) {
	return get[[]api.Centre](ctx, c, "/centres")
}

// AddCentre makes a centre.
func (c *Client) AddCentre(ctx context.Context, name string) (out api.Centre, err error) {
	err = c.do(ctx, "POST", "/centres", api.NewCentre{Name: name}, &out)
	return out, err
}

// Classrooms returns all, by name.
func (c *Client) Classrooms(ctx context.Context) ([]api.Classroom, error) {
	return get[[]api.Classroom](ctx, c, "/classrooms")
}

// AddClassroom makes a classroom in a centre.
func (c *Client) AddClassroom(ctx context.Context, centreID, name string) (out api.Classroom, err error) {
	err = c.do(ctx, "POST", "/classrooms", api.NewClassroom{CentreID: centreID, Name: name}, &out)
	return out, err
}

// Computers returns all: pending first by time of arrival, then accepted by name.
func (c *Client) Computers(ctx context.Context) ([]api.Computer, error) {
	return get[[]api.Computer](ctx, c, "/computers")
}

// Computer returns one.
func (c *Client) Computer(ctx context.Context, id string) (api.Computer, error) {
	return get[api.Computer](ctx, c, "/computers"+seg(id))
}

// Accept moves a pending PC into a classroom; an empty name means the next free pc-NN.
func (c *Client) Accept(ctx context.Context, id, classroomID, name string) (out api.Computer, err error) {
	err = c.do(ctx, "POST", "/computers"+seg(id)+"/accept", api.Placement{ClassroomID: classroomID, Name: name}, &out)
	return out, err
}

// Place renames or moves an accepted PC.
func (c *Client) Place(ctx context.Context, id, classroomID, name string) (out api.Computer, err error) {
	err = c.do(ctx, "PUT", "/computers"+seg(id), api.Placement{ClassroomID: classroomID, Name: name}, &out)
	return out, err
}

// RemoveComputer forgets a PC.
func (c *Client) RemoveComputer(ctx context.Context, id string) error {
	return c.do(ctx, "DELETE", "/computers"+seg(id), nil, nil)
}

// Capture starts to make an image of one partition.
func (c *Client) Capture(ctx context.Context, r api.Capture) (out api.Operation, err error) {
	err = c.do(ctx, "POST", "/capture", r, &out)
	return out, err
}

// Preflight tells what Restore would do to each PC, and does nothing.
func (c *Client) Preflight(ctx context.Context, r api.Restore) (out []api.Preflight, err error) {
	err = c.do(ctx, "POST", "/restore/preflight", r, &out)
	return out, err
}

// Restore starts to put an image on a partition of each PC. PCs that fail the pre-flight end as failed, untouched.
func (c *Client) Restore(ctx context.Context, r api.Restore) (out api.Operation, err error) {
	err = c.do(ctx, "POST", "/restore", r, &out)
	return out, err
}

// Power restarts PCs (kind "reboot"), has them boot their own disk ("bootOs") or powers them off ("poweroff").
func (c *Client) Power(ctx context.Context, kind string, computerIDs ...string) (out api.Operation, err error) {
	err = c.do(ctx, "POST", "/power", api.Power{Kind: kind, ComputerIDs: computerIDs}, &out)
	return out, err
}

// Operations returns the newest first, at most limit of them.
func (c *Client) Operations(ctx context.Context, limit int) ([]api.Operation, error) {
	return get[[]api.Operation](ctx, c, fmt.Sprintf("/operations?limit=%d", limit))
}

// Operation returns one.
func (c *Client) Operation(ctx context.Context, id string) (api.Operation, error) {
	return get[api.Operation](ctx, c, "/operations"+seg(id))
}

// Cancel asks every PC of an operation to stop.
func (c *Client) Cancel(ctx context.Context, id string) error {
	return c.do(ctx, "POST", "/operations"+seg(id)+"/cancel", nil, nil)
}

// Pauses of Wait.
const (
	waitPause   = 500 * time.Millisecond // between two questions
	waitRetries = 60                     // unanswered questions in a row before Wait gives up: half a minute or more
)

// Wait asks for one operation until it is over and returns it. onProgress, when not nil, is told each answer. A short
// absence of the appliance, such as its restart, is waited out.
func (c *Client) Wait(ctx context.Context, id string, onProgress func(api.Operation)) (api.Operation, error) {
	return wait(ctx, onProgress, func() (api.Operation, error) { return c.Operation(ctx, id) })
}

// wait asks until the answer is over, or is that there is nothing to wait for.
func wait[T interface{ Over() bool }](ctx context.Context, onProgress func(T), ask func() (T, error)) (T, error) {
	var none T
	pause := time.NewTicker(waitPause)
	defer pause.Stop()
	unanswered := 0
	for {
		got, err := ask()
		var answered *Error
		switch {
		case err == nil:
			unanswered = 0
			if onProgress != nil {
				onProgress(got)
			}
			if got.Over() {
				return got, nil
			}
		case errors.As(err, &answered) && answered.Status < 500, ctx.Err() != nil:
			return none, err
		default:
			if unanswered++; unanswered > waitRetries {
				return none, err
			}
		}
		select {
		case <-ctx.Done():
			return none, ctx.Err()
		case <-pause.C:
		}
	}
}

// Users returns all, by name.
func (c *Client) Users(ctx context.Context) ([]api.User, error) {
	return get[[]api.User](ctx, c, "/users")
}

// AddUser makes a user. Through the Unix socket it also makes the first one.
func (c *Client) AddUser(ctx context.Context, name, password string) (out api.User, err error) {
	err = c.do(ctx, "POST", "/users", api.NewUser{Name: name, Password: password}, &out)
	return out, err
}

// SetPassword sets a user's password and ends the user's sessions.
func (c *Client) SetPassword(ctx context.Context, name, password string) error {
	return c.do(ctx, "PUT", "/users"+seg(name)+"/password", api.NewPassword{Password: password}, nil)
}

// get asks for a T.
func get[T any](ctx context.Context, c *Client, path string) (out T, err error) {
	err = c.do(ctx, "GET", path, nil, &out)
	return out, err
}
