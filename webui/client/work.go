package client

import (
	"context"

	"aula/webui/api"
)

// CheckProgram tells what instructions would do to each PC, and does nothing.
func (c *Client) CheckProgram(ctx context.Context, p api.Program) (out []api.Preflight, err error) {
	err = c.do(ctx, "POST", "/operations/check", p, &out)
	return out, err
}

// Run has PCs carry out instructions. Those that fail the pre-flight end as failed, untouched.
func (c *Client) Run(ctx context.Context, p api.Program) (out api.Operation, err error) {
	err = c.do(ctx, "POST", "/operations", p, &out)
	return out, err
}

// Retry starts an operation once more on the PCs that did not end as they should.
func (c *Client) Retry(ctx context.Context, id string) (out api.Operation, err error) {
	err = c.do(ctx, "POST", "/operations"+seg(id)+"/retry", nil, &out)
	return out, err
}

// StartNow stops waiting for PCs that are not there.
func (c *Client) StartNow(ctx context.Context, id string) error {
	return c.do(ctx, "POST", "/operations"+seg(id)+"/start", nil, nil)
}

// SetDefaults sets what deployments in a classroom begin with.
func (c *Client) SetDefaults(ctx context.Context, classroomID string, d api.Defaults) error {
	return c.do(ctx, "PUT", "/classrooms"+seg(classroomID)+"/defaults", d, nil)
}

// SetScript sets the script that is run after each restore of an image, none when it is empty.
func (c *Client) SetScript(ctx context.Context, image, text string) error {
	return c.do(ctx, "PUT", "/images"+seg(image)+"/script", api.Script{Text: text}, nil)
}

// Procedures returns all, by name.
func (c *Client) Procedures(ctx context.Context) ([]api.Procedure, error) {
	return get[[]api.Procedure](ctx, c, "/procedures")
}

// Procedure returns one.
func (c *Client) Procedure(ctx context.Context, id string) (api.Procedure, error) {
	return get[api.Procedure](ctx, c, "/procedures"+seg(id))
}

// PutProcedure makes a procedure when id is empty, else changes that one.
func (c *Client) PutProcedure(ctx context.Context, id string, p api.NewProcedure) (out api.Procedure, err error) {
	err = c.put(ctx, "/procedures", id, p, &out)
	return out, err
}

// RemoveProcedure removes a procedure that no schedule runs.
func (c *Client) RemoveProcedure(ctx context.Context, id string) error {
	return c.do(ctx, "DELETE", "/procedures"+seg(id), nil, nil)
}

// Schedules returns all, by name.
func (c *Client) Schedules(ctx context.Context) ([]api.Schedule, error) {
	return get[[]api.Schedule](ctx, c, "/schedules")
}

// Schedule returns one.
func (c *Client) Schedule(ctx context.Context, id string) (api.Schedule, error) {
	return get[api.Schedule](ctx, c, "/schedules"+seg(id))
}

// PutSchedule makes a schedule when id is empty, else changes that one.
func (c *Client) PutSchedule(ctx context.Context, id string, s api.NewSchedule) (out api.Schedule, err error) {
	err = c.put(ctx, "/schedules", id, s, &out)
	return out, err
}

// RemoveSchedule removes one.
func (c *Client) RemoveSchedule(ctx context.Context, id string) error {
	return c.do(ctx, "DELETE", "/schedules"+seg(id), nil, nil)
}

// Holidays returns all, by first day.
func (c *Client) Holidays(ctx context.Context) ([]api.Holiday, error) {
	return get[[]api.Holiday](ctx, c, "/holidays")
}

// AddHoliday makes one.
func (c *Client) AddHoliday(ctx context.Context, h api.NewHoliday) (out api.Holiday, err error) {
	err = c.do(ctx, "POST", "/holidays", h, &out)
	return out, err
}

// RemoveHoliday removes one.
func (c *Client) RemoveHoliday(ctx context.Context, id string) error {
	return c.do(ctx, "DELETE", "/holidays"+seg(id), nil, nil)
}

// Templates returns the saved ways to partition a disk, by name.
func (c *Client) Templates(ctx context.Context) ([]api.Template, error) {
	return get[[]api.Template](ctx, c, "/templates")
}

// PutTemplate makes a template when id is empty, else changes that one.
func (c *Client) PutTemplate(ctx context.Context, id string, t api.NewTemplate) (out api.Template, err error) {
	err = c.put(ctx, "/templates", id, t, &out)
	return out, err
}

// RemoveTemplate removes one.
func (c *Client) RemoveTemplate(ctx context.Context, id string) error {
	return c.do(ctx, "DELETE", "/templates"+seg(id), nil, nil)
}

// put makes something when id is empty, else changes that one.
func (c *Client) put(ctx context.Context, path, id string, in, out any) error {
	if id == "" {
		return c.do(ctx, "POST", path, in, out)
	}
	return c.do(ctx, "PUT", path+seg(id), in, out)
}
