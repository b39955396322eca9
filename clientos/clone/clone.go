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
	// PutImage sends what write writes as the image of a capture. When write returns an error the upload
	// is broken off, so that the server cannot take it for complete, and the error is returned. When write
	// returns nil PutImage returns only after the server has published the image or refused to.
	PutImage(ctx context.Context, instruction string, write func(w io.Writer) error) error
}

// An Env is what Run works with.
type Env struct {
	Server Server
	Disks  disk.System
	Log    *slog.Logger

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
// The error is a *protocol.Failure with stage, problem, advice and code filled in, or, when ctx ended first, an error that
// wraps context.Cause(ctx). A restore that failed or was cancelled before Progress.Dirty was set has
// written nothing.
func Run(ctx context.Context, env Env, instruct protocol.Instruct, progress func(Progress)) (Result, error) {
	log := env.Log.With("instruction", instruct.ID, "kind", instruct.Kind)
	j := &job{
		server: env.Server, disks: env.Disks, delivery: env.Delivery, memory: env.Memory, instruct: instruct, log: log,
		meter: &meter{report: progress, now: Progress{Stage: protocol.StagePreflight}},
	}
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
	if err == nil {
		return result, nil
	}
	stage := j.meter.current().Stage
	if ctx.Err() != nil {
		return Result{}, fmt.Errorf("stopped while %s: %w", stage, context.Cause(ctx))
	}
	return Result{}, explain(err, stage)
}

// A job is one instruction on its way.
type job struct {
	server   Server
	disks    disk.System
	delivery Delivery // nil for streams from the server
	memory   int64
	instruct protocol.Instruct
	log      *slog.Logger
	meter    *meter
}

// target finds the disk and the partition of a createImage.
func (j *job) target(ctx context.Context) (disk.Disk, disk.Partition, error) {
	d, err := j.disks.Find(ctx, j.instruct.Disk)
	if err != nil {
		return disk.Disk{}, disk.Partition{}, err
	}
	p, err := placeOf(d, j.instruct.Partition, fmt.Sprintf("it has %d partitions", len(d.Partitions)))
	return d, p, err
}
