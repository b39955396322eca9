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

// A source is a partition that is captured.
type source struct {
	disk.Partition
	program string // of partclone
	device  string
}

// capture carries out a createImage, of a partition or of all of a disk's. It reads only, and looks at every partition before it sends anything.
func (j *job) capture(ctx context.Context) (Result, error) {
	d, err := j.disks.Find(ctx, j.instruct.Disk)
	if err != nil {
		return Result{}, err
	}
	sources, err := j.sources(ctx, d)
	if err != nil {
		return Result{}, err
	}
	if err := j.putLayout(ctx, d); err != nil {
		return Result{}, err
	}
	total := int64(0)
	for _, s := range sources {
		total += max(s.Used, 0)
	}
	j.meter.stage(protocol.StageReading, total)
	var result Result
	for i, s := range sources {
		j.log.Info("capture starts", "device", s.device, "filesystem", s.Filesystem, "program", s.program, "used", s.Used)
		n, err := j.send(ctx, s, i == len(sources)-1)
		if err != nil {
			return Result{}, err
		}
		result.Bytes += n
	}
	return result, nil
}

// sources are the partitions to capture, each of which can be read.
func (j *job) sources(ctx context.Context, d disk.Disk) ([]source, error) {
	if j.instruct.Partition > 0 {
		s, err := j.source(ctx, d, j.instruct.Partition)
		return []source{s}, err
	}
	var sources []source
	for _, n := range j.instruct.Capture.Partitions {
		if p, ok := d.Partition(n); ok && (p.Extended() || p.Filesystem == "" || p.Filesystem == "LINUX-SWAP") {
			continue // the layout has what belongs there
		}
		s, err := j.source(ctx, d, n)
		if err != nil {
			return nil, err
		}
		sources = append(sources, s)
	}
	if len(sources) == 0 {
		return nil, failure(protocol.ErrPartition, fmt.Sprintf("none of the partitions %v of disk %d holds a filesystem", j.instruct.Capture.Partitions, d.Number),
			"choose another disk, or install a system on this one first")
	}
	return sources, nil
}

// source finds a partition and makes sure that it can be captured.
func (j *job) source(ctx context.Context, d disk.Disk, number int) (source, error) {
	p, err := placeOf(d, number, fmt.Sprintf("it has %d partitions", len(d.Partitions)))
	if err != nil {
		return source{}, err
	}
	program, err := programFor(p)
	if err != nil {
		return source{}, err
	}
	// The claim is only tried: partclone.f2fs wants it for itself.
	f, err := d.Open(ctx, p.Number, false)
	if err != nil {
		return source{}, err
	}
	if err := f.Close(); err != nil {
		return source{}, err
	}
	return source{p, program, f.Name()}, checkHibernation(ctx, p, f.Name())
}

// send captures a partition, after which the server publishes if it is the last.
func (j *job) send(ctx context.Context, s source, last bool) (bytes int64, err error) {
	number := s.Number
	if j.instruct.Partition > 0 {
		number = 0 // it is the only one
	}
	err = j.server.PutImage(ctx, j.instruct.ID, number, func(w io.Writer) error {
		n, err := j.compress(ctx, s, w)
		if err == nil && last {
			j.meter.stage(protocol.StagePublishing, 0)
		}
		bytes = n
		return err
	})
	if err != nil {
		return 0, uploadFailure(err)
	}
	return bytes, nil
}

// putLayout sends the layout of the disk ahead of the image.
func (j *job) putLayout(ctx context.Context, d disk.Disk) error {
	layout, err := disk.ReadLayout(ctx, d)
	if err != nil {
		return err
	}
	if j.boots != nil {
		if layout.Boots, err = j.boots(ctx, d); err != nil {
			j.log.Warn("the layout is without EFI boot entries: they cannot be read", "disk", d.Number, "error", err)
		}
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

// compress runs partclone's program on a partition and writes what it says to w, compressed as the instruction wants it. It returns
// the number of used bytes in the filesystem.
func (j *job) compress(ctx context.Context, s source, w io.Writer) (int64, error) {
	capture := j.instruct.Capture
	packed, err := format.NewWriter(w, cmp.Or(capture.Compressor, format.Zstd), capture.Level)
	if err != nil {
		return 0, failure(protocol.ErrFormat, err.Error(), "choose another compressor or level, or none").because(err)
	}
	used, err := j.runPartclone(ctx, s, packed)
	if err != nil {
		packed.Close() // ends its goroutines; the upload is broken off by the error
		return 0, err
	}
	if err := packed.Close(); err != nil {
		return 0, err
	}
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
