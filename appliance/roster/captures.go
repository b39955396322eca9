package roster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"

	"aula/appliance/catalog"
	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/imagestore"
	"aula/imagestore/format"
)

// capturing tells which computer and instruction a request is about, or answers 403.
func (r *Roster) capturing(w http.ResponseWriter, req *http.Request) (catalog.Computer, protocol.Instruct, bool) {
	c, ok := r.member(w, req)
	if !ok {
		return catalog.Computer{}, protocol.Instruct{}, false
	}
	id := req.PathValue("instruction")
	in, ok := r.cfg.Work.Entitled(c.ID, id)
	if !ok || in.Kind != protocol.CreateImage || in.Capture == nil {
		r.cfg.Log.Warn("capture refused", "computer", c.ID, "instruction", id)
		fail(w, http.StatusForbidden, protocol.Failure{
			Code:    protocol.ErrRepository,
			Problem: fmt.Sprintf("this PC has no instruction %s to make an image", id),
			Advice:  "start the operation again from the console",
		})
		return catalog.Computer{}, protocol.Instruct{}, false
	}
	return c, in, true
}

// serveLayout keeps the layout of a capture.
func (r *Roster) serveLayout(w http.ResponseWriter, req *http.Request) {
	c, in, ok := r.capturing(w, req)
	if !ok {
		return
	}
	p, release := r.patient(http.NewResponseController(w).SetReadDeadline)
	defer release()
	body := &patientReader{from: http.MaxBytesReader(w, req.Body, protocol.MaxLayout), patience: p}
	text, err := io.ReadAll(body)
	beforeAnswer(w)
	var tooBig *http.MaxBytesError
	if errors.As(err, &tooBig) {
		fail(w, http.StatusRequestEntityTooLarge, protocol.Failure{
			Code: protocol.ErrPartition, Stage: protocol.StageReading,
			Problem: fmt.Sprintf("the layout of the disk takes more than %d MiB", protocol.MaxLayout>>20),
			Advice:  "leave less room before the first partition",
		})
		return
	}
	if err != nil {
		http.Error(w, "the layout did not arrive whole", http.StatusBadRequest)
		return
	}
	if _, err := disk.ParseLayout(text); err != nil {
		fail(w, http.StatusUnprocessableEntity, protocol.Failure{
			Code: protocol.ErrFormat, Stage: protocol.StageReading,
			Problem: fmt.Sprintf("the layout of the disk is not understood: %v", err),
			Advice:  "restart the PC, so that it runs this server's client OS",
		})
		return
	}
	if err := r.keepLayout(c.ID, in, text); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// serveCapture takes the image of a capture, or of one partition of a disk that is captured whole, into staging, and publishes what is complete with
// it. It answers when the image is published, or staged until the others are there, or refused. Publishing goes on when the PC goes away after its
// last byte; it ends when the server stops.
func (r *Roster) serveCapture(w http.ResponseWriter, req *http.Request) {
	c, in, ok := r.capturing(w, req)
	if !ok {
		return
	}
	partition, err := partitionOf(req, in)
	if err != nil {
		fail(w, http.StatusBadRequest, protocol.Failure{
			Code: protocol.ErrPartition, Stage: protocol.StageReading, Problem: err.Error(),
			Advice: "restart the PC, so that it runs this server's client OS, and create the image again",
		})
		return
	}
	up, err := r.beginUpload(c.ID, in.ID)
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	name := in.Capture.ImageName(partition)
	log := r.cfg.Log.With("computer", c.ID, "instruction", in.ID, "image", name)
	p, release := r.patient(http.NewResponseController(w).SetReadDeadline)
	defer release()
	images, err := r.publish(c, in, partition, up, req, &patientReader{from: req.Body, patience: p})
	beforeAnswer(w)
	if err != nil {
		status, f := captureFailure(name, err)
		log.Error("capture failed", "code", f.Code, "problem", f.Problem, "error", err)
		r.cfg.Work.CaptureFailed(c.ID, in.ID, f)
		w.Header().Set("Connection", "close") // what is left of the body is not read
		fail(w, status, f)
		return
	}
	for _, img := range images {
		log.Info("image published", "name", img.Name, "revision", img.Revision, "bytes", img.FileBytes)
		r.cfg.Work.Published(c.ID, in.ID, img)
	}
	w.WriteHeader(http.StatusCreated)
}

// partitionOf tells which partition the image of a request is of: that of the instruction, or, of a whole disk, the one that the request names.
func partitionOf(req *http.Request, in protocol.Instruct) (int, error) {
	text := req.URL.Query().Get(protocol.PartitionQuery)
	whole := in.Capture.Partitions
	if len(whole) == 0 {
		if text != "" && text != strconv.Itoa(in.Partition) {
			return 0, fmt.Errorf("the image of partition %.20q arrives, and that of %d was to be made", text, in.Partition)
		}
		return in.Partition, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || !slices.Contains(whole, n) {
		return 0, fmt.Errorf("the image of partition %.20q arrives, and those of %v were to be made", text, whole)
	}
	return n, nil
}

// Errors of a capture that are not the repository's.
var (
	errCut       = errors.New("upload was cut")
	errNoDigest  = errors.New("upload ended without the digest of its bytes")
	errUnwritten = errors.New("repository cannot be written")
	errStopping  = errors.New("server stopped")
	errGap       = errors.New("the server was restarted meanwhile, or the PC left out a partition")
)

// publish brings the body of a capture to the repository: all of it, or nothing. It answers what has been published with it.
func (r *Roster) publish(
	c catalog.Computer, in protocol.Instruct, partition int, up *upload, req *http.Request, body *patientReader,
) ([]imagestore.Image, error) {
	defer r.endUpload(c.ID, up) // before anybody hears of it, and goes on
	if err := up.inOrder(in, partition); err != nil {
		return nil, err
	}
	source := imagestore.Source{
		Computer: c.Name, ComputerID: c.ID, Disk: in.Disk.Number, Partition: partition, SectorSize: in.Disk.SectorSize,
	}
	if whole := in.Capture.Partitions; len(whole) > 0 {
		source.Set, source.Import, source.Members = in.Capture.Name, in.ID, len(whole)
	}
	staging, err := r.cfg.Images.Stage(in.Capture.Repository, in.Capture.ImageName(partition), source)
	if err != nil {
		return nil, err
	}
	if err := r.receive(c, in, staging, up.layout, req, body); err != nil {
		r.abort(in.ID, staging)
		return nil, err
	}
	if len(in.Capture.Partitions) == 0 {
		img, err := staging.Commit()
		return []imagestore.Image{img}, err
	}
	r.abort(in.ID, up.keep(partition, staging))
	if len(up.staged) < len(in.Capture.Partitions) {
		return nil, nil
	}
	return imagestore.CommitSet(up.all(in))
}

// abort throws a staged image away; nil is none.
func (r *Roster) abort(instruction string, staging *imagestore.Staging) {
	if staging == nil {
		return
	}
	if err := staging.Abort(); err != nil {
		r.cfg.Log.Warn("remove a capture that is not published", "instruction", instruction, "error", err)
	}
}

// receive brings the body of a capture into staging and has it read again.
func (r *Roster) receive(
	c catalog.Computer, in protocol.Instruct, staging *imagestore.Staging, layout []byte, req *http.Request, body *patientReader,
) error {
	if err := staging.SetLayout(layout); err != nil {
		return err
	}
	if _, err := io.Copy(staging, body); err != nil {
		if body.err != nil && body.err != io.EOF {
			return fmt.Errorf("%w after %d bytes: %w", errCut, body.n, body.err)
		}
		return fmt.Errorf("%w: %w", errUnwritten, err)
	}
	digest := req.Trailer.Get(protocol.DigestTrailer)
	if digest == "" {
		return fmt.Errorf("%w after %d bytes", errNoDigest, body.n)
	}
	ctx, cancel := r.untilStopped()
	defer cancel()
	err := staging.Prepare(ctx, digest, func(done, total int64) {
		r.cfg.Work.Publishing(c.ID, in.ID, done, total)
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", errStopping, err)
	}
	return err
}

// untilStopped returns a context that ends when Run does.
func (r *Roster) untilStopped() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		select {
		case <-r.stopping:
		case <-ctx.Done():
		}
	}()
	return ctx, cancel
}

// captureFailure says why a capture failed, in words for the console and the PC's screen.
func captureFailure(image string, err error) (status int, f protocol.Failure) {
	f = protocol.Failure{Stage: protocol.StagePublishing, Detail: err.Error()}
	switch {
	case errors.Is(err, imagestore.ErrNoSpace):
		f.Code, status = protocol.ErrCacheSize, http.StatusInsufficientStorage
		f.Problem = fmt.Sprintf("the repository has no room for image %s", image)
		f.Advice = "remove images that nobody needs, or give the repository a larger disk; the image that was there before is intact"
	case errors.Is(err, errStopping):
		f.Code, status = protocol.ErrRepository, http.StatusServiceUnavailable
		f.Problem = fmt.Sprintf("the server stopped while it checked image %s", image)
		f.Advice = "create the image again; the one that was there before is intact"
	case errors.Is(err, errCut), errors.Is(err, errNoDigest):
		f.Stage = protocol.StageReading
		f.Code, status = protocol.ErrImage, http.StatusBadRequest
		f.Problem = fmt.Sprintf("the upload of image %s was cut before its end", image)
		f.Advice = "check the PC and its network cable and create the image again; the one that was there before is intact"
	case errors.Is(err, format.ErrCorrupt), errors.Is(err, format.ErrNotImage), errors.Is(err, format.ErrUnsupported):
		f.Code, status = protocol.ErrImageFile, http.StatusUnprocessableEntity
		f.Problem = fmt.Sprintf("what arrived as image %s is damaged", image)
		f.Advice = "create the image again; if that repeats, test the PC's memory and disk"
	case errors.Is(err, imagestore.ErrBusy):
		f.Code, status = protocol.ErrLocked, http.StatusConflict
		f.Problem = fmt.Sprintf("image %s is in use", image)
		f.Advice = "wait until the operation that uses it has ended"
	case errors.Is(err, imagestore.ErrNoRepository):
		f.Code, status = protocol.ErrRepository, http.StatusNotFound
		f.Problem = fmt.Sprintf("the repository that image %s was to go to is not there: %v", image, err)
		f.Advice = "look whether its disk is mounted, then create the image again"
	case errors.Is(err, imagestore.ErrBadName):
		f.Code, status = protocol.ErrFormat, http.StatusBadRequest
		f.Problem = fmt.Sprintf("%q is no name for an image", image)
		f.Advice = "use letters, digits, _ . and -"
	case errors.Is(err, errGap):
		f.Stage = protocol.StageReading
		f.Code, status = protocol.ErrRepository, http.StatusConflict
		f.Problem = fmt.Sprintf("image %s arrives without those before it: %v", image, err)
		f.Advice = "create the images of the disk again; those that were there before are intact"
	case errors.Is(err, errUnwritten):
		f.Code, status = protocol.ErrNotWrite, http.StatusUnprocessableEntity
		f.Problem = fmt.Sprintf("image %s cannot be written to the repository", image)
		f.Advice = "see the server's log and test the repository's disk; the image that was there before is intact"
	default:
		f.Code, status = protocol.ErrImage, http.StatusUnprocessableEntity
		f.Problem = fmt.Sprintf("the repository did not take image %s: %v", image, err) // such as a file in the way that somebody put there
		f.Advice = "see to what it says and create the image again; the image that was there before is intact"
	}
	return status, f
}
