// Package clone carries out the two instructions that move images on a PC: createImage reads a partition and sends
// it to the server, restoreImage fetches one or more images, writes them and proves that they are on the disk.
//
// It guarantees that nothing is written to a disk before every check of the preflight has passed for every image, that nothing
// is written outside the partitions (or, with a layout or the image of a disk, the disk) that the instruction names, that a restore
// succeeds only after every used byte was read back from the disk and found equal to the image, and that a capture
// that did not reach its end is never completed at the server. What a restore changes after that proof, so that the disk boots where
// it is now (boot sectors of NTFS and FAT, the copy of a GPT on a larger disk), is read back as well.
//
// An image is a stream from the server, or, with a Delivery, comes in blocks of its file in any order and is written as they come, when its parts can be
// decoded without one another; what is promised is the same.
//
// It is not about who gives instructions or who hears of their progress: that is clientos/agent.
package clone

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// A Server is where images come from and go to. Every call may fail because the network or the server is away
// for a while: such errors are tried again where that is safe. An error that wraps a *protocol.Failure is the server's own
// final answer and is never tried again; so an implementation must not return one for a refusal that time can
// cure, such as the 403 of a server that has just restarted and does not yet know this PC.
type Server interface {
	// OpenImage opens the image file of a revision from byte offset on, at the address that it names. The reader ends with io.EOF at the end of
	// the file and with any other error when it was cut; it is closed by the caller. Cancelling ctx ends a Read that
	// waits.
	OpenImage(ctx context.Context, image protocol.Image, offset int64) (io.ReadCloser, error)
	// OpenChunks opens the chunk index of a revision, likewise.
	OpenChunks(ctx context.Context, image protocol.Image) (io.ReadCloser, error)
	// PutLayout stores the JSON of the disk.Layout of a capture. It may be called again.
	PutLayout(ctx context.Context, instruction string, layout []byte) error
	// PutImage sends what write writes as the image of a capture, or, with a partition other than 0, as the image of that partition of a capture of a
	// whole disk, whose images the server publishes together after the last. When write returns an error the upload
	// is broken off, so that the server cannot take it for complete, and the error is returned. When write
	// returns nil PutImage returns only after the server has published the image or refused to.
	PutImage(ctx context.Context, instruction string, partition int, write func(w io.Writer) error) error
}

// A RangeServer is a Server that can be asked for a part of an image's file. Who looks at a few bytes of it then has no more sent than those, and the
// connection serves the next request.
type RangeServer interface {
	// OpenRange opens the bytes from low to high-1 of the image file of a revision, as OpenImage does.
	OpenRange(ctx context.Context, image protocol.Image, low, high int64) (io.ReadCloser, error)
}

// An Env is what Run works with.
type Env struct {
	Server Server
	Disks  disk.System
	Log    *slog.Logger

	// Local says that the Server's images are files on a disk of this PC: what waits for their bytes waits for a disk.
	Local bool
	// Boots tells the EFI boot entries that belong to a disk which is captured; nil for none.
	Boots func(ctx context.Context, d disk.Disk) ([]disk.BootEntry, error)

	// Delivery brings the files of images that are restored; nil for streams from the Server.
	Delivery Delivery
	Memory   int64 // bytes that blocks of a Delivery may take while they wait for others; 0 for 256 MiB
}

// Progress is how far an instruction has come. Bytes and Total are those of the stage, as in protocol.Report.
type Progress struct {
	Stage string // protocol.StagePreflight ...
	Bytes int64
	Total int64 // 0 when not known
	Dirty bool  // something has been, or is about to be, written to the disk
	// Slow is what the writing has waited for most, more than half of the last seconds: protocol.SlowNetwork, SlowDisk or SlowDecoding; empty when nothing
	// stands out.
	Slow string
}

// A Result is what a finished instruction can show.
type Result struct {
	Verified int64 // restore: used bytes read back from the disk and found equal to the images
	Bytes    int64 // bytes that were captured or restored
}

// Run carries out instruct, which must be a createImage or a restoreImage, and calls progress from one goroutine at a time
// whenever the stage changes and often within a stage; progress must not block. Cancelling ctx stops the work
// at the next chunk.
//
// The error wraps a *protocol.Failure with stage, problem, advice and code filled in, or, when ctx ended first,
// context.Cause(ctx). That of an image which cannot be taken in the order of the Delivery wraps format.ErrOrdered or ErrScattered besides. A restore
// that failed or was cancelled before Progress.Dirty was set has written nothing.
func Run(ctx context.Context, env Env, instruct protocol.Instruct, progress func(Progress)) (Result, error) {
	j := newJob(env, instruct, progress)
	j.meter.stage(protocol.StagePreflight, 0)
	var result Result
	err := instruct.Check()
	switch {
	case err != nil:
		err = failure(protocol.ErrFormat, err.Error(), "start the operation again; if this comes back, update Aula").because(err)
	case instruct.Kind == protocol.CreateImage:
		result, err = j.capture(ctx)
	case instruct.Kind == protocol.RestoreImage:
		result, err = j.restore(ctx)
	default:
		err = failure(protocol.ErrFormat, instruct.Kind+" has nothing to do with images", "this is a mistake in Aula: report it")
	}
	if err != nil {
		return Result{}, j.told(ctx, err)
	}
	return result, nil
}

// Check does every check of a restoreImage that can be done before the first byte is written, and writes nothing. Its errors are those of Run.
func Check(ctx context.Context, env Env, instruct protocol.Instruct) error {
	j := newJob(env, instruct, func(Progress) {})
	r := j.newRestore()
	if err := instruct.Check(); err != nil {
		return j.told(ctx, failure(protocol.ErrFormat, err.Error(), "start the operation again; if this comes back, update Aula").because(err))
	}
	if err := r.preflight(ctx); err != nil {
		return j.told(ctx, err)
	}
	return nil
}

// told is an error in the form that callers are promised.
func (j *job) told(ctx context.Context, err error) error {
	stage := j.meter.current().Stage
	if ctx.Err() != nil {
		return fmt.Errorf("stopped while %s: %w", stage, context.Cause(ctx))
	}
	return explained{explain(err, stage), err}
}

// A job is one instruction on its way.
type job struct {
	server   Server
	disks    disk.System
	delivery Delivery // nil for streams from the server
	memory   int64
	local    bool
	boots    func(ctx context.Context, d disk.Disk) ([]disk.BootEntry, error)
	instruct protocol.Instruct
	log      *slog.Logger
	meter    *meter
}

func newJob(env Env, instruct protocol.Instruct, progress func(Progress)) *job {
	return &job{
		server: env.Server, disks: env.Disks, local: env.Local, boots: env.Boots, delivery: env.Delivery, memory: env.Memory, instruct: instruct,
		log:   env.Log.With("instruction", instruct.ID, "kind", instruct.Kind),
		meter: &meter{report: progress, now: Progress{Stage: protocol.StagePreflight}},
	}
}
