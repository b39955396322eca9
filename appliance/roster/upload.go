package roster

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"aula/clientos/protocol"
	"aula/imagestore"
)

// An upload is the capture that a PC is sending. The layout waits here for the image, beside which it is published, and the images of a whole disk
// wait for each other. Its images belong to who made it active.
type upload struct {
	instruction string
	whole       bool // of a disk: it goes on after an image
	layout      []byte
	active      bool // an image is on its way
	over        bool // the verdict on the instruction is stored: nothing is waited for any more
	// staged are the images of a disk that have come and been read again, by partition.
	staged map[int]*imagestore.Staging
}

// inOrder refuses an image of a disk before which others should have come: after a restart of the server they are gone, and the PC does not know.
func (u *upload) inOrder(in protocol.Instruct, partition int) error {
	for _, n := range in.Capture.Partitions {
		if n == partition {
			break
		}
		if u.staged[n] == nil {
			return fmt.Errorf("%w: that of partition %d is missing", errGap, n)
		}
	}
	return nil
}

// keep notes a prepared image and returns the one whose place it takes, if the PC has sent it again.
func (u *upload) keep(partition int, staging *imagestore.Staging) (before *imagestore.Staging) {
	before = u.staged[partition]
	if u.staged == nil {
		u.staged = make(map[int]*imagestore.Staging)
	}
	u.staged[partition] = staging
	return before
}

// all returns the images that have come, in the order of the instruction.
func (u *upload) all(in protocol.Instruct) (set []*imagestore.Staging) {
	for _, n := range in.Capture.Partitions {
		set = append(set, u.staged[n])
	}
	u.staged = nil
	return set
}

// uploadSweep is how often it is looked whether staged images are still waited for.
const uploadSweep = time.Minute

var errSending = errors.New("the image of this capture is already being sent")

// keepLayout keeps the layout of a capture. When the PC sends the same again, it has tried again to send an image, and those before it stay.
func (r *Roster) keepLayout(computerID string, in protocol.Instruct, layout []byte) error {
	r.mu.Lock()
	before := r.uploads[computerID]
	if before != nil && before.active {
		r.mu.Unlock()
		return errSending
	}
	same := before != nil && before.instruction == in.ID && bytes.Equal(before.layout, layout)
	if !same {
		r.uploads[computerID] = &upload{instruction: in.ID, whole: len(in.Capture.Partitions) > 0, layout: layout}
	}
	r.mu.Unlock()
	if !same {
		r.throwAway(before)
	}
	return nil
}

// throwAway removes the staged images of an upload that nobody has any more; nil is none.
func (r *Roster) throwAway(u *upload) {
	if u == nil {
		return
	}
	for _, staging := range u.staged {
		r.abort(u.instruction, staging)
	}
}

// dropUpload forgets what waited for an image that will not come.
func (r *Roster) dropUpload(computerID, instructionID string) {
	r.mu.Lock()
	up := r.uploads[computerID]
	if up == nil || up.instruction != instructionID {
		r.mu.Unlock()
		return
	}
	up.over = true
	if up.active {
		up = nil // who has it throws it away
	} else {
		delete(r.uploads, computerID)
	}
	r.mu.Unlock()
	r.throwAway(up)
}

// beginUpload returns the upload of a capture of which an image begins to arrive.
func (r *Roster) beginUpload(computerID, instructionID string) (*upload, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	up := r.uploads[computerID]
	if up == nil || up.instruction != instructionID {
		return nil, errors.New("the layout of the disk must come before the image")
	}
	if up.active {
		return nil, errSending
	}
	up.active = true
	return up, nil
}

// endUpload lets the PC try again, from the layout on, or send the next image of a disk.
func (r *Roster) endUpload(computerID string, up *upload) {
	r.mu.Lock()
	up.active = false
	goesOn := up.whole && !up.over
	if !goesOn {
		delete(r.uploads, computerID)
	}
	r.mu.Unlock()
	if !goesOn {
		r.throwAway(up)
	}
}

// sweepUploads forgets the uploads of PCs that have another instruction, or none, now.
func (r *Roster) sweepUploads() {
	waiting := make(map[string]string) // instructions by computer
	r.mu.Lock()
	for computerID, up := range r.uploads {
		if !up.active {
			waiting[computerID] = up.instruction
		}
	}
	r.mu.Unlock()
	for computerID, instructionID := range waiting {
		if _, ok := r.cfg.Work.Entitled(computerID, instructionID); !ok {
			r.dropUpload(computerID, instructionID)
		}
	}
}

// endUploads throws all away that waits, when nothing more can come.
func (r *Roster) endUploads() {
	r.mu.Lock()
	all := r.uploads
	r.uploads = make(map[string]*upload)
	r.mu.Unlock()
	for _, up := range all {
		r.throwAway(up)
	}
}
