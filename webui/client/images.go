package client

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"aula/webui/api"
)

// In returns a client whose methods about images speak of one repository. Without it they speak of all repositories in lists, of
// the first repository that has the image, and of the first repository for what is new.
func (c *Client) In(repository string) *Client {
	scoped := *c
	scoped.repository = repository
	return &scoped
}

// images is the path of something about images, with its query.
func (c *Client) images(path string, query url.Values) string {
	if query == nil {
		query = url.Values{}
	}
	if c.repository != "" {
		query.Set("repository", c.repository)
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return path
}

// revisionQuery names a revision, 0 being the current one.
func revisionQuery(revision int) url.Values {
	if revision == 0 {
		return url.Values{}
	}
	return url.Values{"revision": {strconv.Itoa(revision)}}
}

// Images returns all, by name: those with a file, those that are arriving, and those that were only registered.
func (c *Client) Images(ctx context.Context) ([]api.Image, error) {
	return get[[]api.Image](ctx, c, c.images("/images", nil))
}

// Image returns one.
func (c *Client) Image(ctx context.Context, name string) (api.Image, error) {
	return get[api.Image](ctx, c, c.images("/images"+seg(name), nil))
}

// Revisions returns the states of an image, the newest first.
func (c *Client) Revisions(ctx context.Context, name string) ([]api.Revision, error) {
	return get[[]api.Revision](ctx, c, c.images("/images"+seg(name)+"/revisions", nil))
}

// RegisterImage makes an image whose file may come later, or answers ErrConflict.
func (c *Client) RegisterImage(ctx context.Context, image api.NewImage) (out api.Image, err error) {
	err = c.do(ctx, "POST", "/images", image, &out)
	return out, err
}

// DescribeImage sets what people say of an image.
func (c *Client) DescribeImage(ctx context.Context, name string, text api.ImageText) (out api.Image, err error) {
	err = c.do(ctx, "PUT", c.images("/images"+seg(name), nil), text, &out)
	return out, err
}

// RemoveImage removes an image with all its revisions to the trash, or what was registered when it has no file.
func (c *Client) RemoveImage(ctx context.Context, name string) (out api.Removed, err error) {
	err = c.do(ctx, "DELETE", c.images("/images"+seg(name), nil), nil, &out)
	return out, err
}

// RemoveRevision removes one revision of an image for good.
func (c *Client) RemoveRevision(ctx context.Context, name string, revision int) error {
	return c.do(ctx, "DELETE", c.images("/images"+seg(name)+"/revisions"+seg(strconv.Itoa(revision)), nil), nil, nil)
}

// Trash returns what was removed and can be brought back, the latest first.
func (c *Client) Trash(ctx context.Context) ([]api.Trashed, error) {
	return get[[]api.Trashed](ctx, c, c.images("/trash", nil))
}

// Undelete brings an image back from the trash.
func (c *Client) Undelete(ctx context.Context, id string) error {
	return c.do(ctx, "POST", c.images("/trash"+seg(id)+"/undelete", nil), nil, nil)
}

// DiscardTrash removes an image from the trash for good.
func (c *Client) DiscardTrash(ctx context.Context, id string) error {
	return c.do(ctx, "DELETE", c.images("/trash"+seg(id), nil), nil, nil)
}

// Convert starts to pack an image anew.
func (c *Client) Convert(ctx context.Context, name string, to api.Conversion) (out api.Task, err error) {
	err = c.do(ctx, "POST", c.images("/images"+seg(name)+"/convert", nil), to, &out)
	return out, err
}

// Copy starts to copy a revision of an image (0: the current one) to another repository.
func (c *Client) Copy(ctx context.Context, name string, revision int, to string) (out api.Task, err error) {
	err = c.do(ctx, "POST", c.images("/images"+seg(name)+"/copy", nil), api.Destination{Repository: to, Revision: revision}, &out)
	return out, err
}

// Move starts to move an image with all its revisions to another repository.
func (c *Client) Move(ctx context.Context, name, to string) (out api.Task, err error) {
	err = c.do(ctx, "POST", c.images("/images"+seg(name)+"/move", nil), api.Destination{Repository: to}, &out)
	return out, err
}

// Verify starts to read a revision of an image (0: the current one) again.
func (c *Client) Verify(ctx context.Context, name string, revision int) (out api.Task, err error) {
	err = c.do(ctx, "POST", c.images("/images"+seg(name)+"/verify", nil), api.Verification{Revision: revision}, &out)
	return out, err
}

// VerifyAll starts to read every image of every repository again.
func (c *Client) VerifyAll(ctx context.Context) (out api.Task, err error) {
	err = c.do(ctx, "POST", "/verify", nil, &out)
	return out, err
}

// Export writes a revision of an image (0: the current one) to w: as it is when compressor is empty, else packed anew by LZOP, GZIP,
// ZSTD or NONE. progress, when not nil, is told the bytes written and how many there will be, 0 when that is not known. After an
// error what was written is no whole image.
func (c *Client) Export(ctx context.Context, name string, revision int, compressor string, w io.Writer, progress func(done, total int64)) error {
	query := revisionQuery(revision)
	if compressor != "" {
		query.Set("compressor", compressor)
	}
	resp, err := c.send(ctx, http.MethodGet, c.images("/images"+seg(name)+"/file", query), "", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if progress != nil {
		w = &counter{w: w, total: max(0, resp.ContentLength), tell: progress}
	}
	_, err = io.Copy(w, resp.Body)
	return err
}

// A counter tells how much is written.
type counter struct {
	w           io.Writer
	done, total int64
	tell        func(done, total int64)
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.done += int64(n)
	c.tell(c.done, c.total)
	return n, err
}
