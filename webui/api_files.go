package webui

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humaecho"
	"github.com/labstack/echo/v4"

	"aula/imagestore"
	"aula/imagestore/format"
)

// An exportInput names the bytes of an image.
type exportInput struct {
	Name       string `path:"name" maxLength:"128"`
	Repository string `query:"repository" maxLength:"128" doc:"The first that has the image when left out"`
	Revision   int    `query:"revision" minimum:"0" doc:"The current one when left out"`
	Compressor string `query:"compressor" enum:"ZSTD,LZOP,GZIP,NONE" doc:"As it is when left out; the length of what is packed anew is not known beforehand"`
}

// routeImageFiles are the routes that answer bytes.
func (s *Server) routeImageFiles(a huma.API) {
	op := operationOf("GET", "/images/{name}/file", imagesTag, "The file of an image, as it is or packed anew", http.StatusOK)
	op.Responses = bytesResponse("application/octet-stream", "The image file")
	huma.Register(a, op, func(ctx context.Context, in *exportInput) (*huma.StreamResponse, error) {
		r, img, err := s.home(in.Repository, in.Name)
		if err == nil && in.Revision > 0 {
			img.Image, err = r.Revision(in.Name, in.Revision)
		}
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		in.Repository, in.Revision = r.Name(), img.Revision
		if in.Compressor == img.Info.Compressor {
			in.Compressor = ""
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) { s.sendImage(hc, *in) }}, nil
	})

	op = operationOf("GET", "/images/{name}/torrent", imagesTag, "The .torrent of an image's current revision", http.StatusOK)
	op.Responses = bytesResponse("application/x-bittorrent", "The torrent")
	huma.Register(a, op, func(ctx context.Context, in *imageName) (*huma.StreamResponse, error) {
		torrent, err := s.torrent(in.Repository, in.Name)
		if err != nil {
			return nil, s.problem(ctx, err)
		}
		return &huma.StreamResponse{Body: func(hc huma.Context) {
			hc.SetHeader("Content-Type", "application/x-bittorrent")
			hc.SetHeader("Content-Disposition", attachment(in.Name+".img.torrent"))
			_, _ = hc.BodyWriter().Write(torrent)
		}}, nil
	})
}

// bytesResponse describes an answer that is no JSON.
func bytesResponse(kind, what string) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {
		Description: what,
		Content:     map[string]*huma.MediaType{kind: {Schema: &huma.Schema{Type: "string", Format: "binary"}}},
	}}
}

// attachment is the header that has a browser save a file. Canonical names need no quoting.
func attachment(name string) string { return fmt.Sprintf("attachment; filename=%q", name) }

// fileEndings tell other programs what is in an exported file.
var fileEndings = map[string]string{format.Lzop: ".lzo", format.Gzip: ".gz", format.Zstd: ".zst", format.None: ""}

// sendImage answers the bytes of a revision that was there a moment ago.
func (s *Server) sendImage(hc huma.Context, in exportInput) {
	c := humaecho.Unwrap(hc)
	if in.Compressor == "" {
		if err := s.sendFile(c, in); err != nil {
			s.showError(err, c)
		}
		return
	}
	h := c.Response().Header()
	out := &lateWriter{w: c.Response(), begin: func() {
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Disposition", attachment(in.Name+".img"+fileEndings[in.Compressor]))
	}}
	err := s.cfg.Images.Export(c.Request().Context(), in.Repository, in.Name, in.Revision, in.Compressor, out, nil)
	switch {
	case err == nil:
	case !out.begun:
		s.showError(err, c)
	default:
		if !errors.Is(err, context.Canceled) {
			s.log.Error("image not exported", "image", in.Name, "repository", in.Repository, "error", err)
		}
		panic(http.ErrAbortHandler) // so that nobody takes the part for the whole
	}
}

// sendFile answers the file of a revision as it is, which is held until the last byte is sent or the connection is lost.
func (s *Server) sendFile(c echo.Context, in exportInput) error {
	release, err := s.cfg.Images.Hold(in.Repository, in.Name, in.Revision, "download by "+callerOf(c.Request().Context()).name())
	if err != nil {
		return err
	}
	defer release()
	file, err := s.cfg.Images.OpenFile(in.Repository, in.Name, in.Revision)
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", attachment(in.Name+".img"))
	http.ServeContent(c.Response(), c.Request(), "", info.ModTime(), file) // in ranges, too, so that a download can be resumed
	return nil
}

// A lateWriter calls begin before the first byte, until when an error can still be answered.
type lateWriter struct {
	w     io.Writer
	begin func()
	begun bool
}

func (l *lateWriter) Write(p []byte) (int, error) {
	if !l.begun {
		l.begun = true
		l.begin()
	}
	return l.w.Write(p)
}

// torrent returns the .torrent of the current revision of an image.
func (s *Server) torrent(repository, name string) ([]byte, error) {
	r, img, err := s.home(repository, name)
	if err != nil {
		return nil, err
	}
	file, err := r.OpenTorrent(name, img.Revision)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w with a torrent: %s has none yet", imagestore.ErrNotFound, name)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return io.ReadAll(file)
}
