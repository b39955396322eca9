package webui

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"

	"crypto/sha256"

	"github.com/labstack/echo/v4"
)

//go:embed all:assets
var assetFiles embed.FS

// assets are the files that pages refer to, each with a tag made of its bytes.
type assets struct {
	files map[string]asset
	bare  bool // foreign assets are missing: a build without npm
}

type asset struct {
	data []byte
	kind string
	tag  string
}

// assetKinds are the files that are served; anything else in the folder is not.
var assetKinds = map[string]string{
	".css":   "text/css; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".woff2": "font/woff2",
	".txt":   "text/plain; charset=utf-8",
}

func loadAssets() (*assets, error) {
	a := &assets{files: map[string]asset{}}
	err := fs.WalkDir(assetFiles, "assets", func(name string, d fs.DirEntry, err error) error {
		kind := assetKinds[path.Ext(name)]
		if err != nil || d.IsDir() || kind == "" {
			return err
		}
		data, err := assetFiles.ReadFile(name)
		if err != nil {
			return err
		}
		a.files[strings.TrimPrefix(name, "assets/")] = asset{data, kind, fmt.Sprintf(`"%x"`, sha256.Sum256(data))}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the embedded assets: %w", err)
	}
	_, complete := a.files["vendor/htmx.min.js"]
	a.bare = !complete
	return a, nil
}

// serveAsset answers a file, or that the browser still has it.
func (s *Server) serveAsset(c echo.Context) error {
	f, ok := s.assets.files[c.Param("*")]
	if !ok {
		return echo.ErrNotFound
	}
	h := c.Response().Header()
	h.Set("Content-Type", f.kind)
	h.Set("ETag", f.tag)
	h.Set("Cache-Control", "no-cache") // ask each time; a new binary has new files
	http.ServeContent(c.Response(), c.Request(), "", time.Time{}, bytes.NewReader(f.data))
	return nil
}
