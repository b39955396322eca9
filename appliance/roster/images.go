package roster

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"time"

	"aula/clientos/protocol"
	"aula/imagestore"
)

// serveImage sends an image file or its chunk index to a PC that has an instruction naming it.
func (r *Roster) serveImage(w http.ResponseWriter, req *http.Request) {
	c, ok := r.member(w, req)
	if !ok {
		return
	}
	name := req.PathValue("name")
	revision, err := strconv.Atoi(req.PathValue("revision"))
	if err != nil || revision < 1 {
		http.Error(w, "revisions are numbers from 1", http.StatusBadRequest)
		return
	}
	repository := req.URL.Query().Get(protocol.RepositoryQuery)
	if !r.cfg.Work.Reading(c.ID, repository, name, revision) {
		r.cfg.Log.Warn("image refused", "computer", c.ID, "repository", repository, "image", name, "revision", revision)
		fail(w, http.StatusForbidden, protocol.Failure{
			Code:    protocol.ErrRepository,
			Problem: fmt.Sprintf("no instruction gives this PC revision %d of image %s", revision, name),
			Advice:  "start the operation again from the console",
		})
		return
	}
	f, err := r.openPart(req.PathValue("part"), repository, name, revision)
	switch {
	case errors.Is(err, imagestore.ErrNotFound), errors.Is(err, imagestore.ErrNoRepository):
		fail(w, http.StatusNotFound, protocol.Failure{
			Code:    protocol.ErrNotFound,
			Problem: fmt.Sprintf("revision %d of image %s is not in the repository", revision, name),
			Advice:  "choose another image, or another revision of this one",
		})
		return
	case errors.Is(err, imagestore.ErrDamaged):
		fail(w, http.StatusConflict, protocol.Failure{
			Code:    protocol.ErrImageFile,
			Problem: fmt.Sprintf("revision %d of image %s is damaged in the repository", revision, name),
			Advice:  "restore an earlier revision of it, or import or capture it again",
			Detail:  err.Error(),
		})
		return
	case err != nil:
		r.cfg.Log.Error("open image", "image", name, "revision", revision, "error", err)
		http.Error(w, "the image cannot be opened: the server's log says why", http.StatusInternalServerError)
		return
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		r.cfg.Log.Error("open image", "image", name, "revision", revision, "error", err)
		http.Error(w, "the image cannot be read: the server's log says why", http.StatusInternalServerError)
		return
	}
	p, release := r.patient(http.NewResponseController(w).SetWriteDeadline)
	defer release()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "no-store")
	// A revision never changes, so its name is a strong validator.
	w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprintf("%s-%s-%d-%d", repository, name, revision, info.Size())))
	http.ServeContent(&patientWriter{ResponseWriter: w, patience: p}, req, "", time.Time{}, f)
}

func (r *Roster) openPart(part, repository, name string, revision int) (*os.File, error) {
	switch part {
	case "image":
		return r.cfg.Images.OpenFile(repository, name, revision)
	case "chunks":
		return r.cfg.Images.OpenChunks(repository, name, revision)
	default:
		return nil, fmt.Errorf("part %q: %w", part, imagestore.ErrNotFound)
	}
}
