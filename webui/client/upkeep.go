package client

import (
	"context"

	"aula/webui/api"
)

// ExamineImport tells what Import would do, and does nothing.
func (c *Client) ExamineImport(ctx context.Context, r api.Import) (out api.ImportPlan, err error) {
	err = c.do(ctx, "POST", "/imports/examine", r, &out)
	return out, err
}

// Import starts to take images in. Bad input is refused at once.
func (c *Client) Import(ctx context.Context, r api.Import) (out api.Task, err error) {
	err = c.do(ctx, "POST", "/imports", r, &out)
	return out, err
}

// Tasks returns the long work that runs or ended lately, the newest first.
func (c *Client) Tasks(ctx context.Context) ([]api.Task, error) {
	return get[[]api.Task](ctx, c, "/tasks")
}

// Task returns one.
func (c *Client) Task(ctx context.Context, id string) (api.Task, error) {
	return get[api.Task](ctx, c, "/tasks"+seg(id))
}

// CancelTask asks a task to stop.
func (c *Client) CancelTask(ctx context.Context, id string) error {
	return c.do(ctx, "POST", "/tasks"+seg(id)+"/cancel", nil, nil)
}

// WaitTask asks for one task until it is over and returns it, as Wait does for operations.
func (c *Client) WaitTask(ctx context.Context, id string, onProgress func(api.Task)) (api.Task, error) {
	return wait(ctx, onProgress, func() (api.Task, error) { return c.Task(ctx, id) })
}

// Repositories returns all, the first one first.
func (c *Client) Repositories(ctx context.Context) ([]api.Repository, error) {
	return get[[]api.Repository](ctx, c, "/repositories")
}

// AddRepository opens a folder as a repository.
func (c *Client) AddRepository(ctx context.Context, r api.RepositoryText) (out api.Repository, err error) {
	err = c.do(ctx, "POST", "/repositories", r, &out)
	return out, err
}

// ChangeRepository changes all but the name and the folder of a repository.
func (c *Client) ChangeRepository(ctx context.Context, r api.RepositoryText) (out api.Repository, err error) {
	err = c.do(ctx, "PUT", "/repositories"+seg(r.Name), r, &out)
	return out, err
}

// RemoveRepository forgets a repository; its folder stays as it is.
func (c *Client) RemoveRepository(ctx context.Context, name string) error {
	return c.do(ctx, "DELETE", "/repositories"+seg(name), nil, nil)
}

// Uploads returns those that are under way or complete, the oldest first.
func (c *Client) Uploads(ctx context.Context) ([]api.Upload, error) {
	return get[[]api.Upload](ctx, c, "/uploads")
}

// Upload returns one.
func (c *Client) Upload(ctx context.Context, id string) (api.Upload, error) {
	return get[api.Upload](ctx, c, "/uploads"+seg(id))
}
