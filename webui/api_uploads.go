package webui

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"regexp"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"aula/appliance/incorporation"
	"aula/webui/api"
)

func (s *Server) routeUploads(a huma.API) {
	type begin struct{ Body api.NewUpload }
	const tag = "uploads"
	route(s, a, "POST", "/uploads", tag, "Begin to send files that belong together", 201, func(ctx context.Context, in *begin) (api.Upload, error) {
		files := make([]incorporation.File, len(in.Body.Files))
		for i, f := range in.Body.Files {
			files[i] = incorporation.File{Path: f.Path, Size: f.Size}
		}
		u, err := s.cfg.Uploads.Begin(files, callerOf(ctx).name())
		if err != nil {
			return api.Upload{}, ofInput(err)
		}
		s.log.Info("upload begun", "upload", u.ID, "files", len(files), "by", u.By)
		return apiUpload(u), nil
	})
	route(s, a, "GET", "/uploads", tag, "List uploads, the oldest first", 200, func(context.Context, *none) ([]api.Upload, error) {
		all, err := s.cfg.Uploads.All()
		out := make([]api.Upload, len(all))
		for i, u := range all {
			out[i] = apiUpload(u)
		}
		return out, err
	})
	route(s, a, "GET", "/uploads/{id}", tag, "One upload, with how far each file has got", 200, func(_ context.Context, in *byID) (api.Upload, error) {
		u, err := s.cfg.Uploads.Upload(in.ID)
		return apiUpload(u), err
	})
	routeEmpty(s, a, "DELETE", "/uploads/{id}", tag, "Forget an upload with all its files", func(ctx context.Context, in *byID) error {
		return s.discardUpload(ctx, in.ID)
	})

	op := operationOf("PATCH", "/uploads/{id}/files/{file}", tag, "Send a piece of a file: the request's body are the bytes that begin at offset, "+
		"where the file has got to. After a broken connection, ask how far it has got and go on from there", http.StatusOK)
	op.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/octet-stream": {Schema: &huma.Schema{Type: "string", Format: "binary"}},
	}}
	huma.Register(a, op, func(ctx context.Context, in *pieceInput) (*answer[api.Arrived], error) {
		have, err := s.cfg.Uploads.Append(in.ID, in.File, in.Offset, in.body)
		if err != nil {
			return nil, s.problem(ctx, ofInput(err))
		}
		return &answer[api.Arrived]{api.Arrived{Have: have}}, nil
	})
}

// ofInput makes an error about what somebody sent of one that is not the machine's own.
func ofInput(err error) error {
	var system *fs.PathError
	if errors.As(err, &system) || statusOf(err) != http.StatusInternalServerError {
		return err
	}
	return invalid("%w", err)
}

// A pieceInput holds the request's body unread, because pieces may be large.
type pieceInput struct {
	ID     string `path:"id" maxLength:"64"`
	File   int    `path:"file" minimum:"0"`
	Offset int64  `query:"offset" minimum:"0" required:"true"`
	body   io.Reader
}

// Resolve is called by huma with the request.
func (in *pieceInput) Resolve(ctx huma.Context) []error {
	in.body = &patientReader{ctx.BodyReader(), ctx.SetReadDeadline}
	return nil
}

// pieceSilence is for how long nothing of a piece may arrive before the connection is given up: what has arrived is kept, and the
// browser comes again.
const pieceSilence = time.Minute

// A patientReader gives every read its own time.
type patientReader struct {
	io.Reader
	deadline func(time.Time) error
}

func (p *patientReader) Read(b []byte) (int, error) {
	// Servers that know no deadlines (tests) answer an error here, which changes nothing.
	_ = p.deadline(time.Now().Add(pieceSilence))
	return p.Reader.Read(b)
}

// isPiece tells the one request whose body is not bounded: what it may hold was bounded when the upload began.
func isPiece(r *http.Request) bool {
	return r.Method == http.MethodPatch && piecePath.MatchString(r.URL.Path)
}

var piecePath = regexp.MustCompile(`^/api/v1/uploads/[^/]+/files/[0-9]+$`)

func (s *Server) discardUpload(ctx context.Context, id string) error {
	if err := s.cfg.Uploads.Discard(id); err != nil {
		return err
	}
	s.log.Info("upload discarded", "upload", id, "by", callerOf(ctx).name())
	return nil
}

func apiUpload(u incorporation.Upload) api.Upload {
	out := api.Upload{ID: u.ID, By: u.By, Begun: u.Begun, Expires: u.Expires, Complete: u.Complete(), Files: make([]api.UploadFile, len(u.Files))}
	for i, f := range u.Files {
		out.Files[i] = api.UploadFile{Path: f.Path, Size: f.Size, Have: f.Have}
	}
	return out
}
