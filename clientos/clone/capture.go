package clone

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/imagestore/format"
)

// capture carries out a createImage. It reads only.
func (j *job) capture(ctx context.Context) (Result, error) {
	d, p, err := j.target(ctx)
	if err != nil {
		return Result{}, err
	}
	program, err := programFor(p)
	if err != nil {
		return Result{}, err
	}
	// The claim is only tried: partclone.f2fs wants it for itself.
	source, err := d.Open(ctx, p.Number, false)
	if err != nil {
		return Result{}, err
	}
	if err := source.Close(); err != nil {
		return Result{}, err
	}
	if err := checkHibernation(ctx, p, source.Name()); err != nil {
		return Result{}, err
	}
	if err := j.putLayout(ctx, d); err != nil {
		return Result{}, err
	}
	j.log.Info("capture starts", "device", source.Name(), "filesystem", p.Filesystem, "program", program, "used", p.Used)
	j.meter.stage(protocol.StageReading, max(p.Used, 0))
	var result Result
	err = j.server.PutImage(ctx, j.instruct.ID, func(w io.Writer) error {
		n, err := j.compress(ctx, program, source.Name(), w)
		result.Bytes = n
		return err
	})
	if err != nil {
		return Result{}, uploadFailure(err)
	}
	return result, nil
}

// putLayout sends the layout of the disk ahead of the image.
func (j *job) putLayout(ctx context.Context, d disk.Disk) error {
	layout, err := disk.ReadLayout(ctx, d)
	if err != nil {
		return err
	}
	data, err := json.Marshal(layout)
	if err != nil {
		return fmt.Errorf("layout of disk %d: %w", d.Number, err)
	}
	err = retry(ctx, j.log, "sending the layout", func() error {
		return j.server.PutLayout(ctx, j.instruct.ID, data)
	})
	if err != nil {
		return uploadFailure(err)
	}
	return nil
}

// compress runs partclone's program on the device and writes what it says to w, compressed as the instruction wants it. It returns
// the number of used bytes in the filesystem.
func (j *job) compress(ctx context.Context, program, device string, w io.Writer) (int64, error) {
	capture := j.instruct.Capture
	packed, err := format.NewWriter(w, cmp.Or(capture.Compressor, format.Zstd), capture.Level)
	if err != nil {
		return 0, failure(protocol.ErrFormat, err.Error(), "choose another compressor or level, or none").because(err)
	}
	used, err := j.runPartclone(ctx, program, device, packed)
	if err != nil {
		packed.Close() // ends its goroutines; the upload is broken off by the error
		return 0, err
	}
	if err := packed.Close(); err != nil {
		return 0, err
	}
	j.meter.stage(protocol.StagePublishing, 0)
	return used, nil
}

// uploadFailure is for errors of the upload itself; those that already say what they are stay as they are.
func uploadFailure(err error) error {
	if f := classify(err); f.Code != 0 {
		return err
	}
	return failure(protocol.ErrRepository,
		fmt.Sprintf("the image could not be sent to the server: %v", err),
		"check the network and the server, then create the image again; the previous image is intact").because(err)
}
