package clone

import (
	"context"
	"fmt"
	"io"
	"os"

	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/imagestore/format"
)

// A restore is a restoreImage on its way: what the preflight found out and the later stages use.
type restore struct {
	*job
	image  protocol.Image
	index  *format.Index
	layout *disk.Layout // to apply first, nil for none
	stream *resumer
	reader *format.Reader
}

// restore carries out a restoreImage.
func (j *job) restore(ctx context.Context) (Result, error) {
	r := &restore{job: j, image: *j.instruct.Image}
	defer r.close()
	if err := r.preflight(ctx); err != nil {
		return Result{}, err
	}
	p, f, err := r.prepare(ctx)
	if err != nil {
		return Result{}, err
	}
	defer f.Close()
	j.log.Info("restore starts", "device", f.Name(), "image", r.image.Name, "revision", r.image.Revision, "used", r.image.UsedBytes)

	j.meter.stage(protocol.StageWriting, r.image.UsedBytes)
	if err := r.write(ctx, f, p.Bytes); err != nil {
		return Result{}, err
	}
	j.meter.stage(protocol.StageVerifying, r.image.UsedBytes)
	verified, err := r.verify(ctx, f)
	if err != nil {
		return Result{}, err
	}
	j.meter.stage(protocol.StageFinishing, 0)
	if err := adaptBootSectors(f, r.index.Info.Filesystem, p); err != nil {
		return Result{}, err
	}
	if err := f.Close(); err != nil {
		return Result{}, err
	}
	return Result{Verified: verified, Bytes: verified}, nil
}

// close ends the connection and the decoder's goroutines.
func (r *restore) close() {
	if r.stream != nil {
		r.stream.stop()
		defer r.stream.hangUp()
	}
	if r.reader != nil {
		r.reader.Close() // waits for a Read of the stream
	}
}

// preflight does every check that can be done before the first byte is written. It writes nothing.
func (r *restore) preflight(ctx context.Context) error {
	d, err := r.disks.Find(ctx, r.instruct.Disk)
	if err != nil {
		return err
	}
	if r.image.SectorSize != 0 && r.image.SectorSize != d.SectorSize {
		return failure(protocol.ErrPartition,
			fmt.Sprintf("disk %d has sectors of %d bytes and the image comes from a disk with sectors of %d bytes",
				d.Number, d.SectorSize, r.image.SectorSize),
			"use an image captured from a disk with the same sector size; nothing was written")
	}
	p, err := r.plannedPartition(ctx, d)
	if err != nil {
		return err
	}
	if p.Bytes < r.image.RequiredBytes {
		return failure(protocol.ErrSize,
			fmt.Sprintf("partition %d of disk %d has %s and the image needs %s: %s are missing", p.Number, d.Number,
				disk.FormatBytes(p.Bytes), disk.FormatBytes(r.image.RequiredBytes), disk.FormatBytes(r.image.RequiredBytes-p.Bytes)),
			"restore to a larger partition, or shrink the filesystem on the model computer and capture it again; nothing was written")
	}
	if err := r.fetchIndex(ctx, p.Bytes); err != nil {
		return err
	}
	return r.openImage(ctx)
}

// plannedPartition is the partition that will be written to, as it is or as the layout will make it, on a disk that is free.
func (r *restore) plannedPartition(ctx context.Context, d disk.Disk) (disk.Partition, error) {
	partitions := d.Partitions
	if len(r.instruct.Layout) > 0 {
		layout, err := disk.ParseLayout(r.instruct.Layout)
		if err != nil {
			return disk.Partition{}, err
		}
		if err := layout.Fits(d); err != nil {
			return disk.Partition{}, err
		}
		if err := d.CheckFree(); err != nil {
			return disk.Partition{}, err
		}
		if partitions, err = layout.Partitions(); err != nil {
			return disk.Partition{}, err
		}
		r.layout = &layout
	}
	p, ok := disk.Disk{Partitions: partitions}.Partition(r.instruct.Partition)
	switch {
	case (!ok || p.Extended()) && r.layout != nil:
		return p, missingPartition(r.instruct, "the layout to apply has none with this number")
	case !ok || p.Extended():
		return p, missingPartition(r.instruct, fmt.Sprintf("it has %d partitions", len(partitions)))
	case r.layout == nil:
		f, err := d.Open(ctx, p.Number, true)
		if err != nil {
			return p, err
		}
		return p, f.Close()
	}
	return p, nil
}

// fetchIndex gets the chunk index by which the partition will be verified.
func (r *restore) fetchIndex(ctx context.Context, limit int64) error {
	var damage error // of the index itself, which no second attempt mends
	err := retry(ctx, r.log, "fetching the chunk index", func() error {
		body, err := r.server.OpenChunks(ctx, r.image.Name, r.image.Revision)
		if err != nil {
			return err
		}
		defer body.Close()
		connection := &errorKeeper{r: body}
		r.index, damage = format.ReadIndex(connection)
		return connection.err
	})
	if err != nil {
		return err
	}
	if damage != nil {
		return damage
	}
	return checkIndex(r.index, r.image.UsedBytes, limit)
}

// An errorKeeper remembers how a connection failed, apart from what its reader makes of that.
type errorKeeper struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (k *errorKeeper) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	if err != nil && err != io.EOF {
		k.err = err
	}
	return n, err
}

// openImage begins the stream and checks that it is the image that is meant.
func (r *restore) openImage(ctx context.Context) error {
	// A connection is made first, so that an image that is no longer there stops the restore before anything is written.
	r.stream = newResumer(ctx, r.log, r.image.FileBytes, func(ctx context.Context, offset int64) (io.ReadCloser, error) {
		return r.server.OpenImage(ctx, r.image.Name, r.image.Revision, offset)
	})
	reader, err := format.NewReader(r.stream)
	if err != nil {
		return err
	}
	r.reader = reader
	if got, want := reader.Info(), r.index.Info; got.UsedBytes != want.UsedBytes || got.RequiredBytes != want.RequiredBytes {
		return fmt.Errorf("%w: it says %s with %d bytes used, its index says %s with %d bytes used",
			format.ErrCorrupt, got, got.UsedBytes, want, want.UsedBytes)
	}
	if got, want := reader.Info().RequiredBytes, r.image.RequiredBytes; got > want {
		return fmt.Errorf("%w: it needs %d bytes, its record says %d", format.ErrCorrupt, got, want)
	}
	return nil
}

// prepare applies the layout, if there is one, claims the partition and wipes what old filesystems would show through the new
// one. From here on the disk is written to.
func (r *restore) prepare(ctx context.Context) (disk.Partition, *os.File, error) {
	if r.layout != nil {
		d, err := r.disks.Find(ctx, r.instruct.Disk)
		if err != nil {
			return disk.Partition{}, nil, err
		}
		r.meter.stage(protocol.StagePartitioning, 0)
		r.meter.dirty()
		if err := disk.ApplyLayout(ctx, d, *r.layout); err != nil {
			return disk.Partition{}, nil, err
		}
	}
	d, p, err := r.target(ctx)
	if err != nil {
		return p, nil, err
	}
	f, err := d.Open(ctx, p.Number, true)
	if err != nil {
		return p, nil, err
	}
	r.meter.dirty()
	if err := disk.WipeSignatures(ctx, f); err != nil {
		f.Close()
		return p, nil, err
	}
	return p, f, nil
}
