package roster

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"aula/clientos/protocol"
	"aula/imagestore"
	"aula/imagestore/format"
)

// serveImage sends an image file, or what belongs to it, to a PC that has an instruction naming it.
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
	if err != nil {
		r.refusePart(w, name, revision, err)
		return
	}
	defer f.Close()
	size, err := f.Size()
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
	w.Header().Set("ETag", fmt.Sprintf("%q", fmt.Sprintf("%s-%s-%d-%d", repository, name, revision, size)))
	http.ServeContent(&patientWriter{ResponseWriter: w, patience: p}, req, "", time.Time{}, f)
}

// errNoPart is of a part that no revision has.
var errNoPart = errors.New("images have the parts image, chunks, map and torrent")

// refusePart says why a part of a revision is not to be had.
func (r *Roster) refusePart(w http.ResponseWriter, name string, revision int, err error) {
	switch {
	case errors.Is(err, imagestore.ErrNotFound), errors.Is(err, imagestore.ErrNoRepository):
		fail(w, http.StatusNotFound, protocol.Failure{
			Code:    protocol.ErrNotFound,
			Problem: fmt.Sprintf("revision %d of image %s is not in the repository", revision, name),
			Advice:  "choose another image, or another revision of this one",
		})
	case errors.Is(err, format.ErrOrdered):
		fail(w, http.StatusNotFound, protocol.Failure{
			Code:    protocol.ErrNotFound,
			Problem: fmt.Sprintf("the file of revision %d of image %s has no parts that could be taken in any order", revision, name),
			Advice:  "restore it by UNICAST or through the cache, or convert it to zstd",
			Detail:  err.Error(),
		})
	case errors.Is(err, imagestore.ErrDamaged), errors.Is(err, format.ErrCorrupt):
		fail(w, http.StatusConflict, protocol.Failure{
			Code:    protocol.ErrImageFile,
			Problem: fmt.Sprintf("revision %d of image %s is damaged in the repository", revision, name),
			Advice:  "restore an earlier revision of it, or import or capture it again",
			Detail:  err.Error(),
		})
	case errors.Is(err, errNoPart):
		fail(w, http.StatusNotFound, protocol.Failure{
			Code: protocol.ErrNotFound, Problem: err.Error(), Advice: "restart the PC, so that it runs this server's client OS",
		})
	case errors.Is(err, errMapping), errors.Is(err, errStopping), errors.Is(err, imagestore.ErrBusy):
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		r.cfg.Log.Error("open image", "image", name, "revision", revision, "error", err)
		http.Error(w, "the image cannot be opened: the server's log says why", http.StatusInternalServerError)
	}
}
